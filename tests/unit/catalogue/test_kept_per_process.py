"""Caches of a worker process: no job may change another, and changes of files must be found."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from conftest import SHORT

from tvb_batch.models.errors import OutputError
from tvb_batch.models.paths import Storage
from tvb_batch.models.spec.simulation import simulation
from tvb_batch.models.tvb.input_store import Inputs
from tvb_batch.models.tvb.traits import build
from tvb_batch.worker.h5.datatypes import write_datatype
from tvb_batch.worker.job.simulator import build_simulator
from tvb_batch.worker.job.versions import versions

SECTION = {"class": "Connectivity", "from_file": "connectivity_76.zip"}


@pytest.mark.slow
def test_each_job_gets_its_own_connectivity(tmp_path: Path) -> None:
    inputs = Inputs(Storage(tmp_path))
    first, second = build("connectivity", SECTION, inputs), build("connectivity", SECTION, inputs)

    first.weights[:] = -1.0
    first.region_labels[0] = "changed"
    third = build("connectivity", SECTION, inputs)

    assert first.gid != second.gid != third.gid
    assert np.array_equal(second.weights, third.weights)
    assert third.region_labels[0] != "changed"


def test_a_connectivity_is_what_tvb_reads(tmp_path: Path) -> None:
    from tvb.datatypes.connectivity import Connectivity

    found, wanted = (
        build("connectivity", SECTION, Inputs(Storage(tmp_path))),
        Connectivity.from_file(SECTION["from_file"]),
    )

    for name in (
        "weights",
        "tract_lengths",
        "centres",
        "region_labels",
        "hemispheres",
        "cortical",
        "orientations",
        "areas",
    ):
        ours, theirs = getattr(found, name), getattr(wanted, name)
        assert np.array_equal(ours, theirs), name
        assert (ours.dtype, ours.flags.f_contiguous, ours.flags.c_contiguous) == (
            theirs.dtype, theirs.flags.f_contiguous, theirs.flags.c_contiguous,
        ), name  # fmt: skip


@pytest.mark.slow
def test_a_shared_file_that_was_damaged_after_its_check_is_found(tmp_path: Path) -> None:
    simulator = build_simulator(simulation(SHORT), Inputs(Storage(tmp_path)))
    path = tmp_path / "Connectivity.h5"
    for _ in range(3):
        write_datatype(path, simulator.connectivity, datetime.now(UTC), subject="John Doe")

    path.write_bytes(b"nothing of HDF5")

    with pytest.raises(OutputError):
        write_datatype(path, simulator.connectivity, datetime.now(UTC), subject="John Doe")


def test_each_caller_gets_its_own_versions() -> None:
    versions()["numpy"] = "0"

    assert versions()["numpy"] == np.__version__
