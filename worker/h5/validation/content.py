"""Checks whether the attributes and datasets of a file agree: a registry for `check`. Imports no TVB.

The files have all parts, and each part has the right type and shape.
"""

import json
from collections.abc import Callable, Iterator

import h5py
import numpy as np

#: A key and its fault.
Fault = tuple[str, str]


def _time_series(file: h5py.File) -> Iterator[Fault]:
    shape, attributes = file["data"].shape, file.attrs
    if 0 in shape:
        yield "data", f"shape {shape}, expected at least one sample"
        return
    if not (np.diff(file["time"][()]) > 0).all():
        yield "time", "not strictly increasing"
    minimum = file["data"].attrs.get("TVB_Minimum")
    is_nan = isinstance(minimum, np.floating) and bool(np.isnan(minimum))
    if (attributes["TVB_is_nan"] == "bool:True") != is_nan:
        yield "TVB_is_nan", f"{attributes['TVB_is_nan']}, but the data says otherwise"
    rate = attributes.get("TVB_sample_rate")
    period = attributes["TVB_sample_period"]
    if rate is not None and attributes["TVB_sample_period_unit"] == "ms" and not np.isclose(rate, 1000.0 / period):
        yield "TVB_sample_rate", f"{rate} Hz, expected {1000.0 / period} at a period of {period} ms"
    ordering = json.loads(attributes["TVB_labels_ordering"])
    for name, labels in json.loads(attributes["TVB_labels_dimensions"]).items():
        if name not in ordering:
            yield "TVB_labels_dimensions", f"{name!r}, expected one of {ordering}"
        elif labels and len(labels) != shape[ordering.index(name)]:
            yield "TVB_labels_dimensions", f"{len(labels)} labels of {name!r}, expected {shape[ordering.index(name)]}"


def _connectivity(file: h5py.File) -> Iterator[Fault]:
    found, expected = int(file.attrs["TVB_number_of_connections"]), int(np.count_nonzero(file["weights"][()]))
    if found != expected:
        yield "TVB_number_of_connections", f"{found}, expected {expected}: as many weights are not zero"
    count = int(file.attrs["TVB_number_of_regions"])
    for number in json.loads(file.attrs["TVB_saved_selection"]):
        if not isinstance(number, int) or not 0 <= number < count:
            yield "TVB_saved_selection", f"{number!r}, expected numbers of regions, 0 to {count - 1}"


def _surface(file: h5py.File) -> Iterator[Fault]:
    vertices, triangles = int(file.attrs["TVB_number_of_vertices"]), file["triangles"][()]
    if triangles.size and not (triangles.min() >= 0 and triangles.max() < vertices):
        yield "triangles", f"vertices {triangles.min()} to {triangles.max()}, expected 0 to {vertices - 1}"
    slices, count = json.loads(file.attrs["TVB_split_slices"]), int(file.attrs["TVB_number_of_split_slices"])
    if sorted(slices) != sorted(map(str, range(count))):
        yield "TVB_split_slices", f"slices {sorted(slices)}, expected {count}, counted from 0"
    split = file["split_triangles"]
    limits = {"vertices": vertices, "triangles": len(split) or len(triangles)}
    for number, part in slices.items():
        for name, limit in limits.items():
            if not _is_range(part, name, limit):
                yield "TVB_split_slices", f"slice {number} without {name} start_idx and end_idx within 0 to {limit}"
    if split.size and (split.ndim != 2 or split.shape[1] != 3):
        yield "split_triangles", f"shape {split.shape}, expected three vertices for each triangle"


def _is_range(part: object, name: str, limit: int) -> bool:
    ends = part.get(name) if isinstance(part, dict) else None
    start, end = (ends.get("start_idx"), ends.get("end_idx")) if isinstance(ends, dict) else (None, None)
    return isinstance(start, int) and isinstance(end, int) and 0 <= start <= end <= limit


def _region_mapping(file: h5py.File) -> Iterator[Fault]:
    regions = file["array_data"][()]
    if not regions.size or regions.min() < 0:
        yield "array_data", "expected the number of a region for each vertex"


def _local_connectivity(file: h5py.File) -> Iterator[Fault]:
    described, stored = file["matrix"].attrs, file["matrixdata"][()]
    shape = str(described.get("TVB_Shape", ""))
    values = stored if stored.size else np.zeros(1)
    expected = {"Minimum": values.min(), "Maximum": values.max(), "Mean": values.mean(), "dtype": stored.dtype.str}
    for name, value in expected.items():
        found = described.get(f"TVB_{name}")
        right = found == value if isinstance(value, str) else isinstance(found, np.number) and np.isclose(found, value)
        if not right:
            yield f"matrix@TVB_{name}", "missing" if found is None else f"{found!r}, expected {value!r}"
    form = described.get("TVB_format")
    if form not in ("csr", "csc"):
        yield "matrix@TVB_format", f"{form!r}, expected csr or csc"
        return
    lengths = [int(length) for length in shape.strip("()").split(",") if length.strip().isdigit()]
    if len(lengths) != 2 or shape != str(tuple(lengths)):
        yield "matrix@TVB_Shape", f"{shape!r}, expected rows and columns such as (12, 12)"
        return
    major, minor = lengths if form == "csr" else lengths[::-1]
    starts, indices = file["matrixindptr"][()], file["matrixindices"][()]
    if len(starts) != major + 1 or starts[0] != 0 or starts[-1] != len(stored) or (np.diff(starts) < 0).any():
        yield "matrixindptr", f"expected {major + 1} rising numbers from 0 to {len(stored)}"
    if indices.size and not (indices.min() >= 0 and indices.max() < minor):
        yield "matrixindices", f"{indices.min()} to {indices.max()}, expected 0 to {minor - 1}"


def _sensors(file: h5py.File) -> Iterator[Fault]:
    if file.attrs["TVB_has_orientation"] == "bool:True" and not ("orientations" in file and file["orientations"].size):
        yield "orientations", "missing, and TVB_has_orientation is bool:True"


#: By the datatype; `TimeSeries` stands for all of its kinds.
CONTENT: dict[str, Callable[[h5py.File], Iterator[Fault]]] = {
    "TimeSeries": _time_series,
    "Connectivity": _connectivity,
    "Surface": _surface,
    "RegionMapping": _region_mapping,
    "LocalConnectivity": _local_connectivity,
    "Sensors": _sensors,
}
