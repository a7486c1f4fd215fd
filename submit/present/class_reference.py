"""Descriptions of TVB's classes, a first spec, and the JSON Schema of specs, all from `models.tvb.components`."""

import json
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tvb_batch
from tvb_batch.models.errors import NotFoundError, SpecError, did_you_mean
from tvb_batch.models.spec.sections import complete
from tvb_batch.models.tvb.components import Attribute, Component, components, data_files, find_component, roles

#: Fields of a spec besides sections: their JSON Schema and description.
_TOP: dict[str, tuple[dict[str, Any], str]] = {
    "name": ({"type": "string"}, "The sweep's name; the file's by default."),
    "conduction_speed": (
        {"anyOf": [{"type": "number", "exclusiveMinimum": 0}, {"const": "inf"}]},
        "mm/ms; inf for no delays",
    ),
    "simulation_length": ({"type": "number", "exclusiveMinimum": 0}, "ms"),
    "transient": (
        {"type": ["number", "null"], "minimum": 0},
        "First part of each series that all metrics leave out, ms; by default 500, and hrf_length (20000) for BOLD.",
    ),
    "initial_conditions": ({"type": ["array", "object", "null"]}, "(time, state variable, node, mode)"),
    "engine": ({"enum": ["auto", "reference"]}, "reference runs TVB's own loop"),
    "format": ({"enum": ["tvb2", "tvb1"]}, "tvb1 is the file format of TVB 1.4 to 1.5"),
    "stop_on_nan": ({"type": "boolean"}, "End in ERROR at the first NaN or infinity."),
    "time_limit": (
        {"type": ["number", "null"], "exclusiveMinimum": 0},
        "Maximum seconds for the job, all attempts together.",
    ),
    "seed": ({"type": "integer", "minimum": 0, "maximum": 2**32 - 1}, "noise_seed"),
    "random_state": (
        {"type": ["object", "null"]},
        "State of a script's random stream, from which the simulation continues.",
    ),
    "subject": ({"type": "string", "maxLength": 1000}, "Written into the files."),
    "title": ({"type": "string", "maxLength": 1000}, "Written into the files; {coupling.a} is a job's value."),
    "operation_tag": ({"type": "string", "maxLength": 1000}, "Written into the files."),
    "user_tags": ({"type": "array", "items": {"type": "string"}, "maxItems": 5}, "Written into the files."),
}
_SECTIONS = {
    "connectivity": "connectivity", "model": "model", "coupling": "coupling", "integrator": "integrator",
    "surface": "cortex", "stimulus": "stimulus",
}  # fmt: skip


def class_text(name: str) -> str:
    """Return the parameters of a class with ranges, defaults and TVB's description.

    Raises
    ------
    NotFoundError
        There is no class with this name.
    """
    found = [component for role in roles() for component in components(role).values() if component.name == name]
    for role in roles() if "." in name else ():
        try:
            found.append(find_component(role, name, "describe"))
        except SpecError as exc:
            reason = exc
    if not found:
        if "." in name:
            raise reason
        every = [component for role in roles() for component in components(role)]
        raise NotFoundError(
            f"{name}: not a TVB class; {did_you_mean(name, every) or '`tvb-batch describe` lists them'}"
        )
    return "\n\n".join(_describe(component) for component in found)


def list_classes() -> str:
    """Return all classes for specs, by role."""
    lines = []
    for role in roles():
        names = ", ".join(components(role))
        lines += textwrap.wrap(f"{role}: {names}", 100, subsequent_indent="    ")
    return "\n".join(lines)


def _describe(component: Component) -> str:
    lines = [f"{component.name}, a {component.role.replace('_', ' ')} ({component.module})"]
    lines += textwrap.wrap(component.doc, 100)
    if component.state_variables:
        lines.append(f"state variables: {', '.join(component.state_variables)}")
    for attribute in component.attributes.values():
        lines += ["", f"{attribute.name} = {_default(attribute)}{_range(attribute)}"]
        lines += textwrap.wrap(attribute.doc or attribute.label, 100, initial_indent="    ", subsequent_indent="    ")
    if component.from_file:
        files = ", ".join(data_files(component.role))
        lines += ["", "from_file", f"    Read all of it from a file in one of TVB's formats; in tvb-data: {files}"]
    return "\n".join(lines)


def _default(attribute: Attribute) -> str:
    value = attribute.default
    if value is None:
        return "(none)" if attribute.required else "null"
    if attribute.type == "array" and isinstance(value, list) and len(value) == 1:
        value = value[0]
    # YAML 1.1 reads 1e-09 as text.
    return (
        re.sub(r"\b(\d+)e(?=[-+]?\d)", r"\1.0e", json.dumps(value)) if isinstance(value, float) else json.dumps(value)
    )


def _range(attribute: Attribute) -> str:
    if attribute.domain is not None:
        return f"   [{attribute.domain[0]:g} to {attribute.domain[1]:g}]"
    return f"   [{', '.join(attribute.choices)}]" if attribute.choices and attribute.type != "ranges" else ""


# ------------------------------------------------------------------------------------------------------- a new spec


def new_spec(model: str) -> str:
    """Return a spec for `model` as YAML with TVB's defaults and descriptions.

    Raises
    ------
    SpecError
        There is no such model.
    """
    component = find_component("model", model, "--model")
    section = complete("model", {"class": model}, "model")
    lines = [
        f"name: {re.sub(r'(?<=[a-z0-9])(?=[A-Z])', '_', component.name.rpartition('.')[2]).lower()}",
        "connectivity: connectivity_76.zip    # a name in tvb-data, or a path to a TVB zip or H5 file",
        "conduction_speed: 3.0    # mm/ms",
        "model:",
        f"  class: {component.name}",
        *_model_lines(component, section),
        "coupling: {class: Linear, a: 0.00390625}    # `tvb-batch describe` lists the others",
        "integrator:",
        "  class: HeunStochastic",
        "  dt: 0.1    # ms",
        "  noise: {class: Additive, nsig: 0.0001}",
        "monitors:",
        "  - {class: TemporalAverage, period: 1.0}    # ms",
        "simulation_length: 1000.0    # ms",
        "seed: 42",
        "# sweep:    # one job for each combination; see docs/spec.md for zip, list, random, sobol and lhs",
        "#   coupling.a: [0.004, 0.008, 0.016]",
        *_swept_line(component),
    ]
    return "\n".join(lines) + "\n"


def example_text(name: str) -> str:
    """Return the text of an example, named with or without its suffix: `sweep`, `sweep.yaml`.

    Raises
    ------
    NotFoundError
        There is no such example.
    """
    folder = Path(tvb_batch.__path__[0], "examples")
    examples = sorted((*folder.glob("*.*"), *folder.glob("scripts/*.py")), key=lambda path: path.name)
    for path in examples:
        if name in (path.name, path.stem):
            return path.read_text(encoding="utf-8")
    raise NotFoundError(f"no example {name!r}; there are {', '.join(path.name for path in examples)}")


def _model_lines(component: Component, section: dict[str, Any]) -> Iterator[str]:
    for name, attribute in component.attributes.items():
        if attribute.default is None or attribute.type == "ranges" or attribute.dtype == "i":
            continue
        words = " ".join(f"{_range(attribute).strip()} {attribute.doc or attribute.label}".split())
        yield f"  {name}: {_default(attribute)}" + (f"    # {textwrap.shorten(words, 90)}" if words else "")
    for name in ("state_variable_range", "state_variable_boundaries"):
        if section[name]:
            yield f"  # {name}: {json.dumps(section[name])}"


def _swept_line(component: Component) -> Iterator[str]:
    for name, attribute in component.attributes.items():
        if attribute.domain is not None and attribute.dtype == "f":
            low, high = attribute.domain
            yield f"#   model.{name}: {{start: {low!r}, stop: {high!r}, num: 5}}"
            return


# ------------------------------------------------------------------------------------------------------ JSON Schema


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of spec files, for editors."""
    properties: dict[str, Any] = {name: {**schema, "description": words} for name, (schema, words) in _TOP.items()}
    properties |= {name: _reference(role) for name, role in _SECTIONS.items()}
    properties["monitors"] = {"type": "array", "minItems": 1, "items": _reference("monitor")}
    properties["sweep"] = {
        "type": "object", "description": "Parameters and their values; grid, zip, list, random, sobol, lhs, where ...",
    }  # fmt: skip
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A simulation or sweep for tvb-batch",
        "type": "object",
        "properties": properties,
        "required": ["model", "integrator", "monitors", "simulation_length"],
        "additionalProperties": False,
        "$defs": {role: _role_schema(role) for role in roles()},
    }


def _reference(role: str) -> dict[str, Any]:
    return {"$ref": f"#/$defs/{role}"}


def _role_schema(role: str) -> dict[str, Any]:
    found = components(role).values()
    names: list[dict[str, Any]] = [{"enum": [component.name for component in found]}]
    if any(component.from_file for component in found):
        names = [{"type": "string", "description": "a file"}]
    # The name of a user's class includes its module.
    own = {"type": "object", "properties": {"class": {"type": "string", "pattern": r"\."}}, "required": ["class"]}
    return {"anyOf": [*names, *map(_class_schema, found), own]}


def _class_schema(component: Component) -> dict[str, Any]:
    properties: dict[str, Any] = {"class": {"const": component.name}}
    if component.from_file:
        properties["from_file"] = {"type": "string", "examples": data_files(component.role)}
    properties |= {attribute.name: _attribute_schema(attribute) for attribute in component.attributes.values()}
    is_implied = component.from_file or len(components(component.role)) == 1
    return {
        "type": "object",
        "description": component.doc,
        "properties": properties,
        "required": [] if is_implied else ["class"],
        "additionalProperties": False,
    }


def _attribute_schema(attribute: Attribute) -> dict[str, Any]:
    number = {"f": "number", "i": "number", "b": "boolean", "U": "string"}[attribute.dtype]
    forms: dict[str, dict[str, Any]] = {
        "array": {"type": [number, "array", "object", "null"]},
        "sparse": {"type": ["object", "null"]},
        "ranges": {"type": ["object", "null"]},
        "float": {"type": ["number", "null"]},
        "int": {"type": ["integer", "null"]},
        "bool": {"type": ["boolean", "null"]},
        "str": {"type": ["string", "null"]},
        "formula": {"type": "string"},
        "list": {"type": "array", "items": {"enum": list(attribute.choices)} if attribute.choices else {}},
        "dict": {"type": "object", "additionalProperties": {"type": "number"}},
        "choice": {"enum": [*attribute.choices, None]},
        "component": {"anyOf": [_reference(attribute.role), {"type": "null"}]},
    }
    schema = {**forms[attribute.type], "description": attribute.doc or attribute.label}
    if attribute.default is not None:
        default = attribute.default
        is_single = attribute.type == "array" and isinstance(default, list) and len(default) == 1
        schema["default"] = default[0] if is_single else default
    return schema
