"""Throughput of a sweep of short simulations through real workers, against plain loops over TVB.

python -m benchmarks.sweep [JOBS]      200 jobs without, of 50 ms simulated each

The baseline is a pool of `multiprocessing` over TVB's `sim.run()`, which writes no file; joblib where it is installed.
Workers are warm: the clock starts when each has had time for two jobs. `idle` is the share of the workers' time
between two jobs; `ms per job` is the wall time of a job's row from claim to finish.
"""

import importlib.util
import logging
import multiprocessing
import os
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import worker  # noqa: F401 - pins the threads
from benchmarks.engine import SEED
from models.catalogue import Catalogue
from models.inputs import Inputs
from models.paths import Storage
from models.queue import make_app
from models.settings import load_settings
from models.spec import SimulationSpec, simulation
from models.status import Status
from models.sweep import SweepSpec
from submit.enqueue import enqueue
from submit.local import local_workers
from worker.simulator import build_simulator

SPEC: dict[str, Any] = {**SEED, "simulation_length": 50.0}


def run_tvb(mu: float) -> int:
    """One simulation as a script would run it; gives the number of samples."""
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    spec = simulation({**SPEC, "model": {**SPEC["model"], "mu": mu}})
    [(time_, _)] = build_simulator(spec, Inputs(Storage(Path(tempfile.gettempdir())))).run()
    return len(time_)


def with_pool(values: list[float], processes: int) -> float:
    """Jobs a second of a pool whose processes have run one already."""
    with multiprocessing.get_context("fork").Pool(processes) as pool:
        pool.map(run_tvb, values[:processes], 1)
        started = time.perf_counter()
        pool.map(run_tvb, values, 1)
        return len(values) / (time.perf_counter() - started)


def with_joblib(values: list[float], processes: int) -> float:
    """The same with joblib."""
    from joblib import Parallel, delayed

    with Parallel(processes) as parallel:
        parallel(delayed(run_tvb)(mu) for mu in values[: 2 * processes])
        started = time.perf_counter()
        parallel(delayed(run_tvb)(mu) for mu in values)
        return len(values) / (time.perf_counter() - started)


def with_workers(values: list[float], processes: int, kernels: Path) -> tuple[float, float, float]:
    """Jobs a second, the median of milliseconds per job, and the share of time that workers were idle."""
    with tempfile.TemporaryDirectory() as directory:
        settings = load_settings(data_dir=Path(directory), cache_dir=kernels)
        catalogue = Catalogue.open(settings.database, create=True)
        with local_workers(settings, processes) as local:
            spec = SweepSpec(name="sweep", base=SimulationSpec.model_validate(SPEC), plan={"model.mu": values})
            sweep = enqueue(catalogue, make_app(local.settings), spec, local.settings.storage)
            while (counts := catalogue.counts(sweep.gid)).get(Status.FINISHED, 0) < len(values):
                local.check()
                assert not counts.get(Status.ERROR), "a job failed"
                time.sleep(0.1)
        jobs = [job for job in catalogue.jobs(sweep=sweep.gid, limit=len(values)) if job.started_at and job.finished_at]
        catalogue.dispose()
    ends = sorted(job.finished_at for job in jobs if job.finished_at)
    # The first job of each process loads kernels and connectivity.
    begin, end = ends[2 * processes - 1], ends[-1]
    counted = [job for job in jobs if job.started_at and job.started_at >= begin]
    spent = sorted((job.finished_at - job.started_at).total_seconds() for job in counted)  # type: ignore[operator]
    window = (end - begin).total_seconds()
    return len(counted) / window, 1000 * spent[len(spent) // 2], max(0.0, 1 - sum(spent) / (window * processes))


def main() -> None:
    """Print the table."""
    jobs = int(sys.argv[1]) if sys.argv[1:] else 200
    values = [k / jobs / 4 for k in range(jobs)]
    run_tvb(0.0)
    few = values[: max(8, jobs // 5)]
    print(f"{os.cpu_count()} cores, {jobs} jobs of 50 ms simulated")
    print(f"{'':<32}{'jobs/s':>8}{'ratio':>8}{'scaling':>9}{'ms per job':>12}{'idle':>8}")
    baseline = with_pool(few, 4)
    print(f"{'multiprocessing, 4 (baseline)':<32}{baseline:>8.1f}{1.0:>8.2f}", flush=True)
    if importlib.util.find_spec("joblib"):
        rate = with_joblib(few, 4)
        print(f"{'joblib, 4':<32}{rate:>8.1f}{rate / baseline:>8.2f}", flush=True)
    first = 0.0
    with tempfile.TemporaryDirectory() as kernels:
        with_workers(values[:20], 1, Path(kernels))  # Compiles.
        for processes in (1, 2, 4):
            rate, each, idle = with_workers(values, processes, Path(kernels))
            first = first or rate
            row = f"{rate:>8.1f}{rate / baseline:>8.2f}{rate / first:>9.2f}{each:>12.1f}{idle:>8.1%}"
            print(f"{f'workers, {processes}':<32}{row}", flush=True)


if __name__ == "__main__":
    main()
