"""Computes metrics of a finished time series: one number each, in bounded memory for series of any length.

TVB's own four analyzers (`tvb.analyzers.metric_*`) are here under the names that TVB's GUI gives to their results, so
that both can be compared. This module imports no TVB and writes nothing.
"""

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import h5py
import numpy as np
import structlog
from numpy.typing import NDArray

from tvb_batch.models.errors import NOT_FINITE, MissingMetricError, OutputError, SettingsError
from tvb_batch.models.spec.transient import Transient, transient_of

#: Bytes of a chunk; larger ones do not fit into the processor's cache.
CHUNK = 2**20
#: Maximum size of the window of a spectrum: 55 000 samples of 76 regions. Bytes.
WINDOW = 32 * 2**20
#: Maximum size of a part of the window in memory: it is read again for other nodes. Bytes.
ROOM = 8 * 2**20
#: Minimum number of samples for a spectrum.
LEAST_SAMPLES = 8
#: The reason for a missing variance.
VARIANCE = "a variance needs 2"
#: Maximum length of a reason. Characters.
MOST_REASON = 200

log = structlog.get_logger()


#: The default of `Series`: nothing is left out.
NOTHING = Transient(0)


@dataclass(eq=False)
class Series:
    """The time series that a metric reads."""

    #: A dataset of the open file, or an array of a short series.
    _data: h5py.Dataset | NDArray[Any]
    #: (time, state variable, node, mode)
    shape: tuple[int, int, int, int]
    #: ms
    sample_period: float
    #: The part at the start to leave out; nothing by default.
    transient: Transient = NOTHING
    _known: dict[object, Any] = field(default_factory=dict)

    @property
    def start(self) -> int:
        """Return the index of the first sample after the transient."""
        return self.transient.samples

    def check_left(self, least: int, what: str) -> None:
        """Check that at least `least` samples are left after the transient.

        Raises
        ------
        MissingMetricError
            Fewer samples are left.
        """
        left = max(0, self.shape[0] - self.start)
        if left < least:
            raise MissingMetricError(f"{left} of {self.shape[0]} samples are left after the transient; {what}")

    def read(
        self, first: int, end: int, variables: int | None = None, nodes: slice = slice(None)
    ) -> NDArray[np.float64]:
        """Return samples `first` to `end`, shape (time, state variables, nodes, modes), float64.

        Parameters
        ----------
        variables : read only the first state variables, this many; None for all
        nodes : which nodes to read

        Raises
        ------
        OutputError
            The file cannot be read.
        """
        end, rows = min(end, self.shape[0]), self._rows()
        count = len(range(self.shape[2])[nodes])
        wide = (min(self.shape[1], variables or self.shape[1]), count, self.shape[3])
        found = np.empty((max(0, end - first), *wide))
        for start in range(first, end, rows):
            stop = min(start + rows, end)
            found[start - first : stop - first] = self._read(start, stop)[:, :variables, nodes]
        return found

    def chunks(self, first: int = 0, variables: int | None = None) -> Iterator[NDArray[np.float64]]:
        """Yield the samples from `first` on, (time, state variables, nodes, modes); the caller may change them."""
        for piece in self.pieces(first, variables):
            yield piece.copy() if isinstance(self._data, np.ndarray) else piece

    def pieces(self, first: int = 0, variables: int | None = None) -> Iterator[NDArray[np.float64]]:
        """Yield the same arrays as `chunks`, but the caller must not change them."""
        rows = self._rows()
        for start in range(first, self.shape[0], rows):
            yield self._read(start, start + rows)[:, :variables].astype(np.float64, copy=False)

    def _rows(self) -> int:
        """Return how many samples to read at once. All state variables are read: selections are slow in HDF5."""
        return max(1, CHUNK // (8 * math.prod(self.shape[1:])))

    def _read(self, first: int, end: int) -> NDArray[Any]:
        data: Any = self._data
        try:
            return cast("NDArray[Any]", data[first:end])
        except (OSError, RuntimeError) as exc:
            raise OutputError(f"{data.file.filename}::data: cannot be read ({exc})") from exc

    def once(self, compute: "Callable[[Series], Any]") -> Any:
        """Return `compute(self)`; it runs only once for all metrics that need it."""
        if compute not in self._known:
            self._known[compute] = compute(self)
        return self._known[compute]


@dataclass
class Moments:
    """Mean and squared deviations along the first axis, accumulated chunk by chunk without loss of precision.

    Notes
    -----
    Chan, Golub and LeVeque (1983), "Algorithms for computing the sample variance".
    """

    count: int = 0
    mean: Any = 0.0
    #: Sum of squared deviations from the mean.
    squares: Any = 0.0

    def add(self, values: NDArray[np.float64]) -> None:
        """Add a chunk; its first axis is averaged."""
        mean = values.mean(axis=0)
        deviations = values - mean
        self.join(len(values), mean, np.einsum("i...,i...->...", deviations, deviations))

    def join(self, count: int, mean: Any, squares: Any) -> None:
        """Add the moments of another chunk."""
        total = self.count + count
        shift = mean - self.mean
        self.squares = self.squares + squares + shift**2 * (self.count * count / total)
        self.mean = self.mean + shift * (count / total)
        self.count = total


#: A metric: a function from a series to a number. Without a value it raises MissingMetricError or returns NaN.
Metric = Callable[[Series], float]


@dataclass(frozen=True)
class Measured:
    """The results of all metrics of one series. Each metric is in `values` or in `missing`."""

    #: By name; finite.
    values: dict[str, float] = field(default_factory=dict)
    #: By name, the reason why there is no value: one line.
    missing: dict[str, str] = field(default_factory=dict)


_NAME = re.compile(r"[A-Za-z_]\w{0,99}", re.ASCII)

#: By the name in the catalogue. `@metric("my_metric")` above a function adds a metric.
METRICS: dict[str, Metric] = {}


def metric(name: str) -> Callable[[Metric], Metric]:
    """Register a function as a metric under a name of letters, digits and _.

    Raises
    ------
    SettingsError
        The name is not valid, or another metric has it.
    """

    def register(function: Metric) -> Metric:
        """Return the function unchanged after registering it."""
        place = f"{function.__module__}.{function.__qualname__}"
        if not _NAME.fullmatch(name):
            raise SettingsError(f"{place}: metric {name!r}; expected at most 100 letters, digits and _, no digit first")
        other = METRICS.get(name, function)
        # A module that is imported again registers the same function again.
        if f"{other.__module__}.{other.__qualname__}" != place:
            owner = "tvb-batch itself" if other.__module__ == __name__ else other.__module__
            raise SettingsError(f"{place}: {owner} has a metric {name!r} already; choose another name")
        METRICS[name] = function
        return function

    return register


def compute(
    data: h5py.Dataset | NDArray[Any], sample_period: float, transient: Transient | None = None, *, is_nan: bool = False
) -> Measured:
    """Compute every metric in `METRICS` of a time series, or give the reason why it has no value.

    Parameters
    ----------
    data : (time, state variables, nodes, modes)
    sample_period : ms
    transient : the part at the start to leave out; by default `transient_of` decides
    is_nan : whether the data are known to hold NaN or infinity

    Raises
    ------
    OutputError
        The file cannot be read.
    """
    found = Measured()
    shape = cast("tuple[int, int, int, int]", data.shape)
    series = Series(data, shape, sample_period, transient or transient_of(shape[0], sample_period))
    with np.errstate(all="ignore"):
        for name, function in METRICS.items():
            try:
                value = float(function(series))
            except OutputError:
                raise
            except MissingMetricError as exc:
                found.missing[name] = _reason(str(exc))
                continue
            except Exception as exc:
                # A user's function may raise any exception; the job still finishes.
                found.missing[name] = _reason(f"{type(exc).__name__}: {exc}")
                log.warning("metric_failed", metric=name, reason=found.missing[name])
                continue
            if math.isfinite(value):
                found.values[name] = value
            else:
                found.missing[name] = NOT_FINITE if is_nan else f"its value is {value}"
    return found


def _reason(text: str) -> str:
    return " ".join(text.split())[:MOST_REASON]


# ----------------------------------------------------------------------------------------------------- what they share


@dataclass(frozen=True)
class _InTime:
    """Mean and variance over time of each (state variable, node, mode)."""

    mean: Any
    #: Moments of the samples minus that mean.
    deviations: Moments

    def variance(self, axes: tuple[int, ...] | None = None, mean: Any = 0.0) -> Any:
        """Return the variance over time and over `axes` together (None: all axes).

        With `mean`, it is the variance of the deviations plus `mean`.
        """
        left = self.deviations.mean + mean
        apart = left - left.mean(axis=axes, keepdims=True)
        return (self.deviations.squares / self.deviations.count + apart**2).mean(axis=axes)


def _in_time(series: Series) -> _InTime:
    """Return the moments over time; reads the series twice.

    The mean is summed sample after sample, as NumPy does along the first axis. So the mean and all deviations equal
    TVB's in every bit, and so does the variance of a constant series, which is only rounding.
    """
    total = np.zeros(series.shape[1:])
    for piece in series.pieces(series.start):
        total = np.concatenate((total[np.newaxis], piece)).sum(axis=0)
    mean = total / max(1, series.shape[0] - series.start)
    deviations = Moments()
    for piece in series.pieces(series.start):
        deviations.add(piece - mean)
    return _InTime(mean, deviations)


def _in_space(series: Series) -> Moments:
    """Return the moments of the nodes' mean distance from their mean, over time, state variables and modes."""
    moments = Moments()
    for piece in series.pieces(series.start):
        apart = piece - piece.mean(axis=2, keepdims=True)
        moments.add(np.abs(apart, out=apart).mean(axis=2).reshape(-1))
    return moments


# ---------------------------------------------------------------------------------------------------------- TVB's own


@metric("GlobalVariance")
def global_variance(series: Series) -> float:
    """Return the variance of all points around the mean of their own series: TVB's `metric_variance_global`."""
    series.check_left(2, VARIANCE)
    return float(series.once(_in_time).variance())


@metric("VarianceNodeVariance")
def variance_of_node_variance(series: Series) -> float:
    """Return the variance over the nodes of their variance: TVB's `metric_variance_of_node_variance`."""
    series.check_left(2, VARIANCE)
    return float(series.once(_in_time).variance(axes=(0, 2)).var())


@metric("KuramotoIndex")
def kuramoto_index(series: Series) -> float:
    """Return the mean phase coherence of the nodes, 0 to 1, in the plane of the first two state variables.

    It is TVB's `metric_kuramoto_index` and needs two state variables. As in TVB, no transient is left out unless it is
    given.
    """
    samples, variables, nodes, _ = series.shape
    if variables < 2:
        raise MissingMetricError("it needs two state variables, and one is recorded (variables_of_interest)")
    start = series.start if series.transient.is_given else 0
    if start >= samples:
        series.check_left(1, "it needs one")
    total = 0.0
    for piece in series.pieces(start, variables=2):
        # Compute cosine and sine of the phase without the phase: ten times as fast.
        x, y = piece[:, 0, :, 0], piece[:, 1, :, 0]
        radius = np.sqrt(x * x + y * y)
        if not 1e-150 < radius.min() <= radius.max() < 1e150:
            # The squares overflow, or there is no phase.
            radius = np.hypot(x, y)
            rest = radius == 0.0
            x, radius = np.where(rest, np.copysign(1.0, x), x), np.where(rest, 1.0, radius)
        total += float(np.hypot((x / radius).sum(axis=1), (y / radius).sum(axis=1)).sum())
    return total / (nodes * (samples - start))


@metric("Metastability")
def metastability(series: Series) -> float:
    """Return the variation of the nodes' distance from their mean: first result of `metric_proxy_metastability`."""
    series.check_left(2, VARIANCE)
    distances = series.once(_in_space)
    return math.sqrt(distances.squares / distances.count)


@metric("Synchrony")
def synchrony(series: Series) -> float:
    """Return the inverse of the nodes' mean distance from their mean: second result of `metric_proxy_metastability`."""
    series.check_left(1, "it needs one")
    distances = series.once(_in_space)
    if distances.mean == 0.0:
        raise MissingMetricError("the nodes do not differ: their distance from their mean is 0")
    return float(1.0 / distances.mean)


# --------------------------------------------------------------------------------------------------------------- ours


@metric("mean")
def mean(series: Series) -> float:
    """Return the mean of all points after the transient."""
    series.check_left(1, "it needs one")
    each = series.once(_in_time)
    return float((each.mean + each.deviations.mean).mean())


@metric("std")
def std(series: Series) -> float:
    """Return the standard deviation of all points after the transient."""
    series.check_left(2, VARIANCE)
    each = series.once(_in_time)
    return math.sqrt(each.variance(mean=each.mean))


@metric("dominant_frequency")
def dominant_frequency(series: Series) -> float:
    """Return the frequency in Hz with the most power in the first state variable, summed over nodes and modes.

    Notes
    -----
    The spectrum uses adjacent Hann windows of equal length without their means: one window for the whole series unless
    that exceeds `WINDOW`. The frequencies are multiples of one over the window's length.
    """
    samples, _, nodes, modes = series.shape
    series.check_left(LEAST_SAMPLES, f"a spectrum needs {LEAST_SAMPLES}")
    count = samples - series.start
    most = max(LEAST_SAMPLES, WINDOW // (8 * nodes * modes))
    length = count // math.ceil(count / most)
    window = np.hanning(length + 1)[:-1]
    power = np.zeros(length // 2 + 1)
    some = max(1, ROOM // (8 * length * modes))
    for start in range(series.start, samples - length + 1, length):
        for node in range(0, nodes, some):
            part = series.read(start, start + length, 1, slice(node, node + some))
            power += _power(part.reshape(length, -1), window)
    # Skip 0 Hz: the mean was removed.
    peak = 1 + int(np.argmax(power[1:]))
    if power[peak] == 0.0:
        raise MissingMetricError("the series is constant")
    return peak / length * 1000.0 / series.sample_period if power[peak] < math.inf else math.nan


def _power(values: NDArray[np.float64], window: NDArray[np.float64]) -> Any:
    """Return the sum of the power spectra of the columns, computed for a few columns at a time."""
    length, columns = values.shape
    step = max(1, CHUNK // (8 * length))
    total = np.zeros(length // 2 + 1)
    for first in range(0, columns, step):
        # Subtract the first sample before the mean, so that a constant becomes exactly zero.
        part = values[:, first : first + step].T
        part = part - part[:, :1]
        part -= part.mean(axis=1, keepdims=True)
        spectrum = np.fft.rfft(part * window)
        total += (spectrum.real**2 + spectrum.imag**2).sum(axis=0)
    return total
