"""The Celery task that runs a job, and the start and stop of a worker.

The only broad `except` of the program is here; `worker.outcomes` writes the error to the job's row.
"""

import os
import platform
import threading
import time
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

import structlog
from billiard import current_process
from celery import Celery, signals

from tvb_batch.models.catalogue import Claim
from tvb_batch.models.errors import CatalogueError, SourceError
from tvb_batch.models.own_code.imports import changed
from tvb_batch.models.queue import QUEUES, RUN_JOB
from tvb_batch.models.settings import Settings
from tvb_batch.worker.h5.writer import has_lost_files
from tvb_batch.worker.job.own_modules import fault_of_import
from tvb_batch.worker.job.run import run_job
from tvb_batch.worker.job.versions import versions
from tvb_batch.worker.outcomes import end_stuck, record_outcome
from tvb_batch.worker.reconciler import reconcile_until
from tvb_batch.worker.signs_of_life import SIGNS
from tvb_batch.worker.state import WorkerState
from tvb_batch.worker.tvb_import import import_tvb
from tvb_batch.worker.warden import Warden

log = structlog.get_logger()

#: How long a process takes further jobs without messages. Seconds.
SERVED_FOR = 1.0

#: How long a process pauses after the database did not answer a claim. Seconds.
CLAIM_PAUSE = 1.0


def register(app: Celery, settings: Settings) -> None:
    """Add the task and the signal handlers to `app`."""
    state = WorkerState(settings)

    @app.task(name=RUN_JOB)  # type: ignore[untyped-decorator]
    def run_job_task(gid: str) -> None:
        with state.hearing_of_termination():
            serve_message(state, gid)
        if state.is_told or state.is_spent or has_lost_files():
            # The pool starts another process.
            os._exit(0)

    reconciler = threading.Event()

    @signals.worker_init.connect(weak=False)  # type: ignore[untyped-decorator]
    def _warm(**_: Any) -> None:
        try:
            state.catalogue  # noqa: B018
        except CatalogueError as exc:
            # A worker needs the catalogue. Celery would log any other exception and continue.
            log.error("catalogue_unavailable", reason=str(exc))
            raise SystemExit(2) from exc
        state.mark_storage()
        state.queues = tuple(name for name, queue in QUEUES.items() if queue in app.amqp.queues.consume_from)
        import_tvb()
        versions()  # Record the versions now, because files may change while this worker runs.
        fault = fault_of_import(settings.cache_dir)
        if fault is not None:
            # Without a user's module, the worker would leave out metrics.
            log.error("module_import_failed", reason=fault)
            raise SystemExit(2)
        warm_kernels(settings)

    @signals.worker_process_init.connect(weak=False)  # type: ignore[untyped-decorator]
    def _forked(**_: Any) -> None:
        state.after_fork()
        SIGNS.take(current_process().index)

    @signals.worker_ready.connect(weak=False)  # type: ignore[untyped-decorator]
    def _ready(**_: Any) -> None:
        thread = threading.Thread(target=reconcile_until, args=(reconciler, app, settings), daemon=True)
        thread.start()
        Warden(settings, state.stopping.is_set).start()

    @signals.worker_shutting_down.connect(weak=False)  # type: ignore[untyped-decorator]
    def _stopping(**_: Any) -> None:
        state.stopping.set()
        reconciler.set()


def warm_kernels(settings: Settings) -> None:
    """Load the code that all kernels share, or compile it once for this host, before the pool is forked."""
    # The import of Numba takes a second.
    from tvb_batch.worker.engines.warmup import warm

    started = time.monotonic()
    try:
        engines = warm(settings.cache_dir / "kernels")
    except Exception as exc:
        # Jobs still run with another engine.
        log.warning("kernels_not_ready", reason=f"{type(exc).__name__}: {exc}")
        return
    log.info("kernels_ready", seconds=round(time.monotonic() - started, 1), engines=sorted(set(engines)))


def serve_message(state: WorkerState, gid: str) -> None:
    """Run the job named in a message, then other pending jobs for one second. Celery needs 5 ms for each message."""
    until = time.monotonic() + SERVED_FOR
    perform(state, gid)
    # With `max_tasks_per_child`, Celery must count each job.
    if not state.settings.max_tasks_per_child:
        while time.monotonic() < until and not has_lost_files() and perform(state, None):
            pass


def perform(state: WorkerState, gid: str | None) -> bool:
    """Run the job with this gid, or any pending job if `gid` is None; never raise for an error of the job.

    Returns
    -------
    Whether a job was run.
    """
    try:
        job = gid if gid is None else UUID(gid)
    except (ValueError, AttributeError, TypeError):
        log.warning("message_dropped", reason="not a job's gid")
        return False
    if state.must_stop():
        return False
    if edited := changed():
        # A process cannot import its modules again. The pool replaces it, and the new process runs the job.
        state.is_spent = True
        log.info("process_replaced", reason=f"edited since it was imported: {', '.join(edited)}")
        if job is not None:
            state.give_back(job)
    if state.is_spent:
        return False
    worker = f"{platform.node()}:{os.getpid()}"
    lease = timedelta(seconds=state.settings.lease)
    try:
        claim = state.catalogue.claim_fairly(job, worker, lease, state.queues)
    except CatalogueError as exc:
        # The row stays PENDING, and its message is sent again.
        log.warning("claim_postponed", gid=gid, reason=str(exc))
        time.sleep(CLAIM_PAUSE)
        return False
    if claim is None:
        log.debug("message_outdated", gid=gid, reason="not pending: running, finished, failed or canceled")
        return False
    with structlog.contextvars.bound_contextvars(gid=str(claim.gid), attempt=claim.attempt, worker=worker):
        _perform_claimed(state, claim)
    return True


def _perform_claimed(state: WorkerState, claim: Claim) -> None:
    try:
        state.check_storage()
        outputs = run_job(
            state.catalogue,
            state.settings,
            claim,
            should_stop=state.must_stop,
            on_stuck=partial(end_stuck, state, claim),
        )
        log.info("job_finished", outputs=len(outputs), bytes=sum(output.bytes for output in outputs))
    except BaseException as exc:
        # A model may call sys.exit() too; signals raise nothing in a process of the pool.
        state.is_spent |= isinstance(exc, SourceError)
        record_outcome(state, claim, exc)
