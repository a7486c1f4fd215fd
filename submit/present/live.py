"""The live view of running sweeps.

It only reads the catalogue, so a view can be stopped and started again, on any machine.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

from rich.console import Console

from tvb_batch.models.catalogue import Catalogue
from tvb_batch.models.catalogue.status import Status
from tvb_batch.models.catalogue.tables import Job, Sweep
from tvb_batch.models.errors import CatalogueError
from tvb_batch.submit.present.formatting import Counts
from tvb_batch.submit.present.live_views import LiveState, View, view_of

#: How often the live view reads the catalogue. Seconds.
TICK = 0.5
#: Maximum part of the time that is spent on reading.
SHARE = 0.2
#: The rate is measured over this time. Seconds.
PACE = 60.0
#: Maximum number of running jobs and of failures to show.
MOST_RUNNING, MOST_FAILED = 10, 20


@dataclass
class _Pace:
    """The rate at which jobs end, from recent observations."""

    seen: deque[tuple[float, float]] = field(default_factory=deque)

    def rate(self, moment: float, done: float) -> float | None:
        self.seen.append((moment, done))
        while moment - self.seen[0][0] > PACE:
            self.seen.popleft()
        seconds, jobs = moment - self.seen[0][0], done - self.seen[0][1]
        return jobs / seconds if seconds > 2 * TICK and jobs > 0 else None


def watch(catalogue: Catalogue, sweep: Sweep | None, *, on_tick: Callable[[], str | None] = lambda: None) -> Counts:
    """Call `follow`; return the number of jobs by status."""
    return follow(catalogue, sweep, on_tick=on_tick).counts


def follow(catalogue: Catalogue, sweep: Sweep | None, *, on_tick: Callable[[], str | None] = lambda: None) -> LiveState:
    """Show progress until every job has ended or belongs to a paused sweep; return the last snapshot.

    If the database does not answer for a while, wait for it as workers do, and show the reason.

    Parameters
    ----------
    sweep : None watches all pending and running jobs, and those submitted meanwhile
    on_tick : called at every update; returns what the workers report as a problem; an exception ends the watch
    """
    console = Console(stderr=True, highlight=False)
    eyes = _Eyes(catalogue, sweep)
    seen = LiveState([], [], {})
    with view_of(console) as view:
        while True:
            begin, trouble = time.monotonic(), seen.trouble
            try:
                seen, is_over = eyes.look(view, trouble)
            except CatalogueError as exc:
                if not exc.retryable:
                    raise
                seen, is_over = replace(seen, trouble=trouble, unread=str(exc)), False
                view.show(seen)
            if is_over:
                return seen
            seen = replace(seen, trouble=on_tick())
            time.sleep(max(TICK, (time.monotonic() - begin) / SHARE))


class _Eyes:
    """What is followed, and which failures were shown."""

    def __init__(self, catalogue: Catalogue, sweep: Sweep | None) -> None:
        self._catalogue, self._is_open = catalogue, sweep is None
        self._followed: dict[UUID, Sweep] = {sweep.gid: sweep} if sweep else {}
        self._told: set[UUID] = set()
        self._pace = _Pace()

    def look(self, view: View, trouble: str | None) -> tuple[LiveState, bool]:
        """Show the state of the sweeps; return it, and whether all jobs have ended."""
        if self._is_open:
            found = self._catalogue.sweeps(unfinished=True)
            self._followed |= {one.sweep.gid: one.sweep for one in found}
        seen = replace(_look(self._catalogue, list(self._followed.values()), self._pace), trouble=trouble)
        _tell_failures(self._catalogue, seen, self._told, view)
        view.show(seen)
        paused = self._catalogue.paused(list(self._followed))
        asleep = sum(counts[Status.PENDING] for one, counts in seen.sweeps if one.gid in paused)
        return seen, seen.left <= asleep


def _look(catalogue: Catalogue, sweeps: Sequence[Sweep], pace: _Pace) -> LiveState:
    states = [(sweep, dict.fromkeys(Status, 0) | dict(catalogue.counts(sweep.gid))) for sweep in sweeps]
    running: list[Job] = []
    parts = {}
    for sweep, counts in states:
        found = []
        if counts[Status.STARTED]:
            found = catalogue.jobs(sweep=sweep.gid, status=Status.STARTED, sort="started", limit=1000)
        parts[sweep.gid] = sum(job.progress for job in found)
        running += found[:MOST_RUNNING]
    waiting = catalogue.waiting_again([sweep.gid for sweep in sweeps])
    seen = LiveState(states, running[:MOST_RUNNING], parts, waiting=waiting)
    return replace(seen, rate=pace.rate(time.monotonic(), seen.done))


def _tell_failures(catalogue: Catalogue, seen: LiveState, told: set[UUID], view: View) -> None:
    failed = seen.counts[Status.ERROR]
    if failed <= len(told) or len(told) >= MOST_FAILED:
        return
    for sweep, counts in seen.sweeps:
        if counts[Status.ERROR]:
            for job in catalogue.jobs(sweep=sweep.gid, status=Status.ERROR, sort="-finished", limit=MOST_FAILED):
                if job.gid not in told and len(told) < MOST_FAILED:
                    view.fail(job)
                    told.add(job.gid)
