"""A storage that is full, read-only, too small or missing: jobs wait with the reason, and continue where they were."""

import multiprocessing
import os
import resource
import shutil
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from runs import add, assert_same, contents, files, undisturbed

from tvb_batch.models.catalogue import Catalogue
from tvb_batch.models.catalogue.status import Status
from tvb_batch.models.errors import OutputError, StorageError
from tvb_batch.models.settings import Settings
from tvb_batch.worker.engines import reference
from tvb_batch.worker.h5.verify import output_error
from tvb_batch.worker.h5.writer import has_lost_files
from tvb_batch.worker.state import WorkerState
from tvb_batch.worker.tasks import perform

#: 3.2 MB of output.
LARGE = {
    "monitors": [{"class": "Raw"}],
    "simulation_length": 1000.0,
    "integrator": {"class": "HeunDeterministic", "dt": 0.25},
    "engine": "reference",
}


@pytest.fixture
def small(settings, monkeypatch) -> Iterator[Settings]:
    """Return settings with outputs on a file system of 2 MB."""
    place = settings.storage.root / "outputs"
    place.mkdir()
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", place]).returncode:
        pytest.skip("a small file system wants root")
    monkeypatch.setattr(reference, "MOST_STEPS", 50)
    monkeypatch.setattr("tvb_batch.worker.outcomes.STORAGE_PAUSE", timedelta(0))
    yield settings.model_copy(update={"checkpoint_interval": 0.0})
    subprocess.run(["umount", "-l", place], check=True)


def status(catalogue: Catalogue, gid) -> tuple:
    job = catalogue.find_job(str(gid))
    return job.status, job.error_type, job.progress


def test_a_job_waits_for_a_full_disk_and_continues_when_there_is_space(small, catalogue) -> None:
    gid, state = add(catalogue, **LARGE), WorkerState(small)

    for _ in range(4):
        perform(state, str(gid))
        assert status(catalogue, gid) == (Status.PENDING, "StorageError", 0)
    waiting = catalogue.find_job(str(gid))
    subprocess.run(["mount", "-o", "remount,size=64m", small.storage.root / "outputs"], check=True)
    perform(state, str(gid))

    assert "No space left on device" in waiting.error
    assert "\n" not in waiting.error
    assert status(catalogue, gid) == (Status.FINISHED, None, 1)
    ours = contents(small, catalogue.outputs([gid]))
    assert_same(ours, undisturbed_twin(small, catalogue))
    state.after_fork()


def undisturbed_twin(settings, catalogue):
    return undisturbed(catalogue, settings, add(catalogue, **LARGE))


def test_a_disk_that_becomes_full_during_a_job_costs_no_work(small, catalogue, monkeypatch) -> None:
    # As on a file system that cannot reserve space.
    for name in ("check_room", "reserve"):
        monkeypatch.setattr(f"tvb_batch.worker.h5.writer.{name}", lambda *_: None)
    gid = add(catalogue, **LARGE)

    perform_elsewhere(small, gid)
    waiting, names = catalogue.find_job(str(gid)), files(small)
    subprocess.run(["mount", "-o", "remount,size=64m", small.storage.root / "outputs"], check=True)
    seen = []
    monkeypatch.setattr(
        "tvb_batch.worker.job.job_progress.log.info", lambda event, **facts: seen.append((event, facts.get("step")))
    )
    perform(state := WorkerState(small), str(gid))

    assert (waiting.status, waiting.error_type) == (Status.PENDING, "StorageError")
    assert {Path(name).suffix for name in names} == {".npz", ".part"}
    assert [event for event, _ in seen] == ["job_resumed"]
    assert seen[0][1] > 500
    assert status(catalogue, gid)[0] == Status.FINISHED
    assert_same(contents(small, catalogue.outputs([gid])), undisturbed_twin(small, catalogue))
    state.after_fork()


def perform_elsewhere(settings: Settings, gid: object) -> None:
    """Run a job in a separate process, as in the pool: HDF5 does not survive these faults in this one."""

    def work() -> None:
        perform(WorkerState(settings), str(gid))
        os._exit(3 if has_lost_files() else 0)

    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    process.join(60)
    assert process.exitcode == 3


def test_a_read_only_storage_lets_jobs_wait(small, catalogue) -> None:
    gid, state = add(catalogue), WorkerState(small)
    subprocess.run(["mount", "-o", "remount,ro", small.storage.root / "outputs"], check=True)

    perform(state, str(gid))

    assert status(catalogue, gid) == (Status.PENDING, "StorageError", 0)
    subprocess.run(["mount", "-o", "remount,rw", small.storage.root / "outputs"], check=True)
    perform(state, str(gid))
    assert status(catalogue, gid)[0] == Status.FINISHED
    state.after_fork()


def test_a_missing_mount_lets_jobs_wait(tmp_path, settings, catalogue, monkeypatch) -> None:
    monkeypatch.setattr("tvb_batch.worker.outcomes.STORAGE_PAUSE", timedelta(0))
    elsewhere = settings.model_copy(update={"data_dir": tmp_path / "mount"})
    elsewhere = elsewhere.model_copy(update={"database_url": type(settings.database_url)(settings.database)})
    (tmp_path / "mount").mkdir()
    gid, state = add(catalogue), WorkerState(elsewhere)
    state.mark_storage()
    (tmp_path / "mount").rename(tmp_path / "unmounted")
    (tmp_path / "mount").mkdir()

    perform(state, str(gid))

    assert status(catalogue, gid) == (Status.PENDING, "StorageError", 0)
    assert list((tmp_path / "mount").iterdir()) == []
    shutil.rmtree(tmp_path / "mount")
    (tmp_path / "unmounted").rename(tmp_path / "mount")
    perform(state, str(gid))
    assert status(catalogue, gid)[0] == Status.FINISHED
    state.after_fork()


def test_a_job_that_waits_for_the_storage_is_not_started_before_its_time(settings, catalogue) -> None:
    gid = add(catalogue)
    claim = catalogue.claim(gid, "x", timedelta(seconds=60))

    catalogue.wait(claim, "StorageError", "full", timedelta(hours=1))

    assert catalogue.unpublished(10) == []
    assert catalogue.claim(gid, "x", timedelta(seconds=60)) is None


def test_a_file_size_limit_is_an_error_of_the_job_in_one_line(settings, catalogue) -> None:
    gid, state = add(catalogue, **LARGE), WorkerState(settings)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, before[1]))

    perform(state, str(gid))

    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    job = catalogue.find_job(str(gid))
    assert (job.status, job.error_type) == (Status.PENDING, "OutputError")
    assert "cannot be written" in job.error
    assert "\n" not in job.error
    assert files(settings) == []
    perform(state, str(gid))
    assert status(catalogue, gid)[0] == Status.FINISHED
    state.after_fork()


@pytest.mark.parametrize(
    ("exc", "kind"),
    [
        (OSError(28, "No space left on device"), StorageError),
        (OSError(122, "Disk quota exceeded"), StorageError),
        (OSError("Can't write data (file write failed: errno = 30, error message = 'x')"), StorageError),
        (RuntimeError("Can't decrement id ref count (errno = 28, error message = 'x')"), StorageError),
        (OSError(13, "Permission denied"), OutputError),
        (ValueError("something else"), OutputError),
    ],
)
def test_storage_errors_are_distinguished_from_others(exc, kind) -> None:
    assert type(output_error(exc, "x")) is kind
