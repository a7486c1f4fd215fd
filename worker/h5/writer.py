"""Writes a time series a chunk at a time. Called by `worker.run`.

Never gives a file its final name: that is `worker.h5.verify.publish`, after the file was checked.

A file whose number of samples is known is laid out whole before its first sample, so that a crash after `flush` can
damage nothing that was flushed: from then on HDF5 writes samples to their places, and no word of its own.
"""

import contextlib
import ctypes
import errno
import os
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from models.errors import OutputError
from worker.h5.tvb2 import PROVENANCE, Header, Statistics, put, time_series, write_attributes
from worker.h5.verify import as_output_error, sync

#: Bytes of one HDF5 chunk of the data. TVB's own are one frame; writing frame by frame costs 40 times as much.
CHUNK_BYTES = 512 * 1024

#: Bytes copied at once from the file of an earlier attempt.
COPY_BYTES = 16 * 2**20


#: Files that could not be written. HDF5 can neither close them nor be asked to: it tries to write what is left, and may
#: take the process with it.
_LOST: list["TimeSeriesWriter"] = []


def has_lost_files() -> bool:
    """Whether this process holds files that HDF5 will never let go of; it should end soon."""
    return bool(_LOST)


class DamagedError(OutputError):
    """The unfinished file of an earlier attempt does not hold what it held."""


class TimeSeriesWriter:
    """One growing file; what it holds in memory is the chunk it was given last.

    Parameters
    ----------
    path : the unfinished file; replaced when it is there
    header : what the file says of itself
    sample_shape : (state variables, nodes, modes) of one sample
    provenance : texts written as attributes of the group `tvb_batch`
    samples : how many there will be; None when nobody knows
    inputs : files written as bytes into the same group, by their names in the spec

    Raises
    ------
    OutputError
        The file cannot be made.
    """

    def __init__(
        self,
        path: Path,
        header: Header,
        sample_shape: tuple[int, ...],
        provenance: Mapping[str, str],
        samples: int | None = None,
        inputs: Mapping[str, bytes] | None = None,
    ) -> None:
        self._path, self._header = path, header
        self._data_statistics, self._time_statistics = Statistics(), Statistics()
        self._done, self._checksum = 0, 0
        frame = int(np.prod(sample_shape)) * 8
        # A short series does not pay for a long one's chunks.
        frames = max(1, min(CHUNK_BYTES // frame, samples or 4096))
        with as_output_error(path, ""):
            path.parent.mkdir(parents=True, exist_ok=True)
            # A chunk filled by several appends stays in the cache until it is full.
            reserve(path, (samples or 0) * (frame + 8))
            self._file = h5py.File(path, "w", rdcc_nbytes=max(4 * frame * frames, 2**20))
            self._data = self._make("data", samples or 0, sample_shape, frames)
            self._time = self._make("time", samples or 0, (), max(1, min(4096, samples or 4096)))
            group = self._file.create_group(PROVENANCE)
            for name, text in provenance.items():
                put(group, name, text)
            for name, content in (inputs or {}).items():
                group.create_dataset(name, data=np.frombuffer(content, np.uint8))
        with self._writing(""):
            self._file.flush()
            reserve(path, path.stat().st_size)

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """(state variables, nodes, modes)"""
        return tuple(int(length) for length in self._data.shape[1:])

    def append(self, time: NDArray[np.float64], data: NDArray[np.float64]) -> None:
        """Append one chunk of monitor output.

        Parameters
        ----------
        time : (n,) float64, ms, strictly increasing and after the last appended time
        data : (n, state variables, nodes, modes) float64, TVB's order

        Raises
        ------
        OutputError
            The chunk does not continue the file, or the disk refused it.
        """
        self._check_continues(time, data)
        done, end = self._done, self._done + len(time)
        with self._writing("data"):
            for dataset, values in ((self._data, data), (self._time, time)):
                if end > dataset.shape[0]:
                    dataset.resize(end, axis=0)
                dataset[done:end] = values
        self._done = end
        self._data_statistics.add(data)
        self._time_statistics.add(time)
        self._checksum = _checksum(self._checksum, time, data)

    def flush(self) -> tuple[int, int]:
        """Bring everything appended so far to the disk; gives how many samples that is, and their checksum.

        Raises
        ------
        OutputError
            The disk refused it.
        """
        with self._writing("data"):
            self._file.flush()
            sync(self._path)
        return self._done, self._checksum

    def copy(self, path: Path, samples: int, checksum: int, between: Callable[[], object] = lambda: None) -> None:
        """Append the first samples of another unfinished file of the same series, which may still be written to.

        Parameters
        ----------
        samples, checksum : what `flush` gave for that file
        between : called after each block

        Raises
        ------
        DamagedError
            The samples are not there, or not what they were.
        OutputError
            This file cannot be written.
        """
        rows = max(1, COPY_BYTES // max(1, 8 * int(np.prod(self._data.shape[1:]))))
        for start in range(0, samples, rows):
            self.append(*_read(path, slice(start, min(start + rows, samples))))
            between()
        if (self._done, self._checksum) != (samples, checksum):
            raise DamagedError(f"{path}: its first {samples} samples are not what was written")

    def close(self) -> None:
        """Annotate the file with what is known of the whole of it, and close it.

        Raises
        ------
        OutputError
            There is no sample in it (TVB's viewers cannot open such a file), or the disk refused it.
        """
        if not self._done:
            self.abort()
            raise OutputError(f"{self._path}: no sample; simulation_length is shorter than the monitor's period")
        with self._writing("attributes"):
            for dataset in (self._data, self._time):
                if dataset.shape[0] != self._done:
                    dataset.resize(self._done, axis=0)
            header = replace(self._header, is_nan=self._data_statistics.is_nan)
            write_attributes(self._file, time_series(header))
            self._data_statistics.write(self._data)
            self._time_statistics.write(self._time)
            self._file.close()

    def abort(self) -> None:
        """Let go of the file, whatever state it is in; the caller removes it."""
        if self in _LOST:
            return
        with contextlib.suppress(OSError, RuntimeError, ValueError):
            self._file.close()

    @contextlib.contextmanager
    def _writing(self, key: str) -> Iterator[None]:
        try:
            with as_output_error(self._path, key):
                yield
        except OutputError:
            _LOST.append(self)
            raise

    def _make(self, name: str, samples: int, shape: tuple[int, ...], frames: int) -> h5py.Dataset:
        """A dataset with places for its samples; those not written yet take no room on most file systems."""
        layout = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        if samples:
            layout.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
            layout.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        return self._file.create_dataset(
            name, (samples, *shape), "f8", maxshape=(None, *shape), chunks=(frames, *shape), dcpl=layout
        )

    def _check_continues(self, time: NDArray[np.float64], data: NDArray[np.float64]) -> None:
        if data.shape != (len(time), *self._data.shape[1:]):
            raise OutputError(f"{self._path}::data: {data.shape}, expected {(len(time), *self._data.shape[1:])}")
        last = self._time_statistics.maximum
        if len(time) and (not time[0] > last or not (np.diff(time) > 0).all()):
            raise OutputError(f"{self._path}::time: {time[0]:g} ms after {last:g} ms; expected increasing times")


def reserve(path: Path, size: int) -> None:
    """Claim the room of a file before anything is computed for it, where the file system can do so.

    Raises
    ------
    OSError
        There is not so much room.
    """
    with path.open("ab") as file:
        free = os.statvfs(path)
        if size - os.fstat(file.fileno()).st_blocks * 512 > free.f_bavail * free.f_frsize:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        # Not `os.posix_fallocate`, which writes every block where the file system knows no better.
        fallocate = getattr(ctypes.CDLL(None, use_errno=True), "fallocate64", None)
        if size and fallocate is not None:
            fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
            number = ctypes.get_errno() if fallocate(file.fileno(), 0, 0, size) else 0
            if number not in (0, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL):
                raise OSError(number, os.strerror(number))


def _checksum(so_far: int, time: NDArray[np.float64], data: NDArray[np.float64]) -> int:
    """Of times and samples, each in its own 32 bits: the same whatever the chunks."""
    times, values = so_far >> 32, so_far & 0xFFFFFFFF
    times = zlib.crc32(np.ascontiguousarray(time, dtype="f8").data, times) if time.size else times
    values = zlib.crc32(np.ascontiguousarray(data, dtype="f8").data, values) if data.size else values
    return times << 32 | values


def _read(path: Path, rows: slice) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    try:
        # Whoever wrote it may have stopped in the middle, and hold the file's lock until it is gone.
        with h5py.File(path, "r", locking=False) as file:
            return file["time"][rows], file["data"][rows]
    except (OSError, RuntimeError, ValueError, KeyError) as exc:
        reason = str(exc).splitlines()[0] if str(exc) else type(exc).__name__
        raise DamagedError(f"{path}: cannot be read ({reason})") from exc
