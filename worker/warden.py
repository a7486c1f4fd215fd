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

from models.catalogue import Catalogue, Claim
from models.errors import CatalogueError, LeaseLostError
from models.settings import Settings
from models.status import Status
from worker.life import SIGNS
from worker.outputs import present, remove
from worker.pulse import ASK_EVERY, HARD_AFTER

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
                self._judge(process)

    def _judge(self, process: int) -> None:
        """End a silent process when the worker stops, when its job is canceled, or no longer its own."""
        catalogue: Catalogue | None = None
        try:
            catalogue = Catalogue.open(self._settings.database)
            held = catalogue.held(f"{platform.node()}:{process}")
            if held is not None and not (self._is_stopping() or held.is_canceled):
                return
            if _end(process) and held is not None:
                self._settle(catalogue, held.claim)
        except CatalogueError as exc:
            log.warning("stuck_process_not_known", reason=str(exc))
            if self._is_stopping():
                _end(process)
        finally:
            if catalogue is not None:
                catalogue.dispose()

    def _settle(self, catalogue: Catalogue, claim: Claim) -> None:
        """Give the job back, as if it had never started, or CANCELED."""
        there = present(self._settings.storage.job_directory(claim.sweep, claim.gid))
        try:
            status = catalogue.release(claim)
        except LeaseLostError:
            # It came to its end in the last moment.
            return
        if status == Status.CANCELED:
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
