"""Revisions of the database, and databases that cannot be reached."""

import sqlite3
import threading
from uuid import uuid4

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, text

from tvb_batch.models.catalogue import Catalogue, database
from tvb_batch.models.catalogue.database import HEAD, alembic_config, connect
from tvb_batch.models.catalogue.tables import Base
from tvb_batch.models.errors import CatalogueError, DatabaseRevisionError
from tvb_batch.models.settings import load_settings


@pytest.fixture
def url(tmp_path) -> str:
    return f"sqlite:///{tmp_path}/c.sqlite"


# SQLAlchemy does not read an index of an expression back from SQLite.
@pytest.mark.filterwarnings("ignore:.*expression-based index")
def test_the_migrations_make_the_tables_of_the_models(url, tmp_path) -> None:
    Catalogue.open(url, create=True).dispose()
    engine, other = connect(url), create_engine(f"sqlite:///{tmp_path}/other.sqlite")
    Base.metadata.create_all(other)

    command.check(alembic_config(engine))

    # As SQL text, which Alembic does not compare.
    assert indexes(engine) == indexes(other)
    engine.dispose()
    other.dispose()


def indexes(engine: Engine) -> set[str]:
    with engine.connect() as connection:
        found = connection.execute(text("SELECT sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"))
        return {" ".join(statement.split()) for statement in found.scalars()}


def test_the_revision_we_name_is_the_last_migration(url) -> None:
    engine = connect(url)

    assert ScriptDirectory.from_config(alembic_config(engine)).get_current_head() == database.HEAD

    engine.dispose()


def test_the_migrations_can_be_taken_back(url) -> None:
    Catalogue.open(url, create=True).dispose()
    engine = connect(url)

    command.downgrade(alembic_config(engine), "base")

    with engine.connect() as connection:
        tables = connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'table'")).scalars().all()
    engine.dispose()
    assert set(tables) <= {"alembic_version", "sqlite_sequence"}


def test_an_empty_database_is_reported_with_the_command_to_create_tables(url) -> None:
    with pytest.raises(DatabaseRevisionError, match=f"revision none, expected {HEAD}; run `tvb-batch db upgrade`"):
        Catalogue.open(url)


def test_a_newer_database_is_refused_and_left_as_it_is(url, tmp_path) -> None:
    Catalogue.open(url, create=True).dispose()
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    for create in (True, False):
        with pytest.raises(DatabaseRevisionError, match="revision 9999 is unknown to this tvb-batch"):
            Catalogue.open(url, create=create)

    with engine.connect() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == "9999"
    engine.dispose()


def test_opening_twice_changes_nothing(url) -> None:
    Catalogue.open(url, create=True).dispose()
    Catalogue.open(url, create=True).dispose()
    Catalogue.open(url).dispose()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("nonsense", "TVB_BATCH_DATABASE_URL"),
        ("oracle9://x/y", "TVB_BATCH_DATABASE_URL"),
        ("sqlite:////no/such/directory/c.sqlite", "unable to open database file"),
        ("postgresql://user:secret@127.0.0.1:1/x", "127.0.0.1"),
    ],
)
def test_a_database_that_cannot_be_had_gives_one_line_without_the_password(wrong: str, words: str, monkeypatch) -> None:
    monkeypatch.setattr(database, "TRIES", 1)

    with pytest.raises(CatalogueError, match=words) as caught:
        Catalogue.open(load_settings(database_url=wrong).database)

    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_database_gives_one_line(tmp_path) -> None:
    (tmp_path / "c.sqlite").write_bytes(b"no database" * 1000)

    with pytest.raises(CatalogueError, match="not a database"):
        Catalogue.open(f"sqlite:///{tmp_path}/c.sqlite", create=True)


def test_a_locked_database_is_waited_for(url, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(database, "BUSY_TIMEOUT", 0.05)
    catalogue = Catalogue.open(url, create=True)
    other = sqlite3.connect(tmp_path / "c.sqlite", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")

    release = threading.Timer(0.3, other.rollback)
    release.start()

    assert catalogue.cancel(job=uuid4()) == 0
    release.join()
    other.close()
    catalogue.dispose()


def test_a_database_that_stays_locked_gives_one_line(url, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(database, "BUSY_TIMEOUT", 0.05)
    monkeypatch.setattr(database, "TRIES", 2)
    catalogue = Catalogue.open(url, create=True)
    other = sqlite3.connect(tmp_path / "c.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(CatalogueError, match="database is locked"):
        catalogue.cancel(job=uuid4())

    other.rollback()
    assert catalogue.cancel(job=uuid4()) == 0
    other.close()
    catalogue.dispose()


@pytest.mark.slow
@pytest.mark.postgres
def test_a_server_without_free_connections_is_not_reported_as_unreachable(postgres_server) -> None:
    url = postgres_server.format(name="postgres")
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text("CREATE ROLE crowd LOGIN CONNECTION LIMIT 0"))
    engine.dispose()

    with pytest.raises(CatalogueError, match=r"too many connections.*max_connections, or start fewer") as caught:
        Catalogue.open(url.replace("tvb@", "crowd@"))

    assert "start it" not in str(caught.value)
