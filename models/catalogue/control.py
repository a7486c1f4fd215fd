"""What a person wants of jobs, and what is done with jobs whose worker is gone."""

from uuid import UUID

from sqlalchemy import and_, exists, select, update

from models.catalogue.base import Database, target_of
from models.catalogue.working import UNCLAIMED
from models.status import Status
from models.tables import Job


class Control(Database):
    """Cancel, retry, expire."""

    def cancel(self, *, sweep: UUID | None = None, job: UUID | None = None) -> int:
        """Cancel waiting jobs at once and running ones at their next chunk; gives how many of both."""
        target = target_of(sweep, job)
        waiting = self._change(
            update(Job)
            .where(target, Job.status == Status.PENDING)
            .values(status=Status.CANCELED, finished_at=self.clock(), published_at=None)
        )
        running = update(Job).where(target, Job.status == Status.STARTED, Job.cancel_requested.is_(False))
        return waiting + self._change(running.values(cancel_requested=True))

    def retry(self, *, sweep: UUID | None = None, job: UUID | None = None) -> int:
        """Failed and canceled jobs wait again, with all their attempts; gives how many."""
        ended = Job.status.in_([Status.ERROR, Status.CANCELED])
        again = update(Job).where(target_of(sweep, job), ended)
        return self._change(
            again.values(
                **UNCLAIMED,
                status=Status.PENDING,
                attempt=0,
                saved_attempt=0,
                not_before=None,
                error=None,
                error_type=None,
            )
        )

    def expire(self, *, max_attempts: int) -> int:
        """Take jobs from workers whose lease ran out; gives how many.

        They wait again, end in ERROR when their attempts are used up, or are CANCELED when that was asked for.
        """
        dead = and_(Job.status == Status.STARTED, Job.lease_until < self.clock())
        if not self._read(lambda session: session.scalar(select(exists().where(dead)))):
            return 0
        gone = "its worker was not heard of again: killed, out of memory, or cut off"
        canceled = self._change(
            update(Job)
            .where(dead, Job.cancel_requested)
            .values(status=Status.CANCELED, finished_at=self.clock(), claim_token=None, lease_until=None)
        )
        hopeless = self._change(
            update(Job)
            .where(dead, Job.attempt - Job.saved_attempt >= max_attempts)
            .values(
                status=Status.ERROR, finished_at=self.clock(), claim_token=None, lease_until=None,
                error=f"{gone}, {max_attempts} times; look at its memory, then `tvb-batch retry`",
                error_type="WorkerLost",
            )
        )  # fmt: skip
        again = self._change(
            update(Job).where(dead).values(**UNCLAIMED, status=Status.PENDING, error=gone, error_type="WorkerLost")
        )
        return canceled + hopeless + again
