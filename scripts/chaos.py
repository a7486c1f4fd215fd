"""Runs many short jobs while workers, Redis and the database are killed at random; then checks every file.

    python scripts/chaos.py --jobs 200 --workers 3 --seconds 120 --seed 1

Needs Linux, Redis and PostgreSQL. Exits with 1 if a job is missing or a file differs from its row.
"""

import argparse
import collections
import contextlib
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "support"), str(ROOT)]

from fault_system import BRIEF, System, Warm, Worker, system  # noqa: E402
from servers import Postgres, Redis  # noqa: E402

from tvb_batch.models.catalogue.status import Status  # noqa: E402
from tvb_batch.models.catalogue.tables import Sweep  # noqa: E402
from tvb_batch.models.errors import CatalogueError  # noqa: E402
from tvb_batch.worker.h5.verify import verify  # noqa: E402

#: A few tenths of a second in TVB's own loop.
JOB = {**BRIEF, "simulation_length": 300.0}


def main() -> int:
    """Run the test; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=120.0, help="how long things are killed")
    parser.add_argument("--limit", type=float, default=600.0, help="how long the jobs may take in all")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="chaos-") as name, contextlib.ExitStack() as stack:
        directory = Path(name)
        directory.chmod(0o755)
        redis, postgres, warm = Redis(directory / "redis"), Postgres(directory / "pg"), Warm()
        for stop in (redis.kill, postgres.kill, warm.stop):
            stack.callback(stop)
        redis.start()
        postgres.start()
        settings = {"database_url": postgres.url, "max_attempts": 50}
        here = stack.enter_context(system(directory, redis, warm, **settings))
        sweep = here.submit(options.jobs, JOB)
        began = time.monotonic()
        kills = disturb(here, postgres, sweep, options)
        waited = finish(here, sweep, options.limit - (time.monotonic() - began))
        print(f"killed: {dict(kills)}; {waited} in {time.monotonic() - began:.0f} s")
        return report(here, sweep)


def disturb(here: System, postgres: Postgres, sweep: Sweep, options: argparse.Namespace) -> "collections.Counter[str]":
    """Kill something every second or two, and start it again."""
    chance = random.Random(options.seed)
    kills: collections.Counter[str] = collections.Counter()
    workers = [here.start() for _ in range(options.workers)]
    end = time.monotonic() + options.seconds
    while time.monotonic() < end and not is_done(here, sweep):
        time.sleep(chance.uniform(1.5, 4.0))
        what = chance.choices(["worker", "pool", "stop", "redis", "database"], [4, 3, 2, 2, 2])[0]
        kills[what] += 1
        if what == "redis":
            here.redis.kill()
            here.redis.keeps = chance.random() < 0.5
            time.sleep(chance.uniform(0.1, 2.0))
            here.redis.start()
        elif what == "database":
            postgres.kill()
            time.sleep(chance.uniform(0.1, 2.0))
            postgres.start()
        else:
            place = chance.randrange(len(workers))
            hurt(workers[place], what)
        workers = [worker if worker.lives() else here.start() for worker in workers]
    return kills


def hurt(worker: Worker, what: str) -> None:
    """Kill a worker with all its processes or one process of its pool, or tell it to stop."""
    if what == "worker":
        worker.kill()
    elif what == "pool":
        children = Path(f"/proc/{worker.pid}/task/{worker.pid}/children")
        with contextlib.suppress(OSError, IndexError):
            signal.pidfd_send_signal(_handle(int(children.read_text().split()[0])), signal.SIGKILL)
    else:
        worker.signal_all(signal.SIGTERM)


def _handle(pid: int) -> int:
    import os

    return os.pidfd_open(pid)


def is_done(here: System, sweep: Sweep) -> bool:
    """Return whether all jobs of the sweep are finished; False if the database does not answer."""
    try:
        return here.catalogue.counts(sweep.gid) == {Status.FINISHED: sweep.size}
    except CatalogueError:
        return False


def finish(here: System, sweep: Sweep, seconds: float) -> str:
    """Wait for the remaining jobs without kills."""
    end = time.monotonic() + max(1.0, seconds)
    if not any(worker.lives() for worker in here.workers):
        here.start()
    while time.monotonic() < end and not is_done(here, sweep):
        time.sleep(0.2)
    counts = here.catalogue.counts(sweep.gid)
    return ", ".join(f"{count} of {sweep.size} {status}" for status, count in sorted(counts.items()))


def report(here: System, sweep: Sweep) -> int:
    """Compare every row with its file; return 0 if all are right."""
    jobs = here.jobs(sweep)
    outputs = here.catalogue.outputs([job.gid for job in jobs])
    whole = 0
    for output in outputs:
        verified = verify(here.settings.storage.absolute(output.path), output.gid)
        whole += (verified.sha256, verified.bytes) == (output.sha256, output.bytes)
    named = {here.settings.storage.absolute(output.path) for output in outputs}
    orphans = [path for path in here.files() if path not in named]
    attempts = collections.Counter(job.attempt for job in jobs)
    print(f"files as their rows say: {whole} of {sweep.size}; files without a row: {len(orphans)}")
    print(f"jobs by attempts: {dict(sorted(attempts.items()))}; tracebacks in logs: {len(here.tracebacks())}")
    for text in here.tracebacks()[:3]:
        print(text[text.index("Traceback") :][-1500:])
    done = is_done(here, sweep) and whole == sweep.size
    return 0 if done else 1


if __name__ == "__main__":
    sys.exit(main())
