"""The jobs of an exploration: two axes, all other parameters fixed, no more points than the GUI shows."""

import pytest
from conftest import SHORT

from tvb_batch.models.errors import SpecError
from tvb_batch.models.spec.sweep import sweep
from tvb_batch.submit.bundles.axes import MOST_POINTS, explorations


def jobs(catalogue, axes, **changes):
    made = catalogue.add_sweep(sweep({**SHORT, "name": "s", "sweep": axes, **changes}))
    return catalogue.jobs(sweep=made.gid, limit=10_000)


AXES = {"coupling.a": [1.0, 2.0, 3.0], "model.tau": [1.0, 1.5]}


def test_two_numbers_are_the_axes(catalogue) -> None:
    [found] = explorations(jobs(catalogue, AXES), (), {})

    assert (found.axes, len(found.jobs), found.label) == (("coupling.a", "model.tau"), 6, "")


def test_with_three_parameters_each_value_of_the_third_is_an_exploration(catalogue) -> None:
    made = jobs(catalogue, {**AXES, "model.I": [0.0, 0.5]})

    with pytest.raises(SpecError, match="choose two with --axes"):
        explorations(made, (), {})
    found = explorations(made, ("coupling.a", "model.tau"), {})
    assert [(len(one.jobs), one.label) for one in found] == [(6, "model.I=0"), (6, "model.I=0.5")]
    [fixed] = explorations(made, ("coupling.a", "model.tau"), {"model.I": "0.5"})
    assert {job.parameters["model.I"] for job in fixed.jobs} == {0.5}
    [two] = explorations(made, (), {"model.I": "0.5"})
    assert two.axes == ("coupling.a", "model.tau")


def test_repeats_and_classes_are_explorations_of_their_own(catalogue) -> None:
    made = jobs(catalogue, {"grid": {"coupling.a": [1.0, 2.0]}, "repeats": 2})
    assert [(len(one.jobs), one.label) for one in explorations(made, (), {})] == [(2, "repeat 0"), (2, "repeat 1")]

    made = jobs(catalogue, {"grid": {"coupling.a": [0.1, 0.2], "engine": ["auto", "reference"]}})
    assert [one.label for one in explorations(made, (), {})] == ["engine=auto", "engine=reference"]


@pytest.mark.slow
def test_more_points_than_the_gui_shows_are_split_by_rows(catalogue) -> None:
    values = {"start": 0.0, "stop": 1.0, "num": 30}
    made = jobs(catalogue, {"coupling.a": values, "model.tau": {"start": 1.0, "stop": 2.0, "num": 40}})

    found = explorations(made, (), {})

    assert [len(one.jobs) for one in found] == [480, 480, 240]
    assert all(len(one.jobs) <= MOST_POINTS for one in found)
    rows = [{job.parameters["coupling.a"] for job in one.jobs} for one in found]
    assert not rows[0] & rows[1]
    assert found[1].label.startswith("coupling.a from ")
    assert len({job.gid for one in found for job in one.jobs}) == 1200

    long = jobs(catalogue, {"coupling.a": {"start": 0.0, "stop": 1.0, "num": 1100}})
    assert [len(one.jobs) for one in explorations(long, (), {})] == [512, 512, 76]


@pytest.mark.parametrize(
    ("axes", "at", "words"),
    [
        (("coupling.b",), {}, "did you mean"),
        ((), {"coupling.a": "7"}, "values that a finished job has"),
        (("coupling.a", "model.tau", "coupling.a"), {}, "3 axes"),
        ((), {"nothing": "1"}, "a swept parameter"),
    ],
)
def test_points_that_form_no_exploration_give_one_line(catalogue, axes, at, words: str) -> None:
    with pytest.raises(SpecError, match=words):
        explorations(jobs(catalogue, AXES), axes, at)


def test_a_job_without_a_swept_number_is_no_exploration(catalogue) -> None:
    with pytest.raises(SpecError, match="no swept number"):
        explorations(jobs(catalogue, {}), (), {})
