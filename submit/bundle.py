"""The ZIP for the GUI, as the client asks for it: which files, and a process that writes them.

Called by the command line. Never opens an H5 file itself: the worker's code does, in a process of its own.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from models.catalogue import Catalogue
from models.errors import NotFoundError, OutputError
from models.paths import Storage
from models.settings import Settings
from models.spec import simulation
from models.status import Status
from models.tables import Job, Sweep
from submit.processes import run_worker_module

Kind = Literal["data", "simulations", "pse"]


def make_bundle(
    catalogue: Catalogue, found: Sequence[Job | Sweep], settings: Settings, target: Path, kind: Kind = "data"
) -> Path:
    """Write the finished results of jobs and sweeps, and what they refer to, into one ZIP.

    Parameters
    ----------
    kind : `data` is the time series alone; `simulations` puts each job into the GUI's Simulation History; `pse` makes
        all of them one parameter space exploration, of one or two swept numbers

    Raises
    ------
    NotFoundError
        None of the jobs is FINISHED.
    OutputError, WorkerProcessError
        A file is not on this machine, or the ZIP could not be written.
    """
    jobs = _finished(catalogue, found)
    files = _files(catalogue, jobs, settings.storage)
    if kind == "data":
        run_worker_module(settings, "bundle", str(target), text="\n".join(map(str, files)))
        return target
    points = [_point(catalogue, job, settings.storage) for job in jobs]
    wanted = {"kind": kind, "name": jobs[0].sweep.name, "target": str(target), "points": points}
    run_worker_module(settings, "gui_bundle", text=json.dumps(wanted))
    return target


def _finished(catalogue: Catalogue, found: Sequence[Job | Sweep]) -> list[Job]:
    jobs: list[Job] = []
    for one in found:
        if isinstance(one, Sweep):
            jobs += catalogue.jobs(sweep=one.gid, status=Status.FINISHED, limit=one.size)
        elif one.status == Status.FINISHED:
            jobs.append(one)
    if not jobs:
        raise NotFoundError("nothing to bundle: no job of these is FINISHED; `tvb-batch list` shows their states")
    return jobs


def _point(catalogue: Catalogue, job: Job, storage: Storage) -> dict[str, Any]:
    """One job as `worker.gui_bundle` takes it."""
    outputs = catalogue.outputs([job.gid])
    spec = simulation(job.sweep.base).with_parameters({**job.parameters, "seed": job.seed})
    known = spec.parameters()
    metrics = catalogue.metrics([job.gid])[job.gid]
    return {
        "spec": spec.canonical(),
        "outputs": [str(storage.absolute(output.path)) for output in outputs],
        "datatypes": list(dict.fromkeys(str(storage.absolute(path)) for one in outputs for path in one.refers_to)),
        "metrics": {name: value for name, value in metrics.items() if "." not in name},
        "swept": {name: known[name] for name in job.parameters if isinstance(known.get(name), int | float)},
        "name": f"{job.sweep.name} {job.number}",
    }


def _files(catalogue: Catalogue, jobs: Sequence[Job], storage: Storage) -> list[Path]:
    """What the results refer to first."""
    outputs = catalogue.outputs([job.gid for job in jobs])
    for output in outputs:
        if output.format == "tvb1":
            raise OutputError(f"{output.path}: written for TVB 1; bundle it with --format tvb1")
    references = [path for output in outputs for path in output.refers_to]
    paths = [storage.absolute(path) for path in dict.fromkeys(references + [output.path for output in outputs])]
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise OutputError(
            f"{missing[0]}: no such file; run `tvb-batch bundle` where the workers' data directory is mounted "
            "(TVB_BATCH_DATA_DIR)"
        )
    return paths
