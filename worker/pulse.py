"""Tells the catalogue that a job lives, and hears what it has to say; keeps time limits. Called by `worker.run`."""

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

import structlog

from models.catalogue import Catalogue, Claim
from models.errors import CanceledError, CatalogueError, LeaseLostError, TimeLimitError, TvbBatchError

log = structlog.get_logger()

#: Rows are written no more often than this while a job runs. Seconds.
HEARTBEAT_EVERY = 1.0
#: More often where the lease is short: some words may be lost on their way before it runs out.
HEARTBEATS_OF_A_LEASE = 15

#: How long after its time limit a job that does not come to the end of a chunk is ended with its process. Seconds.
HARD_AFTER = 60.0


class StoppedError(TvbBatchError):
    """This worker was told to stop; the job goes back to PENDING and nothing is held against it."""


class Pulse:
    """The pulse of one job, from its claim to its last word.

    `beat` is called between two chunks, and raises what ends the job. Where no chunk ends for long, as while a large
    file is checked, a thread of the process extends the lease.

    Parameters
    ----------
    limit : most seconds of wall time, None for any
    should_stop : True gives the job up
    on_overrun : called by the thread when the limit is long over and no chunk has ended; ends the process
    """

    def __init__(
        self, catalogue: Catalogue, claim: Claim, lease: float, limit: float | None,
        should_stop: Callable[[], bool], on_overrun: Callable[[TimeLimitError], None] | None = None,
    ) -> None:  # fmt: skip
        self._catalogue, self._claim, self._lease, self._limit = catalogue, claim, lease, limit
        self._should_stop, self._on_overrun = should_stop, on_overrun
        self._start = self._last = time.monotonic()
        #: Wall time of earlier attempts that this one goes on from. Seconds.
        self.before = 0.0
        self._progress = 0.0

    def __enter__(self) -> "Pulse":
        _WATCH.begin(self, min(1.0, self._lease / 6))
        return self

    def __exit__(self, *exc: object) -> None:
        _WATCH.end(self)

    def seconds(self) -> float:
        """Wall time of the job so far, with the earlier attempts that it goes on from."""
        return self.before + time.monotonic() - self._start

    def beat(self, progress: float | None = None) -> None:
        """Go on, or raise why not.

        Raises
        ------
        StoppedError, CanceledError, LeaseLostError, TimeLimitError
        """
        self._progress = self._progress if progress is None else progress
        if self._should_stop():
            raise StoppedError("the worker was told to stop")
        if self._limit is not None and self.seconds() > self._limit:
            raise self._overrun()
        if time.monotonic() - self._last >= min(HEARTBEAT_EVERY, self._lease / HEARTBEATS_OF_A_LEASE):
            self.say()

    def say(self) -> None:
        """Tell the catalogue now.

        Raises
        ------
        CanceledError, LeaseLostError
        """
        self._last = time.monotonic()
        try:
            canceled = self._catalogue.heartbeat(self._claim, self._progress, timedelta(seconds=self._lease))
        except CatalogueError as exc:
            # The database may be back before the lease is over; whoever takes the job meanwhile is told apart by it.
            log.warning("heartbeat_failed", reason=str(exc))
            return
        if canceled:
            raise CanceledError("canceled while it ran")

    def is_ours(self) -> bool:
        """Whether the job is still this worker's, as far as anybody can tell."""
        try:
            self._catalogue.heartbeat(self._claim, self._progress, timedelta(seconds=self._lease))
        except (LeaseLostError, CatalogueError):
            return False
        return True

    def _overrun(self) -> TimeLimitError:
        return TimeLimitError(
            f"time_limit: not done after {self.seconds():.0f} s ({self._progress:.0%}); expected at most "
            f"{self._limit:g} s; give it more time, or make it shorter"
        )

    def look(self) -> None:
        """What is to be done while no chunk ends; called by the thread."""
        if time.monotonic() - self._last > self._lease / 3:
            self._extend()
        if self._limit is not None and self._on_overrun and self.seconds() > self._limit + HARD_AFTER:
            self._on_overrun(self._overrun())

    def _extend(self) -> None:
        """What is to be heard is heard by the next `beat`."""
        with suppress(LeaseLostError, CanceledError):
            self.say()


class _Watch:
    """The thread that looks after this process' jobs; to start one for each takes longer than all else of a pulse."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Know of no job and no thread."""
        self._pulses: set[Pulse] = set()
        self._thread: threading.Thread | None = None
        self._every = 1.0
        self._lock, self._is_sooner = threading.Lock(), threading.Event()

    def begin(self, pulse: Pulse, every: float) -> None:
        """Look after it, at least every so many seconds."""
        with self._lock:
            self._pulses.add(pulse)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, daemon=True)
                self._thread.start()
        if every < self._every:
            self._every = every
            self._is_sooner.set()

    def end(self, pulse: Pulse) -> None:
        """Do nothing for it after this."""
        with self._lock:
            self._pulses.discard(pulse)

    def _run(self) -> None:
        while True:
            self._is_sooner.wait(self._every)
            self._is_sooner.clear()
            with self._lock:
                for pulse in self._pulses:
                    pulse.look()


_WATCH = _Watch()
# A forked process has neither the thread nor the jobs, and nobody who would open the lock.
os.register_at_fork(after_in_child=_WATCH.forget)
