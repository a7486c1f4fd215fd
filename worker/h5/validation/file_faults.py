"""Finds every fault of one H5 file: missing parts, wrong encodings and shapes, and contradictions. Imports no TVB."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import h5py
import numpy as np

from tvb_batch.models.tvb.h5_guard import open_h5
from tvb_batch.worker.h5.formats import FORMATS, REQUIRED, Format
from tvb_batch.worker.h5.validation.content import CONTENT
from tvb_batch.worker.h5.validation.rules import ARRAYS, ATTRIBUTES, ATTRIBUTES_OF, RECORDS, ArrayRule
from tvb_batch.worker.h5.verify import statistics_faults
from tvb_batch.worker.h5.view_model_formats import missing_in

#: Exceptions of h5py for damaged files.
DAMAGE = (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError, OverflowError)


def file_faults(path: Path, place: str) -> Iterator[str]:
    """Yield each fault of the file at `path`; messages call it `place`."""
    try:
        file = open_h5(path)
    except DAMAGE as exc:
        yield f"{place}: not a readable H5 file ({reason(exc)})"
        return
    key = "attributes"
    with file:
        try:
            attributes = dict(file.attrs)
            of_attributes = list(_attributes(attributes, place))
            yield from of_attributes
            key = "datasets"
            names = {*file, *(name.removeprefix("TVB_") for name in attributes)}
            for name in missing_in(str(attributes.get("TVB_type", "")), names):
                yield f"{place}::{name}: missing; {attributes['TVB_type'].rpartition('.')[2]} requires it"
            yield from _datasets(file, attributes, place)
            key = "content"
            # With missing or wrong attributes, the content cannot be checked.
            if not of_attributes:
                yield from _content(file, attributes, place)
        except DAMAGE as exc:
            yield f"{place}::{key}: cannot be read ({reason(exc)})"


def reason(exc: Exception) -> str:
    """Return the first line of an exception's message."""
    return (str(exc).splitlines() or [type(exc).__name__])[0]


def kind_in(attributes: Mapping[str, object]) -> tuple[str, Format | None]:
    """Return the datatype or record of a file and its format; ("", None) for an unknown class."""
    written_by = str(attributes.get("TVB_written_by"))
    known = {**FORMATS, **RECORDS}
    return next(((name, wanted) for name, wanted in known.items() if wanted.written_by == written_by), ("", None))


def _attributes(attributes: Mapping[str, object], place: str) -> Iterator[str]:
    kind, wanted = kind_in(attributes)
    written_by = attributes.get("TVB_written_by")
    if written_by is not None and (wanted is None or not isinstance(written_by, str)):
        yield _wrong(place, "written_by", written_by, "the class of a datatype that the GUI imports")
    required: tuple[str, ...] = () if kind in RECORDS else REQUIRED
    if wanted is not None:
        required += wanted.attributes + wanted.references
    for name in required:
        if f"TVB_{name}" not in attributes:
            yield f"{place}::TVB_{name}: missing"
    rules = {**ATTRIBUTES, **ATTRIBUTES_OF.get(kind, {})}
    # The other attributes of a record belong to its model and may have any name.
    for name in required if kind in RECORDS else rules:
        if f"TVB_{name}" in attributes and name in rules:
            value = attributes[f"TVB_{name}"]
            if not rules[name].fits(value):
                yield _wrong(place, name, value, rules[name].expected)


def _wrong(place: str, name: str, value: object, expected: str) -> str:
    found = repr(value)
    return f"{place}::TVB_{name}: {found if len(found) < 80 else found[:77] + '...'}, expected {expected}"


#: Attributes that TVB requires but does not need: a connectivity with only weights and lengths has empty `centres`.
_MAY_BE_EMPTY = frozenset({"centres"})


def _datasets(file: h5py.File, attributes: Mapping[str, object], place: str) -> Iterator[str]:
    kind, _ = kind_in(attributes)
    lengths = _lengths(attributes)
    for name, array in ARRAYS.get(kind, {}).items():
        dataset = file.get(name)
        if dataset is None:
            if name in FORMATS[kind].datasets or name in file:
                yield f"{place}::{name}: missing"
        elif not isinstance(dataset, h5py.Dataset):
            yield f"{place}::{name}: a group, expected a dataset"
        elif not dataset.size and (name not in FORMATS[kind].datasets or name in _MAY_BE_EMPTY):
            yield from _statistics_of_nothing(place, dataset)  # TVB also writes missing data as an empty dataset.
        elif found := _shape_fault(dataset, array, lengths):
            yield f"{place}::{name}: {found}"
        elif array.kinds == "O":
            yield from _text_faults(place, dataset)
        elif not dataset.size:
            yield from _statistics_of_nothing(place, dataset)
        elif not name.startswith("matrix"):
            yield from statistics_faults(place, dataset)


def _shape_fault(dataset: h5py.Dataset, array: ArrayRule, lengths: dict[str, int]) -> str:
    """Return what is wrong with a dataset's type or shape; add new lengths to `lengths`."""
    kind = dataset.dtype.kind
    described = h5py.check_string_dtype(dataset.dtype)
    if kind not in array.kinds or (kind == "O" and (described is None or described.length is not None)):
        names = {"f": "floating-point numbers", "i": "signed integers", "b": "booleans", "O": "texts of any length"}
        return f"type {dataset.dtype}, expected {names[array.kinds]}"
    if array.shape is None:
        return ""
    if dataset.ndim != len(array.shape):
        return f"shape {dataset.shape}, expected {len(array.shape)} dimensions"
    for found, wanted in zip(dataset.shape, array.shape, strict=True):
        length = lengths.setdefault(wanted, found) if isinstance(wanted, str) and wanted else (wanted or found)
        if found != length:
            return f"shape {dataset.shape}, expected {length} ({wanted}) where {found} is"
    return ""


def _text_faults(place: str, dataset: h5py.Dataset) -> Iterator[str]:
    for number, found in enumerate(dataset[()]):
        if not bytes(found).isascii():
            yield f"{place}::{dataset.name[1:]}[{number}]: {found!r}, expected ASCII; the GUI cannot read other labels"
    yield from _statistics_of_nothing(place, dataset)


def _statistics_of_nothing(place: str, dataset: h5py.Dataset) -> Iterator[str]:
    expected = {
        **dict.fromkeys(("Minimum", "Maximum", "Mean"), ""),
        "IsFinite": "bool:True",
        "HasComplex": "bool:False",
    }
    for name, value in expected.items():
        found = dataset.attrs.get(f"TVB_{name}")
        if not isinstance(found, str) or found != value:
            said = "missing" if found is None else f"{found!r}, expected {value!r}"
            yield f"{place}::{dataset.name[1:]}@TVB_{name}: {said}"


def _content(file: h5py.File, attributes: Mapping[str, object], place: str) -> Iterator[str]:
    kind, _ = kind_in(attributes)
    check = CONTENT.get("TimeSeries" if kind.startswith("TimeSeries") else kind)
    lengths = _lengths(attributes)
    if check is not None and all(
        isinstance(file.get(name), h5py.Dataset) and not _shape_fault(file[name], ARRAYS[kind][name], lengths)
        for name in FORMATS[kind].datasets
    ):
        for key, found in check(file):
            yield f"{place}::{key}: {found}"


def _lengths(attributes: Mapping[str, object]) -> dict[str, int]:
    """Return the lengths of datasets that the attributes state."""
    return {name.removeprefix("TVB_"): int(n) for name, n in attributes.items() if isinstance(n, np.integer)}
