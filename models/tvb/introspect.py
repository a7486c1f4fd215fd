"""Describes TVB classes as plain data, the content of `components.json`. Imports TVB inside its functions."""

import inspect
from collections.abc import Iterable
from enum import Enum
from typing import Any

import numpy as np

#: Attributes that are TVB's bookkeeping, or derived from others when a simulator is configured.
NOT_PARAMETERS = {
    "gid", "random_stream", "delays", "idelays", "number_of_regions", "number_of_connections", "number_of_sensors",
    "number_of_vertices", "number_of_triangles", "edge_mean_length", "edge_min_length", "edge_max_length",
    "parent_connectivity", "saved_selection", "brain_skull", "skull_skin", "skin_air",
}  # fmt: skip
#: Base classes without abstract methods, and a monitor that only prints.
_NOT_CONCRETE = {
    "Coupling", "SparseCoupling", "Projection", "ProgressLogger", "Model", "Equation", "TemporalApplicableEquation",
    "FiniteSupportEquation", "SpatialApplicableEquation", "HRFKernelEquation", "Surface", "Sensors", "ProjectionMatrix",
    "SpatialPattern", "SpatioTemporalPattern", "SpatialPatternVolume", "RegionVolumeMapping",
}  # fmt: skip
#: Attributes of a model that TVB does not declare: indices of state variables.
_INDICES = {
    "stvar": "The state variables that a stimulus enters; those of the coupling by default.",
    "cvar": "The state variables that couple the nodes.",
}


def bases() -> dict[str, type]:
    """Return the TVB base class of each role."""
    from tvb.datatypes.connectivity import Connectivity
    from tvb.datatypes.cortex import Cortex
    from tvb.datatypes.equations import Equation
    from tvb.datatypes.local_connectivity import LocalConnectivity
    from tvb.datatypes.patterns import SpatioTemporalPattern
    from tvb.datatypes.projections import ProjectionMatrix
    from tvb.datatypes.region_mapping import RegionMapping
    from tvb.datatypes.sensors import Sensors
    from tvb.datatypes.surfaces import Surface
    from tvb.simulator.coupling import Coupling
    from tvb.simulator.integrators import Integrator
    from tvb.simulator.models.base import Model
    from tvb.simulator.monitors import Monitor
    from tvb.simulator.noise import Noise

    return {
        "model": Model, "coupling": Coupling, "integrator": Integrator, "noise": Noise, "monitor": Monitor,
        "equation": Equation, "connectivity": Connectivity, "surface": Surface, "region_mapping": RegionMapping,
        "local_connectivity": LocalConnectivity, "sensors": Sensors, "projection": ProjectionMatrix,
        "stimulus": SpatioTemporalPattern, "cortex": Cortex,
    }  # fmt: skip


def role_of(cls: type) -> str | None:
    """Return the role of objects of `cls`, or None."""
    return next((role for role, base in bases().items() if issubclass(cls, base)), None)


def tvb_classes(role: str) -> list[type]:
    """Return TVB's concrete classes of a role, by name."""
    if role == "model":
        from tvb.simulator.models import ModelsEnum

        return _concrete(model.get_class() for model in ModelsEnum)
    base = bases()[role]
    module = inspect.getmodule(base)
    classes = [value for value in vars(module).values() if inspect.isclass(value) and issubclass(value, base)]
    return _concrete(cls for cls in classes if cls.__module__ == base.__module__)


def _concrete(classes: Iterable[Any]) -> list[type]:
    concrete = [cls for cls in classes if not inspect.isabstract(cls) and cls.__name__ not in _NOT_CONCRETE]
    return sorted(concrete, key=lambda cls: cls.__name__)


def describe_class(cls: Any) -> dict[str, Any]:
    """Return module, documentation and parameters of a TVB class, as JSON values."""
    described: dict[str, Any] = {"module": cls.__module__, "doc": _first_paragraph(cls.__doc__)}
    attributes = {
        name: attribute
        for name in cls.declarative_attrs
        if name not in NOT_PARAMETERS and (attribute := _attribute(getattr(cls, name)))
    }
    if role_of(cls) == "model":
        described["state_variables"] = list(cls.state_variables)
        attributes |= _model_attributes(cls)
    if hasattr(cls, "from_file"):
        # Classes that can be read from one file of TVB's formats; their arrays need not be given.
        described["from_file"] = role_of(cls) not in ("monitor", "cortex")
    if (parts := _parts(cls)) is not None:
        attributes[parts] = {
            "type": "parts", "role": role_of(cls), "label": parts, "doc": "What it is made of.", "required": True,
            "default": None,
        }  # fmt: skip
    described["attributes"] = attributes
    return described


def _parts(cls: Any) -> str | None:
    """Return the parameter for the parts of a class such as `MultiStimuliRegion(*stimuli)`, or None."""
    kinds = inspect.signature(cls.__init__).parameters.values()
    return next((one.name for one in kinds if one.kind is inspect.Parameter.VAR_POSITIONAL), None)


def _model_attributes(cls: Any) -> dict[str, Any]:
    """Return the attributes that TVB declares as final and still allows to change."""
    found = {}
    for name, doc in (
        ("state_variable_range", "Where initial conditions are drawn from, a range for each state variable."),
        ("state_variable_boundaries", "Where a state variable is held, with null for an open end."),
    ):
        declared = getattr(cls, name)
        default = getattr(declared, "default", declared) or {}
        found[name] = {
            "type": "ranges", "label": name, "doc": doc, "required": False, "choices": list(cls.state_variables),
            "default": {key: open_ends(value) for key, value in default.items()},
        }  # fmt: skip
    for name, doc in _INDICES.items():
        indices = getattr(cls(), name)
        default = None if indices is None else np.asarray(indices).tolist()
        found[name] = {"type": "array", "dtype": "i", "label": name, "doc": doc, "required": False, "default": default}
    return found


def open_ends(value: Any) -> list[float | None]:
    """Return a range as JSON; infinity and the largest float, which TVB uses for it, become None."""
    most = np.finfo(float).max
    return [float(end) if end is not None and abs(end) < most else None for end in value]


def _attribute(attr: Any) -> dict[str, Any] | None:
    """Return an attribute as data; None if nobody can set it."""
    from tvb.basic.neotraits._attr import Dim
    from tvb.basic.neotraits.api import EnumAttr, Final, Float, HasTraits, Int, List, NArray

    if isinstance(attr, Final | Dim):
        return None
    default = attr.default
    described: dict[str, Any] = {
        "label": attr.label,
        "doc": " ".join(attr.doc.split()),
        "required": bool(attr.required),
    }
    if isinstance(attr, NArray):
        described |= {"type": "array", "dtype": attr.dtype.kind}
        default = None if default is None else default.tolist()
        domain = attr.domain
        if domain is not None and hasattr(domain, "lo"):
            described["domain"] = [float(domain.lo), float(domain.hi)]
    elif isinstance(attr, Float):
        described["type"] = "float"
    elif isinstance(attr, Int):
        described["type"] = "int"
    elif isinstance(attr, List):
        described |= {"type": "list"}
        if attr.element_choices:
            described["choices"] = list(attr.element_choices)
        default = list(default)
    elif isinstance(attr, EnumAttr):
        described |= {"type": "choice", "choices": [choice.name for choice in attr.field_type]}
        default = default.name if isinstance(default, Enum) else default
    elif attr.field_type in (bool, str, dict):
        described["type"] = "formula" if attr.field_name == "equation" else attr.field_type.__name__
        default = default() if callable(default) else default
        if attr.choices:
            described["choices"] = list(attr.choices)
    elif not inspect.isclass(attr.field_type):
        return None
    elif attr.field_type.__module__.startswith("scipy.sparse"):
        described["type"] = "sparse"
    elif issubclass(attr.field_type, HasTraits) and (role := role_of(attr.field_type)):
        described |= {"type": "component", "role": role}
        described["choices"] = [cls.__name__ for cls in tvb_classes(role) if issubclass(cls, attr.field_type)]
        default = default() if inspect.isclass(default) else default
        default = None if default is None else {"class": type(default).__name__}
    else:
        return None
    described["default"] = _plain(default)
    return described


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _first_paragraph(doc: str | None) -> str:
    text = " ".join(inspect.cleandoc(doc or "").split("\n\n")[0].split())[:400]
    return "" if text.startswith("Traited class [") else text  # TVB's generated text has no information
