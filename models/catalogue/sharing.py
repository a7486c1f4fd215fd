"""Which waiting job comes next: the order of messages, and the fair share of sweeps at each claim.

A message says that there is work, and names a job. The worker that takes it starts that job, unless another sweep has
a better right to the free process: one of higher priority, or of equal priority with fewer running jobs. So a sweep of
ten jobs does not wait for one of ten thousand whose messages were sent before. After a short job the worker asks for
the next without a message.
"""

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, and_, exists, func, select, update
from sqlalchemy.orm import Session

from models.catalogue.base import JOB, is_due, may_start
from models.catalogue.statements import RUNNING, SWEEP_OF, UNPUBLISH
from models.catalogue.working import Claim, Working, is_taken
from models.status import Status
from models.tables import Job, Sweep

#: For how long a worker process believes that it knows which sweeps have waiting jobs. Seconds.
KNOWN_FOR = 1.0


@dataclass(frozen=True)
class _Active:
    """A sweep with waiting jobs that may start."""

    id: int
    priority: int
    queue: str


class Sharing(Working):
    """Publication and claims, in the order that is fair."""

    _active: tuple[float, list[_Active]] = (-KNOWN_FOR, [])

    def unpublished(self, limit: int, *, older_than: timedelta | None = None, queue: str = "short") -> list[UUID]:
        """PENDING jobs without a message that may start, of the highest priority first, oldest sweep first.

        Parameters
        ----------
        older_than : those instead whose message was sent longer ago than this
        queue : short or long
        """
        moment = self.lease_clock()
        wanted = _wants_message(moment, older_than)

        def work(session: Session) -> list[UUID]:
            found: list[UUID] = []
            for sweep in _active(session):
                if sweep.queue == queue and len(found) < limit:
                    query = select(Job.gid).where(Job.sweep_id == sweep.id, Job.status == Status.PENDING)
                    query = query.where(wanted, is_due(moment)).order_by(Job.number)
                    found += session.scalars(query.limit(limit - len(found)))
            return found

        return self._read(work)

    def mark_published(self, gids: Sequence[UUID], *, older_than: timedelta | None = None) -> list[UUID]:
        """Note that messages of waiting jobs are sent now; gives those of them that nobody else has sent meanwhile.

        Parameters
        ----------
        older_than : as `unpublished` was told
        """
        if not gids:
            return []
        moment = self.lease_clock()

        def work(session: Session) -> set[UUID]:
            is_free = and_(Job.gid.in_(gids), Job.status == Status.PENDING, _wants_message(moment, older_than))
            # In the order of ids: of two that mark the same rows, one waits for the other.
            free = set(session.scalars(select(Job.gid).where(is_free).order_by(Job.id).with_for_update()))
            marked = update(Job).where(Job.gid.in_(free)).values(published_at=moment)
            session.execute(marked, execution_options={"synchronize_session": False})
            return free

        marked = self._once(work)
        return [gid for gid in gids if gid in marked]

    def unpublish(self, gids: Sequence[UUID]) -> None:
        """The messages of these waiting jobs are spent, or were not sent: they get others."""
        spent = update(JOB).where(JOB.c.gid.in_(gids), JOB.c.status == Status.PENDING).values(published_at=None)
        self._write(lambda connection: connection.execute(spent))

    def claim_fairly(
        self, hint: UUID | None, worker: str, lease: timedelta, queues: Collection[str] = ("short", "long")
    ) -> Claim | None:
        """The right to run the job that a message names, or one with a better right to this process; None without any.

        Parameters
        ----------
        hint : None without a message: whichever job has the best right
        queues : of the sweeps that this worker serves
        """
        served = [sweep for sweep in self._known_active() if sweep.queue in queues]

        def work(connection: Connection) -> Claim | None:
            fairer = self._fairer(connection, hint, served)
            claim = None if fairer is None else self._take(connection, fairer, worker, lease)
            return claim if claim or hint is None else self._take(connection, hint, worker, lease)

        claim = self._write(work, is_taken)
        if claim is not None and hint is not None and hint != claim.gid:
            # The message is spent on another job: this one needs a new one.
            self._write(lambda connection: connection.execute(UNPUBLISH, {"wanted": hint}))
        return claim

    def startable(self) -> int:
        """How many jobs wait in sweeps that are not paused."""
        query = select(func.count()).select_from(Job).where(Job.status == Status.PENDING, may_start())
        return self._read(lambda session: session.scalar(query) or 0)

    def paused(self, sweeps: Sequence[UUID]) -> set[UUID]:
        """Those of the sweeps that are paused."""
        query = select(Sweep.gid).where(Sweep.gid.in_(sweeps), Sweep.is_paused)
        return self._read(lambda session: set(session.scalars(query)))

    def _known_active(self) -> list[_Active]:
        asked, active = self._active
        if time.monotonic() - asked >= KNOWN_FOR:
            active = self._read(_active)
            self._active = (time.monotonic(), active)
        return active

    def _fairer(self, connection: Connection, hint: UUID | None, served: Sequence[_Active]) -> UUID | None:
        """A waiting job of the sweep with the best right to a free process; None when it is the hint's, or has none."""
        if len(served) <= (hint is not None):
            return None
        first = _first(connection, served) if len(served) > 1 else served[0]
        if hint is not None and connection.scalar(SWEEP_OF, {"wanted": hint}) == first.id:
            return None
        found: UUID | None = connection.scalar(self._statements.next, {"sweep": first.id, **self._times()})
        return found


def _wants_message(moment: datetime, older_than: timedelta | None) -> ColumnElement[bool]:
    """Jobs that were never published, or longer ago than this."""
    return Job.published_at.is_(None) if older_than is None else Job.published_at < moment - older_than


def _first(connection: Connection, served: Sequence[_Active]) -> _Active:
    running: dict[int, int] = dict(connection.execute(RUNNING).all())
    return min(served, key=lambda sweep: (-sweep.priority, running.get(sweep.id, 0), sweep.id))


def _active(session: Session) -> list[_Active]:
    has_waiting: Any = exists().where(Job.sweep_id == Sweep.id, Job.status == Status.PENDING)
    query = select(Sweep.id, Sweep.priority, Sweep.queue).where(Sweep.is_paused.is_(False), has_waiting)
    return [_Active(*row) for row in session.execute(query.order_by(Sweep.priority.desc(), Sweep.id))]
