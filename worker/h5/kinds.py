"""How the objects of each class of `tvb.datatypes` are written: a registry. Imports no TVB.

It equals what tvb-framework 2.10 writes (`tvb.adapters.datatypes.h5`). tvb-framework cannot write everything that this
module can; comments say where it fails.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np

from tvb_batch.models.errors import InputError
from tvb_batch.models.tvb.array_rules import as_ascii
from tvb_batch.worker.h5.slices import slice_surface
from tvb_batch.worker.h5.tvb2 import write_array, write_attributes, write_sparse


@dataclass(frozen=True)
class Kind:
    """How the objects of a class are written."""

    #: One of `worker.h5.formats.FORMATS`.
    datatype: str
    #: Writes everything except the common attributes and the references.
    write: Callable[[h5py.File, Any], None]
    #: Required attributes.
    needs: tuple[str, ...]
    #: An attribute that is 0 until TVB's `configure` sets it.
    filled: str = ""


def _connectivity(file: h5py.File, connectivity: Any) -> None:
    values = {
        "number_of_regions": int(connectivity.number_of_regions),
        "number_of_connections": int(connectivity.number_of_connections),
        "undirected": bool(connectivity.undirected),
        "saved_selection": list(connectivity.saved_selection),
        "parent_connectivity": connectivity.parent_connectivity,
    }
    write_attributes(file, values)
    names = ("weights", "tract_lengths", "centres", "region_labels", "hemispheres", "cortical", "orientations", "areas")
    _write_arrays(file, connectivity, names)


def _surface(file: h5py.File, surface: Any) -> None:
    # TVB's writer fails here with NumPy's integers, which are not JSON.
    right = int(np.count_nonzero(surface.hemisphere_mask)) if surface.bi_hemispheric else None
    slices, split_triangles = slice_surface(surface.triangles, int(surface.number_of_vertices), right)
    based = getattr(surface, "zero_based_triangles", None)
    values = {
        "number_of_vertices": int(surface.number_of_vertices),
        "number_of_triangles": int(surface.number_of_triangles),
        "number_of_split_slices": len(slices),
        "split_slices": slices,
        "edge_mean_length": float(surface.edge_mean_length),
        "edge_min_length": float(surface.edge_min_length),
        "edge_max_length": float(surface.edge_max_length),
        # TVB does not set it for a surface from a file, and then cannot write the surface.
        "zero_based_triangles": True if based is None else bool(based),
        "bi_hemispheric": bool(surface.bi_hemispheric),
        "surface_type": surface.surface_type,
        "valid_for_simulations": bool(surface.valid_for_simulations),
    }
    write_attributes(file, values)
    _write_arrays(file, surface, ("vertices", "triangles", "vertex_normals", "triangle_normals"))
    write_array(file, "split_triangles", split_triangles)


def _region_mapping(file: h5py.File, mapping: Any) -> None:
    _write_arrays(file, mapping, ("array_data",))


def _local_connectivity(file: h5py.File, local: Any) -> None:
    write_attributes(file, {"equation": _equation(local, "equation"), "cutoff": float(local.cutoff)})
    matrix = local.matrix
    vertices = len(local.surface.vertices)
    if matrix.shape[0] > vertices:
        # A simulation appends zeros for regions without vertices; TVB appends them again when it loads the file.
        matrix = matrix.tocsr()[:vertices, :vertices]
    if matrix.format not in ("csr", "csc"):
        matrix = matrix.tocsr()
    write_sparse(file, "matrix", matrix)


def _sensors(file: h5py.File, sensors: Any) -> None:
    values = {
        "sensors_type": sensors.sensors_type,
        "number_of_sensors": int(sensors.number_of_sensors),
        "has_orientation": bool(sensors.has_orientation),
    }
    write_attributes(file, values)
    _write_arrays(file, sensors, ("labels", "locations", "orientations", "usable"))


def _projection(file: h5py.File, projection: Any) -> None:
    values = {"projection_type": projection.projection_type, "conductances": _json(projection.conductances)}
    write_attributes(file, values)
    _write_arrays(file, projection, ("projection_data",))


def _stimulus(file: h5py.File, stimulus: Any) -> None:
    write_attributes(file, {name: _equation(stimulus, name) for name in ("spatial", "temporal")})
    _write_arrays(file, stimulus, ("weight", "focal_points_triangles"))


def _stimuli_surface(file: h5py.File, stimulus: Any) -> None:
    _stimulus(file, stimulus)
    # Without a focal point, TVB's list has floats, which its own writer refuses.
    write_array(file, "focal_points_surface", np.asarray(stimulus.focal_points_surface, np.int64))


#: By class of `tvb.datatypes`; a subclass is written as its base class.
KINDS = {
    "Connectivity": Kind("Connectivity", _connectivity, ("weights",), "number_of_regions"),
    "Surface": Kind("Surface", _surface, ("vertices", "triangles", "surface_type"), "edge_max_length"),
    "RegionMapping": Kind("RegionMapping", _region_mapping, ("array_data",)),
    "LocalConnectivity": Kind("LocalConnectivity", _local_connectivity, ("matrix",)),
    "Sensors": Kind("Sensors", _sensors, ("labels", "locations", "sensors_type"), "number_of_sensors"),
    "ProjectionMatrix": Kind("ProjectionMatrix", _projection, ("projection_data", "projection_type")),
    "StimuliRegion": Kind("StimuliRegion", _stimulus, ("spatial", "temporal", "weight")),
    "StimuliSurface": Kind("StimuliSurface", _stimuli_surface, ("spatial", "temporal", "focal_points_triangles")),
}


def find_kind(instance: Any) -> Kind | None:
    """Return the kind of a TVB object, or None if the GUI cannot import it."""
    for cls in type(instance).__mro__:
        if cls.__module__.startswith("tvb.datatypes.") and cls.__name__ in KINDS:
            return KINDS[cls.__name__]
    return None


def kind_of(instance: Any) -> Kind:
    """Return the kind of a TVB object.

    Raises
    ------
    InputError
        The GUI cannot import this object.
    """
    kind = find_kind(instance)
    if kind is None:
        raise InputError(
            f"{type(instance).__name__}: the GUI cannot import this object; expected one of {', '.join(KINDS)}"
        )
    return kind


def needed(instance: Any, name: str) -> Any:
    """Return an attribute that the GUI needs.

    Raises
    ------
    InputError
        It is not set.
    """
    value = getattr(instance, name, None)
    if value is None:
        raise InputError(f"{type(instance).__name__} {instance.gid}: {name} is not set, and the GUI needs it; set it")
    return value


def _write_arrays(file: h5py.File, instance: Any, names: tuple[str, ...]) -> None:
    for name in names:
        array = getattr(instance, name, None)
        if array is not None:
            # TVB's GUI reads only ASCII labels.
            is_text = np.asarray(array).dtype.kind == "U"
            write_array(file, name, np.vectorize(as_ascii, otypes=[str])(array) if is_text else array)


def _equation(instance: Any, name: str) -> str:
    """Return an equation as TVB writes it: the name of its class, and its parameters."""
    equation = getattr(instance, name)
    if equation is None:
        return _json(None)
    cls = type(equation)
    if cls.__module__ != "tvb.datatypes.equations":
        raise InputError(
            f"{type(instance).__name__}: the GUI has no equation {cls.__name__}; use one of tvb.datatypes.equations"
        )
    return _json({"type": cls.__name__, "parameters": equation.parameters})


def _json(value: object) -> str:
    """Return JSON of a value that may hold NumPy numbers and arrays."""
    return json.dumps(value, default=lambda array: array.tolist())
