"""Compares the catalogue with the data directory: the file of every row and, with --all, the row of every file.

A worker process reads the files; this process compares names.
"""

import contextlib
import time
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from uuid import UUID

from tvb_batch.models.catalogue import Catalogue
from tvb_batch.models.catalogue.tables import Job, Output, Sweep
from tvb_batch.models.errors import OutputError
from tvb_batch.models.paths import Storage, storage_time
from tvb_batch.models.settings import Settings
from tvb_batch.models.spec.sections import files_of
from tvb_batch.models.tvb.input_store import digest_of
from tvb_batch.models.worker_protocol import NOTE, CompareFile
from tvb_batch.submit.operate.processes import run_worker
from tvb_batch.submit.operate.strays import before_rows, named_files
from tvb_batch.submit.present import serialize


@dataclass
class Audit:
    """The compared files and all differences."""

    files: int = 0
    #: One line each: file or job, what is there, what was expected.
    faults: list[str] = field(default_factory=list)
    #: What to do, one line each.
    repairs: list[str] = field(default_factory=list)
    #: Comparisons that were not possible, one line each.
    notes: list[str] = field(default_factory=list)


def audit(catalogue: Catalogue, settings: Settings, found: Job | Sweep | None = None) -> Audit:
    """Compare the files of a finished job, or of a sweep's finished jobs, with their rows.

    Parameters
    ----------
    found : a job or sweep; None compares the whole catalogue, and also finds files without a row

    Raises
    ------
    WorkerProcessError
        The files could not be compared at all.
    """
    target = {} if found is None else {"sweep" if isinstance(found, Sweep) else "job": found.gid}
    before = before_rows(catalogue, settings.storage, _time(settings.storage)) if found is None else None
    outputs = list(catalogue.output_rows(**target))
    result = Audit()
    inputs = _inputs_of(catalogue, found)
    faults = _compare(result, outputs, inputs, settings)
    if faults:
        # A job deleted meanwhile is not a fault.
        named = named_files(catalogue.output_rows(**target)) | _inputs_of(catalogue, found)
        result.faults += [fault for fault in faults if _name(fault) in named]
    users = _users(outputs)
    lost = {job for fault in result.faults for job in users.get(_name(fault), ())}
    for gid in catalogue.without_output(**target):
        lost.add(gid)
        result.faults.append(f"job {serialize.short(gid)}: FINISHED, but no row names its files")
    if lost:
        them = ", ".join(serialize.short(gid) for gid in sorted(lost)[:8]) + (", ..." if len(lost) > 8 else "")
        result.repairs.append(
            f"Repair: {serialize.jobs_word(len(lost))} ({them}): submit their specs again with --no-reuse, "
            "so that no damaged file is shared"
        )
    if any(fault.startswith("datatypes/") for fault in result.faults):
        result.repairs.append(
            "Repair: remove damaged files of datatypes/ first; the next job that needs one writes it anew"
        )
    if any(fault.startswith("inputs/") for fault in result.faults):
        result.repairs.append("Repair: submit specs whose input files are missing or changed again, which copies them")
    if before is not None:
        unnamed = before.strays(catalogue, outputs)
        result.faults += [f"{settings.storage.relative(path)}: no row names it" for path in unnamed]
        if unnamed:
            result.repairs.append(f"Repair: {len(unnamed)} files that no row names are removed by `tvb-batch prune`")
    return result


def _inputs_of(catalogue: Catalogue, found: Job | Sweep | None) -> set[str]:
    """Return the input files in the specs of a job, of a sweep, or of all."""
    if isinstance(found, Job):
        return {section["from_file"] for _, section in files_of([found.sweep.base, found.parameters])}
    return catalogue.input_names(found.gid if found is not None else None)


def _compare(result: Audit, outputs: list[Output], inputs: set[str], settings: Settings) -> list[str]:
    """Return the faults of outputs, of their references and of inputs.

    Sets the number of compared files and the notes in `result`, and adds a fault for each path outside the storage.
    """
    # Use the name in the row: the file may be a link to a file with another name.
    root = settings.storage.root
    wanted = {name: CompareFile(root / name, name) for output in outputs for name in output.refers_to}
    wanted |= {one.path: CompareFile(root / one.path, one.path, one.bytes, one.sha256) for one in outputs}
    wanted |= {name: CompareFile(root / name, name, None, digest_of(name), is_input=True) for name in sorted(inputs)}
    result.files = len(wanted)
    requests = []
    for name, request in wanted.items():
        try:
            settings.storage.absolute(name)
        except OutputError as exc:
            result.faults.append(str(exc))
            continue
        requests.append(request)
    if not requests:
        return []
    lines = run_worker(settings, *requests, may_fail=True).splitlines()
    result.notes = [line for line in lines if line.startswith(NOTE)]
    return [line for line in lines if not line.startswith(NOTE)]


def _users(outputs: list[Output]) -> dict[str, set[UUID]]:
    """Return the jobs with this file as a result, or with a result that refers to it."""
    users: dict[str, set[UUID]] = {}
    for output in outputs:
        for name in (*output.refers_to, output.path):
            with contextlib.suppress(ValueError):  # Not a job's path; already reported as a fault.
                users.setdefault(name, set()).add(UUID(PurePosixPath(output.path).parent.name))
    return users


def _name(fault: str) -> str:
    return fault.partition(":")[0]


def _time(storage: Storage) -> float:
    """Return the storage's time, or this host's time if the storage is not writable: nothing is removed here."""
    try:
        return storage_time(storage)
    except OutputError:
        return time.time()
