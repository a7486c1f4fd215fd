"""The summary at the end of a sweep, and jobs and sweeps as JSON data."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console

from tvb_batch.models.catalogue import Catalogue, SweepSummary
from tvb_batch.models.catalogue.status import Status
from tvb_batch.models.catalogue.tables import Job, Sweep
from tvb_batch.models.paths import Storage
from tvb_batch.submit.present.describe import describe_comparison, describe_estimate, describe_plan, describe_spec
from tvb_batch.submit.present.formatting import (
    Counts,
    counts_text,
    jobs_word,
    number,
    parameters_text,
    short,
    without_breaks,
)
from tvb_batch.submit.present.remarks import remarks

__all__ = [
    "describe_comparison", "describe_estimate", "describe_plan", "describe_spec", "jobs_word", "number", "short",
]  # fmt: skip


def print_end(
    catalogue: Catalogue, sweep: Sweep | None, counts: Counts, storage: Storage, followed: Sequence[Sweep] = ()
) -> None:
    """Print the results of a sweep, remarks, the place of the files, and the next commands.

    Parameters
    ----------
    followed : all watched sweeps; if there are several, each remark names its sweep
    """
    console = Console(highlight=False, markup=False)
    if sweep is None:
        console.print(f"No pending jobs are left: {counts_text(counts) or 'nothing ran'}.")
        for one in followed:
            for line in remarks(catalogue, one):
                console.print(f"{one.name} ({short(one.gid)}): {line}", soft_wrap=True)
        return
    console.print(f"{sweep.name} ({short(sweep.gid)}): {counts_text(counts)}")
    for job in catalogue.jobs(sweep=sweep.gid, status=Status.ERROR, limit=3):
        console.print(f"  {short(job.gid)} {parameters_text(job)}: {without_breaks(job.error or '')}", soft_wrap=True)
    for line in remarks(catalogue, sweep):
        console.print(f"  {line}", soft_wrap=True)
    if counts[Status.FINISHED]:
        directory = storage.job_directory(sweep.gid, sweep.gid).parent
        console.print(f"Files    {directory}", soft_wrap=True)
        console.print(f"Inspect  tvb-batch list {short(sweep.gid)} · tvb-batch stats {short(sweep.gid)}")
        console.print(f"Plot     tvb-batch plot {short(sweep.gid)} -o {sweep.name}.png", soft_wrap=True)
        console.print(f"To TVB   tvb-batch bundle {short(sweep.gid)} -o {sweep.name}.zip", soft_wrap=True)
    if counts[Status.ERROR]:
        console.print(f"Failed   tvb-batch list {short(sweep.gid)} --status failed")
        console.print(f"Retry    tvb-batch retry {short(sweep.gid)}")


# ------------------------------------------------------------------------------------------------------- as data


def job_as_dict(job: Job) -> dict[str, Any]:
    """Return a job as JSON data."""
    return {
        "gid": str(job.gid),
        "sweep": job.sweep.name,
        "sweep_gid": str(job.sweep.gid),
        "number": job.number,
        "status": str(job.status),
        "progress": job.progress,
        "parameters": {name: _brief(value) for name, value in job.parameters.items()},
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
    """Return a sweep as JSON data."""
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
    """Return everything that the catalogue knows about one job or sweep."""
    if isinstance(found, Sweep):
        counts = {str(status): count for status, count in sorted(catalogue.counts(found.gid).items())}
        return {
            "gid": str(found.gid),
            "name": found.name,
            "created_at": _time(found.created_at),
            "size": found.size,
            "priority": found.priority,
            "is_paused": found.is_paused,
            "counts": counts,
            "sweep": catalogue.plan(found.gid),
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
            "transient": output.transient,
        }
        for output in catalogue.outputs([found.gid])
    ]
    attempts = [
        {
            "number": one.number,
            "worker": one.worker,
            "started_at": _time(one.started_at),
            "ended_at": _time(one.ended_at),
            "outcome": one.outcome,
            "error": one.error,
        }
        for one in catalogue.attempts(found.gid)
    ]
    metrics = catalogue.metrics([found.gid])[found.gid]
    missing = catalogue.missing_metrics([found.gid])[found.gid]
    measured = {"metrics": metrics, "missing_metrics": missing}
    whole = {**job_as_dict(found), "parameters": dict(found.parameters)}
    return {**whole, **measured, "outputs": outputs, "attempts": attempts}


def _brief(value: Any) -> Any:
    """Return a value for lists: an object, a file or a long array as a label; `show --json` has the whole value."""
    return number(value) if isinstance(value, dict | list) else value


def _time(value: Any) -> str | None:
    return None if value is None else value.isoformat(timespec="milliseconds")


def _seconds(job: Job) -> float | None:
    if job.started_at is None or job.finished_at is None:
        return None
    return (job.finished_at - job.started_at).total_seconds()
