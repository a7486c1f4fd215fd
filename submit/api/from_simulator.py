"""Converts a TVB Simulator of a script to the SimulationSpec from which a worker rebuilds it.

The simulator is not changed. Its state after a run is not sent: every job starts at time 0. Everything else that cannot
be sent is refused.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from tvb_batch.models.errors import SpecError
from tvb_batch.models.spec.assembly import assemble
from tvb_batch.models.spec.simulation import SimulationSpec, as_speed, simulation
from tvb_batch.models.tvb.input_store import Inputs
from tvb_batch.models.tvb.introspect import role_of
from tvb_batch.models.tvb.traits import build, to_section
from tvb_batch.submit.api.noise_stream import Seeds, begin_alike, has_run, is_configured, is_drawn_from, starts
from tvb_batch.submit.api.patched_classes import refuse_patches
from tvb_batch.submit.api.twin_check import is_object, refuse_differences

#: A TVB monitor that records nothing.
_PRINTS = "ProgressLogger"
#: Monitors whose period TVB sets to dt when it configures them.
_WITHOUT_PERIOD = ("Raw", "RawVoi", "AfferentCoupling")


def describe_simulator(simulator: Any, inputs: Inputs, seeds: Seeds | None = None, **annotation: Any) -> SimulationSpec:
    """Return the spec of a `tvb.simulator.simulator.Simulator`, configured or not.

    Parameters
    ----------
    inputs : the storage for its large arrays
    seeds : the request for random numbers; by default those of the simulator's own run
    annotation : `subject`, `title`, `user_tags`

    Raises
    ------
    SpecError
        A part of it cannot be sent to a worker or cannot be run.
    """
    _check_kind(simulator)
    monitors = _monitors(simulator)
    refuse_patches(_objects(simulator))
    values = {**_sections(simulator, inputs, [monitor for _, monitor in monitors]), **annotation}
    with _unchanged_global_stream():
        spec, twin = _with_start(simulator, values, inputs, seeds or Seeds())
        pairs = [(f"monitors[{index}]", one, twin.monitors[place]) for place, (index, one) in enumerate(monitors)]
        # TVB refuses to configure a noise twice.
        refuse_differences([("", simulator, twin), *pairs], lambda: is_configured(twin) or twin.configure())
    _warn(simulator, spec, seeds or Seeds())
    return spec


def describe_object(value: Any, path: str, inputs: Inputs) -> Any:
    """Return the section of a TVB object that is a value of a sweep; for a list of monitors, those with a series.

    Return None for any other value.

    Raises
    ------
    SpecError
        A part of it cannot be sent to a worker.
    """
    if isinstance(value, list | tuple) and value and all(role_of(type(item)) == "monitor" for item in value):
        items = [(index, item) for index, item in enumerate(value) if not _only_prints(item)]
        return [describe_object(item, f"{path}[{index}]", inputs) for index, item in items]
    role = role_of(type(value))
    if role is None:
        return None
    refuse_patches(_objects(value))
    section = _model(value, inputs) if role == "model" else to_section(role, value, inputs)
    with _unchanged_global_stream():
        twin = build(role, section, inputs)
        refuse_differences([(path, value, twin)], twin.configure)
    if role == "connectivity" and value.speed.size == 1:
        section["speed"] = as_speed(float(value.speed.item()), f"{path}.speed")
    return section


def _check_kind(simulator: Any) -> None:
    kind = type(simulator)
    if not hasattr(simulator, "simulation_length") or not hasattr(simulator, "monitors"):
        raise SpecError("simulator", kind.__name__, "a tvb.simulator.simulator.Simulator")
    if kind.__module__ != "tvb.simulator.simulator":
        names = ", ".join(name for name in vars(kind) if not name.startswith(("__", "_own_", "declarative", "_abc")))
        found = f"{kind.__name__}, a subclass of Simulator" + (f" with its own {names}" if names else "")
        hint = (
            "workers run TVB's own loop; put the difference into a model, coupling, integrator or monitor of a module"
        )
        raise SpecError("simulator", found, "a tvb.simulator.simulator.Simulator", f"{hint} named in TVB_BATCH_MODULES")


def _sections(simulator: Any, inputs: Inputs, monitors: list[Any]) -> dict[str, Any]:
    """Return the parts of the spec without random numbers."""
    connectivity = getattr(simulator, "connectivity", None)  # TVB raises AttributeError if there is none.
    if connectivity is None:
        raise SpecError("connectivity", "nothing", "a Connectivity", "set simulator.connectivity")
    cortex = simulator.surface
    surface = () if cortex is None else (cortex.region_mapping_data.surface,)
    own = (connectivity, *surface)
    values: dict[str, Any] = {
        "connectivity": _connectivity(connectivity, inputs),
        "model": _model(simulator.model, inputs),
        "coupling": to_section("coupling", simulator.coupling, inputs),
        "integrator": _integrator(simulator, inputs),
        "monitors": [_monitor(monitor, inputs, own) for monitor in monitors],
        "simulation_length": float(simulator.simulation_length),
    }
    if connectivity.speed.size == 1:
        values["conduction_speed"] = float(connectivity.speed.item())
    if cortex is not None:
        values["surface"] = to_section("cortex", cortex, inputs, (connectivity,))
        # Only this section names the surface; all others refer to it.
        mapping = values["surface"]["region_mapping_data"]
        mapping["surface"] = to_section("surface", cortex.region_mapping_data.surface, inputs)
        _leave_out_surface(values["surface"], cortex)
    if simulator.stimulus is not None:
        values["stimulus"] = to_section("stimulus", simulator.stimulus, inputs, own)
    if simulator.initial_conditions is not None:
        values["initial_conditions"] = {"from_file": inputs.keep_array(simulator.initial_conditions)}
    # The stream decides, see `submit.api.noise_stream`.
    values["integrator"].get("noise", {}).pop("noise_seed", None)
    return values


def _monitors(simulator: Any) -> list[tuple[int, Any]]:
    """Return the monitors with a time series and their positions in the script; ProgressLogger has none."""
    found = [(index, one) for index, one in enumerate(_as_list(simulator.monitors)) if not _only_prints(one)]
    if not found:
        raise SpecError("monitors", f"nothing but a {_PRINTS}", "a monitor that gives a time series", "add a Raw")
    return found


def _with_start(simulator: Any, values: dict[str, Any], inputs: Inputs, seeds: Seeds) -> tuple[SimulationSpec, Any]:
    """Return the spec whose jobs start like the simulator's own run, and the simulator that a worker builds from it."""
    is_begun = is_configured(simulator) and not has_run(simulator)
    for start in starts(simulator, inputs, seeds):
        spec = simulation({**values, **start})
        twin = assemble(spec, inputs, {})
        if not is_begun or seeds.are_own or seeds.given is not None or begin_alike(simulator, twin.configure()):
            return spec, twin
    raise SpecError(
        "simulator", "a configured simulator whose initial state, delays or random numbers cannot be reproduced",
        "a simulator without changes since configure()",
        "submit it before configure(), call configure() again, give submit(seed=...), or set initial_conditions",
    )  # fmt: skip


def _warn(simulator: Any, spec: SimulationSpec, seeds: Seeds) -> None:
    """Warn about what TVB, or the job, does in another way than the script may expect."""
    if any(map(_only_prints, _as_list(simulator.monitors))):
        _say(
            f"monitors: {_PRINTS} only prints, and is left out; `watch` and `wait` show progress. The others are "
            "counted without it: time_series(0) is of the first one that records"
        )
    speed, noise = simulator.connectivity.speed, getattr(simulator.integrator, "noise", None)
    if simulator.conduction_speed not in (None, 3.0, speed.flat[0]):
        _say(
            f"TVB ignores simulator.conduction_speed, {simulator.conduction_speed:g}: delays come from "
            f"connectivity.speed, {speed.flat[0]:g}"
        )
    if seeds.given is not None:
        return
    if noise is not None:
        if noise.noise_seed not in (42, spec.seed):
            _say(
                f"TVB ignores integrator.noise.noise_seed, {noise.noise_seed}, once the noise is made: its random "
                f"numbers are those of seed {spec.seed}; give submit(seed={noise.noise_seed}) if you mean that one"
            )
    elif not seeds.are_own and simulator.initial_conditions is None:
        advice = f"are drawn with seed {spec.seed}; give submit(seed=...), or set initial_conditions"
        if has_run(simulator):
            _say(f"the TVB simulator has run: its job begins again, and its initial conditions {advice}")
        elif not is_configured(simulator) and is_drawn_from(np.random.mtrand._rand):
            _say(f"numbers were drawn from numpy.random since it was seeded: the TVB initial conditions {advice}")


def _say(text: str) -> None:
    warnings.warn(text, stacklevel=5)


@contextmanager
def _unchanged_global_stream() -> Iterator[None]:
    """Restore NumPy's global random stream at the end of the block."""
    state = np.random.get_state()  # noqa: NPY002 - TVB draws from it
    try:
        yield
    finally:
        np.random.set_state(state)  # noqa: NPY002


def _objects(root: Any) -> list[Any]:
    """Yield all TVB objects below this one, this one first."""
    found: dict[int, Any] = {}
    left = [root]
    while left:
        one = left.pop()
        if isinstance(one, list | tuple):
            left += one
        elif is_object(one) and id(one) not in found:
            found[id(one)] = one
            left += vars(one).values()
    return list(found.values())


def _only_prints(monitor: Any) -> bool:
    return type(monitor).__name__ == _PRINTS and type(monitor).__module__.startswith("tvb.")


def _as_list(monitors: Any) -> list[Any]:
    return list(monitors) if isinstance(monitors, list | tuple) else [monitors]


def _connectivity(connectivity: Any, inputs: Inputs) -> dict[str, Any]:
    section = to_section("connectivity", connectivity, inputs)
    if connectivity.speed.size == 1:
        del section["speed"]
    return section


def _leave_out_surface(section: dict[str, Any], cortex: Any) -> None:
    local = cortex.local_connectivity
    if local is not None and vars(local).get("surface") is cortex.region_mapping_data.surface:
        section["local_connectivity"].pop("surface", None)


def _model(model: Any, inputs: Inputs) -> dict[str, Any]:
    section = to_section("model", model, inputs)
    for name, value in section.items():
        # In a configured model, one value for each node is a column.
        if _is_column(value):
            section[name] = [row[0] for row in value]
    if section.get("stvar") == section.get("cvar"):
        section.pop("stvar", None)  # This is TVB's default.
    return section


def _is_column(value: Any) -> bool:
    return isinstance(value, list) and len(value) > 1 and all(isinstance(row, list) and len(row) == 1 for row in value)


def _integrator(simulator: Any, inputs: Inputs) -> dict[str, Any]:
    section = to_section("integrator", simulator.integrator, inputs)
    if simulator.model.state_variable_boundaries is not None:
        # TVB sets it to the model's when it configures the simulator.
        section.pop("bounded_state_variable_indices", None)
        section.pop("state_variable_boundaries", None)
    if "noise" in section:
        nsig = simulator.integrator.noise.nsig
        if nsig.ndim == 3 and nsig.shape[2] == 1:
            # A configured noise has shape (state variable, node, mode); TVB accepts it without the axes of length 1.
            shape = [length for length in nsig.shape[:2] if length > 1] or [1]
            section["noise"]["nsig"] = nsig.reshape(shape).tolist()
    return section


def _monitor(monitor: Any, inputs: Inputs, own: tuple[Any, ...]) -> dict[str, Any]:
    section = to_section("monitor", monitor, inputs, own)
    sensors, projection = vars(monitor).get("sensors"), vars(monitor).get("projection")
    if projection is not None and vars(projection).get("sensors") is sensors:
        section["projection"].pop("sensors", None)
    if section["class"] in _WITHOUT_PERIOD:
        section.pop("period", None)
    if getattr(monitor, "is_default_special_mask", False):
        section.pop("spatial_mask", None)  # TVB computed it from `default_mask`.
    return section
