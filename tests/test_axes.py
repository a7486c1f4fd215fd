"""The axes of a sweep: one name for each parameter, and forms that cannot be misread."""

import math
from typing import Any

import pytest

from models.axes import MOST_JOBS, assign, expand
from models.errors import SpecError

BASE: dict[str, Any] = {
    "connectivity": {"from_file": "connectivity_76.zip"},
    "coupling": {"class": "Linear", "a": [1.0], "b": [0.0]},
    "integrator": {"class": "HeunStochastic", "dt": 0.5, "noise": {"class": "Additive", "nsig": [0.0, 0.0, 0.1]}},
    "monitors": [{"class": "Raw", "period": 0.0}, {"class": "TemporalAverage", "period": 1.0}],
    "seed": 42,
}


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
        ("connectivity", "connectivity.from_file"),
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
        ({"coupling.a": {"start": 0, "stop": 1, "num": 0}}, "sweep.coupling.a.num", "from 1 on"),
        ({"coupling.a": {"start": 0, "stop": 1, "num": 2.5}}, "sweep.coupling.a.num", "from 1 on"),
        ({"coupling.a": {"start": 0, "stop": 1, "num": True}}, "sweep.coupling.a.num", "from 1 on"),
        ({"coupling.a": {"start": "0", "stop": 1, "num": 2}}, "sweep.coupling.a.start", "a number"),
        ({"coupling.a": {"start": 0, "stop": math.inf, "num": 2}}, "sweep.coupling.a.stop", "a finite number"),
        ({"coupling.a": {"start": 10**400, "stop": 1, "num": 2}}, "sweep.coupling.a.start", "a finite number"),
        ({"coupling.a": {"start": -1e308, "stop": 1e308, "num": 2}}, "sweep.coupling.a", "a range that a float"),
        ({"coupling": [1]}, "sweep.coupling", "a whole section"),
        ({"monitors": [1]}, "sweep.monitors", "such as monitors[0].period"),
        ({"monitors[0]": [1]}, "sweep.monitors[0]", "such as monitors[0].period"),
        ({"coupling.class": ["Linear"]}, "sweep.coupling.class", "not possible yet"),
        ({"coupling.z": [1]}, "sweep.coupling.z", "known are a, b"),
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
def test_an_axis_that_is_none_is_refused(axes, path, words) -> None:
    with pytest.raises(SpecError) as caught:
        expand(axes, BASE)

    assert caught.value.path == path
    assert words in str(caught.value)


def test_two_elements_of_one_array_are_two_axes() -> None:
    axes = {"integrator.noise.nsig[0]": [1], "integrator.noise.nsig[2]": [2]}

    assert expand(axes, BASE) == axes


def test_a_grid_is_counted_before_it_is_made() -> None:
    axes = {"coupling.a": {"start": 0, "stop": 1, "num": 10**9}, "coupling.b": [1, 2, 3]}

    with pytest.raises(SpecError, match=f"a grid of 3,000,000,000 points; expected at most {MOST_JOBS:,}"):
        expand(axes, BASE)


def test_assign_replaces_one_value_and_makes_none() -> None:
    values = {"noise": {"nsig": [1.0, 2.0]}, "seed": 1}

    assign(values, "noise.nsig[1]", 5.0)
    assign(values, "integrator.noise.noise_seed", 9)

    assert values == {"noise": {"nsig": [1.0, 5.0]}, "seed": 9}
    with pytest.raises(SpecError, match="no parameter 'tau'"):
        assign(values, "noise.tau", 1)
