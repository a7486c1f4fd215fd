"""From a TVB Simulator, as a script made it, to the SimulationSpec that a worker rebuilds it from.

Called by `submit.script`. Changes nothing of the simulator. What a run leaves in it (its state, its history) does not
cross: every job starts from the beginning.
"""

import warnings
from typing import Any

from models.errors import SpecError
from models.inputs import Inputs
from models.spec import SimulationSpec, simulation
from models.traits import describe

#: A monitor of TVB's that records nothing.
_PRINTS = "ProgressLogger"
#: Monitors whose period TVB sets to dt when it configures them.
_WITHOUT_PERIOD = ("Raw", "RawVoi", "AfferentCoupling")


def describe_simulator(simulator: Any, inputs: Inputs, **annotation: Any) -> SimulationSpec:
    """The spec of a `tvb.simulator.simulator.Simulator`, configured or not.

    Parameters
    ----------
    inputs : where its large arrays are kept
    annotation : `subject`, `title`, `user_tags`, and `seed` where it has no noise

    Raises
    ------
    SpecError
        Something in it cannot cross to a worker, or cannot be run.
    """
    if not hasattr(simulator, "simulation_length") or not hasattr(simulator, "monitors"):
        raise SpecError("simulator", type(simulator).__name__, "a tvb.simulator.simulator.Simulator")
    connectivity = getattr(simulator, "connectivity", None)  # TVB raises AttributeError where there is none.
    if connectivity is None:
        raise SpecError("connectivity", "nothing", "a Connectivity", "set simulator.connectivity")
    cortex = simulator.surface
    surface = () if cortex is None else (cortex.region_mapping_data.surface,)
    own = (connectivity, *surface)
    values: dict[str, Any] = {
        "connectivity": _connectivity(connectivity, inputs),
        "model": _model(simulator.model, inputs),
        "coupling": describe("coupling", simulator.coupling, inputs),
        "integrator": _integrator(simulator, inputs),
        "monitors": [_monitor(monitor, inputs, own) for monitor in _monitors(simulator)],
        "simulation_length": float(simulator.simulation_length),
        **annotation,
    }
    if connectivity.speed.size == 1:
        values["conduction_speed"] = float(connectivity.speed.item())
    if cortex is not None:
        values["surface"] = describe("cortex", cortex, inputs, (connectivity,))
        # Only there is the surface said; everything else refers to it.
        mapping = values["surface"]["region_mapping_data"]
        mapping["surface"] = describe("surface", cortex.region_mapping_data.surface, inputs)
        _leave_out_surface(values["surface"], cortex)
    if simulator.stimulus is not None:
        values["stimulus"] = describe("stimulus", simulator.stimulus, inputs, own)
    if simulator.initial_conditions is not None:
        values["initial_conditions"] = {"from_file": inputs.keep_array(simulator.initial_conditions)}
    noise = getattr(simulator.integrator, "noise", None)
    if noise is not None:
        values["seed"] = int(noise.noise_seed)
    return simulation(values)


def _monitors(simulator: Any) -> list[Any]:
    """The monitors that give a time series; TVB's ProgressLogger prints lines and gives none."""
    given = list(simulator.monitors) if isinstance(simulator.monitors, list | tuple) else [simulator.monitors]
    found = [monitor for monitor in given if type(monitor).__name__ != _PRINTS]
    if not found:
        raise SpecError("monitors", f"nothing but a {_PRINTS}", "a monitor that gives a time series", "add a Raw")
    if len(found) < len(given):
        warnings.warn(
            f"monitors: {_PRINTS} only prints, and is left out; `watch` and `wait` show progress. The others are "
            "counted without it: time_series(0) is of the first one that records",
            stacklevel=5,
        )
    return found


def _connectivity(connectivity: Any, inputs: Inputs) -> dict[str, Any]:
    section = describe("connectivity", connectivity, inputs)
    if connectivity.speed.size == 1:
        del section["speed"]
    return section


def _leave_out_surface(section: dict[str, Any], cortex: Any) -> None:
    local = cortex.local_connectivity
    if local is not None and vars(local).get("surface") is cortex.region_mapping_data.surface:
        section["local_connectivity"].pop("surface", None)


def _model(model: Any, inputs: Inputs) -> dict[str, Any]:
    section = describe("model", model, inputs)
    for name, value in section.items():
        # A configured model has one value for each node as a column.
        if _is_column(value):
            section[name] = [row[0] for row in value]
    if section.get("stvar") == section.get("cvar"):
        section.pop("stvar", None)  # What TVB takes when nothing was set.
    return section


def _is_column(value: Any) -> bool:
    return isinstance(value, list) and len(value) > 1 and all(isinstance(row, list) and len(row) == 1 for row in value)


def _integrator(simulator: Any, inputs: Inputs) -> dict[str, Any]:
    section = describe("integrator", simulator.integrator, inputs)
    if simulator.model.state_variable_boundaries is not None:
        # TVB puts the model's there when it configures the simulator.
        section.pop("bounded_state_variable_indices", None)
        section.pop("state_variable_boundaries", None)
    if "noise" in section:
        nsig = simulator.integrator.noise.nsig
        if nsig.ndim == 3 and nsig.shape[2] == 1:
            # A configured noise has a value for (state variable, node, mode); TVB takes them back without the ones.
            shape = [length for length in nsig.shape[:2] if length > 1] or [1]
            section["noise"]["nsig"] = nsig.reshape(shape).tolist()
    return section


def _monitor(monitor: Any, inputs: Inputs, own: tuple[Any, ...]) -> dict[str, Any]:
    section = describe("monitor", monitor, inputs, own)
    sensors, projection = vars(monitor).get("sensors"), vars(monitor).get("projection")
    if projection is not None and vars(projection).get("sensors") is sensors:
        section["projection"].pop("sensors", None)
    if section["class"] in _WITHOUT_PERIOD:
        section.pop("period", None)
    if getattr(monitor, "is_default_special_mask", False):
        section.pop("spatial_mask", None)  # TVB made it of `default_mask`.
    return section
