"""Extends the lease of a running job, receives its cancellation, and enforces its time limit."""

import os
import threading
import time
from collections.abc import Callable
from datetime import timedelta

import structlog

from tvb_batch.models.catalogue import Catalogue, Claim
from tvb_batch.models.errors import CanceledError, CatalogueError, LeaseLostError, TimeLimitError, TvbBatchError
from tvb_batch.worker.signs_of_life import SIGNS

log = structlog.get_logger()

#: Minimum time between two heartbeats of a job. Seconds.
HEARTBEAT_EVERY = 1.0
#: Heartbeats during a short lease: some may be lost before it expires.
HEARTBEATS_OF_A_LEASE = 15

#: A job that is to end, and does not come to the end of a chunk for so long, is ended with its process. Seconds. A
#: chunk takes about one; Slurm, Kubernetes and `tvb-batch run` kill a worker 30 s after they have told it to stop.
HARD_AFTER = 20.0
#: Time between two checks of the row while a chunk runs. Seconds.
ASK_EVERY = 5.0


class StoppedError(TvbBatchError):
    """The worker was told to stop. The job returns to PENDING, and the attempt is not counted."""


def overrun(seconds: float, progress: float, limit: float) -> TimeLimitError:
    """Return the error for a job over its time limit."""
    return TimeLimitError(
        f"time_limit: not finished after {seconds:.0f} s ({progress:.0%}); expected at most {limit:g} s; "
        "give it more time, or make it shorter"
    )


class Heartbeat:
    """Report one job to the catalogue, from its claim to its end.

    Call `check` between two chunks; it raises if the job must end. If a chunk takes long, for example while a large
    file is checked, a thread of the process extends the lease.

    Parameters
    ----------
    limit : maximum wall time, seconds; None for no limit
    should_stop : returns True if the worker must stop
    on_stuck : called by the thread with the reason if the job must end but no chunk ends; it ends the process
    """

    def __init__(
        self, catalogue: Catalogue, claim: Claim, lease: float, limit: float | None,
        should_stop: Callable[[], bool], on_stuck: Callable[[TvbBatchError], None] | None = None,
    ) -> None:  # fmt: skip
        self._catalogue, self._claim, self._lease, self._limit = catalogue, claim, lease, limit
        self._should_stop, self._on_stuck = should_stop, on_stuck
        self._start = self._last = self._checked = time.monotonic()
        #: Why the job must end, and since when that is known.
        self._wanted: tuple[TvbBatchError, float] | None = None
        #: Wall time of the earlier attempts that this one continues. Seconds.
        self.before = 0.0
        self._progress = 0.0

    def __enter__(self) -> "Heartbeat":
        _WATCH.begin(self, min(1.0, self._lease / 6))
        return self

    def __exit__(self, *exc: object) -> None:
        _WATCH.end(self)

    def seconds(self) -> float:
        """Return the wall time of the job in seconds, including the earlier attempts that it continues."""
        return self.before + time.monotonic() - self._start

    def check(self, progress: float | None = None) -> None:
        """Report the progress; raise if the job must end.

        Parameters
        ----------
        progress : 0 to 1; None if it has not changed

        Raises
        ------
        StoppedError, CanceledError, LeaseLostError, TimeLimitError
        """
        self._progress = self._progress if progress is None else progress
        self._checked = time.monotonic()
        if self._should_stop():
            raise StoppedError("the worker was told to stop")
        if self._limit is not None and self.seconds() > self._limit:
            raise self._overrun()
        if time.monotonic() - self._last >= min(HEARTBEAT_EVERY, self._lease / HEARTBEATS_OF_A_LEASE):
            self.send()

    def send(self) -> bool:
        """Extend the lease now; return False if the catalogue does not answer.

        Raises
        ------
        CanceledError, LeaseLostError
        """
        self._last = time.monotonic()
        try:
            canceled = self._catalogue.heartbeat(self._claim, self._progress, timedelta(seconds=self._lease))
        except CatalogueError as exc:
            # The database may answer again before the lease expires. If another worker takes the job, its token
            # differs.
            log.warning("heartbeat_failed", reason=str(exc))
            return False
        if canceled:
            raise CanceledError("canceled while running")
        return True

    def is_ours(self) -> bool:
        """Extend the lease; return whether this worker certainly still has the job."""
        try:
            self._catalogue.heartbeat(self._claim, self._progress, timedelta(seconds=self._lease))
        except (LeaseLostError, CatalogueError):
            return False
        return True

    def _overrun(self) -> TimeLimitError:
        assert self._limit is not None
        return overrun(self.seconds(), self._progress, self._limit)

    def poll(self) -> None:
        """Extend the lease and call `on_stuck` if needed. The thread calls this while a chunk runs."""
        wanted = self._why_to_end()
        if wanted is None or self._on_stuck is None:
            return
        why, since = wanted
        if time.monotonic() - max(since, self._checked) > HARD_AFTER:
            self._on_stuck(why)

    def _why_to_end(self) -> tuple[TvbBatchError, float] | None:
        """Return why the job must end and since when that is known, or None; extend the lease if it is time."""
        why: TvbBatchError | None = None
        if self._limit is not None and self.seconds() > self._limit:
            why = self._overrun()
        if self._should_stop():
            why = StoppedError("the worker was told to stop")
        if time.monotonic() - self._last > min(self._lease / 3, ASK_EVERY):
            try:
                self.send()
            except (LeaseLostError, CanceledError) as exc:
                why = exc
        if why is not None and self._wanted is None:
            self._wanted = (why, time.monotonic())
        return self._wanted


class _Watch:
    """The one thread that polls the jobs of this process. A thread for each job would cost more than the heartbeats."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Reset to the state without jobs and thread, as after a fork."""
        self._heartbeats: set[Heartbeat] = set()
        self._thread: threading.Thread | None = None
        self._every = 1.0
        self._lock, self._is_sooner = threading.Lock(), threading.Event()

    def begin(self, heartbeat: Heartbeat, every: float) -> None:
        """Poll this heartbeat, at least every `every` seconds."""
        SIGNS.begin()
        with self._lock:
            self._heartbeats.add(heartbeat)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, daemon=True)
                self._thread.start()
        if every < self._every:
            self._every = every
            self._is_sooner.set()

    def end(self, heartbeat: Heartbeat) -> None:
        """Stop polling this heartbeat."""
        with self._lock:
            self._heartbeats.discard(heartbeat)
            if not self._heartbeats:
                SIGNS.end()

    def _run(self) -> None:
        while True:
            self._is_sooner.wait(self._every)
            self._is_sooner.clear()
            SIGNS.give()
            with self._lock:
                for heartbeat in self._heartbeats:
                    heartbeat.poll()


_WATCH = _Watch()
# A forked process has neither the thread nor the jobs, and a locked lock would stay locked.
os.register_at_fork(after_in_child=_WATCH.forget)
