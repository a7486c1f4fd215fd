"""Peak memory of a job by the length of its simulation: a job of its own process each, the compiled engine.

python -m benchmarks.memory [SECONDS...]      1, 10 and 60 simulated seconds without; the first one is the baseline

The process imports TVB, claims one job of a sweep, runs it and checks its file, as a worker's process does.
"""

import logging
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LENGTHS = ("1", "10", "60")


def run_one(seconds: float, kernels: Path) -> None:
    """Run one job, and print its engine, its wall time, and the peak of this process."""
    import worker  # noqa: F401 - pins the threads

    logging.disable(logging.CRITICAL)
    from benchmarks.engine import SEED
    from models.catalogue import Catalogue
    from models.settings import load_settings
    from models.spec import SimulationSpec
    from models.sweep import SweepSpec
    from worker.tasks import WorkerState, import_tvb, perform

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
        print("MEASURED", job.engine, time.perf_counter() - started, size / 1e6, peak)


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as kernels:
        print(f"{'simulated':<12}{'engine':<12}{'wall s':>8}{'file MB':>10}{'peak MB':>10}{'ratio':>8}")
        baseline = 0.0
        # The first one compiles the kernels, which takes memory of its own.
        for number, seconds in enumerate(["1", *(sys.argv[1:] or LENGTHS)]):
            command = [sys.executable, "-m", "benchmarks.memory", "--one", seconds, kernels]
            done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ)
            if number == 0:
                continue
            line = next(line for line in done.stdout.splitlines() if line.startswith("MEASURED"))
            engine, *numbers = line.split()[1:]
            wall, size, peak = map(float, numbers)
            baseline = baseline or peak
            row = f"{seconds + ' s':<12}{engine:<12}{wall:>8.1f}{size:>10.1f}{peak:>10.0f}{peak / baseline:>8.2f}"
            print(row, flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        run_one(float(sys.argv[2]), Path(sys.argv[3]))
    else:
        main()
