"""The state of one worker, shared by its parent process and the processes of its pool.

`worker.tasks` makes it before the pool is forked.
"""

import multiprocessing
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from uuid import UUID

from tvb_batch.models.catalogue import Catalogue
from tvb_batch.models.errors import CatalogueError, StorageError
from tvb_batch.models.queue import QUEUES
from tvb_batch.models.settings import Settings


class WorkerState:
    """The state that the parent process and its pool share. Make it before the pool is forked."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.stopping = multiprocessing.get_context("fork").Event()
        #: Whether this process of the pool got a signal to stop.
        self.is_told = False
        #: Whether the user's modules have changed since this process imported them, or could not be imported.
        self.is_spent = False
        #: The queues of the catalogue that this worker serves.
        self.queues: tuple[str, ...] = tuple(QUEUES)
        self._is_marked = False
        self._catalogue: Catalogue | None = None

    @property
    def catalogue(self) -> Catalogue:
        """Return the catalogue with this process's own connection to the database."""
        if self._catalogue is None:
            self._catalogue = Catalogue.open(self.settings.database)
        return self._catalogue

    def must_stop(self) -> bool:
        """Return whether the whole worker, or only this process, was told to stop."""
        return self.is_told or self.stopping.is_set()

    def give_back(self, job: UUID) -> None:
        """Allow a new message for a job. Without a database, the job gets one when its last message counts as lost."""
        with suppress(CatalogueError):
            self.catalogue.unpublish([job])

    def mark_storage(self) -> None:
        """Create a marker file in the storage. A storage that is not writable yet gets no marker."""
        with suppress(OSError):
            self.settings.storage.marker.touch()
            self._is_marked = True

    def check_storage(self) -> None:
        """Check that the storage is the one that this worker was started with.

        Raises
        ------
        StorageError
            It is another one. Results would fill the directory below a missing mount.
        """
        if self._is_marked and not self.settings.storage.marker.exists():
            root = self.settings.storage.root
            raise StorageError(f"data directory {root}: {self.settings.storage.marker.name} is missing; mount it again")

    @contextmanager
    def hearing_of_termination(self) -> Iterator[None]:
        """Pass SIGTERM to the running job. systemd, Slurm and `kill` send it to every process of a worker.

        A process of Celery's pool ends at once when it gets this signal. That is right only for a process without a
        job.
        """

        def heard(*_: object) -> None:
            # Take no lock here: the process may hold it.
            self.is_told = True

        former = signal.signal(signal.SIGTERM, heard)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, former)

    def after_fork(self) -> None:
        """Drop the parent's database connections: they must not be used after a fork."""
        if self._catalogue is not None:
            self._catalogue.dispose()
            self._catalogue = None
