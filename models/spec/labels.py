"""Short labels for values: a number, the name of a file, the class of an object, a hash of an array."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from tvb_batch.models.spec.sections import without_file_names
from tvb_batch.models.tvb.components import components, roles

#: Longer lists are shown as their length and a hash.
_FEW = 6
#: Characters of a hash.
_HASH = 6
#: Longer file names are shortened.
_MOST = 60


def label(value: object) -> str:
    """Return a short label, such as `0.1`, `sub-01.zip` or `Connectivity 76 regions 3f2a1b`."""
    if isinstance(value, Mapping):
        file = file_label(value)
        if file:
            return file if len(file) <= _MOST else f"...{file[3 - _MOST :]}"
        return _object(value)
    if isinstance(value, list) and value and isinstance(value[0], Mapping):
        return "+".join(map(label, value))
    if isinstance(value, list) and _is_long(value):
        return f"{' x '.join(map(str, _shape(value)))} values {_hash(value)}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def whole_label(value: object) -> str:
    """Return the label with the complete file name, for rows and filters."""
    return (file_label(value) if isinstance(value, Mapping) else "") or label(value)


def file_label(section: Mapping[str, Any]) -> str:
    """Return the name of a section's file as the user wrote it, without a leading `./`; empty for none."""
    if "from_file" not in section:
        return ""
    name = str(section.get("file_name") or section["from_file"])
    if name.startswith("inputs/") and "file_name" not in section:
        # An array stored by its content; it never had a name.
        return f"array {name[7 : 7 + _HASH]}"
    return name.removeprefix("./")


def _object(section: Mapping[str, Any]) -> str:
    name = str(section.get("class"))
    regions = _regions(section)
    if regions:
        return f"{name} {regions} regions {_hash(section)}"
    # Some classes of different roles share a name.
    namesakes = [components(role)[name].attributes for role in roles() if name in components(role)]
    known = next((attributes for attributes in namesakes if {*section} - {"class"} <= {*attributes}), {})
    changed = [
        f"{key}={label(value[0] if isinstance(value, list) and len(value) == 1 else value)}"
        for key, value in section.items()
        if key in known and value != known[key].default
    ]
    return f"{name}({', '.join(changed)})" if changed else name


def _regions(section: Mapping[str, Any]) -> int:
    """Return the number of regions of a connectivity of arrays; 0 for anything else."""
    if "weights" not in section or "tract_lengths" not in section:
        return 0
    names = ("weights", "region_labels", "centres")
    return next((len(section[name]) for name in names if isinstance(section.get(name), list) and section[name]), 0)


def _is_long(value: list[Any]) -> bool:
    return len(value) > _FEW or any(isinstance(item, list) for item in value)


def _shape(value: Any) -> list[int]:
    shape = []
    while isinstance(value, list):
        shape.append(len(value))
        value = value[0] if value else None
    return shape


def _hash(value: object) -> str:
    text = json.dumps(without_file_names(value), sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:_HASH]
