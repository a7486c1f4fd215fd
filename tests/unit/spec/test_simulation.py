"""A simulation: equal simulations have equal texts, and those that TVB cannot start are refused."""

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from specs import BASE, changed

from tvb_batch.models.errors import SpecError
from tvb_batch.models.spec.simulation import SimulationSpec, simulation, spec_warnings
from tvb_batch.models.tvb.components import components

# The first example reads components.json, which may take long on a busy machine.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

numbers = st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def simulations(draw: st.DrawFn) -> dict[str, Any]:
    """Generate a model, coupling and integrator with some changed numbers of the model."""
    name = draw(st.sampled_from(sorted(components("model"))))
    attributes = components("model")[name].attributes.items()
    scalars = [key for key, item in attributes if (item.type, item.dtype) == ("array", "f") and len(item.default) == 1]
    changed = draw(st.dictionaries(st.sampled_from(scalars), numbers)) if scalars else {}
    return {
        "model": {"class": name, **changed},
        "coupling": draw(st.sampled_from(sorted(components("coupling")))),
        "integrator": {"class": draw(st.sampled_from(sorted(components("integrator")))), "dt": 0.1},
        "monitors": draw(
            st.lists(st.sampled_from(["Raw", "TemporalAverage", "GlobalAverage"]), min_size=1, max_size=3)
        ),
        "simulation_length": draw(st.floats(1.0, 1e6)),
        "seed": draw(st.integers(0, 2**32 - 1)),
    }


# ------------------------------------------------------------------------------------------------ one simulation


@pytest.mark.slow
@given(simulations())
def test_the_canonical_text_makes_the_same_simulation_again(values) -> None:
    spec = simulation(values)

    again = SimulationSpec.model_validate_json(spec.canonical_json())

    assert again == spec
    assert again.canonical_json() == spec.canonical_json()
    assert again.parameters_hash() == spec.parameters_hash()


@given(numbers)
def test_a_number_survives_to_the_last_bit(value) -> None:
    spec = simulation(BASE).with_parameters({"model.mu": value})

    again = SimulationSpec.model_validate_json(spec.canonical_json())

    assert math.copysign(1, again.model["mu"][0]) == math.copysign(1, value)
    assert again.model["mu"] == [value]


def test_the_canonical_text_is_sorted_compact_and_complete() -> None:
    text = simulation(BASE).canonical_json()

    assert text == json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"))
    assert json.loads(text)["model"]["A"] == [3.25]


@pytest.mark.parametrize(
    "same",
    [
        {"model": {"mu": 0, "class": "JansenRit", "A": 3.25}},
        {"model": {"class": "JansenRit", "mu": [0.0]}},
        {"conduction_speed": 3},
        {"connectivity": "connectivity_76.zip"},
        {"connectivity": {"from_file": "connectivity_76.zip"}},
        {"seed": 42},
        {"monitors": [{"class": "TemporalAverage", "period": 1}]},
        {"integrator": {**BASE["integrator"], "noise": {"nsig": 0.1, "noise_seed": 42, "class": "Additive"}}},
        {"subject": "S1", "title": "another title", "user_tags": ["a"]},
    ],
)
def test_simulations_that_are_equal_for_tvb_have_one_hash(same) -> None:
    assert simulation(changed(**same)).parameters_hash() == simulation(BASE).parameters_hash()


@pytest.mark.parametrize(
    "other",
    [
        {"model": {"class": "JansenRit", "mu": 1e-300}},
        {"model": "ZetterbergJansen"},
        {"conduction_speed": 4.0},
        {"connectivity": "connectivity_66.zip"},
        {"seed": 43},
        {"simulation_length": 20.5},
        {"monitors": [*BASE["monitors"], {"class": "Raw"}]},
    ],
)
def test_what_changes_the_data_changes_the_hash(other) -> None:
    assert simulation(changed(**other)).parameters_hash() != simulation(BASE).parameters_hash()


@pytest.mark.parametrize("role", ["model", "coupling", "integrator", "noise", "monitor"])
def test_every_class_is_accepted_by_its_name_alone_or_refused_with_the_reason(role) -> None:
    refused = {}
    for name in components(role):
        integrator = {"class": "EulerStochastic", "dt": 0.1, "noise": {"class": name}}
        changes = {"noise": {"integrator": integrator}, "monitor": {"monitors": [name], "simulation_length": 3000.0}}
        try:
            simulation(changed(**{"coupling": "Linear", **changes.get(role, {role: name})}))
        except SpecError as exc:
            refused[name] = str(exc)

    # The integrators' own dt, and one monitor's period of 0, are as TVB declares them.
    assert set(refused) <= {"EEG", "MEG", "iEEG", "AfferentCouplingTemporalAverage"}
    assert all("monitors[0].sensors: nothing" in text or "0 ms; expected at least" in text for text in refused.values())


def test_the_seed_has_one_place() -> None:
    noise = {"class": "Additive", "noise_seed": 7}

    spec = simulation(changed(integrator={**BASE["integrator"], "noise": noise}))

    assert spec.seed == 7
    assert "noise_seed" not in spec.integrator["noise"]


def test_two_different_seeds_are_refused() -> None:
    integrator = {**BASE["integrator"], "noise": {"class": "Additive", "noise_seed": 7}}

    with pytest.raises(SpecError, match="leave one out"):
        simulation(changed(integrator=integrator, seed=8))


def test_parameters_are_the_scalars_by_dotted_name() -> None:
    parameters = simulation(changed(model={"class": "JansenRit", "mu": [0.1] * 76}, title="t")).parameters()

    assert parameters["model.class"] == "JansenRit"
    assert parameters["coupling.a"] == 10.0
    assert parameters["integrator.noise.nsig"] == 0.1
    assert parameters["monitors[0].period"] == 1.0
    assert parameters["connectivity.from_file"] == "connectivity_76.zip"
    assert parameters["title"] == "t"
    assert "model.mu" not in parameters
    assert all(isinstance(value, str | int | float) for value in parameters.values())


def test_other_values_give_another_simulation_and_leave_the_first() -> None:
    spec = simulation(BASE)
    before = spec.canonical_json()

    other = spec.with_parameters({"coupling.a": 5, "monitors[0].period": 2.0, "integrator.noise.nsig": [0.0] * 6})

    assert (other.coupling["a"], other.monitors[0]["period"]) == ([5.0], 2.0)
    assert other.integrator["noise"]["nsig"] == [0.0] * 6
    assert spec.canonical_json() == before


@pytest.mark.slow
@given(st.data())
def test_plain_numbers_give_what_a_whole_check_gives(data) -> None:
    spec = simulation(data.draw(simulations()))
    names = [f"{role}.{key}" for role in ("model", "coupling") for key in getattr(spec, role)]
    names = ["seed", "conduction_speed", *filter(spec.plain, names)]
    any_number = st.floats() | st.integers(-9, 2**32) | st.booleans()
    values = data.draw(st.dictionaries(st.sampled_from(names), numbers | any_number, min_size=1, max_size=3))

    made, expected = told(spec.with_parameters, values), told(spec._with_any, values)

    assert made == expected
    if isinstance(made, SimulationSpec):
        assert made.canonical() == expected.canonical()
        assert list(made.parameters().items()) == list(expected.parameters().items())
        assert made.canonical_json() == expected.canonical_json()
        assert made.parameters_hash() == expected.parameters_hash()
        assert made.model_fields_set == expected.model_fields_set
        assert all(getattr(made, name) is not getattr(spec, name) for name in ("model", "integrator", "connectivity"))


def told(make: Any, values: Any) -> SimulationSpec | str:
    try:
        return make(values)
    except SpecError as exc:
        return str(exc)


@pytest.mark.parametrize(
    ("changes", "path", "words"),
    [
        ({"simulation_length": -1.0}, "simulation_length", "-1.0; expected a number greater than 0"),
        ({"simulation_length": 0}, "simulation_length", "greater than 0"),
        ({"simulation_length": 0.1}, "simulation_length", "at least integrator.dt, 0.5 ms"),
        ({"simulation_length": "20"}, "simulation_length", "a number"),
        ({"simulation_length": True}, "simulation_length", "a number"),
        ({"simulation_length": math.nan}, "simulation_length", "a finite number"),
        ({"simulation_length": math.inf}, "simulation_length", "a finite number"),
        ({"simulation_length": 1e308}, "simulation_length", "steps"),
        ({"conduction_speed": 0.0}, "conduction_speed", "a positive number of mm/ms"),
        ({"integrator": {"class": "HeunStochastic", "dt": 0}}, "integrator.dt", "a positive number of ms"),
        ({"integrator": {"class": "HeunStochastic", "dt": 1e-320}}, "simulation_length", "steps"),
        ({"integrator": None}, "integrator", "a mapping with a `class`"),
        ({"monitors": []}, "monitors", "at least one monitor"),
        ({"monitors": {"class": "Raw"}}, "monitors", "a list of at least one monitor"),
        ({"monitors": [{"class": "TemporalAverage", "period": 0.1}]}, "monitors[0].period", "use a multiple of dt"),
        ({"monitors": ["Raw", {"class": "SubSample", "period": 1e308}]}, "monitors[1].period", "simulate longer"),
        ({"monitors": ["Bold"]}, "monitors[0].period", "2000 ms; expected at most simulation_length, 20 ms"),
        ({"connectivity": "connectivity_77.zip"}, "connectivity", "did you mean 'connectivity_76.zip'"),
        ({"connectivity": {"from": "x"}}, "connectivity.from", "a parameter of Connectivity"),
        ({"seed": -1}, "seed", "of at least 0"),
        ({"seed": 2**32}, "seed", "below 4294967296"),
        ({"seed": 1.5}, "seed", "a whole number"),
        ({"subject": "a\0b"}, "subject", "without control characters"),
        ({"title": "two\nlines"}, "title", "without control characters"),
        ({"title": "\ud800"}, "title", "UTF-8"),
        ({"user_tags": ["a"] * 6}, "user_tags", "at most 5"),
        ({"user_tags": "abc"}, "user_tags", "a list"),
        ({"user_tags": ["a", 5]}, "user_tags[1]", "a text"),
    ],
)
def test_a_simulation_that_cannot_run_is_refused_in_one_line(changes, path, words) -> None:
    with pytest.raises(SpecError) as caught:
        simulation(changed(**changes))

    assert caught.value.path == path
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"simulation_length": 0.5, "monitors": ["Raw"]},
        {"simulation_length": 1.0},
        {"monitors": ["Raw"]},
        {"integrator": "EulerDeterministic", "monitors": [{"class": "GlobalAverage", "period": 1.0}]},
        {"connectivity": "./there_is_no_such_file_yet.zip"},
        {"simulation_length": 2000.0, "monitors": ["Bold"]},
    ],
)
def test_the_least_that_can_run_is_accepted(changes) -> None:
    assert simulation(changed(**changes))


# ------------------------------------------------------------------------------------------------------- warnings


def test_an_ordinary_simulation_gives_no_warning() -> None:
    assert spec_warnings(simulation(BASE)) == []


def test_values_outside_the_domain_and_rounded_periods_are_warnings() -> None:
    monitors = [{"class": "TemporalAverage", "period": 1.3}]

    told = spec_warnings(simulation(changed(model={"class": "JansenRit", "A": 1e9}, monitors=monitors)))

    assert told == [
        "model.A: 1e+09 is outside TVB's declared range 2.6 to 9.75",
        "monitors[0].period: 1.3 ms is not a multiple of dt; TVB samples every 1.5 ms",
    ]


@pytest.mark.parametrize("speed", ["inf", float("inf")])
def test_an_infinite_speed_has_one_text(speed: Any) -> None:
    spec = SimulationSpec.model_validate({**BASE, "conduction_speed": speed})

    assert spec.conduction_speed == "inf"
    assert SimulationSpec.model_validate(json.loads(spec.canonical_json())) == spec


@pytest.mark.parametrize("speed", [0.0, -1.0, float("nan"), float("-inf"), True, "fast", None, [3.0, 4.0]])
def test_a_speed_is_a_positive_number(speed: Any) -> None:
    with pytest.raises(SpecError, match=r"conduction_speed: .*; expected a positive number of mm/ms, or inf"):
        simulation({**BASE, "conduction_speed": speed})
