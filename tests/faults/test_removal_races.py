"""`prune` and `verify --all` while jobs finish and sweeps are submitted: the other side acts at each of their steps."""

import os
import threading
import time
from contextlib import contextmanager
from datetime import timedelta
from importlib.resources import files

import numpy as np
import pytest
from conftest import SHORT

from tvb_batch.models.catalogue import Catalogue
from tvb_batch.models.queue import make_app
from tvb_batch.models.spec.sweep import sweep
from tvb_batch.models.tvb.input_store import YOUNG, Inputs
from tvb_batch.submit.intake.enqueue import enqueue
from tvb_batch.submit.intake.files import keep
from tvb_batch.submit.operate import removal, strays
from tvb_batch.submit.operate.audit import audit
from tvb_batch.submit.operate.removal import delete, prune
from tvb_batch.worker.job.run import run_job

#: Maximum number of queries of `prune` and `verify --all`.
STEPS = range(6)


class ActsBefore:
    """A catalogue that calls a function before it answers one of its queries."""

    def __init__(self, catalogue: Catalogue, step: int, act) -> None:
        self._catalogue, self._left, self._act = catalogue, step, act
        self.has_acted = False

    def __getattr__(self, name: str):
        if self._left == 0:
            self.has_acted = True
            self._act()
        self._left -= 1
        return getattr(self._catalogue, name)


@contextmanager
def running(settings, spec):
    """Return a job that has written its files and waits before `finish`, and a function that lets it finish."""
    own, may, did = Catalogue.open(settings.database), threading.Event(), threading.Event()
    [job] = own.jobs(sweep=own.add_sweep(spec, reuse=False).gid)
    claim, finish = own.claim(job.gid, "w", timedelta(seconds=60)), own.finish
    reached = threading.Event()

    def held(*arguments, **named) -> None:
        reached.set()
        assert may.wait(60)
        finish(*arguments, **named)

    def work() -> None:
        run_job(own, settings, claim)
        did.set()

    def let() -> None:
        may.set()
        assert did.wait(60)

    own.finish = held
    thread = threading.Thread(target=work)
    thread.start()
    assert reached.wait(60)
    yield let
    let()
    thread.join()
    own.dispose()


def age(*paths) -> None:
    """Make files look as if they were not touched for a long time."""
    for path in paths:
        os.utime(path, (time.time() - 2 * YOUNG,) * 2)


def own_file(tmp_path):
    """Return a connectivity file of the user."""
    path = tmp_path / "mine.zip"
    path.write_bytes((files("tvb_data") / "connectivity" / "connectivity_66.zip").read_bytes())
    return path


@pytest.mark.parametrize("step", STEPS)
def test_a_result_that_is_finished_meanwhile_stays(settings, catalogue, step: int) -> None:
    with running(settings, sweep({**SHORT, "name": "a"})) as finish:
        assert prune(ActsBefore(catalogue, step, finish), settings.storage) == (0, 0)

    assert audit(catalogue, settings).faults == []


@pytest.mark.parametrize("step", STEPS)
def test_a_result_that_is_finished_meanwhile_is_not_a_fault(settings, catalogue, step: int) -> None:
    with running(settings, sweep({**SHORT, "name": "a"})) as finish:
        assert audit(ActsBefore(catalogue, step, finish), settings).faults == []


def test_every_step_is_tried(settings, catalogue) -> None:
    asked = [[step for step in STEPS if _acts(look, catalogue, step, settings)] for look in (_prune, audit)]

    assert asked == [[0, 1, 2], [0, 1, 2, 3, 4]]


def _prune(catalogue, settings) -> None:
    prune(catalogue, settings.storage)


def _acts(look, catalogue, step: int, settings) -> bool:
    between = ActsBefore(catalogue, step, lambda: None)
    look(between, settings)
    return between.has_acted


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("age_of_file", ["new", "kept long ago"])
def test_an_input_whose_sweep_is_submitted_meanwhile_stays(settings, catalogue, tmp_path, step, age_of_file) -> None:
    spec = sweep({**SHORT, "name": "a", "connectivity": str(own_file(tmp_path))})
    kept = keep(spec, settings.storage)
    [path] = settings.storage.inputs.iterdir()
    if age_of_file == "kept long ago":
        age(path)

    def submit() -> None:
        catalogue.add_sweep(keep(spec, settings.storage))

    prune(ActsBefore(catalogue, step, submit), settings.storage)
    if not catalogue.sweeps():
        submit()

    assert kept.files() == [f"inputs/{path.name}"]
    assert Inputs(settings.storage).path(f"inputs/{path.name}") == path
    assert [one.name for one in settings.storage.inputs.iterdir()] == [path.name]


@pytest.mark.parametrize("place", ["before", "after"])
def test_an_input_that_is_reserved_while_it_is_set_aside_stays(
    settings, catalogue, tmp_path, monkeypatch, place
) -> None:
    spec = sweep({**SHORT, "name": "a", "connectivity": str(own_file(tmp_path))})
    keep(spec, settings.storage)
    [path] = settings.storage.inputs.iterdir()
    age(path)
    set_aside = removal._set_aside

    def between(path):
        if place == "before":
            keep(spec, settings.storage)
        moved = set_aside(path)
        if place == "after":
            keep(spec, settings.storage)
        return moved

    monkeypatch.setattr(removal, "_set_aside", between)
    prune(catalogue, settings.storage)

    assert [one.name for one in settings.storage.inputs.iterdir()] == [path.name]


def test_rows_written_after_the_grace_period_restore_their_files(
    settings, catalogue, tmp_path, monkeypatch
) -> None:  # fmt: skip
    spec, add = sweep({**SHORT, "name": "a", "connectivity": str(own_file(tmp_path))}), catalogue.add_sweep

    def slow(*arguments, **named):
        age(*settings.storage.inputs.iterdir())
        assert prune(catalogue, settings.storage)[0] == 1
        return add(*arguments, **named)

    monkeypatch.setattr(catalogue, "add_sweep", slow)
    enqueue(catalogue, make_app(settings), spec, settings.storage)

    assert audit(catalogue, settings).faults == []


def test_the_age_of_a_file_is_measured_by_the_storages_clock(settings, catalogue, tmp_path, monkeypatch) -> None:
    keep(sweep({**SHORT, "name": "a", "connectivity": str(own_file(tmp_path))}), settings.storage)
    ahead = time.time() + 10 * YOUNG
    monkeypatch.setattr(time, "time", lambda: ahead)

    assert prune(catalogue, settings.storage) == (0, 0)


def test_a_stored_input_is_renewed_before_rows_name_it(settings, catalogue) -> None:
    from tvb_batch.models.errors import InputError

    name = Inputs(settings.storage).keep_array(np.ones((76, 1)))
    spec = sweep({**SHORT, "name": "a", "connectivity": "connectivity_76.zip", "stimulus": _stimulus(name)})
    path = settings.storage.absolute(name)
    age(path)

    assert keep(spec, settings.storage) == spec
    assert prune(catalogue, settings.storage) == (0, 0)
    age(path)
    assert prune(catalogue, settings.storage)[0] == 1
    with pytest.raises(InputError, match="no such file"):
        keep(spec, settings.storage)


def _stimulus(name: str) -> dict[str, object]:
    temporal = {"class": "PulseTrain", "parameters": {"onset": 2.0, "T": 30.0, "tau": 5.0}}
    return {"class": "StimuliRegion", "weight": {"from_file": name}, "temporal": temporal}


@pytest.mark.parametrize("until", ["done", "still running"])
@pytest.mark.parametrize("step", STEPS)
def test_datatypes_of_a_job_that_starts_meanwhile_stay(settings, catalogue, step: int, until: str) -> None:
    first = catalogue.add_sweep(sweep({**SHORT, "name": "first"}), reuse=False)
    [job] = catalogue.jobs(sweep=first.gid)
    run_job(catalogue, settings, catalogue.claim(job.gid, "w", timedelta(seconds=60)))
    delete(catalogue, settings.storage, first)
    jobs = []

    def come() -> None:
        jobs.append(running(settings, sweep({**SHORT, "name": "second"})))
        finish = jobs[0].__enter__()
        if until == "done":
            finish()

    prune(ActsBefore(catalogue, step, come), settings.storage)
    for one in jobs:
        one.__exit__(None, None, None)

    assert audit(catalogue, settings).faults == []
    assert (settings.data_dir / "datatypes").exists()


def test_files_that_a_killed_prune_set_aside_are_restored(settings, catalogue, tmp_path, monkeypatch) -> None:
    spec = keep(sweep({**SHORT, "name": "a", "connectivity": str(own_file(tmp_path))}), settings.storage)
    [path] = settings.storage.inputs.iterdir()
    age(path)
    monkeypatch.setattr(removal, "_unlink", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        prune(catalogue, settings.storage)
    monkeypatch.undo()
    assert [one.suffix for one in settings.storage.inputs.iterdir()] == [strays.ASIDE]

    catalogue.add_sweep(spec)
    prune(catalogue, settings.storage)

    assert audit(catalogue, settings).faults == []


def test_a_sweep_deleted_while_it_is_verified_is_not_a_fault(settings, catalogue) -> None:
    spec = sweep({**SHORT, "name": "a"})
    found = catalogue.add_sweep(spec, reuse=False)
    [job] = catalogue.jobs(sweep=found.gid)
    run_job(catalogue, settings, catalogue.claim(job.gid, "w", timedelta(seconds=60)))

    def act() -> None:
        delete(catalogue, settings.storage, found)
        prune(catalogue, settings.storage)

    # Between rows and files: the worker's process finds no file.
    class Between(ActsBefore):
        def output_rows(self, **target):
            yield from list(self._catalogue.output_rows(**target))
            if not self.has_acted:
                self.has_acted = True
                act()

    assert audit(Between(catalogue, -1, act), settings).faults == []


@pytest.mark.parametrize("step", range(4))
def test_a_result_that_another_sweep_takes_over_while_it_is_deleted_stays(settings, catalogue, step: int) -> None:
    spec = sweep({**SHORT, "name": "a"})
    found = catalogue.add_sweep(spec, reuse=False)
    [job] = catalogue.jobs(sweep=found.gid)
    run_job(catalogue, settings, catalogue.claim(job.gid, "w", timedelta(seconds=60)))
    heirs = []

    delete(ActsBefore(catalogue, step, lambda: heirs.append(catalogue.add_sweep(spec))), settings.storage, found)
    prune(catalogue, settings.storage)

    done = [job.status == "FINISHED" for heir in heirs for job in catalogue.jobs(sweep=heir.gid)]
    assert len(done) <= 1
    assert audit(catalogue, settings).faults == []


def old_input(storage):
    path = storage.absolute(Inputs(storage).keep_array(np.ones(3)))
    age(path)
    return path


def test_two_prunes_do_not_remove_files_that_the_other_restores(settings) -> None:
    path = old_input(settings.storage)

    first = removal._set_aside(path)
    removal._restore_all(settings.storage)  # The second `prune` starts.
    second = removal._set_aside(path)
    removal._unlink([first])
    removal._restore(second)

    assert [one.name for one in settings.storage.inputs.iterdir()] == [path.name]


@pytest.mark.parametrize("has_links", [True, False])
def test_a_restored_file_does_not_replace_a_newer_one(settings, catalogue, monkeypatch, has_links) -> None:
    path = old_input(settings.storage)
    removal._set_aside(path)  # Then it is killed.
    new = settings.storage.absolute(Inputs(settings.storage).keep_array(np.ones(3)))
    assert new == path
    if not has_links:
        monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(PermissionError(1, "no links")))

    assert prune(catalogue, settings.storage) == (0, 0)
    assert [one.name for one in settings.storage.inputs.iterdir()] == [path.name]


@pytest.mark.parametrize(
    "name", ["inputs/eeg.csv", "inputs/sub-01/x.npy", "outputs/figures/a.png", "datatypes/mine.h5"]
)
def test_a_users_own_files_in_the_data_directory_stay(settings, catalogue, name: str) -> None:
    path = settings.data_dir / name
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    age(path)

    assert prune(catalogue, settings.storage) == (0, 0)
    assert audit(catalogue, settings).faults == []
    assert path.read_text() == "mine"
