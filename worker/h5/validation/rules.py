"""Rules for the values of attributes and datasets: the type of a rule, and the rules of tvb2. Data.

`worker.h5.formats` says which attributes and datasets must exist. The rules of tvb1 are in
`worker.h5.tvb1.tvb1_faults`.
"""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import numpy as np

from tvb_batch.worker.h5.formats import FORMATS, REQUIRED, Format
from tvb_batch.worker.h5.tvb2 import DATA_VERSION, DATE_FORMAT


@dataclass(frozen=True)
class Rule:
    """The rule for an attribute."""

    #: The text after "expected" in a message.
    expected: str
    #: Returns whether a value is right; may raise if the value cannot be parsed.
    test: Callable[[Any], bool]
    #: Allowed `numpy.dtype.kind` for a number of tvb1; empty for a text.
    kinds: str = ""

    def fits(self, value: object) -> bool:
        """Return whether the value is right."""
        try:
            return self.test(value)
        except (ValueError, TypeError, AttributeError):
            return False


def of_json(*types: type) -> Callable[[object], bool]:
    """Return a test for JSON of one of the types; a bool is not a number."""
    return lambda value: isinstance(value, str) and type(json.loads(value)) in types


def choice(*values: str) -> Rule:
    """Return the rule for one of several texts."""
    return Rule(f"one of {', '.join(map(repr, values))}", lambda value: isinstance(value, str) and value in values)


def integer(exactly: int) -> Rule:
    """Return the rule for one integer."""
    return Rule(f"the integer {exactly}", lambda value: isinstance(value, np.integer) and bool(value == exactly))


def _is_finite(value: object) -> bool:
    return isinstance(value, np.floating) and math.isfinite(value)


def _is_date(value: str) -> bool:
    # TVB writes all digits of each part, so the text must be equal after parsing.
    return datetime.strptime(value, DATE_FORMAT).strftime(DATE_FORMAT) == value


def _are_names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def _is_equation(value: str) -> bool:
    found = json.loads(value)
    return found is None or (isinstance(found.get("type"), str) and isinstance(found.get("parameters"), dict))


TEXT = Rule("text of variable length", lambda value: isinstance(value, str))
#: A gid as urn, in lower case.
GID = Rule("urn:uuid: and a gid in lower case", lambda value: isinstance(value, str) and UUID(value).urn == value)
DATE = Rule("a date such as 2026-01-31,23-59-59.000000", _is_date)
#: TVB's texts for a boolean.
FLAG = choice("bool:True", "bool:False")
COUNT = Rule("an integer of at least 0", lambda value: isinstance(value, np.integer) and bool(value >= 0))
NUMBER = Rule("a finite floating-point number", _is_finite)
POSITIVE = Rule(
    "a floating-point number above 0",
    lambda value: _is_finite(value) and isinstance(value, float) and value > 0,
)
LISTING = Rule("JSON of a list", of_json(list))
MAPPING = Rule("JSON of an object", of_json(dict))
#: The names of the four dimensions.
NAMES = Rule(
    "JSON of a list of four names",
    lambda value: isinstance(value, str) and _are_names(found := json.loads(value)) and len(found) == 4,
)
#: Names by dimension.
LABELS = Rule(
    "JSON of an object with a list of names for each dimension",
    lambda value: isinstance(value, str) and all(_are_names(names) for names in json.loads(value).values()),
)
EQUATION = Rule(
    'JSON such as {"type": "Gaussian", "parameters": {}}', lambda value: isinstance(value, str) and _is_equation(value)
)

_REFERENCES = {name for wanted in FORMATS.values() for name in wanted.references + wanted.optional_references}

#: By the attribute's name without `TVB_`.
ATTRIBUTES: dict[str, Rule] = {
    "Data_version": integer(DATA_VERSION),
    **dict.fromkeys(("gid", "parent_burst", "simulator", "analyzed_datatype", *sorted(_REFERENCES)), GID),
    **dict.fromkeys(("create_date", "finish_time"), DATE),
    **dict.fromkeys(("invalid", "is_nan", "visible", "undirected", "has_orientation", "is_metric_operation"), FLAG),
    **dict.fromkeys(("zero_based_triangles", "bi_hemispheric", "valid_for_simulations"), FLAG),
    **dict.fromkeys(("subject", "state", "operation_tag", "title", "parent_connectivity"), TEXT),
    **dict.fromkeys((f"user_tag_{number}" for number in range(1, 6)), TEXT),
    **dict.fromkeys(("type", "name", "error_message"), TEXT),
    "start_time": NUMBER,
    **dict.fromkeys(("sample_period", "sample_rate"), POSITIVE),
    "sample_period_unit": choice("ms", "msec", "s", "sec", "us", "usec"),
    "nr_dimensions": integer(4),
    "labels_ordering": NAMES,
    "labels_dimensions": LABELS,
    **dict.fromkeys(("number_of_regions", "number_of_connections", "number_of_sensors"), COUNT),
    **dict.fromkeys(("number_of_vertices", "number_of_triangles", "number_of_split_slices"), COUNT),
    **dict.fromkeys(("edge_mean_length", "edge_min_length", "edge_max_length", "cutoff"), NUMBER),
    "saved_selection": LISTING,
    **dict.fromkeys(("split_slices", "conductances", "metrics"), MAPPING),
    **dict.fromkeys(("equation", "spatial", "temporal"), EQUATION),
    "surface_type": choice(
        "Cortical Surface", "Brain Skull", "Skull Skin", "Skin Air", "EEG Cap", "Face", "White Matter"
    ),
    "sensors_type": choice("EEG", "MEG", "Internal"),
    "projection_type": choice("projEEG", "projMEG", "projSEEG"),
    "status": choice("finished"),
}  # fmt: skip

#: Attributes with another meaning for some datatypes.
_STATE = {"state": choice("RAW_DATA", "INTERMEDIATE")}
ATTRIBUTES_OF: dict[str, dict[str, Rule]] = {
    **dict.fromkeys(FORMATS, _STATE),
    "BurstConfiguration": {"start_time": DATE},
}

#: Records of operations, which the GUI writes beside datatypes; by the end of their class names.
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
    """The rule for a dataset."""

    #: Allowed `numpy.dtype.kind`; O for texts.
    kinds: str
    #: Each dimension's length: a number, the attribute that holds it, or another name for the same length elsewhere in
    #: the file; "" where it may be anything. None where the number of dimensions may, too.
    shape: tuple[int | str, ...] | None


_R, _V, _T, _S = "number_of_regions", "number_of_vertices", "number_of_triangles", "number_of_sensors"
_SERIES = {"time": ArrayRule("f", ("samples",)), "data": ArrayRule("f", ("samples", "", "", ""))}

#: By datatype and dataset; `FORMATS` says which datasets are required.
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
