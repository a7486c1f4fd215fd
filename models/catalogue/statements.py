"""The statements that every job takes, built once: to build one takes longer than to run it.

Used by `working` and `sharing`. They name their values: `wanted` is a job, and what they know of the time is given by
`Database._times`.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any, cast

from sqlalchemy import ColumnElement, DateTime, Interval, Table, bindparam, func, insert, select, update

from models.catalogue.base import JOB, is_due, may_start
from models.status import Status
from models.tables import JobMetric, Output, Sweep

_SWEEP = cast("Table", Sweep.__table__)

#: Who holds a running job.
_HELD = (JOB.c.id == bindparam("held"), JOB.c.claim_token == bindparam("token"), JOB.c.status == Status.STARTED)

#: What a claim tells of its row.
_TOLD = (
    *(JOB.c.id, JOB.c.number, JOB.c.attempt, JOB.c.saved_attempt, JOB.c.seed, JOB.c.parameters),
    select(_SWEEP.c.gid).where(_SWEEP.c.id == JOB.c.sweep_id).correlate(JOB).scalar_subquery().label("sweep"),
)
#: The same of a job that was just claimed, where `take` cannot tell it.
CLAIMED = select(*_TOLD).where(JOB.c.gid == bindparam("wanted"))
#: The same of the job that a process runs.
HELD_BY = select(*_TOLD, JOB.c.gid, JOB.c.claim_token, JOB.c.cancel_requested, JOB.c.progress).where(
    JOB.c.status == Status.STARTED, JOB.c.worker == bindparam("worker")
)
#: What the jobs of a sweep share.
SHARED = select(_SWEEP.c.size, _SWEEP.c.base, _SWEEP.c.sources).where(_SWEEP.c.gid == bindparam("wanted"))
#: Whether a person wants a running job canceled.
CANCEL_REQUESTED = select(JOB.c.cancel_requested).where(JOB.c.id == bindparam("held"))

ADD_OUTPUTS = insert(cast("Table", Output.__table__))
ADD_METRICS = insert(cast("Table", JobMetric.__table__))

#: The sweep of a job.
SWEEP_OF = select(JOB.c.sweep_id).where(JOB.c.gid == bindparam("wanted"))
#: How many jobs of each sweep run.
RUNNING = select(JOB.c.sweep_id, func.count()).where(JOB.c.status == Status.STARTED).group_by(JOB.c.sweep_id)
#: A waiting job wants a message.
UNPUBLISH = (
    update(JOB).where(JOB.c.gid == bindparam("wanted"), JOB.c.status == Status.PENDING).values(published_at=None)
)


@dataclass(frozen=True)
class Statements:
    """Those that look at the clock."""

    #: PENDING to STARTED; tells of its row where the database has RETURNING.
    take: Any
    #: STARTED to STARTED, with a later lease.
    hold: Any
    #: STARTED to FINISHED.
    finish: Any
    #: The first job of a sweep that may start, and that nobody else is taking.
    next: Any


@cache
def statements(is_sqlite: bool, has_returning: bool) -> Statements:
    """The statements for SQLite, which is told the time, or for a server, which looks at its own clock.

    Parameters
    ----------
    has_returning : whether an UPDATE can tell of its rows; SQLite's does from 3.35 on
    """
    kind = JOB.c.lease_until.type
    moment: ColumnElement[Any] = bindparam("moment", type_=kind)
    due: ColumnElement[Any] = bindparam("due", type_=kind)
    until: ColumnElement[Any] = bindparam("until", type_=kind)
    if not is_sqlite:
        moment = due = func.clock_timestamp(type_=DateTime(timezone=True))
        until = moment + bindparam("lease", type_=Interval())
    take = (
        update(JOB)
        .where(JOB.c.gid == bindparam("wanted"), JOB.c.status == Status.PENDING, is_due(due), may_start())
        .values(
            status=Status.STARTED, attempt=JOB.c.attempt + 1, claim_token=bindparam("token"),
            worker=bindparam("worker"), started_at=moment, not_before=None, finished_at=None, lease_until=until,
            progress=0.0, error=None, error_type=None,
        )
    )  # fmt: skip
    finish = (
        update(JOB)
        .where(*_HELD)
        .values(
            status=Status.FINISHED, finished_at=moment, progress=1.0, engine=bindparam("engine"),
            engine_reason=bindparam("engine_reason"), versions=bindparam("versions"), claim_token=None,
            lease_until=None, cancel_requested=False,
        )
    )  # fmt: skip
    waiting = select(JOB.c.gid).where(JOB.c.sweep_id == bindparam("sweep"), JOB.c.status == Status.PENDING, is_due(due))
    return Statements(
        take=take.returning(*_TOLD) if has_returning else take,
        hold=update(JOB).where(*_HELD).values(progress=bindparam("progress"), lease_until=until),
        finish=finish,
        next=waiting.order_by(JOB.c.number).limit(1).with_for_update(skip_locked=True),
    )
