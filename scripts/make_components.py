"""Write models/components.json: what tvb-library's classes declare, for programs that do not import TVB.

python scripts/make_components.py            write it
python scripts/make_components.py --check    exit 1 when it is stale
"""

import inspect
import json
import re
import sys
import warnings
from enum import Enum
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

TARGET = Path(__file__).parent.parent / "models" / "components.json"

#: Attributes that are TVB's bookkeeping, not parameters.
_NOT_PARAMETERS = {"gid", "random_stream"}
#: Bases that declare no abstract method, and a monitor that only prints.
_NOT_CONCRETE = {
    "Coupling", "SparseCoupling", "Projection", "ProgressLogger", "Model", "Equation", "TemporalApplicableEquation",
    "FiniteSupportEquation", "SpatialApplicableEquation", "HRFKernelEquation", "RawVoi",
    # Its formula is free text that a worker would evaluate.
    "DiscreteEquation",
}  # fmt: skip


def components() -> dict[str, Any]:
    """The whole content of components.json."""
    warnings.simplefilter("ignore")
    from tvb.datatypes import equations
    from tvb.simulator import coupling, integrators, models, monitors, noise

    model_classes = [model.get_class() for model in models.ModelsEnum]
    return {
        "tvb-library": version("tvb-library"),
        "connectivities": _connectivities(),
        "roles": {
            "model": _describe_all(model_classes),
            "coupling": _describe_all(_declared_in(coupling)),
            "integrator": _describe_all(_declared_in(integrators)),
            "noise": _describe_all(_declared_in(noise)),
            "monitor": _describe_all(_declared_in(monitors)),
            "equation": _describe_all(_declared_in(equations)),
        },
    }


def _connectivities() -> dict[str, int]:
    from tvb.datatypes.connectivity import Connectivity

    names = [path.name for path in (files("tvb_data") / "connectivity").iterdir()]
    usable = sorted(name for name in names if re.fullmatch(r"connectivity_\d+\.zip", name))
    return {name: len(Connectivity.from_file(name).weights) for name in usable}


def _declared_in(module: Any) -> list[type]:
    from tvb.basic.neotraits.api import HasTraits

    return [
        value
        for value in vars(module).values()
        if inspect.isclass(value) and issubclass(value, HasTraits) and value.__module__ == module.__name__
    ]


def _describe_all(classes: list[type]) -> dict[str, Any]:
    return {cls.__name__: _describe(cls) for cls in _concrete(classes)}


def _concrete(classes: list[type]) -> list[type]:
    concrete = [cls for cls in classes if not inspect.isabstract(cls) and cls.__name__ not in _NOT_CONCRETE]
    return sorted(concrete, key=lambda cls: cls.__name__)


def _describe(cls: Any) -> dict[str, Any]:
    described: dict[str, Any] = {"module": cls.__module__, "doc": _first_paragraph(cls.__doc__)}
    if hasattr(cls, "state_variables"):
        described["state_variables"] = list(cls.state_variables)
    described["attributes"] = {
        name: attribute
        for name in cls.declarative_attrs
        if name not in _NOT_PARAMETERS and (attribute := _attribute(getattr(cls, name)))
    }
    return described


def _attribute(attr: Any) -> dict[str, Any] | None:
    """An attribute as data; None for what nobody can set."""
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
        described["type"] = attr.field_type.__name__
        default = default() if callable(default) else default
        if attr.choices:
            described["choices"] = list(attr.choices)
    elif inspect.isclass(attr.field_type) and issubclass(attr.field_type, HasTraits):
        described |= {"type": "component", "role": _role(attr.field_type)}
        if described["role"] in ("equation", "noise"):
            described["choices"] = _fitting(attr.field_type)
        default = default() if inspect.isclass(default) else default
        default = None if default is None else {"class": type(default).__name__}
    else:
        return None
    described["default"] = _plain(default)
    return described


def _fitting(base: type) -> list[str]:
    from tvb.datatypes import equations
    from tvb.simulator import noise

    classes = _concrete([*_declared_in(equations), *_declared_in(noise)])
    return [cls.__name__ for cls in classes if issubclass(cls, base)]


def _role(cls: Any) -> str:
    from tvb.datatypes.equations import Equation
    from tvb.simulator.noise import Noise

    if issubclass(cls, Equation):
        return "equation"
    return "noise" if issubclass(cls, Noise) else cls.__name__


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
    return "" if text.startswith("Traited class [") else text  # TVB's generated text says nothing


def main() -> int:
    """Write or check; gives the exit code."""
    text = json.dumps(components(), indent=1, ensure_ascii=False, sort_keys=True, allow_nan=False) + "\n"
    if "--check" not in sys.argv[1:]:
        TARGET.write_text(text, encoding="utf-8")
        return 0
    if TARGET.read_text(encoding="utf-8") == text:
        return 0
    print(f"{TARGET.name} is stale: run python scripts/make_components.py", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
