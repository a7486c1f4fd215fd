"""A message leads to the right row in every case: no exception, and no second run."""

import json
import threading
from datetime import timedelta

import pytest
from conftest import ENDLESS, SHORT, wait_until
from sqlalchemy import update

from tvb_batch.models.catalogue import Catalogue
from tvb_batch.models.catalogue.status import Status
from tvb_batch.models.catalogue.tables import Sweep
from tvb_batch.models.queue import make_app, waiting
from tvb_batch.models.spec.sweep import sweep
from tvb_batch.worker.reconciler import Reconciler, reconcile_until
from tvb_batch.worker.state import WorkerState
from tvb_batch.worker.tasks import perform, serve_message


@pytest.fixture
def state(settings):
    state = WorkerState(settings)
    yield state
    state.after_fork()


def add(catalogue, **changes):
    found = catalogue.add_sweep(sweep({**SHORT, **changes}))
    return catalogue.jobs(sweep=found.gid)[0]


def status(catalogue, job):
    found = catalogue.find_job(str(job.gid))
    return found.status, found.error_type, found.error


def test_a_message_becomes_a_finished_job(state, catalogue) -> None:
    job = add(catalogue)

    perform(state, str(job.gid))

    assert status(catalogue, job) == (Status.FINISHED, None, None)
    assert len(catalogue.outputs([job.gid])) == 1


def test_second_delivery_of_a_running_or_finished_job_is_dropped(state, catalogue) -> None:
    running, finished = add(catalogue), add(catalogue, seed=2)
    catalogue.claim(running.gid, "another", timedelta(seconds=60))
    perform(state, str(finished.gid))
    before = catalogue.outputs([finished.gid])[0].sha256

    perform(state, str(running.gid))
    perform(state, str(finished.gid))

    assert catalogue.find_job(str(running.gid)).worker == "another"
    [after] = catalogue.outputs([finished.gid])
    assert after.sha256 == before
    assert catalogue.find_job(str(finished.gid)).attempt == 1


def test_one_message_serves_several_short_jobs(state, catalogue) -> None:
    found = catalogue.add_sweep(sweep({**SHORT, "sweep": {"model.a": [0.04, 0.05, 0.07]}}))
    hint = catalogue.jobs(sweep=found.gid)[-1]

    serve_message(state, str(hint.gid))
    # The messages of the other jobs are outdated.
    serve_message(state, str(catalogue.jobs(sweep=found.gid)[0].gid))

    assert [(job.status, job.attempt) for job in catalogue.jobs(sweep=found.gid)] == [(Status.FINISHED, 1)] * 3


def test_a_process_that_is_replaced_after_so_many_jobs_serves_one_a_message(settings, catalogue) -> None:
    found = catalogue.add_sweep(sweep({**SHORT, "sweep": {"model.a": [0.04, 0.05]}}))
    state = WorkerState(settings.model_copy(update={"max_tasks_per_child": 1}))

    serve_message(state, str(catalogue.jobs(sweep=found.gid)[0].gid))

    assert catalogue.counts(found.gid) == {Status.FINISHED: 1, Status.PENDING: 1}
    state.after_fork()


def test_a_row_whose_base_makes_no_simulation_ends_in_error_with_a_reason(state, catalogue) -> None:
    job = add(catalogue)
    with catalogue._writing() as session:
        session.execute(update(Sweep).values(base={"model": "NoModel"}))

    perform(state, str(job.gid))

    found, kind, reason = status(catalogue, job)
    assert (found, kind) == (Status.ERROR, "SpecError")
    assert "NoModel" in reason


@pytest.mark.slow
@pytest.mark.parametrize(
    "message", ["", "../../etc/passwd", "x" * 10_000, "4d1c0f6a-8f0e-4c35-9d1b-0a8f5a3f6b11", None, 3, {"gid": 1}]
)
def test_a_message_that_names_no_job_is_dropped(state, catalogue, message) -> None:
    perform(state, message)

    assert catalogue.count() == 0


def test_a_simulation_that_tvb_refuses_ends_in_error_with_tvbs_message(state, catalogue, monkeypatch) -> None:
    job = add(catalogue)

    def refuse(*_: object) -> None:
        raise KeyError("stvar")

    monkeypatch.setattr("tvb_batch.worker.job.run.build_simulator", refuse)

    perform(state, str(job.gid))

    assert status(catalogue, job) == (Status.ERROR, "KeyError", "KeyError: 'stvar'")


def test_a_damaged_input_ends_in_error_at_once(state, catalogue, settings) -> None:
    settings.storage.inputs.mkdir()
    (settings.storage.inputs / "bad.zip").write_bytes(b"no zip")
    job = add(catalogue, connectivity="inputs/bad.zip")

    perform(state, str(job.gid))

    assert status(catalogue, job)[:2] == (Status.ERROR, "InputError")
    assert catalogue.find_job(str(job.gid)).attempt == 1


def test_a_storage_that_cannot_be_written_is_tried_again_and_then_an_error(state, catalogue, settings) -> None:
    (settings.storage.root / "outputs").write_text("a file in the way")
    job = add(catalogue)

    seen = []
    for _ in range(settings.max_attempts):
        perform(state, str(job.gid))
        seen.append(status(catalogue, job)[:2])

    assert seen == [(Status.PENDING, "OutputError")] * 2 + [(Status.ERROR, "OutputError")]
    (settings.storage.root / "outputs").unlink()
    catalogue.retry(job=job.gid)
    perform(state, str(job.gid))
    assert status(catalogue, job) == (Status.FINISHED, None, None)


def test_a_stopping_worker_takes_no_job(state, catalogue) -> None:
    job = add(catalogue)
    state.stopping.set()

    perform(state, str(job.gid))

    found = catalogue.find_job(str(job.gid))
    assert (found.status, found.attempt) == (Status.PENDING, 0)


@pytest.mark.slow
def test_a_worker_that_stops_during_a_job_returns_it(state, catalogue) -> None:
    job = add(catalogue, **ENDLESS)
    thread = threading.Thread(target=perform, args=(state, str(job.gid)))
    thread.start()
    wait_until(lambda: catalogue.find_job(str(job.gid)).status == Status.STARTED)

    state.stopping.set()
    thread.join(60)

    found = catalogue.find_job(str(job.gid))
    assert (found.status, found.attempt) == (Status.PENDING, 0)


def test_the_reconciler_returns_dead_jobs_and_publishes_them(settings, catalogue) -> None:
    job = add(catalogue)
    app = make_app(settings)
    catalogue.mark_published([job.gid])
    catalogue.claim(job.gid, "dead", timedelta(seconds=-1))
    stop = threading.Event()
    thread = threading.Thread(target=reconcile_until, args=(stop, app, settings))
    thread.start()

    wait_until(lambda: waiting(app) == 1)
    stop.set()
    thread.join(10)

    assert catalogue.find_job(str(job.gid)).status == Status.PENDING


def test_only_one_worker_looks_at_a_time(settings, catalogue, monkeypatch) -> None:
    monkeypatch.setattr("tvb_batch.worker.reconciler.TURN", 3600)
    job = add(catalogue)
    app = make_app(settings)
    workers = [Reconciler(app, settings) for _ in range(20)]
    looks: list[Catalogue] = []
    monkeypatch.setattr(Reconciler, "_look", lambda _, catalogue: looks.append(catalogue))

    for _ in range(2):
        for worker in workers:
            worker.ask()
    assert len(looks) == 1

    flush(app)  # The turn is over.
    monkeypatch.undo()
    for worker in reversed(workers):
        worker.ask()
        worker.close()
    assert waiting(app) == 1
    assert catalogue.find_job(str(job.gid)).published_at


def flush(app) -> None:
    with app.connection_for_write() as connection:
        connection.default_channel.client.flushall()


@pytest.mark.slow
def test_the_reconciler_survives_an_unreachable_broker(settings, catalogue, monkeypatch) -> None:
    monkeypatch.setattr("tvb_batch.worker.reconciler.ALONE_EVERY", 2.0)
    job = add(catalogue)
    catalogue.claim(job.gid, "dead", timedelta(seconds=-1))
    gone = settings.model_copy(update={"broker_url": type(settings.broker_url)("redis://127.0.0.1:1/0")})
    stop = threading.Event()
    thread = threading.Thread(target=reconcile_until, args=(stop, make_app(gone), gone))
    thread.start()

    wait_until(lambda: catalogue.find_job(str(job.gid)).status == Status.PENDING)
    assert thread.is_alive()

    stop.set()
    thread.join(30)
    assert not thread.is_alive()


@pytest.mark.slow
def test_the_reconciler_survives_a_database_that_is_unreachable_at_its_start(settings, catalogue) -> None:
    job = add(catalogue)
    app, stop, home = make_app(settings), threading.Event(), settings.data_dir
    home.rename(away := home.with_name("away"))
    thread = threading.Thread(target=reconcile_until, args=(stop, app, settings))
    thread.start()

    with pytest.raises(AssertionError):
        wait_until(lambda: not thread.is_alive() or waiting(app), seconds=3)
    away.rename(home)

    wait_until(lambda: waiting(app) == 1)
    assert catalogue.find_job(str(job.gid)).published_at
    stop.set()
    thread.join(30)


@pytest.mark.slow
def test_a_workers_versions_are_in_the_row(state, catalogue) -> None:
    job = add(catalogue)

    perform(state, str(job.gid))

    versions = catalogue.find_job(str(job.gid)).versions
    assert json.dumps(versions)
    assert set(versions) >= {"tvb-library", "numpy", "h5py", "numba", "python", "tvb-batch"}


@pytest.mark.slow
def test_a_catalogue_opened_before_a_fork_is_not_used_after_it(state, catalogue) -> None:
    before = state.catalogue

    state.after_fork()

    assert isinstance(state.catalogue, Catalogue)
    assert state.catalogue is not before
