"""Formats of values, counts and times for people."""

from datetime import UTC, datetime, timedelta

import pytest

from tvb_batch.models.catalogue.status import Status
from tvb_batch.models.catalogue.tables import Job
from tvb_batch.submit.present import formatting as told


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
def test_a_value_is_shown_in_few_characters(value, words: str) -> None:
    assert told.number(value) == words


@pytest.mark.parametrize(("count", "words"), [(0, "0 jobs"), (1, "1 job"), (12345, "12,345 jobs")])
def test_jobs_are_counted_in_words(count: int, words: str) -> None:
    assert told.jobs_word(count) == words


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.25, "0.2 s"), (90, "90.0 s"), (150, "2.5 min"), (9000, "2.5 h"), (864000, "10.0 days")]
)
def test_durations_have_the_unit_that_suits(seconds: float, words: str) -> None:
    assert told.duration(seconds) == words


@pytest.mark.parametrize(("count", "words"), [(12, "12 bytes"), (1500, "1.5 kB"), (2e6, "2.0 MB"), (3.25e9, "3.2 GB")])
def test_sizes_have_the_unit_that_suits(count: float, words: str) -> None:
    assert told.size(count) == words


def test_only_statuses_with_jobs_are_shown() -> None:
    assert told.counts_text({Status.FINISHED: 1200, Status.ERROR: 1, Status.PENDING: 0}) == "1,200 finished, 1 failed"


def test_a_job_has_run_from_its_start_to_its_end_or_to_now() -> None:
    begin = datetime.now(UTC) - timedelta(seconds=60)

    assert told.ran_for(Job(started_at=None)) is None
    assert told.ran_for(Job(started_at=begin, finished_at=begin + timedelta(seconds=5))) == 5.0
    assert 59.0 < told.ran_for(Job(started_at=begin)) < 70.0


def test_the_first_monitors_metrics_are_shown_once() -> None:
    metrics = {"mean": 1.0, "monitors[0].mean": 1.0, "monitors[1].mean": 2.0}

    assert told.short_metrics(metrics) == {"mean": 1.0, "monitors[1].mean": 2.0}
