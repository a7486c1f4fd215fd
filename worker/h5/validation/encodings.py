"""How attributes and statistics are to be encoded: rules that name what breaks them. Called by the checks of a format.

A fault is a text `key: what is found, what is expected`; who calls puts the file in front. Nothing is raised.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import h5py
import numpy as np

from tvb_batch.worker.h5.tvb2 import Statistics
from tvb_batch.worker.h5.validation.file_faults import DAMAGE, reason
from tvb_batch.worker.h5.verify import portions


@dataclass(frozen=True)
class Kind:
    """What an attribute is to hold."""

    #: In words.
    expected: str
    fits: Callable[[Any], bool]
    #: NumPy's letters of a number's type; empty: a text.
    number: str = ""


def parses(parse: Callable[[Any], Any]) -> Callable[[Any], bool]:
    """True for what `parse` takes without an error, and gives anything but False for."""

    def fits(value: Any) -> bool:
        try:
            return parse(value) is not False
        except (ValueError, TypeError, AttributeError):
            return False

    return fits


def of_json(*kinds: type) -> Callable[[Any], bool]:
    """True for JSON of one of the types; a bool is no number."""
    return parses(lambda text: type(json.loads(text)) in kinds)


def choice(*values: str) -> Kind:
    """One of some texts."""
    return Kind(f"one of {', '.join(values)}", lambda value: value in values)


def date(form: str) -> Kind:
    """A date; `form` is that of `strptime`."""
    return Kind(
        f"a date such as {datetime(2026, 1, 2, 3, 4, 5, 6).strftime(form)}",
        parses(lambda t: datetime.strptime(t, form)),
    )


TEXT = Kind("a text", lambda _: True)
BOOL = choice("bool:True", "bool:False")
INTEGER = Kind("an integer", lambda value: value >= 0, "iu")
NUMBER = Kind("a finite number", lambda value: bool(np.isfinite(value)), "f")


def attribute_fault(place: h5py.HLObject, name: str, kind: Kind, text_fault: Callable[[np.dtype[Any]], str]) -> str:
    """What is wrong with the attribute `name` of a file or dataset; "" when nothing is.

    Parameters
    ----------
    text_fault : what is wrong with the HDF5 type of a text; "" when nothing is
    """
    if name not in place.attrs:
        return f"{name}: missing"
    identifier = place.attrs.get_id(name)
    if identifier.shape != ():
        return f"{name}: an array of shape {identifier.shape}, expected a single value"
    if kind.number and identifier.dtype.kind not in kind.number:
        return f"{name}: of type {_type_name(identifier.dtype)}, expected {kind.expected}"
    fault = "" if kind.number else text_fault(identifier.dtype)
    if fault:
        return f"{name}: {fault}"
    try:
        value = place.attrs[name]
        value = value.decode() if isinstance(value, bytes) else value
    except DAMAGE as exc:
        return f"{name}: cannot be read ({reason(exc)})"
    return "" if kind.fits(value) else f"{name}: {_shown(value)}, expected {kind.expected}"


def _shown(value: Any) -> str:
    shown = repr(value.item() if isinstance(value, np.generic) else value)
    return shown if len(shown) <= 80 else f"{shown[:77]}..."


def _type_name(dtype: np.dtype[Any]) -> str:
    return "text" if h5py.check_string_dtype(dtype) else str(dtype)


def stored_statistics_faults(dataset: h5py.Dataset, names: tuple[str, ...]) -> Iterator[str]:
    """What is wrong with what a dataset says of itself; it is read a block at a time."""
    key = dataset.name[1:]
    statistics = Statistics()
    try:
        for rows in portions(dataset):
            statistics.add(dataset[rows])
    except DAMAGE as exc:
        yield f"{key}: cannot be read ({reason(exc)})"
        return
    for name, value in statistics.attributes().items():
        if name not in names:
            continue
        found = dataset.attrs.get(name)
        if found is None:
            yield f"{key}@{name}: missing"
        elif not _same(found, value):
            yield f"{key}@{name}: {_shown(found)}, expected {_shown(value)}"


def _same(found: Any, value: Any) -> bool:
    if isinstance(value, str) or not isinstance(found, np.number | np.bool_):
        return bool(np.all(found == value))
    # The mean was summed in other portions when it was written.
    return bool(np.isclose(float(found), float(value), rtol=1e-9, atol=1e-12, equal_nan=True))
