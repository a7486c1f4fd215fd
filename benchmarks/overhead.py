"""Cost of a short job beyond its steps in a warm worker process, from the claim to the finished row.

python -m benchmarks.overhead [JOBS]      by default 100 jobs of 50 ms simulated time, after 20 jobs for warming up

The steps are the time inside the engine's stream. The rest is the claim, TVB's configure, the choice of the engine, the
H5 file and its verification, the metrics and the finish. Each job's file is compared with TVB's run bit for bit.
"""

import dataclasses
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import h5py
import numpy as np

import tvb_batch.worker.job.run
from benchmarks.engine import SEED
from benchmarks.table import FASTER, TIME, TVB, Row, show
from tvb_batch.models.catalogue import Catalogue
from tvb_batch.models.settings import Settings, load_settings
from tvb_batch.models.spec.simulation import simulation
from tvb_batch.models.spec.sweep import SweepSpec
from tvb_batch.models.tvb.input_store import Inputs
from tvb_batch.worker.engines import Choice, choose
from tvb_batch.worker.engines.reference import Chunk
from tvb_batch.worker.job.simulator import build_simulator

WARM = 20


def time_streams(steps: list[float]) -> None:
    """Append the milliseconds of each later job inside its engine's stream to a list."""

    def choose_timed(*arguments: Any) -> Choice:
        choice = choose(*arguments)
        return _Timed(choice.engine, choice.reason, steps)

    vars(tvb_batch.worker.job.run)["choose"] = choose_timed


@dataclasses.dataclass(frozen=True)
class _Timed(Choice):
    """A choice whose stream is timed."""

    steps: list[float]

    def stream(self, simulator: Any, chunk_steps: int, done: int = 0) -> Iterator[Chunk]:
        """Run the simulator; append the milliseconds of it."""
        chunks = super().stream(simulator, chunk_steps, done)
        self.steps.append(0.0)
        while True:
            started = time.perf_counter()
            chunk = next(chunks, None)
            self.steps[-1] += 1000 * (time.perf_counter() - started)
            if chunk is None:
                return
            yield chunk


def run(catalogue: Catalogue, settings: Settings, gid: UUID) -> tuple[float, float]:
    """Return the milliseconds of a job from its claim to its finish, and of TVB's `sim.run()` after it."""
    started = time.perf_counter()
    claim = catalogue.claim(gid, "benchmark", timedelta(hours=1))
    assert claim is not None
    [output] = tvb_batch.worker.job.run.run_job(catalogue, settings, claim)
    whole = time.perf_counter() - started
    simulator = build_simulator(claim.spec, Inputs(settings.storage))
    started = time.perf_counter()
    [(_, data)] = simulator.run()
    tvb = time.perf_counter() - started
    with h5py.File(settings.storage.absolute(output.path)) as file:
        assert np.array_equal(file["data"][()], data), "the bits differ"
    return 1000 * whole, 1000 * tvb


def rows(jobs: int = 100) -> Iterator[Row]:
    """Yield the cost beyond the steps, compared with the steps and with TVB, and the whole job compared with TVB."""
    steps: list[float] = []
    time_streams(steps)
    with tempfile.TemporaryDirectory() as directory:
        settings = load_settings(data_dir=Path(directory))
        catalogue = Catalogue.open(settings.database, create=True)
        base = simulation({**SEED, "simulation_length": 50.0})
        plan = {"model.mu": [k / jobs / 4 for k in range(WARM + jobs)]}
        sweep = catalogue.add_sweep(SweepSpec(name="short", base=base, plan=plan))
        waiting = catalogue.jobs(sweep=sweep.gid, limit=sweep.size)
        whole, tvb = zip(*(run(catalogue, settings, job.gid) for job in waiting), strict=True)
        engine = catalogue.jobs(sweep=sweep.gid, limit=1)[0].engine
        catalogue.dispose()
    whole, tvb, steps = whole[WARM:], tvb[WARM:], steps[WARM:]
    beyond = [total - inside for total, inside in zip(whole, steps, strict=True)]
    note = f"{engine}, {jobs} jobs"
    yield Row("overhead", "a short job beyond its steps", "the job's steps", "ms", beyond, steps, TIME, note)
    yield Row("overhead", "a short job beyond its steps", TVB, "ms", beyond, tvb, TIME, note)
    yield Row("overhead", "a short job, steps and all", TVB, "ms", whole, tvb, FASTER, note)


if __name__ == "__main__":
    show(rows(*map(int, sys.argv[1:])))
