"""Views of running sweeps: in a terminal, in a notebook, or as plain lines."""

import html
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol, Self
from uuid import UUID

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tvb_batch.models.catalogue import Waiting
from tvb_batch.models.catalogue.status import Status
from tvb_batch.models.catalogue.tables import Job, Sweep
from tvb_batch.submit.present.formatting import (
    Counts,
    counts_text,
    duration,
    jobs_word,
    parameters_text,
    ran_for,
    short,
    waiting_line,
    without_breaks,
)

#: Maximum number of reasons for pending jobs in a terminal.
MOST_OBSTACLES = 3
#: Without a terminal, time between two lines. Seconds.
PLAIN_EVERY = 5.0


@dataclass(frozen=True)
class LiveState:
    """The state of sweeps at one moment."""

    sweeps: Sequence[tuple[Sweep, Counts]]
    #: Some of the running jobs, the oldest first.
    running: Sequence[Job]
    #: Progress of running jobs, by the sweep's gid.
    parts: Mapping[UUID, float]
    #: Jobs per second, ended and running ones together; None if unknown.
    rate: float | None = None
    #: Why jobs are pending again.
    waiting: Sequence[Waiting] = ()
    #: What the workers report as a problem; None if there is none.
    trouble: str | None = None
    #: Why the catalogue cannot be read, so that this is an earlier state; None if it can.
    unread: str | None = None

    @property
    def obstacles(self) -> list[str]:
        """Return why jobs do not continue, one line for each reason."""
        trouble = [f"workers report: {without_breaks(self.trouble)}"] if self.trouble else []
        unread = [f"progress unknown, trying again: {without_breaks(self.unread)}"] if self.unread else []
        return unread + [waiting_line(one) for one in self.waiting] + trouble

    @property
    def all(self) -> list[Sweep]:
        """The sweeps."""
        return [sweep for sweep, _ in self.sweeps]

    @property
    def counts(self) -> Counts:
        """The number of jobs of all sweeps together, by status."""
        return {status: sum(counts[status] for _, counts in self.sweeps) for status in Status}

    @property
    def left(self) -> int:
        """The number of jobs that have not ended."""
        return self.counts[Status.PENDING] + self.counts[Status.STARTED]

    @property
    def done(self) -> float:
        """The number of ended jobs, plus the progress of running ones."""
        return sum(self.counts.values()) - self.left + sum(self.parts.values())

    @property
    def seconds_left(self) -> float | None:
        """The remaining seconds at this rate; None if unknown."""
        return (sum(self.counts.values()) - self.done) / self.rate if self.rate else None

    def pace(self) -> str:
        """Return `3.4 jobs/s, 2.5 min left`; empty if unknown."""
        if not self.rate or self.seconds_left is None or not self.left:
            return ""
        rate = f"{self.rate:.1f} jobs/s" if self.rate >= 1 else f"{self.rate * 60:.1f} jobs/min"
        return f"{rate}, {duration(self.seconds_left)} left"


class View(AbstractContextManager["View"], Protocol):
    """Shows snapshots one after another, and failures when they happen."""

    def show(self, seen: LiveState) -> None:
        """Show the state in place of the previous one."""

    def fail(self, job: Job) -> None:
        """Show a job that has failed."""


def view_of(console: Console) -> View:
    """Return the view for this terminal, notebook or pipe."""
    if console.is_jupyter or "ipykernel" in sys.modules:
        return _Notebook()
    return _Terminal(console) if console.is_terminal else _Plain(console)


# ------------------------------------------------------------------------------------------------------ terminal


class _Terminal:
    """Bars and running jobs with their workers, redrawn in place; failures above."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, transient=True, auto_refresh=False)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._live.stop()

    def show(self, seen: LiveState) -> None:
        self._live.update(render(seen, self._console.width, self._console.height), refresh=True)

    def fail(self, job: Job) -> None:
        self._live.console.print(_failure(job), soft_wrap=True)


def render(seen: LiveState, width: int = 100, height: int = 40) -> RenderableType:
    """Return the content of the terminal, no higher and no wider than it."""
    bars = Table.grid(padding=(0, 2), expand=False)
    for sweep, counts in seen.sweeps[: max(1, height // 3)]:
        total = sum(counts.values())
        done = total - counts[Status.PENDING] - counts[Status.STARTED] + seen.parts[sweep.gid]
        ended = total - counts[Status.PENDING] - counts[Status.STARTED]
        bars.add_row(
            Text(sweep.name, style="bold", overflow="ellipsis", no_wrap=True),
            ProgressBar(total=max(total, 1), completed=done, width=max(10, min(40, width // 4))),
            Text(f"{ended:,}/{total:,}", no_wrap=True), coloured_note(counts),
        )  # fmt: skip
    parts: list[RenderableType] = [bars]
    if seen.running:
        running = Table.grid(padding=(0, 2), expand=False)
        room = max(1, height - len(seen.sweeps) - len(seen.obstacles[:MOST_OBSTACLES]) - 4)
        for job in seen.running[:room]:
            progress = f"{job.progress:4.0%}" if job.progress else "begins"
            running.add_row(
                Text(f"  {short(job.gid)}", style="cyan"),
                ProgressBar(total=1.0, completed=job.progress, width=max(5, min(15, width // 8))),
                Text(progress, no_wrap=True), Text(duration(ran_for(job) or 0.0), no_wrap=True),
                Text(parameters_text(job), no_wrap=True, overflow="ellipsis"),
                Text(job.worker or "", style="dim", no_wrap=True, overflow="ellipsis"),
            )  # fmt: skip
        more = seen.counts[Status.STARTED] - len(seen.running[:room])
        parts += [running, *([Text(f"  and {more:,} more", style="dim")] if more > 0 else [])]
    parts += [Text(line, "yellow", no_wrap=True, overflow="ellipsis") for line in seen.obstacles[:MOST_OBSTACLES]]
    parts.append(Text(seen.pace() or ("waiting for a worker" if not seen.running and seen.left else ""), style="dim"))
    return Group(*parts)


def coloured_note(counts: Counts) -> Text:
    """Return the counts of running, failed and canceled jobs, each in its colour."""
    styles = {Status.STARTED: "cyan", Status.ERROR: "red", Status.CANCELED: "yellow"}
    return Text("  ").join(
        Text(f"{counts[status]:,} {status.word}", style) for status, style in styles.items() if counts[status]
    )


def _failure(job: Job) -> Text:
    return Text.assemble(
        ("failed", "red"), f" {short(job.gid)} {parameters_text(job)}: {without_breaks(job.error or '')}"
    )


# ----------------------------------------------------------------------------------------------------- no terminal


class _Plain:
    """Prints a line after a change, but not too often."""

    def __init__(self, console: Console) -> None:
        self._console, self._next = console, 0.0
        self._lines: dict[UUID, str] = {}
        self._obstacles: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        pass

    def show(self, seen: LiveState) -> None:
        self._tell_obstacles(seen)
        if time.monotonic() < self._next and seen.left:
            return
        for sweep, counts in seen.sweeps:
            line = f"{sweep.name}: {counts_text(counts)}"
            if self._lines.get(sweep.gid) != line:
                self._lines[sweep.gid] = line
                pace = f" ({seen.pace()})" if seen.pace() else ""
                self._console.print(line + pace, markup=False, soft_wrap=True)
                self._next = time.monotonic() + PLAIN_EVERY

    def _tell_obstacles(self, seen: LiveState) -> None:
        """Print each reason once, and again after it was gone."""
        unread = [seen.unread] if seen.unread else []
        kinds = unread + [one.kind for one in seen.waiting] + [seen.trouble or ""]
        for kind, line in zip(kinds, seen.obstacles, strict=False):
            if kind not in self._obstacles:
                self._console.print(line, markup=False, soft_wrap=True)
        self._obstacles = set(kinds[: len(seen.obstacles)])

    def fail(self, job: Job) -> None:
        self._console.print(_failure(job), soft_wrap=True)


class _Notebook:
    """Replaces the output of one cell; needs no widgets, and the last state stays in the saved notebook."""

    def __init__(self) -> None:
        self._failures: list[str] = []
        self._handle: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        pass

    def show(self, seen: LiveState) -> None:
        from IPython.display import HTML, display

        page = HTML(as_html(seen) + "".join(self._failures))
        if self._handle is None:
            self._handle = display(page, display_id=True)
        else:
            self._handle.update(page)

    def fail(self, job: Job) -> None:
        self._failures.append(f"<div>✗ {html.escape(_failure(job).plain)}</div>")


def as_html(seen: LiveState) -> str:
    """Return the content of a notebook cell."""
    lines = []
    for sweep, counts in seen.sweeps:
        total = sum(counts.values())
        ended = total - counts[Status.PENDING] - counts[Status.STARTED]
        done = (ended + seen.parts[sweep.gid]) / max(total, 1)
        lines.append(
            f"<div><b>{html.escape(sweep.name)}</b> <progress value='{done:.4f}' max='1'></progress> "
            f"{jobs_word(total)}: {html.escape(counts_text(counts))} {html.escape(seen.pace())}</div>"
        )
    lines += [f"<div>{html.escape(line)}</div>" for line in seen.obstacles]
    return "".join(lines)
