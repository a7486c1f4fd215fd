"""Deleting and pruning: what is removed, and what stays."""

import os

import pytest
from runs import ran

from tvb_batch.models.errors import BusyError, OutputError
from tvb_batch.submit.operate.audit import audit
from tvb_batch.submit.operate.removal import delete, prune


@pytest.mark.slow
def test_a_sweeps_files_go_with_it_and_others_stay(settings, catalogue, made) -> None:
    other = ran(settings, catalogue, "other", sweep={"coupling.a": [0.5]})

    files, size = delete(catalogue, settings.storage, made)

    assert (files, size > 0) == (2, True)
    assert not settings.storage.job_directory(made.gid, made.gid).parent.exists()
    assert [summary.sweep.name for summary in catalogue.sweeps()] == ["other"]
    assert audit(catalogue, settings).faults == []
    [job] = catalogue.jobs(sweep=other.gid)
    delete(catalogue, settings.storage, job)
    assert catalogue.sweeps() == []


@pytest.mark.slow
def test_files_that_another_sweep_shares_stay(settings, catalogue, made) -> None:
    from conftest import SHORT

    from tvb_batch.models.spec.sweep import sweep
    from tvb_batch.submit.intake.files import keep

    axes = {"coupling.a": [0.01]}
    heir = catalogue.add_sweep(keep(sweep({**SHORT, "name": "heir", "sweep": axes}), settings.storage))

    files, _ = delete(catalogue, settings.storage, made)

    assert files == 1
    [job] = catalogue.jobs(sweep=heir.gid)
    [output] = catalogue.outputs([job.gid])
    assert settings.storage.absolute(output.path).is_file()
    assert audit(catalogue, settings).faults == []
    assert prune(catalogue, settings.storage) == (0, 0)


def test_files_that_were_shared_go_with_the_last_job_that_has_them(settings, catalogue, made) -> None:
    from conftest import SHORT

    from tvb_batch.models.spec.sweep import sweep
    from tvb_batch.submit.intake.files import keep

    axes = {"coupling.a": [0.01]}
    heir = catalogue.add_sweep(keep(sweep({**SHORT, "name": "heir", "sweep": axes}), settings.storage))
    delete(catalogue, settings.storage, made)

    files, size = delete(catalogue, settings.storage, heir)

    assert (files, size > 0) == (1, True)
    assert list((settings.storage.root / "outputs").rglob("*")) == []


def test_a_row_that_names_no_output_has_nothing_removed(settings, catalogue, made) -> None:
    from sqlalchemy import update

    from tvb_batch.models.catalogue.tables import Output

    kept = [settings.data_dir / "precious", settings.storage.inputs / "precious", settings.data_dir.parent / "a" / "b"]
    for path in kept:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("kept")
    for path, output in zip(kept, catalogue.output_rows(sweep=made.gid), strict=False):
        catalogue._change(update(Output).where(Output.id == output.id).values(path=str(path)))

    delete(catalogue, settings.storage, made)

    assert [path.read_text() for path in kept] == ["kept"] * 3


def test_unneeded_files_are_pruned_and_those_of_running_jobs_stay(settings, catalogue, made) -> None:
    from datetime import timedelta

    waiting = ran(settings, catalogue, "waiting", sweep={"coupling.a": [0.7]})
    [job] = catalogue.jobs(sweep=waiting.gid)
    catalogue.delete(job=job.gid)
    storage = settings.storage
    busy = catalogue.add_sweep(_spec("busy"), reuse=False)
    running = catalogue.jobs(sweep=busy.gid)[0]
    claim = catalogue.claim(running.gid, "w", timedelta(seconds=60))
    unfinished = storage.job_directory(busy.gid, running.gid) / "TimeSeriesRegion_x.h5.part"
    stray = storage.inputs / f"{0:064x}.npy"
    for path in (unfinished, stray):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"1234")
    assert prune(catalogue, storage, dry_run=True)[0] == 1  # A recent input may belong to a submission.
    os.utime(stray, (0, 0))

    would = prune(catalogue, storage, dry_run=True)
    assert stray.exists()
    assert prune(catalogue, storage) == would
    assert would[0] == 2

    assert unfinished.exists()
    assert not stray.exists()
    with pytest.raises(BusyError, match="cancel"):
        delete(catalogue, storage, running)
    catalogue.canceled(claim)
    assert prune(catalogue, storage)[0] == 1


@pytest.mark.slow
@pytest.mark.parametrize("what", ["prune", "delete"])
def test_a_file_that_cannot_be_removed_gives_one_line(settings, catalogue, made, monkeypatch, what) -> None:
    stray = settings.storage.input(f"{0:064x}", ".npy")
    stray.parent.mkdir(parents=True, exist_ok=True)
    stray.touch()
    os.utime(stray, (0, 0))
    refused = PermissionError(13, "Permission denied", str(stray))

    def refuse(*_, **__) -> None:
        raise refused

    monkeypatch.setattr("pathlib.Path.unlink", refuse)
    with pytest.raises(OutputError, match=rf"{stray.name}: cannot be removed \(Permission denied\); .*prune"):
        prune(catalogue, settings.storage) if what == "prune" else delete(catalogue, settings.storage, made)
    monkeypatch.undo()

    # The next `prune` by a user with permission removes the rest.
    assert prune(catalogue, settings.storage)[0] == (1 if what == "prune" else 4)
    assert audit(catalogue, settings).faults == []


def _spec(name: str):
    from conftest import SHORT

    from tvb_batch.models.spec.sweep import sweep

    return sweep({**SHORT, "name": name})


def test_a_person_pauses_resumes_prioritizes_and_deletes(tvb_batch, settings, catalogue, made) -> None:
    assert "resume" in tvb_batch("pause", "a").stdout
    assert catalogue.paused([made.gid]) == {made.gid}
    assert "Resumed a." in tvb_batch("resume", "a").stdout
    assert "priority 7" in tvb_batch("priority", "a", "7").stdout
    assert catalogue.find_sweep("a").priority == 7
    assert "Would remove 0 files" in tvb_batch("prune", "--dry-run").stdout

    refused = tvb_batch("delete", "a")
    assert refused.exit_code == 1
    assert catalogue.count() == 2
    assert "2 jobs: 2 files" in tvb_batch("delete", "a", "--yes").stdout
    assert catalogue.count() == 0
