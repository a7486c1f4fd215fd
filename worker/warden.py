"""Ends processes of the pool that are stuck in a call which holds the interpreter. They cannot end themselves.

It is a thread of the worker's first process. It keeps running while the worker stops, because the worker waits for its
pool.
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

#: Time between two looks. Seconds.
LOOK_EVERY = 1.0


class Warden:
    """Watches the pool, from `start` until the process ends.

    Parameters
    ----------
    is_stopping : returns whether the worker was told to stop
    """

    def __init__(self, settings: Settings, is_stopping: Callable[[], bool]) -> None:
        self._settings, self._is_stopping = settings, is_stopping
        #: The last counter of each process and its age in seconds, counted by looks because a host may be suspended.
        self._silent: dict[int, tuple[int, float]] = {}

    def start(self) -> None:
        """Start the thread."""
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            time.sleep(LOOK_EVERY)
            self.look()

    def look(self) -> None:
        """End each process that has given no sign of life for `HARD_AFTER` seconds and whose job must end."""
        former, self._silent = self._silent, {}
        for process, count in SIGNS.read():
            last, seconds = former.get(process, (None, 0.0))
            seconds = seconds + LOOK_EVERY if count == last else 0.0
            self._silent[process] = (count, seconds)
            if seconds >= HARD_AFTER and (self._is_stopping() or seconds % ASK_EVERY < LOOK_EVERY):
                self._judge(process, seconds)

    def _judge(self, process: int, silent: float) -> None:
        """End a silent process if the worker stops, or if its job is canceled, over its time limit or lost.

        Parameters
        ----------
        silent : seconds since the last sign of life; the job has run at least this long
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
        """Return the error of a job over its time limit; None within it, and for a job that is canceled or returned."""
        if held is None or held.is_canceled or self._is_stopping():
            return None
        # Do not make the spec: it may need the user's modules, which this process does not import.
        limit = held.claim.shared.base.get("time_limit") or self._settings.time_limit
        return overrun(silent, held.progress, limit) if limit and silent >= limit + HARD_AFTER else None

    def _settle(self, catalogue: Catalogue, claim: Claim, over: TimeLimitError | None) -> None:
        """Set the job of an ended process to ERROR if it is over its time limit, otherwise to PENDING or CANCELED."""
        there = present(self._settings.storage.job_directory(claim.sweep, claim.gid))
        try:
            if over is None:
                status = catalogue.release(claim)
            else:
                status = catalogue.fail(claim, type(over).__name__, str(over), retryable=False, max_attempts=1)
        except LeaseLostError:
            # The job ended in the last moment.
            return
        if status != Status.PENDING:
            remove(there)
        log.warning("stuck_job_ended", gid=str(claim.gid), status=str(status))


def _end(process: int) -> bool:
    """Kill a process of this worker; return False if it was not one."""
    with suppress(ChildProcessError, ProcessLookupError):
        # Check that the process id still belongs to a child of this process.
        os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        os.kill(process, signal.SIGKILL)
        log.warning("stuck_process_ended", process=process)
        return True
    return False
