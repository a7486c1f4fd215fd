"""What a simulator remembers between two steps: taken, put back, and compared. Called by `worker.engines.compiled`."""

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Snapshot:
    """Everything that TVB's loop changes, by where it is; arrays are copies."""

    values: dict[str, Any]


def take(simulator: Any) -> Snapshot:
    """The state of a simulator between two calls."""
    values: dict[str, Any] = {
        "current_state": simulator.current_state.copy(),
        "current_step": int(simulator.current_step),
        "calls": simulator.calls,
        "history": simulator.history.buffer.copy(),
    }
    for place, noise in _noises(simulator):
        values[f"{place}.random_stream"] = noise.random_stream.get_state()
        values[f"{place}._eta"] = None if noise._eta is None else np.copy(noise._eta)
    for number, monitor in enumerate(simulator.monitors):
        for name, value in vars(monitor).items():
            if isinstance(value, np.ndarray | int | float):
                values[f"monitors[{number}].{name}"] = np.copy(value) if isinstance(value, np.ndarray) else value
    return Snapshot(values)


def put_back(simulator: Any, snapshot: Snapshot) -> None:
    """The simulator goes on from the snapshot."""
    values = snapshot.values
    simulator.current_state[...] = values["current_state"]
    simulator.current_step = values["current_step"]
    simulator.calls = values["calls"]
    simulator.history.buffer[...] = values["history"]
    for place, noise in _noises(simulator):
        noise.random_stream.set_state(values[f"{place}.random_stream"])
        noise._eta = values[f"{place}._eta"]
    for number, monitor in enumerate(simulator.monitors):
        kept = vars(monitor)
        for name, value in list(kept.items()):
            if isinstance(value, np.ndarray | int | float):
                place = f"monitors[{number}].{name}"
                if place not in values:
                    del kept[name]
                elif isinstance(value, np.ndarray) and value.flags.writeable and value.shape == values[place].shape:
                    value[...] = values[place]
                else:
                    kept[name] = values[place]


def first_difference(one: Snapshot, other: Snapshot) -> str | None:
    """Where two snapshots differ first, or None; NaN equals NaN."""
    for place, value in one.values.items():
        if place == "calls" or place not in other.values:
            continue
        if not _equal(value, other.values[place]):
            return place
    return None


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, tuple):
        return len(one) == len(other) and all(_equal(a, b) for a, b in zip(one, other, strict=True))
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
    return bool(one == other)


def _noises(simulator: Any) -> list[tuple[str, Any]]:
    found = [("integrator.noise", getattr(simulator.integrator, "noise", None))]
    for number, monitor in enumerate(simulator.monitors):
        found.append((f"monitors[{number}].obsnoise", getattr(monitor, "obsnoise", None)))
    return [(place, noise) for place, noise in found if noise is not None]
