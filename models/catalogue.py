"""Every query and every change of state; nothing else speaks SQL.

Every change of status is one conditional UPDATE that names the state it leaves and is checked to have hit a row. What
a worker writes names its claim's token too, so that one whose lease ran out can change nothing.
"""

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from itertools import islice
from typing import Any, TypeVar, cast
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, CursorResult, Engine, and_, exists, func, insert, or_, select, update
from sqlalchemy.orm import Session

from models.conditions import Condition, as_columns
from models.database import check_revision, connect, transact
from models.errors import LeaseLostError, NotFoundError
from models.spec import ANNOTATION, SimulationSpec
from models.status import Status
from models.sweep import SweepSpec
from models.tables import Job, JobMetric, JobParameter, Output, Sweep, SweepParameter

T = TypeVar("T")
Row = TypeVar("Row", Sweep, Job)

#: Rows of one bulk INSERT.
BATCH = 2000

_OPERATORS = {
    "=": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip

#: What a row forgets when its job waits again.
_UNCLAIMED: dict[str, Any] = {
    "claim_token": None,
    "lease_until": None,
    "published_at": None,
    "started_at": None,
    "finished_at": None,
    "cancel_requested": False,
    "progress": 0.0,
}


@dataclass(frozen=True)
class Claim:
    """One worker's right to run one job once."""

    gid: UUID
    sweep: UUID
    token: UUID
    #: 1 for the first start.
    attempt: int
    number: int
    #: Jobs of the sweep.
    size: int
    seed: int
    #: Canonical JSON of the job's SimulationSpec.
    spec_json: str


@dataclass(frozen=True)
class OutputRecord:
    """One finished file, as its worker reports it."""

    gid: UUID
    monitor: str
    datatype: str
    path: str
    format: str
    bytes: int
    sha256: str
    shape: tuple[int, ...]
    is_nan: bool
    refers_to: tuple[str, ...] = ()
    #: Metrics of its series, by name.
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class SweepSummary:
    """A sweep and how many of its jobs are in which state."""

    sweep: Sweep
    counts: Mapping[Status, int]


class Catalogue:
    """The database of all sweeps. One for each process: `dispose` it before a fork is used."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @classmethod
    def open(cls, url: str, *, create: bool = False) -> "Catalogue":
        """The catalogue at `url`.

        Parameters
        ----------
        create : make the tables, or bring them to this program's revision

        Raises
        ------
        DatabaseRevisionError
            The database is newer, or older and `create` is False.
        CatalogueError
            It cannot be reached.
        """
        engine = connect(url)
        try:
            transact(engine, lambda: check_revision(engine, create=create))
        except BaseException:
            engine.dispose()
            raise
        return cls(engine)

    def dispose(self, *, close: bool = True) -> None:
        """Let go of all connections; with `close=False` those of the parent process stay open, as after a fork."""
        self._engine.dispose(close=close)

    # ------------------------------------------------------------------------------------------------ adding

    def add_sweep(self, spec: SweepSpec, *, reuse: bool = True) -> Sweep:
        """Add a sweep and all its jobs in one transaction; rows are streamed, not gathered.

        Parameters
        ----------
        reuse : a job whose simulation has finished before, with the same tvb-library, is FINISHED at once and shares
            its files; all others are PENDING
        """

        def work() -> Sweep:
            with self._writing() as session:
                sweep = Sweep(
                    gid=uuid4(), name=spec.name, created_at=_now(), size=spec.size,
                    base=spec.base.canonical(), plan=dict(spec.plan),
                )  # fmt: skip
                session.add(sweep)
                session.flush()
                session.add_all(
                    SweepParameter(sweep_id=sweep.id, name=name, number=number, text=text)
                    for name, (number, text) in ((name, as_columns(value)) for name, value in spec.shared().items())
                )
                session.flush()
                rows = _job_rows(spec, sweep)
                while batch := list(islice(rows, BATCH)):
                    if reuse:
                        _reuse(session, sweep, [row for row, _ in batch])
                    _insert_jobs(session, batch)
                return sweep

        return transact(self._engine, work)

    # ---------------------------------------------------------------------------------------------- messages

    def unpublished(self, limit: int, *, older_than: timedelta | None = None) -> list[UUID]:
        """PENDING jobs without a message, oldest sweep first.

        Parameters
        ----------
        older_than : those instead whose message was sent longer ago than this
        """
        wanted = Job.published_at.is_(None) if older_than is None else Job.published_at < _now() - older_than
        query = select(Job.gid).where(Job.status == Status.PENDING, wanted).order_by(Job.id).limit(limit)
        return self._read(lambda session: list(session.scalars(query)))

    def mark_published(self, gids: Sequence[UUID]) -> None:
        """Their messages were sent just now."""
        for start in range(0, len(gids), BATCH):
            batch = gids[start : start + BATCH]
            self._change(
                update(Job).where(Job.gid.in_(batch), Job.status == Status.PENDING).values(published_at=_now())
            )

    # --------------------------------------------------------------------------------------- a worker's words

    def claim(self, gid: UUID, worker: str, lease: timedelta) -> Claim | None:
        """The right to run a PENDING job, or None when it is not PENDING or not there."""
        token, now = uuid4(), _now()
        taken = self._change(
            update(Job)
            .where(Job.gid == gid, Job.status == Status.PENDING)
            .values(
                status=Status.STARTED, attempt=Job.attempt + 1, claim_token=token, worker=worker, started_at=now,
                finished_at=None, lease_until=now + lease, progress=0.0, error=None, error_type=None,
            )
        )  # fmt: skip
        if not taken:
            return None
        job = self._read(lambda session: session.scalar(select(Job).where(Job.claim_token == token)))
        if job is None:
            return None  # The lease ran out between the two statements.
        spec = SimulationSpec.model_validate(job.sweep.base).with_parameters({**job.parameters, "seed": job.seed})
        return Claim(
            job.gid, job.sweep.gid, token, job.attempt, job.number, job.sweep.size, job.seed, spec.canonical_json()
        )

    def heartbeat(self, claim: Claim, progress: float, lease: timedelta) -> bool:
        """Extend the lease; True when a person wants the job canceled.

        Raises
        ------
        LeaseLostError
            The job is no longer this worker's.
        """
        self._change_claimed(claim, progress=progress, lease_until=_now() + lease)
        wanted = select(Job.cancel_requested).where(Job.gid == claim.gid)
        return bool(self._read(lambda session: session.scalar(wanted)))

    def finish(
        self, claim: Claim, outputs: Sequence[OutputRecord], *, engine: str, versions: Mapping[str, str],
        engine_reason: str = "",
    ) -> None:  # fmt: skip
        """FINISHED, with the files, in one transaction.

        Raises
        ------
        LeaseLostError
            The job is no longer this worker's; nothing was written.
        """

        def work() -> None:
            with self._writing() as session:
                hit = session.execute(
                    _claimed(claim).values(
                        status=Status.FINISHED, finished_at=_now(), progress=1.0, engine=engine,
                        engine_reason=engine_reason or None,
                        versions=dict(versions), claim_token=None, lease_until=None, cancel_requested=False,
                    )
                )  # fmt: skip
                if cast("CursorResult[Any]", hit).rowcount != 1:
                    raise _lost(claim)
                job_id = session.scalar(select(Job.id).where(Job.gid == claim.gid))
                rows = [_output_row(output, job_id) for output in outputs]
                if rows:
                    session.execute(insert(Output), rows)
                metrics = [{"job_id": job_id, "name": name, "number": value} for name, value in _metrics(outputs)]
                if metrics:
                    session.execute(insert(JobMetric), metrics)

        transact(self._engine, work)

    def fail(self, claim: Claim, error_type: str, message: str, *, retryable: bool, max_attempts: int) -> Status:
        """PENDING again when the fault may pass and attempts are left, else ERROR; gives which.

        Raises
        ------
        LeaseLostError
            The job is no longer this worker's.
        """
        words = {"error": message, "error_type": error_type}
        if retryable and claim.attempt < max_attempts:
            self._change_claimed(claim, **_UNCLAIMED, **words, status=Status.PENDING)
            return Status.PENDING
        self._change_claimed(
            claim, **words, status=Status.ERROR, finished_at=_now(), claim_token=None, lease_until=None
        )
        return Status.ERROR

    def release(self, claim: Claim) -> None:
        """PENDING again, as if never started: the worker was told to stop."""
        self._change_claimed(claim, **_UNCLAIMED, status=Status.PENDING, attempt=Job.attempt - 1)

    def canceled(self, claim: Claim) -> None:
        """CANCELED, by the worker that heard of it."""
        self._change_claimed(claim, status=Status.CANCELED, finished_at=_now(), claim_token=None, lease_until=None)

    # -------------------------------------------------------------------------------------- a person's words

    def cancel(self, *, sweep: UUID | None = None, job: UUID | None = None) -> int:
        """Cancel waiting jobs at once and running ones at their next chunk; gives how many of both."""
        target = _target(sweep, job)
        waiting = self._change(
            update(Job)
            .where(target, Job.status == Status.PENDING)
            .values(status=Status.CANCELED, finished_at=_now(), published_at=None)
        )
        running = update(Job).where(target, Job.status == Status.STARTED, Job.cancel_requested.is_(False))
        return waiting + self._change(running.values(cancel_requested=True))

    def retry(self, *, sweep: UUID | None = None, job: UUID | None = None) -> int:
        """Failed and canceled jobs wait again, with all their attempts; gives how many."""
        ended = Job.status.in_([Status.ERROR, Status.CANCELED])
        again = update(Job).where(_target(sweep, job), ended)
        return self._change(again.values(**_UNCLAIMED, status=Status.PENDING, attempt=0, error=None, error_type=None))

    def expire(self, *, max_attempts: int) -> int:
        """Take jobs from workers whose lease ran out; gives how many.

        They wait again, end in ERROR when their attempts are used up, or are CANCELED when that was asked for.
        """
        dead = and_(Job.status == Status.STARTED, Job.lease_until < _now())
        if not self._read(lambda session: session.scalar(select(exists().where(dead)))):
            return 0
        gone = "its worker was not heard of again: killed, out of memory, or cut off"
        canceled = self._change(
            update(Job)
            .where(dead, Job.cancel_requested)
            .values(status=Status.CANCELED, finished_at=_now(), claim_token=None, lease_until=None)
        )
        hopeless = self._change(
            update(Job)
            .where(dead, Job.attempt >= max_attempts)
            .values(
                status=Status.ERROR, finished_at=_now(), claim_token=None, lease_until=None,
                error=f"{gone}, {max_attempts} times; look at its memory, then `tvb-batch retry`",
                error_type="WorkerLost",
            )
        )  # fmt: skip
        again = self._change(
            update(Job).where(dead).values(**_UNCLAIMED, status=Status.PENDING, error=gone, error_type="WorkerLost")
        )
        return canceled + hopeless + again

    # ---------------------------------------------------------------------------------------------- looking

    def sweeps(self, limit: int = 100) -> list[SweepSummary]:
        """Sweeps, newest first."""

        def work(session: Session) -> list[SweepSummary]:
            found = list(session.scalars(select(Sweep).order_by(Sweep.id.desc()).limit(limit)))
            counted = (
                select(Job.sweep_id, Job.status, func.count())
                .where(Job.sweep_id.in_([sweep.id for sweep in found]))
                .group_by(Job.sweep_id, Job.status)
            )
            counts: dict[int, dict[Status, int]] = {}
            for sweep_id, status, count in session.execute(counted):
                counts.setdefault(sweep_id, {})[status] = count
            return [SweepSummary(sweep, counts.get(sweep.id, {})) for sweep in found]

        return self._read(work)

    def counts(self, sweep: UUID) -> dict[Status, int]:
        """How many jobs of a sweep are in which state."""
        query = select(Job.status, func.count()).where(_target(sweep, None)).group_by(Job.status)
        return self._read(lambda session: dict(session.execute(query).all()))

    def jobs(
        self, *, sweep: UUID | None = None, status: Status | None = None, where: Sequence[Condition] = (),
        limit: int = 100, offset: int = 0,
    ) -> list[Job]:  # fmt: skip
        """Jobs that fit all of the filters, newest sweep first, in the order of its points."""
        query = select(Job).where(*_filters(sweep, status, where))
        query = query.order_by(Job.sweep_id.desc(), Job.number).limit(limit).offset(offset)
        return self._read(lambda session: list(session.scalars(query)))

    def count(self, *, sweep: UUID | None = None, status: Status | None = None, where: Sequence[Condition] = ()) -> int:
        """How many jobs fit all of the filters."""
        query = select(func.count(Job.id)).where(*_filters(sweep, status, where))
        return self._read(lambda session: session.scalar(query) or 0)

    def outputs(self, jobs: Sequence[UUID]) -> list[Output]:
        """The files of jobs, in the order of the jobs' points and their monitors."""

        def work(session: Session) -> list[Output]:
            found: list[Output] = []
            for start in range(0, len(jobs), BATCH):
                owner = func.coalesce(Job.source_id, Job.id)
                query = select(Output).join(Job, owner == Output.job_id)
                query = query.where(Job.gid.in_(jobs[start : start + BATCH]))
                found += session.scalars(query.order_by(Job.id, Output.id))
            return found

        return self._read(work)

    def metrics(self, jobs: Sequence[UUID]) -> dict[UUID, dict[str, float]]:
        """The metrics of jobs, by name."""

        def work(session: Session) -> dict[UUID, dict[str, float]]:
            found: dict[UUID, dict[str, float]] = {gid: {} for gid in jobs}
            for start in range(0, len(jobs), BATCH):
                query = select(Job.gid, JobMetric.name, JobMetric.number)
                query = query.join(JobMetric, func.coalesce(Job.source_id, Job.id) == JobMetric.job_id)
                for gid, name, number in session.execute(query.where(Job.gid.in_(jobs[start : start + BATCH]))):
                    found[gid][name] = number
            return found

        return self._read(work)

    def find(self, key: str) -> Job | Sweep:
        """The sweep or the job with this gid, beginning of a gid, or name.

        Raises
        ------
        NotFoundError
            There is none, or more than one.
        """
        try:
            return self.find_sweep(key)
        except NotFoundError as no_sweep:
            try:
                return self.find_job(key)
            except NotFoundError:
                raise no_sweep from None

    def find_sweep(self, key: str) -> Sweep:
        """The sweep with this gid, beginning of a gid, or name; of several with one name the newest."""
        by_gid = self._by_gid(Sweep, key)
        if by_gid is not None:
            return by_gid
        newest = select(Sweep).where(Sweep.name == key).order_by(Sweep.id.desc()).limit(1)
        found = self._read(lambda session: session.scalar(newest))
        if found is None:
            raise NotFoundError(f"{key}: no sweep or job has this name or gid; `tvb-batch sweeps` lists what there is")
        return found

    def find_job(self, key: str) -> Job:
        """The job with this gid or beginning of a gid."""
        found = self._by_gid(Job, key)
        if found is None:
            raise NotFoundError(f"{key}: no job has this gid; `tvb-batch list` lists what there is")
        return found

    def _by_gid(self, table: type[Row], key: str) -> Row | None:
        digits = key.replace("-", "").lower()
        if not 4 <= len(digits) <= 32 or set(digits) - set("0123456789abcdef"):
            return None
        low, high = UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f"))
        query = select(table).where(table.gid >= low, table.gid <= high).limit(2)
        found = self._read(lambda session: list(session.scalars(query)))
        if len(found) > 1:
            raise NotFoundError(f"{key}: more than one gid begins so; type more of it")
        return found[0] if found else None

    # ---------------------------------------------------------------------------------------------- plumbing

    @contextmanager
    def _writing(self) -> Iterator[Session]:
        """A session whose transaction takes the write lock at its start; committed at the end of the block."""
        writer = self._engine.execution_options(writes=True)
        with Session(writer, expire_on_commit=False) as session, session.begin():
            yield session

    def _read(self, work: Callable[[Session], T]) -> T:
        def transaction() -> T:
            with Session(self._engine, expire_on_commit=False) as session:
                return work(session)

        return transact(self._engine, transaction)

    def _change(self, statement: Any) -> int:
        def transaction() -> int:
            with self._writing() as session:
                result = session.execute(statement, execution_options={"synchronize_session": False})
                return int(cast("CursorResult[Any]", result).rowcount)

        return transact(self._engine, transaction)

    def _change_claimed(self, claim: Claim, **values: Any) -> None:
        if self._change(_claimed(claim).values(**values)) != 1:
            raise _lost(claim)


def _now() -> datetime:
    return datetime.now(UTC)


def _job_rows(spec: SweepSpec, sweep: Sweep) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """A job's row and its swept parameters, one pair for each point."""
    created = _now()
    for point in spec.points():
        row = {
            "gid": uuid4(), "sweep_id": sweep.id, "number": point.number, "repeat": point.repeat,
            "parameters": point.parameters, "parameters_hash": spec.parameters_hash(point), "seed": point.seed,
            "status": Status.PENDING, "attempt": 0, "created_at": created, "progress": 0.0, "cancel_requested": False,
            "finished_at": None, "engine": None, "engine_reason": None, "versions": None, "source_id": None,
        }  # fmt: skip
        yield row, spec.indexed(point)


def _reuse(session: Session, sweep: Sweep, rows: Sequence[dict[str, Any]]) -> None:
    """Mark the jobs that have finished before, in any sweep that annotates its files alike."""
    hashes = [row["parameters_hash"] for row in rows]
    is_finished = and_(Job.status == Status.FINISHED, Job.source_id.is_(None))
    finished = session.scalars(select(Job).where(Job.parameters_hash.in_(hashes), is_finished))
    library = version("tvb-library")
    sources = {job.parameters_hash: job for job in finished if _is_alike(job, sweep, library)}
    for row in rows:
        source = sources.get(row["parameters_hash"])
        if source is not None:
            row |= {
                "status": Status.FINISHED, "finished_at": _now(), "progress": 1.0, "source_id": source.id,
                "engine": source.engine, "engine_reason": source.engine_reason, "versions": source.versions,
            }  # fmt: skip


def _is_alike(job: Job, sweep: Sweep, library: str) -> bool:
    is_same_library = (job.versions or {}).get("tvb-library") == library
    return is_same_library and all(job.sweep.base[name] == sweep.base[name] for name in ANNOTATION)


def _insert_jobs(session: Session, batch: Sequence[tuple[dict[str, Any], dict[str, Any]]]) -> None:
    ids = session.scalars(insert(Job).returning(Job.id, sort_by_parameter_order=True), [row for row, _ in batch])
    rows = [
        {"job_id": job_id, "name": name, "number": number, "text": text}
        for job_id, (_, parameters) in zip(ids, batch, strict=True)
        for name, (number, text) in ((name, as_columns(value)) for name, value in parameters.items())
    ]
    if rows:
        session.execute(insert(JobParameter), rows)


def _output_row(output: OutputRecord, job_id: int | None) -> dict[str, Any]:
    row = {name: value for name, value in vars(output).items() if name != "metrics"}
    return {**row, "job_id": job_id, "shape": list(output.shape), "refers_to": list(output.refers_to)}


def _metrics(outputs: Sequence[OutputRecord]) -> Iterator[tuple[str, float]]:
    """Every metric by its name with its monitor's place, and those of the first monitor by their names alone too."""
    for index, output in enumerate(outputs):
        for name, value in output.metrics.items():
            yield f"monitors[{index}].{name}", value
            if not index:
                yield name, value


def _claimed(claim: Claim) -> Any:
    return update(Job).where(Job.gid == claim.gid, Job.claim_token == claim.token, Job.status == Status.STARTED)


def _lost(claim: Claim) -> LeaseLostError:
    return LeaseLostError(f"job {claim.gid}: no longer this worker's (attempt {claim.attempt})")


def _target(sweep: UUID | None, job: UUID | None) -> ColumnElement[bool]:
    if job is not None:
        return Job.gid == job
    return Job.sweep_id == select(Sweep.id).where(Sweep.gid == sweep).scalar_subquery()


def _filters(sweep: UUID | None, status: Status | None, where: Sequence[Condition]) -> list[ColumnElement[bool]]:
    filters = [_fits(condition) for condition in where]
    if sweep is not None:
        filters.append(_target(sweep, None))
    if status is not None:
        filters.append(Job.status == status)
    return filters


def _fits(condition: Condition) -> ColumnElement[bool]:
    """Jobs whose own parameter or metric fits, or whose sweep's parameter does where the job has none of that name."""
    own = select(JobParameter.job_id).where(JobParameter.name == condition.name, _compares(JobParameter, condition))
    shared = select(SweepParameter.sweep_id).where(
        SweepParameter.name == condition.name, _compares(SweepParameter, condition)
    )
    fitting = [Job.id.in_(own), Job.sweep_id.in_(shared)]
    if isinstance(condition.value, float):
        compare = _OPERATORS[condition.operator]
        measured = select(JobMetric.job_id).where(
            JobMetric.name == condition.name, compare(JobMetric.number, condition.value)
        )
        fitting.append(func.coalesce(Job.source_id, Job.id).in_(measured))
    return or_(*fitting)


def _compares(table: Any, condition: Condition) -> ColumnElement[bool]:
    column = table.number if isinstance(condition.value, float) else table.text
    result: ColumnElement[bool] = _OPERATORS[condition.operator](column, condition.value)
    return result
