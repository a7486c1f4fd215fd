"""How a transaction is made, for all of the catalogue."""

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

#: The job whose files and metrics a job has. As a number: SQLite compares an untyped expression without its index.
OWNER = sql_cast(func.coalesce(Job.source_id, Job.id), Integer)

#: For statements without a session.
JOB = cast("Table", Job.__table__)

#: Rows of one bulk INSERT.
BATCH = 2000

#: No transaction is repeated for that long.
RECEIPTS_KEPT = timedelta(days=1)

_LEAVE_RECEIPT = text("INSERT INTO receipt (gid, made_at) VALUES (:gid, :made_at) ON CONFLICT DO NOTHING").bindparams(
    bindparam("gid", type_=Receipt.gid.type), bindparam("made_at", type_=Receipt.made_at.type)
)
_FORGET_RECEIPTS = delete(Receipt).where(
    # Nobody waits for another who forgets the same ones.
    Receipt.gid.in_(
        select(Receipt.gid).where(Receipt.made_at < bindparam("before")).limit(100).with_for_update(skip_locked=True)
    )
)


class Database:
    """A database with the catalogue's tables. One for each process: `dispose` it before a fork is used."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._writer = engine.execution_options(writes=True)
        self._is_sqlite = engine.dialect.name == "sqlite"
        #: The host's start that `_boot_zero` is of.
        self._boot, self._boot_zero = "", datetime.min

    @classmethod
    def open(cls, url: str, *, create: bool = False) -> Self:
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

    def clock(self) -> datetime:
        """The time that rows tell a person: the server's, where there is one, for a worker's clock may be wrong."""
        if self._is_sqlite:
            return now()
        return self._read(lambda session: cast("datetime", session.scalar(select(func.clock_timestamp()))))

    def lease_clock(self) -> datetime:
        """The time that leases, waits and the age of messages are measured with.

        A server's is its clock. In SQLite, which one host uses, nobody can set it: it shows the right time when the
        first process since the host's start looks at it, and runs on from there.
        """
        return self._zero() + since_boot() if self._is_sqlite else self.clock()

    def _zero(self) -> datetime:
        """When the host's monotonic clock showed 0, by the lease clock; the same for all processes."""
        if self._boot != boot_id():
            self._boot_zero, self._boot = self._once(_zero_of), boot_id()
        return self._boot_zero

    def _times(self, lease: timedelta | None = None) -> dict[str, Any]:
        """What the `statements` are told of the same time, and of a lease that begins now."""
        if not self._is_sqlite:
            return {} if lease is None else {"lease": lease}
        times = {"moment": now(), "due": self.lease_clock()}
        return times if lease is None else {**times, "until": times["due"] + lease}

    @contextmanager
    def _writing(self) -> Iterator[Session]:
        """A session whose transaction takes the write lock at its start; committed at the end of the block."""
        with Session(self._writer, expire_on_commit=False) as session, session.begin():
            yield session

    def _write(self, work: Callable[[Connection], T], is_done: Callable[[Connection, T], bool] | None = None) -> T:
        """Do `work` in one transaction, without a session: for the statements of every job.

        Parameters
        ----------
        is_done : asked before `work` is repeated whose COMMIT was sent, but not answered, and told its result: whether
            that COMMIT has succeeded. It waits for a server that is still at it, by locking a row that `work` changes.
            Without it, to do `work` twice is to do it once.
        """
        sent: list[T] = []
        if self._is_sqlite:
            # It may take a transaction of its own.
            self._zero()

        def transaction() -> T:
            with self._writer.begin() as connection:
                if sent and is_done is not None and is_done(connection, sent[-1]):
                    return sent[-1]
                sent.clear()
                return _noted(sent, work(connection))

        return self._transact(transaction, sent)

    def _once(self, work: Callable[[Session], T]) -> T:
        """Do `work` in one transaction, and once: a receipt in it tells whether an unanswered COMMIT has succeeded."""
        receipt, sent = uuid4(), list[T]()

        def transaction() -> T:
            with self._writing() as session:
                # Should the server still be at the COMMIT of an earlier try, the equal key waits for it.
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
            raise UnclearError(f"{exc}; it may have been done all the same: look before you repeat it") from exc

    def _read(self, work: Callable[[Session], T]) -> T:
        def transaction() -> T:
            # Ended by a COMMIT: after a ROLLBACK the driver prepares all statements anew, which costs much.
            with Session(self._engine, expire_on_commit=False) as session, session.begin():
                return work(session)

        return transact(self._engine, transaction)

    def _change(self, statement: Any) -> int:
        """Execute one statement, once; gives how many rows it changed."""

        def work(session: Session) -> int:
            result = session.execute(statement, execution_options={"synchronize_session": False})
            return int(cast("CursorResult[Any]", result).rowcount)

        return self._once(work)


def _zero_of(session: Session) -> datetime:
    """The row of this start of the host; made by the first process that asks for it."""
    known = session.get(Boot, boot_id())
    if known is None:
        # Who held a lease before the host started is gone: all leases of that time are over.
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
    """Note that a COMMIT is about to be sent, and what will be true then."""
    sent[:] = [answer]
    return answer


def is_sqlite(session: Session) -> bool:
    return session.get_bind().dialect.name == "sqlite"


def now() -> datetime:
    return datetime.now(UTC)


def target_of(sweep: UUID | None, job: UUID | None, table: Any = Job) -> ColumnElement[bool]:
    """Which rows of the job table, or of an alias of it, are meant."""
    if job is not None:
        return cast("ColumnElement[bool]", table.gid == job)
    return cast("ColumnElement[bool]", table.sweep_id == select(Sweep.id).where(Sweep.gid == sweep).scalar_subquery())


def is_due(moment: datetime | ColumnElement[Any], table: Any = Job) -> ColumnElement[bool]:
    """Jobs that wait for nothing any more."""
    return or_(table.not_before.is_(None), table.not_before <= moment)


def may_start() -> ColumnElement[bool]:
    """Jobs whose sweep is not paused."""
    return Job.sweep_id.not_in(select(Sweep.id).where(Sweep.is_paused))
