"""The pool of processes that run jobs: Celery's own pool, for tasks whose outcome is stored in a row.

Celery's pool reads the outcome of a task from its processes, waits for it at the end, and gives up if a process dies
during its start. This pool does not need these messages.
"""

import os
from typing import Any

from celery.concurrency import asynpool, prefork


class _Process(asynpool.Worker):  # type: ignore[misc]
    """A process of the pool."""

    def _ensure_messages_consumed(self, completed: int) -> bool:
        """Return at once. A stopping worker does not read messages about jobs whose start it has not seen.

        Billiard waits 30 s here for a parent that itself waits for this process to end.
        """
        return True

    def _do_exit(self, pid: int, exitcode: int | None, exc: BaseException | None = None) -> None:
        if exitcode is None:
            exitcode = 1 if exc else 0
        if self.on_exit is not None:
            self.on_exit(pid, exitcode)
        # Billiard would send a message to the parent and sleep for a second until it is killed.
        os._exit(exitcode)


class Pool(asynpool.AsynPool):  # type: ignore[misc]
    """A pool that replaces a killed process, even if it was killed during its start."""

    Worker = _Process

    def did_start_ok(self) -> bool:
        """Return whether the first processes started; called once. A process that exited by itself would exit again."""
        codes = [process.exitcode for process in self._pool if process.exitcode is not None]
        if any(code >= 0 for code in codes):
            return False
        self.maintain_pool()
        return True

    def on_job_process_lost(self, job: Any, pid: int, exitcode: int) -> None:
        """Mark the task of an ended process as done. The row has the job's state; the log tells how the process ended.

        Celery's version also logs the traceback of an exception of its own.
        """
        job._set(None, (True, (False, None, 0.0)))


class TaskPool(prefork.TaskPool):  # type: ignore[misc]
    """The pool as Celery's worker expects it."""

    Pool = Pool
