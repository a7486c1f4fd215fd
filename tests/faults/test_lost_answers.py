"""A COMMIT without an answer: each transaction is repeated, recognises its own success, and is done once."""

import contextlib
import inspect
import sqlite3
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.metadata import version
from pathlib import Path
from types import FunctionType
from typing import Any
from uuid import UUID, uuid4

import pytest
from catalogues import output
from conftest import SHORT, wait_until
from cut_commits import Proxy, cut_sqlite
from sqlalchemy import create_engine, func, select, text, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from tvb_batch.models.catalogue import Catalogue, Claim, base, database
from tvb_batch.models.catalogue.status import Status
from tvb_batch.models.catalogue.tables import Attempt, Job, JobMetric, JobParameter, Output, Sweep, SweepParameter
from tvb_batch.models.errors import CatalogueError, LeaseLostError, UnclearError
from tvb_batch.models.spec.sweep import sweep
from tvb_batch.worker.job.heartbeat import Heartbeat
from tvb_batch.worker.job.run import run_job

LEASE, PAST = timedelta(hours=1), timedelta(hours=-1)
VERSIONS = {"tvb-library": version("tvb-library")}
#: Counts the sessions that wait for a lock in PostgreSQL.
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
SPEC = sweep({**SHORT, "name": "s", "sweep": {"coupling.a": [0.0, 1.0, 2.0]}})


@dataclass
class Scene:
    """A catalogue with two sweeps of three jobs; one job of the first sweep is running."""

    catalogue: Catalogue
    gids: list[UUID] = field(init=False)
    sweep: UUID = field(init=False)

    def __post_init__(self) -> None:
        self.sweep = self.catalogue.add_sweep(SPEC).gid
        self.catalogue.add_sweep(sweep({**SHORT, "name": "other", "coupling": "Difference"}))
        self.gids = [job.gid for job in self.catalogue.jobs(sweep=self.sweep)]

    def claim(self, lease: timedelta = LEASE) -> Claim:
        claim = self.catalogue.claim(self.gids[0], "w", lease)
        assert claim is not None
        return claim

    def finished(self) -> None:
        made = output(metrics={"m": 1.0})
        self.catalogue.finish(self.claim(), [made], engine="e", versions=VERSIONS)


def nothing(scene: Scene) -> None:
    """Do nothing before the transaction."""


def canceled(scene: Scene) -> None:
    scene.catalogue.cancel(sweep=scene.sweep)


#: The preparation, the transaction, and the part of its result that must be the same each time.
KINDS: dict[str, tuple[Callable[[Scene], Any], Callable[[Scene, Any], Any]]] = {
    "add_sweep": (nothing, lambda s, _: s.catalogue.add_sweep(SPEC).name),
    "add_sweep, reused": (Scene.finished, lambda s, _: s.catalogue.add_sweep(SPEC).size),
    "claim": (nothing, lambda s, _: (s.claim().attempt, s.catalogue.claim(s.gids[0], "w", LEASE))),
    "claim_fairly": (nothing, lambda s, _: s.catalogue.claim_fairly(s.gids[1], "w", LEASE).gid == s.gids[1]),
    "claim_fairly, any": (nothing, lambda s, _: s.catalogue.claim_fairly(None, "w", LEASE).number),
    "heartbeat": (Scene.claim, lambda s, claim: s.catalogue.heartbeat(claim, 0.5, LEASE)),
    "saved": (Scene.claim, lambda s, claim: s.catalogue.saved(claim)),
    "finish": (
        Scene.claim,
        lambda s, claim: s.catalogue.finish(claim, [output(metrics={"m": 1.0})], engine="e", versions=VERSIONS),
    ),
    "finish, no outputs": (Scene.claim, lambda s, claim: s.catalogue.finish(claim, [], engine="e", versions={})),
    "fail, again": (
        Scene.claim, lambda s, claim: s.catalogue.fail(claim, "E", "m", retryable=True, max_attempts=3),
    ),
    "fail, for good": (
        Scene.claim, lambda s, claim: s.catalogue.fail(claim, "E", "m", retryable=False, max_attempts=3),
    ),
    "wait": (Scene.claim, lambda s, claim: s.catalogue.wait(claim, "E", "full", timedelta(hours=1))),
    "release": (Scene.claim, lambda s, claim: s.catalogue.release(claim)),
    "canceled": (Scene.claim, lambda s, claim: s.catalogue.canceled(claim)),
    "expire": (lambda s: s.claim(PAST), lambda s, _: s.catalogue.expire(max_attempts=3)),
    "cancel": (Scene.claim, lambda s, _: s.catalogue.cancel(sweep=s.sweep)),
    "retry": (canceled, lambda s, _: s.catalogue.retry(sweep=s.sweep)),
    "pause": (nothing, lambda s, _: s.catalogue.pause(s.sweep)),
    "resume": (lambda s: s.catalogue.pause(s.sweep), lambda s, _: s.catalogue.resume(s.sweep)),
    "prioritize": (nothing, lambda s, _: s.catalogue.prioritize(s.sweep, 3)),
    "unpublish": (lambda s: s.catalogue.mark_published(s.gids), lambda s, _: bool(s.catalogue.unpublish(s.gids[:1]))),
    "mark_published": (nothing, lambda s, _: s.catalogue.mark_published(s.gids) == s.gids),
    "delete": (Scene.finished, lambda s, _: s.catalogue.delete(sweep=s.sweep)),
    "delete, a job": (Scene.finished, lambda s, _: s.catalogue.delete(job=s.gids[0])),
}  # fmt: skip


def test_every_kind_of_transaction_is_tested() -> None:
    ways = {"_once", "_write", "_change", "_end"}
    # This transaction changes nothing.
    harmless = {"has_finished"}
    writing = {name for name, found in inspect.getmembers(Catalogue, inspect.isfunction) if uses(found) & ways}

    assert {name for name in writing if not name.startswith("_")} - harmless == {kind.split(",")[0] for kind in KINDS}


def uses(function: FunctionType) -> set[str]:
    return set(function.__code__.co_names)


def rows(catalogue: Catalogue) -> Any:
    """Return the content of the tables, without values that differ each time."""
    with Session(catalogue._engine) as session:
        jobs = session.scalars(select(Job).order_by(Job.id)).all()
        tables = (Sweep, SweepParameter, JobParameter, JobMetric, Output)
        return (
            [
                (job.number, job.status, job.attempt, job.saved_attempt, job.progress, job.cancel_requested, job.error,
                 *(getattr(job, name) is None for name in ("claim_token", "lease_until", "published_at", "started_at",
                   "finished_at", "not_before", "source_id", "worker")))
                for job in jobs
            ],
            [(one.number, one.outcome, one.error) for one in session.scalars(select(Attempt).order_by(Attempt.id))],
            [(one.size, one.is_paused, one.priority) for one in session.scalars(select(Sweep).order_by(Sweep.id))],
            [session.scalar(select(func.count()).select_from(table)) for table in tables],
        )  # fmt: skip


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Callable[[str], tuple[Any, Any]]:
    """Return the result and the rows of a transaction without disturbance."""

    @cache
    def run(kind: str) -> tuple[Any, Any]:
        catalogue = Catalogue.open(f"sqlite:///{tmp_path_factory.mktemp('quiet')}/c.sqlite", create=True)
        before, act = KINDS[kind]
        scene = Scene(catalogue)
        answer = act(scene, before(scene))
        found = answer, rows(catalogue)
        catalogue.dispose()
        return found

    return run


@pytest.fixture(autouse=True)
def _oldest_first(monkeypatch) -> None:
    """Make claims take the older of two sweeps with equal precedence."""
    monkeypatch.setattr("tvb_batch.models.catalogue.scheduling.random.random", lambda: 0.0)


@pytest.fixture
def proxy(postgres_server, tmp_path) -> Iterator[Proxy]:
    directory = Path(postgres_server.rpartition("host=")[2])
    found = Proxy(directory / ".s.PGSQL.5432", tmp_path / "p")
    yield found
    found.close()


@pytest.fixture(scope="module")
def administer(postgres_server) -> Iterator[Callable[..., Any]]:
    """Execute a statement as the server's administrator; a database `ready` has empty tables."""
    engine = create_engine(postgres_server.format(name="postgres"), isolation_level="AUTOCOMMIT")

    def execute(statement: str) -> Any:
        with engine.connect() as connection:
            result = connection.execute(text(statement))
            return result.scalar() if result.returns_rows else None

    execute("CREATE DATABASE ready")
    Catalogue.open(postgres_server.format(name="ready"), create=True).dispose()
    yield execute
    engine.dispose()


@pytest.fixture
def through_proxy(administer, proxy) -> Iterator[Catalogue]:
    name = f"t{uuid4().hex}"
    administer(f"CREATE DATABASE {name} TEMPLATE ready")
    catalogue = Catalogue.open(f"postgresql+psycopg://tvb@/{name}?host={proxy.directory}")
    yield catalogue
    catalogue.dispose()


@pytest.mark.postgres
@pytest.mark.parametrize("kind", KINDS)
def test_a_commit_without_an_answer_is_done_once_on_postgresql(kind, proxy, through_proxy, undisturbed) -> None:
    expected = undisturbed(kind)
    before, act = KINDS[kind]
    scene = Scene(through_proxy)
    held = before(scene)

    # The repetition gets no answer either.
    proxy.cut_commit(times=2)
    answer = act(scene, held)

    assert proxy.cut == 2
    assert (answer, rows(through_proxy)) == expected


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.postgres
def test_a_commit_still_running_on_the_server_is_waited_for(
    kind, proxy, through_proxy, undisturbed, administer
) -> None:
    expected = undisturbed(kind)
    before, act = KINDS[kind]
    scene = Scene(through_proxy)
    held, answers = before(scene), []

    proxy.cut_commit(late=True)
    thread = threading.Thread(target=lambda: answers.append(act(scene, held)))
    thread.start()
    # The server gets the COMMIT only when the repetition waits for a lock of the first try.
    wait_until(lambda: administer(WAITING) or not thread.is_alive(), seconds=20)
    proxy.may_commit.set()
    thread.join(20)

    assert proxy.cut == 1
    assert (answers, rows(through_proxy)) == ([expected[0]], expected[1])


@pytest.mark.parametrize("kind", KINDS)
def test_a_commit_without_an_answer_is_done_once_on_sqlite(kind, undisturbed, tmp_path) -> None:
    expected = undisturbed(kind)
    before, act = KINDS[kind]
    catalogue = Catalogue.open(f"sqlite:///{tmp_path}/c.sqlite", create=True)
    scene = Scene(catalogue)
    held = before(scene)

    with cut_sqlite(catalogue._engine, "database is locked") as times:
        answer = act(scene, held)

    assert times() == 1
    assert (answer, rows(catalogue)) == expected
    catalogue.dispose()


# ------------------------------------------------------------------------------------- the files of a finished result


def one_job(catalogue: Catalogue) -> Claim:
    catalogue.add_sweep(sweep({**SHORT, "name": "one"}), reuse=False)
    claim = catalogue.claim(catalogue.jobs()[0].gid, "w", LEASE)
    assert claim is not None
    return claim


def files(settings) -> set[str]:
    outputs = settings.storage.root / "outputs"
    return {settings.storage.relative(path) for path in outputs.rglob("*") if path.is_file()}


def before_finish(monkeypatch, catalogue: Catalogue, do: Callable[[], Any]) -> None:
    """Call a function once, just before a job is finished."""
    finish, left = catalogue.finish, [do]

    def then_finish(*args: Any, **words: Any) -> None:
        while left:
            left.pop()()
        finish(*args, **words)

    monkeypatch.setattr(catalogue, "finish", then_finish)


@pytest.mark.postgres
@pytest.mark.parametrize("is_late", [False, True], ids=["done", "still at it"])
def test_a_result_whose_commit_got_no_answer_stays(
    proxy, through_proxy, settings, administer, monkeypatch, is_late
) -> None:
    claim, found = one_job(through_proxy), []
    before_finish(monkeypatch, through_proxy, lambda: proxy.cut_commit(late=is_late))

    thread = threading.Thread(target=lambda: found.extend(run_job(through_proxy, settings, claim)))
    thread.start()
    if is_late:
        wait_until(lambda: administer(WAITING) or not thread.is_alive())
    proxy.may_commit.set()
    thread.join(60)

    assert proxy.cut == 1
    [job] = through_proxy.jobs()
    [named] = through_proxy.outputs([job.gid])
    assert (job.status, named.path) == (Status.FINISHED, found[0].path)
    assert files(settings) == {named.path}


def test_a_result_stays_if_it_is_unknown_whether_it_was_finished(catalogue, settings, monkeypatch) -> None:
    """The answer is lost, and the database does not answer for longer than a worker waits."""
    claim, engine = one_job(catalogue), catalogue._engine
    connect = engine.pool.connect

    with contextlib.ExitStack() as stack:
        asked = []

        def away() -> Any:
            if asked and asked[0]():
                raise OperationalError("connect", None, sqlite3.OperationalError("disk I/O error"))
            return connect()

        cut = cut_sqlite(engine, "disk I/O error")
        before_finish(monkeypatch, catalogue, lambda: asked.append(stack.enter_context(cut)))
        monkeypatch.setattr(engine.pool, "connect", away)
        with pytest.raises(CatalogueError, match="disk I/O error"):
            run_job(catalogue, settings.model_copy(update={"lease": 0.5}), claim)
    monkeypatch.undo()

    [job] = catalogue.jobs()
    [named] = catalogue.outputs([job.gid])
    assert job.status == Status.FINISHED
    assert named.path in files(settings)
    # When the database answers again, the worker reports that its job failed, but it has lost the job.
    with pytest.raises(LeaseLostError):
        catalogue.fail(claim, "E", "m", retryable=True, max_attempts=3)
    catalogue.finish(claim, [output(gid=named.gid)], engine="e", versions={})
    assert len(catalogue.outputs([job.gid])) == 1


@pytest.mark.postgres
def test_a_result_waits_longer_for_the_database_than_a_transaction(proxy, through_proxy, settings, monkeypatch) -> None:
    claim = one_job(through_proxy)
    monkeypatch.setattr(database, "TRIES", 2)
    before_finish(monkeypatch, through_proxy, lambda: proxy.cut_commit(times=5))

    run_job(through_proxy, settings, claim)

    assert proxy.cut == 5
    [job] = through_proxy.jobs()
    [named] = through_proxy.outputs([job.gid])
    assert job.status == Status.FINISHED
    assert files(settings) == {named.path}


def test_the_message_says_that_a_change_may_have_been_made(catalogue, monkeypatch) -> None:
    with cut_sqlite(catalogue._engine, "disk I/O error"), pytest.raises(UnclearError, match="may have been made"):
        catalogue.add_sweep(SPEC)

    assert len(catalogue.sweeps()) == 1


def test_a_result_that_was_not_finished_is_removed(catalogue, settings) -> None:
    claim = one_job(catalogue)
    with Session(catalogue._writer) as session, session.begin():
        session.execute(update(Job).values(claim_token=uuid4()))

    with pytest.raises(LeaseLostError):
        run_job(catalogue, settings, claim)

    assert files(settings) == set()


# ------------------------------------------------------------------- a worker that is frozen while it tidies up


def win(catalogue: Catalogue, settings) -> None:
    """Take the running job from its worker and finish it."""
    with Session(catalogue._writer) as session, session.begin():
        session.execute(update(Job).values(lease_until=datetime(2000, 1, 1, tzinfo=UTC)))
    assert catalogue.expire(max_attempts=9) == 1
    claim = catalogue.claim(catalogue.jobs()[0].gid, "winner", LEASE)
    assert claim is not None
    run_job(catalogue, settings, claim)


def then_win(monkeypatch, name: str, catalogue: Catalogue, settings) -> None:
    """Let the winner finish the job right after a heartbeat of the first worker."""
    original = getattr(Heartbeat, name)

    def frozen(heartbeat: Heartbeat) -> Any:
        heard = original(heartbeat)
        monkeypatch.setattr(Heartbeat, name, original)
        win(catalogue, settings)
        return heard

    monkeypatch.setattr(Heartbeat, name, frozen)


def broken() -> bool:
    # The heartbeat's thread asks too.
    if threading.current_thread() is threading.main_thread():
        raise ValueError("a fault that would come again")
    return False


def assert_the_winners_file_stays(catalogue: Catalogue, settings) -> None:
    [job] = catalogue.jobs()
    [named] = catalogue.outputs([job.gid])
    assert (job.status, job.worker) == (Status.FINISHED, "winner")
    assert named.path in files(settings)


def test_a_worker_frozen_before_its_cleanup_removes_no_result(catalogue, settings, monkeypatch) -> None:
    claim = one_job(catalogue)
    then_win(monkeypatch, "is_ours", catalogue, settings)

    with pytest.raises(ValueError, match="come again"):
        run_job(catalogue, settings, claim, should_stop=broken)

    assert_the_winners_file_stays(catalogue, settings)


def test_a_worker_frozen_before_its_start_removes_no_result(catalogue, settings, monkeypatch) -> None:
    claim = one_job(catalogue)
    settings.storage.job_directory(claim.sweep, claim.gid).mkdir(parents=True)
    then_win(monkeypatch, "send", catalogue, settings)

    with pytest.raises(LeaseLostError):
        run_job(catalogue, settings, claim)

    assert_the_winners_file_stays(catalogue, settings)


def test_a_worker_without_database_removes_no_result(catalogue, settings, monkeypatch) -> None:
    claim = one_job(catalogue)
    win(catalogue, settings)
    heartbeat = catalogue.heartbeat

    def away(*args: Any) -> bool:
        monkeypatch.setattr(catalogue, "heartbeat", heartbeat)
        raise CatalogueError("away")

    monkeypatch.setattr(catalogue, "heartbeat", away)
    with pytest.raises(LeaseLostError):
        run_job(catalogue, settings, claim)

    assert_the_winners_file_stays(catalogue, settings)


# --------------------------------------------------------------------------------------------------- revisions


@pytest.mark.postgres
@pytest.mark.parametrize("number", [0, 1])
def test_tables_exist_after_a_commit_without_answer_on_postgresql(proxy, administer, number) -> None:
    name = f"t{uuid4().hex}"
    administer(f"CREATE DATABASE {name}")
    proxy.cut_commit(number)

    catalogue = Catalogue.open(f"postgresql+psycopg://tvb@/{name}?host={proxy.directory}", create=True)
    Scene(catalogue)

    assert proxy.cut == 1
    catalogue.dispose()


def test_tables_exist_after_a_commit_without_answer_on_sqlite(tmp_path, monkeypatch) -> None:
    engine = database.connect(f"sqlite:///{tmp_path}/c.sqlite")
    monkeypatch.setattr(base, "connect", lambda url: engine)

    with cut_sqlite(engine, "database is locked") as times:
        catalogue = Catalogue.open("as above", create=True)
    Scene(catalogue)

    assert times() == 1
    catalogue.dispose()
