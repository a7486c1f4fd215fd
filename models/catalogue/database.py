"""Engines, sessions and revisions of the database: SQLite and PostgreSQL."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, NoSuchModuleError, OperationalError

from tvb_batch.models.errors import CatalogueError, DatabaseRevisionError
from tvb_batch.models.masking import NO_URL, is_url, remember, without_password

if TYPE_CHECKING:
    from alembic.config import Config

T = TypeVar("T")

#: This program's revision: the last of `models/catalogue/migrations/versions`. Named here so that a look at a database
#: that has it costs one query, not the quarter second that importing Alembic takes.
HEAD = "0003"

#: How long SQLite waits for another writer. Seconds.
BUSY_TIMEOUT = 30.0
#: How long a connection to PostgreSQL is waited for, and a server that does not answer any more: its host is gone, or
#: the network. Seconds, but the last, which is milliseconds.
PATIENCE = {
    "connect_timeout": 10, "keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}  # fmt: skip
#: Tries of one transaction before the database counts as away.
TRIES = 5


def connect(url: str) -> Engine:
    """Return an engine for `url`.

    Raises
    ------
    CatalogueError
        The URL is invalid, or its driver is not installed.
    """
    if not url.startswith("sqlite") and not is_url(url):
        raise DatabaseUrlError(
            f"TVB_BATCH_DATABASE_URL: not a database URL {NO_URL}, such as postgresql://user:password@host:5432/name"
        )
    remember(url)
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite":
            return _sqlite(url)
        # No ping before a transaction: `transact` repeats it if the connection was closed.
        return create_engine(url, connect_args={name: PATIENCE[name] for name in PATIENCE.keys() - parsed.query.keys()})
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError, ValueError) as exc:
        is_driver = isinstance(exc, ModuleNotFoundError)
        hint = "; install the driver with `pip install tvb-batch[postgres]`" if is_driver else ""
        raise DatabaseUrlError(f"TVB_BATCH_DATABASE_URL: cannot be used ({_first_line(exc)}){hint}") from exc


class DatabaseUrlError(CatalogueError):
    """The URL does not name a usable database."""

    retryable = False


def _sqlite(url: str) -> Engine:
    # Begin transactions explicitly: the driver begins too late for a conditional UPDATE under contention.
    engine = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT})

    @event.listens_for(engine, "do_connect")
    def _make_file(*_: Any) -> None:
        # SQLite would create it writable for its owner only. The umask decides, as for all other files.
        if engine.url.database:
            with suppress(OSError):
                Path(engine.url.database).touch(exist_ok=False)

    @event.listens_for(engine, "connect")
    def _pragmas(connection: Any, _: Any) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        # With WAL, readers never wait for the writer. A crash of this program loses nothing; NORMAL syncs at
        # checkpoints.
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute("PRAGMA synchronous = NORMAL")
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        # A deferred transaction that reads first fails at once if it then writes while another one writes.
        mode = "IMMEDIATE" if connection.get_execution_options().get("writes") else "DEFERRED"
        connection.exec_driver_sql(f"BEGIN {mode}")

    return engine


def transact(engine: Engine, work: Callable[[], T]) -> T:
    """Run `work`; repeat it with jitter if the database was locked, deadlocked or away for a moment.

    `work` may have succeeded before it is repeated, because the answer of a COMMIT can be lost.

    Raises
    ------
    CatalogueError
        It stays so; the message is one line without the password.
    """
    for attempt in range(TRIES):
        try:
            return work()
        except DBAPIError as exc:
            if attempt == TRIES - 1 or not _passing(exc):
                raise unreachable(engine, exc) from exc
            if exc.connection_invalidated or _state(exc) == _IS_STANDBY:
                engine.dispose()
            time.sleep(random.uniform(0.05, 0.2) * 2**attempt)  # noqa: S311 - jitter
    raise AssertionError("not reached")


#: SQLSTATE of a foreign key violation: the row was just deleted, and a repetition does not find it.
_NAMED_ROW_IS_GONE = "23503"
#: SQLSTATE of a read-only server: during a failover it is no longer, or not yet, the primary.
_IS_STANDBY = "25006"


def _passing(exc: DBAPIError) -> bool:
    """Return whether the same statement may succeed a moment later."""
    locked = "locked" in str(exc.orig) or "busy" in str(exc.orig)
    passing = ("40", "08", "57P", _NAMED_ROW_IS_GONE, _IS_STANDBY)
    return exc.connection_invalidated or locked or _state(exc).startswith(passing)


def _state(exc: DBAPIError) -> str:
    """Return the server's SQLSTATE; empty without an answer, or for SQLite."""
    return getattr(exc.orig, "sqlstate", None) or ""


def address(engine: Engine) -> str:
    """Return where the database is, for a message: the file of SQLite, else the URL without its password."""
    is_file = engine.dialect.name == "sqlite"
    return str(engine.url.database) if is_file else without_password(engine.url.render_as_string(hide_password=False))


@contextmanager
def driver_errors(connection: Connection, statement: str) -> Iterator[None]:
    """Convert exceptions of the driver, used without SQLAlchemy, into those of SQLAlchemy."""
    dialect = connection.dialect
    kind = dialect.loaded_dbapi.Error
    try:
        yield
    except kind as exc:
        is_cut = dialect.is_disconnect(exc, connection.connection.dbapi_connection, None)
        if is_cut:
            connection.invalidate(exc)
        raise DBAPIError.instance(statement, None, exc, kind, connection_invalidated=is_cut, dialect=dialect) from exc


#: What to do, by the message of the database.
_ADVICE = {
    "is full": "free some disk space",
    "too many c": "raise its max_connections, or start fewer processes",
    "connection slots are reserved": "raise its max_connections, or start fewer processes",
    "system is starting up": "wait until it has started",
    "system is shutting down": "start it again",
    "authentication failed": "correct the user or password in TVB_BATCH_DATABASE_URL",
}


def unreachable(engine: Engine, exc: Exception) -> CatalogueError:
    """Return the error in one line, with the address of the database and without its password."""
    cause = exc.orig if isinstance(exc, DBAPIError) and exc.orig is not None else exc
    has_answered = getattr(cause, "sqlstate", None) or not isinstance(exc, OperationalError | InterfaceError)
    advice = "nothing was changed" if has_answered else "start it, or correct TVB_BATCH_DATABASE_URL"
    for words, what in _ADVICE.items():
        if words in str(cause):
            advice = what
    return CatalogueError(f"database {address(engine)}: {_first_line(cause)}; {advice}")


def check_revision(engine: Engine, *, create: bool) -> None:
    """Check that the database has this program's revision; with `create`, upgrade it.

    Raises
    ------
    DatabaseRevisionError
        It is newer, or older and `create` is False.
    DBAPIError
        It cannot be reached.
    """
    current = _current(engine)
    if current == HEAD:
        return
    _refuse_unknown(current, engine)
    if not create:
        raise DatabaseRevisionError(
            f"database {address(engine)}: revision {current or 'none'}, expected {HEAD}; run `tvb-batch db upgrade`"
        )
    upgrade(engine)


def upgrade(engine: Engine) -> None:
    """Upgrade the database to this program's revision; safe if two processes do it at once."""
    from alembic import command

    try:
        command.upgrade(alembic_config(engine), HEAD)
    except DBAPIError:
        # Another process created the tables meanwhile, or this one did and the answer was lost.
        if _current(engine) != HEAD:
            raise


def alembic_config(engine: Engine) -> Config:
    """Return Alembic's configuration without a file."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes["engine"] = engine
    return config


def _current(engine: Engine) -> str | None:
    with engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _refuse_unknown(current: str | None, engine: Engine) -> None:
    from alembic.script import ScriptDirectory
    from alembic.util.exc import CommandError

    try:
        if current is not None:
            ScriptDirectory.from_config(alembic_config(engine)).get_revision(current)
    except CommandError as exc:
        raise DatabaseRevisionError(
            f"database {address(engine)}: revision {current} is unknown to this tvb-batch: a newer one "
            "made it; upgrade tvb-batch, or name another database"
        ) from exc


def _first_line(exc: BaseException) -> str:
    lines = str(exc).strip().splitlines()
    return lines[0] if lines else type(exc).__name__
