"""Formats values, counts and times for users."""

from collections.abc import Mapping
from datetime import UTC, datetime
from uuid import UUID

from tvb_batch.models.catalogue import Waiting
from tvb_batch.models.catalogue.status import Status
from tvb_batch.models.catalogue.tables import Job
from tvb_batch.models.spec.labels import label

Counts = Mapping[Status, int]

COLOURS = {Status.FINISHED: "green", Status.ERROR: "red", Status.STARTED: "cyan", Status.CANCELED: "yellow"}


def short(gid: UUID) -> str:
    """Return the first 8 characters of a gid, as users type it."""
    return gid.hex[:8]


def jobs_word(count: int) -> str:
    """Return `1 job`, `2 jobs`."""
    return f"{count:,} job" + ("" if count == 1 else "s")


def results_word(count: int) -> str:
    """Return `1 result`, `2 results`."""
    return f"{count:,} result" + ("" if count == 1 else "s")


def duration(seconds: float) -> str:
    """Return `12.3 s`, `4.0 min`, `2.5 h`."""
    for unit, length in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.1f} s"


def size(count: float) -> str:
    """Return `1.4 MB`."""
    for unit, length in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= length:
            return f"{count / length:.1f} {unit}"
    return f"{count:.0f} bytes"


def counts_text(counts: Counts) -> str:
    """Return `3 finished, 1 running`: the counts above zero."""
    order = (Status.FINISHED, Status.STARTED, Status.PENDING, Status.ERROR, Status.CANCELED)
    return ", ".join(f"{counts[status]:,} {status.word}" for status in order if counts.get(status))


def waiting_line(waiting: Waiting) -> str:
    """Return `2 jobs pending again for 43.0 s: data directory ...: No space left on device`."""
    left = 0.0 if waiting.not_before is None else (waiting.not_before - datetime.now(UTC)).total_seconds()
    when = f" for {duration(left)}" if left > 0 else ""
    return f"{jobs_word(waiting.jobs)} pending again{when}: {without_breaks(waiting.error)}"


def without_breaks(text: str) -> str:
    """Return the text without line breaks."""
    return " ".join(text.split())


def ran_for(job: Job) -> float | None:
    """Return the running time of a job in seconds; None if it has not started."""
    if job.started_at is None:
        return None
    return ((job.finished_at or datetime.now(UTC)) - job.started_at).total_seconds()


def local_time(value: datetime | None) -> str:
    """Return the time in the user's time zone; empty for None."""
    return "" if value is None else value.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def parameters_text(job: Job) -> str:
    """Return the swept parameters: `coupling.a=0.2 model.mu=0.1`."""
    return " ".join(f"{name}={number(value)}" for name, value in job.parameters.items())


def number(value: object) -> str:
    """Return a short text for the value of a parameter."""
    return label(value)


def short_metrics(metrics: Mapping[str, float]) -> dict[str, float]:
    """Return the metrics without the long names of the first monitor, which also have short names."""
    return {name: value for name, value in metrics.items() if not name.startswith("monitors[0].")}
