"""One number a metric for a finished time series, in bounded memory however long it is.

Called once a finished job; imports no TVB. TVB's own four analyzers (`tvb.analyzers.metric_*`) are here under the names
that its GUI gives their results, so that ours and the GUI's can be compared. Never writes.
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

#: Bytes of a chunk; larger ones leave the processor's cache and are slower.
CHUNK = 2**20
#: Bytes of the longest window whose spectrum is taken: 55 000 samples of 76 regions.
WINDOW = 32 * 2**20
#: Bytes of it that are in memory at once: it is read again for other nodes.
ROOM = 8 * 2**20
#: Fewer samples have no spectrum worth the name.
LEAST_SAMPLES = 8
#: Why a variance has none of one sample.
VARIANCE = "a variance needs 2"
#: Characters of a reason that are kept.
MOST_REASON = 200

log = structlog.get_logger()


#: Left out of a series unless somebody says otherwise.
NOTHING = Transient(0)


@dataclass(eq=False)
class Series:
    """A time series as a metric sees it."""

    #: In the open file; of a short series in memory.
    _data: h5py.Dataset | NDArray[Any]
    #: (time, state variable, node, mode)
    shape: tuple[int, int, int, int]
    #: ms
    sample_period: float
    #: What is left out at the beginning; nothing by default.
    transient: Transient = NOTHING
    _known: dict[object, Any] = field(default_factory=dict)

    @property
    def start(self) -> int:
        """The first sample that counts, after the transient."""
        return self.transient.samples

    def check_left(self, least: int, what: str) -> None:
        """Return when at least so many samples are left after the transient.

        Raises
        ------
        MissingMetricError
            There are fewer.
        """
        left = max(0, self.shape[0] - self.start)
        if left < least:
            raise MissingMetricError(f"{left} of {self.shape[0]} samples are left after the transient; {what}")

    def read(
        self, first: int, end: int, variables: int | None = None, nodes: slice = slice(None)
    ) -> NDArray[np.float64]:
        """Samples `first` to `end`, in the shape of the data: all state variables, or the first few, of some nodes.

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
        """Everything from sample `first` on, a few samples at a time, which the caller may write into."""
        for piece in self.pieces(first, variables):
            yield piece.copy() if isinstance(self._data, np.ndarray) else piece

    def pieces(self, first: int = 0, variables: int | None = None) -> Iterator[NDArray[np.float64]]:
        """The same, not to be written into."""
        rows = self._rows()
        for start in range(first, self.shape[0], rows):
            yield self._read(start, start + rows)[:, :variables].astype(np.float64, copy=False)

    def _rows(self) -> int:
        """How many samples are read at once, and with all their variables: HDF5 takes long to pick."""
        return max(1, CHUNK // (8 * math.prod(self.shape[1:])))

    def _read(self, first: int, end: int) -> NDArray[Any]:
        data: Any = self._data
        try:
            return cast("NDArray[Any]", data[first:end])
        except (OSError, RuntimeError) as exc:
            raise OutputError(f"{data.file.filename}::data: cannot be read ({exc})") from exc

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


#: A metric: one number of a series. Where it has none, it raises MissingMetricError, or returns NaN.
Metric = Callable[[Series], float]


@dataclass(frozen=True)
class Measured:
    """What came of all metrics of one series, each in one of the two."""

    #: By name; finite.
    values: dict[str, float] = field(default_factory=dict)
    #: By name, the reason why there is no value: one line.
    missing: dict[str, str] = field(default_factory=dict)


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
            owner = "tvb-batch itself" if other.__module__ == __name__ else other.__module__
            raise SettingsError(f"{place}: {owner} has a metric {name!r} already; choose another name")
        METRICS[name] = function
        return function

    return register


def compute(
    data: h5py.Dataset | NDArray[Any], sample_period: float, transient: Transient | None = None, *, is_nan: bool = False
) -> Measured:
    """Every metric in `METRICS` of a time series, or the reason why it has none.

    Parameters
    ----------
    data : numbers by time, state variable, node and mode
    sample_period : ms
    transient : what is left out at the beginning; by default what `transient_of` leaves out
    is_nan : whether NaN or infinity is known to be among the data

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
                # A user's function may raise anything; the finished job must not pay for it.
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
    for piece in series.pieces(series.start):
        total = np.concatenate((total[np.newaxis], piece)).sum(axis=0)
    mean = total / max(1, series.shape[0] - series.start)
    deviations = Moments()
    for piece in series.pieces(series.start):
        deviations.add(piece - mean)
    return _InTime(mean, deviations)


def _in_space(series: Series) -> Moments:
    """Moments of the mean distance of the nodes from their mean, over time, state variables and modes."""
    moments = Moments()
    for piece in series.pieces(series.start):
        apart = piece - piece.mean(axis=2, keepdims=True)
        moments.add(np.abs(apart, out=apart).mean(axis=2).reshape(-1))
    return moments


# ---------------------------------------------------------------------------------------------------------- TVB's own


@metric("GlobalVariance")
def global_variance(series: Series) -> float:
    """Variance of all points around the mean of their own series: TVB's `metric_variance_global`."""
    series.check_left(2, VARIANCE)
    return float(series.once(_in_time).variance())


@metric("VarianceNodeVariance")
def variance_of_node_variance(series: Series) -> float:
    """How much the nodes differ in their variance: TVB's `metric_variance_of_node_variance`."""
    series.check_left(2, VARIANCE)
    return float(series.once(_in_time).variance(axes=(0, 2)).var())


@metric("KuramotoIndex")
def kuramoto_index(series: Series) -> float:
    """Mean phase coherence of the nodes, 0 to 1; the first two state variables are the plane.

    TVB's `metric_kuramoto_index`; it needs two state variables. As there, no transient is left out by default: only
    one that is given.
    """
    samples, variables, nodes, _ = series.shape
    if variables < 2:
        raise MissingMetricError("it needs two state variables, and one is recorded (variables_of_interest)")
    start = series.start if series.transient.is_given else 0
    if start >= samples:
        series.check_left(1, "it needs one")
    total = 0.0
    for piece in series.pieces(start, variables=2):
        # The cosine and the sine of the phase without the phase: ten times as fast.
        x, y = piece[:, 0, :, 0], piece[:, 1, :, 0]
        radius = np.sqrt(x * x + y * y)
        if not 1e-150 < radius.min() <= radius.max() < 1e150:
            # The squares do not fit into a number, or there is no phase to speak of.
            radius = np.hypot(x, y)
            rest = radius == 0.0
            x, radius = np.where(rest, np.copysign(1.0, x), x), np.where(rest, 1.0, radius)
        total += float(np.hypot((x / radius).sum(axis=1), (y / radius).sum(axis=1)).sum())
    return total / (nodes * (samples - start))


@metric("Metastability")
def metastability(series: Series) -> float:
    """How much the nodes' distance from their mean varies: the first result of TVB's `metric_proxy_metastability`."""
    series.check_left(2, VARIANCE)
    distances = series.once(_in_space)
    return math.sqrt(distances.squares / distances.count)


@metric("Synchrony")
def synchrony(series: Series) -> float:
    """One over the nodes' mean distance from their mean: the second result of TVB's `metric_proxy_metastability`."""
    series.check_left(1, "it needs one")
    distances = series.once(_in_space)
    if distances.mean == 0.0:
        raise MissingMetricError("the nodes do not differ: their distance from their mean is 0")
    return float(1.0 / distances.mean)


# --------------------------------------------------------------------------------------------------------------- ours


@metric("mean")
def mean(series: Series) -> float:
    """Mean of all points after the transient."""
    series.check_left(1, "it needs one")
    each = series.once(_in_time)
    return float((each.mean + each.deviations.mean).mean())


@metric("std")
def std(series: Series) -> float:
    """Standard deviation of all points after the transient."""
    series.check_left(2, VARIANCE)
    each = series.once(_in_time)
    return math.sqrt(each.variance(mean=each.mean))


@metric("dominant_frequency")
def dominant_frequency(series: Series) -> float:
    """Where the spectrum of the first state variable is highest, in Hz; nodes and modes are summed.

    Notes
    -----
    Hann windows of equal length, one after the other and each without its mean: one for the whole series unless that
    exceeds `WINDOW`. The frequencies are multiples of one over the window's length.
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
    # The mean is gone, and with it what a spectrum says at 0 Hz.
    peak = 1 + int(np.argmax(power[1:]))
    if power[peak] == 0.0:
        raise MissingMetricError("the series is constant")
    return peak / length * 1000.0 / series.sample_period if power[peak] < math.inf else math.nan


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
