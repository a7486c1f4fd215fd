"""Sweeps and their jobs are added, in one transaction."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, cast
from uuid import uuid4

from sqlalchemy import Table, and_, func, insert, select
from sqlalchemy.orm import Session

from tvb_batch.models.catalogue.base import BATCH, JOB, Database, is_sqlite, now
from tvb_batch.models.catalogue.database import driver_errors
from tvb_batch.models.catalogue.filter_sql import TEXT_LETTERS
from tvb_batch.models.catalogue.reuse import ReusableJobs
from tvb_batch.models.catalogue.status import Status
from tvb_batch.models.catalogue.tables import Job, JobParameter, Sweep, SweepParameter
from tvb_batch.models.spec.simulation import ANNOTATION, MEASURING
from tvb_batch.models.spec.sweep import SweepSpec

_JOB_PARAMETER = cast("Table", JobParameter.__table__)

#: Steps of a long job: from about ten seconds in the compiled engine, and ten minutes in TVB's own loop.
LONG_STEPS = 1_000_000


class Submission(Database):
    """What a client writes."""

    def add_sweep(
        self, spec: SweepSpec, *, reuse: bool = True, priority: int = 0, note: Callable[[str], None] = lambda line: None
    ) -> Sweep:
        """Add a sweep and all its jobs in one transaction; rows are streamed.

        Parameters
        ----------
        reuse : a job whose simulation has finished before, with the same tvb-library and the same sources of the user's
            modules, is FINISHED at once and shares its files; all others are PENDING
        priority : jobs of sweeps with a higher priority start first
        note : called with a line for the user after the commit

        Raises
        ------
        SpecError
            This process has imported a class from a source that was edited since.
        """
        reusable = ReusableJobs(spec)

        def work(session: Session) -> Sweep:
            sweep = Sweep(
                gid=uuid4(), name=spec.name, created_at=now(), size=spec.size,
                base=spec.base.canonical(), plan=dict(spec.plan),
                priority=priority, is_paused=False, queue=_queue(spec), sources=reusable.submitted or None,
            )  # fmt: skip
            session.add(sweep)
            session.flush()
            session.add_all(
                SweepParameter(sweep_id=sweep.id, name=name, number=number, text=text)
                for name, (number, text) in ((name, as_columns(value)) for name, value in spec.shared().items())
            )
            session.flush()
            rows = _job_rows(spec, sweep)
            reusable.other.clear()
            while batch := list(islice(rows, BATCH)):
                if reuse:
                    _reuse(session, sweep, [row for row, _ in batch], reusable)
                _insert_jobs(session, batch)
            return sweep

        sweep = self._once(work)
        for line in reusable.notes():
            note(line)
        return sweep


def _queue(spec: SweepSpec) -> str:
    """Return short or long, by the number of steps of one job and, on a surface, its size."""
    base = spec.base
    steps = base.simulation_length / base.integrator["dt"] * (200 if base.surface else 1)
    return "long" if steps > LONG_STEPS else "short"


def _job_rows(spec: SweepSpec, sweep: Sweep) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Yield a job's row and its swept parameters for each point."""
    created = now()
    for point in spec.points():
        row = {
            "gid": uuid4(), "sweep_id": sweep.id, "number": point.number, "repeat": point.repeat,
            "parameters": point.parameters, "parameters_hash": spec.parameters_hash(point), "seed": point.seed,
            "status": Status.PENDING, "attempt": 0, "created_at": created, "progress": 0.0, "cancel_requested": False,
            "finished_at": None, "engine": None, "engine_reason": None, "versions": None, "source_id": None,
        }  # fmt: skip
        yield row, spec.indexed(point)


def _reuse(session: Session, sweep: Sweep, rows: Sequence[dict[str, Any]], reusable: ReusableJobs) -> None:
    """Mark jobs that the same program has finished before, in any sweep with the same annotation and metrics."""
    hashes = [row["parameters_hash"] for row in rows]
    is_finished = and_(Job.status == Status.FINISHED, Job.source_id.is_(None))
    finished: dict[str, list[Job]] = {}
    # Lock the sources: a later deletion waits and gives the files to these jobs; an earlier one is waited for.
    found = select(Job).where(Job.parameters_hash.in_(hashes), is_finished)
    for job in session.scalars(found.with_for_update(read=True, key_share=True, of=Job)):
        finished.setdefault(job.parameters_hash, []).append(job)
    for row in rows:
        if not (candidates := finished.get(row["parameters_hash"])):
            continue
        wanted = _besides_data(sweep.base, row["parameters"])
        alike = [job for job in candidates if _besides_data(job.sweep.base, job.parameters) == wanted]
        source = reusable.find(alike, row["parameters"])
        if source is not None:
            row |= {
                "status": Status.FINISHED, "finished_at": now(), "progress": 1.0, "source_id": source.id,
                "engine": source.engine, "engine_reason": source.engine_reason, "versions": source.versions,
            }  # fmt: skip


def _besides_data(base: Mapping[str, Any], parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return what decides files and metrics but not the data; swept or not.

    A key that an older program did not have is missing, because its rule for the metrics may differ.
    """
    names = ANNOTATION | MEASURING
    return {name: value for name, value in {**base, **parameters}.items() if name in names}


def _insert_jobs(session: Session, batch: Sequence[tuple[dict[str, Any], dict[str, Any]]]) -> None:
    # With known ids the statement is that of one row, which drivers parse once.
    ids = _next_ids(session, len(batch))
    _insert(session, JOB, [{"id": job_id, **row} for job_id, (row, _) in zip(ids, batch, strict=True)])
    rows = [
        {"job_id": job_id, "name": name, "number": number, "text": text}
        for job_id, (_, parameters) in zip(ids, batch, strict=True)
        for name, (number, text) in ((name, as_columns(value)) for name, value in parameters.items())
    ]
    _insert(session, _JOB_PARAMETER, rows)


def _insert(session: Session, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows with equal keys; with COPY on PostgreSQL, which takes half the time of INSERT."""
    if not rows:
        return
    connection = session.connection()
    if is_sqlite(session):
        connection.execute(insert(table), rows)
        return
    kinds = [table.c[name].type.dialect_impl(connection.dialect) for name in rows[0]]
    prepare = [kind.bind_processor(connection.dialect) or _as_it_is for kind in kinds]
    statement = f"COPY {table.name} ({', '.join(rows[0])}) FROM STDIN"
    with driver_errors(connection, statement):
        cursor: Any = connection.connection.cursor()
        with cursor, cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row([do(value) for do, value in zip(prepare, row.values(), strict=True)])


def _as_it_is(value: Any) -> Any:
    return value


def _next_ids(session: Session, count: int) -> Sequence[int]:
    """Reserve ids for new rows; the transaction already holds the write lock."""
    if is_sqlite(session):
        last = session.scalar(select(func.max(Job.id))) or 0
        return range(last + 1, last + 1 + count)
    taken = func.nextval(func.pg_get_serial_sequence("job", "id"))
    return sorted(session.scalars(select(taken).select_from(func.generate_series(1, count).alias())))


def as_columns(value: object) -> tuple[float | None, str | None]:
    """Return the column values of a parameter: a number or a text.

    An array of one element counts as its element, because TVB treats `a: 5` as an array.
    """
    if isinstance(value, list | tuple) and len(value) == 1:
        value = value[0]
    if isinstance(value, bool):
        return None, str(value).lower()
    if isinstance(value, int | float):
        return float(value), None
    return None, str(value)[:TEXT_LETTERS]
