"""Load of idle workers on the database and Redis, by number of workers.

python -m benchmarks.looks [JOBS]

Each simulated worker asks for its turn to look for dead jobs and to fill the queue, as `worker.reconciler` does; some
threads do this for all workers. The benchmark counts their statements, the processor time of PostgreSQL's processes and
Redis' commands, which other programs disturb little. The catalogue has 1,000,000 jobs. The queue is full, or it is to
be filled but all pending jobs have messages, which is the longest look.
"""

import contextlib
import heapq
import itertools
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import event, text

from benchmarks.catalogue import fill, submit
from benchmarks.postgres import Postgres, binaries, processor_time
from benchmarks.table import MANY, TIME, Row
from tvb_batch.models.catalogue import Catalogue
from tvb_batch.models.queue import QUEUES, WINDOW, make_app
from tvb_batch.models.settings import Settings, load_settings
from tvb_batch.submit.operate.local_workers import private_redis
from tvb_batch.worker.reconciler import RECONCILE_EVERY, Reconciler

#: The first is the baseline.
WORKERS = (5, 50, 1000)
#: Threads that act for them.
THREADS = 4
#: Messages in each queue, by what is measured.
STATES = {"queue full": WINDOW, "queue to be filled": WINDOW // 4}
SECONDS = 20.0


def rows(jobs: int = 1_000_000, seconds: float = SECONDS) -> Iterator[Row]:
    """Yield statements and the time of both servers, for each state of the queue and each larger number of workers."""
    if binaries() is None:
        print("PostgreSQL is not installed: its rows are left out", file=sys.stderr)
        return
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
        server = Postgres(Path(directory) / "pg")
        try:
            server.start()
            with private_redis(Settings(data_dir=Path(directory))) as local:
                yield from _rows(server, load_settings(broker_url=local.broker, database_url=server.url), jobs, seconds)
        finally:
            server.kill()


def _rows(server: Postgres, settings: Settings, jobs: int, seconds: float) -> Iterator[Row]:
    catalogue = Catalogue.open(settings.database, create=True)
    submit(catalogue, min(jobs, 100_000))
    fill(catalogue, jobs)
    with catalogue._writing() as session:
        # None of them counts as one whose message is lost.
        session.execute(text("UPDATE job SET published_at = now() + interval '1 hour' WHERE status = 'PENDING'"))
    with catalogue._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        # What autovacuum does after so many changes, at a time of its own.
        connection.execute(text("VACUUM ANALYZE"))
    note = f"at {catalogue.count():,} jobs"
    catalogue.dispose()
    assert server.process is not None
    for state, messages in STATES.items():
        _keep(settings, messages)
        baseline, *others = [_measured(settings, server.process.pid, workers, seconds) for workers in WORKERS]
        for workers, found in zip(WORKERS[1:], others, strict=True):
            name, few = f"{workers:,} workers, {state}", f"{WORKERS[0]} workers"
            for index, (what, unit, sense) in enumerate(MEASURED):
                theirs = [one[index] for one in baseline]
                yield Row("looks", f"{name}: {what}", few, unit, [one[index] for one in found], theirs, sense, note)


#: What `_measured` gives.
MEASURED = (
    ("statements", "/s", MANY),
    ("PostgreSQL's processor", "ms/s", TIME),
    ("Redis' commands", "/s", MANY),
)


def _keep(settings: Settings, messages: int) -> None:
    """Fill the queues with messages that no worker takes."""
    with make_app(settings).connection_for_write() as connection:
        client = connection.default_channel.client
        client.flushall()
        for queue in QUEUES.values():
            client.lpush(queue, *(["none"] * messages))


def _measured(settings: Settings, postmaster: int, workers: int, seconds: float) -> list[tuple[float, ...]]:
    """Return what all workers together use in a second, for some turns."""
    with make_app(settings).connection_for_write() as connection, _asking(settings, workers) as statements:
        client = connection.default_channel.client

        def now() -> tuple[float, ...]:
            taken = 1000 * processor_time(postmaster)
            return time.monotonic(), len(statements), taken, client.info("stats")["total_commands_processed"]

        time.sleep(3)  # Each has asked once.
        marks = [now()]
        for _ in range(3):
            time.sleep(seconds / 3)
            marks.append(now())
    found = []
    for earlier, later in itertools.pairwise(marks):
        elapsed, *counts = (b - a for a, b in zip(earlier, later, strict=True))
        found.append(tuple(count / elapsed for count in counts))
    return found


@contextlib.contextmanager
def _asking(settings: Settings, workers: int) -> Iterator[list[str]]:
    """Let workers ask until the end of the block; yield their statements."""
    sent: list[str] = []
    stop, lock = threading.Event(), threading.Lock()
    start = time.monotonic()
    due = [(start + RECONCILE_EVERY * index / workers, index) for index in range(workers)]

    def act() -> None:
        app = make_app(settings)
        mine = Reconciler(app, settings)
        mine._catalogue = Catalogue.open(settings.database)
        event.listen(mine._catalogue._engine, "before_cursor_execute", lambda *words: sent.append(words[2]))
        while not stop.is_set():
            with lock:
                at, index = heapq.heappop(due)
            stop.wait(max(0.0, at - time.monotonic()))
            mine.ask()
            with lock:
                heapq.heappush(due, (max(time.monotonic(), at + RECONCILE_EVERY), index))
        mine.close()

    threads: list[Any] = [threading.Thread(target=act) for _ in range(min(workers, THREADS))]
    for thread in threads:
        thread.start()
    try:
        yield sent
    finally:
        stop.set()
        for thread in threads:
            thread.join()


if __name__ == "__main__":
    from benchmarks.table import show

    show(rows(int(sys.argv[1])) if sys.argv[1:] else rows())
