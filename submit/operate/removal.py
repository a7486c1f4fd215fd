"""Deletes jobs, sweeps and files: rows first, then files.

After a crash in between, files without a row remain; `prune` removes them.
"""

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from uuid import UUID, uuid4

from tvb_batch.models.catalogue import Catalogue
from tvb_batch.models.catalogue.tables import Job, Sweep
from tvb_batch.models.errors import OutputError
from tvb_batch.models.paths import Storage, storage_time
from tvb_batch.submit.operate.strays import ASIDE, before_rows, is_input, is_young, named_files


def delete(catalogue: Catalogue, storage: Storage, found: Job | Sweep) -> tuple[int, int]:
    """Delete a job, or a sweep with all its jobs and files; return the number of files and bytes.

    Raises
    ------
    BusyError
        Some of the jobs are running.
    OutputError
        A file cannot be removed; the rows are gone.
    """
    with _told("no row names it any more; a user with write permission can remove it with `tvb-batch prune`"):
        return _delete(catalogue, storage, found)


def _delete(catalogue: Catalogue, storage: Storage, found: Job | Sweep) -> tuple[int, int]:
    if isinstance(found, Sweep):
        named = catalogue.delete(sweep=found.gid)
        home = storage.sweep_directory(found.gid)
        directories = _directories(home)
    else:
        named = catalogue.delete(job=found.gid)
        home = storage.sweep_directory(found.sweep.gid)
        directories = [home / found.gid.hex]
    shared = {storage.root / name for name in catalogue.paths_in(UUID(home.name))}
    count, size = _unlink(path for directory in directories for path in _files(directory) if path not in shared)
    # A job that shared the files of a deleted job uses them at their old path.
    elsewhere = [path for name in named if (path := storage.root / name).parent.parent != home]
    elsewhere = [path for path in elsewhere if storage.is_output(path)]
    more, more_size = _unlink(elsewhere)
    for directory in (*directories, *{path.parent for path in elsewhere}):
        _remove_empty(directory)
    for directory in (home, *{path.parent.parent for path in elsewhere}):
        _remove_empty(directory)
    return count + more, size + more_size


def _directories(home: Path) -> list[Path]:
    """Return the directories of a sweep's jobs."""
    with contextlib.suppress(FileNotFoundError), os.scandir(home) as entries:
        return [home / entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    return []


def _files(directory: Path) -> list[Path]:
    with contextlib.suppress(FileNotFoundError), os.scandir(directory) as entries:
        return [directory / entry.name for entry in entries if not entry.is_dir(follow_symlinks=False)]
    return []


def _remove_empty(directory: Path) -> None:
    with contextlib.suppress(OSError):
        directory.rmdir()


def prune(catalogue: Catalogue, storage: Storage, *, dry_run: bool = False) -> tuple[int, int]:
    """Remove files that no row names and no unfinished job may need; return the number of files and bytes.

    Jobs may finish and sweeps may be submitted meanwhile: see `submit.operate.strays`.

    Raises
    ------
    OutputError
        The data directory cannot be written, or a file cannot be removed.
    """
    with _told("ask its owner to run `tvb-batch prune`"):
        return _prune(catalogue, storage, dry_run=dry_run)


def _prune(catalogue: Catalogue, storage: Storage, *, dry_run: bool) -> tuple[int, int]:
    if not dry_run:
        _restore_all(storage)
    time = storage_time(storage)
    strays = before_rows(catalogue, storage, time).strays(catalogue, catalogue.output_rows())
    if dry_run:
        return _unlink(strays, dry_run=True)
    inputs = {path for path in strays if is_input(storage, path)}
    shared = {path for path in strays if path.is_relative_to(storage.root / "datatypes")}
    aside = [
        *(moved for path in sorted(inputs) if (moved := _unused_input(path, time))),
        *_unused_datatypes(catalogue, storage, sorted(shared)),
    ]
    return _unlink([*(path for path in strays if path not in inputs | shared), *aside])


def _unused_input(path: Path, time: float) -> Path | None:
    """Set an input aside; return None if a submission has reserved it meanwhile.

    A later submission does not find the input and stores it again.
    """
    aside = _set_aside(path)
    if aside is not None and is_young(aside, time):
        _restore(aside)
        return None
    return aside


def _unused_datatypes(catalogue: Catalogue, storage: Storage, paths: list[Path]) -> list[Path]:
    """Set aside datatypes without references; return none if a new job may already use them.

    A later job does not find them and writes them again.
    """
    aside = [moved for path in paths if (moved := _set_aside(path))]
    busy = bool(aside) and bool(catalogue.unfinished())
    named = named_files(catalogue.output_rows()) if aside and not busy else set()
    kept = [path for path in aside if busy or storage.relative(_place(path)) in named]
    for path in kept:
        _restore(path)
    return [path for path in aside if path not in kept]


def _set_aside(path: Path) -> Path | None:
    # Use a unique name: another `prune` may put the file back and set it aside again.
    aside = path.with_name(f"{path.name}.{uuid4().hex}{ASIDE}")
    with contextlib.suppress(FileNotFoundError):
        return path.rename(aside)
    return None


def _place(aside: Path) -> Path:
    return aside.with_name(aside.name.removesuffix(ASIDE).rpartition(".")[0])


def _restore(aside: Path) -> None:
    """Put a file back, unless a new one exists."""
    with contextlib.suppress(FileNotFoundError, FileExistsError):
        try:
            os.link(aside, _place(aside))
        except (FileNotFoundError, FileExistsError):
            raise
        except OSError:  # The storage has no hard links.
            if not _place(aside).exists():
                aside.rename(_place(aside))
    aside.unlink(missing_ok=True)


def _restore_all(storage: Storage) -> None:
    """Put back files that a killed `prune` has set aside."""
    for folder in (storage.inputs, storage.root / "datatypes"):
        for aside in list(folder.rglob(f"*{ASIDE}")):
            _restore(aside)


@contextlib.contextmanager
def _told(hint: str) -> Iterator[None]:
    """Return the message of a storage error in one line."""
    try:
        yield
    except OSError as exc:
        raise OutputError(f"{exc.filename}: cannot be removed ({exc.strerror}); {hint}") from exc


def _unlink(paths: Iterable[Path], *, dry_run: bool = False) -> tuple[int, int]:
    count = size = 0
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            bytes_ = path.stat().st_size
            if not dry_run:
                path.unlink()
            count, size = count + 1, size + bytes_
    return count, size
