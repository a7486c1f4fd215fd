"""Checks that a worker's simulator equals the script's: each object is compared with its twin, built from the spec.

Attributes that TVB declares are sent to a worker. Other attributes of an object would be lost, so they are refused. A
part that was configured or used in a run is compared with a configured twin, because TVB computes attributes too.
"""

import dis
import types
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from tvb_batch.models.errors import SpecError
from tvb_batch.models.tvb.introspect import NOT_PARAMETERS

#: Attributes that TVB sets but never computes with.
_NOTES = NOT_PARAMETERS | {"title", "tags", "log"}
#: Attributes of a simulator. TVB 2.10 reads the speed from the connectivity; `submit.api.from_simulator` handles
#: monitors.
_ELSEWHERE = {"conduction_speed", "monitors"}
#: Attributes that TVB computes again when it configures or runs a simulator; earlier values have no effect.
_OF_A_RUN = {
    "Simulator": _ELSEWHERE | {
        "calls", "current_step", "current_state", "history", "_runtime", "_storage_requirement",
        "_memory_requirement_guess", "_memory_requirement_census",
    },
    "Kuramoto": {"derivative"},
    "Coupling": {"_cached_lri", "_cached_nzr"},
    "Integrator": {"_ode", "dX"},
    "Monitor": {"_stock", "_interim_stock"},
    # Computed from vertices and triangles when needed.
    "Surface": {
        "_vertex_neighbours", "_vertex_triangles", "_triangle_centres", "_triangle_angles", "_triangle_areas", "_edges",
        "_number_of_edges", "_edge_lengths", "_edge_triangles",
    },
    "LocalConnectivity": {"matrix_gdist"},
    "SpatioTemporalPattern": {"time", "space", "_temporal_pattern", "_spatial_pattern"},
    "Noise": {"noise_seed", "dt", "_h", "_eta", "_E", "_sqrt_1_E2", "_dt_sqrt_lambda"},
}  # fmt: skip

#: Parts of the names of methods that prepare an object for a run.
_PREPARING = ("__init__", "config", "update_derived_parameters")

#: The path of an attribute, its object, its name, and its value in the original.
Difference = tuple[str, Any, str, Any]
_ABSENT = object()


def refuse_differences(pairs: Sequence[tuple[str, Any, Any]], configure: Callable[[], Any]) -> None:
    """Check that each twin does what its original does.

    Parameters
    ----------
    pairs : name of an object for messages, such as `model`, empty for the simulator; the object; its twin
    configure : configures the twins; called only if it may explain a difference

    Raises
    ------
    SpecError
        A part of the original is not in the twin.
    """
    found = _by_path(pairs)
    if not found:
        return
    try:
        configure()
    except Exception:
        left = found  # TVB refuses the simulator as it is; the found attributes may be the reason.
    else:
        left = {path: difference for path, difference in _by_path(pairs).items() if path in found}
    for difference in left.values():
        raise _refusal(*difference)


def _by_path(pairs: Sequence[tuple[str, Any, Any]]) -> dict[str, Difference]:
    return {difference[0]: difference for pair in pairs for difference in _differences(*pair)}


def _differences(path: str, one: Any, other: Any) -> Iterator[Difference]:
    """Yield every attribute that differs."""
    seen: set[int] = set()

    def walk(path: str, one: Any, other: Any) -> Iterator[Difference]:
        if id(one) in seen:
            return
        seen.add(id(one))
        if type(one) is not type(other):
            yield path, one, "", one
            return
        passed = _passed_over(one)
        for name in vars(one):
            if name in passed:
                continue
            value, made = _get(one, name), _get(other, name)
            if (value is None or value is _ABSENT) and name in type(one).declarative_attrs:
                continue  # A reference that TVB fills from the simulation.
            below = f"{path}.{name}" if path else name
            if is_object(value) and is_object(made):
                yield from walk(below, value, made)
            elif _are_objects(value) and _are_objects(made) and len(value) == len(made):
                for index, pair in enumerate(zip(value, made, strict=True)):
                    yield from walk(f"{below}[{index}]", *pair)
            elif not is_equal(value, made):
                yield f"{path or 'simulator'}.{name}", one, name, value

    yield from walk(path, one, other)


def _get(instance: Any, name: str) -> Any:
    try:
        return getattr(instance, name, _ABSENT)
    except AttributeError:
        return _ABSENT


def is_object(value: Any) -> bool:
    """Return whether the value is a TVB object with declared attributes."""
    return hasattr(type(value), "declarative_attrs")


def _are_objects(values: Any) -> bool:
    return isinstance(values, list | tuple) and bool(values) and all(map(is_object, values))


def _passed_over(instance: Any) -> set[str]:
    names = set(_NOTES)
    for cls in type(instance).__mro__:
        names |= _OF_A_RUN.get(cls.__name__, set()) if cls.__module__.startswith("tvb.") else _kept_by_methods(cls)
    return names


def _kept_by_methods(cls: type) -> set[str]:
    """Return attributes that methods of a user class set while it runs."""
    names: set[str] = set()
    for name, method in vars(cls).items():
        if isinstance(method, types.FunctionType) and not any(word in name for word in _PREPARING):
            names |= {step.argval for step in dis.get_instructions(method) if step.opname == "STORE_ATTR"}
    return names


def is_equal(one: Any, other: Any) -> bool:
    """Return whether two values are equal; NaN equals NaN, and methods are equal if their code is."""
    if one is other:
        return True
    if isinstance(one, types.MethodType | types.FunctionType):
        return type(one) is type(other) and _code(one) == _code(other)
    if isinstance(one, np.ndarray | np.generic) or isinstance(other, np.ndarray | np.generic):
        return _is_equal_array(np.asarray(one), np.asarray(other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(is_equal(value, other[key]) for key, value in one.items())
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(is_equal, one, other))
    if hasattr(one, "tocsr") and hasattr(other, "tocsr"):
        return one.shape == other.shape and not (one != other).nnz
    try:
        return bool(one == other) or bool(one != one and other != other)
    except Exception:
        return False


def _is_equal_array(one: Any, other: Any) -> bool:
    if one.shape != other.shape:
        return False
    is_number = one.dtype.kind in "fc" and other.dtype.kind in "fc"
    return bool(np.array_equal(one, other, equal_nan=is_number))


def _code(function: Any) -> tuple[Any, ...]:
    plain = getattr(function, "__func__", function)
    return plain.__code__, plain.__defaults__, plain.__closure__


def _refusal(path: str, owner: Any, name: str, value: Any) -> SpecError:
    kind = type(owner).__name__
    if not name:
        return SpecError(path, f"a {kind}", "a class that a spec can name", "use TVB's own")
    own = "write it into a class in a module of your own, and name the module in TVB_BATCH_MODULES"
    if callable(value):
        return SpecError(path, f"a method that was replaced on this {kind}", "the method of its class", own)
    shown = _shown(value)
    if not hasattr(type(owner), name):
        found = f"{shown}, which {kind} does not declare"
        hint = f"workers do not get it: remove it, or declare it (an Attr, NArray or Float) and {own}"
        return SpecError(path, found, "attributes that TVB declares", hint)
    hint = f"workers do not get it: leave it to TVB, or {own}"
    return SpecError(path, f"{shown}, set on this {kind}", "what TVB gives it", hint)


def _shown(value: Any) -> str:
    if isinstance(value, np.ndarray) and value.size > 6:
        return f"an array of shape {value.shape}"
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."
