"""The statements that every job takes, built once: to build one takes longer than to run it.

Used by `working` and `sharing`. They name their values: `wanted` is a job, and what they know of the time is given by
`Database._times`.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any, cast

from sqlalchemy import (
    ARRAY,
    JSON,
    Column,
    ColumnElement,
    DateTime,
    Float,
    Interval,
    String,
    Table,
    bindparam,
    func,
    insert,
    literal_column,
    select,
    true,
    update,
)

from tvb_batch.models.catalogue.base import JOB, is_due, may_start
from tvb_batch.models.catalogue.status import Status
from tvb_batch.models.catalogue.tables import JobMetric, Output, Sweep

_SWEEP = cast("Table", Sweep.__table__)
_OUTPUT = cast("Table", Output.__table__)
_METRIC = cast("Table", JobMetric.__table__)


def _is(status: Status, table: Any = JOB.c) -> ColumnElement[bool]:
    """Return the condition for jobs with this status; a literal, so that PostgreSQL plans a statement once.

    Do not use it for a named job: PostgreSQL might search it among all jobs with this status.
    """
    return cast("ColumnElement[bool]", table.status == literal_column(f"'{status}'"))


#: Matches the running job of a claim.
_HELD = (JOB.c.id == bindparam("held"), JOB.c.claim_token == bindparam("token"), JOB.c.status == Status.STARTED)

#: The columns that a claim returns.
_TOLD = (
    *(JOB.c.id, JOB.c.gid, JOB.c.number, JOB.c.attempt, JOB.c.saved_attempt, JOB.c.seed, JOB.c.parameters),
    select(_SWEEP.c.gid).where(_SWEEP.c.id == JOB.c.sweep_id).correlate(JOB).scalar_subquery().label("sweep"),
)
#: Reads these columns after a claim, if `take` cannot return them.
CLAIMED = select(*_TOLD).where(_is(Status.STARTED), JOB.c.claim_token == bindparam("token"))
#: Reads these columns of the job that a process runs.
HELD_BY = select(*_TOLD, JOB.c.claim_token, JOB.c.cancel_requested, JOB.c.progress).where(
    _is(Status.STARTED), JOB.c.worker == bindparam("worker")
)
#: Reads what the jobs of a sweep share.
SHARED = select(_SWEEP.c.size, _SWEEP.c.base, _SWEEP.c.sources).where(_SWEEP.c.gid == bindparam("wanted"))
#: Reads whether a user has canceled a running job.
CANCEL_REQUESTED = select(JOB.c.cancel_requested).where(JOB.c.id == bindparam("held"))

ADD_OUTPUTS = insert(_OUTPUT)
ADD_METRICS = insert(_METRIC)

#: Reads the sweep of a job.
SWEEP_OF = select(JOB.c.sweep_id).where(JOB.c.gid == bindparam("wanted"))
#: Counts the running jobs of each sweep.
RUNNING = select(JOB.c.sweep_id, func.count()).where(_is(Status.STARTED)).group_by(JOB.c.sweep_id)
#: Marks a pending job as without message.
UNPUBLISH = (
    update(JOB).where(JOB.c.gid == bindparam("wanted"), JOB.c.status == Status.PENDING).values(published_at=None)
)


@dataclass(frozen=True)
class Statements:
    """The statements that use the clock."""

    #: A named job, PENDING to STARTED; returns columns if the database has RETURNING.
    take: Any
    #: The first job of a sweep that may start and that no other process is claiming, PENDING to STARTED.
    take_first: Any
    #: STARTED to STARTED, with a longer lease.
    hold: Any
    #: STARTED to FINISHED; on PostgreSQL it also adds the rows of files and metrics.
    finish: Any


@cache
def statements(is_sqlite: bool, has_returning: bool) -> Statements:
    """Return the statements for SQLite, which gets the time as a parameter, or for a server, which has its own clock.

    Parameters
    ----------
    has_returning : whether the database supports UPDATE ... RETURNING; SQLite does since 3.35
    """
    kind = JOB.c.lease_until.type
    moment: ColumnElement[Any] = bindparam("moment", type_=kind)
    due: ColumnElement[Any] = bindparam("due", type_=kind)
    until: ColumnElement[Any] = bindparam("until", type_=kind)
    if not is_sqlite:
        moment = due = func.clock_timestamp(type_=DateTime(timezone=True))
        until = moment + bindparam("lease", type_=Interval())
    started = update(JOB).values(
        status=Status.STARTED, attempt=JOB.c.attempt + 1, claim_token=bindparam("token"), worker=bindparam("worker"),
        started_at=moment, not_before=None, finished_at=None, lease_until=until, progress=0.0, error=None,
        error_type=None,
    )  # fmt: skip
    started = started.returning(*_TOLD) if has_returning else started
    named = (JOB.c.gid == bindparam("wanted"), JOB.c.status == Status.PENDING, is_due(due), may_start())
    finished = (
        update(JOB)
        .where(*_HELD)
        .values(
            status=Status.FINISHED, finished_at=moment, progress=1.0, engine=bindparam("engine"),
            engine_reason=bindparam("engine_reason"), versions=bindparam("versions"), claim_token=None,
            lease_until=None, cancel_requested=False,
        )
    )  # fmt: skip
    return Statements(
        take=started.where(*named),
        take_first=started.where(JOB.c.id == _first(due)),
        hold=update(JOB).where(*_HELD).values(progress=bindparam("progress"), lease_until=until),
        finish=finished if is_sqlite else _with_files(finished),
    )


def _first(due: ColumnElement[Any]) -> Any:
    """Return the first pending job of a sweep; locked, if others could take it meanwhile."""
    job = JOB.alias("waiting")
    # A subquery: with a join, PostgreSQL expects one row and sorts all pending jobs.
    started = select(_SWEEP.c.id).where(_SWEEP.c.id == bindparam("sweep"), _SWEEP.c.is_paused.is_(False))
    place = (
        job.c.sweep_id == started.scalar_subquery(),
        _is(Status.PENDING, job.c),
        job.c.number >= bindparam("lowest"),
    )
    waiting = select(job.c.id).where(*place, is_due(due, job.c)).order_by(job.c.number)
    # The limit is a literal: with a parameter PostgreSQL expects many rows and plans every time.
    return waiting.limit(literal_column("1")).with_for_update(skip_locked=True, of=job).scalar_subquery()


def _with_files(finished: Any) -> Any:
    """Return one statement that makes the change, adds the related rows and counts the changed rows.

    One statement needs one round trip to the server. `outputs` is a JSON list of rows; `names` and `numbers` are those
    of the metrics.
    """
    done = finished.returning(JOB.c.id).cte("done")
    columns = [column for column in _OUTPUT.c if column.name not in ("id", "job_id")]
    rows = func.json_to_recordset(bindparam("outputs", type_=JSON)).table_valued(
        *(Column(column.name, column.type) for column in columns), name="given"
    )
    given = rows.render_derived(with_types=True)
    files = select(done.c.id, *given.c).select_from(done.join(given, true()))
    values = (bindparam("names", type_=ARRAY(String)), bindparam("numbers", type_=ARRAY(Float(53))))
    measured = func.unnest(*values).table_valued("name", "number", name="measured").render_derived()
    metrics = select(done.c.id, measured.c.name, measured.c.number).select_from(done.join(measured, true()))
    return (
        select(func.count())
        .select_from(done)
        .add_cte(
            insert(_OUTPUT).from_select(["job_id", *(column.name for column in columns)], files).cte("files"),
            insert(_METRIC).from_select(["job_id", "name", "number"], metrics).cte("metrics"),
        )
    )
