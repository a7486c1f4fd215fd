"""The axes of a sweep: which parameter each one names, and which values it takes.

Called by `models.spec`, on plain JSON values; it checks names and forms, not whether a value fits its parameter.
"""

import math
import re
from collections.abc import Mapping
from typing import Any

from models.components import did_you_mean, finite
from models.errors import SpecError

#: Larger grids are refused: nobody means them.
MOST_JOBS = 1_000_000

#: Other names of the same parameters.
_ALIASES = {"integrator.noise.noise_seed": "seed", "connectivity": "connectivity.from_file"}

_NAME = re.compile(r"\w+(\[\d+\])*(\.\w+(\[\d+\])*)*", re.ASCII)


def expand(axes: Any, base: Mapping[str, Any]) -> dict[str, list[Any]]:
    """The values of each axis by the one name of its parameter, in the order given; the last one varies fastest.

    Parameters
    ----------
    axes : parameter names, each with a list of values or `{start, stop, num}`, both ends included
    base : the canonical simulation

    Raises
    ------
    SpecError
        An axis is no axis, names no parameter or one that another axis names, or the grid has over `MOST_JOBS` points.
    """
    if not isinstance(axes, Mapping):
        raise SpecError("sweep", repr(axes), "a mapping of parameters to their values")
    size = math.prod(_length(str(name), values) for name, values in axes.items())
    if size > MOST_JOBS:
        raise SpecError("sweep", f"a grid of {size:,} points", f"at most {MOST_JOBS:,}", "sweep fewer values")
    expanded: dict[str, list[Any]] = {}
    for given, values in axes.items():
        try:
            name = _one_name(str(given), base)
        except SpecError as exc:
            raise SpecError(f"sweep.{given}", exc.found, exc.expected, exc.hint) from exc
        _refuse_overlap(str(given), name, expanded)
        expanded[name] = _values(str(given), values)
    return expanded


def assign(values: dict[str, Any], name: str, value: Any) -> None:
    """Replace what `name` names in a canonical simulation; only what is there already can be replaced.

    Raises
    ------
    SpecError
        There is no such parameter.
    """
    *way, last = _steps(_ALIASES.get(name, name))
    place: Any = values
    for step in way:
        place = _get(place, step, name)
    _get(place, last, name)
    place[last] = value


def _steps(name: str) -> list[str | int]:
    """`monitors[0].period` as `["monitors", 0, "period"]`."""
    if not _NAME.fullmatch(name):
        raise SpecError(name, "no parameter's name", "dotted names, such as coupling.a or monitors[0].period")
    return [int(word) if word.isdecimal() else word for word in re.findall(r"\w+", name)]


def _one_name(given: str, base: Mapping[str, Any]) -> str:
    """The name under which `SimulationSpec.parameters` has it, so that queries find swept and unswept jobs alike."""
    place: Any = base
    name = ""
    steps = _steps(_ALIASES.get(given, given))
    for step in steps:
        below = _get(place, step, given)
        is_only = isinstance(place, list) and len(place) == 1 and not isinstance(below, dict)
        if isinstance(step, str):
            name = f"{name}.{step}" if name else step
        elif not is_only:
            name = f"{name}[{step}]"
        place = below
    if steps[-1] == "class":
        raise SpecError(given, "a class", "a parameter", "a sweep over classes is not possible yet")
    if isinstance(place, dict) or (isinstance(place, list) and place and isinstance(place[0], dict)):
        example = f"{name}[0].period" if isinstance(place, list) else f"{name}.{[*place][-1]}"
        raise SpecError(given, "a whole section", f"one parameter of it, such as {example}")
    return name


def _get(place: Any, step: str | int, name: str) -> Any:
    if isinstance(place, list) and isinstance(step, int) and step < len(place):
        return place[step]
    if isinstance(place, dict) and step in place:
        return place[step]
    if isinstance(place, list):
        raise SpecError(name, f"no element [{step}]", f"one of [0] to [{len(place) - 1}]")
    known = [key for key in place if key != "class"] if isinstance(place, dict) else []
    raise SpecError(name, f"no parameter {step!r}", "a parameter of the simulation", did_you_mean(str(step), known))


def _refuse_overlap(given: str, name: str, others: Mapping[str, Any]) -> None:
    for other in others:
        if name == other or name.startswith((f"{other}[", f"{other}.")) or other.startswith((f"{name}[", f"{name}.")):
            raise SpecError(f"sweep.{given}", "the same parameter twice", f"one axis; {other} is swept already")


def _length(name: str, values: Any) -> int:
    if isinstance(values, Mapping):
        if set(values) != {"start", "stop", "num"}:
            found = ", ".join(map(str, values)) or "nothing"
            if not {"start", "stop", "num"} & set(values):
                expected = f'the parameter\'s name as one text, such as "{name}.{found.split(", ")[0]}"'
                raise SpecError(f"sweep.{name}", f"a mapping of {found}", expected)
            raise SpecError(f"sweep.{name}", found, "start, stop and num", "or a list of values")
        num = values["num"]
        if isinstance(num, bool) or not isinstance(num, int) or num < 1:
            raise SpecError(f"sweep.{name}.num", repr(num), "a whole number from 1 on")
        return num
    if not isinstance(values, list | tuple):
        raise SpecError(f"sweep.{name}", repr(values), "a list of values, or {start, stop, num}")
    if not values:
        raise SpecError(f"sweep.{name}", "an empty list", "at least one value")
    return len(values)


def _values(name: str, values: Any) -> list[Any]:
    if not isinstance(values, Mapping):
        return list(values)
    start, stop = (finite(values[end], f"sweep.{name}.{end}") for end in ("start", "stop"))
    if not math.isfinite(stop - start):
        raise SpecError(f"sweep.{name}", f"{start:g} to {stop:g}", "a range that a float can span")
    from numpy import linspace

    return [float(value) for value in linspace(start, stop, values["num"])]
