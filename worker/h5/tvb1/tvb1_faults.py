"""What of a tvb1 file TVB 1.4 to 1.5.x would stumble over: every fault, named by its key.

Called by `worker.h5.tvb1.tvb1_convert`.

Needs neither TVB 1 nor tvb-framework, and reads in bounded memory.
"""

import json
from collections.abc import Iterator
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
from tvb_batch.worker.h5.validation.encodings import (
    BOOL,
    TEXT,
    Kind,
    attribute_fault,
    choice,
    date,
    of_json,
    parses,
    stored_statistics_faults,
)

_GID = Kind("a gid with dashes", parses(lambda text: str(UUID(text)) == text))
_LINK = Kind("a gid with dashes, or nothing", parses(lambda text: not text or str(UUID(text)) == text))
_COUNT = Kind(
    'JSON of a count, such as "4"', parses(lambda text: type(json.loads(text)) is int and json.loads(text) >= 0)
)
_FLAG = Kind('"true" or "false"', of_json(bool))
_QUOTED = Kind('JSON of a text, in quotation marks, such as "\\"ms\\""', of_json(str))

#: By the name of the attribute, without its prefix.
_KINDS = {
    "Type": choice(*MODULES),
    "Module": choice(*sorted(set(MODULES.values()))),
    "Data_version": Kind(f"the number {DATA_VERSION}", lambda value: value == DATA_VERSION, "iuf"),
    "Gid": _GID,
    "Connectivity": _GID,
    "Region_mapping": _LINK,
    "Region_mapping_volume": _LINK,
    "State": choice("RAW_DATA", "INTERMEDIATE"),
    "Create_date": date(f"datetime:{DATE_FORMAT}"),
    "Labels_ordering": Kind("a JSON list", of_json(list)),
    "Labels_dimensions": Kind("a JSON dict", of_json(dict)),
    "Sample_period": Kind(
        'JSON of a number above 0, such as "0.25"', parses(lambda text: of_json(int, float)(text) and float(text) > 0)
    ),
    "Sample_rate": Kind('JSON of a number, such as "4.0"', of_json(int, float)),
    "Start_time": Kind('JSON of a number, such as "0.0"', of_json(int, float)),
    "Sample_period_unit": _QUOTED,
    "Title": _QUOTED,
    "Saved_selection": Kind("a JSON list, or null", of_json(list, type(None))),
    **dict.fromkeys(("Visible", "Invalid", "Is_nan"), BOOL),
    **dict.fromkeys(("Has_surface_mapping", "Has_volume_mapping"), _FLAG),
    **dict.fromkeys(
        ("Nr_dimensions", "Length_1d", "Length_2d", "Length_3d", "Length_4d", "Number_of_regions",
         "Number_of_connections", "Undirected"),
        _COUNT,
    ),
}  # fmt: skip


def tvb1_faults(file: h5py.File) -> Iterator[str]:
    """Each fault of an open tvb1 file as `key: what is wrong`."""
    found = attribute_fault(file, "TVB_Type", _KINDS["Type"], _text_fault)
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
            yield from stored_statistics_faults(file[name], STATISTICS)


def _attribute_faults(file: h5py.File, datatype: str) -> Iterator[str]:
    links = ("Region_mapping", "Region_mapping_volume") if datatype == "TimeSeriesRegion" else ()
    present = (name for name in (*OPTIONAL[datatype], *links) if f"TVB_{name}" in file.attrs)
    for name in (*REQUIRED[datatype], *present):
        fault = attribute_fault(file, f"TVB_{name}", _KINDS.get(name, TEXT), _text_fault)
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


def _count_fault(file: h5py.File, name: str, count: int) -> Iterator[str]:
    found = text_of(file.attrs.get(f"TVB_{name}", str(count)))
    if found != str(count) and _KINDS[name].fits(found):
        yield f"TVB_{name}: {found!r}, but the data has {count}"


def _text_fault(dtype: np.dtype[Any]) -> str:
    found = h5py.check_string_dtype(dtype)
    if found is None:
        return f"of type {dtype}, expected an ASCII text"
    # h5py stores bytes of a fixed length as ASCII; its own text is UTF-8, which TVB 1 does not understand.
    return "" if found.encoding == "ascii" else "a UTF-8 text, expected an ASCII one"


def text_of(value: Any) -> str:
    """An attribute as text, of whichever of the two kinds it was written."""
    return value.decode("ascii", "replace") if isinstance(value, bytes) else str(value)
