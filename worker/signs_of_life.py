"""Signs of life of a worker's processes, in memory shared with their parent. They show which processes are stuck.

A thread of each process gives signs while the process has a job (`worker.job.heartbeat`). A call that holds the
interpreter and never returns stops this thread too. Then the parent ends the process (`worker.warden`).
"""

import multiprocessing
import os

#: Maximum number of watched processes; in a larger pool, some are not watched.
PLACES = 1024


class Signs:
    """One place for each process of the pool: its process id while it has a job, and a counter that grows meanwhile."""

    def __init__(self) -> None:
        self._shared = multiprocessing.get_context("fork").RawArray("Q", 2 * PLACES)
        self._place: int | None = None

    def take(self, place: int) -> None:
        """Use this place for the current process; call it after the fork."""
        self._place = 2 * place if 0 <= place < PLACES else None
        self.end()

    def begin(self) -> None:
        """Record that this process has a job."""
        if self._place is not None:
            self._shared[self._place] = os.getpid()
            self.give()

    def give(self) -> None:
        """Give a sign of life: increase the counter."""
        if self._place is not None:
            self._shared[self._place + 1] += 1

    def end(self) -> None:
        """Record that this process has no job."""
        if self._place is not None:
            self._shared[self._place] = 0

    def read(self) -> list[tuple[int, int]]:
        """Return (process id, counter) for each process that has a job."""
        pairs = zip(self._shared[::2], self._shared[1::2], strict=True)
        return [(process, count) for process, count in pairs if process]


#: Made before the pool is forked.
SIGNS = Signs()
