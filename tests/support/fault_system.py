"""One installation for tests of faults: a data directory, a catalogue, a Redis, workers, and the checks at the end."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import h5py
import numpy as np
from conftest import SHORT, wait_until
from servers import Redis

from tvb_batch.models.catalogue import Catalogue
from tvb_batch.models.catalogue.status import Status
from tvb_batch.models.catalogue.tables import Job, Sweep
from tvb_batch.models.queue import QUEUE, make_app
from tvb_batch.models.settings import Settings, load_settings
from tvb_batch.models.spec.simulation import SimulationSpec
from tvb_batch.models.spec.sweep import SweepSpec
from tvb_batch.submit.intake.enqueue import enqueue
from tvb_batch.submit.operate.local_workers import environment, worker_command
from tvb_batch.worker.h5.verify import verify

#: A worker without a heartbeat for this time is dead. Seconds.
LEASE = 3.0
#: TVB's own loop for one to five seconds: several heartbeats with this lease. Nothing is compiled.
LONG = {
    **SHORT,
    "simulation_length": 6000.0,
    "monitors": [{"class": "TemporalAverage", "period": 2.0}],
    "engine": "reference",
}
BRIEF = {**SHORT, "engine": "reference"}


def sweep_of(jobs: int, base: dict[str, Any]) -> SweepSpec:
    plan = {"coupling.a": [0.001 * (number + 1) for number in range(jobs)]}
    return SweepSpec(name="faults", base=SimulationSpec.model_validate(base), plan=plan)


class Warm:
    """The process that workers are forked from."""

    def __init__(self) -> None:
        command = [sys.executable, str(Path(__file__).with_name("warm_workers.py"))]
        env = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent.parent)}
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )

    def start(self, **order: Any) -> int:
        """Fork a process; return its pid."""
        return int(self._ask(order))

    def ended(self, pid: int) -> int | None:
        """Return the exit code of a process that has ended."""
        return json.loads(self._ask({"ended": pid}))

    def _ask(self, order: dict[str, Any]) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._lock:
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
            while (line := self._process.stdout.readline()) == "ready\n":
                pass
        return line

    def stop(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.terminate()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


class Forked:
    """A forked worker with the interface of `subprocess.Popen`."""

    def __init__(self, warm: Warm, pid: int) -> None:
        self._warm, self.pid = warm, pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = self._warm.ended(self.pid)
        return self.returncode

    def wait(self, timeout: float = 60.0) -> int:
        wait_until(lambda: self.poll() is not None, seconds=timeout)
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: signal.Signals) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def celery_arguments(concurrency: int) -> list[str]:
    """Return the arguments of a worker's command after `python -m`."""
    command = worker_command(concurrency)
    return command[command.index("celery") :]


@dataclass
class Worker:
    """A Celery worker with its pool, or a client: one session of processes."""

    pid: int
    log: Path
    reached: Path

    def signal_all(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def kill(self) -> None:
        self.signal_all(signal.SIGKILL)
        wait_until(lambda: not self.lives(), seconds=10)

    def lives(self) -> bool:
        return Path(f"/proc/{self.pid}").exists()

    def stands_still(self) -> bool:
        return self.reached.exists()

    def go_on(self) -> None:
        self.reached.unlink()


@dataclass
class System:
    settings: Settings
    catalogue: Catalogue
    redis: Redis
    warm: Warm
    directory: Path
    workers: list[Worker] = field(default_factory=list)

    @property
    def queue(self) -> Any:
        return make_app(self.settings).connection_for_write().default_channel.client

    def submit(self, jobs: int = 1, base: dict[str, Any] = LONG) -> Sweep:
        app = make_app(self.settings)
        try:
            return enqueue(self.catalogue, app, sweep_of(jobs, base), self.settings.storage, reuse=False)
        finally:
            app.close()

    def start(self, concurrency: int = 1, used: Settings | None = None, **order: Any) -> Worker:
        return self._fork(celery_arguments(concurrency), used, **order)

    def client(self, *arguments: str, **order: Any) -> Worker:
        return self._fork(["tvb-batch", *arguments], None, **order)

    def _fork(self, arguments: list[str], used: Settings | None, **order: Any) -> Worker:
        name = self.directory / f"worker-{len(self.workers)}"
        worker = Worker(0, name.with_suffix(".log"), name.with_suffix(".reached"))
        order |= {"log": str(worker.log), "reached": str(worker.reached), "arguments": arguments}
        worker.pid = self.warm.start(environment=environment(used or self.settings), **order)
        self.workers.append(worker)
        return worker

    def jobs(self, sweep: Sweep) -> list[Job]:
        return self.catalogue.jobs(sweep=sweep.gid, limit=1000)

    def running(self, sweep: Sweep) -> Job:
        """Return a job in the middle of its simulation."""

        def found() -> Job | None:
            jobs = self.jobs(sweep)
            return next((job for job in jobs if job.status == Status.STARTED and 0 < job.progress < 1), None)

        job = wait_until(found, seconds=60)
        assert isinstance(job, Job)
        return job

    def wait(self, sweep: Sweep, status: Status = Status.FINISHED, seconds: float = 90) -> None:
        def ended() -> bool:
            return self.catalogue.counts(sweep.gid) == {status: sweep.size}

        wait_until(ended, seconds=seconds)

    def lose_messages(self) -> int:
        with contextlib.closing(self.queue) as client:
            lost = int(client.llen(QUEUE))
            client.flushall()
        return lost

    def stop(self) -> None:
        for worker in self.workers:
            worker.signal_all(signal.SIGKILL)
            worker.reached.unlink(missing_ok=True)
        self.catalogue.dispose()

    # ---------------------------------------------------------------------------------------- what must hold

    def assert_right(self, sweep: Sweep, undisturbed: dict[str, np.ndarray]) -> str:
        """Check that rows are FINISHED, files complete and data as undisturbed, without other files; return a summary."""
        self._wait_for_quiet(sweep)
        jobs = self.jobs(sweep)
        outputs = self.catalogue.outputs([job.gid for job in jobs])
        assert len(outputs) == len(jobs) == sweep.size
        assert {(job.status, job.claim_token, job.lease_until) for job in jobs} == {(Status.FINISHED, None, None)}
        for job, output in zip(jobs, outputs, strict=True):
            path = self.settings.storage.absolute(output.path)
            verified = verify(path, output.gid)
            assert (verified.sha256, verified.bytes) == (output.sha256, output.bytes)
            with h5py.File(path) as file:
                np.testing.assert_array_equal(file["data"][()], undisturbed[job.parameters_hash])
        assert self.files() == sorted(self.settings.storage.absolute(output.path) for output in outputs)
        self._assert_finished_once([job.gid for job in jobs])
        attempts = sorted({job.attempt for job in jobs})
        return f"{len(jobs)} of {sweep.size} FINISHED, attempt {'-'.join(str(one) for one in attempts)}"

    def _wait_for_quiet(self, sweep: Sweep) -> None:
        """Wait until a frozen worker's file is gone."""
        with contextlib.suppress(AssertionError):
            wait_until(lambda: len(self.files()) == sweep.size, seconds=5)

    def files(self) -> list[Path]:
        outputs = self.settings.storage.root / "outputs"
        return sorted(path for path in outputs.rglob("*") if path.is_file())

    def _assert_finished_once(self, gids: list[UUID]) -> None:
        said = [event["gid"] for event in self.events("job_finished")]
        # A worker may have been killed between its commit and its log line.
        assert all(said.count(str(gid)) <= 1 for gid in gids), said

    def events(self, name: str) -> Iterator[dict[str, Any]]:
        for worker in self.workers:
            for line in worker.log.read_text(errors="replace").splitlines() if worker.log.exists() else []:
                with contextlib.suppress(ValueError):
                    event = json.loads(line)
                    if isinstance(event, dict) and event.get("event") == name:
                        yield event

    def tracebacks(self) -> list[str]:
        texts = [worker.log.read_text(errors="replace") for worker in self.workers if worker.log.exists()]
        return [text for text in texts if "Traceback" in text]


def settings_for(directory: Path, redis: Redis, **changes: Any) -> Settings:
    values: dict[str, Any] = {
        "data_dir": directory / "data", "broker_url": redis.url, "lease": LEASE, "max_attempts": 10,
        "chunk_bytes": 2**16,
    }  # fmt: skip
    return load_settings(**{**values, **changes})


def series(system: System, sweep: Sweep) -> dict[str, np.ndarray]:
    """Return the data of each job by the hash of its parameters."""
    found = {}
    jobs = system.jobs(sweep)
    for job, output in zip(jobs, system.catalogue.outputs([job.gid for job in jobs]), strict=True):
        with h5py.File(system.settings.storage.absolute(output.path)) as file:
            found[job.parameters_hash] = file["data"][()]
    return found


@contextlib.contextmanager
def system(directory: Path, redis: Redis, warm: Warm, **changes: Any) -> Iterator[System]:
    settings = settings_for(directory, redis, **changes)
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    found = System(settings, Catalogue.open(settings.database, create=True), redis, warm, directory)
    try:
        with contextlib.closing(found.queue) as client:
            client.flushall()
        yield found
    finally:
        found.stop()


def pause(seconds: float) -> None:
    """Wait for something that takes time by its nature: an outage."""
    time.sleep(seconds)
