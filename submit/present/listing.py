"""Lists as tables for users, and as JSON or CSV for programs."""

import csv
import io
import json
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tvb_batch.models.catalogue import Catalogue, SweepSummary, Waiting
from tvb_batch.models.catalogue.filter_language import FIELDS
from tvb_batch.models.catalogue.status import Status
from tvb_batch.models.catalogue.tables import Job
from tvb_batch.submit.present.formatting import (
    COLOURS,
    counts_text,
    local_time,
    number,
    parameters_text,
    ran_for,
    short,
    short_metrics,
    waiting_line,
    without_breaks,
)
from tvb_batch.submit.present.remarks import count_lacking, lacking_lines
from tvb_batch.submit.present.serialize import job_as_dict, sweep_as_dict

Form = Literal["table", "json", "csv"]

#: Default columns of a list of jobs.
JOB_COLUMNS = ("gid", "sweep", "status", "progress", "duration", "parameters")


@dataclass(frozen=True)
class Listing:
    """Rows of named values."""

    columns: Sequence[str]
    rows: Sequence[Mapping[str, Any]]

    def print(self, form: Form) -> None:
        """Print to standard output."""
        if form == "json":
            print(json.dumps([dict(row) for row in self.rows], indent=2, default=_plain))
        elif form == "csv":
            print(self.as_csv(), end="")
        else:
            Console(highlight=False).print(self.as_table())

    def as_csv(self) -> str:
        """Return CSV with a heading; objects as JSON."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self.columns)
        for row in self.rows:
            values = (row.get(column) for column in self.columns)
            writer.writerow(json.dumps(v, default=_plain) if isinstance(v, dict | list) else _plain(v) for v in values)
        return text.getvalue()

    def as_table(self) -> Table:
        """Return a table for a terminal, numbers to the right."""
        table = Table(box=None, pad_edge=False, header_style="bold")
        for column in self.columns:
            is_number = any(isinstance(row.get(column), int | float) for row in self.rows)
            table.add_column(Text(_heading(column)), justify="right" if is_number else "left", overflow="fold")
        for row in self.rows:
            table.add_row(*(_cell(column, row.get(column)) for column in self.columns))
        return table


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds")
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _heading(column: str) -> str:
    return {"gid": "job", "duration": "seconds"}.get(column, column)


def _cell(column: str, value: Any) -> Text:
    if value is None:
        return Text("")
    if isinstance(value, Status):
        return Text(value.word, COLOURS.get(value, ""))
    if column == "progress" and isinstance(value, float):
        return Text(f"{value:.0%}")
    if column in ("duration", "seconds") and isinstance(value, float):
        return Text(f"{value:.1f}")
    if column == "gid":
        return Text(str(value)[:8])
    if isinstance(value, datetime):
        return Text(local_time(value))
    if isinstance(value, bool):
        return Text("yes" if value else "no")
    return Text(f"{value:,}" if isinstance(value, int) and abs(value) < 10**9 else without_breaks(number(value)))


# ------------------------------------------------------------------------------------------------------------ jobs


def list_jobs(catalogue: Catalogue, jobs: Sequence[Job], columns: Sequence[str], form: Form) -> Listing:
    """Return jobs with the chosen columns: fields, parameters, metrics.

    Parameters
    ----------
    columns : empty for the default: a few in a table, all in JSON and CSV
    """
    gids = [job.gid for job in jobs]
    if columns:
        values, metrics = catalogue.parameters(jobs, columns), catalogue.metrics(gids)
        diverged = _is_nan(catalogue, jobs) if "is_nan" in columns else ()
        return Listing(
            columns,
            [
                {name: value_of(job, name, values[job.gid] | metrics[job.gid], diverged) for name in columns}
                for job in jobs
            ],
        )
    if form == "json":
        metrics, missing = catalogue.metrics(gids), catalogue.missing_metrics(gids)
        measured = [{"metrics": metrics[gid], "missing_metrics": missing[gid]} for gid in gids]
        return Listing((), [{**job_as_dict(job), **one} for job, one in zip(jobs, measured, strict=True)])
    if form == "csv":
        short = {gid: short_metrics(found) for gid, found in catalogue.metrics(gids).items()}
        return _everything(jobs, short, catalogue.missing_metrics(gids))
    return Listing(JOB_COLUMNS, [{name: value_of(job, name, {}) for name in JOB_COLUMNS} for job in jobs])


def waiting_lines(jobs: Sequence[Job]) -> list[str]:
    """Return one line for each class of error after which some of these jobs are pending again."""
    found: dict[str | None, list[Job]] = {}
    for job in jobs:
        if job.status is Status.PENDING and job.error:
            found.setdefault(job.error_type, []).append(job)
    lines = []
    for kind, alike in found.items():
        due = min((job.not_before for job in alike if job.not_before is not None), default=None)
        lines.append(waiting_line(Waiting(kind or "", len(alike), alike[0].error or "", due)))
    return lines


def missing_lines(catalogue: Catalogue, jobs: Sequence[Job], names: Sequence[str]) -> list[str]:
    """Return one line for each reason why some of these jobs lack metrics of these names."""
    missing = catalogue.missing_metrics([job.gid for job in jobs])
    return lacking_lines(count_lacking(missing.values(), names))


def _everything(
    jobs: Sequence[Job], metrics: Mapping[UUID, Mapping[str, float]], missing: Mapping[UUID, Mapping[str, str]]
) -> Listing:
    fields = ("gid", "sweep", "number", "repeat", "seed", "status", "attempt", "duration", "engine", "error")
    swept = list(dict.fromkeys(name for job in jobs for name in job.parameters if name not in fields))
    measured = sorted({name for found in metrics.values() for name in found})
    reasons = ["missing_metrics"] if any(missing.values()) else []
    columns = (*fields, *swept, *measured, *reasons)
    values = {
        job.gid: {**job_as_dict(job)["parameters"], **metrics[job.gid], "missing_metrics": missing[job.gid]}
        for job in jobs
    }
    rows = [{name: value_of(job, name, values[job.gid]) for name in columns} for job in jobs]
    return Listing(columns, rows)


def _is_nan(catalogue: Catalogue, jobs: Sequence[Job]) -> set[int]:
    sources = {output.job_id for output in catalogue.outputs([job.gid for job in jobs]) if output.is_nan}
    return {job.id for job in jobs if (job.source_id or job.id) in sources}


def value_of(job: Job, name: str, values: Mapping[str, Any], diverged: Container[int] = ()) -> Any:
    """Return the value of a job under a name: a field, or one of the values; None without a value.

    Parameters
    ----------
    values : its parameters and metrics
    diverged : the `id` of jobs with NaN
    """
    match name:
        case "gid":
            return str(job.gid)
        case "sweep":
            return job.sweep.name
        case "duration":
            return ran_for(job)
        case "is_nan":
            return job.id in diverged
        case "created" | "started" | "finished":
            return getattr(job, f"{name}_at")
        case "parameters":
            return parameters_text(job)
        case _ if name in FIELDS:
            return getattr(job, name)
    return values.get(name)


# ---------------------------------------------------------------------------------------------------------- sweeps


def list_sweeps(summaries: Sequence[SweepSummary], form: Form) -> Listing:
    """Return sweeps with their progress."""
    if form == "json":
        return Listing((), [sweep_as_dict(summary) for summary in summaries])
    rows = []
    for summary in summaries:
        counts = dict.fromkeys(Status, 0) | dict(summary.counts)
        row: dict[str, Any] = {
            "sweep": str(summary.sweep.gid), "name": summary.sweep.name, "created": summary.sweep.created_at,
            "jobs": summary.sweep.size,
        }  # fmt: skip
        if form == "csv":
            rows.append(row | {str(status): count for status, count in counts.items()})
        else:
            rows.append({**row, "sweep": short(summary.sweep.gid), "status": counts_text(counts)})
    last = [str(status) for status in Status] if form == "csv" else ["status"]
    return Listing(("sweep", "name", "created", "jobs", *last), rows)
