"""Early ends of a job: time limits and NaN; and the extension of its lease."""

import multiprocessing
import threading
import time
from datetime import timedelta

import numpy as np
import pytest
from conftest import ENDLESS, SHORT, wait_until

from tvb_batch.models.catalogue import Catalogue
from tvb_batch.models.catalogue.status import Status
from tvb_batch.models.spec.simulation import SimulationSpec
from tvb_batch.models.spec.sweep import SweepSpec
from tvb_batch.worker.engines import reference
from tvb_batch.worker.job.heartbeat import Heartbeat
from tvb_batch.worker.state import WorkerState
from tvb_batch.worker.tasks import perform

#: Diverges after some milliseconds.
WILD = {
    "model": {"class": "Generic2dOscillator", "tau": 500.0},
    "integrator": {"class": "EulerDeterministic", "dt": 0.5},
    "monitors": [{"class": "Raw"}, {"class": "TemporalAverage", "period": 10.0}],
}


def add(catalogue, **changes):
    spec = SweepSpec(name="one", base=SimulationSpec.model_validate({**SHORT, **changes}), plan={})
    sweep = catalogue.add_sweep(spec, reuse=False)
    return catalogue.jobs(sweep=sweep.gid)[0].gid


def done(settings, catalogue, gid):
    state = WorkerState(settings)
    with np.errstate(all="ignore"):
        perform(state, str(gid))
    state.after_fork()
    return catalogue.find_job(str(gid))


@pytest.mark.parametrize("where", ["spec", "settings"])
def test_a_job_that_takes_too_long_ends_in_error(settings, catalogue, where) -> None:
    gid = add(catalogue, **ENDLESS, **({"time_limit": 1.5} if where == "spec" else {}))
    begun = time.monotonic()

    job = done(settings.model_copy(update={"time_limit": 1.5 if where == "settings" else 3600.0}), catalogue, gid)

    assert (job.status, job.error_type) == (Status.ERROR, "TimeLimitError")
    assert "expected at most 1.5 s" in job.error
    assert time.monotonic() - begun < 10
    assert [path for path in (settings.storage.root / "outputs").rglob("*") if path.is_file()] == []


def test_a_time_limit_counts_earlier_attempts(settings, catalogue) -> None:
    gid = add(catalogue, **ENDLESS, time_limit=6.0)
    state = WorkerState(settings)
    begun = time.monotonic()
    state.must_stop = lambda: time.monotonic() - begun > 3.5  # type: ignore[method-assign]
    perform(state, str(gid))
    assert catalogue.find_job(str(gid)).status == Status.PENDING

    again = time.monotonic()
    job = done(settings, catalogue, gid)

    assert job.error_type == "TimeLimitError"
    assert time.monotonic() - again < 5
    state.after_fork()


def test_a_job_that_never_ends_a_chunk_is_ended_with_its_process(settings, catalogue, monkeypatch) -> None:
    monkeypatch.setattr("tvb_batch.worker.job.heartbeat.HARD_AFTER", 0.5)
    monkeypatch.setattr("tvb.simulator.simulator.Simulator.__call__", lambda *_, **__: time.sleep(600))
    gid = add(catalogue, **ENDLESS, time_limit=1.0)
    process = multiprocessing.get_context("fork").Process(target=lambda: perform(WorkerState(settings), str(gid)))

    process.start()
    process.join(20)

    job = catalogue.find_job(str(gid))
    assert process.exitcode == 1
    assert (job.status, job.error_type) == (Status.ERROR, "TimeLimitError")


def test_a_lease_is_extended_while_no_chunk_ends(settings, catalogue) -> None:
    gid = add(catalogue)
    claim = catalogue.claim(gid, "x", timedelta(seconds=1.0))

    with Heartbeat(catalogue, claim, 1.0, None, lambda: False):
        time.sleep(2.5)
        assert catalogue.expire(max_attempts=3) == 0

    wait_until(lambda: catalogue.expire(max_attempts=3), seconds=5)


def test_one_thread_polls_all_jobs_of_a_process_and_a_child_has_its_own(catalogue, settings) -> None:
    gid, threads = add(catalogue), set()
    for _ in range(3):
        claim = catalogue.claim(gid, "x", timedelta(seconds=1.0))
        with Heartbeat(catalogue, claim, 1.0, None, lambda: False):
            threads.add(threading.active_count())
        catalogue.release(claim)

    with Heartbeat(catalogue, claim, 1.0, None, lambda: False):
        process = multiprocessing.get_context("fork").Process(target=hold, args=(settings, gid))
        process.start()
        wait_until(lambda: catalogue.find_job(str(gid)).status == Status.STARTED)
        until = catalogue.find_job(str(gid)).lease_until
        wait_until(lambda: catalogue.find_job(str(gid)).lease_until > until, seconds=10)
        process.join(20)

    assert len(threads) == 1
    assert process.exitcode == 0


def hold(settings, gid) -> None:
    """Run a job until its lease was extended twice."""
    catalogue = Catalogue.open(settings.database)
    claim = catalogue.claim(gid, "child", timedelta(seconds=1.0))
    with Heartbeat(catalogue, claim, 1.0, None, lambda: False):
        for _ in range(2):
            until = catalogue.find_job(str(gid)).lease_until
            wait_until(lambda until=until: catalogue.find_job(str(gid)).lease_until > until, seconds=10)


@pytest.mark.parametrize(("lease", "every"), [(120.0, 1.0), (3.0, 0.2)])
def test_a_short_lease_has_more_heartbeats(catalogue, monkeypatch, lease, every) -> None:
    now = 0.0
    monkeypatch.setattr("tvb_batch.worker.job.heartbeat.time.monotonic", lambda: now)
    claim = catalogue.claim(add(catalogue), "x", timedelta(seconds=lease))
    heartbeat, seen = Heartbeat(catalogue, claim, lease, None, lambda: False), []

    for now in (0.9 * every, 1.1 * every):
        heartbeat.check(now)
        seen.append(catalogue.find_job(str(claim.gid)).progress)

    assert seen == [0.0, 1.1 * every]


def test_a_job_survives_a_database_that_does_not_answer_for_a_moment(settings, catalogue, monkeypatch) -> None:
    monkeypatch.setattr("tvb_batch.worker.job.heartbeat.HEARTBEAT_EVERY", 0.0)
    claim = catalogue.claim(add(catalogue), "x", timedelta(seconds=60))
    elsewhere = Catalogue.open(settings.database)

    with Heartbeat(elsewhere, claim, 60.0, None, lambda: False) as heartbeat:
        heartbeat.check(0.1)
        catalogue.dispose()
        elsewhere.dispose()
        hidden = settings.storage.catalogue.rename(settings.storage.root / "hidden")
        settings.storage.catalogue.write_text("no database" * 1000)
        heartbeat.check(0.2)
        settings.storage.catalogue.unlink()
        hidden.rename(settings.storage.catalogue)
        elsewhere.dispose()
        heartbeat.check(0.3)

    assert catalogue.find_job(str(claim.gid)).progress == 0.3
    elsewhere.dispose()


def test_a_job_that_is_to_stop_at_nan_ends_in_error_with_the_time(settings, catalogue) -> None:
    whole = add(catalogue, **WILD, simulation_length=500.0)
    kept = done(settings, catalogue, whole)
    job = done(settings, catalogue, add(catalogue, **WILD, stop_on_nan=True, **ENDLESS))

    assert kept.status == Status.FINISHED
    assert catalogue.outputs([whole])[0].is_nan
    assert (job.status, job.error_type) == (Status.ERROR, "NotFiniteError")
    assert job.error.startswith("monitors[0] (Raw): NaN or infinity first at ")
    import h5py

    with h5py.File(settings.storage.absolute(catalogue.outputs([whole])[0].path)) as file:
        bad = ~np.isfinite(file["data"][()]).reshape(len(file["data"]), -1).all(axis=1)
        first = file["time"][()][bad.argmax()]
    assert f"first at {first:g} ms" in job.error


def test_nan_is_seen_before_a_monitor_samples_it(settings, catalogue) -> None:
    gid = add(catalogue, **{**WILD, "monitors": [{"class": "Bold", "period": 2000.0}]}, stop_on_nan=True, **ENDLESS)

    job = done(settings, catalogue, gid)

    assert job.error_type == "NotFiniteError"
    assert job.error.startswith("model state: NaN or infinity by ")


def test_limits_of_a_job_change_no_data() -> None:
    one = SimulationSpec.model_validate(SHORT)
    other = SimulationSpec.model_validate({**SHORT, "stop_on_nan": True, "time_limit": 5.0})

    assert one.parameters_hash() == other.parameters_hash()


@pytest.mark.parametrize("seconds_a_step", [0.0, 0.002, 0.2])
def test_a_chunk_takes_about_a_second_also_with_slow_steps(monkeypatch, seconds_a_step) -> None:
    now = 0.0
    monkeypatch.setattr("tvb_batch.worker.engines.reference.time.monotonic", lambda: now)
    taken = []

    def do(n_steps: int) -> list[None]:
        nonlocal now
        now += n_steps * seconds_a_step
        taken.append(n_steps)
        return [None]

    chunks = list(reference.in_chunks(do, 5000, 2000, 0))

    assert sum(taken) == 5000
    assert chunks[-1].step == 5000
    assert max(taken) * seconds_a_step <= max(1.0, reference.FIRST_STEPS * seconds_a_step)
    assert max(taken) >= {0.0: 2000, 0.002: 400, 0.2: 5}[seconds_a_step]
