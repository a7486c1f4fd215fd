"""Everything that TVB can simulate: the output of a job equals `sim.run()` in a script, bit for bit.

Each case is a Simulator as in a script. It is described, queued, run by `run_job` and read back; then the same
Simulator runs without any code of this program.
"""

from datetime import timedelta
from typing import Any

import h5py
import numpy as np
import pytest
from tvb_cases import CASES, simulator_of, wanted

from tvb_batch.models.spec.sweep import SweepSpec
from tvb_batch.models.tvb.input_store import Inputs
from tvb_batch.submit.api.from_simulator import describe_simulator
from tvb_batch.submit.api.noise_stream import Seeds
from tvb_batch.worker.job.run import run_job
from tvb_batch.worker.job.simulator import build_simulator

LEASE = timedelta(seconds=600)

#: The kernel as TVB computes it from its own parameters.
NOTHING_BUT_NAN = "monitor Bold DoubleExponential"

#: The datatype of each monitor's series in a region and a surface simulation.
DATATYPES = {
    "GlobalAverage": ("TimeSeries", "TimeSeries"),
    "SpatialAverage": ("TimeSeriesRegion", "TimeSeriesRegion"),
    "BoldRegionROI": ("", "TimeSeriesRegion"),
    "EEG": ("TimeSeriesEEG", "TimeSeriesEEG"),
    "MEG": ("TimeSeriesMEG", "TimeSeriesMEG"),
    "iEEG": ("TimeSeriesSEEG", "TimeSeriesSEEG"),
}


def written(settings: Any, catalogue: Any, spec: Any, name: str) -> list[Any]:
    """Return the output records of a job that runs `spec`."""
    sweep = catalogue.add_sweep(SweepSpec(name=name, base=spec, plan={}), reuse=False)
    claim = catalogue.claim(catalogue.jobs(sweep=sweep.gid)[0].gid, "test", LEASE)
    return run_job(catalogue, settings, claim)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_file_holds_what_the_script_computes(settings, catalogue, case, record_property) -> None:
    simulator = simulator_of(case)
    np.random.seed(42)  # noqa: NPY002 - as a script does
    simulator.configure()
    spec = describe_simulator(simulator, Inputs(settings.storage), Seeds(given=_seed(simulator)))

    records = written(settings, catalogue, spec, "case")

    is_surface = simulator.surface is not None
    with np.errstate(all="ignore"):
        expected = simulator.run()
    assert len(records) == len(expected)
    for record, (time, data), monitor in zip(records, expected, simulator.monitors, strict=True):
        with h5py.File(settings.storage.absolute(record.path)) as file:
            np.testing.assert_array_equal(file["time"][()], time)
            np.testing.assert_array_equal(file["data"][()], data)
        usual = ("TimeSeriesRegion", "TimeSeriesSurface")
        assert record.datatype == DATATYPES.get(type(monitor).__name__, usual)[is_surface]
        assert record.is_nan == bool(np.isnan(data).any())
        assert np.isfinite(data).mean() > 0.2 or case.name == NOTHING_BUT_NAN
    record_property("covers", sorted(case.covers))


def _seed(simulator: Any) -> int:
    noise = getattr(simulator.integrator, "noise", None)
    return 42 if noise is None else noise.noise_seed


# TVB adds two derived numbers to the parameters of this equation.
DERIVED = "monitor Bold MixtureOfGammas"


@pytest.mark.parametrize("case", [case for case in CASES if not case.is_slow and case.name != DERIVED], ids=str)
def test_a_simulator_has_the_same_spec_before_and_after_configure(settings, case) -> None:
    inputs = Inputs(settings.storage)
    simulator = simulator_of(case)
    np.random.seed(42)  # noqa: NPY002 - as a script does

    before = describe_simulator(simulator, inputs)
    simulator.configure()

    after = describe_simulator(simulator, inputs)
    assert _comparable(after) == _comparable(before)


@pytest.mark.parametrize("case", [case for case in CASES if not case.is_slow and case.name != DERIVED], ids=str)
def test_a_rebuilt_simulator_equals_the_described_one(settings, case) -> None:
    inputs = Inputs(settings.storage)
    simulator = simulator_of(case)
    np.random.seed(42)  # noqa: NPY002 - as a script does
    spec = describe_simulator(simulator, inputs)

    rebuilt = build_simulator(spec, inputs)

    assert _comparable(describe_simulator(rebuilt, inputs)) == _comparable(spec)


def _comparable(spec: Any) -> dict[str, Any]:
    values: dict[str, Any] = spec.canonical()
    # TVB computes these if they are not given.
    for name in ("hemispheres", "cortical", "orientations", "areas", "undirected", "speed"):
        values["connectivity"].pop(name, None)
    return values


def test_every_class_that_a_simulation_can_have_is_covered() -> None:
    missing = wanted() - {item for case in CASES for item in case.covers}

    assert missing == set()
