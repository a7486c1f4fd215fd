"""Values, counts and times in the words that a person reads. Called by everything that shows something."""

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
    """As much of a gid as a person types."""
    return gid.hex[:8]


def jobs_word(count: int) -> str:
    """`1 job`, `2 jobs`."""
    return f"{count:,} job" + ("" if count == 1 else "s")


def results_word(count: int) -> str:
    """`1 result`, `2 results`."""
    return f"{count:,} result" + ("" if count == 1 else "s")


def duration(seconds: float) -> str:
    """`12.3 s`, `4.0 min`, `2.5 h`."""
    for unit, length in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.1f} s"


def size(count: float) -> str:
    """`1.4 MB`."""
    for unit, length in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= length:
            return f"{count / length:.1f} {unit}"
    return f"{count:.0f} bytes"


def note(counts: Counts) -> str:
    """`3 finished, 1 running`: the states that there are."""
    order = (Status.FINISHED, Status.STARTED, Status.PENDING, Status.ERROR, Status.CANCELED)
    return ", ".join(f"{counts[status]:,} {status.word}" for status in order if counts.get(status))


def waiting_line(waiting: Waiting) -> str:
    """`2 jobs wait for 43.0 s more: data directory ...: No space left on device`."""
    verb = "waits" if waiting.jobs == 1 else "wait"
    left = 0.0 if waiting.not_before is None else (waiting.not_before - datetime.now(UTC)).total_seconds()
    until = f" for {duration(left)} more" if left > 0 else " again"
    return f"{jobs_word(waiting.jobs)} {verb}{until}: {without_breaks(waiting.error)}"


def without_breaks(text: str) -> str:
    """The text without its line breaks."""
    return " ".join(text.split())


def ran_for(job: Job) -> float | None:
    """Seconds that a job ran, or has been running; None when it did not."""
    if job.started_at is None:
        return None
    return ((job.finished_at or datetime.now(UTC)) - job.started_at).total_seconds()


def local_time(value: datetime | None) -> str:
    """In the reader's own time zone; empty for none."""
    return "" if value is None else value.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def parameters(job: Job) -> str:
    """What was swept: `coupling.a=0.2 model.mu=0.1`."""
    return " ".join(f"{name}={number(value)}" for name, value in job.parameters.items())


def number(value: object) -> str:
    """A parameter's value in few letters."""
    return label(value)


def short_metrics(metrics: Mapping[str, float]) -> dict[str, float]:
    """Without the first monitor's long names: each of them is there by its short name too."""
    return {name: value for name, value in metrics.items() if not name.startswith("monitors[0].")}
