"""What each attribute and dataset of a tvb2 file holds. Data, and one small function a kind of value.

Read by `worker.h5.validation.check`; what must be there is in `worker.h5.validation.formats`. A rule answers with what
it expected, or with nothing when the value is right.
"""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import numpy as np

from tvb_batch.worker.h5.tvb2 import DATA_VERSION, DATE_FORMAT
from tvb_batch.worker.h5.validation.formats import FORMATS, REQUIRED, Format

Rule = Callable[[object], str]


def text(*choices: str) -> Rule:
    """Text of variable length, one of the choices where there are any."""

    def rule(value: object) -> str:
        if isinstance(value, str) and (value in choices or not choices):
            return ""
        return f"one of {', '.join(map(repr, choices))}" if choices else "text of variable length"

    return rule


def whole(exactly: int | None = None) -> Rule:
    """An integer from 0 on, or exactly this one."""

    def rule(value: object) -> str:
        right = isinstance(value, np.integer) and (value >= 0 if exactly is None else value == exactly)
        return "" if right else "an integer from 0 on" if exactly is None else f"the integer {exactly}"

    return rule


def number(value: object) -> str:
    """A floating-point number."""
    return "" if isinstance(value, np.floating) and math.isfinite(value) else "a finite floating-point number"


def positive(value: object) -> str:
    """A floating-point number above 0."""
    return "" if not number(value) and isinstance(value, float) and value > 0 else "a floating-point number above 0"


def flag(value: object) -> str:
    """TVB's text for a boolean."""
    return text("bool:True", "bool:False")(value)


def gid(value: object) -> str:
    """A gid as a urn, in lower case."""
    try:
        right = isinstance(value, str) and UUID(value).urn == value
    except ValueError:
        right = False
    return "" if right else "urn:uuid: and a gid in lower case"


def date(value: object) -> str:
    """A date as TVB writes it, microseconds included."""
    try:
        # TVB compares what was parsed; it writes every part with all its digits.
        right = isinstance(value, str) and datetime.strptime(value, DATE_FORMAT).strftime(DATE_FORMAT) == value
    except ValueError:
        right = False
    return "" if right else "a date such as 2026-01-31,23-59-59.000000"


def parsed(value: object) -> object:
    """What a JSON text holds; the text's absence when it is none."""
    try:
        return json.loads(value) if isinstance(value, str) else ...
    except ValueError:
        return ...


def texts(value: object) -> str:
    """JSON of the four dimensions' names."""
    found = parsed(value)
    right = isinstance(found, list) and len(found) == 4 and all(isinstance(name, str) for name in found)
    return "" if right else "JSON of a list of four names"


def labels(value: object) -> str:
    """JSON of lists of names, by the name of a dimension."""
    found = parsed(value)
    right = isinstance(found, dict) and all(
        isinstance(names, list) and all(isinstance(name, str) for name in names) for names in found.values()
    )
    return "" if right else "JSON of an object with a list of names for each dimension"


def listing(value: object) -> str:
    """JSON of a list."""
    return "" if isinstance(parsed(value), list) else "JSON of a list"


def mapping(value: object) -> str:
    """JSON of an object."""
    return "" if isinstance(parsed(value), dict) else "JSON of an object"


def equation(value: object) -> str:
    """JSON of an equation's class and parameters, or null."""
    found = parsed(value)
    right = isinstance(found, dict) and isinstance(found.get("type"), str) and isinstance(found.get("parameters"), dict)
    return "" if right or found is None else 'JSON such as {"type": "Gaussian", "parameters": {}}'


_REFERENCES = {name for wanted in FORMATS.values() for name in wanted.references + wanted.optional_references}

#: By the attribute's name without `TVB_`.
ATTRIBUTES: dict[str, Rule] = {
    "Data_version": whole(DATA_VERSION),
    **dict.fromkeys(("gid", "parent_burst", "simulator", "analyzed_datatype", *sorted(_REFERENCES)), gid),
    **dict.fromkeys(("create_date", "finish_time"), date),
    **dict.fromkeys(("invalid", "is_nan", "visible", "undirected", "has_orientation", "is_metric_operation"), flag),
    **dict.fromkeys(("zero_based_triangles", "bi_hemispheric", "valid_for_simulations"), flag),
    **dict.fromkeys(("subject", "state", "operation_tag", "title", "parent_connectivity"), text()),
    **dict.fromkeys((f"user_tag_{number}" for number in range(1, 6)), text()),
    **dict.fromkeys(("type", "name", "error_message"), text()),
    "start_time": number,
    **dict.fromkeys(("sample_period", "sample_rate"), positive),
    "sample_period_unit": text("ms", "msec", "s", "sec", "us", "usec"),
    "nr_dimensions": whole(4),
    "labels_ordering": texts,
    "labels_dimensions": labels,
    **dict.fromkeys(("number_of_regions", "number_of_connections", "number_of_sensors"), whole()),
    **dict.fromkeys(("number_of_vertices", "number_of_triangles", "number_of_split_slices"), whole()),
    **dict.fromkeys(("edge_mean_length", "edge_min_length", "edge_max_length", "cutoff"), number),
    "saved_selection": listing,
    **dict.fromkeys(("split_slices", "conductances", "metrics"), mapping),
    **dict.fromkeys(("equation", "spatial", "temporal"), equation),
    "surface_type": text(
        "Cortical Surface", "Brain Skull", "Skull Skin", "Skin Air", "EEG Cap", "Face", "White Matter"
    ),
    "sensors_type": text("EEG", "MEG", "Internal"),
    "projection_type": text("projEEG", "projMEG", "projSEEG"),
    "status": text("finished"),
}  # fmt: skip

#: The same where a datatype's attribute is not what others have under the name.
_STATE = {"state": text("RAW_DATA", "INTERMEDIATE")}
ATTRIBUTES_OF: dict[str, dict[str, Rule]] = {
    **dict.fromkeys(FORMATS, _STATE),
    "BurstConfiguration": {"start_time": date},
}

#: What the GUI writes beside datatypes: the record of an operation. By the end of the name of its class.
RECORDS = {
    "ViewModel": Format("tvb.core.neotraits._h5core.ViewModelH5", (*REQUIRED, "type"), ()),
    "BurstConfiguration": Format(
        "tvb.core.entities.file.simulator.burst_configuration_h5.BurstConfigurationH5",
        ("Data_version", "gid", "name", "status", "error_message", "start_time", "finish_time"),
        (),
        ("simulator",),
    ),
}


@dataclass(frozen=True)
class ArrayRule:
    """What a dataset holds."""

    #: Letters of `numpy.dtype.kind`; O for texts.
    kinds: str
    #: Each dimension's length: a number, the attribute that holds it, or another name for the same length elsewhere in
    #: the file; "" where it may be anything. None where the number of dimensions may, too.
    shape: tuple[int | str, ...] | None


_R, _V, _T, _S = "number_of_regions", "number_of_vertices", "number_of_triangles", "number_of_sensors"
_SERIES = {"time": ArrayRule("f", ("samples",)), "data": ArrayRule("f", ("samples", "", "", ""))}

#: By datatype and dataset; the ones that must be there are in `FORMATS`.
ARRAYS: dict[str, dict[str, ArrayRule]] = {
    "Connectivity": {
        "weights": ArrayRule("f", (_R, _R)), "tract_lengths": ArrayRule("f", (_R, _R)),
        "centres": ArrayRule("f", (_R, 3)), "region_labels": ArrayRule("O", (_R,)),
        "hemispheres": ArrayRule("b", (_R,)), "cortical": ArrayRule("b", (_R,)),
        "orientations": ArrayRule("f", (_R, 3)), "areas": ArrayRule("f", (_R,)),
    },
    "Surface": {
        "vertices": ArrayRule("f", (_V, 3)), "triangles": ArrayRule("i", (_T, 3)),
        "vertex_normals": ArrayRule("f", (_V, 3)), "triangle_normals": ArrayRule("f", (_T, 3)),
        "split_triangles": ArrayRule("i", None),
    },
    "RegionMapping": {"array_data": ArrayRule("i", ("",))},
    "LocalConnectivity": {
        "matrix": ArrayRule("f", (1,)), "matrixdata": ArrayRule("f", ("stored",)),
        "matrixindices": ArrayRule("i", ("stored",)), "matrixindptr": ArrayRule("i", ("",)),
    },
    "Sensors": {
        "labels": ArrayRule("O", (_S,)), "locations": ArrayRule("f", (_S, 3)), "orientations": ArrayRule("f", (_S, 3)),
        "usable": ArrayRule("b", (_S,)),
    },
    "ProjectionMatrix": {"projection_data": ArrayRule("f", ("", ""))},
    "StimuliRegion": {"weight": ArrayRule("f", ("",))},
    "StimuliSurface": {"focal_points_surface": ArrayRule("i", ("",)), "focal_points_triangles": ArrayRule("i", ("",))},
    **{name: _SERIES for name in FORMATS if name.startswith("TimeSeries")},
}  # fmt: skip
