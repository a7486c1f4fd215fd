"""What a person sees."""

import io
from datetime import timedelta

import pytest
from conftest import SHORT
from rich.console import Console

from models.status import Status
from models.sweep import sweep
from submit import view


@pytest.fixture
def filled(catalogue):
    found = catalogue.add_sweep(sweep({**SHORT, "name": "v", "sweep": {"coupling.a": [0.1, 0.2, 0.3]}}))
    jobs = catalogue.jobs(sweep=found.gid)
    catalogue.finish(catalogue.claim(jobs[0].gid, "w", timedelta(seconds=9)), [], engine="reference", versions={})
    claim = catalogue.claim(jobs[1].gid, "w", timedelta(seconds=9))
    catalogue.fail(claim, "OutputError", "disk full [red]", retryable=False, max_attempts=3)
    return catalogue, found


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.25, "0.25"),
        ("x", "x"),
        ({"class": "Connectivity", "from_file": "a.zip"}, "a.zip"),
        ({"class": "Kuramoto", "omega": [1.0]}, "Kuramoto"),
        ({"class": "Kuramoto", "omega": [2.0]}, "Kuramoto(omega=2)"),
        (
            [{"class": "Raw", "period": 0.0}, {"class": "TemporalAverage", "period": 2.0}],
            "Raw+TemporalAverage(period=2)",
        ),
    ],
)
def test_a_value_is_told_in_few_letters(value, words: str) -> None:
    assert view.number(value) == words


def test_every_way_to_sweep_is_told() -> None:
    plan = {
        "model.mu": [0.1, 0.2, 0.3, 0.4], "zip": {"coupling.a": [1.0], "model.v0": [2.0]}, "repeats": 2,
        "lhs": {"model.A": [3.0, 4.0]}, "samples": 5, "where": "model.A > 2", "list": [{"model.B": 20.0}],
    }  # fmt: skip
    model = {"model": "JansenRit", "coupling": "SigmoidalJansenRit"}
    spec = sweep({**SHORT, **model, "sweep": {**plan, "zip": {"coupling.cmin": [1.0], "model.v0": [2.0]}}})

    assert view.describe_plan(spec.plan) == [
        "model.mu: 4 values, 0.1, 0.2, 0.3 ...",
        "coupling.cmin: together 1 values, 1",
        "model.v0: together 1 values, 2",
        "model.A: 5 lhs samples of 3 to 4",
        "list: 1 points of model.B",
        "each 2 times, with seeds of their own",
        "where model.A > 2",
    ]


@pytest.mark.parametrize(("count", "words"), [(0, "0 jobs"), (1, "1 job"), (12345, "12,345 jobs")])
def test_jobs_are_counted_in_words(count: int, words: str) -> None:
    assert view.jobs_word(count) == words


def test_the_watch_ends_with_the_last_job_and_tells_failures_as_they_are(filled, capsys) -> None:
    catalogue, found = filled
    looks = []

    def cancel_the_rest() -> None:
        looks.append(1)
        catalogue.cancel(sweep=found.gid)

    counts = view.watch(catalogue, found, on_tick=cancel_the_rest)

    assert counts == {Status.FINISHED: 1, Status.ERROR: 1, Status.CANCELED: 1, Status.PENDING: 0, Status.STARTED: 0}
    assert len(looks) == 1
    said = capsys.readouterr().err
    assert "coupling.a=0.2: disk full [red]" in said
    assert "1 finished, 1 waiting, 1 failed" in said


def test_the_end_says_where_things_are_and_what_to_do_next(filled, capsys, settings) -> None:
    catalogue, found = filled

    view.print_end(
        catalogue, found, catalogue.counts(found.gid) | {Status.CANCELED: 0, Status.STARTED: 0}, settings.storage
    )

    said = capsys.readouterr().out
    assert str(settings.data_dir) in said
    assert f"tvb-batch bundle {found.gid.hex[:8]} -o v.zip" in said
    assert f"tvb-batch retry {found.gid.hex[:8]}" in said


def test_details_name_every_file(filled, settings, capsys) -> None:
    catalogue, found = filled
    job = catalogue.jobs(sweep=found.gid)[0]

    details = view.details(catalogue, job, settings.storage)
    view.print_details(details)

    assert details["status"] == "FINISHED"
    said = capsys.readouterr().out
    assert "coupling.a" in said
    assert "seconds" in said


def test_a_table_is_wide_enough_for_what_it_shows(filled, monkeypatch) -> None:
    catalogue, _ = filled
    out = io.StringIO()
    monkeypatch.setattr(view, "Console", lambda **_: Console(file=out, width=60))

    view.print_jobs(catalogue.jobs(), 10)

    assert "0.3" in out.getvalue()
    assert "3 of 10 jobs" in out.getvalue()
