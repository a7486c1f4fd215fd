"""Speed of submitting and deleting jobs, and of queries at 1,000,000 jobs, on SQLite and PostgreSQL.

python -m benchmarks.catalogue [JOBS]

Submitting includes all of `add_sweep`: checks, seeds, hashes, rows and the commit. Its baseline is submitting jobs one
at a time; the baseline of a query is finding one job by its gid; both on the same database. Nine of ten jobs are
finished, each with a metric.
"""

import contextlib
import math
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from sqlalchemy import text

from benchmarks.postgres import Postgres, binaries
from benchmarks.table import FASTER, TIME, TURNS, Row, in_turns, show, timed
from tvb_batch.models.catalogue import Catalogue
from tvb_batch.models.catalogue.status import Status
from tvb_batch.models.catalogue.tables import Job, Sweep
from tvb_batch.models.spec.simulation import SimulationSpec
from tvb_batch.models.spec.sweep import SweepSpec

#: Jobs of the submissions.
SIZES = (10_000, 100_000)
ONE_BY_ONE = "jobs submitted one at a time"
SUBMITTED = "as many jobs submitted"
SPEC = {
    "simulation_length": 100.0,
    "model": {"class": "Generic2dOscillator"},
    "coupling": {"class": "Linear"},
    "integrator": {"class": "HeunDeterministic", "dt": 0.5},
    "monitors": [{"class": "TemporalAverage", "period": 1.0}],
}

#: Finished jobs with a worker, a file's metric and times, made by the database itself.
FINISH = (
    "UPDATE job SET status = 'FINISHED', worker = 'host:1', engine = 'compiled', progress = 1.0, attempt = 1, "
    "published_at = created_at, started_at = created_at, finished_at = created_at WHERE id % 10 > 0",
    "INSERT INTO job_metric (job_id, name, number) SELECT id, 'GlobalVariance', "
    "(CAST(id AS BIGINT) * 7919 % 999983) / 999983.0 "
    "FROM job WHERE status = 'FINISHED'",
)


def sweep(jobs: int, name: str) -> SweepSpec:
    """Return a sweep over a plane of two parameters."""
    side = min(jobs, 100)
    plan = {"coupling.a": [k / side for k in range(side)], "model.tau": [1 + k / 1e4 for k in range(jobs // side)]}
    return SweepSpec(name=name, base=SimulationSpec.model_validate(SPEC), plan=plan)


@contextlib.contextmanager
def databases() -> Iterator[dict[str, str]]:
    """Yield the URL of an empty database, by name."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
        found = {"SQLite": f"sqlite:///{directory}/catalogue.db"}
        if binaries() is None:
            print("PostgreSQL is not installed: its rows are left out", file=sys.stderr)
            yield found
            return
        server = Postgres(Path(directory) / "pg")
        try:
            server.start()
            yield found | {"PostgreSQL": server.url}
        finally:
            server.kill()


def submit(catalogue: Catalogue, jobs: int) -> float:
    """Return the jobs per second of one submission."""
    return 1000 * jobs / timed(catalogue.add_sweep, sweep(jobs, f"{jobs} jobs"))


def delete(catalogue: Catalogue, jobs: int) -> float:
    """Return the jobs per second of deleting one sweep."""
    made = catalogue.add_sweep(sweep(jobs, "doomed"))
    return 1000 * jobs / timed(lambda: catalogue.delete(sweep=made.gid))


def fill(catalogue: Catalogue, jobs: int) -> None:
    """Copy the last sweep's rows until there are enough jobs, then set most of them to FINISHED."""
    with catalogue._writing() as session:
        [source, size] = session.execute(text("SELECT id, size FROM sweep ORDER BY id DESC LIMIT 1")).one()
        have = session.scalar(text("SELECT count(*) FROM job")) or 0
        first = session.scalar(text("SELECT min(id) FROM job WHERE sweep_id = :s"), {"s": source})
        is_sqlite = session.get_bind().dialect.name == "sqlite"
        gid = "lower(hex(randomblob(16)))" if is_sqlite else "gen_random_uuid()"
        last = session.scalar(text("SELECT max(id) FROM job"))
        for copy in range(max(0, math.ceil((jobs - have) / size))):
            new = source + copy + 1
            columns = _columns(Sweep, "id", "gid", "name")
            session.execute(text(
                f"INSERT INTO sweep (id, gid, name, {columns}) SELECT {new}, {gid}, 'copy {copy}', {columns} "
                f"FROM sweep WHERE id = {source}"
            ))  # fmt: skip
            columns = _columns(Job, "id", "gid", "sweep_id")
            session.execute(text(
                f"INSERT INTO job (id, gid, sweep_id, {columns}) SELECT {last + 1} + id - {first}, {gid}, {new}, "
                f"{columns} FROM job WHERE sweep_id = {source}"
            ))  # fmt: skip
            session.execute(text(
                f"INSERT INTO job_parameter (job_id, name, number, text) SELECT {last + 1} + job_id - {first}, name, "
                f"number + {copy + 1}, text FROM job_parameter WHERE job_id >= {first} AND job_id < {first + size}"
            ))  # fmt: skip
            last += size
        for statement in FINISH:
            session.execute(text(statement))
    with catalogue._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        # As PostgreSQL does on its own some time after so many changes.
        connection.execute(text("ANALYZE" if is_sqlite else "VACUUM ANALYZE"))


def _columns(table: type[Sweep | Job], *own: str) -> str:
    return ", ".join(column.name for column in table.__table__.columns if column.name not in own)


def queries(catalogue: Catalogue, job: Job) -> dict[str, Callable[[], object]]:
    """Return the queries of people and pages."""
    newest = catalogue.sweeps(limit=1)[0].sweep
    both = "coupling.a >= 0.9 and GlobalVariance > 0.999"
    return {
        "sweeps with counts": lambda: catalogue.sweeps(limit=20),
        "counts of a sweep": lambda: catalogue.counts(newest.gid),
        "jobs, first page": lambda: catalogue.jobs(limit=50),
        "jobs of a sweep, last page": lambda: catalogue.jobs(sweep=newest.gid, limit=50, offset=newest.size - 50),
        "jobs by status": lambda: catalogue.jobs(status=Status.PENDING, limit=50),
        "count by status": lambda: catalogue.count(status=Status.PENDING),
        "jobs by parameter": lambda: catalogue.jobs(where="coupling.a >= 0.9", limit=50),
        "jobs by metric": lambda: catalogue.jobs(where="GlobalVariance > 0.999", limit=50),
        "jobs by parameter and metric": lambda: catalogue.jobs(where=both, limit=50),
        "count by metric": lambda: catalogue.count(where="GlobalVariance > 0.999"),
        "sorted by metric, of a sweep": lambda: catalogue.jobs(sweep=newest.gid, sort="-GlobalVariance", limit=50),
        "sorted by metric, of all": lambda: catalogue.jobs(sort="-GlobalVariance", limit=50),
        "sorted by parameter, of all": lambda: catalogue.jobs(sort="coupling.a", limit=50),
        "next to publish": lambda: catalogue.unpublished(1000),
        "metrics of a page": lambda: catalogue.metrics([job.gid]),
    }


def rows(jobs: int = 1_000_000, sizes: Sequence[int] = SIZES, turns: int = TURNS) -> Iterator[Row]:
    """Yield a row for each size of a submission and each query, for each database."""
    with databases() as found:
        for database, url in found.items():
            catalogue = Catalogue.open(url, create=True)
            submit(catalogue, 100)  # Warms up.
            for size in sizes:
                rates = in_turns(partial(submit, catalogue, size), partial(submit, catalogue, 1), turns)
                yield Row("catalogue", f"{database}: submit {size:,} jobs", ONE_BY_ONE, "jobs/s", *rates, FASTER)
                rates = in_turns(partial(delete, catalogue, size), partial(submit, catalogue, size), turns)
                yield Row("catalogue", f"{database}: delete {size:,} jobs", SUBMITTED, "jobs/s", *rates, FASTER)
            fill(catalogue, jobs)  # With copies of the last large one.
            job = catalogue.jobs(limit=1)[0]
            look_up = partial(timed, catalogue.find_job, str(job.gid))
            note = f"at {catalogue.count():,} jobs"
            for name, ask in queries(catalogue, job).items():
                times = in_turns(partial(timed, ask), look_up, turns)
                yield Row("catalogue", f"{database}: {name}", "one job by its gid", "ms", *times, TIME, note)
            catalogue.dispose()


if __name__ == "__main__":
    show(rows(int(sys.argv[1])) if sys.argv[1:] else rows())
