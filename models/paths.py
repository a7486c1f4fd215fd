"""All file names of the shared storage. No other module joins paths.

Rows hold paths relative to the data directory, so each machine can mount it elsewhere.
"""

import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from tvb_batch.models.errors import OutputError

#: Prefix of the names of checkpoints.
CHECKPOINT = "checkpoint_"


@dataclass(frozen=True)
class Storage:
    """The data directory that the client and every worker share."""

    root: Path

    @property
    def catalogue(self) -> Path:
        """The SQLite catalogue of `tvb-batch run`."""
        return self.root / "catalogue.sqlite"

    @property
    def marker(self) -> Path:
        """A file that a worker creates at its start; if it is missing later, the storage is not mounted."""
        return self.root / ".tvb-batch"

    @property
    def logs(self) -> Path:
        """The directory for logs of workers started by `tvb-batch run`."""
        return self.root / "logs"

    def sweep_directory(self, sweep: UUID) -> Path:
        """Return the directory that contains the jobs of a sweep."""
        return self.root / "outputs" / sweep.hex

    def job_directory(self, sweep: UUID, job: UUID) -> Path:
        """Return the directory with all files of one job."""
        return self.sweep_directory(sweep) / job.hex

    def is_output(self, path: Path) -> bool:
        """Return whether a file is in the directory of a job."""
        return path.resolve().parents[2:3] == ((self.root / "outputs").resolve(),)

    def checkpoint(self, sweep: UUID, job: UUID, claim: UUID) -> Path:
        """Return the file of a worker's checkpoint of a running job."""
        return self.job_directory(sweep, job) / f"{CHECKPOINT}{claim.hex}.npz"

    def output(self, sweep: UUID, job: UUID, datatype: str, output: UUID) -> Path:
        """Return the finished file of one output, named as in the GUI."""
        return self.job_directory(sweep, job) / f"{datatype}_{output.hex}.h5"

    def datatype(self, datatype: str, gid: UUID) -> Path:
        """Return a file that many jobs refer to, such as the Connectivity."""
        return self.root / "datatypes" / f"{datatype}_{gid.hex}.h5"

    def tvb1_datatype(self, datatype: str, gid: UUID) -> Path:
        """Return the same in the format of TVB 1."""
        return self.root / "datatypes" / "tvb1" / f"{datatype}_{gid.hex}.h5"

    @property
    def inputs(self) -> Path:
        """The directory of input files; a worker reads no others."""
        return self.root / "inputs"

    def input(self, sha256: str, suffix: str) -> Path:
        """Return an input file of a spec, stored by its content."""
        return self.inputs / f"{sha256}{suffix}"

    def bundle(self, name: str) -> Path:
        """Return a ZIP for the GUI; always in its folder, for any name."""
        plain = re.sub(r"[^\w .+-]", "_", name).lstrip(".")[:200]
        return self.root / "bundles" / f"{plain or '_'}.zip"

    def relative(self, path: Path) -> str:
        """Return `path` relative to the data directory, as in rows.

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
        """Return the file that a row names.

        Raises
        ------
        OutputError
            The row names a place outside the data directory.
        """
        try:
            path = (self.root / relative).resolve()
        except (OSError, RuntimeError, ValueError) as exc:  # A cycle of links, or an invalid file name.
            raise OutputError(f"{relative}: not a usable file name ({exc})") from exc
        if not path.is_relative_to(self.root.resolve()):
            raise OutputError(f"{relative}: leaves the data directory {self.root}")
        if path.relative_to(self.root.resolve()).parts[:1] not in (("outputs",), ("datatypes",), ("inputs",)):
            raise OutputError(f"{relative}: not a directory for results in the data directory {self.root}")
        return path


def part(path: Path) -> Path:
    """Return the unfinished twin of `path`, in the same directory, so that the final rename is atomic."""
    return path.with_name(path.name + ".part")


def check_writable(storage: Storage) -> None:
    """Check that files can be created in the data directory; create it if it is missing.

    Raises
    ------
    OutputError
        They cannot; the message has the reason.
    """
    storage_time(storage)


def storage_time(storage: Storage) -> float:
    """Return the time of the clock that dates the storage's files, in seconds since 1970; it may be a server's clock.

    Raises
    ------
    OutputError
        No file can be created there; the message has the reason.
    """
    try:
        storage.root.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=storage.root, prefix=".writable-") as file:
            return os.fstat(file.fileno()).st_mtime
    except OSError as exc:
        raise OutputError(
            f"data directory {storage.root}: {exc.strerror}; expected a writable directory; "
            "name another with TVB_BATCH_DATA_DIR"
        ) from exc
