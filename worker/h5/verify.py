"""Reopens what was written and compares it with what it says; then gives it its final name.

Called by `worker.run` and the writers. Reads in bounded memory.
"""

import contextlib
import errno
import hashlib
import math
import os
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import h5py
import numpy as np

from models.errors import OutputError, StorageError
from models.h5 import open_h5
from worker.h5.formats import FORMATS, LABELS_ORDERING, REQUIRED, Format
from worker.h5.tvb2 import DATA_VERSION, Statistics

#: Bytes read at once.
BLOCK = 16 * 2**20

#: Full, over quota, read-only, or gone: no fault of the job.
STORAGE_FAULTS = frozenset({
    errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.ENODEV, errno.ETIMEDOUT,
})  # fmt: skip


@dataclass(frozen=True)
class Verified:
    """What a checked time series holds."""

    #: (time, state variable, node, mode)
    shape: tuple[int, ...]
    is_nan: bool
    bytes: int
    sha256: str


def verify(path: Path, gid: UUID) -> Verified:
    """What the time series at `path` holds, once everything in it was found to be right.

    Raises
    ------
    OutputError
        Something is missing or wrong; the message names the file and the key.
    """
    with _readable(path), _opened(path) as file:
        _check_attributes(path, file, gid, LABELS_ORDERING)
        shape = _check_data(path, file)
        is_nan = bool(file.attrs["TVB_is_nan"] == "bool:True")
    return Verified(shape, is_nan, path.stat().st_size, sha256(path))


def verify_datatype(path: Path, gid: UUID) -> None:
    """Return when the datatype at `path` has all that the GUI wants of its kind.

    Raises
    ------
    OutputError
        It has not; the message names the file and the key.
    """
    with _readable(path), _opened(path) as file:
        wanted = _check_attributes(path, file, gid, FORMATS)
        for name in wanted.datasets:
            if name not in file:
                raise OutputError(f"{path}::{name}: missing")
        for name in wanted.datasets:
            # Texts, empty datasets and sparse matrices have no statistics of their own.
            if file[name].dtype.kind in "fib" and file[name].size and not name.startswith("matrix"):
                _check_statistics(path, file[name])


def publish(unfinished: Path, final: Path) -> None:
    """Give a finished file its name, so that a crash leaves the whole file or none.

    Raises
    ------
    OutputError
        The disk refused it.
    """
    try:
        sync(unfinished)
        unfinished.replace(final)
        sync(final.parent)
    except OSError as exc:
        raise output_error(exc, f"{final}: cannot be named ({exc.strerror})") from exc


def sha256(path: Path) -> str:
    """The file's checksum, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def as_output_error(path: Path, key: str) -> Iterator[None]:
    """Whatever h5py raises while it writes, as OutputError: OSError, or another where HDF5 noticed late."""
    try:
        yield
    except (OSError, RuntimeError, ValueError) as exc:
        reason = str(exc).splitlines()[0] if str(exc) else type(exc).__name__
        raise output_error(exc, f"{path}{'::' + key if key else ''}: cannot be written ({reason})") from exc


def output_error(exc: BaseException, message: str) -> OutputError:
    """StorageError when the cause is the storage's and not the file's; HDF5 tells the number in its text alone."""
    found = re.search(r"errno = (\d+)", str(exc))
    number = int(found[1]) if found else getattr(exc, "errno", None)
    if number not in STORAGE_FAULTS:
        return OutputError(message)
    return StorageError(
        f"{message}: {os.strerror(number)}; the job goes on when there is room again, or the mount is back"
    )


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    """What h5py raises where a file is damaged inside, as OutputError."""
    try:
        yield
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError) as exc:
        lines = str(exc).splitlines()
        raise OutputError(f"{path}: damaged ({lines[0] if lines else type(exc).__name__})") from exc


def _opened(path: Path) -> h5py.File:
    try:
        return open_h5(path)
    except OSError as exc:
        raise OutputError(f"{path}: no readable H5 file ({str(exc).splitlines()[0]})") from exc


def _check_attributes(path: Path, file: h5py.File, gid: UUID, known: Collection[str]) -> Format:
    """The format of the file's kind, one of `known`, once all attributes it wants are there."""
    attributes = file["/"].attrs  # A file's own `attrs` looks the root up each time.
    names = frozenset(attributes)
    _check_there(path, names, REQUIRED)
    for name, expected in (("Data_version", DATA_VERSION), ("gid", gid.urn)):
        if (found := attributes[f"TVB_{name}"]) != expected:
            raise OutputError(f"{path}::TVB_{name}: {found}, expected {expected}")
    by_class = {FORMATS[name].written_by: FORMATS[name] for name in known}
    writer = str(attributes["TVB_written_by"])
    wanted = by_class.get(writer)
    if wanted is None:
        raise OutputError(f"{path}::TVB_written_by: {writer}, expected one of {list(by_class)}")
    _check_there(path, names, wanted.attributes + wanted.references)
    for name in wanted.references + wanted.optional_references:
        if f"TVB_{name}" in names:
            _check_urn(path, name, attributes[f"TVB_{name}"])
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


def _check_data(path: Path, file: h5py.File) -> tuple[int, ...]:
    for name in ("data", "time"):
        if name not in file:
            raise OutputError(f"{path}::{name}: missing")
    data, time = file["data"], file["time"]
    if data.ndim != 4 or 0 in data.shape:
        raise OutputError(f"{path}::data: shape {data.shape}, expected four dimensions and at least one sample")
    if time.shape != data.shape[:1]:
        raise OutputError(f"{path}::time: shape {time.shape}, expected {data.shape[:1]}")
    _check_statistics(path, data)
    _check_statistics(path, time)
    times = time[()]
    if not (np.diff(times) > 0).all():
        raise OutputError(f"{path}::time: not strictly increasing")
    statistics, said = data.attrs, file.attrs["TVB_is_nan"]
    is_nan = bool(np.isnan(statistics["TVB_Mean"])) and bool(np.isnan(statistics["TVB_Minimum"]))
    if (said == "bool:True") != is_nan:
        raise OutputError(f"{path}::TVB_is_nan: {said}, but the data says otherwise")
    return tuple(int(length) for length in data.shape)


def _check_statistics(path: Path, dataset: h5py.Dataset) -> None:
    for fault in statistics_faults(path, dataset):
        raise OutputError(fault)


def statistics_faults(place: object, dataset: h5py.Dataset) -> Iterator[str]:
    """What the dataset's five statistics say and its content does not; `place` is how its file is called."""
    key = f"{place}::{dataset.name[1:]}"
    statistics = Statistics()
    rows = max(1, BLOCK // max(1, dataset.dtype.itemsize * int(np.prod(dataset.shape[1:]))))
    try:
        for start in range(0, dataset.shape[0], rows):
            statistics.add(dataset[start : start + rows])
    except OSError as exc:
        yield f"{key}: cannot be read ({exc})"
        return
    said = dataset.attrs
    for name, value in statistics.attributes().items():
        found = said.get(name)
        if found is None:
            yield f"{key}@{name}: missing"
        elif not _same(found, value):
            yield f"{key}@{name}: {found}, expected {value}"


def _same(found: Any, value: Any) -> bool:
    if isinstance(value, str) or not isinstance(found, np.number | np.bool_):
        return isinstance(found, str) and bool(found == value)
    # The mean was summed in other portions when it was written.
    if math.isnan(value):
        return math.isnan(found)
    return math.isclose(found, value, rel_tol=1e-9, abs_tol=1e-12)


def sync(path: Path) -> None:
    """Bring what was written of a file, or of a directory's names, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
