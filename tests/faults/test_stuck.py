"""Jobs that never reach the end of a chunk: they end when they must, and no process is left behind."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import wait_until
from fault_system import BRIEF, LEASE, System, Warm, Worker, system
from servers import Redis

from tvb_batch.models.catalogue.status import Status
from tvb_batch.models.catalogue.tables import Sweep

#: A model never returns: in a loop, while other threads run, or in a call that blocks them.
MODELS = """
import ctypes
import sys
from tvb.simulator.models.oscillator import Generic2dOscillator

class Loop(Generic2dOscillator):
    def dfun(self, *args, **kwargs):
        while True:
            pass

class Held(Generic2dOscillator):
    def dfun(self, *args, **kwargs):
        ctypes.PyDLL(None).sleep(1000)

class Exits(Generic2dOscillator):
    def dfun(self, *args, **kwargs):
        sys.exit("no licence")

class Interrupts(Generic2dOscillator):
    def dfun(self, *args, **kwargs):
        raise KeyboardInterrupt
"""
#: How long a job may continue after it must end, in these tests. Seconds.
HARD_AFTER = 2.0


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    found = Redis(tmp_path_factory.mktemp("redis"))
    found.start()
    yield found
    found.kill()


@pytest.fixture
def here(tmp_path: Path, redis: Redis, warm: Warm, monkeypatch: pytest.MonkeyPatch) -> Iterator[System]:
    (tmp_path / "stuck_models.py").write_text(MODELS)
    monkeypatch.syspath_prepend(tmp_path)
    with system(tmp_path, redis, warm, modules="stuck_models", lease=60.0) as found:
        yield found


def start(here: System, model: str, limit: float | None = None, **changes: object) -> tuple[Worker, Sweep, int]:
    """Start a worker with one process; return it and the process id in the middle of the job."""
    sweep = here.submit(1, {**BRIEF, "model": {"class": f"stuck_models.{model}"}, "time_limit": limit})
    used = here.settings.model_copy(update=changes)
    worker = here.start(1, used, path=[str(here.directory)], hard_after=HARD_AFTER)
    job = wait_until(lambda: next((job for job in here.jobs(sweep) if job.status == Status.STARTED), None))
    return worker, sweep, int(job.worker.rpartition(":")[2])


def assert_goes_on(here: System, worker: Worker, process: int) -> None:
    """Check that the process is gone and that the worker runs the next job."""
    wait_until(lambda: not Path(f"/proc/{process}").exists(), seconds=30)
    here.wait(here.submit(1, BRIEF))
    assert worker.lives()
    assert here.tracebacks() == []


@pytest.mark.parametrize("model", ["Loop", "Held"])
def test_a_stuck_job_that_is_canceled_ends_with_its_process(here, model: str) -> None:
    worker, sweep, process = start(here, model)

    here.catalogue.cancel(sweep=sweep.gid)
    here.wait(sweep, Status.CANCELED, seconds=60)

    assert_goes_on(here, worker, process)
    assert [path for path in here.files() if sweep.gid.hex in str(path)] == []


@pytest.mark.parametrize("model", ["Loop", "Held"])
def test_a_stopping_worker_returns_a_stuck_job(here, model: str) -> None:
    worker, sweep, process = start(here, model)

    os.kill(worker.pid, signal.SIGTERM)
    wait_until(lambda: not worker.lives(), seconds=60)

    assert not Path(f"/proc/{process}").exists()
    assert here.tracebacks() == []
    assert [(job.status, job.attempt) for job in here.jobs(sweep)] == [(Status.PENDING, 0)]


def test_a_process_is_ended_if_its_stuck_job_was_lost(here) -> None:
    worker, sweep, process = start(here, "Held", lease=LEASE, max_attempts=1)

    here.wait(sweep, Status.ERROR, seconds=60)

    assert_goes_on(here, worker, process)


@pytest.mark.parametrize("model", ["Loop", "Held"])
def test_a_stuck_job_over_its_time_limit_ends_in_error(here, model: str) -> None:
    worker, sweep, process = start(here, model, limit=1.0)

    here.wait(sweep, Status.ERROR, seconds=60)

    (job,) = here.jobs(sweep)
    assert (job.attempt, job.error_type) == (1, "TimeLimitError")
    assert "expected at most 1 s" in job.error
    assert_goes_on(here, worker, process)


@pytest.mark.parametrize(("model", "words"), [("Exits", "SystemExit: no licence"), ("Interrupts", "KeyboardInterrupt")])
def test_a_model_that_calls_exit_ends_only_its_job(here, model: str, words: str) -> None:
    sweep = here.submit(1, {**BRIEF, "model": {"class": f"stuck_models.{model}"}})
    worker = here.start(1, path=[str(here.directory)])

    here.wait(sweep, Status.ERROR, seconds=60)

    (job,) = here.jobs(sweep)
    assert (job.attempt, job.error) == (1, words)
    assert worker.lives()


def test_a_worker_replaces_a_process_that_is_killed_at_its_start(here, tmp_path: Path) -> None:
    mark = tmp_path / "killed"

    worker = here.start(1, path=[str(tmp_path)], first_dies=str(mark))
    here.wait(here.submit(1, BRIEF))

    assert mark.exists()
    assert worker.lives()
