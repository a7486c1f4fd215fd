"""Records in the catalogue how an attempt ended without a result: returned, canceled, failed, or postponed.

It never raises if the catalogue does not answer: the lease expires, and another worker gets the job.
"""

import os
from datetime import timedelta
from typing import NoReturn

import structlog

from tvb_batch.models.catalogue import Claim
from tvb_batch.models.errors import (
    CanceledError,
    CatalogueError,
    LeaseLostError,
    StorageError,
    TvbBatchError,
    one_line,
)
from tvb_batch.models.masking import masked
from tvb_batch.worker.job.heartbeat import StoppedError
from tvb_batch.worker.job.outputs import present, remove
from tvb_batch.worker.job.run import is_retryable
from tvb_batch.worker.state import WorkerState

log = structlog.get_logger()

#: How long a job waits for a full, read-only or missing storage.
STORAGE_PAUSE = timedelta(seconds=60)


def record_outcome(state: WorkerState, claim: Claim, exc: BaseException) -> bool:
    """Write to the job's row why an attempt ended without a result; return whether it was written.

    Parameters
    ----------
    exc : the exception that ended the attempt
    """
    try:
        if isinstance(exc, LeaseLostError):
            raise exc
        if isinstance(exc, StoppedError):
            log.info("job_returned", status=str(state.catalogue.release(claim)))
        elif isinstance(exc, CanceledError):
            state.catalogue.canceled(claim)
            log.info("job_canceled")
        else:
            _fail(state, claim, exc)
    except LeaseLostError:
        log.warning("lease_lost", reason=str(exc))
        return False
    except CatalogueError as away:
        # The row cannot be written; another worker gets the job when the lease expires.
        log.warning("outcome_not_recorded", reason=str(away), fault=str(exc))
        return False
    return True


def _fail(state: WorkerState, claim: Claim, exc: BaseException) -> None:
    # TVB's exceptions need the name of their class: `KeyError: 'x'`, `Exception: Got shape ...`.
    message = str(exc) if isinstance(exc, TvbBatchError) else one_line(masked(_words(exc)))
    if isinstance(exc, StorageError):
        # The attempt is not counted. The worker runs other jobs, and this one is tried again after the pause.
        state.catalogue.wait(claim, type(exc).__name__, message, STORAGE_PAUSE)
        log.error("storage_fault", reason=message, again_in=STORAGE_PAUSE.total_seconds())
        return
    status = state.catalogue.fail(
        claim, type(exc).__name__, message, retryable=is_retryable(exc), max_attempts=state.settings.max_attempts
    )
    # This program's own errors need no traceback: the message is enough.
    log.error("job_failed", status=str(status), reason=message, exc_info=not isinstance(exc, TvbBatchError))


def _words(exc: BaseException) -> str:
    return f"{type(exc).__name__}: {exc}" if str(exc) else type(exc).__name__


def end_stuck(state: WorkerState, claim: Claim, exc: TvbBatchError) -> NoReturn:
    """End a job that does not reach the end of a chunk: record why, remove its files and end this process."""
    log.warning("stuck_process_ended", reason=str(exc))
    there = present(state.settings.storage.job_directory(claim.sweep, claim.gid))
    if record_outcome(state, claim, exc) and not isinstance(exc, StoppedError):
        remove(there)
    os._exit(1)
