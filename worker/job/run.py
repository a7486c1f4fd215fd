"""Runs one job without Celery: claim, build, simulate, write, verify, finish.

It raises every error; the caller decides between retry and ERROR. A job that does not finish leaves only files that a
later attempt can continue. A file that a row names is never removed; if the database does not answer, the files stay.
"""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import structlog

from tvb_batch.models.catalogue import Catalogue, Claim, OutputRecord
from tvb_batch.models.errors import CatalogueError, LeaseLostError, NotFiniteError, OutputError, TvbBatchError
from tvb_batch.models.settings import Settings
from tvb_batch.models.spec.simulation import SimulationSpec
from tvb_batch.models.tvb.input_store import Inputs
from tvb_batch.worker.engines import choose, is_worth_compiling, reference, simulator_state
from tvb_batch.worker.h5.writer import DamagedError
from tvb_batch.worker.job import checkpoint
from tvb_batch.worker.job.checkpoint import Checkpoint
from tvb_batch.worker.job.heartbeat import Heartbeat, StoppedError
from tvb_batch.worker.job.outputs import Outputs, present, remove
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
        outputs = Outputs(settings.storage, claim, spec, simulator, engine.name)
        progress = _Progress(catalogue, settings, claim, spec, simulator, outputs, heartbeat)
        try:
            total = reference.count_steps(simulator)
            done = progress.begin()
            for chunk in engine.stream(simulator, reference.choose_chunk_steps(simulator, settings.chunk_bytes), done):
                if spec.stop_on_nan:
                    _check_finite(chunk, simulator)
                outputs.append(chunk.samples)
                progress.at(chunk.step, total)
            records = outputs.publish(settings.compression)
        except BaseException as exc:
            _tidy_up(exc, outputs, progress, heartbeat)
            raise
        try:
            finish = partial(catalogue.finish, claim, records, engine=engine.name, engine_reason=engine.reason)
            _finish(partial(finish, versions=versions(spec)), settings.lease, should_stop)
        except BaseException as exc:
            if not _is_finished(catalogue, claim, records, exc):
                _tidy_up(exc, outputs, progress, heartbeat)
                raise
            if not isinstance(exc, CatalogueError | LeaseLostError):
                raise
        outputs.keep()
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


def _tidy_up(exc: BaseException, outputs: Outputs, progress: "_Progress", heartbeat: Heartbeat) -> None:
    """Remove the files of a job that did not finish, except those that a later attempt can continue."""
    there = present(outputs.directory)
    # A worker that was frozen may fail before it learns that it has lost the job.
    is_over = not may_go_on(exc) and heartbeat.is_ours()
    outputs.abort(keep=() if is_over else progress.kept)
    if is_over:
        remove(there)


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


def may_go_on(exc: BaseException) -> bool:
    """Return whether a later attempt may continue from the checkpoint of this one."""
    return is_retryable(exc) or isinstance(exc, StoppedError | LeaseLostError) or not isinstance(exc, Exception)


class _Progress:
    """The progress of a job, here and in its checkpoint."""

    def __init__(
        self, catalogue: Catalogue, settings: Settings, claim: Claim, spec: SimulationSpec, simulator: Any,
        outputs: Outputs, heartbeat: Heartbeat,
    ) -> None:  # fmt: skip
        self._catalogue, self._claim, self._simulator = catalogue, claim, simulator
        self._outputs, self._heartbeat = outputs, heartbeat
        self._interval = settings.checkpoint_interval
        self._path = settings.storage.checkpoint(claim.sweep, claim.gid, claim.token)
        self._made_for = checkpoint.fingerprint(spec.parameters_hash(), versions(spec))
        self._saved_at, self._saved_step = time.monotonic(), 0
        #: The last checkpoint and the files that it needs.
        self.kept: set[Path] = set()

    def begin(self) -> int:
        """Continue from the most advanced valid checkpoint, or start at 0; return the number of steps done."""
        if not self._outputs.directory.exists():
            return 0
        # A worker that has lost the job, or does not know, must not remove files.
        there = present(self._outputs.directory)
        is_ours = self._heartbeat.send()
        for path, saved in checkpoint.find(self._outputs.directory, self._made_for):
            if self._take_over(path, saved):
                break
        if is_ours:
            remove(there, keep=self.kept | self._outputs.unfinished())
        return self._saved_step

    def _take_over(self, path: Path, saved: Checkpoint) -> bool:
        before = simulator_state.take(self._simulator)
        try:
            self._outputs.take_over(saved.series, self._heartbeat.check)
            simulator_state.put_back(self._simulator, saved.snapshot)
        except (DamagedError, ValueError, KeyError, TypeError, AttributeError) as exc:
            log.warning("checkpoint_ignored", checkpoint=path.name, reason=str(exc))
            simulator_state.put_back(self._simulator, before)
            self._outputs.abort()
            return False
        self.kept = {path} | self._outputs.files_of(saved.series)
        self._heartbeat.before = saved.seconds
        self._saved_step = saved.step
        log.info("job_resumed", step=saved.step, checkpoint=path.name)
        return True

    def at(self, step: int, total: int) -> None:
        """Report the progress to the catalogue; save a checkpoint if it is time or if the worker stops."""
        try:
            self._heartbeat.check(step / total)
        except StoppedError:
            self._try_to_save(step)
            raise
        if step < total and time.monotonic() - self._saved_at >= self._interval:
            self._try_to_save(step)

    def _try_to_save(self, step: int) -> None:
        """Save a checkpoint, or log why that is impossible; the job continues in both cases."""
        reason = simulator_state.unsaved(self._simulator)
        try:
            if reason is None:
                self._save(step)
        except OutputError as exc:
            reason = str(exc)
        if reason is not None:
            log.warning("checkpoint_not_saved", reason=reason)
        # Measured from the end, so a slow checkpoint is saved less often.
        self._saved_at = time.monotonic()

    def _save(self, step: int) -> None:
        # A worker that has lost the job learns it here, before it writes a checkpoint.
        self._heartbeat.send()
        series = self._outputs.flush()
        saved = Checkpoint(step, self._heartbeat.seconds(), series, simulator_state.take(self._simulator))
        checkpoint.save(self._path, self._made_for, saved)
        former = self.kept
        self.kept = {self._path} | self._outputs.files_of(series)
        for path in former - self.kept:
            path.unlink(missing_ok=True)
        if step > self._saved_step:
            self._saved_step = step
            self._catalogue.saved(self._claim)


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
