"""Reads each file of a spec once and finds what a worker could not read or would leave out.

Messages name a file as the user wrote it.
"""

import json
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tvb_batch.models.errors import SpecError
from tvb_batch.models.paths import Storage
from tvb_batch.models.tvb.array_rules import check_arrays, check_no_nan
from tvb_batch.models.tvb.components import Attribute, Component, data_files, find_component
from tvb_batch.models.tvb.datatype_files import Contents, read_contents
from tvb_batch.models.tvb.file_readers import UnreadableError, read_array_file

#: The directories of tvb-data by role.
_FOLDERS = {
    "connectivity": "connectivity", "surface": "surfaceData", "region_mapping": "regionMapping", "sensors": "sensors",
    "projection": "projectionMatrix", "local_connectivity": "local_connectivity",
}  # fmt: skip
#: Maximum number of files named in a shared warning.
_FEW = 3
#: Maximum number of warnings for one spec.
_MOST = 12

#: The name of a file that is already in `models.tvb.input_store`.
KEPT = re.compile(r"inputs/[0-9a-f]{64}\.\w+(\.\w+)?")


class Looked:
    """The content of files and arrays.

    Parameters
    ----------
    storage : the storage of files named `inputs/<sha256><suffix>`
    """

    def __init__(self, storage: Storage | None = None) -> None:
        self._storage = storage
        self._datatypes: dict[str, Contents | UnreadableError] = {}
        self._arrays: dict[str, Any] = {}
        #: The files by warning.
        self._notes: dict[str, list[str]] = {}

    def datatype(self, role: str, section: dict[str, Any], path: str) -> Contents | None:
        """Return the arrays of a section, from its file and its own values; None if they are unknown.

        Raises
        ------
        SpecError
            TVB would fail, or compute with nonsense.
        """
        key = f"{role} {json.dumps(section, sort_keys=True)}"
        if key not in self._datatypes:
            try:
                self._datatypes[key] = self._read(role, section, path)
            except UnreadableError as exc:
                self._datatypes[key] = exc
        found = self._datatypes[key]
        if isinstance(found, UnreadableError):
            raise _spec_error(found, section, path)
        return found if found.arrays else None

    def array(self, value: dict[str, Any], path: str) -> Any:
        """Return the array of `{from_file: ...}`.

        Raises
        ------
        SpecError
            The file has no array, or the array holds NaN.
        """
        file = value["from_file"]
        if file not in self._arrays:
            try:
                array = read_array_file(self._place(file))
                check_no_nan(array)
                self._arrays[file] = array
            except UnreadableError as exc:
                self._arrays[file] = exc
        found = self._arrays[file]
        if isinstance(found, UnreadableError):
            raise _spec_error(found, value, path)
        return found

    def warnings(self) -> list[str]:
        """Return a line for each warning, with the files that cause it."""
        lines = []
        for note, owners in self._notes.items():
            more = f" and {len(owners) - _FEW} more" if len(owners) > _FEW else ""
            lines.append(f"{', '.join(owners[:_FEW])}{more}: {note}")
        if len(lines) > _MOST:
            lines[_MOST:] = [f"{len(lines) - _MOST} more of such warnings"]
        return lines

    def _read(self, role: str, section: dict[str, Any], path: str) -> Contents:
        component = find_component(role, section["class"], path)
        arrays: dict[str, Any] = {}
        contents, is_shipped = Contents(arrays), False
        if "from_file" in section:
            file = section["from_file"]
            is_shipped = file in data_files(role)
            place = _shipped(role, file) if is_shipped else self._place(file)
            if place is None:
                return contents
            contents = read_contents(component, place)
        own = self._own(component, section, path)
        contents = Contents({**contents.arrays, **own}, contents.names, contents.notes)
        if contents.arrays:
            try:
                notes = [*contents.notes, *check_arrays(role, contents)]
            except UnreadableError as exc:
                # The reason may be that TVB takes another member.
                raise UnreadableError(exc.found, exc.expected, exc.hint or "; ".join(contents.notes[:2])) from exc
            for note in notes if own or not is_shipped else ():
                owners = self._notes.setdefault(note, [])
                owner = shown(section) or path
                if owner not in owners:
                    owners.append(owner)
        return contents

    def _own(self, component: Component, section: dict[str, Any], path: str) -> dict[str, Any]:
        """Return the arrays that the section itself contains."""
        return {
            name: self._value(component.attributes[name], value, f"{path}.{name}")
            for name, value in section.items()
            if name in component.attributes and component.attributes[name].type in ("array", "sparse")
            and value is not None and name != "speed"
        }  # fmt: skip

    def _value(self, attribute: Attribute, value: Any, path: str) -> Any:
        import numpy as np

        if not isinstance(value, dict):
            return np.array(value, dtype={"f": float, "i": int, "b": bool, "U": str}[attribute.dtype])
        place = self._place(value["from_file"])
        if attribute.type == "sparse":
            found = read_contents(find_component("local_connectivity", "LocalConnectivity", path), place)
            return found.arrays["matrix"]
        # The rules of the datatype decide about NaN.
        return read_array_file(place)

    def _place(self, file: str) -> Path:
        return Path(file) if self._storage is None or Path(file).is_absolute() else self._storage.root / file


def shown(section: dict[str, Any]) -> str:
    """Return a file as the user wrote it; empty for arrays."""
    file = str(section.get("file_name") or section.get("from_file") or "")
    return "" if "file_name" not in section and KEPT.fullmatch(file) else file


def _shipped(role: str, file: str) -> Path | None:
    found = find_spec("tvb_data")
    if found is None or not found.submodule_search_locations:
        return None
    return Path(found.submodule_search_locations[0]) / _FOLDERS[role] / file


def _spec_error(exc: UnreadableError, section: dict[str, Any], path: str) -> SpecError:
    name = shown(section)
    found = f"{name}: {exc.found}" if name else exc.found
    return SpecError(f"{path}.from_file" if name else path, found, exc.expected or "a file that TVB can read", exc.hint)
