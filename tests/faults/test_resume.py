"""Jobs whose worker is killed, stopped or frozen continue from their checkpoint with the bits of an undisturbed run."""

import dataclasses
import itertools
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import fault_system
import h5py
import numpy as np
import pytest
from conftest import wait_until
from runs import add, assert_same, contents, files, undisturbed

from tvb_batch.models.catalogue import Catalogue
from tvb_batch.models.catalogue.status import Status
from tvb_batch.models.errors import CanceledError, LeaseLostError, NotFiniteError
from tvb_batch.models.queue import make_app
from tvb_batch.models.spec.simulation import SimulationSpec
from tvb_batch.models.spec.sweep import SweepSpec
from tvb_batch.submit.intake.enqueue import enqueue
from tvb_batch.worker.engines import reference
from tvb_batch.worker.job.heartbeat import StoppedError
from tvb_batch.worker.job.outputs import Outputs
from tvb_batch.worker.job.run import run_job

LEASE = timedelta(seconds=60)
MONITORS = [
    {"class": "Raw"},
    {"class": "TemporalAverage", "period": 3.5},
    {"class": "GlobalAverage", "period": 2.0},
    {"class": "SubSample", "period": 5.0},
    {"class": "Bold", "period": 60.0},
    {"class": "AfferentCoupling"},
]
COLOURED = {"class": "HeunStochastic", "dt": 0.5, "noise": {"class": "Additive", "nsig": [0.001], "ntau": 5.0}}
STIMULUS = {
    "class": "StimuliRegion",
    "weight": [1.0] * 76,
    "temporal": {"class": "PulseTrain", "parameters": {"onset": 5.0, "T": 40.0, "tau": 10.0, "amp": 0.1}},
}


@pytest.fixture
def settings(settings, monkeypatch):
    """Return settings with a checkpoint after every chunk, and chunks of a few steps."""
    monkeypatch.setattr(reference, "MOST_STEPS", 7)
    return settings.model_copy(update={"checkpoint_interval": 0.0})


def start(settings, gid, *, die_after: int | None = None, freeze_after: int | None = None) -> multiprocessing.Process:
    """Run the job in a separate process, which kills or freezes itself after a number of chunks."""
    process = multiprocessing.get_context("fork").Process(target=work, args=(settings, gid, die_after, freeze_after))
    process.start()
    return process


def work(settings, gid, die_after, freeze_after) -> None:
    append, chunks = Outputs.append, itertools.count(1)

    def counted(self, samples):
        append(self, samples)
        number = next(chunks)
        if number == die_after:
            os.kill(os.getpid(), signal.SIGKILL)
        if number == freeze_after:
            os.kill(os.getpid(), signal.SIGSTOP)

    Outputs.append = counted
    catalogue = Catalogue.open(settings.database)
    claim = catalogue.claim(gid, "child", timedelta(seconds=settings.lease))
    run_job(catalogue, settings, claim)


def kill_one(settings, catalogue, gid, after: int) -> None:
    """Run one attempt that is killed after a number of chunks; then let its lease expire."""
    process = start(settings, gid, die_after=after)
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    expire(catalogue, gid)


def expire(catalogue, gid, max_attempts: int = 3) -> None:
    wait_until(lambda: catalogue.expire(max_attempts=max_attempts), seconds=20)


def finish(catalogue, settings, gid):
    return run_job(catalogue, settings, catalogue.claim(gid, "last", LEASE))


@pytest.mark.parametrize("engine", ["reference", "auto"])
@pytest.mark.parametrize(
    "changes",
    [
        {"monitors": MONITORS},
        {"monitors": MONITORS[:2], "integrator": COLOURED},
        {"integrator": {"class": "EulerStochastic", "dt": 0.5, "noise": {"class": "Multiplicative", "nsig": [0.001]}}},
        {"model": {"class": "JansenRit"}, "coupling": {"class": "SigmoidalJansenRit"}, "seed": 3},
        {"integrator": {"class": "VODEStochastic", "dt": 0.5, "noise": {"class": "Additive", "nsig": [0.001]}}},
        {"integrator": {"class": "Dop853", "dt": 0.5}, "stimulus": STIMULUS},
        {"stimulus": STIMULUS, "simulation_length": 100.0},
    ],
    ids=["monitors", "coloured noise", "multiplicative noise", "JansenRit", "VODE", "Dop853", "stimulus"],
)
def test_a_killed_job_continues_with_the_bits_of_an_undisturbed_run(
    settings, catalogue, monkeypatch, engine, changes
) -> None:
    monkeypatch.setattr("tvb_batch.worker.engines.WORTH_COMPILING", 1)
    short = settings.model_copy(update={"lease": 1.0})
    gid = add(catalogue, engine=engine, **changes)
    expected = undisturbed(catalogue, settings, gid)

    kill_one(short, catalogue, gid, 5)
    kill_one(short, catalogue, gid, 3)
    outputs = finish(catalogue, settings, gid)

    assert_same(contents(settings, outputs), expected)
    assert len(files(settings)) == 2 * len(expected)
    assert catalogue.find_job(str(gid)).status == Status.FINISHED


def test_a_job_that_is_killed_again_and_again_still_finishes(settings, catalogue) -> None:
    short = settings.model_copy(update={"lease": 0.5})
    gid = add(catalogue, monitors=MONITORS[:2])
    expected = undisturbed(catalogue, settings, gid)

    for kills in range(8):
        kill_one(short, catalogue, gid, 4)
        assert catalogue.find_job(str(gid)).status == Status.PENDING, f"after {kills + 1} kills"
    outputs = finish(catalogue, settings, gid)

    assert_same(contents(settings, outputs), expected)
    assert catalogue.find_job(str(gid)).attempt == 9


def test_a_job_without_progress_ends_in_error(settings, catalogue) -> None:
    short = settings.model_copy(update={"lease": 0.5})
    gid = add(catalogue)
    kill_one(short, catalogue, gid, 4)

    for _ in range(3):
        # Before its first chunk is saved.
        kill_one(short, catalogue, gid, 1)

    assert catalogue.find_job(str(gid)).status == Status.ERROR
    catalogue.retry(job=gid)
    finish(catalogue, settings, gid)
    assert len(files(settings)) == 1


def test_a_frozen_worker_that_continues_damages_nothing(settings, catalogue) -> None:
    short = settings.model_copy(update={"lease": 0.5})
    gid = add(catalogue, monitors=MONITORS[:2])
    expected = undisturbed(catalogue, settings, gid)
    zombie = start(short, gid, freeze_after=6)
    expire(catalogue, gid)

    outputs = finish(catalogue, settings, gid)
    before = [settings.storage.absolute(output.path).read_bytes() for output in outputs]
    os.kill(zombie.pid, signal.SIGCONT)
    zombie.join(60)

    assert zombie.exitcode == 1, "it learned that the job was lost"
    assert [settings.storage.absolute(output.path).read_bytes() for output in outputs] == before
    assert_same(contents(settings, outputs), expected)
    assert len(files(settings)) == 2 * len(outputs)


def test_a_frozen_worker_that_continues_and_fails_damages_nothing(settings, catalogue) -> None:
    short = settings.model_copy(update={"lease": 0.5, "time_limit": 1.0})
    gid = add(catalogue)
    zombie = start(short, gid, freeze_after=6)
    expire(catalogue, gid)
    time.sleep(1.0)

    [output] = finish(catalogue, settings, gid)
    os.kill(zombie.pid, signal.SIGCONT)
    zombie.join(60)

    assert zombie.exitcode == 1
    assert files(settings) == [Path(output.path).name]


def test_two_workers_that_run_the_same_job_damage_nothing(settings, catalogue) -> None:
    short = settings.model_copy(update={"lease": 0.5})
    gid = add(catalogue, monitors=MONITORS[:2])
    expected = undisturbed(catalogue, settings, gid)
    zombie = start(short, gid, freeze_after=6)
    expire(catalogue, gid)

    # The frozen worker continues while the next attempt runs.
    claim = catalogue.claim(gid, "next", LEASE)
    run = iter(range(100))

    def wake() -> bool:
        if next(run) == 3:
            os.kill(zombie.pid, signal.SIGCONT)
        return False

    outputs = run_job(catalogue, settings, claim, should_stop=wake)
    zombie.join(60)

    assert zombie.exitcode == 1
    assert_same(contents(settings, outputs), expected)


# -------------------------------------------------------------------------------------------------- stopped and given back


def after(chunks: int, count: Iterator[int]) -> Callable[[], bool]:
    """Return whether a number of chunks are done; calls by the heartbeat's thread are not counted."""
    return lambda: threading.current_thread() is threading.main_thread() and next(count) >= chunks


def stopped(catalogue, settings, gid, chunks: int) -> None:
    """Run one attempt that returns the job after a number of chunks."""
    claim, count = catalogue.claim(gid, "stopped", LEASE), itertools.count(1)
    with pytest.raises(StoppedError):
        run_job(catalogue, settings, claim, should_stop=after(chunks, count))
    catalogue.release(claim)


def test_a_returned_job_continues_where_it_was(settings, catalogue) -> None:
    seldom = settings.model_copy(update={"checkpoint_interval": 3600.0})
    gid = add(catalogue, monitors=MONITORS)
    expected = undisturbed(catalogue, settings, gid)
    seen = []

    for _ in range(3):
        stopped(catalogue, seldom, gid, 5)
        seen.append(files(settings))
    claim, chunks = catalogue.claim(gid, "last", LEASE), itertools.count(1)
    outputs = run_job(catalogue, seldom, claim, should_stop=after(10**9, chunks))

    assert_same(contents(settings, outputs), expected)
    assert claim.attempt == 1
    assert next(chunks) < 60, "it did not begin again"
    # For the job and its finished twin: one checkpoint, and the files with samples.
    assert {len([name for name in names if name.endswith(".npz")]) for names in seen} == {1}
    assert max(len([name for name in names if name.endswith(".part")]) for names in seen) <= len(MONITORS)


@pytest.mark.parametrize("how", ["checkpoint", "part", "part removed", "version", "spec", "nothing left but the part"])
def test_damaged_and_foreign_checkpoints_are_ignored(settings, catalogue, monkeypatch, how) -> None:
    gid = add(catalogue, monitors=MONITORS[:1])
    expected = undisturbed(catalogue, settings, gid)
    stopped(catalogue, settings, gid, 8)
    [checkpoint] = (settings.storage.root / "outputs").rglob("*.npz")
    [unfinished] = (settings.storage.root / "outputs").rglob("*.part")
    if how == "checkpoint":
        checkpoint.write_bytes(checkpoint.read_bytes()[:-100])
    elif how == "part":
        with h5py.File(unfinished, "r+") as file:
            file["data"][3, 0, 5, 0] += 1e-9
    elif how == "part removed":
        unfinished.unlink()
    elif how == "version":
        monkeypatch.setattr("tvb_batch.worker.job.job_progress.versions", lambda spec: {"numpy": "1.0"})
    elif how == "spec":
        claim = catalogue.claim(gid, "x", LEASE)
        claim = dataclasses.replace(claim, parameters={**claim.parameters, "coupling.a": 0.5})
        [output] = run_job(catalogue, settings, claim)
        assert not np.array_equal(contents(settings, [output])[0]["data"], expected[0]["data"])
        return
    else:
        checkpoint.unlink()

    outputs = finish(catalogue, settings, gid)

    assert_same(contents(settings, outputs), expected)
    assert len(files(settings)) == 2


def test_a_job_continues_from_its_checkpoint_after_the_storage_refused_its_end(
    settings, catalogue, monkeypatch
) -> None:
    from tvb_batch.models.errors import StorageError

    gid = add(catalogue, monitors=MONITORS[:2])
    expected = undisturbed(catalogue, settings, gid)
    claim = catalogue.claim(gid, "x", LEASE)

    def refuse(*_: object, **__: object) -> None:
        raise StorageError("no room")

    with monkeypatch.context() as patch:
        # Its files have their final names already.
        patch.setattr(catalogue, "finish", refuse)
        with pytest.raises(StorageError):
            run_job(catalogue, settings, claim)
    catalogue.wait(claim, "StorageError", "no room", timedelta(0))
    again = catalogue.claim(gid, "y", LEASE)
    chunks = itertools.count(1)
    outputs = run_job(catalogue, settings, again, should_stop=lambda: next(chunks) < 0)

    assert_same(contents(settings, outputs), expected)
    assert next(chunks) < 10
    assert len(files(settings)) == 2 * len(outputs)


@pytest.mark.parametrize("end", ["canceled", "error", "lost"])
def test_a_job_that_cannot_continue_leaves_no_files(settings, catalogue, monkeypatch, end) -> None:
    monkeypatch.setattr("tvb_batch.worker.job.heartbeat.HEARTBEAT_EVERY", 0.0)
    changes = {"stop_on_nan": True, "model": {"class": "Generic2dOscillator", "tau": 1e6},
               "integrator": {"class": "EulerDeterministic", "dt": 0.5}} if end == "error" else {}  # fmt: skip
    gid = add(catalogue, **changes)
    claim, chunks = catalogue.claim(gid, "x", LEASE), itertools.count(1)

    def act() -> bool:
        if next(chunks) == 4 and end == "canceled":
            catalogue.cancel(job=gid)
        return False

    fault = {"canceled": CanceledError, "error": NotFiniteError, "lost": LeaseLostError}[end]
    if end == "lost":
        catalogue.release(claim)
    with np.errstate(all="ignore"), pytest.raises(fault):
        run_job(catalogue, settings, claim, should_stop=act)

    assert files(settings) == []


# ---------------------------------------------------------------------------------------------------------- real workers

#: The row shows progress a few times a second, on any machine.
TOLD_OFTEN = {"lease": fault_system.LEASE, "chunk_bytes": 2**16}


def test_a_worker_with_all_processes_terminated_returns_its_job_and_another_continues(
    settings, catalogue, start_worker
) -> None:
    seldom = settings.model_copy(update={**TOLD_OFTEN, "checkpoint_interval": 3600.0})
    base = SimulationSpec.model_validate(fault_system.LONG)
    sweep = enqueue(catalogue, make_app(settings), SweepSpec(name="s", base=base, plan={}), settings.storage)
    gid = catalogue.jobs(sweep=sweep.gid)[0].gid
    worker = start_worker(1, seldom)
    wait_until(lambda: catalogue.find_job(str(gid)).progress > 0.1)

    begun = time.monotonic()
    os.killpg(worker.pid, signal.SIGTERM)
    worker.wait(20)
    seconds = time.monotonic() - begun

    job = catalogue.find_job(str(gid))
    assert (job.status, job.progress) == (Status.PENDING, 0)
    assert seconds < 8
    assert {Path(name).suffix for name in files(settings)} == {".npz", ".part"}
    start_worker(1, seldom)
    wait_until(lambda: catalogue.find_job(str(gid)).status == Status.FINISHED, seconds=90)
    assert_same(contents(settings, catalogue.outputs([gid])), undisturbed_twin(seldom, catalogue, base))


def undisturbed_twin(settings, catalogue, base):
    twin = catalogue.add_sweep(SweepSpec(name="twin", base=base, plan={}), reuse=False)
    return contents(settings, finish(catalogue, settings, catalogue.jobs(sweep=twin.gid)[0].gid))


def test_another_worker_continues_the_job_of_a_killed_one(settings, catalogue, start_worker) -> None:
    often = settings.model_copy(update={**TOLD_OFTEN, "checkpoint_interval": 0.2})
    base = SimulationSpec.model_validate(fault_system.LONG)
    sweep = enqueue(catalogue, make_app(settings), SweepSpec(name="s", base=base, plan={}), settings.storage)
    gid = catalogue.jobs(sweep=sweep.gid)[0].gid
    worker = start_worker(1, often)
    wait_until(lambda: catalogue.find_job(str(gid)).saved_attempt == 1)

    os.killpg(worker.pid, signal.SIGKILL)
    start_worker(1, often)
    wait_until(lambda: catalogue.find_job(str(gid)).status == Status.FINISHED, seconds=90)

    assert catalogue.find_job(str(gid)).attempt == 2
    assert_same(contents(settings, catalogue.outputs([gid])), undisturbed_twin(often, catalogue, base))
