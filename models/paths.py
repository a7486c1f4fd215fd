"""Every file name of the shared storage; nothing else joins a path.

Rows hold paths relative to the data directory, so that machines may mount it in different places.
"""

import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from tvb_batch.models.errors import OutputError

#: How the names of checkpoints begin.
CHECKPOINT = "checkpoint_"


@dataclass(frozen=True)
class Storage:
    """The data directory that the client and every worker share."""

    root: Path

    @property
    def catalogue(self) -> Path:
        """The SQLite catalogue of the embedded mode."""
        return self.root / "catalogue.sqlite"

    @property
    def marker(self) -> Path:
        """Made by a worker when it starts: where it is missing later, the mount is gone."""
        return self.root / ".tvb-batch"

    @property
    def logs(self) -> Path:
        """Where the workers of the embedded mode write what they say."""
        return self.root / "logs"

    def sweep_directory(self, sweep: UUID) -> Path:
        """The directories of a sweep's jobs."""
        return self.root / "outputs" / sweep.hex

    def job_directory(self, sweep: UUID, job: UUID) -> Path:
        """All files of one job."""
        return self.sweep_directory(sweep) / job.hex

    def is_output(self, path: Path) -> bool:
        """Whether a file is in the directory of some job."""
        return path.resolve().parents[2:3] == ((self.root / "outputs").resolve(),)

    def checkpoint(self, sweep: UUID, job: UUID, claim: UUID) -> Path:
        """What one worker saved of a running job."""
        return self.job_directory(sweep, job) / f"{CHECKPOINT}{claim.hex}.npz"

    def output(self, sweep: UUID, job: UUID, datatype: str, output: UUID) -> Path:
        """The finished file of one output, named as the GUI names its own."""
        return self.job_directory(sweep, job) / f"{datatype}_{output.hex}.h5"

    def datatype(self, datatype: str, gid: UUID) -> Path:
        """A file that many jobs refer to, such as the Connectivity."""
        return self.root / "datatypes" / f"{datatype}_{gid.hex}.h5"

    def tvb1_datatype(self, datatype: str, gid: UUID) -> Path:
        """The same as TVB 1 reads it."""
        return self.root / "datatypes" / "tvb1" / f"{datatype}_{gid.hex}.h5"

    @property
    def inputs(self) -> Path:
        """Files named in specs; a worker reads no other."""
        return self.root / "inputs"

    def input(self, sha256: str, suffix: str) -> Path:
        """A file named in a spec, kept by its content."""
        return self.inputs / f"{sha256}{suffix}"

    def bundle(self, name: str) -> Path:
        """A ZIP for the GUI; whatever the name, in its folder."""
        plain = re.sub(r"[^\w .+-]", "_", name).lstrip(".")[:200]
        return self.root / "bundles" / f"{plain or '_'}.zip"

    def relative(self, path: Path) -> str:
        """`path` as rows hold it.

        Raises
        ------
        OutputError
            The path is not in the data directory.
        """
        try:
            return path.relative_to(self.root).as_posix()
        except ValueError as exc:
            raise OutputError(f"{path}: outside the data directory {self.root}") from exc

    def absolute(self, relative: str) -> Path:
        """The file that a row names.

        Raises
        ------
        OutputError
            The row names a place outside the data directory.
        """
        try:
            path = (self.root / relative).resolve()
        except (OSError, RuntimeError, ValueError) as exc:  # Links that lead to each other, or no name of a file.
            raise OutputError(f"{relative}: no file can have this name or be there ({exc})") from exc
        if not path.is_relative_to(self.root.resolve()):
            raise OutputError(f"{relative}: leaves the data directory {self.root}")
        if path.relative_to(self.root.resolve()).parts[:1] not in (("outputs",), ("datatypes",), ("inputs",)):
            raise OutputError(f"{relative}: no place of results in the data directory {self.root}")
        return path


def part(path: Path) -> Path:
    """The unfinished twin of `path`: same directory, so that the final rename is atomic."""
    return path.with_name(path.name + ".part")


def check_writable(storage: Storage) -> None:
    """Return when files can be made in the data directory, which is made when it is missing.

    Raises
    ------
    OutputError
        They cannot; one line with the reason.
    """
    storage_time(storage)


def storage_time(storage: Storage) -> float:
    """The time on the clock that dates the storage's files, which may be a server's. Seconds, as `time.time` has them.

    Raises
    ------
    OutputError
        No file can be made there; one line with the reason.
    """
    try:
        storage.root.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=storage.root, prefix=".writable-") as file:
            return os.fstat(file.fileno()).st_mtime
    except OSError as exc:
        raise OutputError(
            f"data directory {storage.root}: {exc.strerror}; expected a directory that can be written; "
            "name another with TVB_BATCH_DATA_DIR"
        ) from exc
