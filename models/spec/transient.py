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
    """Return what a monitor's metrics leave out of a long series, ms.

    That is `START_POINT`, as in TVB's analyzers. A BOLD monitor convolves with the last `hrf_length` ms, of which TVB
    takes those before the simulation as 0: its first `hrf_length` ms are a ramp, whatever the model does.

    Parameters
    ----------
    monitor : a section of a canonical spec
    """
    return max(START_POINT, float(monitor.get("hrf_length") or 0.0))


def transient_of(
    samples: int, sample_period: float, given: float | None = None, monitor: Mapping[str, Any] | None = None
) -> Transient:
    """Return what is left out of a series.

    With `given` it is that. Otherwise it is `default_transient`, but at most three quarters of the series, and at least
    `LEAST_LEFT` samples are left. Samples are counted as TVB's analyzers do, `int(transient / sample_period)`; a
    transient shorter than one sample takes that sample, which holds it.

    Parameters
    ----------
    samples : length of the series
    sample_period : ms
    given : ms, from 0 on; None where nobody chose one
    monitor : that made the series, as a section of a canonical spec
    """
    wanted = default_transient(monitor or {}) if given is None else given
    count = max(int(wanted / sample_period), 1 if wanted > 0 else 0)
    if given is not None:
        return Transient(min(count, samples), is_given=True)
    most = min((SEGMENTS - 1) * (samples // SEGMENTS), samples - LEAST_LEFT)
    return Transient(min(count, max(0, most)))
