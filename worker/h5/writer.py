"""Writes a time series chunk by chunk.

It never gives a file its final name; `worker.h5.verify.publish` does this after a check. If the number of samples is
known, the file gets its full layout before the first sample. Then a crash after `flush` cannot damage flushed data:
HDF5 writes samples to their places, and no metadata.
"""

import contextlib
import math
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from tvb_batch.models.errors import OutputError
from tvb_batch.worker.h5.disk import check_room, reserve, start_sync
from tvb_batch.worker.h5.tvb2 import PROVENANCE, ArrayStatistics, Header, time_series, write_attribute, write_attributes
from tvb_batch.worker.h5.verify import as_output_error, sync

#: Size of one HDF5 chunk of the data. Bytes. TVB's chunks are one frame; this is 40 times slower.
CHUNK_BYTES = 512 * 1024

#: The type of stored numbers.
_NUMBERS = h5py.h5t.NATIVE_DOUBLE

#: Bytes copied at once from the file of an earlier attempt.
COPY_BYTES = 4 * 2**20


#: Files that could not be written. HDF5 can neither close them nor be asked to: it tries to write what is left, and may
#: take the process with it.
_LOST: list["TimeSeriesWriter"] = []


def has_lost_files() -> bool:
    """Return whether this process holds files that HDF5 cannot close; it should end soon."""
    return bool(_LOST)


class DamagedError(OutputError):
    """The unfinished file of an earlier attempt has changed."""


class TimeSeriesWriter:
    """One growing file; only the last chunk is in memory.

    Parameters
    ----------
    path : the unfinished file; an existing one is replaced
    header : the attributes known before the data
    sample_shape : (state variables, nodes, modes) of one sample
    provenance : texts written as attributes of the group `tvb_batch`
    samples : the expected number of samples; None if it is not known
    inputs : files written as bytes into the same group, by their names in the spec

    Raises
    ------
    OutputError
        The file cannot be created.
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
        self.sample_shape = sample_shape
        self._data_statistics, self._time_statistics = ArrayStatistics(), ArrayStatistics()
        self._done, self._checksum = 0, 0
        #: Number of samples that the datasets have space for.
        self._room = samples or 0
        frame = 8 * math.prod(sample_shape)
        size = self._room * (frame + 8)
        # A short series has smaller chunks.
        frames = max(1, min(CHUNK_BYTES // frame, samples or 4096))
        with as_output_error(path, ""):
            path.parent.mkdir(parents=True, exist_ok=True)
            check_room(path.parent, size)
            # A cache of chunks would only be another copy.
            self._file = h5py.File(path, "w", rdcc_nbytes=0)
            try:
                # Reserve the space now, while the file is nearly empty: HDF5 cannot close a file that it cannot write.
                reserve(self._file.id.get_vfd_handle(), size)
            except OSError:
                self.abort()
                raise
            self._data = self._make("data", sample_shape, frames)
            self._time = self._make("time", (), max(1, min(4096, samples or 4096)))
            group = h5py.Group(h5py.h5g.create(self._file.id, PROVENANCE.encode()))
            for name, text in provenance.items():
                write_attribute(group, name, text)
            for name, content in (inputs or {}).items():
                group.create_dataset(name, data=np.frombuffer(content, np.uint8))

    def append(self, time: NDArray[np.float64], data: NDArray[np.float64]) -> None:
        """Append one chunk of monitor output.

        Parameters
        ----------
        time : (n,) float64, ms, strictly increasing and after the last appended time
        data : (n, state variables, nodes, modes) float64, TVB's order

        Raises
        ------
        OutputError
            The chunk does not continue the file, or it cannot be written.
        """
        self._check_continues(time, data)
        if not len(time):
            return
        end = self._done + len(time)
        with self._writing("data"):
            if end > self._room:
                self._resize(end)
            _write(self._data, self._done, data)
            _write(self._time, self._done, time)
        self._done = end
        self._data_statistics.add(data)
        self._time_statistics.add(time)
        self._checksum = _checksum(self._checksum, time, data)

    def flush(self) -> tuple[int, int]:
        """Write all appended samples to the disk; return their number and checksum.

        Raises
        ------
        OutputError
            They cannot be written.
        """
        with self._writing("data"):
            self._file.flush()
            sync(self._path)
        return self._done, self._checksum

    def copy(self, path: Path, samples: int, checksum: int, between: Callable[[], object] = lambda: None) -> None:
        """Append the first samples of another unfinished file of the series; its process may still write to it.

        Parameters
        ----------
        samples, checksum : returned by `flush` for that file
        between : called after each block

        Raises
        ------
        DamagedError
            The samples are missing or have changed.
        OutputError
            This file cannot be written.
        """
        rows = max(1, COPY_BYTES // (8 * math.prod(self.sample_shape)))
        for start in range(0, samples, rows):
            self.append(*_read(path, slice(start, min(start + rows, samples))))
            between()
        if (self._done, self._checksum) != (samples, checksum):
            raise DamagedError(f"{path}: its first {samples} samples are not what was written")

    def close(self) -> list[tuple[int, int]]:
        """Add the attributes of the whole series, and close the file.

        Returns
        -------
        (first byte, end) of each part of the file that holds only samples.

        Raises
        ------
        OutputError
            There is no sample (TVB's viewers cannot open such a file), or it cannot be written.
        """
        if not self._done:
            self.abort()
            raise OutputError(f"{self._path}: no sample; simulation_length is shorter than the monitor's period")
        with self._writing("attributes"):
            if self._done < self._room:
                self._resize(self._done)
            header = replace(self._header, is_nan=self._data_statistics.is_nan)
            write_attributes(self._file, time_series(header))
            self._data_statistics.write(self._data)
            self._time_statistics.write(self._time)
            samples = [*_places(self._data), *_places(self._time)]
            self._file.flush()
            start_sync(self._file.id.get_vfd_handle())
            self._file.close()
        return samples

    def abort(self) -> None:
        """Close the file in any state; the caller removes it."""
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

    def _make(self, name: str, shape: tuple[int, ...], frames: int) -> h5py.Dataset:
        """Create a dataset with space for its samples; most file systems allocate it when samples are written."""
        layout = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        layout.set_obj_track_times(False)
        layout.set_chunk((frames, *shape))
        if self._room:
            layout.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
            layout.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        space = h5py.h5s.create_simple((self._room, *shape), (h5py.h5s.UNLIMITED, *shape))
        return h5py.Dataset(h5py.h5d.create(self._file.id, name.encode(), _NUMBERS, space, layout))

    def _resize(self, samples: int) -> None:
        for dataset in (self._data, self._time):
            dataset.resize(samples, axis=0)
        self._room = samples

    def _check_continues(self, time: NDArray[np.float64], data: NDArray[np.float64]) -> None:
        if data.shape != (len(time), *self.sample_shape):
            raise OutputError(f"{self._path}::data: {data.shape}, expected {(len(time), *self.sample_shape)}")
        last = self._time_statistics.maximum
        if len(time) and (not time[0] > last or not (np.diff(time) > 0).all()):
            raise OutputError(f"{self._path}::time: {time[0]:g} ms after {last:g} ms; expected increasing times")


def _write(dataset: h5py.Dataset, start: int, values: NDArray[np.float64]) -> None:
    """Write rows, 4 times as fast as h5py's slices."""
    values = np.ascontiguousarray(values, np.float64)
    place = dataset.id.get_space()
    place.select_hyperslab((start, *(0,) * (values.ndim - 1)), values.shape)
    dataset.id.write(h5py.h5s.create_simple(values.shape), place, values, _NUMBERS)


def _places(dataset: h5py.Dataset) -> list[tuple[int, int]]:
    """Return (first byte, end) of each part of the file that a dataset uses; adjacent chunks are one part."""
    places: list[tuple[int, int]] = []

    def add(chunk: Any) -> None:
        start, end = chunk.byte_offset, chunk.byte_offset + chunk.size
        if places and places[-1][1] == start:
            start, _ = places.pop()
        places.append((start, end))

    dataset.id.chunk_iter(add)
    return places


def _checksum(so_far: int, time: NDArray[np.float64], data: NDArray[np.float64]) -> int:
    """Return the checksum of times and samples, 32 bits each; it does not depend on the chunks."""
    times, values = so_far >> 32, so_far & 0xFFFFFFFF
    times = zlib.crc32(np.ascontiguousarray(time, dtype="f8").data, times) if time.size else times
    values = zlib.crc32(np.ascontiguousarray(data, dtype="f8").data, values) if data.size else values
    return times << 32 | values


def _read(path: Path, rows: slice) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    try:
        # Its writer may be frozen and still hold the lock of the file.
        with h5py.File(path, "r", locking=False) as file:
            return file["time"][rows], file["data"][rows]
    except (OSError, RuntimeError, ValueError, KeyError) as exc:
        reason = str(exc).splitlines()[0] if str(exc) else type(exc).__name__
        raise DamagedError(f"{path}: cannot be read ({reason})") from exc
