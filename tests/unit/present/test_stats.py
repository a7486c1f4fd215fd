"""Statistics of a sweep and of workers equal those of plain Python."""

import statistics
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from conftest import SHORT, wait_until
from sqlalchemy import update

from tvb_batch.models.catalogue import OutputRecord
from tvb_batch.models.catalogue.status import Status
from tvb_batch.models.catalogue.tables import Job
from tvb_batch.models.errors import NotFoundError
from tvb_batch.models.queue import listening, make_app
from tvb_batch.models.spec.sweep import sweep
from tvb_batch.submit.present import stats

LEASE = timedelta(seconds=20)
VALUES = [0.3, 0.9, 0.1, 0.5]


@pytest.fixture
def filled(catalogue):
    axes = {"coupling.a": [0.1, 0.2], "model.tau": [1.0, 2.0, 3.0]}
    found = catalogue.add_sweep(sweep({**SHORT, "name": "s", "sweep": axes}))
    jobs = catalogue.jobs(sweep=found.gid)
    for index, (job, value) in enumerate(zip(jobs, VALUES, strict=False)):
        output = OutputRecord(
            uuid4(), "Raw", "TimeSeriesRegion", "outputs/x.h5", "tvb2", 1, "0" * 64, (1, 1, 1, 1), is_nan=False,
            metrics={"KuramotoIndex": value},
        )  # fmt: skip
        catalogue.finish(catalogue.claim(job.gid, "w1", LEASE), [output], engine="reference", versions={})
        with catalogue._writing() as session:
            ended = datetime.now(UTC)
            times = {"started_at": ended - timedelta(seconds=index + 1), "finished_at": ended}
            session.execute(update(Job).where(Job.gid == job.gid).values(**times))
    claim = catalogue.claim(jobs[4].gid, "w2", LEASE)
    catalogue.fail(claim, "OutputError", "disk full", retryable=False, max_attempts=1)
    catalogue.claim(jobs[5].gid, "w2", LEASE)
    return catalogue, found


def test_metrics_and_durations_have_their_range_and_its_places(filled) -> None:
    catalogue, found = filled
    jobs = catalogue.jobs(sweep=found.gid)

    table = {row["name"]: row for row in stats.sweep_stats(catalogue, found, "table").rows}
    data = {row["name"]: row for row in stats.sweep_stats(catalogue, found, "json").rows}

    index = table["KuramotoIndex"]
    assert (index["jobs"], index["min"], index["max"]) == (4, min(VALUES), max(VALUES))
    assert index["mean"] == pytest.approx(statistics.fmean(VALUES))
    assert (index["min_at"], index["max_at"]) == ("0.1, 3", "0.1, 2")
    assert (data["KuramotoIndex"]["min_at"], data["KuramotoIndex"]["max_at"]) == (str(jobs[2].gid), str(jobs[1].gid))
    assert [table["duration"][name] for name in ("min", "mean", "max")] == pytest.approx([1.0, 2.5, 4.0], abs=1e-3)
    assert table["duration"]["max_at"] == "0.2, 1"
    assert "monitors[0].KuramotoIndex" not in table


def test_a_sweep_without_results_has_no_numbers(catalogue) -> None:
    found = catalogue.add_sweep(sweep({**SHORT, "name": "none"}))

    assert stats.sweep_stats(catalogue, found, "table").rows == []
    assert stats.default_metric(catalogue, found.gid) == "duration"


def test_a_metric_is_shown_for_each_value_of_a_parameter(filled) -> None:
    catalogue, found = filled

    rows = stats.stats_by(catalogue, found, "coupling.a", "KuramotoIndex").rows

    first, second = rows
    assert (first["coupling.a"], first["jobs"], first["finished"], first["min"], first["max"]) == (
        "0.1",
        3,
        3,
        0.1,
        0.9,
    )
    assert first["mean"] == pytest.approx(statistics.fmean(VALUES[:3]))
    assert (second["jobs"], second["finished"], second["failed"], second["mean"]) == (3, 1, 1, 0.5)
    assert [row["model.tau"] for row in stats.stats_by(catalogue, found, "model.tau", "duration").rows] == [
        "1",
        "2",
        "3",
    ]


@pytest.mark.parametrize(
    ("parameter", "metric", "words"),
    [
        ("coupling.aa", "KuramotoIndex", "did you mean 'coupling.a'"),
        ("coupling.a", "Kuramoto", "did you mean 'KuramotoIndex'"),
    ],
)
def test_missing_metrics_and_parameters_are_reported(filled, parameter, metric, words) -> None:
    catalogue, found = filled

    with pytest.raises(NotFoundError, match=words):
        stats.stats_by(catalogue, found, parameter, metric)


def test_points_of_a_sweep_are_its_jobs_in_order(filled) -> None:
    catalogue, found = filled

    points = catalogue.points(found.gid, "KuramotoIndex")

    assert [point.value for point in points] == [*VALUES, None, None]
    assert [point.parameters for point in points] == [job.parameters for job in catalogue.jobs(sweep=found.gid)]
    assert [point.status for point in points][3:] == [Status.FINISHED, Status.ERROR, Status.STARTED]


def test_workers_are_listed_by_their_jobs(filled, settings) -> None:
    catalogue, _ = filled

    listing, remark = stats.list_workers(catalogue, settings)

    one, two = listing.rows
    assert (one["worker"], one["state"], one["finished"], one["failed"]) == ("w1", "idle", 4, 0)
    assert (two["worker"], two["state"], two["sweep"], two["failed"]) == ("w2", "running", "s", 1)
    assert datetime.now(UTC) - two["heard"] < timedelta(seconds=10)
    assert remark == ""


def test_a_worker_without_heartbeat_is_shown_as_silent(filled, settings) -> None:
    catalogue, _ = filled
    with catalogue._writing() as session:
        running = update(Job).where(Job.status == Status.STARTED)
        session.execute(running.values(lease_until=datetime.now(UTC)))
        ended = update(Job).where(Job.status == Status.ERROR)
        session.execute(ended.values(finished_at=datetime.now(UTC) - timedelta(minutes=5)))

    listing, _ = stats.list_workers(catalogue, settings)

    assert {row["worker"]: row["state"] for row in listing.rows}["w2"] == "silent"


@pytest.mark.slow
def test_without_redis_workers_are_still_listed(filled, settings) -> None:
    catalogue, _ = filled
    away = type(settings)(**{**settings.model_dump(), "broker_url": "redis://127.0.0.1:1/0"})

    listing, remark = stats.list_workers(catalogue, away)

    assert len(listing.rows) == 2
    assert "Redis does not answer" in remark


@pytest.mark.slow
def test_a_worker_without_a_job_is_known_to_redis(settings, start_worker, catalogue) -> None:
    assert listening(make_app(settings)) == []

    worker = start_worker()

    [name] = wait_until(lambda: listening(make_app(settings)), seconds=60)
    assert name.endswith(f":{worker.pid}")


def test_a_sweep_that_only_repeats_says_so(catalogue) -> None:
    found = catalogue.add_sweep(sweep({**SHORT, "name": "s", "sweep": {"repeats": 2}}))
    output = OutputRecord(
        uuid4(), "Raw", "TimeSeriesRegion", "outputs/x.h5", "tvb2", 1, "0" * 64, (1, 1, 1, 1), is_nan=False,
        metrics={"KuramotoIndex": 0.5},
    )  # fmt: skip
    job = catalogue.jobs(sweep=found.gid)[0]
    catalogue.finish(catalogue.claim(job.gid, "w1", LEASE), [output], engine="reference", versions={})

    with pytest.raises(NotFoundError, match="does not vary it; its jobs differ only in the seed"):
        stats.stats_by(catalogue, found, "seed", "KuramotoIndex")
