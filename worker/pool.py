"""The processes that a worker runs jobs in: Celery's own pool, for tasks whose outcome is in a row.

Named by `worker.app`. Celery's pool takes the words of its processes for the outcome of a task, waits for them at
its end, and gives up where a process dies as it starts. Here a word that nobody reads is no loss.
"""

import os
from typing import Any

from celery.concurrency import asynpool, prefork


class _Process(asynpool.Worker):  # type: ignore[misc]
    """What a process of the pool does."""

    def _ensure_messages_consumed(self, completed: int) -> bool:
        """Leave at once: a worker that stops reads no more words of jobs whose start it has not heard of.

        Billiard waits 30 s here for a parent that itself waits for this process to end.
        """
        return True

    def _do_exit(self, pid: int, exitcode: int | None, exc: BaseException | None = None) -> None:
        if exitcode is None:
            exitcode = 1 if exc else 0
        if self.on_exit is not None:
            self.on_exit(pid, exitcode)
        # Billiard says goodbye to the parent, and sleeps for a second to be killed by it.
        os._exit(exitcode)


class Pool(asynpool.AsynPool):  # type: ignore[misc]
    """A pool that replaces a process that was killed, whenever that was."""

    Worker = _Process

    def did_start_ok(self) -> bool:
        """Whether the first processes started; asked once. One that ended by itself would do so again."""
        codes = [process.exitcode for process in self._pool if process.exitcode is not None]
        if any(code >= 0 for code in codes):
            return False
        self.maintain_pool()
        return True

    def on_job_process_lost(self, job: Any, pid: int, exitcode: int) -> None:
        """A task whose process ended is over; the row tells what became of the job, and the log how the process ended.

        Celery logs the traceback of an exception of its own.
        """
        job._set(None, (True, (False, None, 0.0)))


class TaskPool(prefork.TaskPool):  # type: ignore[misc]
    """What Celery calls a pool."""

    Pool = Pool
