"""Statistics over the jobs of a sweep, and over workers, as lists."""

import statistics
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from tvb_batch.models.catalogue import Catalogue, JobValue, Spread, WorkerRow
from tvb_batch.models.catalogue.status import Status
from tvb_batch.models.catalogue.tables import Sweep
from tvb_batch.models.errors import BrokerError, NotFoundError, did_you_mean
from tvb_batch.models.queue import listening, make_app
from tvb_batch.models.settings import Settings
from tvb_batch.submit.present.formatting import number, short
from tvb_batch.submit.present.listing import Form, Listing

_SPREAD = ("jobs", "min", "mean", "max")


def sweep_stats(catalogue: Catalogue, sweep: Sweep, form: Form) -> Listing:
    """Return statistics of duration and metrics of finished jobs, with the jobs of the minimum and maximum.

    In a table these two jobs are named by their swept values, in the order of the sweep; otherwise by their gids.
    """
    spreads = catalogue.spreads(sweep.gid)
    seconds = catalogue.durations(sweep.gid)
    rows = [_row(catalogue, sweep, "duration", seconds, form)] if seconds else []
    rows += [_row(catalogue, sweep, name, spread, form) for name, spread in spreads.items()]
    return Listing(("name", *_SPREAD, "min_at", "max_at"), rows)


def _row(catalogue: Catalogue, sweep: Sweep, name: str, spread: Spread, form: Form) -> dict[str, Any]:
    def at(value: float, sort: str) -> str:
        # A metric is looked up by its exact value; seconds are rounded by the database.
        is_rounded = name == "duration"
        where = "status = FINISHED and duration is not nan" if is_rounded else f"{name} = {value!r}"
        found = catalogue.jobs(sweep=sweep.gid, where=where, sort=sort if is_rounded else "", limit=1)
        if not found:
            return ""
        values = ", ".join(map(number, found[0].parameters.values()))
        return (values or short(found[0].gid)) if form == "table" else str(found[0].gid)

    numbers = {"jobs": spread.count, "min": spread.least, "mean": spread.mean, "max": spread.most}
    return {"name": name, **numbers, "min_at": at(spread.least, name), "max_at": at(spread.most, f"-{name}")}


def stats_by(catalogue: Catalogue, sweep: Sweep, parameter: str, metric: str) -> Listing:
    """Return a metric for each value of a swept parameter, over the jobs with this value.

    Raises
    ------
    NotFoundError
        The sweep does not vary this parameter, or has no such metric.
    """
    points = points_of(catalogue, sweep, metric)
    swept = {name for point in points for name in point.parameters}
    if parameter not in swept:
        hint = did_you_mean(parameter, swept) or "its jobs differ only in the seed"
        raise NotFoundError(f"{parameter}: sweep {sweep.name} does not vary it; {hint}")
    groups: dict[str, list[JobValue]] = {}
    for point in sorted(points, key=lambda point: _rank(point.parameters.get(parameter))):
        groups.setdefault(number(point.parameters.get(parameter)), []).append(point)
    rows = []
    for value, group in groups.items():
        found = [point.value for point in group if point.value is not None]
        row: dict[str, Any] = {
            parameter: value, "jobs": len(group),
            "finished": sum(point.status is Status.FINISHED for point in group),
            "failed": sum(point.status is Status.ERROR for point in group),
        }  # fmt: skip
        if found:
            row |= {"min": min(found), "mean": statistics.fmean(found), "max": max(found)}
        rows.append(row)
    return Listing((parameter, "jobs", "finished", "failed", "min", "mean", "max"), rows)


def _rank(value: Any) -> tuple[bool, float, str]:
    is_number = isinstance(value, int | float)
    return (not is_number, float(value) if is_number else 0.0, number(value))


def points_of(catalogue: Catalogue, sweep: Sweep, metric: str) -> list[JobValue]:
    """Return every job of a sweep with this metric.

    Raises
    ------
    NotFoundError
        No job of the sweep has it.
    """
    points = catalogue.points(sweep.gid, metric)
    if all(point.value is None for point in points):
        known = [*catalogue.spreads(sweep.gid), "duration"]
        reasons = [one.reason for one in catalogue.lacking(sweep.gid) if one.name == metric]
        raise NotFoundError(
            f"{metric}: no finished job of sweep {sweep.name} has such a metric; "
            f"{reasons[0] if reasons else did_you_mean(metric, known) or '`tvb-batch stats` lists those it has'}"
        )
    return points


def default_metric(catalogue: Catalogue, sweep: UUID) -> str:
    """Return KuramotoIndex if available, else the first TVB metric, else the duration."""
    known = catalogue.spreads(sweep)
    wanted = ("KuramotoIndex", "GlobalVariance", *known)
    return next((name for name in wanted if name in known), "duration")


# --------------------------------------------------------------------------------------------------------- workers


def list_workers(catalogue: Catalogue, settings: Settings) -> tuple[Listing, str]:
    """Return worker processes and their jobs, and a remark if Redis does not answer."""
    lease = timedelta(seconds=settings.lease)
    rows = [_busy(row, settings) for row in catalogue.workers(lease)]
    remark = ""
    try:
        rows += [{"worker": name, "state": "connected"} for name in listening(make_app(settings))]
    except BrokerError:
        remark = "Redis does not answer at TVB_BATCH_BROKER_URL: idle workers are not listed."
    columns = ("worker", "state", "job", "sweep", "progress", "seconds", "heard", "finished", "failed")
    return Listing(columns, rows), remark


def _busy(row: WorkerRow, settings: Settings) -> Mapping[str, Any]:
    job = row.running[0] if row.running else None
    silent = row.heard is not None and datetime.now(UTC) - row.heard > timedelta(seconds=settings.lease / 2)
    state = ("silent" if silent else "running") if job else "idle"
    return {
        "worker": row.name, "state": state, "job": short(job.gid) if job else None,
        "sweep": job.sweep.name if job else None, "progress": job.progress if job else None,
        "seconds": (datetime.now(UTC) - job.started_at).total_seconds() if job and job.started_at else None,
        "heard": row.heard, "finished": row.finished, "failed": row.failed,
    }  # fmt: skip
