"""The ZIP for the GUI, as the client asks for it: which files, and a process that writes them.

Called by the command line. Never opens an H5 file itself: the worker's code does, in a process of its own.
"""

from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

from models.catalogue import Catalogue
from models.errors import NotFoundError, OutputError
from models.paths import Storage
from models.settings import Settings
from models.status import Status
from models.tables import Job, Sweep
from submit.processes import run_worker_module


def make_bundle(catalogue: Catalogue, found: Sequence[Job | Sweep], settings: Settings, target: Path) -> Path:
    """Write the finished results of jobs and sweeps, and what they refer to, into one ZIP.

    Raises
    ------
    NotFoundError
        None of the jobs is FINISHED.
    OutputError, WorkerProcessError
        A file is not on this machine, or the ZIP could not be written.
    """
    files = _files(catalogue, found, settings.storage)
    run_worker_module(settings, "bundle", str(target), text="\n".join(map(str, files)))
    return target


def _files(catalogue: Catalogue, found: Sequence[Job | Sweep], storage: Storage) -> list[Path]:
    """What the results refer to first."""
    jobs: list[UUID] = []
    for one in found:
        if isinstance(one, Sweep):
            jobs += [job.gid for job in catalogue.jobs(sweep=one.gid, status=Status.FINISHED, limit=one.size)]
        elif one.status == Status.FINISHED:
            jobs.append(one.gid)
    outputs = catalogue.outputs(jobs)
    if not outputs:
        raise NotFoundError("nothing to bundle: no job of these is FINISHED; `tvb-batch list` shows their states")
    references = [path for output in outputs for path in output.refers_to]
    paths = [storage.absolute(path) for path in dict.fromkeys(references + [output.path for output in outputs])]
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise OutputError(
            f"{missing[0]}: no such file; run `tvb-batch bundle` where the workers' data directory is mounted "
            "(TVB_BATCH_DATA_DIR)"
        )
    return paths
