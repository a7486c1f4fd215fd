"""The sections of a spec. Each describes one TVB object. They are checked with TVB's declarations and completed."""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tvb_batch.models.errors import SpecError, did_you_mean, nearest
from tvb_batch.models.tvb.components import Attribute, Component, components, data_files, find_component
from tvb_batch.models.tvb.input_files import SUFFIXES

_TYPES = {
    "array": "a number or a list of numbers",
    "sparse": "{from_file: ...}, a sparse matrix as .npz or .mat",
    "ranges": "a mapping of state variables to [low, high]",
    "float": "a number",
    "int": "a whole number",
    "bool": "true or false",
    "str": "a text",
    "formula": "a formula of `var`, such as var * 2",
    "list": "a list of texts",
    "dict": "a mapping of names to numbers",
    "choice": "a text",
    "component": "a mapping with a `class`",
    "parts": "a list of mappings with a `class`",
}
#: Maximum length of a file name as the user gave it.
_MOST_LETTERS = 4096
#: The default class of a section if several are possible.
_USUAL = {"surface": "CorticalSurface"}
#: Datatypes may leave these out; then they use the simulation's own connectivity, surface and sensors.
_IMPLIED = frozenset({"connectivity", "surface", "sensors", "projection", "region_mapping"})

#: What numexpr computes, without attributes, indices, strings and other calls.
_FORMULA = re.compile(
    r"(?:\s|\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+|\*\*|[-+*/%(),<>]|[<>=!]="
    r"|\b(?:var|pi|where|sin|cos|tan|exp|log|log10|sqrt|abs|tanh|sinh|cosh|arctan)\b)+"
)


def complete(role: str, section: Any, path: str, choices: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return a checked copy of a section with all defaults filled in.

    Parameters
    ----------
    section : `{"class": ..., attribute: value, ...}`; the class name alone; for datatypes also `{"from_file": ...}` or
        the file's name alone
    path : the place of the section, for messages
    choices : the allowed classes; empty for all classes of the role

    Raises
    ------
    SpecError
        The class, the file or an attribute is unknown, or a value has the wrong type.
    """
    is_name = isinstance(section, str)
    section = _as_mapping(role, section, path)
    component = find_component(role, section.get("class", _implied_class(role, choices)), path)
    if choices and component.name in components(role) and component.name not in choices:
        raise SpecError(f"{path}.class", repr(component.name), f"one of {', '.join(choices)}")
    completed: dict[str, Any] = {"class": component.name}
    is_read = "from_file" in section and component.from_file
    if is_read:
        completed["from_file"] = check_file_name(role, section["from_file"], path if is_name else f"{path}.from_file")
        if "file_name" in section:
            completed["file_name"] = _file_name(section["file_name"], f"{path}.file_name")
    known = {"class", *component.attributes, *(("from_file", "file_name") if is_read else ())}
    for name in section:
        if name not in known:
            raise _unknown(component, str(name), path)
    for name, attribute in component.attributes.items():
        if is_read and name not in section:
            continue  # The file decides, not the default.
        value = section.get(name, attribute.default)
        if value is not None:
            completed[name] = checked(attribute, value, f"{path}.{name}")
        elif _is_needed(role, attribute):
            raise _missing(component, attribute, path)
        elif attribute.default is not None:
            # An explicit null: the spec differs from one with the default.
            completed[name] = None
    return completed


def _is_needed(role: str, attribute: Attribute) -> bool:
    # TVB's own readers do not set a required boolean (zero_based_triangles).
    is_implied = attribute.role in _IMPLIED and not (role == "monitor" and attribute.role == "sensors")
    return attribute.required and attribute.type != "bool" and not is_implied


def check_file_name(role: str, name: Any, path: str) -> str:
    """Return the name of a file of tvb-data, or a path (with a `/`). Whether the path exists is checked later.

    Raises
    ------
    SpecError
        It is neither.
    """
    known = data_files(role)
    if not isinstance(name, str) or not name:
        raise SpecError(path, repr(name), "the name of a file of tvb-data, or a path")
    if name in known:
        return name
    if "/" not in name:
        example = name if name.lower().endswith(SUFFIXES) else "mine.zip"
        expected = f"a file of tvb-data for {role.replace('_', ' ')}, or a path (`./{example}`)"
        raise SpecError(path, repr(name), expected, did_you_mean(name, known))
    if not name.lower().endswith(SUFFIXES):
        raise SpecError(path, repr(name), f"a file in one of TVB's formats ({', '.join(SUFFIXES)})")
    return name


def _file_name(value: Any, path: str) -> str:
    """Return the user's name for a file."""
    if not isinstance(value, str) or not value or len(value) > _MOST_LETTERS or not value.isprintable():
        raise SpecError(path, repr(value)[:80], f"a name of at most {_MOST_LETTERS} characters")
    return value


def files_of(value: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every `{from_file: path}` of a canonical spec that is not a file of tvb-data, with its place."""
    if isinstance(value, dict):
        if isinstance(value.get("from_file"), str) and "/" in value["from_file"]:
            yield f"{path}.from_file", value
        for name, item in value.items():
            yield from files_of(item, f"{path}.{name}" if path else name)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            if isinstance(item, dict | list | tuple):
                yield from files_of(item, f"{path}[{index}]")


def move_file(section: dict[str, Any], path: str, place: Callable[[str, str], str]) -> None:
    """Set another path for a section's file, and keep the user's name as `file_name`."""
    given = section["from_file"]
    section["from_file"] = place(path, given)
    if section["from_file"] != given:
        section.setdefault("file_name", given)


def without_file_names(value: Any) -> Any:
    """Return the value without the user's file names: equal content is the same simulation."""
    if isinstance(value, dict):
        return {name: without_file_names(item) for name, item in value.items() if name != "file_name"}
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        return [without_file_names(item) for item in value]
    return value


def domain_warnings(role: str, section: Mapping[str, Any], path: str) -> Iterator[str]:
    """Return a warning for each value outside the range that TVB declares."""
    for name, attribute in find_component(role, section["class"], path).attributes.items():
        value = section.get(name)
        if value is None:
            continue
        if attribute.type == "component":
            yield from domain_warnings(attribute.role, value, f"{path}.{name}")
        elif attribute.type == "parts":
            for index, part in enumerate(value):
                yield from domain_warnings(attribute.role, part, f"{path}.{name}[{index}]")
        elif attribute.domain is not None and not isinstance(value, dict):
            low, high = attribute.domain
            outside = [number for number in _flat(value) if not low <= number <= high]
            if outside:
                yield f"{path}.{name}: {outside[0]:g} is outside TVB's declared range {low:g} to {high:g}"


def checked(attribute: Attribute, value: Any, path: str) -> Any:
    """Return `value` in canonical form.

    Raises
    ------
    SpecError
        It does not fit the attribute.
    """
    if attribute.type == "component":
        return complete(attribute.role, value, path, attribute.choices)
    if attribute.type == "parts":
        if not isinstance(value, list | tuple) or not value:
            raise SpecError(path, repr(value)[:80], _TYPES["parts"])
        return [complete(attribute.role, item, f"{path}[{index}]") for index, item in enumerate(value)]
    if attribute.type in ("array", "sparse") and isinstance(value, Mapping):
        if set(value) | {"file_name"} != {"from_file", "file_name"}:
            raise SpecError(path, repr(value)[:80], _TYPES[attribute.type], "or {from_file: ./values.npy}")
        names = {name: _file_name(value[name], f"{path}.{name}") for name in value if name == "file_name"}
        return {"from_file": check_file_name("", value["from_file"], f"{path}.from_file"), **names}
    result = _CHECKS[attribute.type](attribute, value, path)
    if result == [] and attribute.default:
        raise SpecError(path, "an empty list", _TYPES[attribute.type], "leave it out for TVB's default")
    if attribute.choices and attribute.type != "ranges":
        for item in result if isinstance(result, list) else [result]:
            if item not in attribute.choices:
                expected = f"one of {', '.join(attribute.choices)}"
                raise SpecError(path, repr(item), expected, nearest(str(item), attribute.choices))
    return result


def _as_mapping(role: str, section: Any, path: str) -> Mapping[str, Any]:
    if isinstance(section, str):
        is_file = section not in components(role) and any(item.from_file for item in components(role).values())
        return {"from_file": section} if is_file else {"class": section}
    if not isinstance(section, Mapping):
        example = next(iter(components(role)))
        raise SpecError(path, repr(section), f"a mapping with a `class`, such as {{class: {example}}}")
    return section


def _implied_class(role: str, choices: tuple[str, ...]) -> str | None:
    fitting = choices or tuple(components(role))
    if len(fitting) == 1:
        return fitting[0]
    return _USUAL.get(role) if _USUAL.get(role) in fitting else None


def _unknown(component: Component, name: str, path: str) -> SpecError:
    hint = did_you_mean(name, component.attributes)
    if name == "noise" and component.role == "integrator":
        stochastic = f"{component.name.removesuffix('Deterministic')}Stochastic"
        hint = f"noise belongs to a stochastic integrator, such as {stochastic}"
    return SpecError(f"{path}.{name}", "an unknown name", f"a parameter of {component.name}", hint)


def _missing(component: Component, attribute: Attribute, path: str) -> SpecError:
    hint = f"{component.name} has no default" if attribute.default is None else "leave it out for TVB's default"
    if component.from_file:
        hint = f"or read all of {component.name} `from_file`"
    elif data_files(attribute.role):
        hint = f"such as {data_files(attribute.role)[0]} of tvb-data"
    return SpecError(f"{path}.{attribute.name}", "nothing", _TYPES[attribute.type], hint)


def _array(attribute: Attribute, value: Any, path: str) -> list[Any]:
    items = value if isinstance(value, list | tuple) else [value]
    if not items:
        return []
    if isinstance(items[0], list | tuple):
        rows = [_array(attribute, row, f"{path}[{index}]") for index, row in enumerate(items)]
        if len({len(row) for row in rows}) > 1:
            raise SpecError(path, "rows of different lengths", "rows of one length")
        return rows
    check = {"f": _float, "i": _int, "b": _bool, "U": _text}[attribute.dtype]
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


def _formula(attribute: Attribute, value: Any, path: str) -> str:
    text = _text(attribute, value, path)
    if len(text) > 1000 or not _FORMULA.fullmatch(text):
        raise SpecError(path, repr(text)[:80], "a formula of `var`: numbers, operators and functions such as exp(var)")
    return text


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
    given = {str(name): _float(attribute, item, f"{path}.{name}") for name, item in value.items()}
    return {**attribute.default, **given}


def _ranges(attribute: Attribute, value: Any, path: str) -> dict[str, list[float | None]]:
    if not isinstance(value, Mapping):
        raise SpecError(path, repr(value), _TYPES["ranges"])
    found = dict(attribute.default)
    for name, ends in value.items():
        if name not in attribute.choices:
            hint = did_you_mean(str(name), attribute.choices)
            raise SpecError(f"{path}.{name}", "an unknown name", "a state variable", hint)
        if not isinstance(ends, list | tuple) or len(ends) != 2:
            raise SpecError(f"{path}.{name}", repr(ends), "[low, high], with null for an open end")
        low, high = (_end(end, f"{path}.{name}[{index}]") for index, end in enumerate(ends))
        if low is not None and high is not None and low > high:
            raise SpecError(f"{path}.{name}", f"{low:g} to {high:g}", "a low end below the high end")
        found[name] = [low, high]
    return found


def _end(value: Any, path: str) -> float | None:
    if value is None or (isinstance(value, float) and value in (float("inf"), float("-inf"))):
        return None
    return finite(value, path)


_CHECKS: dict[str, Any] = {
    "array": _array,
    "sparse": lambda _, value, path: _refuse(value, path, _TYPES["sparse"]),
    "ranges": _ranges,
    "float": _float,
    "int": _int,
    "bool": _bool,
    "str": _text,
    "formula": _formula,
    "list": _texts,
    "dict": _numbers,
    "choice": _text,
}


def _refuse(value: Any, path: str, expected: str) -> Any:
    raise SpecError(path, repr(value)[:80], expected)


def _flat(value: Any) -> Iterator[float]:
    if isinstance(value, list):
        for item in value:
            yield from _flat(item)
    else:
        yield value


def finite(value: Any, path: str, expected: str = "a number") -> float:
    """Return `value` as a float.

    Raises
    ------
    SpecError
        It is not a number, or too large for a float, infinite or NaN.
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
