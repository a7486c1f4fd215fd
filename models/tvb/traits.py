"""Converts sections of a spec to TVB objects and back, with the attributes that TVB declares.

`models.spec.assembly` calls `build` for each section of a spec; `submit.api.from_simulator` calls `to_section` for each
object of a script. Classes are found only through `models.tvb.components`, so a spec cannot use others. Files are read
and stored only through `models.tvb.input_store`. Imports TVB inside its functions.
"""

import copy
import importlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from tvb_batch.models.errors import SpecError
from tvb_batch.models.tvb.components import Attribute, Component, find_component
from tvb_batch.models.tvb.input_store import Inputs

#: Larger arrays are stored as files, so that people can read a spec.
MOST_INLINE = 1000


def build(role: str, section: Mapping[str, Any], inputs: Inputs) -> Any:
    """Return the TVB object that a complete section describes.

    Parameters
    ----------
    role : model, coupling, integrator, noise, monitor, equation, connectivity, surface ...
    section : a section from `models.spec.sections.complete`
    inputs : the storage of the section's files

    Raises
    ------
    InputError
        A file cannot be read.
    """
    component = find_component(role, section["class"], role)
    cls = getattr(importlib.import_module(component.module), component.name.rpartition(".")[2])
    # Do not pass TVB's defaults: some are integer arrays, but TVB converts given values to float.
    values = {
        name: _to_trait(component.attributes[name], value, inputs)
        for name, value in section.items()
        if name not in ("class", "from_file", "file_name") and value != component.attributes[name].default
    }
    parts = [part for name in [*values] if component.attributes[name].type == "parts" for part in values.pop(name)]
    undeclared = {name: values.pop(name) for name in [*values] if _is_undeclared(cls, component, name)}
    if parts:
        # Its constructor takes no other arguments.
        instance = cls(*parts)
        for name, value in values.items():
            setattr(instance, name, value)
    elif "from_file" in section:
        instance = inputs.read_datatype(cls, component, section["from_file"])
        for name, value in values.items():
            setattr(instance, name, value)
    else:
        instance = cls(**values)
    # TVB declares these final or not at all, but reads them from the instance.
    vars(instance).update(undeclared)
    _own_defaults(component, instance, section)
    if role == "noise":
        instance.reset_random_stream()  # It was seeded when the noise object was created.
    return instance


def to_section(role: str, instance: Any, inputs: Inputs, own: Sequence[Any] = ()) -> dict[str, Any]:
    """Return the section from which `build` makes an equal object.

    Parameters
    ----------
    inputs : the storage for large arrays
    own : objects that a section may leave out, because the simulation already has them

    Raises
    ------
    SpecError
        Workers could not import the object's class, or the class is not allowed.
    """
    component = find_component(role, class_name(instance), role)
    section: dict[str, Any] = {"class": component.name}
    for name, attribute in component.attributes.items():
        value = _value(instance, name)
        if attribute.type == "component" and any(value is one for one in own):
            continue
        if value is not None:
            section[name] = _from_trait(attribute, value, inputs, own)
        elif attribute.type == "parts":
            what = f"no attribute {name!r} of {component.name}"
            raise SpecError(f"{role}.{name}", what, f"what its constructor takes as *{name}", f"keep it as self.{name}")
        elif attribute.default is not None:
            section[name] = {} if attribute.type == "ranges" else None
    return section


def class_name(instance: Any) -> str:
    """Return the class name for a section: TVB's name, or another class with its module.

    Raises
    ------
    SpecError
        Workers cannot import the module that defines it.
    """
    cls = type(instance)
    if cls.__module__.startswith("tvb."):
        return cls.__name__
    if cls.__module__ == "__main__" or "<locals>" in cls.__qualname__:
        raise SpecError(
            cls.__name__, f"a class defined in {cls.__module__}", "one that workers can import",
            "put it into a module of its own and name the module in TVB_BATCH_MODULES",
        )  # fmt: skip
    if getattr(sys.modules.get(cls.__module__), cls.__name__, cls) is not cls:
        raise SpecError(
            cls.__name__, f"an object of a class that {cls.__module__} has no longer", "one of the class it has now",
            "the module was imported again: make the object again",
        )  # fmt: skip
    return f"{cls.__module__}.{cls.__qualname__}"


def fill_references(role: str, instance: Any, own: Mapping[str, Any]) -> None:
    """Set all missing references below `instance` to the simulation's own parts.

    Parameters
    ----------
    own : the connectivity, and for a surface simulation the surface and the region mapping, by role
    """
    sensors = _value(instance, "sensors")
    own = {**own, "sensors": sensors} if sensors is not None else own
    for name, attribute in find_component(role, class_name(instance), role).attributes.items():
        if attribute.type == "parts":
            for part in _value(instance, name):
                fill_references(attribute.role, part, own)
        if attribute.type != "component":
            continue
        value = _value(instance, name)
        if value is None and own.get(attribute.role) is not None:
            if type(own[attribute.role]).__name__ in attribute.choices:
                setattr(instance, name, own[attribute.role])
        elif value is not None:
            fill_references(attribute.role, value, own)


def _is_undeclared(cls: Any, component: Component, name: str) -> bool:
    return name not in cls.declarative_attrs or component.attributes[name].type == "ranges"


def _own_defaults(component: Component, instance: Any, section: Mapping[str, Any]) -> None:
    """Copy TVB's default arrays, so that a job cannot change them for the next one."""
    for name, attribute in component.attributes.items():
        if attribute.type not in ("array", "ranges") or (name in section and section[name] != attribute.default):
            continue
        value = _value(instance, name)
        if value is not None:
            vars(instance)[name] = copy.deepcopy(value)


def _value(instance: Any, name: str) -> Any:
    """Return an attribute, or None if TVB raises because it was never set."""
    try:
        return getattr(instance, name, None)
    except AttributeError:
        return None


def _to_trait(attribute: Attribute, value: Any, inputs: Inputs) -> Any:
    import numpy as np

    if value is None:
        return None
    if attribute.type == "sparse":
        return inputs.read_sparse(value["from_file"])
    if attribute.type == "array":
        if isinstance(value, dict):
            value = inputs.read_array(value["from_file"])
        return np.array(value, dtype={"f": float, "i": int, "b": bool, "U": str}[attribute.dtype])
    if attribute.type == "ranges":
        open_ends = (-np.inf, np.inf)
        return {
            name: np.array([end if one is None else one for one, end in zip(ends, open_ends, strict=True)])
            for name, ends in value.items()
        }
    if attribute.type == "list":
        return tuple(value)
    if attribute.type == "dict":
        return dict(value)
    if attribute.type == "component":
        return build(attribute.role, value, inputs)
    if attribute.type == "parts":
        return [build(attribute.role, part, inputs) for part in value]
    if attribute.type == "choice":
        return _choice(attribute, value)
    return value


def _from_trait(attribute: Attribute, value: Any, inputs: Inputs, own: Sequence[Any]) -> Any:
    import numpy as np

    from tvb_batch.models.tvb.introspect import open_ends

    if attribute.type == "array":
        array = np.asarray(value)
        is_plain = array.flags.c_contiguous and (array.dtype.kind not in "fc" or bool(np.isfinite(array).all()))
        if array.size <= MOST_INLINE and is_plain:
            return array.tolist()
        return {"from_file": inputs.keep_array(array)}
    if attribute.type == "sparse":
        return {"from_file": inputs.keep_sparse(value)}
    if attribute.type == "ranges":
        return {name: open_ends(ends) for name, ends in value.items()}
    if attribute.type == "list":
        return [str(item) for item in value]
    if attribute.type == "dict":
        return {name: float(item) for name, item in value.items()}
    if attribute.type == "component":
        return to_section(attribute.role, value, inputs, own)
    if attribute.type == "parts":
        return [to_section(attribute.role, part, inputs, own) for part in value]
    if attribute.type == "choice":
        return value.name
    return value.item() if isinstance(value, np.generic) else value


def _choice(attribute: Attribute, value: str) -> Any:
    from tvb.simulator.monitors import DefaultMasks

    # The only enumeration in TVB's simulator classes: SpatialAverage.default_mask.
    return DefaultMasks[value]
