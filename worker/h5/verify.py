"""Opens a written file again, checks it against its own header, and gives it its final name.

It reads in bounded memory.
"""

import contextlib
import errno
import hashlib
import math
import os
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import h5py
import numpy as np
from numpy.typing import NDArray

from tvb_batch.models.errors import OutputError, StorageError
from tvb_batch.models.tvb.h5_guard import open_h5
from tvb_batch.worker.h5.formats import FORMATS, LABELS_ORDERING, REQUIRED, Format
from tvb_batch.worker.h5.tvb2 import DATA_VERSION, ArrayStatistics, attribute_names, read_attribute

#: Bytes read at once; larger blocks do not fit into the processor's cache.
BLOCK = 2**20
#: Maximum size of a dataset that is read once and stays in memory. Bytes.
WHOLE = 16 * 2**20

#: Errors of a full, read-only or missing storage, which the job did not cause.
STORAGE_FAULTS = frozenset({
    errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.ENODEV, errno.ETIMEDOUT,
})  # fmt: skip


@dataclass(frozen=True)
class Verified:
    """The facts of a checked time series."""

    #: (time, state variable, node, mode)
    shape: tuple[int, ...]
    is_nan: bool
    bytes: int
    sha256: str
    #: The samples; in memory if they are few, so that they are not read again.
    numbers: h5py.Dataset | NDArray[Any] = field(compare=False, repr=False)


@contextlib.contextmanager
def verified(path: Path, gid: UUID, samples: Sequence[tuple[int, int]] = ()) -> Iterator[Verified]:
    """Check the time series at `path` and yield its facts; the file stays open until the block ends.

    Parameters
    ----------
    samples : (first byte, end) of each part of the file that holds only samples

    Raises
    ------
    OutputError
        Something is missing or wrong; the message names the file and the key.
    """
    with _reopened(path, samples) as file:
        _check_attributes(path, file, gid, LABELS_ORDERING)
        numbers, is_nan = _check_data(path, file)
        shape = tuple(int(length) for length in numbers.shape)
        yield Verified(shape, is_nan, path.stat().st_size, sha256(path), numbers)


def verify(path: Path, gid: UUID) -> Verified:
    """Check the time series at `path` and return its facts; see `verified`."""
    with verified(path, gid) as found:
        return found


def verify_datatype(path: Path, gid: UUID) -> None:
    """Check that the datatype at `path` has everything that the GUI needs for its kind.

    Raises
    ------
    OutputError
        Something is missing or wrong; the message names the file and the key.
    """
    with _reopened(path) as file:
        wanted = _check_attributes(path, file, gid, FORMATS)
        for name in wanted.datasets:
            if name not in file:
                raise OutputError(f"{path}::{name}: missing")
        for name in wanted.datasets:
            # Texts, empty datasets and sparse matrices have no statistics of their own.
            if file[name].dtype.kind in "fib" and file[name].size and not name.startswith("matrix"):
                _check_statistics(path, file[name], file[name])


def publish(unfinished: Path, final: Path) -> None:
    """Rename a finished file to its final name; a crash leaves the complete file or none.

    Raises
    ------
    OutputError
        It cannot be renamed.
    """
    try:
        sync(unfinished)
        unfinished.replace(final)
        sync(final.parent)
    except OSError as exc:
        raise output_error(exc, f"{final}: cannot be renamed ({exc.strerror})") from exc


def sha256(path: Path) -> str:
    """Return the checksum of the file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def as_output_error(path: Path, key: str) -> Iterator[None]:
    """Raise h5py's errors as OutputError: OSError, and others if HDF5 noticed the error late."""
    try:
        yield
    except (OSError, RuntimeError, ValueError) as exc:
        reason = str(exc).splitlines()[0] if str(exc) else type(exc).__name__
        raise output_error(exc, f"{path}{'::' + key if key else ''}: cannot be written ({reason})") from exc


def output_error(exc: BaseException, message: str) -> OutputError:
    """Return a StorageError if the storage is the cause, otherwise an OutputError.

    HDF5 gives the error number only in its text.
    """
    found = re.search(r"errno = (\d+)", str(exc))
    number = int(found[1]) if found else getattr(exc, "errno", None)
    if number not in STORAGE_FAULTS:
        return OutputError(message)
    return StorageError(
        f"{message}: {os.strerror(number)}; the job continues when there is free space, or the storage is mounted again"
    )


@contextlib.contextmanager
def _reopened(path: Path, samples: Sequence[tuple[int, int]] = ()) -> Iterator[h5py.File]:
    """Open the file as it is on the storage; raise h5py's errors of damaged files as OutputError."""
    try:
        try:
            file = open_h5(path, samples)
        except OSError as exc:
            raise OutputError(f"{path}: not a readable H5 file ({str(exc).splitlines()[0]})") from exc
        with file:
            yield file
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError) as exc:
        lines = str(exc).splitlines()
        raise OutputError(f"{path}: damaged ({lines[0] if lines else type(exc).__name__})") from exc


def _check_attributes(path: Path, file: h5py.File, gid: UUID, known: Collection[str]) -> Format:
    """Return the format of the file's kind, which must be in `known`, after checking its attributes."""
    names = attribute_names(file)
    _check_there(path, names, REQUIRED)
    for name, expected in (("Data_version", DATA_VERSION), ("gid", gid.urn)):
        if (found := read_attribute(file, f"TVB_{name}")) != expected:
            raise OutputError(f"{path}::TVB_{name}: {found}, expected {expected}")
    by_class = {FORMATS[name].written_by: FORMATS[name] for name in known}
    writer = str(read_attribute(file, "TVB_written_by"))
    wanted = by_class.get(writer)
    if wanted is None:
        raise OutputError(f"{path}::TVB_written_by: {writer}, expected one of {list(by_class)}")
    _check_there(path, names, wanted.attributes + wanted.references)
    for name in wanted.references + wanted.optional_references:
        if f"TVB_{name}" in names:
            _check_urn(path, name, read_attribute(file, f"TVB_{name}"))
    return wanted


def _check_there(path: Path, found: Collection[str], names: tuple[str, ...]) -> None:
    for name in names:
        if f"TVB_{name}" not in found:
            raise OutputError(f"{path}::TVB_{name}: missing")


def _check_urn(path: Path, name: str, found: object) -> None:
    try:
        valid = UUID(str(found)).urn == found
    except ValueError:
        valid = False
    if not valid:
        raise OutputError(f"{path}::TVB_{name}: {found!r}, expected urn:uuid: and the gid of a datatype")


def _check_data(path: Path, file: h5py.File) -> tuple[h5py.Dataset | NDArray[Any], bool]:
    """Check the numbers of the series; return whether there is a NaN."""
    data, time = (_dataset(path, file, name) for name in ("data", "time"))
    if len(data.shape) != 4 or 0 in data.shape:
        raise OutputError(f"{path}::data: shape {data.shape}, expected four dimensions and at least one sample")
    if time.shape != data.shape[:1]:
        raise OutputError(f"{path}::time: shape {time.shape}, expected {data.shape[:1]}")
    numbers, times = _numbers(data), _numbers(time)
    _check_statistics(path, data, numbers)
    _check_statistics(path, time, times)
    last = -math.inf
    for block in _blocks(times):
        if not (block[0] > last and (np.diff(block) > 0).all()):
            raise OutputError(f"{path}::time: not strictly increasing")
        last = block[-1]
    said, is_nan = read_attribute(file, "TVB_is_nan"), bool(np.isnan(read_attribute(data, "TVB_Minimum")))
    if (said == "bool:True") != is_nan:
        raise OutputError(f"{path}::TVB_is_nan: {said}, but the data says otherwise")
    return numbers, is_nan


def _dataset(path: Path, file: h5py.File, name: str) -> h5py.Dataset:
    """Open a dataset, twice as fast as h5py's mapping."""
    try:
        return h5py.Dataset(h5py.h5d.open(file.id, name.encode()))
    except KeyError as exc:
        raise OutputError(f"{path}::{name}: missing") from exc


def _numbers(dataset: h5py.Dataset) -> h5py.Dataset | NDArray[Any]:
    """Return a dataset, or an array in memory if it is small: it is read six times, and h5py's slices are slow."""
    shape, dtype = dataset.shape, dataset.dtype
    if dtype.itemsize * math.prod(shape) > WHOLE:
        return dataset
    numbers = np.empty(shape, dtype)
    dataset.id.read(h5py.h5s.ALL, h5py.h5s.ALL, numbers)
    return numbers


def _check_statistics(path: Path, dataset: h5py.Dataset, numbers: h5py.Dataset | NDArray[Any]) -> None:
    for fault in statistics_faults(path, dataset, numbers):
        raise OutputError(fault)


def statistics_faults(
    place: object, dataset: h5py.Dataset, numbers: h5py.Dataset | NDArray[Any] | None = None
) -> Iterator[str]:
    """Yield each of the dataset's five statistics that does not match its content.

    Parameters
    ----------
    place : the name of the file in messages
    numbers : the content, if it is already in memory
    """
    key, numbers = f"{place}::{dataset.name[1:]}", dataset if numbers is None else numbers
    statistics = ArrayStatistics()
    try:
        for block in _blocks(numbers):
            statistics.add(block)
    except OSError as exc:
        yield f"{key}: cannot be read ({exc})"
        return
    for name, value in statistics.attributes().items():
        try:
            found = read_attribute(dataset, name)
        except KeyError:
            yield f"{key}@{name}: missing"
            continue
        if not _same(found, value):
            yield f"{key}@{name}: {found}, expected {value}"


def _blocks(numbers: h5py.Dataset | NDArray[Any]) -> Iterator[NDArray[Any]]:
    for rows in portions(numbers):
        yield numbers[rows]


def portions(numbers: h5py.Dataset | NDArray[Any]) -> Iterator[slice]:
    """Yield the rows of a dataset, `BLOCK` bytes at a time, in whole chunks of the file if these are smaller."""
    rows = max(1, BLOCK // max(1, numbers.dtype.itemsize * math.prod(numbers.shape[1:])))
    chunks = getattr(numbers, "chunks", None)
    if chunks and chunks[0] < rows:
        rows -= rows % chunks[0]
    for start in range(0, numbers.shape[0], rows):
        yield slice(start, start + rows)


def _same(found: Any, value: Any) -> bool:
    if isinstance(value, str) or not isinstance(found, np.number | np.bool_):
        return isinstance(found, str) and bool(found == value)
    # The writer summed the mean in other blocks.
    if math.isnan(value):
        return math.isnan(found)
    return math.isclose(found, value, rel_tol=1e-9, abs_tol=1e-12)


def sync(path: Path) -> None:
    """Write the content of a file, or the names in a directory, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
