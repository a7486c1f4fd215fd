"""Sections: checked against TVB's declarations, completed, and strict about names."""

import pytest

from tvb_batch.models.errors import SpecError
from tvb_batch.models.spec.sections import complete, domain_warnings, files_of
from tvb_batch.models.tvb.components import components, roles


def test_no_class_evaluates_text_of_the_spec() -> None:
    attributes = [
        attribute for role in roles() for item in components(role).values() for attribute in item.attributes.values()
    ]

    assert {attribute.name for attribute in attributes if attribute.type == "str"} == {"reference"}
    assert {attribute.name for attribute in attributes if attribute.type == "formula"} == {"equation"}


@pytest.mark.parametrize(
    "formula", ["var", "var * 2 + 1e-3", "where(var > 0, exp(-var / 2.5), 0)", "sin(2 * pi * var) ** 2"]
)
def test_a_formula_of_numbers_is_accepted(formula) -> None:
    assert complete("equation", {"class": "DiscreteEquation", "equation": formula}, "x")["equation"] == formula


@pytest.mark.parametrize(
    "formula", ["__import__('os')", "var.real", "var[0]", "x", "lambda: 1", "'a'", "", "varpi", 5, "var;var"]
)
def test_other_formulas_are_refused(formula) -> None:
    with pytest.raises(SpecError):
        complete("equation", {"class": "DiscreteEquation", "equation": formula}, "x")


def test_a_section_is_completed_with_every_default() -> None:
    section = complete(
        "integrator", {"class": "HeunStochastic", "noise": {"nsig": 1, "class": "Additive"}}, "integrator"
    )

    assert section == {
        "class": "HeunStochastic",
        "dt": 0.01220703125,
        "noise": {"class": "Additive", "ntau": 0.0, "noise_seed": 42, "nsig": [1.0]},
    }


def test_a_class_name_alone_is_a_section() -> None:
    assert complete("coupling", "Linear", "coupling") == complete("coupling", {"class": "Linear"}, "coupling")


def test_null_stays_apart_from_the_default() -> None:
    section = complete("monitor", {"class": "SpatialAverage", "default_mask": None}, "monitors[0]")

    again = complete("monitor", section, "monitors[0]")

    assert section["default_mask"] is None
    assert again == section


@pytest.mark.parametrize(
    ("role", "section", "path", "words"),
    [
        ("model", "JansenRitt", "x.class", "did you mean 'JansenRit'"),
        ("monitor", "eegs", "x.class", "did you mean 'EEG'"),
        ("model", {"mu": 1}, "x", "no `class`"),
        ("model", ["JansenRit"], "x", "a mapping with a `class`"),
        ("model", {"class": ["JansenRit"]}, "x.class", "the name of a TVB model"),
        ("model", {"class": "os.system"}, "x.class", "a class of TVB or of an allowed module"),
        ("model", {"class": "JansenRit", "nu_mx": 1}, "x.nu_mx", "did you mean 'nu_max'"),
        ("model", {"class": "JansenRit", "gid": "0"}, "x.gid", "an unknown name"),
        ("model", {"class": "JansenRit", "mu": "0.1"}, "x.mu", "a number or a list of numbers"),
        ("model", {"class": "JansenRit", "mu": True}, "x.mu", "a number"),
        ("model", {"class": "JansenRit", "mu": None}, "x.mu", "leave it out for TVB's default"),
        ("model", {"class": "JansenRit", "mu": []}, "x.mu", "an empty list"),
        ("model", {"class": "JansenRit", "mu": [0.1, float("nan")]}, "x.mu[1]", "a finite number"),
        ("model", {"class": "JansenRit", "mu": 10**400}, "x.mu", "a finite number"),
        ("model", {"class": "JansenRit", "mu": [[1, 2], [3]]}, "x.mu", "rows of one length"),
        ("model", {"class": "JansenRit", "variables_of_interest": ["y9"]}, "x.variables_of_interest", "one of y0"),
        ("model", {"class": "JansenRit", "variables_of_interest": "y0"}, "x.variables_of_interest", "a list of texts"),
        ("model", {"class": "EpileptorCodim3", "N": 1.5}, "x.N", "a whole number"),
        ("model", {"class": "EpileptorCodim3", "N": 2**63}, "x.N", "64 bits"),
        ("model", {"class": "EpileptorCodim3", "modification": 1}, "x.modification", "true or false"),
        ("coupling", {"class": "PreSigmoidal", "dynamic": "yes"}, "x.dynamic", "true or false"),
        ("integrator", {"class": "EulerDeterministic", "noise": {}}, "x.noise", "such as EulerStochastic"),
        (
            "monitor",
            {"class": "SpatialAverage", "default_mask": "cortical"},
            "x.default_mask",
            "did you mean 'CORTICAL'",
        ),
        ("monitor", {"class": "Bold", "hrf_kernel": {"class": "Gaussian"}}, "x.hrf_kernel.class", "one of DoubleExp"),
        ("monitor", {"class": "Bold", "hrf_kernel": {"class": "DiscreteEquation"}}, "x.hrf_kernel.class", "one of"),
        (
            "monitor",
            {"class": "Bold", "hrf_kernel": {"class": "Gamma", "parameters": {"taw": 1}}},
            "x.hrf_kernel.parameters.taw",
            "did you mean 'tau'",
        ),
        ("monitor", "EEG", "x.sensors", "such as eeg_brainstorm_65.txt"),
        (
            "monitor",
            {"class": "EEG", "sensors": "eeg_brainstorm_66.txt"},
            "x.sensors",
            "did you mean 'eeg_brainstorm_65.txt'",
        ),
        ("monitor", {"class": "EEG", "sensors": {"class": "SensorsMEG"}}, "x.sensors.class", "one of SensorsEEG"),
        ("monitor", {"class": "EEG", "sensors": {"labels": ["a"]}}, "x.sensors.locations", "or read all of SensorsEEG"),
        ("connectivity", 5, "x", "a mapping with a `class`"),
        ("connectivity", "connectivity_77.zip", "x", "did you mean"),
        ("connectivity", {"from_file": 5}, "x.from_file", "the name of a file of tvb-data"),
        ("connectivity", {"from_file": "/etc/passwd"}, "x.from_file", "a file in one of TVB's formats"),
        ("connectivity", {"weights": [[1.0]]}, "x.centres", "or read all of Connectivity"),
        ("connectivity", {"from_file": "connectivity_76.zip", "weights": {"file": "x"}}, "x.weights", "from_file"),
        ("connectivity", {"from_file": "connectivity_76.zip", "idelays": [1]}, "x.idelays", "an unknown name"),
        (
            "local_connectivity",
            {"from_file": "local_connectivity_16384.mat", "matrix": [1]},
            "x.matrix",
            "sparse matrix",
        ),
        ("model", {"class": "JansenRit", "from_file": "a"}, "x.from_file", "an unknown name"),
        (
            "model",
            {"class": "JansenRit", "state_variable_range": {"z": [0, 1]}},
            "x.state_variable_range.z",
            "known: ",
        ),
        (
            "model",
            {"class": "JansenRit", "state_variable_range": {"y0": [1, 0]}},
            "x.state_variable_range.y0",
            "low end",
        ),
        (
            "model",
            {"class": "JansenRit", "state_variable_range": {"y0": 1}},
            "x.state_variable_range.y0",
            "[low, high]",
        ),
        ("model", {"class": "JansenRit", "state_variable_range": [1]}, "x.state_variable_range", "a mapping of state"),
    ],
)
def test_what_does_not_fit_a_class_is_named_with_its_place(role, section, path, words) -> None:
    with pytest.raises(SpecError) as caught:
        complete(role, section, "x")

    assert caught.value.path == path
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_values_outside_the_domain_are_reported_also_in_nested_classes() -> None:
    section = complete("integrator", {"class": "HeunStochastic", "noise": {"class": "Additive", "nsig": -1}}, "x")

    told = list(domain_warnings("integrator", section, "integrator"))

    assert told == ["integrator.noise.nsig: -1 is outside TVB's declared range 0 to 10"]


def test_a_file_of_tvb_data_stands_for_a_datatype() -> None:
    section = complete("monitor", {"class": "EEG", "sensors": "eeg_brainstorm_65.txt"}, "x")

    assert section["sensors"] == {"class": "SensorsEEG", "from_file": "eeg_brainstorm_65.txt"}


def test_what_a_file_says_counts_unless_it_is_given() -> None:
    section = complete("connectivity", {"from_file": "connectivity_76.zip", "areas": [1.0]}, "x")

    assert section == {"class": "Connectivity", "from_file": "connectivity_76.zip", "areas": [1.0]}


def test_ranges_are_completed_and_may_be_open() -> None:
    given = {"class": "ReducedWongWang", "state_variable_boundaries": {"S": [0, float("inf")]}}

    section = complete("model", given, "x")

    assert section["state_variable_boundaries"] == {"S": [0.0, None]}
    assert complete("model", section, "x") == section


def test_every_file_of_a_spec_is_found_with_its_place() -> None:
    spec = {
        "a": {"from_file": "./x.zip"},
        "b": [{"c": {"from_file": "known.zip"}}, {"c": {"from_file": "inputs/y.npy"}}],
    }

    assert [(path, section["from_file"]) for path, section in files_of(spec)] == [
        ("a.from_file", "./x.zip"), ("b[1].c.from_file", "inputs/y.npy"),
    ]  # fmt: skip
