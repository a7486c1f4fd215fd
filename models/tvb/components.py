"""TVB's classes as data: parameters, types, defaults and ranges, without importing TVB.

`scripts/make_components.py` generates `components.json` from tvb-library. `models.spec.sections` checks and completes
sections with it, and `models.tvb.traits` finds the classes for a spec. Other classes are allowed only if
TVB_BATCH_MODULES names their module.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from tvb_batch.models.errors import SpecError, did_you_mean
from tvb_batch.models.own_code.allowed import allowed
from tvb_batch.models.own_code.imports import load_module


@dataclass(frozen=True)
class Attribute:
    """One parameter of a TVB class."""

    name: str
    #: array, sparse, ranges, float, int, bool, str, formula, list, dict, choice, component or parts
    type: str
    default: Any
    required: bool
    label: str
    doc: str
    #: For arrays: f(loat), i(nt), b(ool) or U(nicode).
    dtype: str = "f"
    #: For components and parts: their role.
    role: str = ""
    #: The allowed values; for components the allowed classes, for ranges the allowed names.
    choices: tuple[str, ...] = ()
    #: TVB's declared range, which TVB itself does not enforce.
    domain: tuple[float, float] | None = None


@dataclass(frozen=True)
class Component:
    """One concrete class, of TVB or of a user module."""

    role: str
    name: str
    module: str
    doc: str
    attributes: Mapping[str, Attribute]
    state_variables: tuple[str, ...] = ()
    #: Whether its arrays can be read from one file of TVB's formats.
    from_file: bool = False


@cache
def _content() -> dict[str, Any]:
    content: dict[str, Any] = json.loads((files(__package__) / "components.json").read_text(encoding="utf-8"))
    return content


def roles() -> tuple[str, ...]:
    """Return the roles of sections, such as model or coupling."""
    return tuple(_content()["roles"])


@cache
def components(role: str) -> dict[str, Component]:
    """Return all TVB classes of `role`, by name."""
    return {name: _component(role, name, raw) for name, raw in _content()["roles"][role].items()}


def connectivities() -> dict[str, int]:
    """Return the connectivity files of tvb-data with their numbers of regions."""
    return dict(_content()["regions"])


def data_files(role: str) -> list[str]:
    """Return the files of tvb-data for `role`."""
    return list(_content()["files"].get(role, ()))


def find_component(role: str, name: Any, path: str) -> Component:
    """Return the class that a section names: a TVB class, or `module.Class` of an allowed module.

    Raises
    ------
    SpecError
        There is none.
    """
    known = components(role)
    if name is None:
        raise SpecError(path, "no `class`", f"the name of a TVB {_words(role)}", did_you_mean("", known))
    if isinstance(name, str) and name in known:
        return known[name]
    if isinstance(name, str) and "." in name:
        return _own(role, name, path)
    raise SpecError(f"{path}.class", repr(name), f"the name of a TVB {_words(role)}", did_you_mean(str(name), known))


def _words(role: str) -> str:
    return role.replace("_", " ")


def _own(role: str, name: str, path: str) -> Component:
    module = name.rpartition(".")[0]
    if module not in allowed():
        raise SpecError(
            f"{path}.class", repr(name), "a class of TVB or of an allowed module",
            f"name the module {module!r} in TVB_BATCH_MODULES, here and where the workers run",
        )  # fmt: skip
    return _own_component(role, name, path)


def _own_component(role: str, name: str, path: str) -> Component:
    from tvb_batch.models.tvb.introspect import role_of

    module, _, class_name = name.rpartition(".")
    try:
        cls = getattr(load_module(module), class_name)
    except (Exception, SystemExit) as exc:
        # A user's module may raise any exception, and a script may exit.
        reason = f"{type(exc).__name__}: {exc}"
        raise SpecError(f"{path}.class", repr(name), "a class that can be imported", reason) from exc
    if not isinstance(cls, type) or role_of(cls) != role:
        raise SpecError(f"{path}.class", repr(name), f"a subclass of TVB's {_words(role)}")
    return _described(role, name, cls)


@cache
def _described(role: str, name: str, cls: type) -> Component:
    """Describe a class once; a class that was imported again may declare something else."""
    from tvb_batch.models.tvb.introspect import describe_class

    return _component(role, name, json.loads(json.dumps(describe_class(cls))))


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
    variables = tuple(raw.get("state_variables", ()))
    return Component(role, name, raw["module"], raw["doc"], attributes, variables, raw.get("from_file", False))
