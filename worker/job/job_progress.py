"""The progress of a running job: its files, the steps done, and the checkpoint that a later attempt continues from.

Called by `worker.job.run`, in this order: `resume`, `record` for each chunk, `publish`, `remove_other_files`; after an
error `discard`. It alone decides which files of an unfinished job stay: `worker.job.outputs` writes them, and
`worker.job.checkpoint` reads and writes the state of the simulation.
"""

import time
from pathlib import Path
from typing import Any

import structlog

from tvb_batch.models.catalogue import Catalogue, Claim, OutputRecord
from tvb_batch.models.errors import OutputError
from tvb_batch.models.settings import Compression, Settings
from tvb_batch.worker.engines import reference, simulator_state
from tvb_batch.worker.h5.writer import DamagedError
from tvb_batch.worker.job import checkpoint
from tvb_batch.worker.job.checkpoint import Checkpoint
from tvb_batch.worker.job.heartbeat import Heartbeat, StoppedError
from tvb_batch.worker.job.outputs import Outputs, present, remove
from tvb_batch.worker.job.versions import versions

log = structlog.get_logger()


class JobProgress:
    """The progress of a job: the number of steps done, its output files, and its checkpoint."""

    def __init__(
        self, catalogue: Catalogue, settings: Settings, claim: Claim, simulator: Any, engine: str, heartbeat: Heartbeat
    ) -> None:  # fmt: skip
        self._catalogue, self._claim, self._simulator, self._heartbeat = catalogue, claim, simulator, heartbeat
        self._outputs = Outputs(settings.storage, claim, claim.spec, simulator, engine)
        self._interval = settings.checkpoint_interval
        self._path = settings.storage.checkpoint(claim.sweep, claim.gid, claim.token)
        self._made_for = checkpoint.fingerprint(claim.spec.parameters_hash(), versions(claim.spec))
        self._saved_at, self._saved_step = time.monotonic(), 0
        #: The last checkpoint and the files that it needs.
        self._kept: set[Path] = set()

    def resume(self) -> int:
        """Continue from the most advanced valid checkpoint, or start at 0; return the number of steps done."""
        if not self._outputs.directory.exists():
            return 0
        # A worker that has lost the job, or does not know, must not remove files.
        there = present(self._outputs.directory)
        is_ours = self._heartbeat.send()
        for path, saved in checkpoint.find_checkpoints(self._outputs.directory, self._made_for):
            if self._take_over(path, saved):
                break
        if is_ours:
            remove(there, keep=self._kept | self._outputs.unfinished())
        return self._saved_step

    def record(self, chunk: reference.Chunk, total: int) -> None:
        """Append a chunk to the files and tell the catalogue; save when it is time to, or when the job is stopped.

        Parameters
        ----------
        total : steps of the whole simulation

        Raises
        ------
        CanceledError, StoppedError, LeaseLostError, TimeLimitError
            The job must end here.
        OutputError
            A file cannot be written.
        """
        self._outputs.append(chunk.samples)
        try:
            self._heartbeat.check(chunk.step / total)
        except StoppedError:
            self._try_to_save(chunk.step)
            raise
        if chunk.step < total and time.monotonic() - self._saved_at >= self._interval:
            self._try_to_save(chunk.step)

    def publish(self, compression: Compression) -> list[OutputRecord]:
        """Check the complete files and give them their final names; return their rows.

        Raises
        ------
        OutputError
            A file is not what was written, or the disk refused it.
        """
        return self._outputs.publish(compression)

    def remove_other_files(self) -> None:
        """Remove all files of the job that its row does not name. Call it after the row names the published ones."""
        self._outputs.remove_other_files()

    def discard(self, *, may_go_on: bool) -> None:
        """Remove the files of a job that did not finish, except those that a later attempt can continue.

        Parameters
        ----------
        may_go_on : whether a later attempt may continue from the checkpoint
        """
        there = present(self._outputs.directory)
        # A worker that was frozen may fail before it learns that it has lost the job.
        is_over = not may_go_on and self._heartbeat.is_ours()
        self._outputs.abort(keep=() if is_over else self._kept)
        if is_over:
            remove(there)

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
        self._kept = {path} | self._outputs.files_of(saved.series)
        self._heartbeat.before = saved.seconds
        self._saved_step = saved.step
        log.info("job_resumed", step=saved.step, checkpoint=path.name)
        return True

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
        checkpoint.save_checkpoint(self._path, self._made_for, saved)
        former = self._kept
        self._kept = {self._path} | self._outputs.files_of(series)
        for path in former - self._kept:
            path.unlink(missing_ok=True)
        if step > self._saved_step:
            self._saved_step = step
            self._catalogue.saved(self._claim)
