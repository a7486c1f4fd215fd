"""The transient: the first part of a series that metrics, spectrum and functional connectivity leave out."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

#: The part that TVB's analyzers leave out, ms: `TimeseriesMetricsAdapterModel.start_point`.
START_POINT = 500.0
#: TVB divides a shorter series into this number of parts and uses the last: `TimeseriesMetricsAdapterModel.segment`.
SEGMENTS = 4
#: The default rule leaves at least this number of samples: one sample has no variance.
LEAST_LEFT = 2


@dataclass(frozen=True)
class Transient:
    """The part that is left out of one series."""

    samples: int
    #: Whether the spec gives `transient`; otherwise the default rule of `transient_of` applies.
    is_given: bool = False


def default_transient(monitor: Mapping[str, Any]) -> float:
    """Return the part of a long series that a monitor's metrics leave out, ms.

    It is `START_POINT`, as in TVB's analyzers. A BOLD monitor convolves with the last `hrf_length` ms, and TVB uses 0
    for the time before the simulation. So its first `hrf_length` ms are a ramp for every model.

    Parameters
    ----------
    monitor : a section of a canonical spec
    """
    return max(START_POINT, float(monitor.get("hrf_length") or 0.0))


def transient_of(
    samples: int, sample_period: float, given: float | None = None, monitor: Mapping[str, Any] | None = None
) -> Transient:
    """Return the part of a series to leave out.

    It is `given`, or by default `default_transient`, but at most three quarters of the series, so that at least
    `LEAST_LEFT` samples are left. Samples are counted as in TVB's analyzers, `int(transient / sample_period)`. A
    transient shorter than one sample leaves out the first sample, which contains it.

    Parameters
    ----------
    samples : length of the series
    sample_period : ms
    given : ms, at least 0; None for the default rule
    monitor : the monitor of the series, as a section of a canonical spec
    """
    wanted = default_transient(monitor or {}) if given is None else given
    count = max(int(wanted / sample_period), 1 if wanted > 0 else 0)
    if given is not None:
        return Transient(min(count, samples), is_given=True)
    most = min((SEGMENTS - 1) * (samples // SEGMENTS), samples - LEAST_LEFT)
    return Transient(min(count, max(0, most)))
