"""Writes the GUI's records of a simulation: view models, burst configuration and metrics, with h5py only.

The file of a view model holds the attributes that TVB declares for the object's class, in the encoding of tvb-framework
2.10 (`tvb.core.neotraits._h5core.ViewModelH5`). Nothing of tvb-framework is imported.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import h5py
import numpy as np
from numpy.typing import NDArray

from tvb_batch.models.errors import SpecError
from tvb_batch.models.spec.simulation import SimulationSpec
from tvb_batch.worker.h5.kinds import find_kind
from tvb_batch.worker.h5.tvb2 import DATA_VERSION, common, encode, write_array, write_attributes
from tvb_batch.worker.h5.view_model_formats import missing_in

_VIEW_MODELS = "tvb.core.entities.file.simulator.view_model"
_METRICS_MODEL = "tvb.adapters.analyzers.metrics_group_timeseries.TimeseriesMetricsAdapterModel"
_IMPORT_MODEL = "tvb.adapters.uploaders.tvb_importer.TVBImporterModel"
_AS_DATA = "bundle the job as data (--as data): its series are imported without a record of the simulation"

#: Classes for which the GUI has its own view models; it has no other integrators, noises and monitors.
GUI_CLASSES = {
    "integrator": frozenset(
        {
            "Dop853", "Dop853Stochastic", "Dopri5", "Dopri5Stochastic", "EulerDeterministic", "EulerStochastic",
            "HeunDeterministic", "HeunStochastic", "Identity", "RungeKutta4thOrderDeterministic", "VODE",
            "VODEStochastic",
        }
    ),
    "monitor": frozenset(
        {
            "Bold", "BoldRegionROI", "EEG", "GlobalAverage", "MEG", "Raw", "SpatialAverage", "SubSample",
            "TemporalAverage", "iEEG",
        }
    ),
}  # fmt: skip

#: The GUI's names of the algorithms behind the metrics that TVB has.
_ALGORITHMS = {
    "GlobalVariance": "GlobalVariance",
    "KuramotoIndex": "KuramotoIndex",
    "Metastability": "ProxyMetastabilitySynchrony",
    "Synchrony": "ProxyMetastabilitySynchrony",
    "VarianceNodeVariance": "VarianceNodeVariance",
}


@dataclass(frozen=True)
class ViewModel:
    """One file of the GUI's record of an operation."""

    #: Path of the class that the GUI loads the file into.
    type: str
    gid: UUID
    #: By name, without `TVB_`; missing references are None.
    attributes: Mapping[str, object] = field(default_factory=dict)
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    is_visible: bool = True

    @property
    def file_name(self) -> str:
        """Return the file name; the GUI finds the file by the gid at its end."""
        return f"{self.type.rpartition('.')[2]}_{self.gid.hex}.h5"


def simulation_record(spec: SimulationSpec, simulator: Any, gid_of: Callable[[UUID], UUID]) -> list[ViewModel]:
    """Return the view models of a simulation, the SimulatorAdapterModel first.

    Parameters
    ----------
    simulator : a TVB Simulator of `spec`; monitors and datatypes are configured, model, coupling and integrator are not
    gid_of : returns the gid in the bundle for the current gid of a datatype

    Raises
    ------
    SpecError
        The GUI has no view model for a class in it, or needs an attribute that is not set.
    """
    check_gui_classes(spec)
    describe = _Describer(gid_of)
    coupling = describe.plain(simulator.coupling)
    model = describe.plain(simulator.model)
    integrator = describe.wrapped(simulator.integrator)
    monitors = [describe.monitor(monitor) for monitor in simulator.monitors]
    cortex = None if simulator.surface is None else describe.cortex(simulator.surface)
    stimulus, initial = simulator.stimulus, simulator.initial_conditions
    main = ViewModel(
        f"{_VIEW_MODELS}.SimulatorAdapterModel",
        uuid4(),
        {
            "connectivity": gid_of(simulator.connectivity.gid),
            "conduction_speed": float(spec.conduction_speed),
            "coupling": coupling,
            "model": model,
            "integrator": integrator,
            "monitors": [gid.hex for gid in monitors],
            "surface": cortex,
            "stimulus": None if stimulus is None else gid_of(stimulus.gid),
            "simulation_length": float(spec.simulation_length),
            "is_metric_operation": False,
        },
        {} if initial is None else {"initial_conditions": np.asarray(initial)},
    )
    models = [main, *describe.found]
    for view_model in models:
        given = [name for name, value in view_model.attributes.items() if value is not None]
        for name in missing_in(view_model.type, [*given, *view_model.arrays]):
            part = view_model.type.rpartition(".")[2].removesuffix("ViewModel")
            raise SpecError(f"{part}.{name}", "not set", "a value: the GUI needs it in its record", _AS_DATA)
    return models


def check_gui_classes(spec: SimulationSpec) -> None:
    """Check that the GUI has a view model for every part of the simulation.

    Raises
    ------
    SpecError
        It has none: for the observer monitors that TVB's GUI lacks, or for a class that is not TVB's.
    """
    sections = [("integrator", "integrator", spec.integrator)]
    sections += [("monitor", f"monitors[{index}]", monitor) for index, monitor in enumerate(spec.monitors)]
    for role, path, section in sections:
        if section["class"] not in GUI_CLASSES[role]:
            known = ", ".join(sorted(GUI_CLASSES[role]))
            raise SpecError(
                f"{path}.class", repr(section["class"]), f"a class with a view model in the GUI ({known})", _AS_DATA
            )
    for path, own in (("model", spec.model), ("coupling", spec.coupling), ("stimulus", spec.stimulus)):
        if own is not None and "." in own["class"]:
            raise SpecError(f"{path}.class", repr(own["class"]), "a TVB class; the GUI knows no others", _AS_DATA)


def metrics_record(metrics: Mapping[str, float], series: UUID, start_point: float | None = None) -> ViewModel:
    """Return the view model of the operation that computed the metrics of a time series.

    Parameters
    ----------
    start_point : the part at the start that the metrics leave out, ms; the GUI's default if it is not known
    """
    algorithms = sorted({_ALGORITHMS[name] for name in metrics if name in _ALGORITHMS})
    attributes: dict[str, Any] = {"algorithms": algorithms, "time_series": series, "is_metric_operation": True}
    if start_point is not None:
        attributes["start_point"] = start_point
    return ViewModel(_METRICS_MODEL, uuid4(), attributes, is_visible=False)


def import_record() -> ViewModel:
    """Return the view model of the operation that the datatypes of a bundle come from."""
    attributes = {"data_file": "tvb-batch", "data_subject": "John Doe", "is_metric_operation": False}
    return ViewModel(_IMPORT_MODEL, uuid4(), attributes)


def write_view_model(file: h5py.File, model: ViewModel, created: datetime, extra: Mapping[str, object]) -> None:
    """Write a view model into an empty file.

    Parameters
    ----------
    extra : attributes beside the model's own, such as the group of the operation
    """
    # Each class has its own file class, except view models: they share one and store their type.
    values = common("TimeSeries", model.gid, created, subject="", state="")
    values |= {"written_by": "tvb.core.neotraits._h5core.ViewModelH5", "type": model.type, "visible": model.is_visible}
    write_attributes(file, {**values, **model.attributes, **extra})
    for name, array in model.arrays.items():
        write_array(file, name, array)


def write_measure(
    file: h5py.File, gid: UUID, metrics: Mapping[str, float], series: UUID, created: datetime, *, subject: str,
    burst: UUID,
) -> None:  # fmt: skip
    """Write a DatatypeMeasure: the metrics of one time series."""
    values = common("DatatypeMeasure", gid, created, subject=subject, state="INTERMEDIATE")
    own = {"metrics": {name: float(value) for name, value in metrics.items()}, "analyzed_datatype": series}
    write_attributes(file, {**values, **own, "parent_burst": burst, "visible": False})


@dataclass(frozen=True)
class Burst:
    """An entry of the GUI's Simulation History."""

    gid: UUID
    name: str
    started: datetime
    finished: datetime
    #: The SimulatorAdapterModel of its first operation.
    simulator: UUID
    #: JSON texts, one for each swept parameter that the GUI can sweep.
    ranges: tuple[str, ...] = ()


def write_burst(file: h5py.File, burst: Burst) -> None:
    """Write a BurstConfiguration; it has none of the attributes that datatypes share."""
    values: dict[str, object] = {
        "Data_version": DATA_VERSION,
        "written_by": "tvb.core.entities.file.simulator.burst_configuration_h5.BurstConfigurationH5",
        "gid": burst.gid,
        "name": burst.name,
        "status": "finished",
        "error_message": "None",
        "start_time": burst.started,
        "finish_time": burst.finished,
        "simulator": burst.simulator,
    }
    values |= {f"range{number}": text for number, text in enumerate(burst.ranges, start=1)}
    write_attributes(file, values)


class _Describer:
    """Collects the view models of TVB's objects and returns the gid of each."""

    def __init__(self, gid_of: Callable[[UUID], UUID]) -> None:
        self._gid_of = gid_of
        self.found: list[ViewModel] = []

    def plain(self, instance: Any) -> UUID:
        """Describe an object of a class that the GUI uses unchanged."""
        cls = type(instance)
        return self._add(instance, f"{cls.__module__}.{cls.__name__}", self.plain)

    def wrapped(self, instance: Any) -> UUID:
        """Describe an object for which the GUI has its own class, as it has for the parts: an integrator's noise."""
        name = type(instance).__name__
        kind = "NoiseViewModel" if name in ("Additive", "Multiplicative") else "ViewModel"
        return self._add(instance, f"{_VIEW_MODELS}.{name}{kind}", self.wrapped, {"is_metric_operation": False})

    def monitor(self, monitor: Any) -> UUID:
        """Describe a monitor; add the variables that it records if the spec says all. Its noise is TVB's class."""
        name = type(monitor).__name__
        gid = self._add(monitor, f"{_VIEW_MODELS}.{name}ViewModel", self.plain, {"is_metric_operation": False})
        model = self.found.pop()
        if name != "Raw" and "variables_of_interest" not in model.arrays:
            watched = np.asarray(monitor.voi)
            model = replace(model, arrays={**model.arrays, "variables_of_interest": watched})
        self.found.append(model)
        return gid

    def cortex(self, cortex: Any) -> UUID:
        surface = self._gid_of(cortex.region_mapping_data.surface.gid)
        extra = {"surface_gid": surface, "is_metric_operation": False}
        return self._add(cortex, f"{_VIEW_MODELS}.CortexViewModel", self.plain, extra)

    def _add(
        self, instance: Any, path: str, part: Callable[[Any], UUID], extra: Mapping[str, object] | None = None
    ) -> UUID:
        attributes: dict[str, object] = dict(extra or {})
        arrays: dict[str, NDArray[Any]] = {}
        for name, value in _declared(instance):
            if _is_array(instance, name):
                arrays[name] = np.asarray(value)
            elif find_kind(value) is not None:
                attributes[name] = self._gid_of(value.gid)
            elif hasattr(type(value), "declarative_attrs") and not _is_equation(value):
                attributes[name] = part(value)
            else:
                attributes[name] = _scalar(value)
        gid = uuid4()
        self.found.append(ViewModel(path, gid, attributes, arrays))
        return gid


def _declared(instance: Any) -> Iterator[tuple[str, Any]]:
    """Return the declared attributes that are set, except the gid and the state of a random generator."""
    for name in type(instance).declarative_attrs:
        try:
            value = getattr(instance, name)
        except AttributeError:
            continue  # A required attribute without a value.
        if name != "gid" and value is not None and not isinstance(value, np.random.RandomState):
            yield name, value


def _is_array(instance: Any, name: str) -> bool:
    return type(getattr(type(instance), name)).__name__ == "NArray"


def _is_equation(value: Any) -> bool:
    return hasattr(value, "equation") and hasattr(value, "parameters")


def _scalar(value: Any) -> object:
    if _is_equation(value):
        return json.dumps({"type": type(value).__name__, "parameters": value.parameters}, default=_listed)
    if isinstance(value, Mapping | list | tuple | set):
        return json.dumps(value, default=_listed)
    if hasattr(value, "value") and hasattr(value, "name"):
        return encode(value.value)  # An enumeration, such as SpatialAverage.default_mask.
    return value


def _listed(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else list(value)
