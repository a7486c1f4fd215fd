"""Sweeps that take over results while another user deletes them, on PostgreSQL, interleaved at marked points."""

import threading
from collections.abc import Callable, Iterator
from importlib.metadata import version
from typing import Any
from uuid import UUID

import pytest
from catalogues import LEASE, add, first, new_database, output
from conftest import wait_until
from sqlalchemy import create_engine, text

from tvb_batch.models.catalogue import Catalogue, control, submission
from tvb_batch.models.catalogue.status import Status
from tvb_batch.models.errors import CatalogueError
from tvb_batch.models.spec.sweep import SweepSpec

pytestmark = pytest.mark.postgres


@pytest.fixture
def administer(postgres_server) -> Iterator[Callable[[str], Any]]:
    engine = create_engine(postgres_server.format(name="postgres"), isolation_level="AUTOCOMMIT")

    def execute(statement: str) -> Any:
        with engine.connect() as connection:
            return connection.execute(text(statement)).scalar()

    yield execute
    engine.dispose()


@pytest.fixture
def catalogue(postgres_server) -> Iterator[Catalogue]:
    catalogue = Catalogue.open(new_database(postgres_server), create=True)
    yield catalogue
    catalogue.dispose()


@pytest.fixture
def source(catalogue) -> UUID:
    """Return a sweep whose only job has finished with one output."""
    sweep = add(catalogue, 1, name="source")
    claim = catalogue.claim(first(catalogue, sweep).gid, "w", LEASE)
    library = {"tvb-library": version("tvb-library")}
    catalogue.finish(claim, [output(metrics={"m": 1.0})], engine="e", versions=library)
    return sweep.gid


class Other(threading.Thread):
    """The transaction of another user, started in the middle of the tested one, until it waits or is done."""

    def __init__(self, administer: Callable[[str], Any], work: Callable[[], Any]) -> None:
        super().__init__()
        self._administer, self._work, self.answer = administer, work, None

    def run(self) -> None:
        self.answer = self._work()

    def start_in_the_middle(self) -> None:
        self.start()
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        wait_until(lambda: self._administer(waiting) or not self.is_alive(), seconds=20)


def once_before(monkeypatch, module: Any, name: str, do: Callable[[], Any]) -> None:
    """Call a function right before the first call of a module's function."""
    function, left = getattr(module, name), [do]

    def then(*args: Any, **words: Any) -> Any:
        while left:
            left.pop()()
        return function(*args, **words)

    monkeypatch.setattr(module, name, then)


def test_a_source_that_is_deleted_after_it_was_chosen_leaves_its_files(catalogue, source, administer, monkeypatch):
    other = Other(administer, lambda: catalogue.delete(sweep=source))
    once_before(monkeypatch, submission, "_insert_jobs", other.start_in_the_middle)

    sweep = add(catalogue, 2, name="again")
    other.join(20)

    shared, own = catalogue.jobs(sweep=sweep.gid)
    assert (shared.status, shared.source_id, own.status) == (Status.FINISHED, None, Status.PENDING)
    assert [one.path for one in catalogue.outputs([shared.gid])] == ["outputs/x.h5"]
    assert catalogue.metrics([shared.gid])[shared.gid]["m"] == 1.0
    assert other.answer == []
    assert [summary.sweep.gid for summary in catalogue.sweeps()] == [sweep.gid]


def test_a_source_that_is_being_deleted_is_not_taken(catalogue, source, administer, monkeypatch) -> None:
    other = Other(administer, lambda: add(catalogue, 2, name="again").gid)
    once_before(monkeypatch, control, "_hand_over", other.start_in_the_middle)

    assert catalogue.delete(sweep=source) == ["outputs/x.h5"]
    other.join(20)

    assert [job.status for job in catalogue.jobs(sweep=other.answer)] == [Status.PENDING] * 2


def test_a_new_owner_of_files_that_is_deleted_meanwhile_leaves_no_fault(
    catalogue, source, administer, monkeypatch
) -> None:
    heir = add(catalogue, 1, name="heir").gid
    other = Other(administer, lambda: catalogue.delete(sweep=source))
    once_before(monkeypatch, control, "_hand_over", other.start_in_the_middle)

    catalogue.delete(sweep=heir)
    other.join(20)

    assert other.answer == ["outputs/x.h5"]
    assert catalogue.count() == 0
    assert list(catalogue.output_rows()) == []


def test_a_connection_that_is_cut_while_rows_are_copied_adds_the_sweep_once(catalogue, administer, monkeypatch) -> None:
    cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname LIKE 't%'"
    once_before(monkeypatch, submission, "_insert", lambda: administer(cut))

    sweep = add(catalogue, 3)

    assert catalogue.counts(sweep.gid) == {Status.PENDING: 3}
    assert len(catalogue.sweeps()) == 1


def test_rows_that_postgresql_refuses_give_one_line_and_leave_nothing(catalogue, monkeypatch) -> None:
    indexed = SweepSpec.indexed
    monkeypatch.setattr(SweepSpec, "indexed", lambda spec, point: {**indexed(spec, point), "model.x": "a\0b"})

    with pytest.raises(CatalogueError, match=r"NUL.*; nothing was changed") as caught:
        add(catalogue, 3)

    assert "\n" not in str(caught.value)
    assert catalogue.sweeps() == []
    monkeypatch.undo()
    assert catalogue.counts(add(catalogue, 3).gid) == {Status.PENDING: 3}
