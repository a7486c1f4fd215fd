"""Input files of simulations, stored once by their content in `inputs/` of the shared storage.

The client stores files and arrays there (`keep*`); `models.tvb.traits` and `models.spec.assembly` read them (`read_*`),
and a worker reads nothing else. TVB is not imported at import time.
"""

import contextlib
import hashlib
import io
import os
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from uuid import uuid4

from tvb_batch.models.errors import InputError, OutputError
from tvb_batch.models.paths import Storage, check_writable
from tvb_batch.models.tvb.components import Component, data_files
from tvb_batch.models.tvb.file_readers import read_array_file, without_marks
from tvb_batch.models.tvb.input_files import SUFFIXES, check_file
from tvb_batch.models.tvb.readers import read_datatype, read_shipped, read_sparse, reading

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: A younger input may belong to a submission that has not written its rows yet. Seconds.
YOUNG = 3600.0
_BLOCK = 2**20


class Inputs:
    """The directory `inputs/` of the shared storage."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def path(self, from_file: str) -> Path:
        """Return the file that a queued spec names.

        Raises
        ------
        InputError
            It is missing, its content does not match its name, or the name is outside `inputs/`.
        """
        try:
            path = self._storage.absolute(from_file)
        except OutputError as exc:
            raise InputError(f"{from_file}: outside the storage's inputs; submit the spec again") from exc
        if not path.is_relative_to(self._storage.inputs.resolve()):
            raise InputError(f"{from_file}: outside the storage's inputs; submit the spec again")
        # Use the given name: the file may be a link to a file with another name.
        path = self._storage.root / from_file
        if not path.is_file():
            raise InputError(f"{path}: no such file; submit the spec again where the data directory is mounted")
        if not is_whole(path):
            raise InputError(f"{path}: its content has changed since it was submitted; submit the spec again")
        return path

    def reserve(self, from_file: str) -> bool:
        """Protect a stored file from `prune` for the next `YOUNG` seconds; return False if it is missing.

        Raises
        ------
        OutputError
            The data directory cannot be written.
        """
        return _is_made_young(self._storage.absolute(from_file))

    def keep(self, source: Path) -> str:
        """Copy a file to `inputs/`, named by its content, unless it exists; return its name for a spec.

        Raises
        ------
        InputError
            The file cannot be read, or does not have the format of its suffix.
        OutputError
            The data directory cannot be written.
        """
        name = source.name.lower()
        suffix = next((suffix for suffix in SUFFIXES if name.endswith(suffix)), source.suffix)
        try:
            check_file(source)
            if (plain := without_marks(source)) is not None:
                return self._keep_bytes(plain, suffix)
            with source.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
                file.seek(0)
                return self._keep(file, digest, suffix)
        except OSError as exc:
            raise InputError(f"{source}: {exc.strerror or exc}") from exc

    def keep_array(self, array: "NDArray[Any]") -> str:
        """Store an array as .npy in its memory order; return its name for a spec."""
        import numpy as np

        buffer = io.BytesIO()
        # BLAS sums the columns of a Fortran array in another order: a last bit can depend on it.
        np.save(buffer, array, allow_pickle=False)
        return self._keep_bytes(buffer, ".npy")

    def keep_sparse(self, matrix: Any) -> str:
        """Store a scipy.sparse matrix as .npz; return its name for a spec."""
        from scipy import sparse

        buffer = io.BytesIO()
        sparse.save_npz(buffer, matrix.tocsc() if matrix.format not in ("csc", "csr") else matrix, compressed=False)
        return self._keep_bytes(buffer, ".npz")

    def read_array(self, from_file: str) -> Any:
        """Return the array of a .npy file, or the numbers of a text file.

        Raises
        ------
        InputError
            The file is missing or holds no array.
        """
        path = self.path(from_file)
        return reading(from_file, "an array", lambda: read_array_file(path))

    def read_sparse(self, from_file: str) -> Any:
        """Return the scipy.sparse matrix of a .npz file.

        Raises
        ------
        InputError
            The file is missing or holds no sparse matrix.
        """
        return read_sparse(self.path(from_file), from_file)

    def read_datatype(self, cls: Any, component: Component, from_file: str) -> Any:
        """Return a TVB datatype from a file of tvb-data, or from a stored file in one of TVB's formats.

        Parameters
        ----------
        cls : the TVB class of the datatype
        component : its declaration

        Raises
        ------
        InputError
            The file is missing, damaged, or holds something else.
        """
        if from_file in data_files(component.role):
            return read_shipped(cls, component, from_file)
        return read_datatype(cls, component, self.path(from_file), from_file)

    def _keep_bytes(self, buffer: io.BytesIO, suffix: str) -> str:
        return self._keep(buffer, hashlib.sha256(buffer.getvalue()).hexdigest(), suffix)

    def _keep(self, content: IO[bytes], digest: str, suffix: str) -> str:
        kept = self._storage.input(digest, suffix)
        if not (_is_made_young(kept) and is_whole(kept)):
            check_writable(self._storage)
            kept.parent.mkdir(parents=True, exist_ok=True)
            content.seek(0)
            _write_whole(content, kept)
        return self._storage.relative(kept)


#: Files that this process has verified, by their state.
_COMPARED: dict[Path, tuple[int, ...]] = {}


def is_whole(kept: Path) -> bool:
    """Return whether the content matches the name; cached in this process until the file changes.

    Raises
    ------
    InputError
        It cannot be read, or it is not a file of `keep`.
    """
    try:
        found = kept.stat()
        mark = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        if _COMPARED.get(kept) == mark:
            return True
        with kept.open("rb") as file:
            is_same = hashlib.file_digest(file, "sha256").hexdigest() == digest_of(kept.name)
        if is_same:
            check_file(kept)
    except OSError as exc:
        raise InputError(f"{kept}: {exc.strerror or exc}") from exc
    if is_same:
        _COMPARED[kept] = mark
    return is_same


def digest_of(name: str) -> str:
    """Return the sha256 in the name of a stored file."""
    return name.rpartition("/")[2].partition(".")[0]


def _is_made_young(kept: Path) -> bool:
    """Set a stored file's date to now; return False if it is missing.

    `submit.operate.removal` checks the date after it has set the file aside: it sees this call, or this call comes
    later and finds no file.
    """
    try:
        os.utime(kept)  # Sets the time of the storage's clock.
    except FileNotFoundError:
        return False
    except PermissionError:
        # It belongs to another user: replace it with a copy of this user.
        with contextlib.suppress(FileNotFoundError), kept.open("rb") as file:
            _write_whole(file, kept)
            return True
        return False
    except OSError as exc:
        raise OutputError(f"{kept}: cannot be kept ({exc.strerror}); expected a writable data directory") from exc
    return True


def _write_whole(content: IO[bytes], target: Path) -> None:
    # Not Python's temporary file, which only its owner can read: a group may share the data directory.
    part = target.with_name(f".{target.name}.{uuid4().hex}")
    with part.open("xb") as copy:
        while block := content.read(_BLOCK):
            copy.write(block)
        copy.flush()
        os.fsync(copy.fileno())
    part.replace(target)
