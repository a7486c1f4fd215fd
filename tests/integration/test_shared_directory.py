"""A data directory shared by a group: the umask decides who may write, as for every other program."""

import multiprocessing
import os
import stat
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from conftest import SHORT

from tvb_batch.models.catalogue import Catalogue
from tvb_batch.models.catalogue.status import Status
from tvb_batch.models.settings import Settings, load_settings
from tvb_batch.models.spec.simulation import SimulationSpec
from tvb_batch.models.spec.sweep import SweepSpec
from tvb_batch.models.tvb.input_store import Inputs
from tvb_batch.submit.operate.removal import prune
from tvb_batch.worker.job.run import run_job

#: A group id that nobody else uses.
GROUP, USER = 54_321, 54_322


@pytest.fixture
def shared() -> Iterator[Settings]:
    """Return a data directory with the set-group-id bit that every user can reach."""
    former = os.umask(0o002)
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        settings = load_settings(data_dir=Path(place) / "data", lease=20.0)
        settings.data_dir.mkdir()
        if os.getuid() == 0:
            os.chown(settings.data_dir, 0, GROUP)
        settings.data_dir.chmod(0o2775)
        yield settings
    os.umask(former)


def finish_one_job(settings: Settings, seed: int) -> None:
    catalogue = Catalogue.open(settings.database, create=True)
    Inputs(settings.storage).keep_array(np.ones(3))
    spec = SimulationSpec.model_validate({**SHORT, "seed": seed})
    sweep = catalogue.add_sweep(SweepSpec(name="one", base=spec, plan={}))
    [job] = catalogue.jobs(sweep=sweep.gid)
    claim = catalogue.claim(job.gid, "here:1", timedelta(seconds=settings.lease))
    assert claim is not None
    run_job(catalogue, settings, claim)
    catalogue.dispose()


def as_the_other_user(settings: Settings) -> None:
    os.setgroups([GROUP])
    os.setgid(GROUP)
    os.setuid(USER)
    finish_one_job(settings, 2)
    catalogue = Catalogue.open(settings.database)
    prune(catalogue, settings.storage)
    catalogue.dispose()


def test_the_group_can_write_all_files(shared: Settings) -> None:
    catalogue = Catalogue.open(shared.database, create=True)

    finish_one_job(shared, 1)

    there = [shared.data_dir, *shared.data_dir.rglob("*")]
    assert {".sqlite", ".sqlite-wal", ".sqlite-shm", ".npy", ".h5"} <= {path.suffix for path in there}
    assert [path for path in there if not path.stat().st_mode & stat.S_IWGRP] == []
    catalogue.dispose()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_a_second_user_of_the_group_uses_the_same_directory(shared: Settings) -> None:
    # Run here first: the other user cannot read the modules that a job imports.
    finish_one_job(shared, 1)

    other = multiprocessing.get_context("fork").Process(target=as_the_other_user, args=(shared,))
    other.start()
    other.join(60)

    assert other.exitcode == 0
    catalogue = Catalogue.open(shared.database)
    finished = catalogue.jobs(status=Status.FINISHED)
    assert len(finished) == 2
    users = {
        shared.storage.absolute(output.path).stat().st_uid for output in catalogue.outputs([j.gid for j in finished])
    }
    assert users == {0, USER}
    finish_one_job(shared, 3)
    catalogue.dispose()
