"""Jobs, sweeps and files that are removed for good: rows first, files after.

Called by the command line. A crash between the two leaves files that no row names; `prune` removes them.
"""

import contextlib
from collections.abc import Iterable
from pathlib import Path

from models.catalogue import Catalogue
from models.paths import Storage
from models.tables import Job, Sweep
from submit.audit import stored, strays


def delete(catalogue: Catalogue, storage: Storage, found: Job | Sweep) -> tuple[int, int]:
    """Remove a job, or a sweep with all its jobs, and their files; gives how many files, and their bytes.

    Raises
    ------
    BusyError
        Some of the jobs are running.
    """
    if isinstance(found, Sweep):
        sweep, gids = found.gid, [job.gid for job in catalogue.jobs(sweep=found.gid, limit=found.size)]
        catalogue.delete(sweep=found.gid)
    else:
        sweep, gids = found.sweep.gid, [found.gid]
        catalogue.delete(job=found.gid)
    shared = {storage.absolute(output.path) for output in catalogue.outputs_in(sweep)}
    directories = [storage.job_directory(sweep, gid) for gid in gids]
    files = [path for directory in directories if directory.is_dir() for path in directory.iterdir()]
    removed = _unlink(path for path in files if path.resolve() not in shared)
    for directory in (*directories, *{directory.parent for directory in directories}):
        with contextlib.suppress(OSError):
            directory.rmdir()  # Only when it is empty.
    return removed


def prune(catalogue: Catalogue, storage: Storage, *, dry_run: bool = False) -> tuple[int, int]:
    """Remove files that no row names and no unfinished job may need; gives how many, and their bytes."""
    # Before the rows are read: what appears meanwhile is somebody's.
    there = list(stored(storage))
    paths = [storage.root / name for name in strays(catalogue, storage, there, list(catalogue.output_rows()))]
    return _unlink(paths, dry_run=dry_run)


def _unlink(paths: Iterable[Path], *, dry_run: bool = False) -> tuple[int, int]:
    count = size = 0
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            bytes_ = path.stat().st_size
            if not dry_run:
                path.unlink()
            count, size = count + 1, size + bytes_
    return count, size
