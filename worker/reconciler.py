"""Work that one worker does for all: it returns jobs of dead workers to the queue, and keeps the queue filled.

Each worker runs it in a thread. Redis decides whose turn it is, so a thousand workers cost the database no more than
one. If a worker takes a turn and dies, only this turn is lost.
"""

import platform
import random
import threading
import time
from os import getpid
from typing import Any

import structlog
from celery import Celery

from tvb_batch.models.catalogue import Catalogue
from tvb_batch.models.errors import BrokerError, CatalogueError
from tvb_batch.models.own_code.allowed import allowed
from tvb_batch.models.own_code.sources import Here
from tvb_batch.models.queue import announce, publish_jobs, take_turn
from tvb_batch.models.settings import Settings
from tvb_batch.worker.job.versions import versions

log = structlog.get_logger()

#: Mean time between two requests for a turn. Seconds; random from half to one and a half, so that all get turns.
RECONCILE_EVERY = 1.0
#: Time from one turn to the next. Seconds; a single worker gets every turn that it asks for.
TURN = RECONCILE_EVERY / 2
#: Without Redis there are no turns: each worker looks for expired leases, but only this often. Seconds.
ALONE_EVERY = 10.0
#: How often a worker announces itself and its libraries. Seconds.
ANNOUNCE_EVERY = 15.0


def reconcile_until(stop: threading.Event, app: Celery, settings: Settings) -> None:
    """Reconcile whenever it is this worker's turn, until `stop` is set."""
    reconciler = Reconciler(app, settings)
    while not stop.wait(RECONCILE_EVERY * random.uniform(0.5, 1.5)):  # noqa: S311 - jitter
        reconciler.ask()
    reconciler.close()


class Reconciler:
    """The part of one worker in the common work."""

    def __init__(self, app: Celery, settings: Settings) -> None:
        self._app, self._settings = app, settings
        self._catalogue: Catalogue | None = None
        self._announced_at = -ANNOUNCE_EVERY
        #: Without Redis: the time of the next look.
        self._alone_at: float | None = None
        self._fault: BrokerError | CatalogueError | None = None

    def ask(self) -> None:
        """Reconcile if it is this worker's turn; log errors of the database or Redis, and retry at the next call."""
        try:
            # If the database did not answer when the worker started, try again.
            self._catalogue = self._catalogue or Catalogue.open(self._settings.database)
            has_turn = self._has_turn()
            if has_turn:
                self._look(self._catalogue)
        except (BrokerError, CatalogueError) as exc:
            # Log it once, not every second.
            if str(exc) != str(self._fault):
                log.warning("reconcile_postponed", reason=str(exc))
            self._fault = exc
        else:
            # Only a turn shows that the database answers again.
            if has_turn or isinstance(self._fault, BrokerError):
                self._resume()

    def _resume(self) -> None:
        if self._fault is not None:
            log.warning("reconcile_resumed")
        self._fault = None

    def close(self) -> None:
        """Close the connections to the database."""
        if self._catalogue is not None:
            self._catalogue.dispose()

    def _look(self, catalogue: Catalogue) -> None:
        expired = catalogue.expire(max_attempts=self._settings.max_attempts)
        if expired:
            log.warning("leases_expired", jobs=expired)
        # Redis last: expired leases are found without it.
        publish_jobs(catalogue, self._app)

    def _has_turn(self) -> bool:
        try:
            if time.monotonic() - self._announced_at >= ANNOUNCE_EVERY:
                announce(self._app, f"{platform.node()}:{getpid()}", _facts())
                self._announced_at = time.monotonic()
            self._alone_at, is_turn = None, take_turn(self._app, TURN)
        except BrokerError:
            if not self._is_time_alone():
                raise
            return True
        return is_turn

    def _is_time_alone(self) -> bool:
        now = time.monotonic()
        if self._alone_at is None:
            # A random time, so that not all workers look at once when Redis fails.
            self._alone_at = now + ALONE_EVERY * random.random()  # noqa: S311 - jitter
        if now < self._alone_at:
            return False
        self._alone_at = now + ALONE_EVERY
        return True


def _facts() -> dict[str, Any]:
    """Return what this worker announces: its time and versions, including the current sources of the user's modules."""
    return {"versions": {**versions(), **Here().of_data(allowed())}, "time": time.time()}
