"""How long a sweep takes to be bundled as an exploration, and how much memory: `python -m benchmarks.bundle`.

Runs the jobs first, short ones, and then the process that the command line starts for a bundle, as it is. Memory is
that of the largest process so far: TVB alone takes most of it, and ten times the points should add next to nothing.
"""

import resource
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

from models.catalogue import Catalogue
from models.settings import Settings, load_settings
from models.spec import simulation
from models.sweep import sweep_spec
from submit.bundle import Wanted, make_bundles
from worker.log import results_only
from worker.run import run_job
from worker.tasks import import_tvb

_BASE = {
    "simulation_length": 100.0,
    "model": {"class": "Generic2dOscillator"},
    "coupling": {"class": "Linear"},
    "integrator": {"class": "HeunDeterministic", "dt": 1.0},
    "monitors": [{"class": "TemporalAverage", "period": 1.0}],
}

#: Points along the axes.
_SWEEPS = {50: (10, 5), 500: (25, 20)}


def run_sweep(settings: Settings, catalogue: Catalogue, rows: int, columns: int) -> str:
    """Run a sweep of two parameters here; gives its gid."""
    plan = {
        "coupling.a": [0.001 * (row + 1) for row in range(rows)],
        "model.tau": [1.0 + 0.01 * column for column in range(columns)],
    }
    sweep = catalogue.add_sweep(sweep_spec(f"points-{rows * columns}", simulation(_BASE), plan))
    for job in catalogue.jobs(sweep=sweep.gid, limit=sweep.size):
        claim = catalogue.claim(job.gid, "benchmark", timedelta(hours=1))
        if claim is not None:  # None where the smaller sweep had the same point: its result was taken over.
            run_job(catalogue, settings, claim)
    return str(sweep.gid)


def main() -> None:
    """Print a row for each size of sweep."""
    with tempfile.TemporaryDirectory() as directory, results_only() as results:
        import_tvb()
        settings = load_settings(data_dir=Path(directory))
        catalogue = Catalogue.open(settings.database, create=True)
        print("| points | ZIP, MB | seconds | peak memory, MB |\n| --- | --- | --- | --- |", file=results, flush=True)
        # From few to many: what the system tells is the peak of all the processes so far.
        for points, (rows, columns) in _SWEEPS.items():
            sweep = catalogue.find(run_sweep(settings, catalogue, rows, columns))
            start = time.perf_counter()
            [made] = make_bundles(catalogue, [sweep], settings, Path(directory) / "sweep.zip", Wanted("pse"))
            seconds = time.perf_counter() - start
            peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
            size = made.path.stat().st_size / 1e6
            print(f"| {points} | {size:.1f} | {seconds:.1f} | {peak:.0f} |", file=results, flush=True)
        catalogue.dispose()


if __name__ == "__main__":
    sys.exit(main())
