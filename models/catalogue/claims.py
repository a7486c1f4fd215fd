"""What a worker reads and writes about its claimed job."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, Connection, CursorResult, Engine, and_, func, insert, literal, select, update
from sqlalchemy.orm import Session

from tvb_batch.models.catalogue.base import JOB, Database
from tvb_batch.models.catalogue.statements import (
    ADD_METRICS,
    ADD_OUTPUTS,
    CANCEL_REQUESTED,
    CLAIMED,
    HELD_BY,
    SHARED,
    statements,
)
from tvb_batch.models.catalogue.status import Status
from tvb_batch.models.catalogue.tables import Attempt, Job, Output
from tvb_batch.models.errors import LeaseLostError
from tvb_batch.models.spec.simulation import SimulationSpec, simulation

#: Number of sweeps whose base a worker process caches.
MOST_SWEEPS = 64

#: Columns that are cleared when a job becomes pending again.
UNCLAIMED: dict[str, Any] = {
    "status": Status.PENDING,
    "claim_token": None,
    "lease_until": None,
    "published_at": None,
    "started_at": None,
    "finished_at": None,
    "cancel_requested": False,
    "progress": 0.0,
}


@dataclass(frozen=True)
class Shared:
    """What all jobs of a sweep have in common, and keep as long as it is there."""

    #: Number of jobs.
    size: int
    #: A canonical SimulationSpec.
    base: Mapping[str, Any]
    #: Sources of the user's modules at submission, see `models.own_code.sources`.
    sources: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def spec(self) -> SimulationSpec:
        """What every job starts from; checked once for all of them."""
        return simulation(self.base)


@dataclass(frozen=True)
class Claim:
    """The right of one worker to run one job once."""

    gid: UUID
    #: The id of its row.
    id: int
    sweep: UUID
    token: UUID
    #: 1 for the first start.
    attempt: int
    #: The last attempt that saved progress; 0 for none.
    saved_attempt: int
    number: int
    shared: Shared
    #: The parameters of this job, for `SimulationSpec.with_parameters`.
    parameters: Mapping[str, Any]

    @cached_property
    def spec(self) -> SimulationSpec:
        """The simulation.

        Raises
        ------
        SpecError
            The row was made by another version of this program, or by another program.
        """
        return self.shared.spec.with_parameters(self.parameters)


@dataclass(frozen=True)
class Held:
    """The job that a process is running."""

    claim: Claim
    #: Whether a user has canceled the job.
    is_canceled: bool
    #: Progress at the last heartbeat, 0 to 1.
    progress: float


@dataclass(frozen=True)
class OutputRecord:
    """One finished file, as reported by its worker."""

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
    #: The part at the start that its metrics leave out, ms.
    transient: float = 0.0
    #: Metrics of its series, by name.
    metrics: Mapping[str, float] = field(default_factory=dict)
    #: The reasons for missing metrics, by name.
    missing: Mapping[str, str] = field(default_factory=dict)


class Claims(Database):
    """What workers write."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._known: dict[UUID, Shared] = {}
        self._statements = statements(self._is_sqlite, engine.dialect.update_returning)

    def claim(self, gid: UUID, worker: str, lease: timedelta) -> Claim | None:
        """Claim a PENDING job; return None if it is not PENDING, not due, paused or missing."""
        return self._write(lambda connection: self._take(connection, worker, lease, wanted=gid), is_taken)

    def _take(self, connection: Connection, worker: str, lease: timedelta, **which: Any) -> Claim | None:
        """Claim the job `wanted` (by gid), or the first job of a `sweep` (by row id)."""
        token = uuid4()
        values = {**which, "token": token, "worker": worker, **self._times(lease)}
        statement = self._statements.take if "wanted" in which else self._statements.take_first
        taken = connection.execute(statement, values)
        if taken.returns_rows:
            job = taken.one_or_none()
        else:
            job = connection.execute(CLAIMED, {"token": token}).one() if taken.rowcount else None
        return None if job is None else self._claim_of(connection, job, token)

    def _claim_of(self, connection: Connection, job: Any, token: UUID) -> Claim:
        shared, parameters = self._shared_by(connection, job.sweep), {**job.parameters, "seed": job.seed}
        return Claim(job.gid, job.id, job.sweep, token, job.attempt, job.saved_attempt, job.number, shared, parameters)

    def held(self, worker: str) -> Held | None:
        """Return the job of a worker process, found by the name in the row; None without a job."""

        def work(session: Session) -> Held | None:
            job = session.execute(HELD_BY, {"worker": worker}).first()
            if job is None:
                return None
            claim = self._claim_of(session.connection(), job, job.claim_token)
            return Held(claim, job.cancel_requested, job.progress)

        return self._read(work)

    def _shared_by(self, connection: Connection, sweep: UUID) -> Shared:
        if sweep not in self._known:
            size, base, submitted = connection.execute(SHARED, {"wanted": sweep}).one()
            # A worker runs jobs of few sweeps at a time.
            if len(self._known) == MOST_SWEEPS:
                self._known.clear()
            self._known[sweep] = Shared(size, base, submitted or {})
        return self._known[sweep]

    def heartbeat(self, claim: Claim, progress: float, lease: timedelta) -> bool:
        """Extend the lease; return True if a user wants to cancel the job.

        Raises
        ------
        LeaseLostError
            This worker has lost the job.
        """

        def work(connection: Connection) -> bool:
            values = {"held": claim.id, "token": claim.token, "progress": progress, **self._times(lease)}
            _check_hit(connection.execute(self._statements.hold, values), claim)
            return bool(connection.scalar(CANCEL_REQUESTED, {"held": claim.id}))

        return self._write(work)

    def finish(
        self, claim: Claim, outputs: Sequence[OutputRecord], *, engine: str, versions: Mapping[str, str],
        engine_reason: str = "",
    ) -> None:  # fmt: skip
        """Set FINISHED and add the files in one transaction. A second call changes nothing.

        Raises
        ------
        LeaseLostError
            This worker has lost the job; nothing was written.
        """
        said = {"engine": engine, "engine_reason": engine_reason or None, "versions": dict(versions)}
        rows = [_output_row(index, output, claim.id) for index, output in enumerate(outputs)]
        metrics = [{"job_id": claim.id, "name": name, "number": value} for name, value in _metrics(outputs)]

        def work(connection: Connection) -> None:
            values = {"held": claim.id, "token": claim.token, **said, **self._times()}
            if not self._finish(connection, values, rows, metrics) and not _is_finished(connection, claim, outputs):
                raise _lost(claim)

        self._write(work)

    def _finish(
        self, connection: Connection, values: Mapping[str, Any], rows: Sequence[Any], metrics: Sequence[Any]
    ) -> bool:
        """Change the row and add the related rows, or nothing; return which."""
        if not self._is_sqlite:
            names, numbers = [one["name"] for one in metrics], [one["number"] for one in metrics]
            given = {"outputs": [{**row, "gid": str(row["gid"])} for row in rows], "names": names, "numbers": numbers}
            return bool(connection.scalar(self._statements.finish, {**values, **given}))
        if not connection.execute(self._statements.finish, values).rowcount:
            return False
        if rows:
            connection.execute(ADD_OUTPUTS, rows)
        if metrics:
            connection.execute(ADD_METRICS, metrics)
        return True

    def has_finished(self, claim: Claim, outputs: Sequence[OutputRecord]) -> bool:
        """Return whether `finish` has succeeded; wait for a server that is still committing."""
        return self._write(lambda connection: _is_finished(connection, claim, outputs))

    def saved(self, claim: Claim) -> None:
        """Record that a checkpoint exists: attempts without progress are counted from here.

        Raises
        ------
        LeaseLostError
            This worker has lost the job.
        """
        self._write(lambda connection: _change(connection, claim, saved_attempt=JOB.c.attempt))

    def fail(self, claim: Claim, error_type: str, message: str, *, retryable: bool, max_attempts: int) -> Status:
        """Set PENDING if the error may be temporary and attempts are left, otherwise ERROR; return the new status.

        Raises
        ------
        LeaseLostError
            This worker has lost the job.
        """
        words = {"error": message, "error_type": error_type}
        left = select(Job.attempt - Job.saved_attempt < max_attempts).where(Job.gid == claim.gid)
        if retryable and self._read(lambda session: session.scalar(left)):
            return self._end(claim, "error", message, Status.PENDING, **words)
        return self._end(claim, "error", message, Status.ERROR, **words)

    def wait(self, claim: Claim, error_type: str, message: str, pause: timedelta) -> Status:
        """Set PENDING until `pause` is over, without counting the attempt: the job did not cause the error.

        Returns the new status. Raises the same errors as `fail`.
        """
        words = {"error": message, "error_type": error_type, "not_before": self.lease_clock() + pause}
        return self._end(claim, "postponed", message, Status.PENDING, **words, attempt=Job.attempt - 1)

    def release(self, claim: Claim) -> Status:
        """Set PENDING without counting the attempt: the worker was told to stop.

        Returns the new status. Raises the same errors as `fail`.
        """
        return self._end(claim, "returned", None, Status.PENDING, attempt=Job.attempt - 1)

    def canceled(self, claim: Claim) -> None:
        """Set CANCELED, by the worker that ran the job."""
        self._end(claim, "canceled", None, Status.CANCELED)

    def _end(self, claim: Claim, outcome: str, why: str | None, status: Status, **values: Any) -> Status:
        """Record how the attempt ended and change the row, or neither; return the new status.

        A job that would be PENDING again is CANCELED if a user has requested it, because no worker would see the
        request.
        """
        moment = self.clock()
        held = select(JOB.c.cancel_requested).where(_is_held(claim)).with_for_update()

        def work(session: Session) -> Status:
            wanted = session.execute(held).one_or_none()
            if wanted is None:
                raise _lost(claim)
            session.execute(note_attempts(_is_held(claim), outcome, why, moment))
            if status != Status.PENDING:
                change = {**ended(status, moment), **values}
            elif wanted.cancel_requested:
                change = ended(Status.CANCELED, moment)
            else:
                change = {**UNCLAIMED, **values}
            session.execute(update(JOB).where(_is_held(claim)).values(**change))
            return Status(change["status"])

        return self._once(work)


def ended(status: Status, moment: datetime) -> dict[str, Any]:
    """Return the column values of a job that ended without a result."""
    return {"status": status, "finished_at": moment, "claim_token": None, "lease_until": None}


def is_taken(connection: Connection, claim: Claim | None) -> bool:
    """Return whether the row holds this claim."""
    if claim is None:
        return False
    held = select(JOB.c.claim_token).where(JOB.c.id == claim.id).with_for_update()
    return connection.scalar(held) == claim.token


def _is_finished(connection: Connection, claim: Claim, outputs: Sequence[OutputRecord]) -> bool:
    """Return whether rows name the outputs of this claim; without outputs, whether its attempt finished the job.

    The lock waits for a server that is still committing an earlier try.
    """
    held = select(JOB.c.status, JOB.c.attempt).where(JOB.c.id == claim.id).with_for_update()
    job = connection.execute(held).one_or_none()
    if not outputs:
        return job is not None and (job.status, job.attempt) == (Status.FINISHED, claim.attempt)
    # Find outputs by their gids, which derive from the claim's token: the outputs of a deleted job may belong to
    # another job.
    gids = [output.gid for output in outputs]
    return connection.scalar(select(func.count()).select_from(Output).where(Output.gid.in_(gids))) == len(gids)


def _change(connection: Connection, claim: Claim, **values: Any) -> None:
    _check_hit(connection.execute(update(JOB).where(_is_held(claim)).values(**values)), claim)


def _check_hit(result: CursorResult[Any], claim: Claim) -> None:
    if result.rowcount != 1:
        raise _lost(claim)


def _lost(claim: Claim) -> LeaseLostError:
    return LeaseLostError(f"job {claim.gid}: this worker has lost it (attempt {claim.attempt})")


def _output_row(index: int, output: OutputRecord, job_id: int | None) -> dict[str, Any]:
    row = {name: value for name, value in vars(output).items() if name != "metrics"}
    place = f"monitors[{index}]." if index else ""
    missing = {f"{place}{name}": reason for name, reason in sorted(output.missing.items())}
    lists = {"shape": list(output.shape), "refers_to": list(output.refers_to)}
    return {**row, **lists, "job_id": job_id, "missing": missing or None}


def _metrics(outputs: Sequence[OutputRecord]) -> Iterator[tuple[str, float]]:
    """Every metric by its name with its monitor's place, and those of the first monitor by their names alone too."""
    for index, output in enumerate(outputs):
        for name, value in output.metrics.items():
            yield f"monitors[{index}].{name}", value
            if not index:
                yield name, value


def note_attempts(which: ColumnElement[bool], outcome: str, error: str | None, moment: datetime) -> Any:
    """Record how the running attempts of these jobs ended."""
    words = (literal(moment, Attempt.ended_at.type), literal(outcome), literal(error, Attempt.error.type))
    rows = select(Job.id, Job.attempt, Job.worker, Job.started_at, *words).where(which)
    names = ["job_id", "number", "worker", "started_at", "ended_at", "outcome", "error"]
    return insert(Attempt).from_select(names, rows)


def _is_held(claim: Claim) -> ColumnElement[bool]:
    return and_(JOB.c.id == claim.id, JOB.c.claim_token == claim.token, JOB.c.status == Status.STARTED)
