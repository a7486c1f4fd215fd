"""What a simulator remembers between two steps: taken, put back, and compared.

Called by the engines, which try their first steps, and by `worker.job.checkpoint`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

#: What a part of a simulator may keep its state in.
_KEPT = (np.ndarray, int, float)
#: What cannot change from step to step, or is made again by `configure`.
_FIXED = (str, bytes, tuple, frozenset, type(None), np.generic, np.dtype, type)


@dataclass(frozen=True)
class Snapshot:
    """Everything that TVB's loop changes, by where it is; arrays are copies."""

    values: dict[str, Any]


def take(simulator: Any) -> Snapshot:
    """Return the state of a simulator between two calls."""
    values: dict[str, Any] = {
        "current_state": simulator.current_state.copy(),
        "current_step": int(simulator.current_step),
        "calls": simulator.calls,
        "history": simulator.history.buffer.copy(),
    }
    for place, noise in _noises(simulator):
        values[f"{place}.random_stream"] = noise.random_stream.get_state()
        values[f"{place}._eta"] = None if noise._eta is None else np.copy(noise._eta)
    for place, part in _keepers(simulator):
        for name, value in vars(part).items():
            if isinstance(value, _KEPT):
                values[f"{place}.{name}"] = np.copy(value) if isinstance(value, np.ndarray) else value
    ode = getattr(simulator.integrator, "_ode", None)
    if ode is not None:
        values["integrator._ode"] = _take_ode(ode)
    return Snapshot(values)


def put_back(simulator: Any, snapshot: Snapshot) -> None:
    """Let the simulator continue from the snapshot."""
    values = snapshot.values
    simulator.current_state[...] = values["current_state"]
    simulator.current_step = values["current_step"]
    simulator.calls = values["calls"]
    simulator.history.buffer[...] = values["history"]
    for place, noise in _noises(simulator):
        noise.random_stream.set_state(values[f"{place}.random_stream"])
        noise._eta = values[f"{place}._eta"]
    for place, part in _keepers(simulator):
        _put_back_part(place, part, values)
    if hasattr(simulator.integrator, "_ode"):
        saved = values.get("integrator._ode")
        simulator.integrator._ode = None if saved is None else _make_ode(simulator, saved)


def _put_back_part(place: str, part: Any, values: dict[str, Any]) -> None:
    kept = vars(part)
    names = {name for name, value in kept.items() if isinstance(value, _KEPT)}
    # What a part noted during its first steps is not there before them.
    names |= {key.removeprefix(f"{place}.") for key in values if _is_of(key, place)}
    for name in names:
        key, value = f"{place}.{name}", kept.get(name)
        if key not in values:
            del kept[name]
        elif isinstance(value, np.ndarray) and value.flags.writeable and value.shape == np.shape(values[key]):
            value[...] = values[key]
        else:
            kept[name] = values[key]


def _is_of(key: str, place: str) -> bool:
    head, _, name = key.rpartition(".")
    return head == place and name not in ("random_stream", "_eta", "_ode")


def unsaved(simulator: Any) -> str | None:
    """Return what a snapshot of the simulator would lack, in words; None if it lacks nothing."""
    ode = getattr(simulator.integrator, "_ode", None)
    if ode is not None and type(ode._integrator).__name__ == "vode" and not hasattr(ode._integrator, "state_doubles"):
        return "SciPy before 1.17 keeps the state of VODE where it cannot be read"
    for place, part in _foreign(simulator):
        declared = set(type(part).declarative_attrs) | {"gid", "title", "tags", "log"}
        for name, value in vars(part).items():
            if name not in declared and not isinstance(value, (*_KEPT, *_FIXED)):
                return f"{place}.{name} of {type(part).__name__} is a {type(value).__name__}"
    return None


def _take_ode(ode: Any) -> dict[str, Any]:
    """Return the state of a `scipy.integrate.ode`: its time and state, and the working arrays of its integrator."""
    arrays = {name: value.copy() for name, value in vars(ode._integrator).items() if isinstance(value, np.ndarray)}
    # VODE's fourth argument says whether it goes on (2) or begins (1).
    begun = int(ode._integrator.call_args[3]) if type(ode._integrator).__name__ == "vode" else 0
    return {"t": float(ode.t), "y": np.copy(ode._y), "arrays": arrays, "begun": begun}


def _make_ode(simulator: Any, saved: dict[str, Any]) -> Any:
    integrator = simulator.integrator
    state = simulator.current_state[simulator.model.state_variable_mask]
    ode = integrator._prepare_ode(state, simulator.model.dfun)
    ode.t, ode._y = saved["t"], np.copy(saved["y"])
    for name, value in saved["arrays"].items():
        getattr(ode._integrator, name)[...] = value
    if saved["begun"]:
        ode._integrator.call_args[3] = saved["begun"]
    return ode


def _keepers(simulator: Any) -> Iterator[tuple[str, Any]]:
    """Yield the parts whose attributes are state: monitors, and classes that are not TVB's."""
    for number, monitor in enumerate(simulator.monitors):
        yield f"monitors[{number}]", monitor
    yield from ((place, part) for place, part in _foreign(simulator) if not place.startswith("monitors"))


def _foreign(simulator: Any) -> list[tuple[str, Any]]:
    """Return the parts whose classes are not TVB's: what they remember is unknown."""
    places = ("model", "coupling", "integrator", "stimulus")
    parts = [(place, getattr(simulator, place)) for place in places]
    parts += _noises(simulator)
    parts += [(f"monitors[{number}]", monitor) for number, monitor in enumerate(simulator.monitors)]
    return [(place, part) for place, part in parts if part is not None and not type(part).__module__.startswith("tvb.")]


def first_difference(one: Snapshot, other: Snapshot) -> str | None:
    """Return where two snapshots first differ, or None; NaN equals NaN."""
    for place, value in one.values.items():
        if place == "calls" or place not in other.values:
            continue
        if not _equal(value, other.values[place]):
            return place
    return None


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, tuple):
        return len(one) == len(other) and all(_equal(a, b) for a, b in zip(one, other, strict=True))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_equal(one[name], other[name]) for name in one)
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
    return bool(one == other)


def _noises(simulator: Any) -> list[tuple[str, Any]]:
    found = [("integrator.noise", getattr(simulator.integrator, "noise", None))]
    for number, monitor in enumerate(simulator.monitors):
        found.append((f"monitors[{number}].obsnoise", getattr(monitor, "obsnoise", None)))
    return [(place, noise) for place, noise in found if noise is not None]
