"""What a worker says of the job it has claimed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, cast
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, CursorResult, and_, insert, literal, select, update

from models.catalogue.base import Database, is_due, may_start
from models.database import transact
from models.errors import LeaseLostError
from models.spec import SimulationSpec
from models.status import Status
from models.tables import Attempt, Job, JobMetric, Output

#: What a row forgets when its job waits again.
UNCLAIMED: dict[str, Any] = {
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
    #: The last attempt that saved progress; 0 for none.
    saved_attempt: int
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


class Working(Database):
    """What workers write."""

    def claim(self, gid: UUID, worker: str, lease: timedelta) -> Claim | None:
        """The right to run a PENDING job, or None when it is not PENDING, not due, paused, or not there."""
        token, start = uuid4(), self.clock()
        taken = self._change(
            update(Job)
            .where(Job.gid == gid, Job.status == Status.PENDING, is_due(start), may_start())
            .values(
                status=Status.STARTED, attempt=Job.attempt + 1, claim_token=token, worker=worker, started_at=start,
                not_before=None, finished_at=None, lease_until=start + lease, progress=0.0, error=None, error_type=None,
            )
        )  # fmt: skip
        if not taken:
            return None
        job = self._read(lambda session: session.scalar(select(Job).where(Job.claim_token == token)))
        if job is None:
            return None  # The lease ran out between the two statements.
        spec = SimulationSpec.model_validate(job.sweep.base).with_parameters({**job.parameters, "seed": job.seed})
        return Claim(
            job.gid, job.sweep.gid, token, job.attempt, job.saved_attempt, job.number, job.sweep.size, job.seed,
            spec.canonical_json(),
        )  # fmt: skip

    def heartbeat(self, claim: Claim, progress: float, lease: timedelta) -> bool:
        """Extend the lease; True when a person wants the job canceled.

        Raises
        ------
        LeaseLostError
            The job is no longer this worker's.
        """
        self._change_claimed(claim, progress=progress, lease_until=self.clock() + lease)
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

        ended = self.clock()

        def work() -> None:
            with self._writing() as session:
                hit = session.execute(
                    _claimed(claim).values(
                        status=Status.FINISHED, finished_at=ended, progress=1.0, engine=engine,
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

    def saved(self, claim: Claim) -> None:
        """A later attempt can go on from here: starts that came to nothing are counted anew.

        Raises
        ------
        LeaseLostError
            The job is no longer this worker's.
        """
        self._change_claimed(claim, saved_attempt=Job.attempt)

    def fail(self, claim: Claim, error_type: str, message: str, *, retryable: bool, max_attempts: int) -> Status:
        """PENDING again when the fault may pass and attempts are left, else ERROR; gives which.

        Raises
        ------
        LeaseLostError
            The job is no longer this worker's.
        """
        words = {"error": message, "error_type": error_type}
        left = select(Job.attempt - Job.saved_attempt < max_attempts).where(Job.gid == claim.gid)
        if retryable and self._read(lambda session: session.scalar(left)):
            self._end(claim, "error", message, **UNCLAIMED, **words, status=Status.PENDING)
            return Status.PENDING
        ended = {"finished_at": self.clock(), "claim_token": None, "lease_until": None}
        self._end(claim, "error", message, **words, **ended, status=Status.ERROR)
        return Status.ERROR

    def wait(self, claim: Claim, error_type: str, message: str, pause: timedelta) -> None:
        """PENDING again, not before `pause` is over, as if never started: the fault is not the job's.

        Raises
        ------
        LeaseLostError
            The job is no longer this worker's.
        """
        words = {"error": message, "error_type": error_type, "not_before": self.clock() + pause}
        self._end(claim, "waiting", message, **UNCLAIMED, **words, status=Status.PENDING, attempt=Job.attempt - 1)

    def release(self, claim: Claim) -> None:
        """PENDING again, as if never started: the worker was told to stop."""
        self._end(claim, "given back", None, **UNCLAIMED, status=Status.PENDING, attempt=Job.attempt - 1)

    def canceled(self, claim: Claim) -> None:
        """CANCELED, by the worker that heard of it."""
        ended = {"finished_at": self.clock(), "claim_token": None, "lease_until": None}
        self._end(claim, "canceled", None, **ended, status=Status.CANCELED)

    def _end(self, claim: Claim, outcome: str, why: str | None, **values: Any) -> None:
        """Note how this start ended, and change the row, or neither."""
        moment = self.clock()

        def work() -> None:
            with self._writing() as session:
                session.execute(note_attempts(_is_held(claim), outcome, why, moment))
                if cast("CursorResult[Any]", session.execute(_claimed(claim).values(**values))).rowcount != 1:
                    raise _lost(claim)

        transact(self._engine, work)

    def _change_claimed(self, claim: Claim, **values: Any) -> None:
        if self._change(_claimed(claim).values(**values)) != 1:
            raise _lost(claim)


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


def note_attempts(which: ColumnElement[bool], outcome: str, error: str | None, moment: datetime) -> Any:
    """Note that the running starts of these jobs ended so."""
    words = (literal(moment, Attempt.ended_at.type), literal(outcome), literal(error, Attempt.error.type))
    rows = select(Job.id, Job.attempt, Job.worker, Job.started_at, *words).where(which)
    names = ["job_id", "number", "worker", "started_at", "ended_at", "outcome", "error"]
    return insert(Attempt).from_select(names, rows)


def _is_held(claim: Claim) -> ColumnElement[bool]:
    return and_(Job.gid == claim.gid, Job.claim_token == claim.token, Job.status == Status.STARTED)


def _claimed(claim: Claim) -> Any:
    return update(Job).where(_is_held(claim))


def _lost(claim: Claim) -> LeaseLostError:
    return LeaseLostError(f"job {claim.gid}: no longer this worker's (attempt {claim.attempt})")
