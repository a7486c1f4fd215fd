"""One number a metric for a finished time series, streamed from its file in bounded memory.

Called once a finished job; imports no TVB. TVB's own four analyzers (`tvb.analyzers.metric_*`) are here under the names
that its GUI gives their results, so that ours and the GUI's can be compared. Never writes.
"""

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import h5py
import numpy as np
import structlog
from numpy.typing import NDArray

from models.errors import OutputError, SettingsError

#: What TVB leaves out at the beginning, ms: `TimeseriesMetricsAdapterModel.start_point`.
START_POINT = 500.0
#: Of a series shorter than that TVB takes the last of so many parts: `TimeseriesMetricsAdapterModel.segment`.
SEGMENTS = 4

#: Bytes of a chunk; larger ones leave the processor's cache and are slower.
CHUNK = 2**20
#: Bytes of the longest series that is kept in memory while its metrics are computed.
MOST_KEPT = 16 * 2**20
#: Bytes of the longest window whose spectrum is taken: 55 000 samples of 76 regions.
WINDOW = 32 * 2**20
#: Fewer samples have no spectrum worth the name.
LEAST_SAMPLES = 8

log = structlog.get_logger()


@dataclass(eq=False)
class Series:
    """The time series of an open file, as a metric sees it."""

    #: Of a short series all its numbers.
    _data: h5py.Dataset | NDArray[Any]
    #: (time, state variable, node, mode)
    shape: tuple[int, int, int, int]
    #: ms
    sample_period: float
    _known: dict[object, Any] = field(default_factory=dict)

    @property
    def start(self) -> int:
        """The first sample that counts, once the transient is left out as TVB does."""
        samples = self.shape[0]
        start = START_POINT / self.sample_period
        return (SEGMENTS - 1) * (samples // SEGMENTS) if start > samples else int(start)

    def read(self, first: int, end: int, variables: int | None = None) -> NDArray[np.float64]:
        """Samples `first` to `end`, in the shape of the data: all state variables, or the first few.

        Raises
        ------
        OutputError
            The file cannot be read.
        """
        # A copy: whoever asked may write into it.
        return cast("NDArray[np.float64]", _read(self._data, np.s_[first:end, :variables]).astype(np.float64))

    def chunks(self, first: int = 0, variables: int | None = None) -> Iterator[NDArray[np.float64]]:
        """Everything from sample `first` on, a few samples at a time."""
        samples, count, nodes, modes = self.shape
        rows = max(1, CHUNK // (8 * min(count, variables or count) * nodes * modes))
        for start in range(first, samples, rows):
            yield self.read(start, start + rows, variables)

    def once(self, compute: "Callable[[Series], Any]") -> Any:
        """What `compute` makes of the series; computed once for all metrics that ask."""
        if compute not in self._known:
            self._known[compute] = compute(self)
        return self._known[compute]


@dataclass
class Moments:
    """Mean and squared deviations along the first axis, gathered a chunk at a time without losing digits.

    Notes
    -----
    Chan, Golub and LeVeque (1983), "Algorithms for computing the sample variance".
    """

    count: int = 0
    mean: Any = 0.0
    #: Sum of squared deviations from the mean.
    squares: Any = 0.0

    def add(self, values: NDArray[np.float64]) -> None:
        """Take one more chunk into account."""
        mean = values.mean(axis=0)
        deviations = values - mean
        self.join(len(values), mean, np.einsum("i...,i...->...", deviations, deviations))

    def join(self, count: int, mean: Any, squares: Any) -> None:
        """Take in what another chunk's moments are."""
        total = self.count + count
        shift = mean - self.mean
        self.squares = self.squares + squares + shift**2 * (self.count * count / total)
        self.mean = self.mean + shift * (count / total)
        self.count = total


#: A metric: one number of a series. Where it has none, NaN; the series then goes without.
Metric = Callable[[Series], float]

_NAME = re.compile(r"[A-Za-z_]\w{0,99}", re.ASCII)

#: By the name in the catalogue. A user's own metric is one more entry: `@metric("my_metric")` above its function.
METRICS: dict[str, Metric] = {}


def metric(name: str) -> Callable[[Metric], Metric]:
    """Register a metric under a name, which the catalogue is asked by: letters, digits and _.

    Raises
    ------
    SettingsError
        The name cannot be asked for, or is another metric's.
    """

    def register(function: Metric) -> Metric:
        place = f"{function.__module__}.{function.__qualname__}"
        if not _NAME.fullmatch(name):
            raise SettingsError(f"{place}: metric {name!r}; expected at most 100 letters, digits and _, no digit first")
        other = METRICS.get(name, function)
        # A module that is imported once more brings the same function again.
        if f"{other.__module__}.{other.__qualname__}" != place:
            raise SettingsError(f"{place}: metric {name!r} is that of {other.__module__}; choose another name")
        METRICS[name] = function
        return function

    return register


def compute(path: Path) -> dict[str, float]:
    """Every metric that the series at `path` has, by its name in `METRICS`.

    A metric that a series has not (too short, not finite, too few state variables), or whose function fails, is left
    out; the failure is logged.

    Raises
    ------
    OutputError
        There is no time series that can be read.
    """
    found: dict[str, float] = {}
    try:
        file = h5py.File(path, "r")
    except OSError as exc:
        raise OutputError(f"{path}: no readable H5 file ({str(exc).splitlines()[0]})") from exc
    with file, np.errstate(all="ignore"):
        series = _series(path, file)
        for name, function in METRICS.items():
            try:
                value = float(function(series))
            except OutputError:
                raise
            except Exception as exc:
                # A user's function may raise anything; the finished job must not pay for it.
                log.warning("metric_failed", metric=name, path=str(path), reason=f"{type(exc).__name__}: {exc}")
                continue
            if math.isfinite(value):
                found[name] = value
    return found


def _series(path: Path, file: h5py.File) -> Series:
    data, period = file.get("data"), file.attrs.get("TVB_sample_period")
    if not isinstance(data, h5py.Dataset) or data.ndim != 4 or data.dtype.kind not in "fiu":
        raise OutputError(f"{path}::data: no time series; expected numbers in four dimensions")
    if not isinstance(period, float) or not 0.0 < period < math.inf:
        raise OutputError(f"{path}::TVB_sample_period: {period!r}, expected milliseconds above 0")
    shape = cast("tuple[int, int, int, int]", data.shape)
    return Series(_read(data, ()) if data.nbytes <= MOST_KEPT else data, shape, float(period))


def _read(data: Any, where: Any) -> NDArray[Any]:
    try:
        return cast("NDArray[Any]", data[where])
    except (OSError, RuntimeError) as exc:
        raise OutputError(f"{data.file.filename}::data: cannot be read ({exc})") from exc


# ----------------------------------------------------------------------------------------------------- what they share


@dataclass(frozen=True)
class _InTime:
    """What each (state variable, node, mode) does over time."""

    mean: Any
    #: Of what is left of the samples without that mean.
    deviations: Moments

    def variance(self, axes: tuple[int, ...] | None = None, mean: Any = 0.0) -> Any:
        """Of the deviations over time and along `axes` together (None: all), around their own middle.

        With `mean`, of the deviations raised by it.
        """
        left = self.deviations.mean + mean
        apart = left - left.mean(axis=axes, keepdims=True)
        return (self.deviations.squares / self.deviations.count + apart**2).mean(axis=axes)


def _in_time(series: Series) -> _InTime:
    """The series over time, read twice.

    The mean is summed sample after sample, as NumPy does along the first axis: it and all deviations from it are TVB's
    own to the last bit. A series at rest, whose deviations are mere rounding, has TVB's variances too.
    """
    total = np.zeros(series.shape[1:])
    for chunk in series.chunks(series.start):
        chunk[0] += total
        total = chunk.sum(axis=0)
    mean = total / max(1, series.shape[0] - series.start)
    deviations = Moments()
    for chunk in series.chunks(series.start):
        deviations.add(chunk - mean)
    return _InTime(mean, deviations)


def _in_space(series: Series) -> Moments:
    """Moments of the mean distance of the nodes from their mean, over time, state variables and modes."""
    moments = Moments()
    for chunk in series.chunks(series.start):
        distances = np.abs(chunk - chunk.mean(axis=2, keepdims=True)).mean(axis=2)
        moments.add(distances.reshape(-1))
    return moments


# ---------------------------------------------------------------------------------------------------------- TVB's own


@metric("GlobalVariance")
def global_variance(series: Series) -> float:
    """Variance of all points around the mean of their own series: TVB's `metric_variance_global`."""
    each = series.once(_in_time)
    return float(each.variance()) if each.deviations.count else math.nan


@metric("VarianceNodeVariance")
def variance_of_node_variance(series: Series) -> float:
    """How much the nodes differ in their variance: TVB's `metric_variance_of_node_variance`."""
    each = series.once(_in_time)
    return float(each.variance(axes=(0, 2)).var()) if each.deviations.count else math.nan


@metric("KuramotoIndex")
def kuramoto_index(series: Series) -> float:
    """Mean phase coherence of the nodes, 0 to 1; the first two state variables are the plane. No transient is left out.

    TVB's `metric_kuramoto_index`; it needs two state variables.
    """
    samples, variables, nodes, _ = series.shape
    if variables < 2 or not samples:
        return math.nan
    total = 0.0
    for chunk in series.chunks(variables=2):
        # The cosine and the sine of the phase without the phase: three times as fast.
        x, y = chunk[:, 0, :, 0], chunk[:, 1, :, 0]
        radius = np.hypot(x, y)
        rest = radius == 0.0
        x[rest], radius[rest] = np.copysign(1.0, x[rest]), 1.0
        total += float(np.hypot((x / radius).sum(axis=1), (y / radius).sum(axis=1)).sum())
    return total / (nodes * samples)


@metric("Metastability")
def metastability(series: Series) -> float:
    """How much the nodes' distance from their mean varies: the first result of TVB's `metric_proxy_metastability`."""
    distances = series.once(_in_space)
    return math.sqrt(distances.squares / distances.count) if distances.count else math.nan


@metric("Synchrony")
def synchrony(series: Series) -> float:
    """One over the nodes' mean distance from their mean: the second result of TVB's `metric_proxy_metastability`."""
    distances = series.once(_in_space)
    return float(1.0 / distances.mean) if distances.count else math.nan


# --------------------------------------------------------------------------------------------------------------- ours


@metric("mean")
def mean(series: Series) -> float:
    """Mean of all points after the transient."""
    each = series.once(_in_time)
    return float((each.mean + each.deviations.mean).mean()) if each.deviations.count else math.nan


@metric("std")
def std(series: Series) -> float:
    """Standard deviation of all points after the transient."""
    each = series.once(_in_time)
    return math.sqrt(each.variance(mean=each.mean)) if each.deviations.count else math.nan


@metric("dominant_frequency")
def dominant_frequency(series: Series) -> float:
    """Where the spectrum of the first state variable is highest, in Hz; nodes and modes are summed.

    Notes
    -----
    Hann windows of equal length, one after the other and each without its mean: one for the whole series unless that
    exceeds `WINDOW`. The frequencies are multiples of one over the window's length.
    """
    samples, _, nodes, modes = series.shape
    count = samples - series.start
    if count < LEAST_SAMPLES:
        return math.nan
    most = max(LEAST_SAMPLES, WINDOW // (8 * nodes * modes))
    length = count // math.ceil(count / most)
    window = np.hanning(length + 1)[:-1]
    power = np.zeros(length // 2 + 1)
    for start in range(series.start, samples - length + 1, length):
        power += _power(series.read(start, start + length, 1).reshape(length, -1), window)
    # The mean is gone, and with it what a spectrum says at 0 Hz.
    peak = 1 + int(np.argmax(power[1:]))
    return peak / length * 1000.0 / series.sample_period if 0.0 < power[peak] < math.inf else math.nan


def _power(values: NDArray[np.float64], window: NDArray[np.float64]) -> Any:
    """Sum of the spectra of the columns, a few columns at a time."""
    length, columns = values.shape
    step = max(1, CHUNK // (8 * length))
    total = np.zeros(length // 2 + 1)
    for first in range(0, columns, step):
        # Less the first sample before the mean: a constant becomes exactly zero, and has no frequency.
        part = values[:, first : first + step].T
        part = part - part[:, :1]
        part -= part.mean(axis=1, keepdims=True)
        spectrum = np.fft.rfft(part * window)
        total += (spectrum.real**2 + spectrum.imag**2).sum(axis=0)
    return total
