"""A sweep: its simulations and seeds; jobs that TVB cannot start are refused."""

import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from specs import BASE, changed

from tvb_batch.models.errors import SpecError
from tvb_batch.models.spec.sweep import Point, SweepSpec, sweep

few = st.lists(st.integers(0, 9), min_size=1, max_size=4)


@given(st.dictionaries(st.sampled_from(["coupling.a", "model.mu", "model.v0", "seed"]), few))
def test_a_grid_has_every_combination_once(axes) -> None:
    spec = sweep(changed(sweep=axes))

    points = list(spec.points())

    assert spec.size == len(points) == math.prod(len(values) for values in axes.values())
    assert [point.number for point in points] == list(range(spec.size))
    assert all(list(point.parameters) == list(axes) for point in points)


def test_the_last_axis_varies_fastest_and_ranges_include_both_ends() -> None:
    axes = {"coupling.a": [5.0, 10.0], "model.mu": {"start": 0.0, "stop": 0.2, "num": 3}}

    spec = sweep(changed(sweep=axes))

    points = [tuple(point.parameters.values()) for point in spec.points()]
    assert points == [(5.0, 0.0), (5.0, 0.1), (5.0, 0.2), (10.0, 0.0), (10.0, 0.1), (10.0, 0.2)]


@pytest.mark.slow
def test_points_are_made_one_at_a_time() -> None:
    thousand = {"start": 0, "stop": 1, "num": 1000}
    spec = sweep(changed(sweep={"coupling.a": thousand, "model.mu": thousand}))

    first = next(spec.points())

    assert spec.size == 1_000_000
    assert (first.number, first.parameters) == (0, {"coupling.a": 0.0, "model.mu": 0.0})


def test_a_simulation_without_a_sweep_keeps_its_seed() -> None:
    spec = sweep(changed(seed=7))

    [point] = spec.points()

    assert point == Point(number=0, parameters={}, repeat=0, seed=7)
    assert spec.simulation(point) == spec.base


def test_a_points_seed_depends_on_the_point_and_on_nothing_else() -> None:
    few = sweep(changed(seed=7, sweep={"coupling.a": [1.0, 2.0]}))
    more = sweep(changed(seed=7, sweep={"coupling.a": [3.0, 2.0, 1.0, 0.5]}))
    other = sweep(changed(seed=8, sweep={"coupling.a": [1.0, 2.0]}))

    seeds = {point.parameters["coupling.a"]: point.seed for point in few.points()}

    again = {point.parameters["coupling.a"]: point.seed for point in more.points()}
    assert len(set(again.values())) == 4
    assert seeds == {value: again[value] for value in (1.0, 2.0)}
    assert not set(seeds.values()) & {point.seed for point in other.points()}


def test_repeats_have_seeds_of_their_own_and_come_together() -> None:
    spec = sweep(changed(sweep={"coupling.a": [1.0, 2.0], "repeats": 3}))

    points = list(spec.points())

    assert [(point.parameters["coupling.a"], point.repeat) for point in points] == [
        (1.0, 0), (1.0, 1), (1.0, 2), (2.0, 0), (2.0, 1), (2.0, 2),
    ]  # fmt: skip
    assert len({point.seed for point in points}) == 6
    assert spec.indexed(points[1]) == {"coupling.a": 1.0, "repeat": 1}


def test_common_random_numbers_are_one_seed_for_all_points() -> None:
    once = sweep(changed(seed=7, sweep={"coupling.a": [1.0, 2.0], "common_random_numbers": True}))
    twice = sweep(changed(seed=7, sweep={"coupling.a": [1.0, 2.0], "common_random_numbers": True, "repeats": 2}))

    assert [point.seed for point in once.points()] == [7, 7]
    first, second, *others = [point.seed for point in twice.points()]
    assert others == [first, second]
    assert first != second


def test_repeats_alone_are_a_sweep() -> None:
    assert len({point.seed for point in sweep(changed(sweep={"repeats": 5})).points()}) == 5


PLANS = [
    {"coupling.a": [1, 2.5], "model.mu": [0.1]},
    {"coupling.a": [1], "seed": [3, 4]},
    {"list": [{"coupling.a": 1.0}, {"model.mu": 2.0}]},
    {"list": [{"coupling.a": 1.0, "model.mu": 1.0}, {"model.mu": 2.0, "coupling.a": 2.0}]},
    {"zip": {"model.v0": [1.0, 2.0], "model.A": [3.0, 4.0]}, "repeats": 2},
    {"sobol": {"model.v0": [1.0, 2.0], "model.A": [3.0, 4.0]}, "samples": 5},
    {"model": [{"class": "Generic2dOscillator", "a": 1.0}, "JansenRit"]},
    {"model.class": ["Generic2dOscillator", "JansenRit"]},
    {"coupling.class": ["Linear"], "coupling.b": [1.0, 2.0]},
    {"connectivity": ["connectivity_66.zip", {"from_file": "connectivity_96.zip"}]},
    {"monitors": [["Raw"], ["TemporalAverage", {"class": "GlobalAverage", "period": 2.0}]]},
    {"monitors[0]": ["Raw", "GlobalAverage"]},
    {"integrator": ["EulerDeterministic", {"class": "HeunStochastic", "dt": 0.25}]},
    {"stimulus": [None, {"class": "StimuliRegion", "weight": [1.0] * 76, "temporal": "Linear"}]},
    {"model.mu": [[0.1] * 76, [0.2] * 76]},
    {"integrator.noise.nsig": [[0.0] * 6, [1.0]]},
    {"integrator.dt": [0.5, 0.25], "monitors[0].period": [1.0, 2.0]},
]


@pytest.mark.parametrize("plan", PLANS, ids=str)
def test_every_way_to_sweep_gives_complete_simulations_that_differ(plan) -> None:
    spec = sweep(changed(sweep=plan))

    made = [spec.simulation(point) for point in spec.points()]

    assert len(made) == spec.size > 1 or spec.size == 2
    assert len({item.parameters_hash() for item in made}) == len(made)
    assert [spec.parameters_hash(point) for point in spec.points()] == [item.parameters_hash() for item in made]
    assert SweepSpec.model_validate_json(spec.model_dump_json()) == spec


@pytest.mark.parametrize("plan", PLANS, ids=str)
def test_shared_and_own_parameters_are_all_there_are(plan) -> None:
    spec = sweep(changed(sweep=plan))

    for point in spec.points():
        made = spec.simulation(point).parameters()
        own = {name: value for name, value in spec.indexed(point).items() if name != "repeat"}
        found = {**spec.shared(), **own, "seed": point.seed}
        assert {name: np.ravel(found.get(name)).tolist() for name in made} == {
            name: np.ravel(value).tolist() for name, value in made.items()
        }


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=5), st.lists(st.integers(-5, 5), min_size=1, max_size=3))
def test_the_quick_hash_of_a_point_is_that_of_its_simulation(mus, slopes) -> None:
    spec = sweep(changed(sweep={"model.mu": mus, "coupling.a": slopes}))

    assert [spec.parameters_hash(p) for p in spec.points()] == [
        spec.simulation(p).parameters_hash() for p in spec.points()
    ]


def test_a_swept_class_may_bring_parameters_of_its_own() -> None:
    spec = sweep(changed(sweep={"coupling.class": ["Linear", "Scaling"], "coupling.a": [1.0, 2.0]}))

    made = [spec.simulation(point).coupling for point in spec.points()]

    assert [(section["class"], section["a"]) for section in made] == [
        ("Linear", [1.0]), ("Linear", [2.0]), ("Scaling", [1.0]), ("Scaling", [2.0]),
    ]  # fmt: skip


def test_files_of_swept_values_are_moved_too() -> None:
    spec = sweep(changed(sweep={"connectivity": ["./a.zip", "connectivity_76.zip"]}))

    moved = spec.with_files(lambda path, file: f"inputs/{path}{file[2:]}")

    assert [value["from_file"] for value in moved.plan["grid"]["connectivity"]] == [
        "inputs/sweep.grid.connectivity[0].from_filea.zip", "connectivity_76.zip",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["seed", "integrator.noise.noise_seed"])
def test_a_swept_seed_is_the_seed(name) -> None:
    spec = sweep(changed(sweep={name: [1, 2], "coupling.a": [5.0, 6.0]}))

    assert [point.seed for point in spec.points()] == [1, 1, 2, 2]
    assert [point.parameters["seed"] for point in spec.points()] == [1, 1, 2, 2]


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=5))
def test_every_point_gives_a_complete_simulation(values) -> None:
    spec = sweep(changed(sweep={"model.mu": values}))

    made = [spec.simulation(point) for point in spec.points()]

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
        ({"connectivity": ["connectivity_77.zip"]}, "sweep.connectivity[0]", "did you mean"),
        ({"model.class": ["JansenRit", "Jansen"]}, "sweep.model.class[1]", "did you mean 'JansenRit'"),
        ({"model": [{"class": "JansenRit", "z": 1}]}, "sweep.model[0].z", "a parameter of JansenRit"),
        ({"monitors": ["Raw"]}, "sweep.monitors[0]", "a list of at least one monitor"),
        ({"coupling.a": [1.0], "where": "coupling.a > 5"}, "sweep.where", "a condition that at least one point meets"),
        ({"coupling.a": [1.0], "where": "model.class > 5"}, "sweep.where", "not supported"),
        ({"integrator.dt": [0.1, 2.0]}, "sweep.integrator.dt[1]", "monitors[0].period = 1 ms"),
        (
            {"integrator.dt": [0.1, 1.0], "monitors[0].period": [0.5, 2.0]},
            "sweep.monitors[0].period[0]",
            "at least integrator.dt, 1 ms",
        ),
        (
            {"simulation_length": [2.0, 9.0], "monitors[0].period": [1.0, 8.0]},
            "sweep.monitors[0].period[1]",
            "simulation_length, 2 ms",
        ),
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

    assert all(spec.simulation(point) for point in spec.points())


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


def test_an_unknown_key_is_reported_with_the_nearest_known() -> None:
    with pytest.raises(SpecError, match="did you mean 'simulation_length'"):
        sweep(changed(simulation_lenght=1.0))


def test_an_empty_sweep_is_one_simulation() -> None:
    assert sweep(changed(sweep=None)).size == sweep(changed(sweep={})).size == 1


def test_a_sweep_warns_of_its_own_values_once() -> None:
    told = sweep(changed(sweep={"model.A": [3.0, 99.0], "coupling.a": [5.0, 6.0]})).warnings()

    assert told == ["model.A: 99 is outside TVB's declared range 2.6 to 9.75"]


@pytest.mark.slow
def test_a_spec_is_checked_without_importing_tvb() -> None:
    program = """if True:
        import sys, tvb_batch.models.spec.sweep, tvb_batch.submit.intake.spec_file
        tvb_batch.models.spec.sweep.sweep(eval(sys.argv[1])).warnings()
        print([name for name in sys.modules if name.split(".")[0] in ("tvb", "h5py", "scipy")])
    """
    values = changed(sweep={"coupling.a": [1.0]})

    done = subprocess.run([sys.executable, "-c", program, repr(values)], capture_output=True, text=True)

    assert (done.stdout.strip(), done.stderr) == ("[]", "")
