"""Ends processes of the pool that are caught in a call which holds the interpreter: nothing in them can.

A thread of the worker's first process. It goes on while the worker stops, which waits for its pool.
"""

import os
import platform
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import structlog

from tvb_batch.models.catalogue import Catalogue, Claim, Held
from tvb_batch.models.catalogue.status import Status
from tvb_batch.models.errors import CatalogueError, LeaseLostError, TimeLimitError
from tvb_batch.models.settings import Settings
from tvb_batch.worker.job.heartbeat import ASK_EVERY, HARD_AFTER, overrun
from tvb_batch.worker.job.outputs import present, remove
from tvb_batch.worker.signs_of_life import SIGNS

log = structlog.get_logger()

#: How often it looks. Seconds.
LOOK_EVERY = 1.0


class Warden:
    """Looks after the pool, from `start` until the process ends.

    Parameters
    ----------
    is_stopping : whether the worker was told to stop
    """

    def __init__(self, settings: Settings, is_stopping: Callable[[], bool]) -> None:
        self._settings, self._is_stopping = settings, is_stopping
        #: The last sign of each process, and how many seconds it is old: by looks, for a host may sleep.
        self._silent: dict[int, tuple[int, float]] = {}

    def start(self) -> None:
        """Look from now on."""
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            time.sleep(LOOK_EVERY)
            self.look()

    def look(self) -> None:
        """End what has been silent for long, and is to end."""
        former, self._silent = self._silent, {}
        for process, count in SIGNS.read():
            last, seconds = former.get(process, (None, 0.0))
            seconds = seconds + LOOK_EVERY if count == last else 0.0
            self._silent[process] = (count, seconds)
            if seconds >= HARD_AFTER and (self._is_stopping() or seconds % ASK_EVERY < LOOK_EVERY):
                self._judge(process, seconds)

    def _judge(self, process: int, silent: float) -> None:
        """End a silent process when the worker stops, when its job is canceled, over its time, or no longer its own.

        Parameters
        ----------
        silent : since when, seconds; its job runs for so long at least
        """
        catalogue: Catalogue | None = None
        try:
            catalogue = Catalogue.open(self._settings.database)
            held = catalogue.held(f"{platform.node()}:{process}")
            over = self._overrun(held, silent)
            if held is not None and over is None and not (self._is_stopping() or held.is_canceled):
                return
            if _end(process) and held is not None:
                self._settle(catalogue, held.claim, over)
        except CatalogueError as exc:
            log.warning("stuck_process_unknown", reason=str(exc))
            if self._is_stopping():
                _end(process)
        finally:
            if catalogue is not None:
                catalogue.dispose()

    def _overrun(self, held: Held | None, silent: float) -> TimeLimitError | None:
        """Why a job's time is over; None while it is not, and for a job that is canceled, or to be given back."""
        if held is None or held.is_canceled or self._is_stopping():
            return None
        # Not the spec itself: it may need the operator's modules, which this process does not import.
        limit = held.claim.shared.base.get("time_limit") or self._settings.time_limit
        return overrun(silent, held.progress, limit) if limit and silent >= limit + HARD_AFTER else None

    def _settle(self, catalogue: Catalogue, claim: Claim, over: TimeLimitError | None) -> None:
        """ERROR when its time is over; otherwise the job is given back, as if it had never started, or CANCELED."""
        there = present(self._settings.storage.job_directory(claim.sweep, claim.gid))
        try:
            if over is None:
                status = catalogue.release(claim)
            else:
                status = catalogue.fail(claim, type(over).__name__, str(over), retryable=False, max_attempts=1)
        except LeaseLostError:
            # It came to its end in the last moment.
            return
        if status != Status.PENDING:
            remove(there)
        log.warning("stuck_job_ended", gid=str(claim.gid), status=str(status))


def _end(process: int) -> bool:
    """Kill a process of ours; gives whether it was one."""
    with suppress(ChildProcessError, ProcessLookupError):
        # Its number may be another's by now.
        os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        os.kill(process, signal.SIGKILL)
        log.warning("stuck_process_ended", process=process)
        return True
    return False
