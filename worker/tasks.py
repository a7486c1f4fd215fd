"""The task that Celery runs, and what a worker does on its own: start warm, stop well, keep the queue filled.

The one broad `except` of the program is here: it turns a fault into a row.
"""

import importlib
import logging
import multiprocessing
import os
import platform
import threading
import time
from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog
from celery import Celery, signals

from models.catalogue import Catalogue, Claim
from models.components import allowed
from models.errors import BrokerError, CanceledError, CatalogueError, LeaseLostError, TvbBatchError
from models.queue import RUN_JOB, announce, publish
from models.settings import Settings
from worker.run import StoppedError, run_job, versions

log = structlog.get_logger()

#: How often a worker tops up the queue and looks for leases that ran out. Seconds.
RECONCILE_EVERY = 1.0
#: How often it says that it lives, and with which libraries. Seconds.
ANNOUNCE_EVERY = 15.0


class WorkerState:
    """What the parent process and its pool share. Made before the pool is forked."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.stopping = multiprocessing.get_context("fork").Event()
        self._catalogue: Catalogue | None = None

    @property
    def catalogue(self) -> Catalogue:
        """This process' own connection to the database."""
        if self._catalogue is None:
            self._catalogue = Catalogue.open(self.settings.database)
        return self._catalogue

    def after_fork(self) -> None:
        """Database connections must not cross a fork."""
        if self._catalogue is not None:
            self._catalogue.dispose()
            self._catalogue = None


def register(app: Celery, settings: Settings) -> None:
    """Give `app` its task and its signals."""
    state = WorkerState(settings)

    @app.task(name=RUN_JOB)  # type: ignore[untyped-decorator]
    def run_job_task(gid: str) -> None:
        perform(state, gid)

    reconciler = threading.Event()

    @signals.worker_init.connect(weak=False)  # type: ignore[untyped-decorator]
    def _warm(**_: Any) -> None:
        try:
            state.catalogue  # noqa: B018
        except CatalogueError as exc:
            # A worker without a catalogue is none. Celery would log any other exception, and go on.
            log.error("no_catalogue", reason=str(exc))
            raise SystemExit(2) from exc
        import_tvb()
        try:
            # Their models are there before the pool is forked, and their metrics are registered.
            for module in allowed():
                importlib.import_module(module)
        except ImportError as exc:
            log.error("no_module", reason=str(exc), setting="TVB_BATCH_MODULES")
            raise SystemExit(2) from exc

    @signals.worker_process_init.connect(weak=False)  # type: ignore[untyped-decorator]
    def _forked(**_: Any) -> None:
        state.after_fork()

    @signals.worker_ready.connect(weak=False)  # type: ignore[untyped-decorator]
    def _ready(**_: Any) -> None:
        thread = threading.Thread(target=reconcile_until, args=(reconciler, app, settings), daemon=True)
        thread.start()

    @signals.worker_shutting_down.connect(weak=False)  # type: ignore[untyped-decorator]
    def _stopping(**_: Any) -> None:
        state.stopping.set()
        reconciler.set()


def import_tvb() -> None:
    """Import TVB once, before the pool is forked: 6 s and 240 MB that the children then share."""
    import tvb.simulator.lab  # noqa: F401

    # TVB brings a logging configuration of its own, which tells every step of every `configure`.
    for name in ("tvb", "tvb.simulator", "tvb.basic", "tvb.datatypes", "tvb.core"):
        logging.getLogger(name).setLevel(logging.ERROR)


def perform(state: WorkerState, gid: str) -> None:
    """Run the job that a message names, whatever becomes of it; never raises for a fault of the job."""
    try:
        job = UUID(gid)
    except (ValueError, AttributeError, TypeError):
        log.warning("message_dropped", reason="not a job's gid")
        return
    if state.stopping.is_set():
        return
    worker = f"{platform.node()}:{os.getpid()}"
    lease = timedelta(seconds=state.settings.lease)
    try:
        claim = state.catalogue.claim(job, worker, lease)
    except CatalogueError as exc:
        # The row waits on, and its message is sent again.
        log.warning("claim_postponed", gid=gid, reason=str(exc))
        return
    if claim is None:
        log.info("message_dropped", gid=gid, reason="not waiting: running, done, or canceled")
        return
    with structlog.contextvars.bound_contextvars(gid=gid, attempt=claim.attempt, worker=worker):
        _perform_claimed(state, claim)


def _perform_claimed(state: WorkerState, claim: Claim) -> None:
    catalogue = state.catalogue
    try:
        outputs = run_job(catalogue, state.settings, claim, should_stop=state.stopping.is_set)
        log.info("job_finished", outputs=len(outputs), bytes=sum(output.bytes for output in outputs))
    except StoppedError:
        catalogue.release(claim)
        log.info("job_given_back")
    except CanceledError:
        catalogue.canceled(claim)
        log.info("job_canceled")
    except LeaseLostError:
        log.warning("lease_lost")
    except Exception as exc:
        try:
            _fail(state, claim, exc)
        except LeaseLostError:
            log.warning("lease_lost", reason=str(exc))
        except CatalogueError as away:
            # Nobody can be told; the job is given to another worker when its lease has run out.
            log.warning("outcome_untold", reason=str(away), fault=str(exc))


def _fail(state: WorkerState, claim: Claim, exc: Exception) -> None:
    retryable = exc.retryable if isinstance(exc, TvbBatchError) else isinstance(exc, OSError | MemoryError)
    # TVB's own exceptions say little without their class: `KeyError: 'x'`, `Exception: Got shape ...`.
    message = str(exc) if isinstance(exc, TvbBatchError) else f"{type(exc).__name__}: {exc}"
    status = state.catalogue.fail(
        claim, type(exc).__name__, message, retryable=retryable, max_attempts=state.settings.max_attempts
    )
    # The traceback of a fault of our own tells nothing that its message does not.
    log.error("job_failed", status=str(status), reason=message, exc_info=not isinstance(exc, TvbBatchError))


def reconcile_until(stop: threading.Event, app: Celery, settings: Settings) -> None:
    """Give back jobs whose worker died, and keep the queue filled, until told to stop."""
    catalogue = Catalogue.open(settings.database)
    announced_at = -ANNOUNCE_EVERY
    while not stop.wait(RECONCILE_EVERY):
        try:
            if time.monotonic() - announced_at >= ANNOUNCE_EVERY:
                announce(app, f"{platform.node()}:{os.getpid()}", {"versions": versions(), "time": time.time()})
                announced_at = time.monotonic()
            expired = catalogue.expire(max_attempts=settings.max_attempts)
            if expired:
                log.warning("leases_expired", jobs=expired)
            publish(catalogue, app)
        except (BrokerError, CatalogueError) as exc:
            log.warning("reconcile_postponed", reason=str(exc))
    catalogue.dispose()
