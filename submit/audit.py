"""Whether the catalogue and the data directory agree: every row's file, and with all of them every file's row.

Called by the command line's `verify`. Files are read by a worker's process; this one compares names.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from uuid import UUID

from models.catalogue import Catalogue
from models.errors import OutputError
from models.paths import Storage
from models.settings import Settings
from models.tables import Job, Output, Sweep
from submit import view
from submit.processes import run_worker_module


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
    # Before the rows are read: what appears meanwhile has its row by then, or is a running job's.
    there = list(stored(settings.storage)) if found is None else []
    outputs = list(catalogue.output_rows(**target))
    result = Audit()
    lost = _compare(result, outputs, settings)
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
    if found is None:
        inputs = [name for name in sorted(catalogue.input_names()) if not (settings.storage.root / name).is_file()]
        result.faults += [f"{name}: missing, and a spec names it" for name in inputs]
        if inputs:
            result.repairs.append("Repair: submit specs whose input files are missing again, which copies them")
        unnamed = strays(catalogue, settings.storage, there, outputs)
        result.faults += [f"{name}: no row names it" for name in unnamed]
        if unnamed:
            result.repairs.append(f"Repair: {len(unnamed)} files that no row names are removed by `tvb-batch prune`")
    return result


def _compare(result: Audit, outputs: list[Output], settings: Settings) -> set[UUID]:
    """Add the faults of the outputs and of what they refer to; gives the jobs that have one."""
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
    result.faults += run_worker_module(settings, "audit", text=text, may_fail=True).splitlines()
    return {job for fault in result.faults for job in users.get(fault.partition(":")[0], ())}


def stored(storage: Storage) -> Iterator[Path]:
    """The files of results, of what they refer to, and of inputs."""
    for folder in ("outputs", "datatypes", "inputs"):
        yield from (path for path in sorted((storage.root / folder).rglob("*")) if path.is_file())


def strays(catalogue: Catalogue, storage: Storage, there: list[Path], outputs: list[Output]) -> list[str]:
    """Files of the data directory that no row names, but those of jobs that are not done."""
    named = {output.path for output in outputs} | catalogue.input_names()
    named |= {name for output in outputs for name in output.refers_to}
    if any(name.startswith("datatypes/tvb1/") for name in named):
        # A Connectivity for TVB 1 is made of the one for TVB 2, which stays for the next one.
        named |= {name.replace("tvb1/", "") for name in named}
    busy = {gid.hex for gid in catalogue.unfinished()}
    names = [storage.relative(path) for path in there if path.parent.name not in busy and path.exists()]
    # What a job refers to is written before its row says so.
    return [name for name in names if name not in named and not (busy and name.startswith("datatypes/"))]
