"""Names of parameters, such as `coupling.a` or `monitors[0].period`, and their values in a canonical simulation.

It works on plain JSON values. It checks names, not whether a value is allowed.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from tvb_batch.models.errors import SpecError, did_you_mean

#: Other names of the same parameters.
_ALIASES = {"integrator.noise.noise_seed": "seed", "connectivity.from_file": "connectivity"}

_NAME = re.compile(r"\w+(\[\d+\])*(\.\w+(\[\d+\])*)*", re.ASCII)


def set_value(values: dict[str, Any], name: str, value: Any) -> None:
    """Replace the value of `name` in a canonical simulation; the value must exist.

    A class replaces its whole section, because it does not have the parameters of the other class.

    Raises
    ------
    SpecError
        There is no such parameter.
    """
    *way, last = _steps(name)
    place: Any = values
    for step in way:
        place = _get(place, step, name)
    if last == "class" and isinstance(place, dict):
        if value != place.get("class"):
            place.clear()
        place["class"] = value
        return
    _get(place, last, name)
    place[last] = value


def get_value(values: Mapping[str, Any], name: str) -> Any:
    """Return the value of `name` in a canonical simulation.

    Raises
    ------
    SpecError
        There is no such parameter.
    """
    place: Any = values
    for step in _steps(name):
        place = _get(place, step, name)
    return place


def one_name(given: str, base: Mapping[str, Any]) -> str:
    """Return the name as in `parameters`, so that queries find swept and other jobs alike."""
    place: Any = base
    name = ""
    for step in _steps(given):
        below = _get(place, step, given)
        is_only = isinstance(place, list) and len(place) == 1 and not isinstance(below, dict)
        if isinstance(step, str):
            name = f"{name}.{step}" if name else step
        elif not is_only:
            name = f"{name}[{step}]"
        place = below
    return name


def is_section(value: Any) -> bool:
    """Return whether the name is a TVB object or a list of them, not a parameter."""
    return isinstance(value, dict) or (isinstance(value, list | tuple) and bool(value) and isinstance(value[0], dict))


def parameters(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Return every number and text by its dotted name; an array of one element as its element."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from parameters(item, f"{name}.{key}" if name else key)
    elif is_section(value):
        for index, item in enumerate(value):
            yield from parameters(item, f"{name}[{index}]")
    elif isinstance(value, list | tuple):
        if len(value) == 1 and not isinstance(value[0], list):
            yield name, value[0]
    elif value not in ("", None):
        yield name, value


def _steps(name: str) -> list[str | int]:
    """Split `monitors[0].period` into `["monitors", 0, "period"]`."""
    name = _ALIASES.get(name, name)
    if not _NAME.fullmatch(name):
        raise SpecError(name, "not a parameter name", "dotted names, such as coupling.a or monitors[0].period")
    return [int(word) if word.isdecimal() else word for word in re.findall(r"\w+", name)]


def _get(place: Any, step: str | int, name: str) -> Any:
    if isinstance(place, list) and isinstance(step, int) and step < len(place):
        return place[step]
    if isinstance(place, dict) and step in place:
        return place[step]
    if isinstance(place, list):
        raise SpecError(name, f"no element [{step}]", f"one of [0] to [{len(place) - 1}]")
    known = [key for key in place if key != "class"] if isinstance(place, dict) else []
    raise SpecError(name, f"no parameter {step!r}", "a parameter of the simulation", did_you_mean(str(step), known))
