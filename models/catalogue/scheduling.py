"""Which pending job starts next: the order of messages, and the fair share of sweeps at each claim.

A message says that there is work and names a job. The worker starts that job, unless another sweep has precedence: one
of higher priority, or of equal priority with fewer running jobs. So a sweep of ten jobs does not wait for a sweep of
ten thousand whose messages were sent before. After a short job, the worker takes the next one without a message.
"""

import random
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Engine, and_, func, select, update
from sqlalchemy.orm import Session

from tvb_batch.models.catalogue.base import JOB, is_due, may_start
from tvb_batch.models.catalogue.claims import Claim, Claims, is_taken
from tvb_batch.models.catalogue.statements import RUNNING, SWEEP_OF, UNPUBLISH
from tvb_batch.models.catalogue.status import Status
from tvb_batch.models.catalogue.tables import Job, Sweep

#: How long a worker process caches which sweeps have pending jobs. Seconds.
KNOWN_FOR = 1.0
#: How often it searches the first pending job from the start of the sweep. Seconds.
FROM_START_EVERY = 5.0


@dataclass(frozen=True)
class _Active:
    """A sweep with pending jobs that may start."""

    id: int
    gid: UUID
    priority: int
    queue: str


class Scheduling(Claims):
    """Publication and claims, in the order that is fair."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._active: tuple[float, list[_Active]] = (-KNOWN_FOR, [])
        #: By sweep id: the number of the last job that this process claimed; cleared every `FROM_START_EVERY` seconds.
        self._lowest: dict[int, int] = {}
        self._from_start_at = -FROM_START_EVERY
        #: By sweep gid: when this process last started a job of it, by `time.monotonic`.
        self._served_at: dict[UUID, float] = {}

    def unpublished(self, limit: int, *, older_than: timedelta | None = None, queue: str = "short") -> list[UUID]:
        """Return PENDING jobs without a message that may start: highest priority first, then oldest sweep first.

        Parameters
        ----------
        older_than : return jobs whose last message is older than this instead
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
        """Record that messages of pending jobs are sent now; return those that no other process has marked meanwhile.

        Parameters
        ----------
        older_than : the same as for `unpublished`
        """
        if not gids:
            return []
        moment = self.lease_clock()

        def work(session: Session) -> set[UUID]:
            is_free = and_(Job.gid.in_(gids), Job.status == Status.PENDING, _wants_message(moment, older_than))
            # In the order of ids: of two processes that mark the same rows, one waits for the other.
            free = set(session.scalars(select(Job.gid).where(is_free).order_by(Job.id).with_for_update()))
            marked = update(Job).where(Job.gid.in_(free)).values(published_at=moment)
            session.execute(marked, execution_options={"synchronize_session": False})
            return free

        marked = self._once(work)
        return [gid for gid in gids if gid in marked]

    def unpublish(self, gids: Sequence[UUID]) -> None:
        """Clear the mark of pending jobs whose messages were used or not sent, so they get new ones."""
        spent = update(JOB).where(JOB.c.gid.in_(gids), JOB.c.status == Status.PENDING).values(published_at=None)
        self._write(lambda connection: connection.execute(spent))

    def claim_fairly(
        self, hint: UUID | None, worker: str, lease: timedelta, queues: Collection[str] = ("short", "long")
    ) -> Claim | None:
        """Claim the job of a message, or a job with precedence; return None if there is none.

        Parameters
        ----------
        hint : the job of the message; None without a message, for the job with the highest precedence
        queues : the queues that this worker serves
        """
        served = [sweep for sweep in self._known_active() if sweep.queue in queues]

        def work(connection: Connection) -> Claim | None:
            fairer = self._fairer(connection, hint, served)
            claim = None if fairer is None else self._take_first(connection, fairer.id, worker, lease)
            return claim if claim or hint is None else self._take(connection, worker, lease, wanted=hint)

        claim = self._write(work, is_taken)
        if claim is not None:
            self._served_at[claim.sweep] = time.monotonic()
        if claim is not None and hint is not None and hint != claim.gid:
            # The message was used for another job, so this job needs a new one.
            self._write(lambda connection: connection.execute(UNPUBLISH, {"wanted": hint}))
        return claim

    def startable(self) -> int:
        """Return the number of pending jobs in sweeps that are not paused."""
        query = select(func.count()).select_from(Job).where(Job.status == Status.PENDING, may_start())
        return self._read(lambda session: session.scalar(query) or 0)

    def paused(self, sweeps: Sequence[UUID]) -> set[UUID]:
        """Return the given sweeps that are paused."""
        query = select(Sweep.gid).where(Sweep.gid.in_(sweeps), Sweep.is_paused)
        return self._read(lambda session: set(session.scalars(query)))

    def _known_active(self) -> list[_Active]:
        asked, active = self._active
        if time.monotonic() - asked >= KNOWN_FOR:
            active = self._read(_active)
            self._active = (time.monotonic(), active)
            self._served_at = {one.gid: self._served_at[one.gid] for one in active if one.gid in self._served_at}
        return active

    def _take_first(self, connection: Connection, sweep: int, worker: str, lease: timedelta) -> Claim | None:
        """Claim the first job of a sweep that may start.

        This process searches from its last job of the sweep, then from the start if it finds none, and every few
        seconds from the start. Otherwise PostgreSQL would step over the index entries of all jobs claimed since the
        last VACUUM, maybe a hundred thousand.
        """
        if time.monotonic() - self._from_start_at >= FROM_START_EVERY:
            self._from_start_at, self._lowest = time.monotonic(), {}
        for lowest in dict.fromkeys((self._lowest.get(sweep, 0), 0)):
            if claim := self._take(connection, worker, lease, sweep=sweep, lowest=lowest):
                self._lowest[sweep] = claim.number
                return claim
        return None

    def _fairer(self, connection: Connection, hint: UUID | None, served: Sequence[_Active]) -> _Active | None:
        """Return the sweep with precedence over that of the message; None if there is none."""
        if len(served) <= (hint is not None):
            return None
        first = self._first(connection, served)
        is_hinted = hint is not None and connection.scalar(SWEEP_OF, {"wanted": hint}) == first.id
        return None if is_hinted else first

    def _first(self, connection: Connection, served: Sequence[_Active]) -> _Active:
        """Return the sweep of highest priority with the fewest running jobs.

        Of several such sweeps, it is the one that this process has not served for the longest time. Among sweeps that
        it never served, it is a random one: otherwise a sweep could wait for ever if processes end after each job.
        """
        most = max(sweep.priority for sweep in served)
        equal = [sweep for sweep in served if sweep.priority == most]
        if len(equal) == 1:
            return equal[0]
        running: dict[int, int] = dict(connection.execute(RUNNING).all())

        def place(sweep: _Active) -> tuple[int, float, float]:
            return running.get(sweep.id, 0), self._served_at.get(sweep.gid, 0.0), random.random()  # noqa: S311

        return min(equal, key=place)


def _wants_message(moment: datetime, older_than: timedelta | None) -> ColumnElement[bool]:
    """Return the condition for jobs that were never published, or longer ago than this."""
    return Job.published_at.is_(None) if older_than is None else Job.published_at < moment - older_than


def _active(session: Session) -> list[_Active]:
    waiting = select(Job.number).where(Job.sweep_id == Sweep.id, Job.status == Status.PENDING)
    # Remember the last one: the index entries of claimed jobs are before the first, see `_take_first`.
    last = waiting.order_by(Job.number.desc()).limit(1).scalar_subquery()
    query = select(Sweep.id, Sweep.gid, Sweep.priority, Sweep.queue).where(
        Sweep.is_paused.is_(False), last.is_not(None)
    )
    return [_Active(*row) for row in session.execute(query.order_by(Sweep.priority.desc(), Sweep.id))]
