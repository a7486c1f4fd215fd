"""Checks that the sections of a simulation fit each other, without TVB.

It knows how TVB uses lengths, periods and indices. It does not check the parameters of a single section.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from tvb_batch.models.errors import SpecError
from tvb_batch.models.spec.transient import LEAST_LEFT, START_POINT, default_transient, transient_of
from tvb_batch.models.tvb.components import connectivities, find_component

#: Raw monitors sample at every `dt` and ignore their period.
_SAMPLED_AT_DT = frozenset({"Raw", "RawVoi", "AfferentCoupling"})
#: Monitors whose `variables_of_interest` do not index the model's.
_OTHER_VARIABLES = frozenset({"Raw", "AfferentCoupling", "AfferentCouplingTemporalAverage"})

#: Monitors that record all nodes of the simulation: regions, or vertices of a surface.
OF_NODES = frozenset(
    {"Raw", "RawVoi", "SubSample", "TemporalAverage", "Bold", "AfferentCoupling", "AfferentCouplingTemporalAverage"}
)
#: Monitors with sensors, and the datatype of their series.
OF_SENSORS = {"EEG": "TimeSeriesEEG", "MEG": "TimeSeriesMEG", "iEEG": "TimeSeriesSEEG"}

#: Above this number, a float cannot count steps.
_MOST_STEPS = 2**53

Section = Mapping[str, Any]
#: Shapes of arrays, by their place in the spec.
Shapes = Mapping[str, tuple[int, ...]]


class _CompleteSimulation(Protocol):
    """The part of a `models.spec.simulation.SimulationSpec` that the checks read."""

    @property
    def connectivity(self) -> Section: ...
    @property
    def model(self) -> Section: ...
    @property
    def surface(self) -> Section | None: ...
    @property
    def stimulus(self) -> Section | None: ...
    @property
    def integrator(self) -> Section: ...
    @property
    def initial_conditions(self) -> list[Any] | dict[str, str] | None: ...
    @property
    def monitors(self) -> Sequence[Section]: ...
    @property
    def simulation_length(self) -> float: ...
    @property
    def transient(self) -> float | None: ...
    @property
    def format(self) -> str: ...


def check_times(dt: float, simulation_length: float, monitors: Iterable[Section]) -> None:
    """Check that every monitor samples at least once.

    Parameters
    ----------
    dt, simulation_length : ms

    Raises
    ------
    SpecError
        The simulation is shorter than a step, or a period shorter than a step or longer than the simulation.
    """
    if simulation_length / dt > _MOST_STEPS:
        raise SpecError(
            "simulation_length", f"{simulation_length:g} ms", f"at most {_MOST_STEPS:.0e} steps of {dt:g} ms"
        )
    if simulation_length < dt:
        raise SpecError("simulation_length", f"{simulation_length:g} ms", f"at least integrator.dt, {dt:g} ms")
    for index, monitor in enumerate(monitors):
        if monitor["class"] in _SAMPLED_AT_DT:
            continue
        path, period = f"monitors[{index}].period", monitor["period"]
        if period < dt:
            raise SpecError(path, f"{period:g} ms", f"at least integrator.dt, {dt:g} ms", "use a multiple of dt")
        # TVB samples every round(period / dt) steps, and makes ceil(length / dt) steps.
        if round(min(period / dt, _MOST_STEPS)) > math.ceil(simulation_length / dt):
            hint = "simulate longer, or sample more often"
            raise SpecError(path, f"{period:g} ms", f"at most simulation_length, {simulation_length:g} ms", hint)


def check_transient(transient: float | None, simulation_length: float) -> None:
    """Check that the transient ends before the simulation.

    Raises
    ------
    SpecError
        It does not.
    """
    if transient is not None and transient >= simulation_length:
        hint = "metrics use the samples after it"
        raise SpecError(
            "transient", f"{transient:g} ms", f"less than simulation_length, {simulation_length:g} ms", hint
        )


def check_format(spec: _CompleteSimulation) -> None:
    """Check that every monitor's series can be written in the format of the spec.

    Raises
    ------
    SpecError
        The format is `tvb1`, which has no file for the series of a monitor.
    """
    for index, monitor in enumerate(spec.monitors if spec.format == "tvb1" else ()):
        made = OF_SENSORS.get(monitor["class"])
        if made is None and spec.surface is not None and monitor["class"] in OF_NODES:
            made = "TimeSeriesSurface"
        if made is not None:
            found, hint = f"{monitor['class']}, whose {made} has no tvb1 file", "leave it out, or use format: tvb2"
            raise SpecError(f"monitors[{index}].class", found, "a monitor of regions or of their average", hint)


def check_shapes(
    spec: _CompleteSimulation, regions: int | None = None, shapes: Shapes | None = None, nodes: int | None = None
) -> None:
    """Check that arrays have one element, or one for each region, state variable and so on.

    Parameters
    ----------
    regions : number of regions of the connectivity, if it is not in the spec; with None, an array may have any length
    shapes : shapes of arrays in separate files, by their place in the spec
    nodes : number of nodes of a surface simulation: vertices, and regions without vertices

    Raises
    ------
    SpecError
        An array fits neither the state variables nor the regions, or an index is larger than the last variable.
    """
    component = find_component("model", spec.model["class"], "model")
    regions = count_regions(spec.connectivity) or regions
    shapes = shapes or {}
    # A parameter of a surface simulation may have one value for each region, or for each node.
    own = regions if spec.surface is None else None
    nodes = regions if spec.surface is None else nodes
    # Some parameters are tables, such as Zerlaut's polynomials, and must be as long as their default.
    for name, attribute in component.attributes.items():
        if attribute.type == "array" and attribute.dtype != "i" and len(attribute.default or ()) == 1:
            _check_length(f"model.{name}", spec.model[name], {1: "one value"}, own, shapes)
    if "noise" in spec.integrator:
        count = len(component.state_variables)
        lengths = {1: "one value", count: f"one for each of the {count} state variables of {component.name}"}
        _check_length("integrator.noise.nsig", spec.integrator["noise"]["nsig"], lengths, own, shapes)
    for path, stimulus in _stimuli(spec.stimulus):
        _check_length(f"{path}.weight", stimulus.get("weight"), {}, regions, shapes)
    shape = shapes.get("initial_conditions") or _shape(spec.initial_conditions)
    if shape is not None:
        _check_initial_conditions(shape, len(component.state_variables), nodes)
    count = len(spec.model["variables_of_interest"])
    for index, monitor in enumerate(spec.monitors):
        if monitor["class"] not in _OTHER_VARIABLES:
            _check_indices(f"monitors[{index}].variables_of_interest", monitor.get("variables_of_interest"), count)


def _stimuli(stimulus: Section | None) -> Iterator[tuple[str, Section]]:
    """Yield the stimulus, or the parts of a composed stimulus, with their places in the spec."""
    if stimulus is not None:
        yield "stimulus", stimulus
        for name, value in stimulus.items():
            if isinstance(value, list) and value and isinstance(value[0], dict):
                yield from ((f"stimulus.{name}[{index}]", part) for index, part in enumerate(value))


def count_regions(connectivity: Section) -> int | None:
    """Return the number of regions of a connectivity, if its section tells."""
    if isinstance(connectivity.get("weights"), list):
        return len(connectivity["weights"])
    return connectivities().get(connectivity.get("from_file", ""))


def time_warnings(dt: float, monitors: Iterable[Section]) -> Iterator[str]:
    """Return a warning for each period that TVB rounds to a whole number of steps."""
    for index, monitor in enumerate(monitors):
        if monitor["class"] in _SAMPLED_AT_DT:
            continue
        period = monitor["period"]
        sampled = round(period / dt) * dt
        if not math.isclose(sampled, period, rel_tol=1e-9):
            yield f"monitors[{index}].period: {period:g} ms is not a multiple of dt; TVB samples every {sampled:g} ms"


def transient_warnings(spec: _CompleteSimulation) -> Iterator[str]:
    """Return a warning for each monitor whose series is hardly longer than its transient."""
    dt = spec.integrator["dt"]
    for index, monitor in enumerate(spec.monitors):
        period = dt if monitor["class"] in _SAMPLED_AT_DT else monitor["period"]
        samples = math.ceil(spec.simulation_length / dt) // max(1, round(period / dt))
        name = f"monitors[{index}] ({monitor['class']})"
        if spec.transient is not None:
            left = samples - transient_of(samples, period, spec.transient).samples
            if left < LEAST_LEFT:
                yield f"transient: {spec.transient:g} ms leaves {left} of the {samples} samples of {name}"
        elif (response := default_transient(monitor)) > START_POINT and samples * period <= response:
            yield (
                f"{name}: {samples * period:g} ms is not longer than its haemodynamic transient, {response:g} ms; "
                "its metrics contain part of it"
            )


def _check_length(path: str, value: Any, lengths: Mapping[int, str], regions: int | None, shapes: Shapes) -> None:
    is_plain = isinstance(value, list) and not (value and isinstance(value[0], list))
    shape = (len(value),) if is_plain else shapes.get(path, ())
    if len(shape) != 1 or shape[0] in lengths or regions is None or shape[0] == regions:
        return
    words = [*lengths.values(), f"{'or ' if lengths else ''}one for each of the {regions} regions"]
    raise SpecError(path, f"{shape[0]} values", ", ".join(words))


def _shape(value: Any) -> tuple[int, ...] | None:
    """Return the shape of nested lists; None if they are not lists."""
    shape = []
    while isinstance(value, list):
        shape.append(len(value))
        value = value[0] if value else None
    return tuple(shape) or None


def _check_initial_conditions(shape: tuple[int, ...], variables: int, nodes: int | None) -> None:
    if len(shape) != 4 or shape[1] != variables or (nodes is not None and shape[2] != nodes):
        expected = f"(time, {variables} state variables, {nodes or 'nodes'}, modes)"
        raise SpecError("initial_conditions", f"shape {shape}", expected)


def _check_indices(path: str, indices: list[int] | None, count: int) -> None:
    for place, index in enumerate(indices or ()):
        if not 0 <= index < count:
            expected = f"0 to {count - 1}, an index into model.variables_of_interest"
            raise SpecError(f"{path}[{place}]", str(index), expected)
