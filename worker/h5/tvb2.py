"""Format tvb2, data version 5: how TVB 2 writes attributes and datasets.

The output was compared with files of tvb-framework 2.10 (`tvb.core.neotraits._h5core.H5File`).
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

import h5py
import numpy as np
from numpy.typing import NDArray

from tvb_batch.worker.h5.formats import FORMATS

DATA_VERSION = 5
DATE_FORMAT = "%Y-%m-%d,%H-%M-%S.%f"

#: This program's group in each file; TVB keeps unknown groups.
PROVENANCE = "tvb_batch"


@dataclass(frozen=True)
class Header:
    """The attributes of a time series that are known before its data."""

    gid: UUID
    #: One of `LABELS_ORDERING`, such as TimeSeriesRegion
    datatype: str
    title: str
    #: ms
    sample_period: float
    #: ms
    start_time: float
    #: Names of the four dimensions of the data, those of `LABELS_ORDERING`.
    labels_ordering: tuple[str, ...]
    #: Names of the entries of a dimension, such as `{"State Variable": ["V", "W"]}`.
    labels_dimensions: Mapping[str, list[str]]
    subject: str
    created: datetime
    user_tags: tuple[str, ...] = ()
    #: TimeSeriesRegion only.
    connectivity: UUID | None = None
    #: TimeSeriesRegion only: without it the GUI offers no Brain viewer.
    region_mapping: UUID | None = None
    #: TimeSeriesSurface only.
    surface: UUID | None = None
    #: TimeSeriesEEG, MEG and SEEG only.
    sensors: UUID | None = None
    state: str = "RAW_DATA"
    operation_tag: str = ""
    #: Set when the data is known.
    is_nan: bool = field(default=False)


def encode(value: object) -> Any:
    """Return a value as TVB 2 writes it into an attribute: text, `bool:True`, urn, date, JSON or 64-bit number."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | np.bool_):
        return f"bool:{bool(value)}"
    if isinstance(value, UUID):
        return value.urn
    if isinstance(value, datetime):
        return value.strftime(DATE_FORMAT)
    if isinstance(value, Mapping | list | tuple):
        return json.dumps(value)
    if isinstance(value, int | np.integer):
        return np.int64(value)
    if isinstance(value, float | np.floating):
        return np.float64(value)
    return str(value)


#: h5py's type of a text, and the shape of one value.
_TEXT = h5py.string_dtype()
_ONE = h5py.h5s.create(h5py.h5s.SCALAR)


@cache
def _types(kind: np.dtype[Any]) -> tuple[Any, Any]:
    """Return HDF5's types of a value, in the file and in memory; cached, because making one is slow."""
    return h5py.h5t.py_create(kind, logical=True), h5py.h5t.py_create(kind)


def write_attribute(place: h5py.HLObject, name: str, value: str | np.generic) -> None:
    """Write a new attribute, 4 times as fast as h5py's mapping."""
    array = np.array(value, _TEXT) if isinstance(value, str) else np.asarray(value)
    in_file, in_memory = _types(array.dtype)
    h5py.h5a.create(place.id, name.encode(), in_file, _ONE).write(array, in_memory)


def read_attribute(place: h5py.HLObject, name: str) -> Any:
    """Return an attribute. One of `write_attribute` is read twice as fast as with h5py's mapping."""
    attribute = h5py.h5a.open(place.id, name.encode())
    kind = attribute.get_type()
    if attribute.get_space().get_simple_extent_type() != h5py.h5s.SCALAR:
        return place.attrs[name]
    if isinstance(kind, h5py.h5t.TypeStringID) and kind.is_variable_str():
        text = np.empty((), _TEXT)
        attribute.read(text, _types(_TEXT)[1])
        return bytes(text.item()).decode(errors="surrogateescape")
    if isinstance(kind, h5py.h5t.TypeFloatID | h5py.h5t.TypeIntegerID) and kind.get_size() == 8:
        number = np.empty((), np.float64 if isinstance(kind, h5py.h5t.TypeFloatID) else np.int64)
        attribute.read(number, _types(number.dtype)[1])
        return number[()]
    return place.attrs[name]


def attribute_names(place: h5py.HLObject) -> frozenset[str]:
    """Return the names of all attributes."""
    names: list[bytes] = []
    h5py.h5a.iterate(place.id, names.append)
    return frozenset(name.decode() for name in names)


def write_attributes(place: h5py.HLObject, values: Mapping[str, object]) -> None:
    """Write or replace `TVB_<name>` for each value.

    A missing reference (None) is left out, as in TVB.
    """
    known = attribute_names(place)
    for name, value in values.items():
        if value is None:
            continue
        if f"TVB_{name}" in known:
            h5py.h5a.delete(place.id, f"TVB_{name}".encode())
        write_attribute(place, f"TVB_{name}", encode(value))


def common(
    datatype: str, gid: UUID, created: datetime, *, subject: str, is_nan: bool = False, state: str = "RAW_DATA",
    user_tags: tuple[str, ...] = (), operation_tag: str = "",
) -> dict[str, object]:  # fmt: skip
    """Return the root attributes that every datatype has."""
    tags = (*user_tags, "", "", "", "", "")[:5]
    return {
        "Data_version": DATA_VERSION,
        "written_by": FORMATS[datatype].written_by,
        "gid": gid,
        "create_date": created,
        "invalid": False,
        "is_nan": is_nan,
        "visible": True,
        "subject": subject,
        "state": state,
        "operation_tag": operation_tag,
        **{f"user_tag_{number}": tag for number, tag in enumerate(tags, start=1)},
    }


def time_series(header: Header) -> dict[str, object]:
    """Return all root attributes of a time series."""
    return {
        **common(
            header.datatype, header.gid, header.created, subject=header.subject, is_nan=header.is_nan,
            state=header.state, user_tags=header.user_tags, operation_tag=header.operation_tag,
        ),
        "title": header.title,
        "start_time": float(header.start_time),
        "sample_period": float(header.sample_period),
        "sample_period_unit": "ms",
        "sample_rate": 1000.0 / header.sample_period,
        "nr_dimensions": 4,
        "labels_ordering": list(header.labels_ordering),
        "labels_dimensions": dict(header.labels_dimensions),
        "connectivity": header.connectivity,
        "region_mapping": header.region_mapping,
        "surface": header.surface,
        "sensors": header.sensors,
    }  # fmt: skip


@dataclass
class ArrayStatistics:
    """The statistics that TVB stores for a dataset, accumulated chunk by chunk.

    As in NumPy, one NaN makes minimum, maximum and mean NaN.
    """

    minimum: float = np.inf
    maximum: float = -np.inf
    total: float = 0.0
    count: int = 0
    dtype: np.dtype[Any] = field(default=np.dtype(np.float64))

    @property
    def is_nan(self) -> bool:
        """Return whether a value is NaN."""
        return math.isnan(self.minimum)

    @property
    def is_finite(self) -> bool:
        """Return whether no value is NaN or infinite."""
        return not self.count or (math.isfinite(self.minimum) and math.isfinite(self.maximum))

    def add(self, values: NDArray[Any]) -> None:
        """Add a chunk."""
        if not values.size:
            return
        with np.errstate(invalid="ignore", over="ignore"):
            self.minimum = float(np.minimum(self.minimum, values.min()))
            self.maximum = float(np.maximum(self.maximum, values.max()))
            # Sample by sample, so that the sum does not depend on the chunks.
            sums = values.reshape(len(values), -1).sum(axis=1, dtype=np.float64)
            sums[0] += self.total
            self.total = float(np.cumsum(sums)[-1])
        self.count += values.size
        self.dtype = values.dtype

    def attributes(self) -> dict[str, Any]:
        """Return the five attributes of the dataset; minimum and maximum have the dataset's type."""
        mean = np.float64(self.total / self.count) if self.count else np.float64(0.0)
        return {
            "TVB_Minimum": self.dtype.type(self.minimum),
            "TVB_Maximum": self.dtype.type(self.maximum),
            "TVB_Mean": mean,
            "TVB_IsFinite": encode(self.is_finite),
            "TVB_HasComplex": encode(False),
        }

    def write(self, dataset: h5py.Dataset) -> None:
        """Write the statistics to the attributes of the dataset."""
        for name, value in self.attributes().items():
            write_attribute(dataset, name, value)


def write_array(file: h5py.File, name: str, values: NDArray[Any]) -> None:
    """Write a dataset with its statistics. Texts become variable-length UTF-8 without statistics.

    An empty dataset has no statistics either.
    """
    if values.dtype.kind in "US":
        dataset = file.create_dataset(name, data=values.astype(object), dtype=h5py.string_dtype())
    else:
        dataset = file.create_dataset(name, data=values, maxshape=values.shape)
    if values.dtype.kind in "US" or not values.size:
        absent = {"Minimum": "", "Maximum": "", "Mean": ""}
        write_attributes(dataset, {**absent, "IsFinite": True, "HasComplex": False})
        return
    statistics = ArrayStatistics()
    statistics.add(values)
    statistics.write(dataset)


def write_sparse(file: h5py.File, name: str, matrix: Any) -> None:
    """Write a SciPy sparse matrix, csr or csc: three arrays, and an empty dataset that describes them."""
    described = file.create_dataset(name, (1,), "f4")
    stored = matrix.data if matrix.data.size else np.zeros(1, matrix.dtype)
    values = {
        "Minimum": stored.min(),
        "Maximum": stored.max(),
        "Mean": stored.mean(),
        "format": matrix.format,
        "dtype": matrix.dtype.str,
        "Shape": str(tuple(map(int, matrix.shape))),
    }
    write_attributes(described, values)
    for part in ("data", "indices", "indptr"):
        file.create_dataset(f"{name}{part}", data=getattr(matrix, part))
