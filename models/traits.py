"""From a spec's section to a TVB object and back, for every class alike: TVB's declared attributes say how.

Imports TVB inside its functions. A class is found only through `components.json`: a spec can name nothing else.
"""

import importlib
from collections.abc import Mapping
from typing import Any

from models.components import Attribute, components


def build(role: str, section: Mapping[str, Any]) -> Any:
    """The TVB object that a complete section describes.

    Parameters
    ----------
    role : model, coupling, integrator, noise, monitor or equation
    section : as `models.components.complete` returns it
    """
    component = components(role)[section["class"]]
    # TVB's own defaults are left to TVB: some are arrays of whole numbers where it makes floats of what is given.
    values = {
        name: _to_trait(component.attributes[name], value)
        for name, value in section.items()
        if name != "class" and value != component.attributes[name].default
    }
    instance = getattr(importlib.import_module(component.module), component.name)(**values)
    for name, attribute in component.attributes.items():
        # TVB hands out its default arrays themselves: what one job changed in place, the next one would start from.
        if attribute.type == "array" and name not in values and getattr(instance, name) is not None:
            vars(instance)[name] = getattr(instance, name).copy()
    return instance


def describe(role: str, instance: Any) -> dict[str, Any]:
    """The section that `build` makes an equal object of."""
    section: dict[str, Any] = {"class": type(instance).__name__}
    for name, attribute in components(role)[type(instance).__name__].attributes.items():
        value = getattr(instance, name)
        if value is not None:
            section[name] = _from_trait(attribute, value)
        elif attribute.default is not None:
            section[name] = None
    return section


def _to_trait(attribute: Attribute, value: Any) -> Any:
    import numpy as np

    if value is None:
        return None
    if attribute.type == "array":
        return np.array(value, dtype={"f": float, "i": int, "b": bool}[attribute.dtype])
    if attribute.type == "list":
        return tuple(value)
    if attribute.type == "dict":
        return dict(value)
    if attribute.type == "component":
        return build(attribute.role, value)
    if attribute.type == "choice":
        return _choice(attribute, value)
    return value


def _from_trait(attribute: Attribute, value: Any) -> Any:
    if attribute.type == "array":
        return value.tolist()
    if attribute.type == "list":
        return list(value)
    if attribute.type == "dict":
        return {name: float(item) for name, item in value.items()}
    if attribute.type == "component":
        return describe(attribute.role, value)
    if attribute.type == "choice":
        return value.name
    return value


def _choice(attribute: Attribute, value: str) -> Any:
    from tvb.simulator.monitors import DefaultMasks

    # The one enumeration of TVB's simulator classes: SpatialAverage.default_mask.
    return DefaultMasks[value]
