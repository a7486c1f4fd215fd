"""Runs one job without Celery: claim, build, simulate, write, verify, finish.

It raises every error; the caller decides between retry and ERROR. A job that does not finish leaves only files that a
later attempt can continue. A file that a row names is never removed; if the database does not answer, the files stay.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import structlog

from tvb_batch.models.catalogue import Catalogue, Claim, OutputRecord
from tvb_batch.models.errors import CatalogueError, LeaseLostError, NotFiniteError, TvbBatchError
from tvb_batch.models.settings import Settings
from tvb_batch.models.tvb.input_store import Inputs
from tvb_batch.worker.engines import choose, is_worth_compiling, reference
from tvb_batch.worker.job.heartbeat import Heartbeat, StoppedError
from tvb_batch.worker.job.job_progress import JobProgress
from tvb_batch.worker.job.own_modules import check, import_all
from tvb_batch.worker.job.simulator import build_simulator
from tvb_batch.worker.job.versions import versions

log = structlog.get_logger()


def run_job(
    catalogue: Catalogue, settings: Settings, claim: Claim, *, should_stop: Callable[[], bool] = lambda: False,
    on_stuck: Callable[[TvbBatchError], None] | None = None,
) -> list[OutputRecord]:  # fmt: skip
    """Run a claimed job and finish its row; continue from the checkpoint of an earlier attempt, if there is one.

    Parameters
    ----------
    should_stop : called between two chunks; returns True if the worker must stop
    on_stuck : called by another thread with the reason if the job must end but no chunk ends

    Raises
    ------
    CanceledError, StoppedError, LeaseLostError
        The job was canceled, stopped or lost between two chunks.
    SourceError
        The user's modules are not the submitted ones.
    TvbBatchError
        Another error, with a message for the user.
    """
    import_all(settings.cache_dir)
    check(claim.shared.sources)
    spec = claim.spec
    limit = spec.time_limit or settings.time_limit or None
    with Heartbeat(catalogue, claim, settings.lease, limit, should_stop, on_stuck) as heartbeat:
        # If an engine has crashed its worker, use TVB's own loop.
        wanted = spec.engine if claim.attempt - claim.saved_attempt <= 1 else "reference"
        kernels, jobs = settings.cache_dir / "kernels", claim.shared.size
        steps = reference.steps_of(spec.simulation_length, spec.integrator["dt"])
        is_compiled = wanted == "auto" and is_worth_compiling(steps * jobs)
        simulator = build_simulator(spec, Inputs(settings.storage), kernels if is_compiled else None)
        engine = choose(simulator, wanted, kernels, jobs)
        progress = JobProgress(catalogue, settings, claim, simulator, engine.name, heartbeat)
        try:
            total = reference.count_steps(simulator)
            done = progress.resume()
            for chunk in engine.stream(simulator, reference.choose_chunk_steps(simulator, settings.chunk_bytes), done):
                if spec.stop_on_nan:
                    _check_finite(chunk, simulator)
                progress.record(chunk, total)
            records = progress.publish(settings.compression)
        except BaseException as exc:
            progress.discard(may_go_on=_may_go_on(exc))
            raise
        try:
            finish = partial(catalogue.finish, claim, records, engine=engine.name, engine_reason=engine.reason)
            _finish(partial(finish, versions=versions(spec)), settings.lease, should_stop)
        except BaseException as exc:
            if not _is_finished(catalogue, claim, records, exc):
                progress.discard(may_go_on=_may_go_on(exc))
                raise
            if not isinstance(exc, CatalogueError | LeaseLostError):
                raise
        progress.remove_other_files()
    return records


def _finish(finish: Callable[[], None], lease: float, should_stop: Callable[[], bool]) -> None:
    """Finish the job. If the database does not answer, retry while the lease may be valid: the result is complete.

    Parameters
    ----------
    lease : seconds
    """
    until = time.monotonic() + lease
    while True:
        try:
            return finish()
        except CatalogueError as exc:
            if not exc.retryable or should_stop() or time.monotonic() > until:
                raise
            log.warning("finish_postponed", reason=str(exc))
            time.sleep(min(1.0, lease / 6))


def _is_finished(catalogue: Catalogue, claim: Claim, records: list[OutputRecord], exc: BaseException) -> bool:
    """Return whether rows name the files although `finish` failed.

    Raises
    ------
    BaseException
        The same error, if the database does not answer. The files stay, and `prune` removes them if no row names them.
    """
    try:
        return catalogue.has_finished(claim, records)
    except CatalogueError as away:
        log.warning("files_kept", reason=str(away), files=[record.path for record in records])
        raise exc from None


def is_retryable(exc: BaseException) -> bool:
    """Return whether the same job may succeed if it runs again."""
    return exc.retryable if isinstance(exc, TvbBatchError) else isinstance(exc, OSError | MemoryError)


def _may_go_on(exc: BaseException) -> bool:
    """Return whether a later attempt may continue from the checkpoint of this one."""
    return is_retryable(exc) or isinstance(exc, StoppedError | LeaseLostError) or not isinstance(exc, Exception)


def _check_finite(chunk: reference.Chunk, simulator: Any) -> None:
    """Raise if a sample or the current state holds NaN or infinity."""
    hint = "a smaller integrator.dt or other parameters may help; without stop_on_nan the result is kept as it is"
    for index, samples in enumerate(chunk.samples):
        if samples is None or np.isfinite(samples.data).all():
            continue
        bad = ~np.isfinite(samples.data).reshape(len(samples.data), -1).all(axis=1)
        name, when = type(simulator.monitors[index]).__name__, float(samples.time[bad.argmax()])
        raise NotFiniteError(f"monitors[{index}] ({name}): NaN or infinity first at {when:g} ms; {hint}")
    if not np.isfinite(simulator.current_state).all():
        when = float(simulator.current_step) * float(simulator.integrator.dt)
        raise NotFiniteError(f"model state: NaN or infinity by {when:g} ms; {hint}")
