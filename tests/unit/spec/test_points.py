"""The plan of a sweep: one name for each parameter, clear forms, and the resulting points."""

import math
from typing import Any

import pytest

from tvb_batch.models.errors import SpecError
from tvb_batch.models.spec.parameter_names import set_value
from tvb_batch.models.spec.points import MOST_JOBS, normalize, points

BASE: dict[str, Any] = {
    "connectivity": {"from_file": "connectivity_76.zip"},
    "coupling": {"class": "Linear", "a": [1.0], "b": [0.0]},
    "integrator": {"class": "HeunStochastic", "dt": 0.5, "noise": {"class": "Additive", "nsig": [0.0, 0.0, 0.1]}},
    "monitors": [{"class": "Raw", "period": 0.0}, {"class": "TemporalAverage", "period": 1.0}],
    "seed": 42,
}


def expand(axes: Any, base: dict[str, Any]) -> Any:
    return normalize(axes, base)["grid"]


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("coupling.a", "coupling.a"),
        ("coupling.a[0]", "coupling.a"),
        ("integrator.noise.nsig[2]", "integrator.noise.nsig[2]"),
        ("integrator.noise.nsig", "integrator.noise.nsig"),
        ("monitors[1].period", "monitors[1].period"),
        ("monitors[01].period", "monitors[1].period"),
        ("monitors.1.period", "monitors[1].period"),
        ("integrator.noise.noise_seed", "seed"),
        ("connectivity.from_file", "connectivity"),
        ("coupling", "coupling"),
        ("coupling.class", "coupling.class"),
        ("monitors[0]", "monitors[0]"),
    ],
)
def test_each_parameter_has_one_name(given, name) -> None:
    assert expand({given: [1]}, BASE) == {name: [1]}


def test_a_range_is_evenly_spaced_with_both_ends() -> None:
    ranges = {"coupling.a": {"start": 1, "stop": 0, "num": 5}, "coupling.b": {"start": 2, "stop": 9, "num": 1}}

    expanded = expand(ranges, BASE)

    assert expanded == {"coupling.a": [1.0, 0.75, 0.5, 0.25, 0.0], "coupling.b": [2.0]}


def test_order_and_repeated_values_stay_as_given() -> None:
    expanded = expand({"coupling.b": [3, 1, 1], "coupling.a": [2]}, BASE)

    assert list(expanded.items()) == [("coupling.b", [3, 1, 1]), ("coupling.a", [2])]


@pytest.mark.parametrize(
    ("axes", "path", "words"),
    [
        ([1], "sweep", "a mapping of parameters"),
        (0, "sweep", "a mapping of parameters"),
        ({"coupling.a": []}, "sweep.coupling.a", "an empty list"),
        ({"coupling.a": 5}, "sweep.coupling.a", "a list of values, or {start, stop, num}"),
        ({"coupling.a": "12"}, "sweep.coupling.a", "a list of values"),
        ({"coupling.a": {"start": 0, "stop": 1, "step": 0.1}}, "sweep.coupling.a", "start, stop and num"),
        ({"coupling": {"a": [1, 2]}}, "sweep.coupling", 'as one text, such as "coupling.a"'),
        ({"coupling.a": {"start": 0, "stop": 1, "num": 0}}, "sweep.coupling.a.num", "of at least 1"),
        ({"coupling.a": {"start": 0, "stop": 1, "num": 2.5}}, "sweep.coupling.a.num", "of at least 1"),
        ({"coupling.a": {"start": 0, "stop": 1, "num": True}}, "sweep.coupling.a.num", "of at least 1"),
        ({"coupling.a": {"start": "0", "stop": 1, "num": 2}}, "sweep.coupling.a.start", "a number"),
        ({"coupling.a": {"start": 0, "stop": math.inf, "num": 2}}, "sweep.coupling.a.stop", "a finite number"),
        ({"coupling.a": {"start": 10**400, "stop": 1, "num": 2}}, "sweep.coupling.a.start", "a finite number"),
        ({"coupling.a": {"start": -1e308, "stop": 1e308, "num": 2}}, "sweep.coupling.a", "a range that a float"),
        ({"grid": [1]}, "sweep.grid", "a mapping of parameters"),
        ({"zip": {"coupling.a": [1, 2], "coupling.b": [1]}}, "sweep.zip", "2 for coupling.a, 1 for coupling.b"),
        ({"zip": {"coupling.a": 1}}, "sweep.zip.coupling.a", "a list of values"),
        ({"list": {"coupling.a": 1}}, "sweep.list", "a list of points"),
        ({"list": [{}]}, "sweep.list", "a list of points"),
        ({"list": [{"coupling.a": 1}, {"coupling.z": 1}]}, "sweep.list[1].coupling.z", "known: a, b"),
        ({"sobol": {"coupling.a": [0, 1]}}, "sweep.samples", "of at least 1"),
        ({"lhs": {"coupling.a": [1, 0]}, "samples": 3}, "sweep.lhs.coupling.a", "a low end below the high end"),
        ({"random": {"coupling.a": 3}, "samples": 3}, "sweep.random.coupling.a", "[low, high]"),
        ({"coupling.a": [1], "samples": 3}, "sweep.samples", "together with random, sobol or lhs"),
        ({"coupling.a": [1], "repeats": 0}, "sweep.repeats", "of at least 1"),
        ({"coupling.a": [1], "where": "coupling.z > 1"}, "sweep.where", "did you mean"),
        ({"coupling.a": [1], "where": "open('x')"}, "sweep.where", "cannot be used"),
        ({"coupling.a": [1], "where": 3}, "sweep.where", "expected a text"),
        ({"coupling.a": [1], "common_random_numbers": 1}, "sweep.common_random_numbers", "true or false"),
        ({"grid": {"coupling.a": [1]}, "zip": {"coupling.a": [2]}}, "sweep.zip.coupling.a", "swept already"),
        ({"coupling.z": [1]}, "sweep.coupling.z", "known: a, b"),
        ({"coupling.a[1]": [1]}, "sweep.coupling.a[1]", "one of [0] to [0]"),
        ({"monitors[2].period": [1]}, "sweep.monitors[2].period", "one of [0] to [1]"),
        ({"seed.x": [1]}, "sweep.seed.x", "no parameter 'x'"),
        ({"coupling..a": [1]}, "sweep.coupling..a", "dotted names"),
        ({"": [1]}, "sweep.", "dotted names"),
        ({5: [1]}, "sweep.5", "no parameter 5"),
        ({"seed": [1], "integrator.noise.noise_seed": [2]}, "sweep.integrator.noise.noise_seed", "seed is swept"),
        ({"coupling.a": [1], "coupling.a[0]": [2]}, "sweep.coupling.a[0]", "coupling.a is swept already"),
        (
            {"integrator.noise.nsig[0]": [1], "integrator.noise.nsig": [2]},
            "sweep.integrator.noise.nsig",
            "nsig[0] is swept already",
        ),
    ],
)
def test_an_invalid_axis_is_refused(axes, path, words) -> None:
    with pytest.raises(SpecError) as caught:
        expand(axes, BASE)

    assert caught.value.path == path
    assert words in str(caught.value)


def test_two_elements_of_one_array_are_two_axes() -> None:
    axes = {"integrator.noise.nsig[0]": [1], "integrator.noise.nsig[2]": [2]}

    assert expand(axes, BASE) == axes


def test_a_grid_is_counted_before_it_is_made() -> None:
    axes = {"coupling.a": {"start": 0, "stop": 1, "num": 10**9}, "coupling.b": [1, 2, 3]}

    with pytest.raises(SpecError, match=f"3,000,000,000 points; expected at most {MOST_JOBS:,}"):
        expand(axes, BASE)


def test_assign_replaces_one_value_and_makes_none() -> None:
    values = {"noise": {"nsig": [1.0, 2.0]}, "seed": 1}

    set_value(values, "noise.nsig[1]", 5.0)
    set_value(values, "integrator.noise.noise_seed", 9)

    assert values == {"noise": {"nsig": [1.0, 5.0]}, "seed": 9}
    with pytest.raises(SpecError, match="no parameter 'tau'"):
        set_value(values, "noise.tau", 1)


# ------------------------------------------------------------------------------------------------------- points


def made(plan: Any, seed: int = 42) -> list[dict[str, Any]]:
    return list(points(normalize(plan, BASE), BASE, seed))


def test_the_last_parameter_of_a_grid_varies_fastest() -> None:
    found = made({"coupling.a": [1, 2], "coupling.b": [3, 4]})

    assert [tuple(point.values()) for point in found] == [(1, 3), (1, 4), (2, 3), (2, 4)]


def test_zipped_values_go_together_and_combine_with_the_grid() -> None:
    found = made({"zip": {"coupling.a": [1, 2], "coupling.b": [3, 4]}, "monitors[1].period": [1.0, 2.0]})

    assert [tuple(point.values()) for point in found] == [(1.0, 1, 3), (1.0, 2, 4), (2.0, 1, 3), (2.0, 2, 4)]


def test_a_list_holds_any_points() -> None:
    rows = [{"coupling.a": 1, "seed": 3}, {"coupling.a": 2}]

    assert made({"list": rows}) == rows


@pytest.mark.parametrize("sampler", ["random", "sobol", "lhs"])
def test_samples_lie_in_their_box_and_come_of_the_seed(sampler: str) -> None:
    plan = {sampler: {"coupling.a": [2.0, 3.0], "coupling.b": [-1.0, 1.0]}, "samples": 20}

    found, again, other = made(plan), made(plan), made(plan, seed=43)

    assert len(found) == 20
    assert all(2.0 <= point["coupling.a"] < 3.0 and -1.0 <= point["coupling.b"] < 1.0 for point in found)
    assert found == again != other
    assert len({point["coupling.a"] for point in found}) == 20


def test_a_longer_sobol_sequence_begins_with_the_shorter_one() -> None:
    box = {"coupling.a": [0.0, 1.0]}

    assert made({"sobol": box, "samples": 100})[:30] == made({"sobol": box, "samples": 30})


def test_a_latin_hypercube_has_one_point_in_each_slice() -> None:
    found = made({"lhs": {"coupling.a": [0.0, 10.0]}, "samples": 10})

    assert sorted(int(point["coupling.a"]) for point in found) == list(range(10))


def test_where_sees_swept_parameters_and_those_of_the_base() -> None:
    plan = {
        "coupling.a": [1, 2, 3],
        "monitors[1].period": [1.0, 2.0],
        "where": "coupling.a < monitors[1].period + seed - 41",
    }

    assert [(point["coupling.a"], point["monitors[1].period"]) for point in made(plan)] == [
        (1, 1.0),
        (1, 2.0),
        (2, 2.0),
    ]


def test_a_million_points_are_not_gathered() -> None:
    plan = normalize({"coupling.a": {"start": 0, "stop": 1, "num": 1000}, "seed": list(range(1000))}, BASE)

    first = next(points(plan, BASE, 42))

    assert first == {"coupling.a": 0.0, "seed": 0}
