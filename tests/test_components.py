"""TVB's classes as data: complete, not stale, and strict about what a spec says of them."""

import json
import logging
import sys
from pathlib import Path

import pytest

from models.components import ROLES, complete, components, connectivities, did_you_mean, domain_warnings
from models.errors import SpecError

sys.path.insert(0, str(Path(__file__).parent.parent / "scripts"))

import make_components


@pytest.fixture
def quiet_tvb():
    """TVB's readers warn of optional files that tvb-data's connectivities lack."""
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


def test_components_json_is_what_the_installed_tvb_library_declares(quiet_tvb) -> None:
    written = json.loads(make_components.TARGET.read_text(encoding="utf-8"))

    declared = json.loads(json.dumps(make_components.components()))

    assert declared == written, "stale: run python scripts/make_components.py"


def test_check_tells_a_stale_file_by_its_exit_code(quiet_tvb, tmp_path, monkeypatch, capsys) -> None:
    stale = tmp_path / "components.json"
    stale.write_text("{}", encoding="utf-8")
    monkeypatch.setattr(make_components, "TARGET", stale)
    monkeypatch.setattr(sys, "argv", ["make_components.py", "--check"])

    code = make_components.main()

    assert code == 1
    assert "run python scripts/make_components.py" in capsys.readouterr().err
    assert stale.read_text(encoding="utf-8") == "{}"


def test_every_class_of_tvb_is_there_and_no_base() -> None:
    counts = {role: len(components(role)) for role in ROLES}
    names = {name for role in ROLES for name in components(role)}

    assert counts == {"model": 28, "coupling": 8, "integrator": 13, "noise": 2, "monitor": 12, "equation": 17}
    assert not names & {"Model", "Coupling", "SparseCoupling", "Projection", "RawVoi", "Noise", "Equation"}
    assert connectivities()["connectivity_76.zip"] == 76


def test_a_parameter_carries_tvbs_own_words() -> None:
    attribute = components("model")["JansenRit"].attributes["A"]

    assert (attribute.default, attribute.domain) == ([3.25], (2.6, 9.75))
    assert "amplitude" in attribute.doc


def test_no_class_evaluates_text_of_the_spec() -> None:
    attributes = [
        attribute for role in ROLES for item in components(role).values() for attribute in item.attributes.values()
    ]

    assert {attribute.name for attribute in attributes if attribute.type == "str"} == {"reference"}


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
        ("model", {"class": "os.system"}, "x.class", "the name of a TVB model"),
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
        ("monitor", {"class": "Bold", "hrf_kernel": {"class": "DiscreteEquation"}}, "x.hrf_kernel.class", "equation"),
        (
            "monitor",
            {"class": "Bold", "hrf_kernel": {"class": "Gamma", "parameters": {"taw": 1}}},
            "x.hrf_kernel.parameters.taw",
            "did you mean 'tau'",
        ),
        ("monitor", "EEG", "x", "which needs projection"),
    ],
)
def test_what_does_not_fit_a_class_is_named_with_its_place(role, section, path, words) -> None:
    with pytest.raises(SpecError) as caught:
        complete(role, section, "x")

    assert caught.value.path == path
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_nearest_name_is_meant() -> None:
    assert did_you_mean("jansenrit", components("model")) == "did you mean 'JansenRit'?"
    assert did_you_mean("q", ["x", "y"]) == "known are x, y"
    assert did_you_mean("q", []) == ""


def test_values_outside_the_declared_domain_are_told_also_of_nested_classes() -> None:
    section = complete("integrator", {"class": "HeunStochastic", "noise": {"class": "Additive", "nsig": -1}}, "x")

    told = list(domain_warnings("integrator", section, "integrator"))

    assert told == ["integrator.noise.nsig: -1 is outside TVB's declared range 0 to 10"]
