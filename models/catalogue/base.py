"""How a transaction is made, for all of the catalogue."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Self, TypeVar, cast
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, CursorResult, Engine, Integer, Table, func, or_, select
from sqlalchemy import cast as sql_cast
from sqlalchemy.orm import Session

from models.database import check_revision, connect, transact
from models.tables import Job, Sweep

T = TypeVar("T")

#: The job whose files and metrics a job has. As a number: SQLite compares an untyped expression without its index.
OWNER = sql_cast(func.coalesce(Job.source_id, Job.id), Integer)

#: For statements without a session.
JOB = cast("Table", Job.__table__)

#: Rows of one bulk INSERT.
BATCH = 2000


class Database:
    """A database with the catalogue's tables. One for each process: `dispose` it before a fork is used."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._writer = engine.execution_options(writes=True)
        self._is_sqlite = engine.dialect.name == "sqlite"

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
        """The time that leases are measured with: the server's, where there is one, for a worker's may be wrong."""
        if self._is_sqlite:
            return now()
        return self._read(lambda session: cast("datetime", session.scalar(select(func.clock_timestamp()))))

    def _times(self, lease: timedelta | None = None) -> dict[str, Any]:
        """What the `statements` are told of the same time, and of a lease that begins now."""
        if not self._is_sqlite:
            return {} if lease is None else {"lease": lease}
        moment = now()
        return {"moment": moment} if lease is None else {"moment": moment, "until": moment + lease}

    @contextmanager
    def _writing(self) -> Iterator[Session]:
        """A session whose transaction takes the write lock at its start; committed at the end of the block."""
        with Session(self._writer, expire_on_commit=False) as session, session.begin():
            yield session

    def _write(self, work: Callable[[Connection], T]) -> T:
        """Do `work` in one transaction, without a session: for the statements of every job."""

        def transaction() -> T:
            with self._writer.begin() as connection:
                return work(connection)

        return transact(self._engine, transaction)

    def _read(self, work: Callable[[Session], T]) -> T:
        def transaction() -> T:
            with Session(self._engine, expire_on_commit=False) as session:
                return work(session)

        return transact(self._engine, transaction)

    def _change(self, statement: Any) -> int:
        def transaction() -> int:
            with self._writing() as session:
                result = session.execute(statement, execution_options={"synchronize_session": False})
                return int(cast("CursorResult[Any]", result).rowcount)

        return transact(self._engine, transaction)


def is_sqlite(session: Session) -> bool:
    return session.get_bind().dialect.name == "sqlite"


def now() -> datetime:
    return datetime.now(UTC)


def target_of(sweep: UUID | None, job: UUID | None) -> ColumnElement[bool]:
    if job is not None:
        return Job.gid == job
    return Job.sweep_id == select(Sweep.id).where(Sweep.gid == sweep).scalar_subquery()


def is_due(moment: datetime | ColumnElement[Any]) -> ColumnElement[bool]:
    """Jobs that wait for nothing any more."""
    return or_(Job.not_before.is_(None), Job.not_before <= moment)


def may_start() -> ColumnElement[bool]:
    """Jobs whose sweep is not paused."""
    return Job.sweep_id.not_in(select(Sweep.id).where(Sweep.is_paused))
