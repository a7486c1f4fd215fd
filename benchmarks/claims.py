"""Jobs per second that workers claim and finish, and the cost of a job for the database server.

python -m benchmarks.claims [JOBS]

A claimer asks for a job without a message, as a process does after a short job, and finishes it at once with one file
and two metrics; nothing is simulated. 64 claimers are 4 processes with 16 threads, each with its own connection. The
cost is the processor time of all PostgreSQL processes. The sweep has 60,000 jobs.
"""

import multiprocessing
import sys
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from sqlalchemy import text

from benchmarks.catalogue import databases, submit
from benchmarks.postgres import processor_time
from benchmarks.table import FASTER, TIME, Row
from tvb_batch.models.catalogue import Catalogue, OutputRecord

#: Processes and the threads of each, by how many claimers they are; the first is the baseline.
CLAIMERS = {1: (1, 1), 64: (4, 16)}
#: Before it is measured, a claimer has done so many: PostgreSQL plans a statement for all values at the sixth time, and
#: the driver prepares it at the fifth.
WARM = 12
SECONDS, TURNS = 5.0, 3
LEASE = timedelta(minutes=2)
VERSIONS = {"tvb-library": "2.10", "numpy": "2.0.0"}


def rows(jobs: int = 60_000, seconds: float = SECONDS, turns: int = TURNS) -> Iterator[Row]:
    """Yield the rate of many claimers and their cost for the server, for each database."""
    with databases() as found:
        for database, url in found.items():
            postmaster = _prepared(url, jobs)
            one, many = (list(column) for column in zip(*(
                [_measured(url, postmaster, *shape, seconds) for shape in CLAIMERS.values()] for _ in range(turns)
            ), strict=True))  # fmt: skip
            few, name = "1 claimer", f"{database}: {max(CLAIMERS)} claimers"
            for index, (what, unit, sense) in enumerate(MEASURED[: 1 + bool(postmaster)]):
                ours, theirs = ([turn[index] for turn in column] for column in (many, one))
                yield Row("claims", f"{name}: {what}", few, unit, ours, theirs, sense, f"of {jobs:,} jobs")


#: What `_measured` gives.
MEASURED = (("claim and finish", "jobs/s", FASTER), ("server's processor per job", "ms", TIME))


def _prepared(url: str, jobs: int) -> int:
    """Make the sweep; return the server's process id, 0 without a server."""
    catalogue = Catalogue.open(url, create=True)
    submit(catalogue, jobs)
    with catalogue._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        is_sqlite = connection.dialect.name == "sqlite"
        connection.execute(text("ANALYZE" if is_sqlite else "VACUUM ANALYZE"))
        directory = "" if is_sqlite else connection.scalar(text("SHOW data_directory"))
    catalogue.dispose()
    if not directory:
        return 0
    return int(Path(directory, "postmaster.pid").read_text().split()[0])


def _measured(url: str, postmaster: int, processes: int, threads: int, seconds: float) -> tuple[float, float]:
    """Return the jobs per second, and the server's milliseconds for each."""
    context = multiprocessing.get_context("spawn")
    barrier, counts = context.Barrier(processes + 1), context.Queue()
    program = (url, threads, seconds, barrier, counts)
    started = [context.Process(target=_claim_all, args=program) for _ in range(processes)]
    for process in started:
        process.start()
    barrier.wait()
    before, begun = processor_time(postmaster) if postmaster else 0.0, time.monotonic()
    done = sum(counts.get() for _ in started)
    elapsed, taken = time.monotonic() - begun, (processor_time(postmaster) if postmaster else 0.0) - before
    barrier.wait()  # Their connections stay open until the server's time is read.
    for process in started:
        process.join()
    return done / elapsed, 1000 * taken / done


def _claim_all(url: str, threads: int, seconds: float, barrier: Any, counts: Any) -> None:
    catalogues = [Catalogue.open(url) for _ in range(threads)]
    for catalogue in catalogues:
        for _ in range(WARM):
            _claim_one(catalogue, "host:0")
    done: list[int] = []
    barrier.wait()
    until = time.monotonic() + seconds

    def claim(catalogue: Catalogue, worker: str) -> None:
        while time.monotonic() < until:
            _claim_one(catalogue, worker)
            done.append(1)

    claimers = [
        threading.Thread(target=claim, args=(catalogue, f"host:{index}")) for index, catalogue in enumerate(catalogues)
    ]
    for thread in claimers:
        thread.start()
    for thread in claimers:
        thread.join()
    counts.put(len(done))
    barrier.wait()
    for catalogue in catalogues:
        catalogue.dispose()


def _claim_one(catalogue: Catalogue, worker: str) -> None:
    claim = catalogue.claim_fairly(None, worker, LEASE)
    assert claim is not None, "no job waits any more: measure a larger sweep"
    output = OutputRecord(
        uuid4(), "TemporalAverage", "TimeSeriesRegion", f"outputs/{claim.gid.hex}.h5", "tvb2", 1_000, "0" * 64,
        (100, 2, 76, 1), is_nan=False, metrics={"GlobalVariance": 0.5, "KuramotoIndex": 0.25},
    )  # fmt: skip
    catalogue.finish(claim, [output], engine="compiled", versions=VERSIONS)


if __name__ == "__main__":
    from benchmarks.table import show

    show(rows(int(sys.argv[1])) if sys.argv[1:] else rows())
