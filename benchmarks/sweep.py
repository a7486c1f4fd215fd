"""Throughput of a sweep of short simulations through real workers, compared with plain loops over TVB.

python -m benchmarks.sweep [JOBS]      by default 200 jobs of 50 ms simulated time

The baselines are `multiprocessing` and, if installed, joblib over TVB's `sim.run()`, with the same number of processes
and without files; and one worker process, for the scaling. Workers are warm: the clock starts after each has had time
for two jobs. `ms per job` is the wall time from the claim of a job to the worker's log line that it has finished.
`idle` is the part of the processes' time from this line to the next claim.
"""

import importlib.util
import json
import logging
import multiprocessing
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.engine import SEED
from benchmarks.table import FASTER, TURNS, Row, number, show
from tvb_batch.models.catalogue import Catalogue
from tvb_batch.models.catalogue.status import Status
from tvb_batch.models.catalogue.tables import Job
from tvb_batch.models.paths import Storage
from tvb_batch.models.queue import make_app
from tvb_batch.models.settings import load_settings
from tvb_batch.models.spec.simulation import SimulationSpec, simulation
from tvb_batch.models.spec.sweep import SweepSpec
from tvb_batch.models.tvb.input_store import Inputs
from tvb_batch.submit.intake.enqueue import enqueue
from tvb_batch.submit.operate.local_workers import local_workers
from tvb_batch.worker.job.simulator import build_simulator

SPEC: dict[str, Any] = {**SEED, "simulation_length": 50.0}


def run_tvb(mu: float) -> int:
    """Run one simulation as a script would; return the number of samples."""
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    spec = simulation({**SPEC, "model": {**SPEC["model"], "mu": mu}})
    [(time_, _)] = build_simulator(spec, Inputs(Storage(Path(tempfile.gettempdir())))).run()
    return len(time_)


def with_pool(values: list[float], processes: int) -> float:
    """Return the jobs per second of a pool whose processes have each run one job already."""
    with multiprocessing.get_context("fork").Pool(processes) as pool:
        pool.map(run_tvb, values[:processes], 1)
        started = time.perf_counter()
        pool.map(run_tvb, values, 1)
        return len(values) / (time.perf_counter() - started)


def with_joblib(values: list[float], processes: int) -> float:
    """Return the jobs per second with joblib."""
    from joblib import Parallel, delayed

    with Parallel(processes) as parallel:
        parallel(delayed(run_tvb)(mu) for mu in values[: 2 * processes])
        started = time.perf_counter()
        parallel(delayed(run_tvb)(mu) for mu in values)
        return len(values) / (time.perf_counter() - started)


def with_workers(kernels: Path, values: list[float], processes: int) -> tuple[float, float, float]:
    """Return the jobs per second, the median of milliseconds per job, and the idle part of the time."""
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
            log = local.log.read_text()
        jobs = catalogue.jobs(sweep=sweep.gid, limit=len(values))
        catalogue.dispose()
    return _measure(_runs(log, jobs), 2 * processes)


def _runs(log: str, jobs: Sequence[Job]) -> dict[str, list[tuple[float, float]]]:
    """Return when each job was claimed and finished, in seconds, by process."""
    claimed = {str(job.gid): job.started_at.timestamp() for job in jobs if job.started_at}
    runs: dict[str, list[tuple[float, float]]] = {}
    for line in log.splitlines():
        if '"job_finished"' in line:
            event = json.loads(line)
            ended = datetime.fromisoformat(event["timestamp"]).timestamp()
            runs.setdefault(event["worker"], []).append((claimed[event["gid"]], ended))
    return runs


def _measure(runs: dict[str, list[tuple[float, float]]], first: int) -> tuple[float, float, float]:
    """Return jobs per second, milliseconds per job and the idle part, measured after the first jobs."""
    ends = sorted(end for each in runs.values() for _, end in each)
    # The first job of each process loads kernels and connectivity.
    begin, end = ends[first - 1], min(each[-1][1] for each in runs.values())
    counted = {name: [run for run in each if begin <= run[0] and run[1] <= end] for name, each in runs.items()}
    spent = [after - before for each in counted.values() for before, after in each]
    gaps = [after[0] - before[1] for each in counted.values() for before, after in pairwise(each)]
    return len(spent) / (end - begin), 1000 * median(spent), sum(gaps) / (sum(gaps) + sum(spent))


def rows(jobs: int = 200, turns: int = TURNS) -> Iterator[Row]:
    """Yield a row for each baseline, for 1, 2 and 4 worker processes."""
    values = [k / jobs / 4 for k in range(jobs)]
    few = values[: max(8, jobs // 5)]
    loops = {"multiprocessing": with_pool, "joblib": with_joblib}
    if importlib.util.find_spec("joblib") is None:
        print("joblib is not installed: its rows are left out", file=sys.stderr)
        del loops["joblib"]
    run_tvb(0.0)
    with tempfile.TemporaryDirectory() as directory:
        workers = partial(with_workers, Path(directory), values)
        with_workers(Path(directory), values[:20], 1)  # Compiles.
        for processes in (1, 2, 4):
            baselines: dict[str, Callable[[], float]] = {
                f"{name}, {processes}": partial(loop, few, processes) for name, loop in loops.items()
            }
            if processes > 1:
                baselines["workers, 1"] = lambda: workers(1)[0]
            theirs: dict[str, list[float]] = {name: [] for name in baselines}
            ours = []
            for _ in range(turns):
                for name, measure in baselines.items():
                    theirs[name].append(measure())
                ours.append(workers(processes))
            rates, spent, idle = zip(*ours, strict=True)
            note = f"{number(median(spent))} ms per job, {median(idle):.1%} idle, {os.cpu_count()} cores"
            for name, baseline_rates in theirs.items():
                yield Row("sweep", f"workers, {processes}", name, "jobs/s", rates, baseline_rates, FASTER, note)


if __name__ == "__main__":
    show(rows(*map(int, sys.argv[1:])))
