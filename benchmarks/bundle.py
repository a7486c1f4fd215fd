"""Time and memory of bundling a sweep as an exploration: `python -m benchmarks.bundle`.

It runs short jobs first, then the process that the command line starts for a bundle. Memory is that of the largest
process so far: TVB takes most of it, and ten times the points should add little.
"""

import resource
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from benchmarks.table import MEMORY, TIME, Row, show, timed
from tvb_batch.models.catalogue import Catalogue
from tvb_batch.models.settings import Settings, load_settings
from tvb_batch.models.spec.simulation import simulation
from tvb_batch.models.spec.sweep import sweep_spec
from tvb_batch.submit.bundles.tvb2_bundle import Wanted, make_bundles
from tvb_batch.worker.job.run import run_job
from tvb_batch.worker.tvb_import import import_tvb

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
    """Run a sweep of two parameters in this process; return its gid."""
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


def measure(settings: Settings, catalogue: Catalogue, points: int) -> tuple[float, float, str]:
    """Return the milliseconds of a bundle, the peak memory of its process in MB, and a remark."""
    sweep = catalogue.find(run_sweep(settings, catalogue, *_SWEEPS[points]))
    target = settings.data_dir / "sweep.zip"
    spent = timed(make_bundles, catalogue, [sweep], settings, target, Wanted("pse"))
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return spent, peak, f"a ZIP of {target.stat().st_size / 1e6:.0f} MB"


def rows() -> Iterator[Row]:
    """Yield time and memory of the larger bundle."""
    with tempfile.TemporaryDirectory() as directory:
        import_tvb()
        settings = load_settings(data_dir=Path(directory))
        catalogue = Catalogue.open(settings.database, create=True)
        # From few to many: what the system tells is the peak of all the processes so far.
        (few, small), (many, large) = ((points, measure(settings, catalogue, points)) for points in _SWEEPS)
        measured, baseline = f"an exploration of {many} points", f"one of {few} points"
        yield Row("bundle", measured, baseline, "ms", [large[0]], [small[0]], TIME, large[2])
        yield Row("bundle", measured, baseline, "MB", [large[1]], [small[1]], MEMORY)
        catalogue.dispose()


if __name__ == "__main__":
    show(rows())
