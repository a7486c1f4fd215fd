"""Shows all details of one job or sweep in a terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from tvb_batch.models.catalogue import Catalogue
from tvb_batch.models.catalogue.status import Status
from tvb_batch.models.catalogue.tables import Attempt, Job, Output, Sweep
from tvb_batch.models.errors import SpecError
from tvb_batch.models.own_code.sources import OF_DATA, OF_METRICS, entries
from tvb_batch.models.paths import Storage
from tvb_batch.models.spec.parameter_names import get_value
from tvb_batch.models.spec.parameter_names import parameters as named
from tvb_batch.models.spec.simulation import simulation
from tvb_batch.submit.present.describe import describe_plan
from tvb_batch.submit.present.formatting import (
    COLOURS,
    Counts,
    counts_text,
    duration,
    jobs_word,
    local_time,
    number,
    ran_for,
    short,
    short_metrics,
    size,
    without_breaks,
)
from tvb_batch.submit.present.remarks import left_out

#: Advice by class of the error, for messages without advice.
HINTS = {
    "WorkerLost": "the worker was killed or ran out of memory: start fewer workers, or record less (a longer period)",
    "MemoryError": "start fewer workers, or record less (a longer period, fewer variables_of_interest)",
    "OutputError": "check the free space and the permissions of the data directory",
    "OSError": "check the free space and the permissions of the data directory",
    "InputError": "is the data directory mounted where the worker runs?",
    "ConfigureError": "`tvb-batch submit SPEC --check` finds this before a sweep is queued",
}


def print_job(catalogue: Catalogue, job: Job, storage: Storage) -> None:
    """Print all details of a job."""
    outputs = catalogue.outputs([job.gid])
    head = Text.assemble(
        (f"job {job.gid}", "bold"), "  ", (job.status.word, COLOURS.get(job.status, "")),
        f"\nsweep {job.sweep.name} ({short(job.sweep.gid)}), job {job.number} of {job.sweep.size}",
    )  # fmt: skip
    spec = _spec(job)
    _print(
        head,
        *_section("swept parameters", _pairs(own_parameters(job))),
        *_section("times", _pairs(_times(job))),
        *_section("metrics", _metrics(catalogue, job, outputs)),
        *_section("files", _files(outputs, storage)),
        *_section("your modules", _pairs({**entries(job.versions, OF_DATA), **entries(job.versions, OF_METRICS)})),
        *_section("error", _error(job)),
        *_section("failed attempts", _attempts(catalogue.attempts(job.gid))),
        *_section("next", _again(job, outputs, storage)),
        *_section("parameters of the sweep", _pairs(_rest(spec, job), style="dim")),
    )


def print_sweep(catalogue: Catalogue, sweep: Sweep) -> None:
    """Print all details of a sweep."""
    counts: Counts = catalogue.counts(sweep.gid)
    base = {name: number(value) for name, value in named(sweep.base)}
    sweep_id = short(sweep.gid)
    _print(
        Text(f"sweep {sweep.name}  {sweep.gid}", "bold"),
        Text(f"{jobs_word(sweep.size)}: {counts_text(counts)}\ncreated {local_time(sweep.created_at)}"),
        *_section("swept parameters", [Text(line) for line in describe_plan(catalogue.plan(sweep.gid))]),
        *_section("parameters of all jobs", _pairs(base, style="dim")),
        *_section("next", [
            Text(f"tvb-batch list {sweep_id}"), Text(f"tvb-batch stats {sweep_id}"),
            Text(f"tvb-batch plot {sweep_id} -o {sweep.name}.png"),
            *([Text(f"tvb-batch retry {sweep_id}")] if counts.get(Status.ERROR) else []),
        ]),
    )  # fmt: skip


def own_parameters(job: Job) -> dict[str, str]:
    """Return the swept parameters with their base values: `10 (base 5)`."""
    found = {name: f"{number(value)}{_of_base(job, name)}" for name, value in job.parameters.items()}
    found["seed"] = str(job.seed)
    return found | ({"repeat": str(job.repeat)} if job.repeat else {})


def _of_base(job: Job, name: str) -> str:
    try:
        value = get_value(job.sweep.base, name)
    except SpecError:
        return ""
    value = value[0] if isinstance(value, list) and len(value) == 1 else value
    return "" if value == job.parameters[name] else f"  (base {number(value)})"


def _spec(job: Job) -> dict[str, Any]:
    try:
        return simulation(job.sweep.base).with_parameters({**job.parameters, "seed": job.seed}).canonical()
    except SpecError:
        # A user's class is missing here or was edited.
        return dict(job.sweep.base)


def _rest(spec: Mapping[str, Any], job: Job) -> dict[str, str]:
    own = tuple(job.parameters)
    return {
        name: number(value)
        for name, value in named(dict(spec))
        if name != "seed" and not any(name == one or name.startswith((f"{one}.", f"{one}[")) for one in own)
    }


def _times(job: Job) -> dict[str, str]:
    found = {"created": local_time(job.created_at), "started": local_time(job.started_at)}
    if job.source_id is not None:
        return found | {"reused": "shares the files of an equal finished job of an earlier sweep"}
    if job.started_at is not None:
        found["pending for"] = duration((job.started_at - job.created_at).total_seconds())
        found["running for" if job.finished_at is None else "ran for"] = duration(ran_for(job) or 0.0)
    if job.status is Status.STARTED:
        found["progress"] = f"{job.progress:.0%}"
    if job.status is Status.PENDING and job.not_before is not None:
        found["pending until"] = local_time(job.not_before)
    attempt = str(job.attempt) if job.attempt else ""
    return found | {
        "ended": local_time(job.finished_at), "worker": job.worker or "", "attempt": attempt,
        "engine": job.engine or "", "why this engine": job.engine_reason or "",
    }  # fmt: skip


def _metrics(catalogue: Catalogue, job: Job, outputs: Sequence[Output]) -> list[RenderableType]:
    values = short_metrics(catalogue.metrics([job.gid])[job.gid])
    missing = {name: f"none: {reason}" for name, reason in catalogue.missing_metrics([job.gid])[job.gid].items()}
    lines = _pairs({**{name: f"{value:.6g}" for name, value in values.items()}, **missing})
    words = left_out(outputs)
    return [*lines, Text(f"metrics leave out the first {words}{_but_kuramoto(job, values)}", "dim")] if words else lines


def _but_kuramoto(job: Job, values: Mapping[str, float]) -> str:
    """Return a note that KuramotoIndex leaves out nothing, as in TVB; empty if that is not so."""
    is_given = {**job.sweep.base, **job.parameters}.get("transient") is not None
    return "" if is_given or "KuramotoIndex" not in values else "; KuramotoIndex leaves out nothing, as in TVB"


def _files(outputs: Sequence[Output], storage: Storage) -> list[Text]:
    lines = []
    for output in outputs:
        shape = " x ".join(map(str, output.shape))
        nan = ("  holds NaN or infinity", "red") if output.is_nan else ("", "")
        lines.append(Text.assemble(f"{output.monitor}, {shape}, {size(output.bytes)}", nan))
        lines.append(Text(f"  {storage.absolute(output.path)}"))
    return lines


def _error(job: Job) -> list[Text]:
    if not job.error:
        return []
    lines = [Text.assemble((job.error_type or "error", "red"), f": {without_breaks(job.error)}")]
    hint = HINTS.get(job.error_type or "")
    return [*lines, Text(f"hint: {hint}")] if hint else lines


def _attempts(found: Sequence[Attempt]) -> list[Text]:
    lines = []
    for one in found:
        took = "" if one.started_at is None else f" after {duration((one.ended_at - one.started_at).total_seconds())}"
        why = f": {without_breaks(one.error)}" if one.error else ""
        lines.append(Text(f"{one.number}  {local_time(one.ended_at)}  {one.worker or ''}  {one.outcome}{took}{why}"))
    return lines


def _again(job: Job, outputs: Sequence[Output], storage: Storage) -> list[Text]:
    if job.status in (Status.ERROR, Status.CANCELED):
        return [Text(f"tvb-batch retry {short(job.gid)}")]
    if not outputs:
        return []
    first = storage.absolute(outputs[0].path)
    return [
        Text.assemble(f"tvb-batch rerun {first}", ("   runs it again and compares every bit", "dim")),
        Text.assemble(f"tvb-batch plot {short(job.gid)} -o {short(job.gid)}.png", ("   draws it", "dim")),
    ]


def _pairs(values: Mapping[str, str], style: str = "") -> list[RenderableType]:
    values = {name: value for name, value in values.items() if value}
    if not values:
        return []
    table = Table.grid(padding=(0, 2))
    for name, value in values.items():
        cut = value if len(value) <= 160 else f"{value[:157]}..."
        table.add_row(Text(name, style=style, no_wrap=True), Text(cut, style=style, overflow="fold"))
    return [table]


def _section(title: str, lines: Sequence[RenderableType]) -> list[RenderableType]:
    return [Text(f"\n{title}", "bold"), *lines] if lines else []


def _print(*parts: RenderableType) -> None:
    console = Console(highlight=False)
    # Paths are not shortened, so that they can be copied.
    console.print(Group(*(part for part in parts if not isinstance(part, str))), soft_wrap=True)
