"""TVB's classes as data: their parameters, types, defaults and domains, without importing TVB.

`components.json` is generated from tvb-library by `scripts/make_components.py`. `models.spec` checks and completes the
sections of a spec with it, and `models.traits` finds the classes that a spec may name in it, and no others.
"""

import difflib
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from models.errors import SpecError

#: Roles that a spec can fill; TVB's other datatypes (sensors, projections, mappings) cannot be named yet.
ROLES = ("model", "coupling", "integrator", "noise", "monitor", "equation")

_TYPES = {
    "array": "a number or a list of numbers",
    "float": "a number",
    "int": "a whole number",
    "bool": "true or false",
    "str": "a text",
    "list": "a list of texts",
    "dict": "a mapping of names to numbers",
    "choice": "a text",
    "component": "a mapping with a `class`",
}


@dataclass(frozen=True)
class Attribute:
    """One parameter of a TVB class."""

    name: str
    #: array, float, int, bool, str, list, dict, choice or component
    type: str
    default: Any
    required: bool
    label: str
    doc: str
    #: For arrays: f(loat), i(nt) or b(ool).
    dtype: str = "f"
    #: For components: what they are for.
    role: str = ""
    #: The only values that fit; for components the only classes.
    choices: tuple[str, ...] = ()
    #: TVB's declared range, which TVB itself does not enforce.
    domain: tuple[float, float] | None = None


@dataclass(frozen=True)
class Component:
    """One concrete TVB class."""

    role: str
    name: str
    module: str
    doc: str
    attributes: Mapping[str, Attribute]
    state_variables: tuple[str, ...] = ()


@cache
def _content() -> dict[str, Any]:
    content: dict[str, Any] = json.loads((files("models") / "components.json").read_text(encoding="utf-8"))
    return content


@cache
def components(role: str) -> dict[str, Component]:
    """All classes that fill `role`, by name."""
    return {name: _component(role, name, raw) for name, raw in _content()["roles"][role].items()}


def connectivities() -> dict[str, int]:
    """The connectivity files of tvb-data, and how many regions each has."""
    return dict(_content()["connectivities"])


def _component(role: str, name: str, raw: Mapping[str, Any]) -> Component:
    attributes = {
        key: Attribute(
            name=key,
            type=value["type"],
            default=value["default"],
            required=value["required"],
            label=value["label"],
            doc=value["doc"],
            dtype=value.get("dtype", "f"),
            role=value.get("role", ""),
            choices=tuple(value.get("choices", ())),
            domain=tuple(value["domain"]) if "domain" in value else None,
        )
        for key, value in raw["attributes"].items()
    }
    return Component(role, name, raw["module"], raw["doc"], attributes, tuple(raw.get("state_variables", ())))


def did_you_mean(found: str, known: Iterable[str]) -> str:
    """A hint at the nearest known name, or at all of them."""
    names = sorted(known)
    return _nearest(found, names) or (f"known are {', '.join(names)}" if 0 < len(names) <= 30 else "")


def _nearest(found: str, names: Sequence[str]) -> str:
    by_lower = {name.lower(): name for name in names}
    near = difflib.get_close_matches(found, names, n=1) or difflib.get_close_matches(found.lower(), by_lower, n=1)
    return f"did you mean {by_lower.get(near[0], near[0])!r}?" if near else ""


def finite(value: Any, path: str, expected: str = "a number") -> float:
    """`value` as a float.

    Raises
    ------
    SpecError
        It is no number, or too large for a float, infinite or NaN.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise SpecError(path, repr(value), expected)
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise SpecError(path, repr(value)[:40], "a finite number")
    return number


def complete(role: str, section: Any, path: str) -> dict[str, Any]:
    """A checked copy of a spec's section with every default filled in.

    Parameters
    ----------
    section : `{"class": ..., attribute: value, ...}`, or the class name alone
    path : where the section stands, for messages

    Raises
    ------
    SpecError
        The class or an attribute is unknown, or a value has the wrong type.
    """
    if isinstance(section, str):
        section = {"class": section}
    if not isinstance(section, Mapping):
        raise SpecError(
            path, repr(section), f"a mapping with a `class`, such as {{class: {next(iter(components(role)))}}}"
        )
    component = _find(role, section.get("class"), path)
    for name in section:
        if name != "class" and name not in component.attributes:
            raise _unknown(component, str(name), path)
    completed: dict[str, Any] = {"class": component.name}
    for name, attribute in component.attributes.items():
        value = section.get(name, attribute.default)
        if value is not None:
            completed[name] = _checked(attribute, value, f"{path}.{name}")
        elif attribute.required:
            raise _missing(component, attribute, path)
        elif attribute.default is not None:
            # Said on purpose: the spec must stay apart from one that takes the default.
            completed[name] = None
    return completed


def domain_warnings(role: str, section: Mapping[str, Any], path: str) -> Iterator[str]:
    """One sentence for each value outside the domain that TVB declares."""
    for name, attribute in components(role)[section["class"]].attributes.items():
        value = section.get(name)
        if value is None:
            continue
        if attribute.type == "component":
            yield from domain_warnings(attribute.role, value, f"{path}.{name}")
        elif attribute.domain is not None:
            low, high = attribute.domain
            outside = [number for number in _flat(value) if not low <= number <= high]
            if outside:
                yield f"{path}.{name}: {outside[0]:g} is outside TVB's declared range {low:g} to {high:g}"


def _find(role: str, name: Any, path: str) -> Component:
    known = components(role)
    if name is None:
        raise SpecError(path, "no `class`", f"the name of a TVB {role}", did_you_mean("", known))
    if not isinstance(name, str) or name not in known:
        raise SpecError(f"{path}.class", repr(name), f"the name of a TVB {role}", did_you_mean(str(name), known))
    return known[name]


def _unknown(component: Component, name: str, path: str) -> SpecError:
    hint = did_you_mean(name, component.attributes)
    if name == "noise" and component.role == "integrator":
        stochastic = f"{component.name.removesuffix('Deterministic')}Stochastic"
        hint = f"noise belongs to a stochastic integrator, such as {stochastic}"
    return SpecError(f"{path}.{name}", "an unknown name", f"a parameter of {component.name}", hint)


def _missing(component: Component, attribute: Attribute, path: str) -> SpecError:
    if attribute.type == "component" and attribute.role not in ROLES:
        return SpecError(
            path,
            f"{component.name}, which needs {attribute.name}",
            "a class that a spec file can describe in full",
            f"{attribute.role} cannot be named in a spec yet",
        )
    hint = f"{component.name} has no default" if attribute.default is None else "leave it out for TVB's default"
    return SpecError(f"{path}.{attribute.name}", "nothing", _TYPES[attribute.type], hint)


def _checked(attribute: Attribute, value: Any, path: str) -> Any:
    if attribute.type == "component":
        if attribute.role not in ROLES:
            raise SpecError(path, repr(value), "nothing", f"{attribute.role} cannot be named in a spec yet")
        completed = complete(attribute.role, value, path)
        if attribute.choices and completed["class"] not in attribute.choices:
            expected = f"one of {', '.join(attribute.choices)}"
            raise SpecError(f"{path}.class", repr(completed["class"]), expected)
        return completed
    checked = _CHECKS[attribute.type](attribute, value, path)
    if checked == [] and attribute.default:
        raise SpecError(path, "an empty list", _TYPES[attribute.type], "leave it out for TVB's default")
    if attribute.choices:
        for item in checked if isinstance(checked, list) else [checked]:
            if item not in attribute.choices:
                expected = f"one of {', '.join(attribute.choices)}"
                raise SpecError(path, repr(item), expected, _nearest(str(item), attribute.choices))
    return checked


def _array(attribute: Attribute, value: Any, path: str) -> list[Any]:
    items = value if isinstance(value, list | tuple) else [value]
    if not items:
        return []
    if isinstance(items[0], list | tuple):
        rows = [_array(attribute, row, f"{path}[{index}]") for index, row in enumerate(items)]
        if len({len(row) for row in rows}) > 1:
            raise SpecError(path, "rows of different lengths", "rows of one length")
        return rows
    check = {"f": _float, "i": _int, "b": _bool}[attribute.dtype]
    return [check(attribute, item, f"{path}[{i}]" if len(items) > 1 else path) for i, item in enumerate(items)]


def _float(attribute: Attribute, value: Any, path: str) -> float:
    return finite(value, path, _TYPES[attribute.type])


def _int(attribute: Attribute, value: Any, path: str) -> int:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise SpecError(path, repr(value), "a whole number")
    if not -(2**63) <= value < 2**63:
        raise SpecError(path, repr(value)[:40], "a whole number of 64 bits")
    return value


def _bool(_: Attribute, value: Any, path: str) -> bool:
    if not isinstance(value, bool):
        raise SpecError(path, repr(value), "true or false")
    return value


def _text(_: Attribute, value: Any, path: str) -> str:
    if not isinstance(value, str):
        raise SpecError(path, repr(value), "a text")
    return value


def _texts(attribute: Attribute, value: Any, path: str) -> list[str]:
    if not isinstance(value, list | tuple):
        raise SpecError(path, repr(value), "a list of texts")
    return [_text(attribute, item, f"{path}[{index}]") for index, item in enumerate(value)]


def _numbers(attribute: Attribute, value: Any, path: str) -> dict[str, float]:
    if not isinstance(value, Mapping):
        raise SpecError(path, repr(value), "a mapping of names to numbers")
    for name in value:
        if name not in attribute.default:
            raise SpecError(
                f"{path}.{name}", "an unknown name", "a parameter of it", did_you_mean(str(name), attribute.default)
            )
    given = {name: _float(attribute, item, f"{path}.{name}") for name, item in value.items()}
    return {**attribute.default, **given}


_CHECKS: dict[str, Any] = {
    "array": _array,
    "float": _float,
    "int": _int,
    "bool": _bool,
    "str": _text,
    "list": _texts,
    "dict": _numbers,
    "choice": _text,
}


def _flat(value: Any) -> Iterator[float]:
    if isinstance(value, list):
        for item in value:
            yield from _flat(item)
    else:
        yield value
