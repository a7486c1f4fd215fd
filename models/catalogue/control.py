"""Changes of jobs that a user asks for, and recovery of jobs whose worker is dead."""

from collections.abc import Callable
from typing import Any, cast
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    CursorResult,
    and_,
    case,
    delete,
    exists,
    func,
    literal,
    null,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.orm import Session, aliased

from tvb_batch.models.catalogue.base import BATCH, Database, target_of
from tvb_batch.models.catalogue.claims import UNCLAIMED, ended, note_attempts
from tvb_batch.models.catalogue.status import Status
from tvb_batch.models.catalogue.tables import Job, JobMetric, Output, Sweep
from tvb_batch.models.errors import BusyError
from tvb_batch.models.own_code.sources import TVB, differences, submitted


class Control(Database):
    """Cancel, retry, pause, delete and expire jobs."""

    def cancel(self, *, sweep: UUID | None = None, job: UUID | None = None) -> int:
        """Cancel pending jobs at once and running jobs at their next chunk; return the number of both."""
        # One statement for both states, so that a job that changes between them meanwhile is not missed.
        is_waiting = Job.status == Status.PENDING
        asked = update(Job).where(
            target_of(sweep, job), or_(is_waiting, and_(Job.status == Status.STARTED, Job.cancel_requested.is_(False)))
        )
        moment = literal(self.clock(), Job.finished_at.type)
        return self._change(
            asked.values(
                status=case((is_waiting, Status.CANCELED), else_=Job.status),
                finished_at=case((is_waiting, moment), else_=Job.finished_at),
                published_at=case((is_waiting, null()), else_=Job.published_at),
                cancel_requested=case((is_waiting, Job.cancel_requested), else_=true()),
            )
        )

    def retry(
        self, *, sweep: UUID | None = None, job: UUID | None = None, note: Callable[[str], None] = lambda line: None
    ) -> int:
        """Set failed and canceled jobs to PENDING with all their attempts; return how many.

        If the user's modules were edited since the submission, the jobs run with the current files of this machine.

        Parameters
        ----------
        note : called with a line for the user
        """
        self._take_sources(sweep, job, note)
        ended = Job.status.in_([Status.ERROR, Status.CANCELED])
        again = update(Job).where(target_of(sweep, job), ended)
        return self._change(
            again.values(
                **UNCLAIMED,
                attempt=0,
                saved_attempt=0,
                not_before=None,
                error=None,
                error_type=None,
            )
        )

    def _take_sources(self, sweep: UUID | None, job: UUID | None, note: Callable[[str], None]) -> None:
        owner = select(Job.sweep_id).where(target_of(sweep, job))
        query = select(Sweep.id, Sweep.name, Sweep.base, Sweep.plan, Sweep.sources).where(Sweep.id.in_(owner))
        for key, name, base, plan, then in self._read(lambda session: session.execute(query).all()):
            if not then:
                continue
            now = submitted(base, plan)
            # Without the modules, their sources cannot be compared.
            if now.keys() >= then.keys() - {TVB} and now != then:
                self._change(update(Sweep).where(Sweep.id == key).values(sources=now))
                edited = ", ".join(differences(then, now))
                note(f"{name} continues with the modules of this machine, which were not submitted: {edited}")

    def expire(self, *, max_attempts: int) -> int:
        """Take jobs from workers whose lease has expired; return how many.

        They are PENDING again, ERROR if their attempts are used up, or CANCELED if that was requested.
        """
        dead = and_(Job.status == Status.STARTED, Job.lease_until < self.lease_clock())
        if not self._read(lambda session: session.scalar(select(exists().where(dead)))):
            return 0
        moment = self.clock()
        gone = "its worker stopped reporting: killed, out of memory, or disconnected"
        hopeless = f"{gone}, {max_attempts} times; check its memory, then `tvb-batch retry`"

        def work(session: Session) -> int:
            # If several workers find the same dead job, one of them takes it.
            locked = select(Job.id).where(dead).limit(BATCH).with_for_update(skip_locked=True)
            which = and_(Job.id.in_(session.scalars(locked).all()), dead)
            session.execute(note_attempts(which, "lost", gone, moment))
            count = 0
            for narrowed, values in (
                (Job.cancel_requested, ended(Status.CANCELED, moment)),
                (
                    Job.attempt - Job.saved_attempt >= max_attempts,
                    {**ended(Status.ERROR, moment), "error": hopeless, "error_type": "WorkerLost"},
                ),
                (true(), {**UNCLAIMED, "error": gone, "error_type": "WorkerLost"}),
            ):
                change = update(Job).where(which, narrowed).values(**values)
                result = session.execute(change, execution_options={"synchronize_session": False})
                count += int(cast("CursorResult[Any]", result).rowcount)
            return count

        return self._once(work)

    def pause(self, sweep: UUID) -> None:
        """Start no more pending jobs of the sweep until `resume`; running jobs continue."""
        self._change(update(Sweep).where(Sweep.gid == sweep).values(is_paused=True))

    def resume(self, sweep: UUID) -> None:
        """Start the pending jobs of a paused sweep again."""
        started = update(Sweep).where(Sweep.gid == sweep).values(is_paused=False)
        # Their messages were dropped while the sweep was paused.
        wanted = update(Job).where(target_of(sweep, None), Job.status == Status.PENDING).values(published_at=None)

        def work(session: Session) -> None:
            for statement in (started, wanted):
                session.execute(statement, execution_options={"synchronize_session": False})

        self._once(work)

    def prioritize(self, sweep: UUID, priority: int) -> None:
        """Set the priority of a sweep; jobs of a higher priority start first."""
        self._change(update(Sweep).where(Sweep.gid == sweep).values(priority=priority))

    def delete(self, *, sweep: UUID | None = None, job: UUID | None = None) -> list[str]:
        """Delete jobs, and their sweep after its last job; return relative paths of files that no row names any more.

        Files that jobs of other sweeps share stay and belong to these jobs afterwards.

        Raises
        ------
        BusyError
            A job is running; nothing was removed.
        """
        target = target_of(sweep, job)

        def work(session: Session) -> list[str]:
            locked = select(Job.id, Job.status, Job.sweep_id).where(target).with_for_update()
            found = session.execute(locked).all()
            running = sum(status == Status.STARTED for _, status, _ in found)
            if running:
                raise BusyError(f"{running} of these jobs are running; `tvb-batch cancel` them first, then delete")
            doomed = select(Job.id).where(target)
            _hand_over(session, lambda table: target_of(sweep, job, table))
            files = list(session.scalars(select(Output.path).where(Output.job_id.in_(doomed))))
            session.execute(delete(Job).where(target), execution_options={"synchronize_session": False})
            emptied = Sweep.gid == sweep if sweep else Sweep.id.in_({sweep_id for *_, sweep_id in found})
            session.execute(
                update(Sweep).where(emptied).values(size=Sweep.size - len(found)),
                execution_options={"synchronize_session": False},
            )
            left = select(Job.id).where(Job.sweep_id == Sweep.id)
            session.execute(
                delete(Sweep).where(emptied, ~exists(left)), execution_options={"synchronize_session": False}
            )
            return files

        return self._once(work)


def _hand_over(session: Session, is_doomed: Callable[[Any], ColumnElement[bool]]) -> None:
    """Give the files and metrics of deleted jobs to the first other job that shares them.

    It uses a few statements for all jobs: a sweep of a hundred thousand jobs may share every file.
    """
    source, sharing = aliased(Job), aliased(Job)
    doomed = select(source.id).where(is_doomed(source))
    outside = and_(sharing.source_id.in_(doomed), ~is_doomed(sharing))

    def heir_of(owner: Any) -> Any:
        return select(func.min(sharing.id)).where(sharing.source_id == owner, ~is_doomed(sharing)).scalar_subquery()

    statements: list[Any] = [
        update(table)
        .where(table.job_id.in_(select(sharing.source_id).where(outside)))
        .values(job_id=heir_of(table.job_id))
        for table in (Output, JobMetric)
    ]
    others = and_(Job.source_id.in_(doomed), ~is_doomed(Job), Job.id != heir_of(Job.source_id))
    statements += [
        # The new owners keep `source_id` until all other jobs have found them through it.
        update(Job).where(others).values(source_id=heir_of(Job.source_id)),
        # New owners, and deleted jobs that share with each other, have no source now.
        update(Job).where(Job.source_id.in_(doomed)).values(source_id=None),
    ]
    for statement in statements:
        session.execute(statement, execution_options={"synchronize_session": False})
