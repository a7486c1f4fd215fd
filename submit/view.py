"""What a person sees in a terminal: the live view, tables, and the details of one job or sweep.

Called by `submit.cli`. Reads the catalogue and prints; changes nothing.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from models.catalogue import Catalogue, SweepSummary
from models.components import components, roles
from models.paths import Storage
from models.status import Status
from models.sweep import SweepSpec
from models.tables import Job, Sweep

#: How often the live view asks the catalogue. Seconds.
TICK = 0.5

_COLOURS = {Status.FINISHED: "green", Status.ERROR: "red", Status.STARTED: "cyan", Status.CANCELED: "yellow"}

Counts = Mapping[Status, int]


def short(gid: UUID) -> str:
    """As much of a gid as a person types."""
    return gid.hex[:8]


def jobs_word(count: int) -> str:
    """`1 job`, `2 jobs`."""
    return f"{count:,} job" + ("" if count == 1 else "s")


def describe_spec(spec: SweepSpec) -> str:
    """What a submission would queue."""
    base = spec.base
    lines = [
        f"{spec.name}: {jobs_word(spec.size)}, {base.simulation_length:g} ms each",
        f"  {base.model['class']} · {base.connectivity['from_file']} · {base.coupling['class']} · "
        f"{base.integrator['class']} dt {base.integrator['dt']:g} ms · "
        f"{', '.join(monitor['class'] for monitor in base.monitors)}",
    ]
    lines += [f"  {line}" for line in describe_plan(spec.plan)]
    return "\n".join(lines)


def describe_plan(plan: Mapping[str, Any]) -> list[str]:
    """What varies, a line for each parameter."""
    lines = []
    for key, how in (("grid", ""), ("zip", " together")):
        for name, values in plan.get(key, {}).items():
            few = ", ".join(number(value) for value in values[:3]) + (" ..." if len(values) > 3 else "")
            lines.append(f"{name}:{how} {len(values)} values, {few}")
    for key in ("random", "sobol", "lhs"):
        for name, (low, high) in plan.get(key, {}).items():
            lines.append(f"{name}: {plan['samples']} {key} samples of {low:g} to {high:g}")
    if "list" in plan:
        lines.append(f"list: {len(plan['list'])} points of {', '.join(plan['list'][0])}")
    if "repeats" in plan:
        lines.append(f"each {plan['repeats']} times, with seeds of their own")
    if "where" in plan:
        lines.append(f"where {plan['where']}")
    return lines


def describe_estimate(found: Mapping[str, Any], jobs: int) -> str:
    """What a sweep would cost, from what its first job does on this machine."""
    seconds, memory, disk = found["seconds"], found["memory_bytes"], found["disk_bytes"]
    return (
        f"One job takes about {_duration(seconds)} on a core of this machine, {_size(memory)} of memory and "
        f"{_size(disk)} of disk;\n{jobs_word(jobs)}: {_duration(seconds * jobs)} on one core, {_size(disk * jobs)}."
    )


def describe_comparison(found: Mapping[str, Any]) -> str:
    """Whether a simulation that ran again gave the same data."""
    if not found["different"]:
        return f"The same, bit for bit: {found['samples']:,} samples."
    since = "" if found["first_ms"] is None else f", from {found['first_ms']:g} ms on"
    lines = [
        f"Different: {found['different']:,} of {found['samples']:,} samples{since}, by at most "
        f"{found['largest_difference']:g}.",
        *(
            found["circumstances"]
            or ["Nothing of what the file tells differs: version, machine and host are the same."]
        ),
    ]
    return "\n  ".join(lines)


def _duration(seconds: float) -> str:
    for unit, length in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.1f} s"


def _size(count: float) -> str:
    for unit, length in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= length:
            return f"{count / length:.1f} {unit}"
    return f"{count:.0f} bytes"


# ---------------------------------------------------------------------------------------------------- live view


def watch(catalogue: Catalogue, sweep: Sweep | None, *, on_tick: Callable[[], None] = lambda: None) -> Counts:
    """Show progress until every job has ended; gives how many ended in which state.

    Parameters
    ----------
    sweep : None watches everything that is waiting or running
    on_tick : called at every look; what it raises ends the watch
    """
    console = Console(stderr=True)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(
        *columns,
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not (console.is_terminal or console.is_jupyter),
    ) as progress:
        bar = progress.add_task(sweep.name if sweep else "waiting jobs", total=None, note="")
        told: set[UUID] = set()
        total, last_line = 0, ""
        while True:
            counts = _counts(catalogue, sweep)
            left = counts[Status.PENDING] + counts[Status.STARTED]
            total = max(total, sum(counts.values()) if sweep else left)
            _tell_failures(catalogue, sweep, counts, told, console)
            line = _note(counts)
            progress.update(
                bar, total=total, completed=total - left + _running_part(catalogue, sweep, counts), note=line
            )
            if not (console.is_terminal or console.is_jupyter) and line != last_line:
                console.print(f"{sweep.name if sweep else 'jobs'}: {line}", highlight=False)
                last_line = line
            if not left:
                return counts
            on_tick()
            time.sleep(TICK)


def _counts(catalogue: Catalogue, sweep: Sweep | None) -> Counts:
    if sweep is not None:
        return dict.fromkeys(Status, 0) | dict(catalogue.counts(sweep.gid))
    return {status: catalogue.count(status=status) for status in Status}


def _running_part(catalogue: Catalogue, sweep: Sweep | None, counts: Counts) -> float:
    if not counts[Status.STARTED]:
        return 0.0
    running = catalogue.jobs(sweep=sweep.gid if sweep else None, status=Status.STARTED, limit=1000)
    return sum(job.progress for job in running)


def _note(counts: Counts) -> str:
    words = {
        Status.FINISHED: "finished",
        Status.STARTED: "running",
        Status.PENDING: "waiting",
        Status.ERROR: "failed",
        Status.CANCELED: "canceled",
    }
    return ", ".join(f"{counts[status]:,} {word}" for status, word in words.items() if counts[status])


def _tell_failures(
    catalogue: Catalogue, sweep: Sweep | None, counts: Counts, told: set[UUID], console: Console
) -> None:
    if sweep is None or counts[Status.ERROR] <= len(told):
        return
    for job in catalogue.jobs(sweep=sweep.gid, status=Status.ERROR, limit=len(told) + 20):
        if job.gid not in told and len(told) < 20:
            line = Text.assemble(("failed", "red"), f" {short(job.gid)} {_parameters(job)}: {job.error}")
            console.print(line, soft_wrap=True)
        told.add(job.gid)


def print_end(catalogue: Catalogue, sweep: Sweep | None, counts: Counts, storage: Storage) -> None:
    """What came of it, where the files are, and the next step."""
    console = Console(highlight=False)
    if sweep is None:
        console.print(f"Nothing is waiting any more: {_note(counts)}.")
        return
    console.print(f"{sweep.name} ({short(sweep.gid)}): {_note(counts)}")
    for job in catalogue.jobs(sweep=sweep.gid, status=Status.ERROR, limit=3):
        console.print(f"  {short(job.gid)} {_parameters(job)}: {job.error}", markup=False, soft_wrap=True)
    if counts[Status.FINISHED]:
        directory = storage.job_directory(sweep.gid, sweep.gid).parent
        console.print(f"Files    {directory}", soft_wrap=True)
        console.print(f"Look     tvb-batch list {short(sweep.gid)}")
        console.print(f"To TVB   tvb-batch bundle {short(sweep.gid)} -o {sweep.name}.zip", soft_wrap=True)
    if counts[Status.ERROR]:
        console.print(f"Failed   tvb-batch list {short(sweep.gid)} --status ERROR")
        console.print(f"Again    tvb-batch retry {short(sweep.gid)}")


# ------------------------------------------------------------------------------------------------------- tables


def print_jobs(jobs: Sequence[Job], total: int) -> None:
    """A table of jobs."""
    console = Console(highlight=False)
    if not jobs:
        console.print("No jobs. `tvb-batch run examples/jansen_rit.yaml` makes one.")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("job", "sweep", "status", "progress", "seconds", "parameters"):
        table.add_column(heading, justify="right" if heading in ("progress", "seconds") else "left", overflow="fold")
    for job in jobs:
        colour = _COLOURS.get(job.status, "default")
        seconds = _seconds(job)
        table.add_row(
            short(job.gid), job.sweep.name, f"[{colour}]{job.status}[/{colour}]", f"{job.progress:.0%}",
            "" if seconds is None else f"{seconds:.1f}", _parameters(job),
        )  # fmt: skip
    console.print(table)
    if total > len(jobs):
        console.print(f"{len(jobs):,} of {total:,} jobs; --limit shows more.")


def print_sweeps(summaries: Sequence[SweepSummary]) -> None:
    """A table of sweeps."""
    console = Console(highlight=False)
    if not summaries:
        console.print("No sweeps. `tvb-batch run examples/jansen_rit.yaml` makes one.")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("sweep", "name", "created", "jobs", "state"):
        table.add_column(heading, justify="right" if heading == "jobs" else "left", overflow="fold")
    for summary in summaries:
        counts = dict.fromkeys(Status, 0) | dict(summary.counts)
        created = summary.sweep.created_at.astimezone().strftime("%Y-%m-%d %H:%M")
        table.add_row(short(summary.sweep.gid), summary.sweep.name, created, f"{summary.sweep.size:,}", _note(counts))
    console.print(table)


def _parameters(job: Job) -> str:
    return " ".join(f"{name}={number(value)}" for name, value in job.parameters.items())


def number(value: object) -> str:
    """A parameter's value in few letters; a TVB object by its file, or its class and what is not default of it."""
    if isinstance(value, Mapping):
        return str(value["from_file"]) if "from_file" in value else _object(value)
    if isinstance(value, list) and value and isinstance(value[0], Mapping):
        return "+".join(map(number, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _object(section: Mapping[str, Any]) -> str:
    name = str(section.get("class"))
    # Some classes of different roles share a name.
    namesakes = [components(role)[name].attributes for role in roles() if name in components(role)]
    known = next((attributes for attributes in namesakes if {*section} - {"class"} <= {*attributes}), {})
    changed = [
        f"{key}={number(value[0] if isinstance(value, list) and len(value) == 1 else value)}"
        for key, value in section.items()
        if key in known and value != known[key].default
    ]
    return f"{name}({', '.join(changed)})" if changed else name


def _seconds(job: Job) -> float | None:
    if job.started_at is None or job.finished_at is None:
        return None
    return (job.finished_at - job.started_at).total_seconds()


# ------------------------------------------------------------------------------------------------------ details


def job_as_dict(job: Job) -> dict[str, Any]:
    """A job as JSON shows it."""
    return {
        "gid": str(job.gid),
        "sweep": job.sweep.name,
        "sweep_gid": str(job.sweep.gid),
        "number": job.number,
        "status": str(job.status),
        "progress": job.progress,
        "parameters": dict(job.parameters),
        "parameters_hash": job.parameters_hash,
        "seed": job.seed,
        "attempt": job.attempt,
        "worker": job.worker,
        "created_at": _time(job.created_at),
        "started_at": _time(job.started_at),
        "finished_at": _time(job.finished_at),
        "seconds": _seconds(job),
        "engine": job.engine,
        "engine_reason": job.engine_reason,
        "versions": job.versions,
        "error": job.error,
    }


def sweep_as_dict(summary: SweepSummary) -> dict[str, Any]:
    """A sweep as JSON shows it."""
    sweep = summary.sweep
    counts = {str(status): count for status, count in summary.counts.items()}
    return {
        "gid": str(sweep.gid),
        "name": sweep.name,
        "created_at": _time(sweep.created_at),
        "size": sweep.size,
        "counts": counts,
    }


def details(catalogue: Catalogue, found: Job | Sweep, storage: Storage) -> dict[str, Any]:
    """Everything the catalogue knows of one job or sweep."""
    if isinstance(found, Sweep):
        counts = {str(status): count for status, count in _counts(catalogue, found).items() if count}
        return {
            "gid": str(found.gid),
            "name": found.name,
            "created_at": _time(found.created_at),
            "size": found.size,
            "counts": counts,
            "sweep": found.plan,
            "simulation": found.base,
        }
    outputs = [
        {
            "gid": str(output.gid),
            "monitor": output.monitor,
            "datatype": output.datatype,
            "file": str(storage.absolute(output.path)),
            "format": output.format,
            "shape": list(output.shape),
            "bytes": output.bytes,
            "sha256": output.sha256,
            "is_nan": output.is_nan,
        }
        for output in catalogue.outputs([found.gid])
    ]
    return {**job_as_dict(found), "metrics": catalogue.metrics([found.gid])[found.gid], "outputs": outputs}


def print_details(values: Mapping[str, Any]) -> None:
    """Name and value, one a line; nested ones indented."""
    console = Console(highlight=False)
    if isinstance(values.get("sweep"), Mapping):
        lines = enumerate(describe_plan(values["sweep"]), start=1)
        values = {**values, "sweep": {str(number): line for number, line in lines}}
    for line in _lines(values, 0):
        console.print(line, soft_wrap=True, markup=False)


def _lines(values: Mapping[str, Any], depth: int) -> list[str]:
    lines = []
    for name, value in values.items():
        if value is None or value == "" or value == {} or value == []:
            continue
        prefix = "  " * depth
        if isinstance(value, Mapping):
            lines += [f"{prefix}{name}", *_lines(value, depth + 1)]
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            for item in value:
                lines += [f"{prefix}{name.removesuffix('s')}", *_lines(item, depth + 1)]
        else:
            lines.append(f"{prefix}{name:<{max(1, 18 - 2 * depth)}} {number(value)}")
    return lines


def _time(value: Any) -> str | None:
    return None if value is None else value.isoformat(timespec="milliseconds")
