"""Decides which time series each monitor produces, and which datatypes the series refers to.

The table follows TVB's own monitors (`Monitor.create_time_series`).
"""

from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from tvb_batch.models.spec.consistency import OF_NODES, OF_SENSORS
from tvb_batch.worker.h5.content_gid import content_gid
from tvb_batch.worker.h5.datatypes import references
from tvb_batch.worker.h5.formats import LABELS_ORDERING


@dataclass(frozen=True)
class MonitorSeries:
    """The time series that one monitor produces."""

    #: TVB's class, such as TimeSeriesRegion.
    datatype: str
    #: Names of the entries of a dimension, such as `{"State Variable": ["V", "W"]}`.
    labels_dimensions: dict[str, list[str]]
    #: TVB objects that the series refers to, by attribute.
    references: dict[str, Any]
    #: TVB objects without an attribute in the series, which the GUI's viewers need.
    companions: tuple[Any, ...] = ()

    @cached_property
    def datatypes(self) -> tuple[Any, ...]:
        """Return all datatypes that the series refers to, directly or not, each after its own references."""
        return tuple(part for one in self.references.values() for part in (*references(one), one))


def series_of(simulator: Any, monitor: Any) -> MonitorSeries:
    """Return the time series that `monitor` of a configured simulator produces."""
    name, cortex = type(monitor).__name__, simulator.surface
    if name == "GlobalAverage":
        datatype, references = "TimeSeries", {}
    elif name in OF_SENSORS:
        datatype, references = OF_SENSORS[name], {"sensors": monitor.sensors}
    elif cortex is None:
        datatype, references = "TimeSeriesRegion", {"connectivity": simulator.connectivity}
    elif name in OF_NODES:
        datatype, references = "TimeSeriesSurface", {"surface": cortex.surface}
    else:
        mapping = cortex.region_mapping_data
        datatype, references = "TimeSeriesRegion", {"connectivity": simulator.connectivity, "region_mapping": mapping}
    # The GUI's viewers draw sensors on the first EEG cap that they find.
    companions = (_eeg_cap(),) if "sensors" in references else ()
    return MonitorSeries(datatype, _labels(simulator, monitor, datatype), references, companions)


@cache
def _eeg_cap() -> Any:
    from tvb.datatypes.surfaces import EEGCap

    cap = EEGCap.from_file()
    cap.configure()
    cap.gid = content_gid(cap)
    return cap


def _labels(simulator: Any, monitor: Any, datatype: str) -> dict[str, list[str]]:
    if type(monitor).__name__.startswith("AfferentCoupling"):
        return {}  # The inputs of a node have no names in TVB.
    watched = simulator.model.variables_of_interest
    return {LABELS_ORDERING[datatype][1]: [str(watched[index]) for index in monitor.voi]}
