"""Finds every fault of a tvb1 file that would stop TVB 1.4 to 1.5.x, named by its key.

It needs neither TVB 1 nor tvb-framework, and reads in bounded memory.
"""

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

import h5py
import numpy as np

from tvb_batch.worker.h5.tvb1.tvb1_format import (
    DATA_VERSION,
    DATASETS,
    DATE_FORMAT,
    MODULES,
    OPTIONAL,
    OPTIONAL_DATASETS,
    REQUIRED,
    STATISTICS,
)
from tvb_batch.worker.h5.tvb2 import ArrayStatistics
from tvb_batch.worker.h5.validation.file_faults import DAMAGE, reason
from tvb_batch.worker.h5.validation.rules import FLAG, Rule, choice, of_json
from tvb_batch.worker.h5.verify import portions


def _is_date(text: str) -> bool:
    return bool(datetime.strptime(text, f"datetime:{DATE_FORMAT}"))


_TEXT = Rule("a text", lambda _: True)
_GID = Rule("a gid with dashes", lambda text: str(UUID(text)) == text)
_LINK = Rule("a gid with dashes, or nothing", lambda text: not text or str(UUID(text)) == text)
_COUNT = Rule('JSON of a count, such as "4"', lambda text: of_json(int)(text) and json.loads(text) >= 0)
_QUOTED = Rule('JSON of a text, in quotation marks, such as "\\"ms\\""', of_json(str))
_IS_NUMBER = of_json(int, float)

#: By the name of the attribute, without its prefix.
_RULES = {
    "Type": choice(*MODULES),
    "Module": choice(*sorted(set(MODULES.values()))),
    "Data_version": Rule(f"the number {DATA_VERSION}", lambda value: value == DATA_VERSION, "iuf"),
    "Gid": _GID,
    "Connectivity": _GID,
    "Surface": _GID,
    "Region_mapping": _LINK,
    "Region_mapping_volume": _LINK,
    "State": choice("RAW_DATA", "INTERMEDIATE"),
    "Create_date": Rule("a date such as datetime:2026-01-02 03:04:05.000006", _is_date),
    "Labels_ordering": Rule("a JSON list", of_json(list)),
    "Labels_dimensions": Rule("a JSON dict", of_json(dict)),
    "Sample_period": Rule(
        'JSON of a number above 0, such as "0.25"', lambda text: _IS_NUMBER(text) and float(text) > 0
    ),
    "Sample_rate": Rule('JSON of a number, such as "4.0"', _IS_NUMBER),
    "Start_time": Rule('JSON of a number, such as "0.0"', _IS_NUMBER),
    "Sample_period_unit": _QUOTED,
    **dict.fromkeys(("Title", "Label_x", "Label_y"), _QUOTED),
    "Surface_type": Rule('JSON of "Cortical Surface"', lambda text: json.loads(text) == "Cortical Surface"),
    "Split_slices": Rule("a JSON dict", of_json(dict)),
    **dict.fromkeys(
        ("Edge_mean_length", "Edge_min_length", "Edge_max_length"), Rule('JSON of a number, such as "4.0"', _IS_NUMBER)
    ),
    "Saved_selection": Rule("a JSON list, or null", of_json(list, type(None))),
    **dict.fromkeys(("Visible", "Invalid", "Is_nan"), FLAG),
    **dict.fromkeys(
        ("Has_surface_mapping", "Has_volume_mapping", "Bi_hemispheric", "Zero_based_triangles",
         "Valid_for_simulations"),
        Rule('"true" or "false"', of_json(bool)),
    ),
    **dict.fromkeys(
        ("Nr_dimensions", "Length_1d", "Length_2d", "Length_3d", "Length_4d", "Number_of_regions",
         "Number_of_connections", "Undirected", "Number_of_vertices", "Number_of_triangles", "Number_of_split_slices"),
        _COUNT,
    ),
}  # fmt: skip


def tvb1_faults(file: h5py.File) -> Iterator[str]:
    """Yield each fault of an open tvb1 file as `key: what is wrong`."""
    found = _attribute_fault(file, "TVB_Type", _RULES["Type"])
    if found:
        yield found
        return
    datatype = text_of(file.attrs["TVB_Type"])
    yield from _attribute_faults(file, datatype)
    names = [*DATASETS[datatype], *(name for name in OPTIONAL_DATASETS.get(datatype, ()) if name in file)]
    missing = [name for name in names if not isinstance(file.get(name), h5py.Dataset)]
    yield from (f"{name}: missing" for name in missing)
    if not missing:
        yield from _shape_faults(file, datatype)
    for name in names:
        if name not in missing and file[name].dtype.kind in "fiub" and file[name].size:
            yield from _statistics_faults(file[name])


def _attribute_faults(file: h5py.File, datatype: str) -> Iterator[str]:
    links = ("Region_mapping", "Region_mapping_volume") if datatype == "TimeSeriesRegion" else ()
    present = (name for name in (*OPTIONAL[datatype], *links) if f"TVB_{name}" in file.attrs)
    for name in (*REQUIRED[datatype], *present):
        fault = _attribute_fault(file, f"TVB_{name}", _RULES.get(name, _TEXT))
        if fault:
            yield fault
    module = text_of(file.attrs.get("TVB_Module", ""))
    if module in MODULES.values() and module != MODULES[datatype]:
        yield f"TVB_Module: {module!r}, expected {MODULES[datatype]!r} for a {datatype}"


def _shape_faults(file: h5py.File, datatype: str) -> Iterator[str]:
    if datatype == "Connectivity":
        regions = len(file["weights"]) if file["weights"].ndim else 0
        square = {"weights": (regions, regions), "tract_lengths": (regions, regions)}
        wide = dict.fromkeys(("centres", "orientations"), (regions, 3))
        flat = dict.fromkeys(("region_labels", "hemispheres", "cortical", "areas"), (regions,))
        for name, shape in {**square, **wide, **flat}.items():
            if name in file and file[name].shape != shape:
                yield f"{name}: shape {file[name].shape}, expected {shape}"
        yield from _count_fault(file, "Number_of_regions", regions)
        return
    if datatype == "CorticalSurface":
        yield from _surface_faults(file)
        return
    if datatype == "RegionMapping":
        found = file["array_data"]
        if found.ndim != 1 or not found.size or found.dtype.kind not in "iu":
            yield f"array_data: {found.dtype} of shape {found.shape}, expected an integer for each vertex"
        else:
            yield from _count_fault(file, "Length_1d", len(found))
        return
    data, time = file["data"], file["time"]
    if data.ndim != 4 or 0 in data.shape:
        yield f"data: shape {data.shape}, expected four dimensions and at least one sample"
        return
    if time.shape != data.shape[:1]:
        yield f"time: shape {time.shape}, expected {data.shape[:1]}"
    elif not (np.diff(time[()]) > 0).all():
        yield "time: not strictly increasing"
    for name, count in zip(("Length_1d", "Length_2d", "Length_3d", "Length_4d"), data.shape, strict=True):
        yield from _count_fault(file, name, count)
    yield from _count_fault(file, "Nr_dimensions", data.ndim)


def _surface_faults(file: h5py.File) -> Iterator[str]:
    for name, count in (("vertices", "Number_of_vertices"), ("triangles", "Number_of_triangles")):
        found = file[name]
        if found.ndim != 2 or found.shape[1] != 3 or not found.size:
            yield f"{name}: shape {found.shape}, expected (n, 3)"
            continue
        yield from _count_fault(file, count, len(found))
        normals = file.get({"vertices": "vertex_normals", "triangles": "triangle_normals"}[name])
        if normals is not None and normals.shape != found.shape:
            yield f"{normals.name[1:]}: shape {normals.shape}, expected {found.shape}"


def _count_fault(file: h5py.File, name: str, count: int) -> Iterator[str]:
    found = text_of(file.attrs.get(f"TVB_{name}", str(count)))
    if found != str(count) and _RULES[name].fits(found):
        yield f"TVB_{name}: {found!r}, but the data has {count}"


def _attribute_fault(place: h5py.HLObject, name: str, rule: Rule) -> str:
    """Return what is wrong with the attribute `name` of a file or dataset; "" if nothing is."""
    if name not in place.attrs:
        return f"{name}: missing"
    identifier = place.attrs.get_id(name)
    if identifier.shape != ():
        return f"{name}: an array of shape {identifier.shape}, expected a single value"
    if rule.kinds and identifier.dtype.kind not in rule.kinds:
        return f"{name}: of type {_type_name(identifier.dtype)}, expected {rule.expected}"
    fault = "" if rule.kinds else _text_fault(identifier.dtype)
    if fault:
        return f"{name}: {fault}"
    try:
        value = place.attrs[name]
        value = value.decode() if isinstance(value, bytes) else value
    except DAMAGE as exc:
        return f"{name}: cannot be read ({reason(exc)})"
    return "" if rule.fits(value) else f"{name}: {_shown(value)}, expected {rule.expected}"


def _shown(value: Any) -> str:
    shown = repr(value.item() if isinstance(value, np.generic) else value)
    return shown if len(shown) <= 80 else f"{shown[:77]}..."


def _type_name(dtype: np.dtype[Any]) -> str:
    return "text" if h5py.check_string_dtype(dtype) else str(dtype)


def _statistics_faults(dataset: h5py.Dataset) -> Iterator[str]:
    """Yield what is wrong with the statistics of a dataset, which is read block by block."""
    key = dataset.name[1:]
    statistics = ArrayStatistics()
    try:
        for rows in portions(dataset):
            statistics.add(dataset[rows])
    except DAMAGE as exc:
        yield f"{key}: cannot be read ({reason(exc)})"
        return
    for name, value in statistics.attributes().items():
        if name not in STATISTICS:
            continue
        found = dataset.attrs.get(name)
        if found is None:
            yield f"{key}@{name}: missing"
        elif not _same(found, value):
            yield f"{key}@{name}: {_shown(found)}, expected {_shown(value)}"


def _same(found: Any, value: Any) -> bool:
    if isinstance(value, str) or not isinstance(found, np.number | np.bool_):
        return bool(np.all(found == value))
    # The writer summed the mean in other blocks.
    return bool(np.isclose(float(found), float(value), rtol=1e-9, atol=1e-12, equal_nan=True))


def _text_fault(dtype: np.dtype[Any]) -> str:
    found = h5py.check_string_dtype(dtype)
    if found is None:
        return f"of type {dtype}, expected an ASCII text"
    # h5py stores bytes of fixed length as ASCII, but text as UTF-8, which TVB 1 cannot read.
    return "" if found.encoding == "ascii" else "a UTF-8 text, expected an ASCII one"


def text_of(value: Any) -> str:
    """Return an attribute as text, whether it was written as bytes or as text."""
    return value.decode("ascii", "replace") if isinstance(value, bytes) else str(value)
