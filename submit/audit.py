"""Whether the catalogue and the data directory agree: every row's file, and with all of them every file's row.

Called by the command line's `verify`. Files are read by a worker's process; this one compares names.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from uuid import UUID

from models.catalogue import Catalogue
from models.errors import OutputError
from models.paths import Storage, storage_time
from models.settings import Settings
from models.tables import Job, Output, Sweep
from submit import view
from submit.processes import run_worker_module
from submit.strays import before_rows, names_of


@dataclass
class Audit:
    """What was compared, and every disagreement."""

    files: int = 0
    #: One line each: which file or job, what is there, what was expected.
    faults: list[str] = field(default_factory=list)
    #: What to do about them, one line each.
    repairs: list[str] = field(default_factory=list)


def audit(catalogue: Catalogue, settings: Settings, found: Job | Sweep | None = None) -> Audit:
    """The files of a finished job or of a sweep's finished jobs, compared with their rows.

    Parameters
    ----------
    found : None compares all of the catalogue, and looks for files that no row names as well

    Raises
    ------
    WorkerProcessError
        The files could not be compared at all.
    """
    target = {} if found is None else {"sweep" if isinstance(found, Sweep) else "job": found.gid}
    before = before_rows(catalogue, settings.storage, _time(settings.storage)) if found is None else None
    outputs = list(catalogue.output_rows(**target))
    result = Audit()
    lost = _compare(result, outputs, settings, lambda: names_of(catalogue.output_rows(**target)))
    for gid in catalogue.without_output(**target):
        lost.add(gid)
        result.faults.append(f"job {view.short(gid)}: FINISHED, but no row names its files")
    if lost:
        them = ", ".join(view.short(gid) for gid in sorted(lost)[:8]) + (", ..." if len(lost) > 8 else "")
        result.repairs.append(
            f"Repair: {view.jobs_word(len(lost))} ({them}): submit their specs again with --no-reuse, "
            "so that no damaged file is shared"
        )
    if any(fault.startswith("datatypes/") for fault in result.faults):
        result.repairs.append(
            "Repair: remove damaged files of datatypes/ first; the next job that needs one writes it anew"
        )
    if before is not None:
        missing = {name for name in catalogue.input_names() if not (settings.storage.root / name).is_file()}
        inputs = sorted(missing & catalogue.input_names()) if missing else []
        result.faults += [f"{name}: missing, and a spec names it" for name in inputs]
        if inputs:
            result.repairs.append("Repair: submit specs whose input files are missing again, which copies them")
        unnamed = before.strays(catalogue, outputs)
        result.faults += [f"{settings.storage.relative(path)}: no row names it" for path in unnamed]
        if unnamed:
            result.repairs.append(f"Repair: {len(unnamed)} files that no row names are removed by `tvb-batch prune`")
    return result


def _compare(
    result: Audit, outputs: list[Output], settings: Settings, named_now: Callable[[], set[str]]
) -> set[UUID]:  # fmt: skip
    """Add the faults of the outputs and of what they refer to; gives the jobs that have one.

    Parameters
    ----------
    named_now : the files that rows name after they were read: what a person has deleted meanwhile is no fault
    """
    wanted: dict[str, dict[str, object]] = {}
    users: dict[str, set[UUID]] = {}
    for output in outputs:
        job = UUID(PurePosixPath(output.path).parent.name)
        for name in (*output.refers_to, output.path):
            users.setdefault(name, set()).add(job)
            try:
                path = str(settings.storage.absolute(name))
            except OutputError as exc:
                result.faults.append(str(exc))
                continue
            size, digest = (output.bytes, output.sha256) if name == output.path else (None, None)
            wanted[name] = {"path": path, "name": name, "bytes": size, "sha256": digest}
    result.files = len(users)
    text = "".join(json.dumps(line) + "\n" for line in wanted.values())
    faults = run_worker_module(settings, "audit", text=text, may_fail=True).splitlines()
    named = named_now() if faults else set()
    result.faults += [fault for fault in faults if fault.partition(":")[0] in named]
    return {job for fault in result.faults for job in users.get(fault.partition(":")[0], ())}


def _time(storage: Storage) -> float:
    """The storage's, or ours where it cannot be written: nothing is removed here."""
    try:
        return storage_time(storage)
    except OutputError:
        return time.time()
