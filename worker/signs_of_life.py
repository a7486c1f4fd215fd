"""Signs of life of a worker's processes, in memory that they share with their parent: which of them are stuck.

A thread gives them while its process has a job (`worker.job.heartbeat`). A call that holds the interpreter and never
returns stops that thread too; then the parent ends the process (`worker.warden`).
"""

import multiprocessing
import os

#: Processes that are watched; a pool of more has some that are not.
PLACES = 1024


class Signs:
    """One place for each process of the pool: its number while it has a job, and a count that grows while it lives."""

    def __init__(self) -> None:
        self._shared = multiprocessing.get_context("fork").RawArray("Q", 2 * PLACES)
        self._place: int | None = None

    def take(self, place: int) -> None:
        """This process has the place from now on; called after the fork."""
        self._place = 2 * place if 0 <= place < PLACES else None
        self.end()

    def begin(self) -> None:
        """This process has a job."""
        if self._place is not None:
            self._shared[self._place] = os.getpid()
            self.give()

    def give(self) -> None:
        """This process lives."""
        if self._place is not None:
            self._shared[self._place + 1] += 1

    def end(self) -> None:
        """This process has no job."""
        if self._place is not None:
            self._shared[self._place] = 0

    def read(self) -> list[tuple[int, int]]:
        """Process and count of all that have a job."""
        pairs = zip(self._shared[::2], self._shared[1::2], strict=True)
        return [(process, count) for process, count in pairs if process]


#: Made before the pool is forked.
SIGNS = Signs()
