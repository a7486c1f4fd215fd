"""Peak memory of a job by the length of its simulation, with the compiled engine, each job in its own process.

python -m benchmarks.memory [SECONDS...]      by default 1, 10 and 60 simulated seconds; the first is the baseline

The process imports TVB, claims one job of a sweep, runs it and checks its file, as a worker's process does.
"""

import logging
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.engine import SEED
from benchmarks.table import MEMORY, Row, show
from tvb_batch.models.catalogue import Catalogue
from tvb_batch.models.settings import load_settings
from tvb_batch.models.spec.simulation import SimulationSpec
from tvb_batch.models.spec.sweep import SweepSpec
from tvb_batch.worker.state import WorkerState
from tvb_batch.worker.tasks import perform
from tvb_batch.worker.tvb_import import import_tvb

LENGTHS = ("1", "10", "60")


def run_one(seconds: float, kernels: Path) -> None:
    """Run one job; print its engine, its wall time and the peak memory of this process."""
    logging.disable(logging.CRITICAL)
    import_tvb()
    with tempfile.TemporaryDirectory() as directory:
        settings = load_settings(data_dir=Path(directory), cache_dir=kernels)
        catalogue = Catalogue.open(settings.database, create=True)
        spec = SimulationSpec.model_validate({**SEED, "simulation_length": 1000.0 * seconds})
        sweep = catalogue.add_sweep(SweepSpec(name="memory", base=spec, plan={}))
        started = time.perf_counter()
        perform(WorkerState(settings), str(catalogue.jobs(sweep=sweep.gid)[0].gid))
        job = catalogue.jobs(sweep=sweep.gid)[0]
        size = sum(output.bytes for output in catalogue.outputs([job.gid]))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
        print("MEASURED", peak, f"{job.engine}, {time.perf_counter() - started:.1f} s, a file of {size / 1e6:.0f} MB")


def measure(seconds: str, kernels: str) -> tuple[float, str]:
    """Return the peak memory in MB of a process that runs one job, and a remark."""
    command = [sys.executable, "-m", "benchmarks.memory", "--one", seconds, kernels]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = next(line for line in done.stdout.splitlines() if line.startswith("MEASURED"))
    _, peak, note = found.split(maxsplit=2)
    return float(peak), note


def rows(first: str = LENGTHS[0], *longer: str) -> Iterator[Row]:
    """Yield a row for each longer simulation."""
    with tempfile.TemporaryDirectory() as kernels:
        measure("1", kernels)  # Compiles, which takes memory of its own.
        baseline, _ = measure(first, kernels)
        for seconds in longer or LENGTHS[1:]:
            peak, note = measure(seconds, kernels)
            names = f"peak of a job of {seconds} s", f"that of {first} s"
            yield Row("memory", *names, "MB", [peak], [baseline], MEMORY, note)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        run_one(float(sys.argv[2]), Path(sys.argv[3]))
    else:
        show(rows(*sys.argv[1:]))
