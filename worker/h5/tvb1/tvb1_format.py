"""Format tvb1, data version 4: what TVB 1.4 to 1.5.x reads, and how it writes values. Data, and one encoder.

Measured by importing files that each lack one thing into TVB 1.5.8. The surface and the region mapping have the
attributes that TVB 1.5.8 itself writes.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import h5py
import numpy as np

from tvb_batch.models.tvb.array_rules import as_ascii

DATA_VERSION = 4
#: The format after the prefix `datetime:`; the microseconds are required.
DATE_FORMAT = "%Y-%m-%d %H:%M:%S.%f"

#: The module of each datatype's class, by the name of the datatype.
MODULES = {
    "Connectivity": "tvb.datatypes.connectivity",
    "CorticalSurface": "tvb.datatypes.surfaces",
    "RegionMapping": "tvb.datatypes.region_mapping",
    "TimeSeries": "tvb.datatypes.time_series",
    "TimeSeriesRegion": "tvb.datatypes.time_series",
}

#: Attributes that the import or the GUI's pages need, by the name of the datatype.
REQUIRED = {
    "Connectivity": ("Type", "Module", "Data_version", "Gid", "State"),
    "CorticalSurface": (
        "Type", "Module", "Data_version", "Gid", "State", "Number_of_vertices", "Number_of_triangles",
        "Number_of_split_slices", "Split_slices", "Surface_type", "Zero_based_triangles", "Bi_hemispheric",
        "Valid_for_simulations",
    ),
    "RegionMapping": (
        "Type", "Module", "Data_version", "Gid", "State", "Connectivity", "Surface", "Nr_dimensions", "Length_1d",
        "Length_2d", "Length_3d", "Length_4d", "Title", "Label_x", "Label_y",
    ),
    "TimeSeries": (
        "Type", "Module", "Data_version", "Gid", "State", "Labels_ordering", "Labels_dimensions", "Sample_period",
        "Start_time", "Sample_period_unit", "Title",
    ),
}  # fmt: skip
REQUIRED["TimeSeriesRegion"] = (*REQUIRED["TimeSeries"], "Connectivity")

#: Attributes that TVB writes but does not need.
OPTIONAL_COMMON = (
    "Create_date", "Visible", "Invalid", "Is_nan", "Subject", "User_tag_1", "User_tag_2", "User_tag_3", "User_tag_4",
    "User_tag_5",
)  # fmt: skip
OPTIONAL = {
    "Connectivity": (
        *OPTIONAL_COMMON, "Number_of_regions", "Number_of_connections", "Undirected", "Saved_selection",
    ),
    "CorticalSurface": (*OPTIONAL_COMMON, "Edge_mean_length", "Edge_min_length", "Edge_max_length"),
    "RegionMapping": OPTIONAL_COMMON,
    "TimeSeries": (
        *OPTIONAL_COMMON, "Sample_rate", "Nr_dimensions", "Length_1d", "Length_2d", "Length_3d", "Length_4d",
        "Has_surface_mapping", "Has_volume_mapping",
    ),
}  # fmt: skip
OPTIONAL["TimeSeriesRegion"] = OPTIONAL["TimeSeries"]

#: Datasets that the import or the viewers need.
DATASETS = {
    "Connectivity": ("weights", "centres"),
    "CorticalSurface": ("vertices", "triangles"),
    "RegionMapping": ("array_data",),
    "TimeSeries": ("data", "time"),
    "TimeSeriesRegion": ("data", "time"),
}
OPTIONAL_DATASETS = {
    "Connectivity": ("tract_lengths", "region_labels", "hemispheres", "cortical", "orientations", "areas"),
    "CorticalSurface": ("vertex_normals", "triangle_normals", "split_triangles"),
}

#: Statistics that TVB 1 stores for each dataset and that its viewers read.
STATISTICS = ("TVB_Minimum", "TVB_Maximum", "TVB_Mean")

#: The file in the ZIP, beside the H5 files of its folder.
OPERATION_FILE = "Operation.xml"
OPERATION_DATE_FORMAT = "%Y-%m-%d,%H-%M-%S.%f"
#: The fields that TVB 1 reads from this file; the import needs all of them.
OPERATION_FIELDS = (
    "gid", "fk_from_algo", "parameters", "meta_data", "create_date", "start_date", "completion_date", "status",
    "visible", "range_values", "user_group", "additional_info",
)  # fmt: skip


def encode(value: object) -> Any:
    """Return a value as TVB 1 writes it into an attribute: ASCII, `bool:True`, a gid with dashes, or a date.

    Numbers, lists and dicts of a datatype are JSON texts in TVB 1: `as_json`.
    """
    if isinstance(value, bool):
        return f"bool:{value}"
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, datetime):
        return f"datetime:{value.strftime(DATE_FORMAT)}"
    if isinstance(value, int):
        return np.int64(value)
    return as_ascii(str(value))


def as_json(value: object) -> str:
    """Return JSON in ASCII."""
    return json.dumps(value)


def write_attributes(file: h5py.File, values: Mapping[str, object]) -> None:
    """Write `TVB_<name>` for each value that is not None. TVB 1 cannot read h5py's default, UTF-8 text."""
    for name, value in values.items():
        if value is None:
            continue
        encoded = encode(value)
        text = h5py.string_dtype("ascii") if isinstance(encoded, str) else None
        file.attrs.create(f"TVB_{name}", encoded, dtype=text)
