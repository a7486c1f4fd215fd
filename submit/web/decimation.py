"""Reads what a plot of a time series needs: the minimum and maximum of each pixel, in bounded memory.

For a window of more samples than `MOST_SAMPLES`, only the first samples of each pixel are read.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Maximum number of samples read from a window, so that even a week of simulation is shown fast.
MOST_SAMPLES = 200_000
#: Samples read at once.
BLOCK = 20_000


@dataclass(frozen=True)
class Envelope:
    """The minimum and maximum of each node at each pixel."""

    #: (pixels,) ms; the time of the first sample of each pixel.
    times: NDArray[np.float64]
    #: (pixels, nodes)
    low: NDArray[np.float64]
    #: (pixels, nodes)
    high: NDArray[np.float64]
    #: Number of samples read, and in the window.
    read: int
    samples: int


def envelope(
    data: Any, time: Any, *, nodes: list[int], variable: int = 0, mode: int = 0,
    start: float | None = None, stop: float | None = None, pixels: int = 800,
) -> Envelope:  # fmt: skip
    """Return the envelope of a window of a series.

    Parameters
    ----------
    data : h5py dataset of shape (time, state variable, node, mode)
    time : h5py dataset of shape (time,), ms, increasing
    nodes : indices of nodes
    start, stop : ms; None for the whole series
    """
    first = 0 if start is None else _index(time, start)
    last = len(time) if stop is None else max(first + 1, _index(time, stop, after=True))
    first = min(first, last - 1)
    edges = np.unique(np.linspace(first, last, min(pixels, last - first) + 1).astype(int))
    most = max(1, MOST_SAMPLES // (len(edges) - 1))
    low = np.full((len(edges) - 1, len(nodes)), np.nan)
    high, read = low.copy(), 0
    # h5py selects a slice faster than a list of indices.
    span = slice(min(nodes), max(nodes) + 1)
    columns = [node - span.start for node in nodes]
    block, block_start = np.empty((0, len(nodes))), first
    for pixel, (begin, end) in enumerate(pairwise(edges.tolist())):
        end = min(end, begin + most)
        if not block_start <= begin < end <= block_start + len(block):
            # Complete intervals are adjacent and read together; partly read intervals are read one by one.
            until = end if most < edges[pixel + 1] - begin else max(end, min(begin + BLOCK, last))
            block, block_start = data[begin:until, variable, span, mode][:, columns], begin
        part = block[begin - block_start : end - block_start]
        read += len(part)
        finite = np.where(np.isfinite(part), part, np.nan)
        seen = ~np.isnan(finite).all(axis=0)
        if seen.any():
            low[pixel, seen] = np.nanmin(finite[:, seen], axis=0)
            high[pixel, seen] = np.nanmax(finite[:, seen], axis=0)
    times = _times(time, edges[:-1])
    return Envelope(times, low, high, read, int(last - first))


def _times(time: Any, places: NDArray[Any]) -> NDArray[np.float64]:
    # Monitors sample at equal steps, so two values are enough, and the times are never read completely.
    begin, end, count = float(time[0]), float(time[len(time) - 1]), max(1, len(time) - 1)
    times: NDArray[np.float64] = begin + (end - begin) * places / count
    return times


def _index(time: Any, wanted: float, *, after: bool = False) -> int:
    """Return the first sample at or after the time (with `after`, only after), by bisection."""
    low, high = 0, len(time)
    while low < high:
        middle = (low + high) // 2
        if time[middle] < wanted or (after and time[middle] == wanted):
            low = middle + 1
        else:
            high = middle
    return low
