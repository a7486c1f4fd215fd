"""Connections, clocks and transactions of the catalogue."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Self, TypeVar, cast
from uuid import UUID, uuid4

from sqlalchemy import (
    ColumnElement,
    Connection,
    CursorResult,
    Engine,
    Integer,
    Table,
    bindparam,
    delete,
    func,
    or_,
    select,
    text,
)
from sqlalchemy import cast as sql_cast
from sqlalchemy.orm import Session

from tvb_batch.models.catalogue.database import check_revision, connect, transact
from tvb_batch.models.catalogue.status import Status
from tvb_batch.models.catalogue.tables import Boot, Job, Receipt, Sweep
from tvb_batch.models.errors import CatalogueError, UnclearError
from tvb_batch.models.host_clock import boot_id, since_boot

T = TypeVar("T")

#: The job that owns the files and metrics of a job: its source or itself. Cast to a number, so that SQLite uses an
#: index.
OWNER = sql_cast(func.coalesce(Job.source_id, Job.id), Integer)

#: Used by statements without a session.
JOB = cast("Table", Job.__table__)

#: Rows of one bulk INSERT.
BATCH = 2000

#: Receipts older than this are deleted: no transaction is repeated for so long.
RECEIPTS_KEPT = timedelta(days=1)

_LEAVE_RECEIPT = text("INSERT INTO receipt (gid, made_at) VALUES (:gid, :made_at) ON CONFLICT DO NOTHING").bindparams(
    bindparam("gid", type_=Receipt.gid.type), bindparam("made_at", type_=Receipt.made_at.type)
)
_FORGET_RECEIPTS = delete(Receipt).where(
    # Skip locked rows: another process is deleting them.
    Receipt.gid.in_(
        select(Receipt.gid).where(Receipt.made_at < bindparam("before")).limit(100).with_for_update(skip_locked=True)
    )
)


class Database:
    """A database with the catalogue's tables. Each process has its own; call `dispose` after a fork."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._writer = engine.execution_options(writes=True)
        self._is_sqlite = engine.dialect.name == "sqlite"
        #: The start of the host that `_boot_zero` belongs to.
        self._boot, self._boot_zero = "", datetime.min

    @classmethod
    def open(cls, url: str, *, create: bool = False) -> Self:
        """Open the catalogue at `url`.

        Parameters
        ----------
        create : create the tables, or upgrade them to this program's revision

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
        """Close all connections; with `close=False`, keep those of the parent process open, as after a fork."""
        self._engine.dispose(close=close)

    def clock(self) -> datetime:
        """Return the time for rows: the server's if there is a server, because the clock of a worker may be wrong."""
        if self._is_sqlite:
            return now()
        return self._read(lambda session: cast("datetime", session.scalar(select(func.clock_timestamp()))))

    def lease_clock(self) -> datetime:
        """Return the time for leases, waits and the age of messages.

        It is the clock of the server. For SQLite, on one host, it cannot be set: it starts at the right time when the
        first process after the host's start reads it, and then runs by itself.
        """
        return self._zero() + since_boot() if self._is_sqlite else self.clock()

    def _zero(self) -> datetime:
        """Return the lease-clock time at which the monotonic clock of the host was 0; the same for all processes."""
        if self._boot != boot_id():
            self._boot_zero, self._boot = self._once(_zero_of), boot_id()
        return self._boot_zero

    def _times(self, lease: timedelta | None = None) -> dict[str, Any]:
        """Return the time parameters of the `statements`: now, and the end of a lease that starts now."""
        if not self._is_sqlite:
            return {} if lease is None else {"lease": lease}
        times = {"moment": now(), "due": self.lease_clock()}
        return times if lease is None else {**times, "until": times["due"] + lease}

    @contextmanager
    def _writing(self) -> Iterator[Session]:
        """Open a session that takes the write lock first; commit at the end of the block."""
        with Session(self._writer, expire_on_commit=False) as session, session.begin():
            yield session

    def _write(self, work: Callable[[Connection], T], is_done: Callable[[Connection, T], bool] | None = None) -> T:
        """Run `work` in one transaction without a session, for the statements that every job needs.

        Parameters
        ----------
        is_done : returns whether the COMMIT of `work` has succeeded, called with its result if the answer was lost. It
            waits for a server that is still committing, by locking a row that `work` changes. Without it, repeating
            `work` must change nothing.
        """
        sent: list[T] = []
        if self._is_sqlite:
            # This may need its own transaction.
            self._zero()

        def transaction() -> T:
            with self._writer.begin() as connection:
                if sent and is_done is not None and is_done(connection, sent[-1]):
                    return sent[-1]
                sent.clear()
                return _noted(sent, work(connection))

        return self._transact(transaction, sent)

    def _once(self, work: Callable[[Session], T]) -> T:
        """Run `work` in one transaction exactly once; a receipt shows if an unanswered COMMIT has succeeded."""
        receipt, sent = uuid4(), list[T]()

        def transaction() -> T:
            with self._writing() as session:
                # If the server is still committing an earlier try, this insert of the same key waits for it.
                if not session.execute(_LEAVE_RECEIPT, {"gid": receipt, "made_at": now()}).rowcount:  # type: ignore[attr-defined]
                    return sent[-1]
                sent.clear()
                session.execute(_FORGET_RECEIPTS, {"before": now() - RECEIPTS_KEPT})
                answer = work(session)
                session.flush()
                return _noted(sent, answer)

        return self._transact(transaction, sent)

    def _transact(self, transaction: Callable[[], T], sent: Sequence[T]) -> T:
        try:
            return transact(self._engine, transaction)
        except CatalogueError as exc:
            if not sent:
                raise
            raise UnclearError(f"{exc}; the change may have been made; check before you repeat it") from exc

    def _read(self, work: Callable[[Session], T]) -> T:
        def transaction() -> T:
            # End with COMMIT: after a ROLLBACK the driver prepares all statements again, which is slow.
            with Session(self._engine, expire_on_commit=False) as session, session.begin():
                return work(session)

        return transact(self._engine, transaction)

    def _change(self, statement: Any) -> int:
        """Execute one statement once; return the number of changed rows."""

        def work(session: Session) -> int:
            result = session.execute(statement, execution_options={"synchronize_session": False})
            return int(cast("CursorResult[Any]", result).rowcount)

        return self._once(work)


def _zero_of(session: Session) -> datetime:
    """Return the row of the current start of the host; the first process creates it."""
    known = session.get(Boot, boot_id())
    if known is None:
        # All leases from before the start of the host have expired: their processes are gone.
        last = [
            one
            for status, column in (
                (Status.STARTED, Job.lease_until),
                (Status.PENDING, Job.not_before),
                (Status.PENDING, Job.published_at),
            )
            if (one := session.scalar(select(func.max(column)).where(Job.status == status)))
        ]
        known = Boot(id=boot_id(), zero=max([now(), *(one + timedelta.resolution for one in last)]) - since_boot())
        session.add(known)
    return known.zero


def _noted(sent: list[T], answer: T) -> T:
    """Record that a COMMIT is about to be sent, and what will be true after it."""
    sent[:] = [answer]
    return answer


def is_sqlite(session: Session) -> bool:
    """Return whether the session's database is SQLite."""
    return session.get_bind().dialect.name == "sqlite"


def now() -> datetime:
    """Return the current time in UTC, by the clock of this host."""
    return datetime.now(UTC)


def target_of(sweep: UUID | None, job: UUID | None, table: Any = Job) -> ColumnElement[bool]:
    """Return the condition for the given rows of the job table, or of an alias of it."""
    if job is not None:
        return cast("ColumnElement[bool]", table.gid == job)
    return cast("ColumnElement[bool]", table.sweep_id == select(Sweep.id).where(Sweep.gid == sweep).scalar_subquery())


def is_due(moment: datetime | ColumnElement[Any], table: Any = Job) -> ColumnElement[bool]:
    """Return the condition for jobs that do not wait for the storage."""
    return or_(table.not_before.is_(None), table.not_before <= moment)


def may_start() -> ColumnElement[bool]:
    """Return the condition for jobs whose sweep is not paused."""
    return Job.sweep_id.not_in(select(Sweep.id).where(Sweep.is_paused))
