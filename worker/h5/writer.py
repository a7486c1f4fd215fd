"""Writes a time series a chunk at a time. Called by `worker.run`.

Never gives a file its final name: that is `worker.h5.verify.publish`, after the file was checked.
"""

import contextlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from models.errors import OutputError
from worker.h5.tvb2 import PROVENANCE, Header, Statistics, time_series, write_attributes
from worker.h5.verify import as_output_error

#: Bytes of one HDF5 chunk of the data. TVB's own are one frame; writing frame by frame costs 40 times as much.
CHUNK_BYTES = 512 * 1024


class TimeSeriesWriter:
    """One growing file; what it holds in memory is the chunk it was given last.

    Parameters
    ----------
    path : the unfinished file; replaced when it is there
    header : what the file says of itself
    sample_shape : (state variables, nodes, modes) of one sample
    provenance : texts written as attributes of the group `tvb_batch`
    samples : how many are expected; a short series does not pay for a long one's chunks
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
        samples: int = 4096,
        inputs: Mapping[str, bytes] | None = None,
    ) -> None:
        self._path, self._header = path, header
        self._data_statistics, self._time_statistics = Statistics(), Statistics()
        frame = int(np.prod(sample_shape)) * 8
        frames = max(1, min(CHUNK_BYTES // frame, samples))
        with as_output_error(path, ""):
            path.parent.mkdir(parents=True, exist_ok=True)
            # A chunk filled by several appends stays in the cache until it is full.
            self._file = h5py.File(path, "w", rdcc_nbytes=max(4 * frame * frames, 2**20))
            self._data = self._file.create_dataset(
                "data", (0, *sample_shape), "f8", maxshape=(None, *sample_shape), chunks=(frames, *sample_shape)
            )
            self._time = self._file.create_dataset(
                "time", (0,), "f8", maxshape=(None,), chunks=(max(1, min(4096, samples)),)
            )
            group = self._file.create_group(PROVENANCE)
            for name, text in provenance.items():
                group.attrs[name] = text
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
            The chunk does not continue the file, or the disk refused it.
        """
        self._check_continues(time, data)
        done = self._time.shape[0]
        with as_output_error(self._path, "data"):
            self._data.resize(done + len(time), axis=0)
            self._data[done:] = data
            self._time.resize(done + len(time), axis=0)
            self._time[done:] = time
        self._data_statistics.add(data)
        self._time_statistics.add(time)

    def close(self) -> None:
        """Annotate the file with what is known of the whole of it, and close it.

        Raises
        ------
        OutputError
            There is no sample in it (TVB's viewers cannot open such a file), or the disk refused it.
        """
        if not self._time.shape[0]:
            self.abort()
            raise OutputError(f"{self._path}: no sample; simulation_length is shorter than the monitor's period")
        with as_output_error(self._path, "attributes"):
            header = replace(self._header, is_nan=self._data_statistics.is_nan)
            write_attributes(self._file, time_series(header))
            self._data.attrs.update(self._data_statistics.attributes(self._data.dtype))
            self._time.attrs.update(self._time_statistics.attributes(self._time.dtype))
            self._file.close()

    def abort(self) -> None:
        """Let go of the file, whatever state it is in; the caller removes it."""
        with contextlib.suppress(OSError, RuntimeError, ValueError):
            self._file.close()

    def _check_continues(self, time: NDArray[np.float64], data: NDArray[np.float64]) -> None:
        if data.shape != (len(time), *self._data.shape[1:]):
            raise OutputError(f"{self._path}::data: {data.shape}, expected {(len(time), *self._data.shape[1:])}")
        last = self._time_statistics.maximum
        if len(time) and (not time[0] > last or not (np.diff(time) > 0).all()):
            raise OutputError(f"{self._path}::time: {time[0]:g} ms after {last:g} ms; expected increasing times")
