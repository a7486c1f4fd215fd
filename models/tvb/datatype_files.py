"""Reads the file of a TVB datatype as a worker will, and finds what TVB leaves out. Does not import TVB."""

import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tvb_batch.models.tvb.components import Component
from tvb_batch.models.tvb.file_readers import (
    Members,
    UnreadableError,
    marked_members,
    read_array_file,
    read_text,
    short_reason,
    without_marks,
)
from tvb_batch.models.tvb.readers import h5_values


@dataclass(frozen=True)
class Contents:
    """The arrays of a datatype."""

    #: By attribute; empty if TVB makes it empty, absent if TVB does not set it.
    arrays: dict[str, Any]
    #: Names of the arrays for messages: the member of a zip, or the attribute.
    names: dict[str, str] = field(default_factory=dict)
    #: One sentence for each thing that TVB leaves out or changes.
    notes: tuple[str, ...] = ()

    def name(self, attribute: str) -> str:
        """Return the name of an array for messages."""
        return self.names.get(attribute, attribute)


def read_contents(component: Component, path: Path) -> Contents:
    """Return the arrays that a worker will read from a file.

    Raises
    ------
    UnreadableError
        TVB cannot read it.
    """
    suffix = path.suffix.lower()
    try:
        if suffix == ".h5":
            return Contents(h5_values(component, path))
        if suffix == ".npz":
            if "matrix" not in component.attributes:
                raise zipfile.BadZipFile  # A NumPy file, which has other members than TVB's zips.
            return Contents({"matrix": _sparse(path)})
        found = _READERS[component.role](component, path)
    except UnreadableError:
        raise
    except zipfile.BadZipFile as exc:
        hint = f"in Python, make a {component.name} from its arrays and give it to submit()"
        raise UnreadableError(f"a {suffix[1:]} file, not a zip", _expected(component), hint) from exc
    except (OSError, ValueError, KeyError, TypeError, EOFError, NotImplementedError, zlib.error) as exc:
        raise UnreadableError(short_reason(exc), _expected(component)) from exc
    marked = marked_members(path)
    if marked:
        more = f" and {len(marked) - 1} more begin" if len(marked) > 1 else " begins"
        note = f"{marked[0]}{more} with a byte order mark, which TVB cannot read; the workers' copy is without it"
        return Contents(found.arrays, found.names, (*found.notes, note))
    return found


def _expected(component: Component) -> str:
    return f"a TVB {component.role.replace('_', ' ')}"


def _open(path: Path) -> zipfile.ZipFile:
    return zipfile.ZipFile(without_marks(path) or path)


# ---------------------------------------------------------------------------------------------------- connectivities

#: Optional members, by attribute: the word that TVB searches, and the type of the array.
_OPTIONAL: dict[str, tuple[str, type]] = {
    "orientations": ("average_orientations", float), "cortical": ("cortical", bool),
    "hemispheres": ("hemispheres", bool), "areas": ("areas", float),
}  # fmt: skip


def _connectivity(component: Component, path: Path) -> Contents:
    with _open(path) as archive:
        members = Members(archive)
        expected = "a TVB connectivity zip: weights, centres, tract_lengths"
        arrays: dict[str, Any] = {}
        notes: list[str] = []
        try:
            arrays["weights"] = _required(members, "weights")
            is_american = not any("centres" in name for name in members.names) and members.find("centers")
            word = "centers" if is_american else "centres"
            arrays["centres"] = _required(members, word, columns=(1, 2, 3))
            labels = _required(members, word, dtype=str, columns=(0,))
            arrays["region_labels"] = labels
            for attribute, (wanted, dtype) in _OPTIONAL.items():
                arrays[attribute], found = _optional(members, wanted, dtype)
                notes += found
            arrays["tract_lengths"] = _required(members, "tract_lengths")
        except UnreadableError as exc:
            raise UnreadableError(exc.found, expected, exc.hint or _help(members, exc.found)) from exc
        words = {attribute: word for attribute, (word, _) in _OPTIONAL.items()}
        words |= {"weights": "weights", "centres": word, "region_labels": word, "tract_lengths": "tract_lengths"}
        names = {attribute: members.taken[word] for attribute, word in words.items() if word in members.taken}
        notes += [*_too_wide(members, word), *_left_out(members)]
    # TVB does not set attributes that are None.
    arrays = {attribute: array for attribute, array in arrays.items() if array is not None}
    for attribute, array in arrays.items():
        _check_type(component, attribute, array, names.get(attribute, attribute))
    return Contents(arrays, names, tuple(notes))


def _required(members: Members, word: str, dtype: Any = float, columns: Any = None) -> Any:
    array = members.read(word, dtype, columns)
    name = members.taken[word]
    if array is None or name.endswith(".h5"):
        raise UnreadableError(f"{name}: TVB reads .txt, .txt.bz2 and .npy there")
    return array


def _optional(members: Members, word: str, dtype: Any) -> tuple[Any, list[str]]:
    """Return the array, empty if TVB leaves it out, and the reason."""
    import numpy as np

    nothing = np.array([], dtype=dtype)
    if members.find(word) is None:
        return nothing, []
    try:
        array = members.read(word, dtype)
    except UnreadableError as exc:
        if exc.is_fatal:
            raise
        return nothing, [_why_left_out(members, word, exc) if dtype is bool else f"{exc.found}; TVB leaves it out"]
    name = members.taken[word]
    if array is None or name.endswith(".h5"):
        return None if array is None else nothing, [
            f"{name}: TVB reads .txt, .txt.bz2 and .npy there, and leaves it out"
        ]
    if dtype is bool and name.endswith((".txt", ".bz2")):
        odd = set(members.content(name).split()) - {b"0", b"1"}
        if odd and array.size:
            return array, [f"{name} holds {_word(min(odd))}; TVB takes every number but 0 as 1"]
    if not array.size:
        return array, [f"{name} is empty"]
    return array, []


def _why_left_out(members: Members, word: str, exc: UnreadableError) -> str:
    name = members.taken[word]
    odd = [item for item in members.content(name).split() if not re.fullmatch(rb"[+-]?\d+", item)]
    held = f"{name} holds {_word(odd[0])}" if odd else exc.found
    return f"{held}; TVB reads only 0 and 1 there, without a decimal point, and leaves {word} out"


def _word(item: bytes) -> str:
    return repr(item.decode("utf-8", "replace")[:20])


#: Columns of the centres: label x y z.
_CENTRES = 4
_NUMBER = re.compile(rb"[-+.\d][-+.\deE]*")
#: Members for people only.
_FOR_PEOPLE = re.compile(r"(info|read_?me|licen[cs]e|changelog|citation)\b.*", re.IGNORECASE)
#: Members that operating systems add to zips.
_OF_SYSTEM = re.compile(r"(^|/)(__MACOSX/|\._|\.DS_Store$|Thumbs\.db$|desktop\.ini$)")
_WORDS = ("weights", "centres", "tract_lengths", "average_orientations", "cortical", "hemispheres", "areas")
#: Start of member names of public pipelines, and the name that TVB searches.
_NEAR = {
    "weight": "weights", "centre": "centres", "center": "centres", "tract": "tract_lengths", "length": "tract_lengths",
    "orientation": "average_orientations", "average_orientation": "average_orientations", "normal":
    "average_orientations", "hemisphere": "hemispheres", "area": "areas", "cortex": "cortical",
}  # fmt: skip


def _left_out(members: Members) -> Iterator[str]:
    """Return members that TVB does not read, or takes for something else."""
    taken = set(members.taken.values())
    system = [name for name in members.names if name not in taken and _OF_SYSTEM.search(name)]
    left = []
    for name in members.names:
        short = name.rpartition("/")[2]
        if name in taken or name.endswith("/") or name in system or _FOR_PEOPLE.fullmatch(short):
            continue
        left.append(f"{name}{_instead(members, short.lower())}")
    if system:
        left.append(f"{len(system)} file{'s' if len(system) > 1 else ''} of macOS or Windows ({system[0]})")
    if left:
        yield f"TVB ignores {', '.join(left[:6])}{f' and {len(left) - 6} more' if len(left) > 6 else ''}"
    yield from _mistaken(members)


def _instead(members: Members, short: str) -> str:
    word = next((word for word in _WORDS if word in short), None)
    if word in members.taken:
        return f" (it reads {members.taken[word]}, the first name with {word!r})"
    near = word or next((word for start, word in _NEAR.items() if short.startswith(start)), None)
    return f" (it reads {near}.txt)" if near and near not in members.taken else ""


def _help(members: Members, found: str) -> str:
    """Return what to do about a zip that cannot be read."""
    if mistaken := [*_mistaken(members)]:
        return "; ".join(mistaken)
    if re.match(r"\S*cent(re|er)s", found):
        return "labels hold no blanks, and each line is: label x y z"
    others = [
        name for name in members.names
        if not name.endswith("/") and not _OF_SYSTEM.search(name) and not any(word in name.lower() for word in _WORDS)
    ]  # fmt: skip
    return f"the zip has {', '.join(others[:6])}" if others and found.startswith("no member") else ""


def _mistaken(members: Members) -> Iterator[str]:
    """Return members whose word is in a folder name, or part of another word."""
    for word, name in members.taken.items():
        if not re.search(rf"(?<![a-z]){word}", name.rpartition("/")[2], re.IGNORECASE):
            yield f"TVB takes {name} for {word}, the first name that holds the word"


def _too_wide(members: Members, word: str) -> Iterator[str]:
    """Find labels of two words, where TVB takes the second word for x."""
    name = members.taken[word]
    lines = members.content(name).splitlines() if name.endswith((".txt", ".bz2")) else []
    if any(len(words := line.split()) > _CENTRES and _NUMBER.fullmatch(words[_CENTRES]) for line in lines):
        yield f"{name} has more than `label x y z` in a line; TVB takes the first word and the next three numbers"


# --------------------------------------------------------------------------------------------------- other datatypes


def _surface(component: Component, path: Path) -> Contents:
    wanted = {"vertices": "vertices.txt", "vertex_normals": "normals.txt", "triangles": "triangles.txt"}
    with _open(path) as archive:
        members = Members(archive)
        arrays = {}
        for attribute, word in wanted.items():
            try:
                arrays[attribute] = _required(members, word, "int32" if attribute == "triangles" else float)
            except UnreadableError as exc:
                raise UnreadableError(exc.found, "a TVB surface zip: vertices, normals, triangles", exc.hint) from exc
        names = {attribute: members.taken[word] for attribute, word in wanted.items()}
        taken = set(names.values())
        left = [
            name for name in members.names
            if name not in taken and not name.endswith("/") and not _OF_SYSTEM.search(name)
            and not _FOR_PEOPLE.fullmatch(name.rpartition("/")[2])
        ]  # fmt: skip
    notes = [f"TVB ignores {', '.join(left[:6])}"] if left else []
    return Contents(arrays, names, tuple(notes))


def _mapping(component: Component, path: Path) -> Contents:
    if path.suffix.lower() == ".npy":
        array = read_array_file(path)
    else:
        try:
            array = _text(path, "int32")
        except UnreadableError as exc:
            raise UnreadableError(exc.found, "one region's index for each vertex, whole numbers") from exc
    _check_type(component, "array_data", array, "array_data")
    return Contents({"array_data": array})


def _sensors(component: Component, path: Path) -> Contents:
    expected = "label x y z in each line, labels without blanks"
    try:
        arrays = {"labels": _text(path, str, (0,)), "locations": _text(path, float, (1, 2, 3))}
        if component.name == "SensorsMEG":
            expected = "label x y z and three numbers of its orientation in each line"
            arrays["orientations"] = _text(path, float, (4, 5, 6))
    except UnreadableError as exc:
        raise UnreadableError(exc.found, expected) from exc
    return Contents(arrays)


def _projection(component: Component, path: Path) -> Contents:
    suffix = path.suffix.lower()
    if suffix == ".npy":
        return Contents({"projection_data": read_array_file(path)})
    if suffix != ".mat":
        return Contents({"projection_data": _text(path, float)})
    content = _matlab(path)
    parts = ("Gain", "GridLoc", "GridOrient")
    if all(name in content for name in parts):
        gain, orientations = content["Gain"], content["GridOrient"]
        return Contents({"projection_data": (gain.reshape((gain.shape[0], -1, 3)) * orientations).sum(axis=-1)})
    wanted = "ProjectionMatrix" if component.name == "ProjectionSurfaceEEG" else None
    if wanted not in content:
        expected = f"{'ProjectionMatrix, or ' if wanted else ''}Brainstorm's {', '.join(parts)}"
        raise UnreadableError(f"variables {', '.join(content) or 'none'}", expected)
    return Contents({"projection_data": content[wanted]})


def _local_connectivity(component: Component, path: Path) -> Contents:
    if path.suffix.lower() != ".mat":
        raise UnreadableError(f"a {path.suffix[1:].lower()} file", "a .mat with a sparse LocalCoupling, or a .npz")
    content = _matlab(path)
    if not hasattr(content.get("LocalCoupling"), "tocsr"):
        found = "a full LocalCoupling" if "LocalCoupling" in content else f"variables {', '.join(content) or 'none'}"
        raise UnreadableError(found, "a sparse LocalCoupling")
    return Contents({"matrix": content["LocalCoupling"].tocsr()})


_READERS: dict[str, Callable[[Component, Path], Contents]] = {
    "connectivity": _connectivity, "surface": _surface, "region_mapping": _mapping, "sensors": _sensors,
    "projection": _projection, "local_connectivity": _local_connectivity,
}  # fmt: skip


def _text(path: Path, dtype: Any, columns: tuple[int, ...] | None = None) -> Any:
    if not path.name.lower().endswith((".txt", ".bz2")):
        raise UnreadableError(f"a {path.suffix[1:].lower()} file, where TVB reads .txt and .txt.bz2")
    return read_text(path, dtype, columns)


def _matlab(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        if b"MATLAB 7.3" in file.read(128):
            raise UnreadableError("a MATLAB 7.3 file", "one that MATLAB saved with -v7")
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        found: dict[str, Any] = loadmat(path)
    except MatReadError as exc:
        raise UnreadableError(short_reason(exc), "a MATLAB file") from exc
    return {name: value for name, value in found.items() if not name.startswith("__")}


def _sparse(path: Path) -> Any:
    from scipy import sparse

    try:
        return sparse.load_npz(path)
    except (ValueError, KeyError) as exc:
        raise UnreadableError(short_reason(exc), "a sparse matrix of scipy.sparse.save_npz") from exc


def _check_type(component: Component, attribute: str, array: Any, name: str) -> None:
    """Check that TVB's attribute accepts arrays of this type."""
    import numpy as np

    target = {"f": "f8", "i": "i8", "b": "?", "U": "U128"}[component.attributes[attribute].dtype]
    if not isinstance(array, np.ndarray):
        raise UnreadableError(f"{name}: a {type(array).__name__}", "an array")
    if not np.can_cast(array.dtype, target, "safe"):
        if array.dtype.kind == "U":
            raise UnreadableError(f"{name}: a label of {array.dtype.itemsize // 4} characters", "at most 128")
        raise UnreadableError(f"{name}: numbers of type {array.dtype}", f"{np.dtype(target)}, as TVB declares it")
