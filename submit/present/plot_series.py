"""Plots one job: time series, spectrum and functional connectivity. Imports matplotlib.

Long series are read chunk by chunk and drawn with the minimum and maximum of each pixel, so files of any size work.
"""

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from tvb_batch.submit.present.plots import Picture

#: Maximum number of nodes with a line, and of nodes in the matrix; of more nodes, an evenly spaced part.
MOST_LINES, MOST_NODES = 76, 400
#: Number of pixel columns of a time series.
PIXELS = 1500
#: Bytes read at once.
CHUNK = 16 * 2**20
#: Maximum window of a spectrum. Samples.
WINDOW = 2**14

Array = NDArray[np.float64]


class PlottedSeries(Protocol):
    """The part of a `submit.api.results.TimeSeries` that a plot needs."""

    @property
    def data(self) -> Any:
        """Return the samples, (time, state variables, nodes, modes); an array or an open dataset."""

    @property
    def attributes(self) -> dict[str, Any]:
        """Return TVB's attributes of the file."""


def draw_series(series: PlottedSeries, title: str, skipped: int = 0) -> Picture:
    """Plot time series, spectrum and functional connectivity of the first state variable and mode.

    Parameters
    ----------
    skipped : number of first samples that the latter two leave out
    """
    nodes = series.data.shape[2]
    period = float(series.attributes["sample_period"])
    picture = Picture(figsize=(11, 7), layout="constrained")
    picture.suptitle(title, fontsize="medium")
    above, below = picture.subfigures(2, 1, squeeze=False)[:, 0]
    _draw_time(above.subplots(), series, period, skipped)
    axes = below.subplots(1, 2, width_ratios=(3, 2)) if nodes > 1 else [below.subplots()]
    _draw_spectrum(axes[0], series, period, skipped)
    if nodes > 1:
        _draw_connectivity(axes[1], series, period, skipped)
    return picture


def _chunks(series: PlottedSeries, first: int, step: int, length: int = 0) -> Iterator[tuple[int, Array]]:
    """Yield arrays (samples, nodes) of the first state variable and mode, from sample `first` on."""
    samples, _, nodes, _ = series.data.shape
    rows = length or max(1, CHUNK // (8 * nodes))
    for start in range(first, samples, rows):
        yield start, np.asarray(series.data[start : start + rows, 0, ::step, 0], dtype=np.float64)


def _draw_time(axes: Axes, series: PlottedSeries, period: float, skipped: int) -> None:
    samples, _, nodes, _ = series.data.shape
    step = -(-nodes // MOST_LINES)
    bins = min(samples, PIXELS)
    edges = np.linspace(0, samples, bins + 1).astype(int)
    shown = -(-nodes // step)
    least, most = np.full((bins, shown), np.inf), np.full((bins, shown), -np.inf)
    for start, part in _chunks(series, 0, step):
        which = np.searchsorted(edges, np.arange(start, start + len(part)), side="right") - 1
        cuts = np.flatnonzero(np.diff(which, prepend=-1))
        bins_here = which[cuts]
        least[bins_here] = np.minimum(least[bins_here], np.minimum.reduceat(part, cuts))
        most[bins_here] = np.maximum(most[bins_here], np.maximum.reduceat(part, cuts))
    time = np.repeat((edges[:-1] + 1) * period, 2)
    lines = np.stack([least, most], axis=1).reshape(2 * bins, shown)
    axes.plot(time, lines, color="C0", linewidth=0.5, alpha=max(0.15, 1.0 / shown))
    if shown > 1:
        axes.plot(time, lines.mean(axis=1), color="black", linewidth=0.9, label="mean")
        axes.legend(loc="upper right", frameon=False)
    if skipped:
        axes.axvline(skipped * period, color="gray", linestyle=":", linewidth=1.5)
    axes.set(xlabel="time (ms)", ylabel=_variable(series), xlim=(0, samples * period))
    axes.set_title(_nodes(nodes, shown), loc="left", fontsize="small")


def _draw_spectrum(axes: Axes, series: PlottedSeries, period: float, skipped: int) -> None:
    samples, _, nodes, _ = series.data.shape
    length = min(samples - skipped, WINDOW)
    step = -(-nodes // MOST_LINES)
    window = np.hanning(length + 1)[:-1]
    power, count = np.zeros(length // 2 + 1), 0
    for _, part in _chunks(series, skipped, step, length):
        if len(part) == length:
            spectrum = np.fft.rfft((part - part.mean(axis=0)) * window[:, None], axis=0)
            power, count = power + (np.abs(spectrum) ** 2).mean(axis=1), count + 1
    frequencies = np.fft.rfftfreq(length, period / 1000.0)
    if length > 2 and np.isfinite(power).all() and (power[1:] > 0).any():
        axes.loglog(frequencies[1:], power[1:] / count, linewidth=0.8)
    else:
        axes.text(0.5, 0.5, "no spectrum: too short, at rest, or not finite", ha="center", transform=axes.transAxes)
    axes.set(xlabel="frequency (Hz)", ylabel="power, mean of nodes")
    axes.set_title(f"spectrum, {_cut(skipped, period)}", loc="left", fontsize="small")


def _draw_connectivity(axes: Axes, series: PlottedSeries, period: float, skipped: int) -> None:
    nodes = series.data.shape[2]
    matrix, step = functional_connectivity(series, skipped)
    image = axes.imshow(matrix, vmin=-1, vmax=1, cmap="RdBu_r", interpolation="nearest", extent=(0, nodes, nodes, 0))
    axes.figure.colorbar(image, ax=axes, label="correlation")
    every = f", every {step}th" if step > 1 else ""
    axes.set(xlabel=f"node{every}", ylabel="node")
    axes.set_title(f"correlation, {_cut(skipped, period)}", loc="left", fontsize="small")


def functional_connectivity(series: PlottedSeries, skipped: int = 0) -> tuple[Array, int]:
    """Return Pearson's correlation of the first state variable, (nodes, nodes), and the step between its nodes.

    It is NaN for nodes at rest. The series is read once, in bounded memory.
    """
    step = -(-series.data.shape[2] // MOST_NODES)
    count, mean, products = 0, np.zeros(0), np.zeros((0, 0))
    for _, part in _chunks(series, skipped, step):
        # Chan, Golub and LeVeque (1983): moments of parts are joined without loss of precision.
        middle = part.mean(axis=0)
        apart = part - middle
        if not count:
            mean, products = np.zeros_like(middle), np.zeros((len(middle), len(middle)))
        total, shift = count + len(part), middle - mean
        products += apart.T @ apart + np.outer(shift, shift) * (count * len(part) / total)
        mean, count = mean + shift * (len(part) / total), total
    deviation = np.sqrt(np.diag(products))
    with np.errstate(all="ignore"):
        return products / np.outer(deviation, deviation), step


def _cut(skipped: int, period: float) -> str:
    """Return what is left out, for a title."""
    return f"without the first {skipped * period:g} ms" if skipped else "of the whole series"


def _variable(series: PlottedSeries) -> str:
    names = series.attributes.get("labels_dimensions", {}).get("State Variable") or ["state variable 0"]
    return str(names[0])


def _nodes(nodes: int, shown: int) -> str:
    return f"{shown} of {nodes} nodes" if shown < nodes else f"{nodes} node{'s' if nodes > 1 else ''}"
