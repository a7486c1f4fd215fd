"""Sweeps that are run in this process, and the content of their files."""

from datetime import timedelta

import h5py
import numpy as np
from conftest import SHORT

from tvb_batch.models.spec.simulation import SimulationSpec
from tvb_batch.models.spec.sweep import SweepSpec, sweep
from tvb_batch.submit.intake.files import keep
from tvb_batch.worker.job.run import run_job

LEASE = timedelta(seconds=60)


def claimed(catalogue, **changes):
    """Return a claim on the only job of a new sweep."""
    spec = SweepSpec(name="one", base=SimulationSpec.model_validate({**SHORT, **changes}), plan={})
    sweep = catalogue.add_sweep(spec, reuse=False)
    return catalogue.claim(catalogue.jobs(sweep=sweep.gid)[0].gid, "test", LEASE)


def ran(settings, catalogue, name: str, **changes):
    spec = keep(sweep({**SHORT, "name": name, **changes}), settings.storage)
    found = catalogue.add_sweep(spec, reuse=False)
    for job in catalogue.jobs(sweep=found.gid):
        run_job(catalogue, settings, catalogue.claim(job.gid, "w", timedelta(seconds=60)))
    return found


#: Sixty chunks of at most seven steps.
LONG = {"simulation_length": 200.0}


def add(catalogue, **changes):
    spec = SweepSpec(name="one", base=SimulationSpec.model_validate({**SHORT, **LONG, **changes}), plan={})
    sweep = catalogue.add_sweep(spec, reuse=False)
    return catalogue.jobs(sweep=sweep.gid)[0].gid


def undisturbed(catalogue, settings, gid) -> dict[str, dict[str, np.ndarray]]:
    """Return the result of an equal job without disturbance."""
    claim = catalogue.claim(gid, "x", LEASE)
    catalogue.release(claim)
    twin = catalogue.add_sweep(SweepSpec(name="twin", base=claim.spec, plan={}), reuse=False)
    claim = catalogue.claim(catalogue.jobs(sweep=twin.gid)[0].gid, "x", LEASE)
    return contents(settings, run_job(catalogue, settings, claim))


def contents(settings, outputs) -> list[dict[str, object]]:
    found = []
    for output in outputs:
        with h5py.File(settings.storage.absolute(output.path)) as file:
            attributes = {name: str(value) for name, value in file["data"].attrs.items()}
            found.append({"data": file["data"][()], "time": file["time"][()], "attributes": attributes})
    return found


def assert_same(ours, expected) -> None:
    for mine, other in zip(ours, expected, strict=True):
        np.testing.assert_array_equal(mine["data"], other["data"])
        np.testing.assert_array_equal(mine["time"], other["time"])
        assert mine["attributes"] == other["attributes"]


def files(settings) -> list[str]:
    return sorted(path.name for path in (settings.storage.root / "outputs").rglob("*") if path.is_file())
