"""A simulation and a sweep: the same text for the same simulation, and no job that TVB cannot start."""

import json
import math
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.random import SeedSequence

from models.components import components
from models.errors import SpecError
from models.spec import SimulationSpec, SweepSpec, simulation, sweep, warnings

BASE: dict[str, Any] = {
    "model": {"class": "JansenRit", "mu": 0.0},
    "coupling": {"class": "SigmoidalJansenRit", "a": 10.0},
    "integrator": {"class": "HeunStochastic", "dt": 0.5, "noise": {"class": "Additive", "nsig": [0.1]}},
    "monitors": [{"class": "TemporalAverage", "period": 1.0}],
    "simulation_length": 20.0,
}

# The first example reads components.json, which may take long on a busy machine.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

numbers = st.floats(allow_nan=False, allow_infinity=False)
few = st.lists(st.integers(0, 9), min_size=1, max_size=4)


@st.composite
def simulations(draw: st.DrawFn) -> dict[str, Any]:
    """Any model, coupling and integrator, with some of the model's numbers changed."""
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


def changed(**changes: Any) -> dict[str, Any]:
    return {**BASE, **changes}


# ------------------------------------------------------------------------------------------------ one simulation


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
def test_what_tvb_cannot_tell_apart_has_one_hash(same) -> None:
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
    assert all("cannot be named" in text or "0 ms; expected at least" in text for text in refused.values())


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
        ({"conduction_speed": 0.0}, "conduction_speed", "greater than 0"),
        ({"integrator": {"class": "HeunStochastic", "dt": 0}}, "integrator.dt", "a positive number of ms"),
        ({"integrator": {"class": "HeunStochastic", "dt": 1e-320}}, "simulation_length", "steps"),
        ({"integrator": None}, "integrator", "a mapping with a `class`"),
        ({"monitors": []}, "monitors", "at least one monitor"),
        ({"monitors": {"class": "Raw"}}, "monitors", "a list of at least one monitor"),
        ({"monitors": [{"class": "TemporalAverage", "period": 0.1}]}, "monitors[0].period", "use a multiple of dt"),
        ({"monitors": ["Raw", {"class": "SubSample", "period": 1e308}]}, "monitors[1].period", "simulate longer"),
        ({"monitors": ["Bold"]}, "monitors[0].period", "2000 ms; expected at most simulation_length, 20 ms"),
        ({"connectivity": "connectivity_77.zip"}, "connectivity", "did you mean 'connectivity_76.zip'"),
        ({"connectivity": {"from": "x"}}, "connectivity", "a path to a TVB zip"),
        ({"seed": -1}, "seed", "from 0 on"),
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


# ------------------------------------------------------------------------------------------------------- a sweep


@given(st.dictionaries(st.sampled_from(["coupling.a", "model.mu", "model.v0", "seed"]), few))
def test_a_grid_has_every_combination_once(axes) -> None:
    spec = sweep(changed(sweep=axes))

    points = list(spec.points())

    assert spec.size == len(points) == math.prod(len(values) for values in axes.values())
    assert [number for number, _, _ in points] == list(range(spec.size))
    assert all(list(parameters) == list(axes) for _, parameters, _ in points)


def test_the_last_axis_varies_fastest_and_ranges_include_both_ends() -> None:
    axes = {"coupling.a": [5.0, 10.0], "model.mu": {"start": 0.0, "stop": 0.2, "num": 3}}

    spec = sweep(changed(sweep=axes))

    points = [tuple(parameters.values()) for _, parameters, _ in spec.points()]
    assert points == [(5.0, 0.0), (5.0, 0.1), (5.0, 0.2), (10.0, 0.0), (10.0, 0.1), (10.0, 0.2)]


def test_points_are_made_one_at_a_time() -> None:
    thousand = {"start": 0, "stop": 1, "num": 1000}
    spec = sweep(changed(sweep={"coupling.a": thousand, "model.mu": thousand}))

    first = next(spec.points())

    assert spec.size == 1_000_000
    assert first[:2] == (0, {"coupling.a": 0.0, "model.mu": 0.0})


def test_a_simulation_without_a_sweep_keeps_its_seed() -> None:
    spec = sweep(changed(seed=7))

    [(number, parameters, seed)] = spec.points()

    assert (number, parameters, seed) == (0, {}, 7)
    assert spec.simulation(parameters, seed) == spec.base


def test_each_point_of_a_sweep_has_a_seed_of_its_own_that_the_spec_decides() -> None:
    spec = sweep(changed(seed=7, sweep={"coupling.a": [1.0] * 100}))

    seeds = [seed for _, _, seed in spec.points()]

    assert len(set(seeds)) == 100
    assert seeds == [int(SeedSequence([7, number]).generate_state(1)[0]) for number in range(100)]
    assert spec.simulation({"coupling.a": 1.0}, seeds[3]).seed == seeds[3]


@pytest.mark.parametrize("name", ["seed", "integrator.noise.noise_seed"])
def test_a_swept_seed_is_the_seed(name) -> None:
    spec = sweep(changed(sweep={name: [1, 2], "coupling.a": [5.0, 6.0]}))

    assert [seed for _, _, seed in spec.points()] == [1, 1, 2, 2]
    assert [parameters["seed"] for _, parameters, _ in spec.points()] == [1, 1, 2, 2]


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=5))
def test_every_point_gives_a_complete_simulation(values) -> None:
    spec = sweep(changed(sweep={"model.mu": values}))

    made = [spec.simulation(parameters, seed) for _, parameters, seed in spec.points()]

    assert [item.model["mu"] for item in made] == [[value] for value in values]


def test_a_sweep_comes_back_from_its_own_json() -> None:
    spec = sweep(changed(name="n", sweep={"coupling.a": [5, 6]}))

    again = SweepSpec.model_validate_json(spec.model_dump_json())

    assert again == spec


@pytest.mark.parametrize(
    ("axes", "path", "words"),
    [
        ({"coupling.aa": [1]}, "sweep.coupling.aa", "did you mean 'a'"),
        ({"cupling.a": [1]}, "sweep.cupling.a", "did you mean 'coupling'"),
        ({"coupling.a": ["x"]}, "sweep.coupling.a[0]", "'x'; expected a number"),
        ({"coupling.a": [1.0, math.nan]}, "sweep.coupling.a[1]", "a finite number"),
        ({"integrator.noise.nsig": [[1.0, 2.0]]}, "sweep.integrator.noise.nsig[0]", "6 state variables"),
        ({"connectivity": ["connectivity_76.zip", "./a.zip"]}, "sweep.connectivity.from_file[1]", "not possible yet"),
        ({"integrator.dt": [0.1, 2.0]}, "sweep.integrator.dt[1]", "monitors[0].period = 1 ms"),
        ({"integrator.dt": [0.1, 1.0], "monitors[0].period": [0.5, 2.0]}, "sweep", "at least integrator.dt, 1 ms"),
        ({"simulation_length": [2.0, 9.0], "monitors[0].period": [1.0, 8.0]}, "sweep", "simulation_length, 2 ms"),
    ],
)
def test_a_sweep_with_a_point_that_cannot_run_is_refused(axes, path, words) -> None:
    with pytest.raises(SpecError) as caught:
        sweep(changed(sweep=axes))

    assert caught.value.path == path
    assert words in str(caught.value)


def test_times_that_fit_each_other_may_be_swept_together() -> None:
    axes = {"integrator.dt": [0.1, 0.5], "monitors[0].period": [0.5, 2.0], "simulation_length": [2.0, 9.0]}

    spec = sweep(changed(sweep=axes))

    assert all(spec.simulation(parameters, seed) for _, parameters, seed in spec.points())


# ------------------------------------------------------------------------------------------- the content of a file


@pytest.mark.parametrize("name", ["model", "integrator", "monitors", "simulation_length"])
def test_a_missing_part_is_named(name) -> None:
    values = {key: value for key, value in BASE.items() if key != name}

    with pytest.raises(SpecError, match=f"no `{name}`"):
        sweep(values)


@pytest.mark.parametrize("name", ["", "../x", "a/b", " a", "a\n", 5, "x" * 201])
def test_a_name_must_fit_a_file_name(name) -> None:
    with pytest.raises(SpecError) as caught:
        sweep(changed(name=name))

    assert caught.value.path == "name"


def test_an_unknown_key_is_told_with_the_nearest_known() -> None:
    with pytest.raises(SpecError, match="did you mean 'simulation_length'"):
        sweep(changed(simulation_lenght=1.0))


def test_an_empty_sweep_is_one_simulation() -> None:
    assert sweep(changed(sweep=None)).size == sweep(changed(sweep={})).size == 1


# ------------------------------------------------------------------------------------------------------- warnings


def test_an_ordinary_simulation_gives_no_warning() -> None:
    assert warnings(simulation(BASE)) == []


def test_values_outside_the_domain_and_rounded_periods_are_warnings() -> None:
    monitors = [{"class": "TemporalAverage", "period": 1.3}]

    told = warnings(simulation(changed(model={"class": "JansenRit", "A": 1e9}, monitors=monitors)))

    assert told == [
        "model.A: 1e+09 is outside TVB's declared range 2.6 to 9.75",
        "monitors[0].period: 1.3 ms is no multiple of dt; TVB samples every 1.5 ms",
    ]


def test_a_sweep_warns_of_its_own_values_once() -> None:
    told = warnings(sweep(changed(sweep={"model.A": [3.0, 99.0], "coupling.a": [5.0, 6.0]})))

    assert told == ["model.A: 99 is outside TVB's declared range 2.6 to 9.75"]


def test_a_spec_is_checked_without_importing_tvb() -> None:
    program = """if True:
        import sys, models.spec, submit.spec_file
        models.spec.warnings(models.spec.sweep(eval(sys.argv[1])))
        print([name for name in sys.modules if name.split(".")[0] in ("tvb", "h5py", "scipy")])
    """
    values = changed(sweep={"coupling.a": [1.0]})

    done = subprocess.run([sys.executable, "-c", program, repr(values)], capture_output=True, text=True)

    assert (done.stdout.strip(), done.stderr) == ("[]", "")
