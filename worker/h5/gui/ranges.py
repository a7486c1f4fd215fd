"""Names and writes the swept parameters of a bundle as the GUI does. Imports no TVB."""

import json
from collections.abc import Iterable

import numpy as np

from tvb_batch.models.spec.simulation import SimulationSpec
from tvb_batch.models.tvb.components import find_component

#: The parts of a spec whose parameters the GUI can sweep, and their roles.
_PREFIXES = {
    "model": "model",
    "coupling": "coupling",
    "surface": "cortex",
    "integrator.noise": "noise",
}


def range_json(name: str, values: Iterable[float]) -> str:
    """Return one axis: `["coupling.a", {"lo": ..., "step": ..., "hi": ...}]`, with null for unequal steps.

    Notes
    -----
    As in `tvb.basic.neotraits.api.Range`, the last value is below `hi`.
    """
    return json.dumps([name, _steps(sorted(set(values)))])


def _steps(values: list[float]) -> dict[str, float] | None:
    if len(values) < 2:
        return None
    steps = np.diff(values)
    step = float((values[-1] - values[0]) / (len(values) - 1))
    if not np.allclose(steps, step, rtol=1e-6, atol=0.0):
        return None
    low, high = values[0], values[-1] + step
    if len(np.arange(low, high, step)) != len(values):
        high = values[-1] + step / 2  # Rounding gave one value too many.
    return {"lo": low, "step": step, "hi": high}


def gui_parameter(spec: SimulationSpec, name: str) -> str | None:
    """Return the GUI's name of a parameter that the GUI can sweep, or None.

    A BurstConfiguration may name only these. With any other, the Simulation History cannot load the simulation.
    """
    if name == "conduction_speed":
        return name
    prefix, _, leaf = name.rpartition(".")
    section = spec.canonical()
    for step in prefix.split("."):
        section = section.get(step) if isinstance(section, dict) else None  # type: ignore[assignment]
    if prefix not in _PREFIXES or not isinstance(section, dict) or "class" not in section:
        return None
    attribute = find_component(_PREFIXES[prefix], section["class"], prefix).attributes.get(leaf)
    if prefix == "integrator.noise" and section["class"] == "Multiplicative":
        return None
    if prefix == "integrator.noise" and leaf == "ntau":
        return name
    if attribute is None or attribute.type != "array" or attribute.domain is None:
        return None
    value = section.get(leaf)
    if not isinstance(value, list) or len(value) != 1:
        return None
    return attribute.label if attribute.label.startswith(f"{prefix}.") else f"{prefix}.{attribute.label}"


def burst_ranges(spec: SimulationSpec, axes: dict[str, list[float]]) -> tuple[str, ...]:
    """Return the axes for a BurstConfiguration; nothing if the GUI could not sweep them."""
    named = [(gui_parameter(spec, name), _steps(sorted(set(values)))) for name, values in axes.items()]
    if any(name is None or steps is None for name, steps in named):
        return ()
    return tuple(json.dumps([name, steps]) for name, steps in named)
