"""Checks the arrays of a TVB datatype: shapes, numbers, labels.

The arrays come from a file, a spec or a script. An error means that TVB would fail or compute nonsense. A warning means
that TVB can run it, but the user probably does not mean it.
"""

import unicodedata
from collections.abc import Callable, Mapping
from typing import Any

from tvb_batch.models.tvb.datatype_files import Contents
from tvb_batch.models.tvb.file_readers import UnreadableError


def check_arrays(role: str, contents: Contents) -> list[str]:
    """Check the arrays; return a warning for each thing that looks unintended.

    Raises
    ------
    UnreadableError
        TVB would fail, or compute with nonsense.
    """
    rule = _RULES.get(role)
    return rule(contents) if rule is not None else []


def check_no_nan(array: Any) -> None:
    """Check that an array of numbers contains no NaN.

    Raises
    ------
    UnreadableError
        It does, or it is not an array of numbers.
    """
    import numpy as np

    if array.dtype.kind not in "fiub":
        raise UnreadableError(f"values of type {array.dtype}", "numbers")
    if array.dtype.kind == "f" and np.isnan(array).any():
        raise UnreadableError(f"NaN{_where(np.isnan(array))}", "numbers")


def has(arrays: Mapping[str, Any], name: str) -> bool:
    """Return whether an array was given and is not empty; TVB treats an empty one as missing."""
    return arrays.get(name) is not None and bool(arrays[name].size)


def _connectivity(given: Contents) -> list[str]:
    arrays, weights = given.arrays, given.arrays.get("weights")
    if weights is None:
        raise UnreadableError("no weights", "a square matrix")
    name = given.name("weights")
    regions = _square(weights, name)
    _finite(weights, name, "write 0 where there is no connection")
    if has(arrays, "tract_lengths"):
        _check_lengths(given, regions)
    for attribute, shape in (("centres", (regions, 3)), ("orientations", (regions, 3))):
        if has(arrays, attribute):
            _shape(arrays[attribute], given.name(attribute), shape, f"one x y z for each of the {regions} regions")
    for attribute in ("region_labels", "cortical", "hemispheres", "areas"):
        if has(arrays, attribute) and arrays[attribute].size != regions:
            found = f"{given.name(attribute)}: {arrays[attribute].size} values"
            raise UnreadableError(found, f"one for each of the {regions} regions, as in {name}")
    if has(arrays, "region_labels"):
        _row(arrays["region_labels"], given.name("region_labels"))
    if not has(arrays, "tract_lengths"):
        _check_centres(given)
    return [*_connectivity_notes(given), *_label_notes(arrays.get("region_labels"), given.name("region_labels"))]


def _check_lengths(given: Contents, regions: int) -> None:
    lengths, name = given.arrays["tract_lengths"], given.name("tract_lengths")
    _shape(lengths, name, (regions, regions), f"{regions} x {regions}, as {given.name('weights')}")
    _finite(lengths, name, "write 0 where there is no fibre")
    negative = lengths < 0
    if negative.any():
        raise UnreadableError(f"{name}: {_number(lengths[negative][0])}{_where(negative)}", "lengths in mm, 0 or more")


def _check_centres(given: Contents) -> None:
    """Check the centres: without tract lengths, TVB uses the distances between them."""
    name = given.name("centres")
    if not has(given.arrays, "centres"):
        raise UnreadableError("neither tract_lengths nor centres", "one of them, for the delays")
    _finite(given.arrays["centres"], name, "or give tract_lengths, for the delays")


def _connectivity_notes(given: Contents) -> list[str]:
    import numpy as np

    notes = []
    if (given.arrays["weights"] < 0).any():
        notes.append(f"{given.name('weights')} holds negative weights; TVB runs them as inhibition")
    for attribute in ("centres", "orientations", "areas"):
        if has(given.arrays, attribute) and not np.isfinite(given.arrays[attribute]).all():
            notes.append(f"{given.name(attribute)} holds NaN or infinity")
    if not given.arrays["weights"].any():
        notes.append(f"{given.name('weights')} holds only zeros: the regions are not connected")
    return notes


def _surface(given: Contents) -> list[str]:
    import numpy as np

    vertices, triangles = given.arrays["vertices"], given.arrays["triangles"]
    _columns(vertices, given.name("vertices"))
    _finite(vertices, given.name("vertices"))
    _columns(triangles, given.name("triangles"))
    if triangles.min() < 0 or triangles.max() >= len(vertices):
        outside = int(triangles.min() if triangles.min() < 0 else triangles.max())
        hint = "TVB counts vertices from 0" if outside == len(vertices) else ""
        raise UnreadableError(f"{given.name('triangles')}: vertex {outside}", f"0 to {len(vertices) - 1}", hint)
    if has(given.arrays, "vertex_normals"):
        name, normals = given.name("vertex_normals"), given.arrays["vertex_normals"]
        _shape(normals, name, vertices.shape, f"one for each of the {len(vertices)} vertices")
        if not np.isfinite(normals).all():
            return [f"{name} holds NaN or infinity"]
    return []


def _mapping(given: Contents) -> list[str]:
    mapping, name = given.arrays["array_data"], given.name("array_data")
    if mapping.ndim != 1 or not mapping.size:
        raise UnreadableError(f"{name}: shape {_shape_of(mapping)}", "one region's index for each vertex")
    if mapping.min() < 0:
        raise UnreadableError(f"region {int(mapping.min())}", "indices of at least 0")
    return []


def _sensors(given: Contents) -> list[str]:
    labels, locations = given.arrays["labels"], given.arrays["locations"]
    for attribute in ("locations", "orientations"):
        if has(given.arrays, attribute):
            name = given.name(attribute)
            _shape(given.arrays[attribute], name, (labels.size, 3), f"one x y z for each of the {labels.size} sensors")
            _finite(given.arrays[attribute], name)
    _row(labels, given.name("labels"))
    if locations.ndim != 2:
        raise UnreadableError(f"{given.name('locations')}: shape {_shape_of(locations)}", "x y z of several sensors")
    return _label_notes(labels, given.name("labels"))


def _projection(given: Contents) -> list[str]:
    import numpy as np

    gain, name = given.arrays["projection_data"], given.name("projection_data")
    if not isinstance(gain, np.ndarray) or gain.ndim != 2 or gain.dtype.kind not in "fiu":
        raise UnreadableError(f"{name}: {_kind_of(gain)}", "a matrix of sensors x sources")
    return []  # TVB treats NaN as 0, and tvb-data's own projections contain NaN.


def _local_connectivity(given: Contents) -> list[str]:
    import numpy as np

    matrix = given.arrays.get("matrix")
    if matrix is None:
        return []
    if matrix.shape[0] != matrix.shape[1]:
        raise UnreadableError(f"a matrix of {_shape_of(matrix)}", "vertices x vertices")
    if not np.isfinite(matrix.data).all():
        raise UnreadableError("a matrix with NaN or infinity", "finite numbers")
    return []


_RULES: dict[str, Callable[[Contents], list[str]]] = {
    "connectivity": _connectivity, "surface": _surface, "region_mapping": _mapping, "sensors": _sensors,
    "projection": _projection, "local_connectivity": _local_connectivity,
}  # fmt: skip


def _row(labels: Any, name: str) -> None:
    if labels.ndim != 1:
        raise UnreadableError(f"{name}: {_shape_of(labels)} labels", "labels in one row")
    odd = next((str(label) for label in labels if not as_meant(str(label)).isprintable()), None)
    if odd is not None:
        raise UnreadableError(f"{name}: label {odd!r} holds a control character", "printable labels", "rename it")


def _label_notes(labels: Any, name: str) -> list[str]:
    if labels is None or not labels.size:
        return []
    texts = [str(label) for label in labels.ravel()]
    twice = next((text for text in texts if text.strip() and texts.count(text) > 1), None)
    notes = [f"{name}: the label {twice!r} stands {texts.count(twice)} times"] if twice is not None else []
    if any(not text.strip() for text in texts):
        notes.append(f"{name}: some labels are empty")
    odd = next((text for text in texts if not text.isascii()), None)
    if odd is not None:
        notes.append(f"{name}: TVB's H5 files hold ASCII: labels such as {as_meant(odd)!r} become {as_ascii(odd)!r}")
    return notes


def as_meant(text: str) -> str:
    """Return a text as it was before TVB read its UTF-8 as Latin-1; any other as it is."""
    try:
        return text.encode("latin-1").decode()
    except UnicodeError:
        return text


def as_ascii(text: str) -> str:
    """Return the nearest text in ASCII: accents are dropped, what has no counterpart becomes a question mark."""
    letters = unicodedata.normalize("NFKD", as_meant(text).replace("ß", "ss"))
    plain = "".join(letter for letter in letters if not unicodedata.combining(letter))
    return plain.encode("ascii", "replace").decode()


def _square(array: Any, name: str) -> int:
    if array.ndim != 2 or array.shape[0] != array.shape[1] or array.shape[0] < 1:
        raise UnreadableError(f"{name}: {_shape_of(array)}", "a square matrix, as many rows as columns")
    return int(array.shape[0])


def _shape(array: Any, name: str, shape: tuple[int, ...], expected: str) -> None:
    if array.shape != shape:
        raise UnreadableError(f"{name}: {_shape_of(array)}", expected)


def _columns(array: Any, name: str) -> None:
    if array.ndim != 2 or array.shape[1] != 3:
        raise UnreadableError(f"{name}: {_shape_of(array)}", "three numbers in each line")


def _finite(array: Any, name: str, hint: str = "") -> None:
    import numpy as np

    if array.dtype.kind not in "fiub":
        raise UnreadableError(f"{name}: values of type {array.dtype}", "numbers")
    if not np.isfinite(array).all():
        odd = ~np.isfinite(array)
        raise UnreadableError(f"{name}: {_number(array[odd][0])}{_where(odd)}", "finite numbers", hint)


def _number(value: Any) -> str:
    text = f"{value:g}"
    return {"nan": "NaN", "inf": "infinity", "-inf": "-infinity"}.get(text, text)


def _where(odd: Any) -> str:
    """Return where the first of them is, counted from 1, and how many there are."""
    import numpy as np

    first = [int(index) + 1 for index in np.argwhere(odd)[0]]
    words = [f"{place} {index}" for place, index in zip(("row", "column"), first, strict=False)]
    place = f" in {', '.join(words)}" if len(first) < 3 else f" at {[index - 1 for index in first]}"
    more = int(odd.sum()) - 1
    return f"{place if first else ''}{f', and {more:,} more' if more else ''}"


def _shape_of(array: Any) -> str:
    return " x ".join(map(str, array.shape)) if array.ndim else "one value"


def _kind_of(value: Any) -> str:
    return _shape_of(value) if hasattr(value, "shape") else f"a {type(value).__name__}"
