"""Faults of every kind: the row is right, files are complete or absent, and the data equal those of an undisturbed run.

Real processes: Celery workers, Redis, SQLite and PostgreSQL. Each test ends in `System.assert_right` and adds a line to
the table that is printed at the end of the run.
"""

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import wait_until
from fault_system import BRIEF, LEASE, LONG, System, Warm, pause, series, system
from servers import Postgres, Redis

from tvb_batch.models.catalogue.status import Status
from tvb_batch.models.queue import QUEUE, make_app, send


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    found = Redis(tmp_path_factory.mktemp("redis"))
    found.start()
    yield found
    found.kill()


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    found = Postgres(tmp_path_factory.mktemp("pg"))
    found.start()
    yield found
    found.kill()


@pytest.fixture(scope="module")
def undisturbed(warm: Warm, redis: Redis, tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    """Return the results of every simulation of this file, run once without disturbance."""
    with system(tmp_path_factory.mktemp("quiet"), redis, warm) as quiet:
        sweeps = [quiet.submit(2, LONG), quiet.submit(12, BRIEF)]
        quiet.start(2)
        for sweep in sweeps:
            quiet.wait(sweep, seconds=120)
        return series(quiet, sweeps[0]) | series(quiet, sweeps[1])


@pytest.fixture
def here(tmp_path: Path, redis: Redis, warm: Warm, undisturbed: dict[str, np.ndarray]) -> Iterator[System]:
    with system(tmp_path, redis, warm) as found:
        yield found


@pytest.fixture
def told(record_property):
    """Record the outcome of a fault for the table."""
    began = time.monotonic()

    def tell(fault: str, outcome: str) -> None:
        record_property("fault", (fault, outcome, time.monotonic() - began))

    return tell


# ----------------------------------------------------------------------------------------------------- killed


def test_another_process_continues_the_job_of_a_killed_one(here, undisturbed, told) -> None:
    sweep = here.submit()
    here.start()
    job = here.running(sweep)

    os.kill(int(job.worker.rpartition(":")[2]), signal.SIGKILL)
    here.wait(sweep)

    told("SIGKILL of a pool child, mid-chunk", here.assert_right(sweep, undisturbed))


def test_a_pool_process_without_its_worker_does_no_harm(here, undisturbed, told) -> None:
    sweep = here.submit(2)
    worker = here.start()
    here.running(sweep)

    os.kill(worker.pid, signal.SIGKILL)
    here.start()
    here.wait(sweep)

    told("SIGKILL of the worker, its pool goes on alone", here.assert_right(sweep, undisturbed))


def test_all_workers_killed_at_once_are_replaced(here, undisturbed, told) -> None:
    sweep = here.submit(2)
    workers = [here.start(), here.start()]
    here.running(sweep)

    for worker in workers:
        worker.kill()
    here.start(2)
    here.wait(sweep)

    told("SIGKILL of all workers with their pools", here.assert_right(sweep, undisturbed))


@pytest.mark.parametrize(
    ("point", "where"),
    [
        ("before_rename", "at the rename"),
        ("after_rename", "between rename and commit"),
        ("after_commit", "between commit and tidying up"),
    ],
)
def test_a_worker_killed_while_it_finishes(here, undisturbed, told, point: str, where: str) -> None:
    sweep = here.submit(1, BRIEF)
    worker = here.start(stop_at=point)
    wait_until(worker.stands_still)

    worker.kill()
    here.start()
    here.wait(sweep)

    told(f"SIGKILL {where}", here.assert_right(sweep, undisturbed))


def test_a_client_killed_between_commit_and_send(here, undisturbed, told, tmp_path: Path) -> None:
    spec = tmp_path / "spec.json"
    plan = {"coupling.a": [0.001, 0.002]}
    spec.write_text(json.dumps({"name": "faults", **BRIEF, "sweep": plan}))
    client = here.client("submit", str(spec), stop_at="before_send")
    wait_until(client.stands_still)

    client.kill()
    sweep = here.catalogue.find_sweep("faults")
    assert {job.published_at for job in here.jobs(sweep)} == {None}
    here.start()
    here.wait(sweep)

    told("SIGKILL of the client between commit and send", here.assert_right(sweep, undisturbed))


def test_a_stopping_worker_returns_its_job(here, undisturbed, told) -> None:
    sweep = here.submit()
    worker = here.start()
    here.running(sweep)

    os.kill(worker.pid, signal.SIGTERM)
    wait_until(lambda: not worker.lives(), seconds=20)
    assert [(job.status, job.attempt) for job in here.jobs(sweep)] == [(Status.PENDING, 0)]
    here.start()
    here.wait(sweep)

    told("SIGTERM of the worker, mid-chunk", here.assert_right(sweep, undisturbed))


# ----------------------------------------------------------------------------------------------------- zombies


def test_a_frozen_worker_that_continues_after_it_lost_its_job(here, undisturbed, told) -> None:
    sweep = here.submit()
    zombie = here.start()
    here.running(sweep)

    zombie.signal_all(signal.SIGSTOP)
    here.start()
    here.wait(sweep)
    zombie.signal_all(signal.SIGCONT)
    wait_until(lambda: list(here.events("lease_lost")), seconds=30)

    told("SIGSTOP mid-chunk, comes back after its job is done", here.assert_right(sweep, undisturbed))


def test_a_worker_that_lost_its_job_renames_its_file_last(here, undisturbed, told) -> None:
    sweep = here.submit(1, BRIEF)
    zombie = here.start(stop_at="before_rename")
    wait_until(zombie.stands_still)

    zombie.signal_all(signal.SIGSTOP)
    here.start()
    here.wait(sweep)
    zombie.signal_all(signal.SIGCONT)
    zombie.go_on()
    wait_until(lambda: list(here.events("lease_lost")), seconds=30)

    told("SIGSTOP at the rename, comes back after its job is done", here.assert_right(sweep, undisturbed))


# ----------------------------------------------------------------------------------------------------- Redis


@pytest.mark.parametrize("keeps", [True, False], ids=["with its data", "without its data"])
@pytest.mark.parametrize("when", ["at submit", "while queued", "while running"])
def test_redis_killed_and_started_again(tmp_path, warm, undisturbed, told, keeps: bool, when: str) -> None:
    redis = Redis(tmp_path / "redis", keeps=keeps)
    redis.start()
    try:
        with system(tmp_path, redis, warm) as here:
            if when == "at submit":
                redis.kill()
            sweep = here.submit(2, LONG if when == "while running" else BRIEF)
            if when == "while running":
                here.start()
                here.running(sweep)
            redis.kill()
            pause(1)
            redis.start()
            if when != "while running":
                here.start()
            here.wait(sweep)

            told(
                f"Redis killed {when}, restarted {'with' if keeps else 'without'} its data",
                here.assert_right(sweep, undisturbed),
            )
    finally:
        redis.kill()


# ----------------------------------------------------------------------------------------------------- messages


def test_every_message_delivered_twice(here, undisturbed, told) -> None:
    sweep = here.submit(12, BRIEF)
    app = make_app(here.settings)
    send(app, [job.gid for job in here.jobs(sweep)])
    here.start(2)
    here.wait(sweep)

    send(app, [job.gid for job in here.jobs(sweep)])
    with contextlib.closing(here.queue) as client:
        wait_until(lambda: client.llen(QUEUE) == 0)

    assert {job.attempt for job in here.jobs(sweep)} == {1}
    app.close()
    told("every message delivered three times", here.assert_right(sweep, undisturbed))


def test_messages_that_are_lost_are_sent_again(here, undisturbed, told) -> None:
    sweep = here.submit(12, BRIEF)

    assert here.lose_messages() == 12
    here.start(2)
    here.wait(sweep)

    told("every message lost", here.assert_right(sweep, undisturbed))


def test_a_visibility_timeout_shorter_than_the_job_repeats_nothing(here, undisturbed, told) -> None:
    sweep = here.submit(2)
    for _ in range(2):
        here.start(visibility_timeout=0.2)
    here.wait(sweep)

    assert {job.attempt for job in here.jobs(sweep)} == {1}
    told("visibility timeout of 0.2 s, longer jobs", here.assert_right(sweep, undisturbed))


# ----------------------------------------------------------------------------------------------------- database


@pytest.mark.postgres
def test_postgresql_restarted_while_jobs_run(tmp_path, redis, warm, postgres, undisturbed, told) -> None:
    with system(tmp_path, redis, warm, database_url=postgres.url) as here:
        sweep = here.submit(2)
        here.start(2)
        here.running(sweep)

        postgres.kill()
        pause(2)
        postgres.start()
        here.wait(sweep)

        told("PostgreSQL crashed for 2 s while jobs ran", here.assert_right(sweep, undisturbed))


def test_sqlite_locked_by_another_program(here, undisturbed, told) -> None:
    sweep = here.submit(2)
    here.start(2)
    here.running(sweep)

    locker = sqlite3.connect(here.settings.storage.catalogue, isolation_level=None)
    locker.execute("BEGIN IMMEDIATE")
    pause(2 * LEASE)
    locker.execute("ROLLBACK")
    locker.close()
    here.wait(sweep)

    told(f"SQLite locked for {2 * LEASE:g} s, twice the lease", here.assert_right(sweep, undisturbed))


@pytest.mark.postgres
@pytest.mark.parametrize("ahead", [3600, -3600], ids=["an hour ahead", "an hour behind"])
def test_a_worker_whose_clock_is_wrong(tmp_path, redis, warm, postgres, undisturbed, told, ahead: int) -> None:
    with system(tmp_path, redis, warm, database_url=postgres.url) as here:
        sweep = here.submit(2)
        here.start()
        here.running(sweep)

        here.start(clock_ahead=ahead)
        here.wait(sweep)

        assert {job.attempt for job in here.jobs(sweep)} == {1}
        told(f"a worker's clock {'ahead' if ahead > 0 else 'behind'} by an hour", here.assert_right(sweep, undisturbed))


# ----------------------------------------------------------------------------------------------------- storage


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Path]:
    """Mount a small file system for results."""
    directory = tmp_path / "data" / "outputs"
    directory.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(directory)]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("only root may mount a small file system")
    yield directory
    subprocess.run(["umount", "-l", str(directory)], check=True)


@pytest.mark.parametrize("fault", ["full", "read-only"])
def test_a_storage_that_refuses_every_write(mounted, tmp_path, redis, warm, undisturbed, told, fault: str) -> None:
    with system(tmp_path, redis, warm, max_attempts=2) as here:
        filler = mounted / "filler"
        if fault == "full":
            filler.write_bytes(b"\0" * (7 * 2**20 + 900_000))
        else:
            subprocess.run(["mount", "-o", "remount,ro", str(mounted)], check=True)
        sweep = here.submit(1, LONG)
        worker = here.start()

        job = wait_until(lambda: next((one for one in here.jobs(sweep) if one.error), None), seconds=60)
        assert job.error_type in ("OutputError", "StorageError")
        if fault == "full":
            filler.unlink()
        else:
            subprocess.run(["mount", "-o", "remount,rw", str(mounted)], check=True)
        with sqlite3.connect(here.settings.storage.catalogue) as rows:  # nobody waits for the minute of grace
            rows.execute("UPDATE job SET not_before = NULL")
        wait_until(lambda: here.jobs(sweep)[0].status in (Status.ERROR, Status.FINISHED), seconds=60)
        if here.jobs(sweep)[0].status == Status.ERROR:
            here.catalogue.retry(sweep=sweep.gid)
        here.wait(sweep)

        assert worker.lives()
        told(f"storage {fault}: {job.error_type}, worker lives", here.assert_right(sweep, undisturbed))


def test_a_file_larger_than_the_quota(here, undisturbed, told) -> None:
    sweep = here.submit(1, LONG)
    limited = here.start(largest_file=2**21, used=here.settings.model_copy(update={"max_attempts": 1}))

    job = wait_until(lambda: next((one for one in here.jobs(sweep) if one.error), None), seconds=60)
    assert job.error_type in ("OutputError", "StorageError")
    assert limited.lives()
    limited.kill()
    with sqlite3.connect(here.settings.storage.catalogue) as rows:
        rows.execute("UPDATE job SET not_before = NULL")
    here.start()
    here.catalogue.retry(sweep=sweep.gid)
    here.wait(sweep)

    told("a file larger than the quota: OutputError, worker lives", here.assert_right(sweep, undisturbed))
