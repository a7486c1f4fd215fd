"""Checks that the files of a simulation fit each other: numbers of regions, vertices and sensors.

TVB would find such errors only when it builds the simulator, or compute with wrong numbers.
"""

from collections.abc import Iterator
from typing import Any

from tvb_batch.models.errors import SpecError
from tvb_batch.models.spec.consistency import OF_SENSORS, check_shapes, count_regions
from tvb_batch.models.spec.simulation import SimulationSpec
from tvb_batch.models.tvb.array_rules import has
from tvb_batch.models.tvb.components import find_component
from tvb_batch.models.tvb.datatype_files import Contents
from tvb_batch.submit.intake.file_facts import Looked, shown

#: Sections by field of the spec.
_ROLES = {
    "model": "model", "coupling": "coupling", "integrator": "integrator", "surface": "cortex", "stimulus": "stimulus",
}  # fmt: skip
#: Roles whose arrays are compared.
_DATATYPES = frozenset({"connectivity", "surface", "region_mapping", "sensors", "projection", "local_connectivity"})


def check_files(spec: SimulationSpec, looked: Looked) -> None:
    """Check that all files of a simulation can be read and fit.

    Raises
    ------
    SpecError
        A file cannot be read or does not fit; the message names the first fault.
    """
    if not _needs_looking(spec):
        check_shapes(spec)
        return
    connectivity = looked.datatype("connectivity", spec.connectivity, "connectivity")
    shapes = dict(_shapes(spec, looked))
    regions = count_regions(spec.connectivity)
    if connectivity is not None:
        regions = int(connectivity.arrays["weights"].shape[0])
    nodes = regions
    if spec.surface is not None:
        nodes = _check_surface(spec.surface, regions, looked)
    check_shapes(spec, regions, shapes, nodes)
    for index, monitor in enumerate(spec.monitors):
        path = f"monitors[{index}]"
        if monitor["class"] in OF_SENSORS:
            _check_sensors(spec, monitor, path, connectivity, looked)
        elif monitor["class"] == "SpatialAverage" and spec.surface is None and connectivity is not None:
            _check_mask(monitor, path, connectivity, nodes, shapes)


def _needs_looking(spec: SimulationSpec) -> bool:
    """Return whether a simulation has more files than a connectivity of tvb-data."""
    if spec.files() or spec.surface is not None or "from_file" not in spec.connectivity or len(spec.connectivity) > 2:
        return True
    return any(monitor["class"] in (*OF_SENSORS, "SpatialAverage") for monitor in spec.monitors)


def _shapes(spec: SimulationSpec, looked: Looked) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Return the shape of every array in a file of its own, by its place; check each datatype too."""
    for name, role in _ROLES.items():
        section = getattr(spec, name)
        if section is not None:
            yield from _shapes_in(role, section, name, looked)
    for index, monitor in enumerate(spec.monitors):
        yield from _shapes_in("monitor", monitor, f"monitors[{index}]", looked)
    if isinstance(spec.initial_conditions, dict):
        yield "initial_conditions", looked.array(spec.initial_conditions, "initial_conditions").shape


def _shapes_in(
    role: str, section: dict[str, Any], path: str, looked: Looked
) -> Iterator[tuple[str, tuple[int, ...]]]:  # fmt: skip
    if role in _DATATYPES:
        looked.datatype(role, section, path)
    for name, attribute in find_component(role, section["class"], path).attributes.items():
        value = section.get(name)
        if isinstance(value, dict) and attribute.type == "component":
            yield from _shapes_in(attribute.role, value, f"{path}.{name}", looked)
        elif isinstance(value, dict) and "from_file" in value and attribute.type == "array" and role not in _DATATYPES:
            yield f"{path}.{name}", looked.array(value, f"{path}.{name}").shape


# ---------------------------------------------------------------------------------------------------------- surfaces


def _check_surface(cortex: dict[str, Any], regions: int | None, looked: Looked) -> int | None:
    """Check surface, mapping and local connectivity; return the number of nodes."""
    section, path = cortex["region_mapping_data"], "surface.region_mapping_data"
    surface = looked.datatype("surface", section["surface"], f"{path}.surface")
    mapping = looked.datatype("region_mapping", section, path)
    place = f"{path}.from_file" if "from_file" in section else f"{path}.array_data"
    if mapping is None:
        return None
    indices = mapping.arrays["array_data"]
    if regions is not None and indices.max() >= regions:
        found = _named(section, f"region {int(indices.max())}")
        raise SpecError(place, found, f"0 to {regions - 1}, the connectivity's")
    if surface is not None:
        vertices = len(surface.arrays["vertices"])
        if len(indices) != vertices:
            found = _named(section, f"{len(indices)} vertices")
            raise SpecError(place, found, f"{vertices}, those of the surface")
    local = cortex.get("local_connectivity")
    if isinstance(local, dict):
        _check_local(local, len(indices), looked)
    # Each region without vertices is an additional node.
    return None if regions is None else len(indices) + regions - len({*indices.tolist()})


def _check_local(section: dict[str, Any], vertices: int, looked: Looked) -> None:
    path = "surface.local_connectivity"
    local = looked.datatype("local_connectivity", section, path)
    if local is not None and "matrix" in local.arrays and local.arrays["matrix"].shape[0] != vertices:
        rows = local.arrays["matrix"].shape[0]
        place = f"{path}.from_file" if "from_file" in section else f"{path}.matrix"
        raise SpecError(place, _named(section, f"{rows} x {rows}"), f"{vertices} x {vertices}, as many as vertices")


# ---------------------------------------------------------------------------------------------------------- monitors


def _check_sensors(
    spec: SimulationSpec, monitor: dict[str, Any], path: str, connectivity: Contents | None, looked: Looked
) -> None:
    if spec.surface is None and connectivity is not None:
        _check_sources(spec, monitor["class"], path, connectivity)
    projection = monitor.get("projection") or {}
    sensors = looked.datatype("sensors", monitor["sensors"], f"{path}.sensors") if monitor.get("sensors") else None
    gain = looked.datatype("projection", projection, f"{path}.projection") if projection else None
    if sensors is not None and gain is not None and "projection_data" in gain.arrays:
        rows, count = gain.arrays["projection_data"].shape[0], sensors.arrays["labels"].size
        if rows != count:
            found = _named(projection, f"{rows} rows")
            raise SpecError(f"{path}.projection.from_file", found, f"{count}, one for each of the monitor's sensors")
    section = monitor.get("region_mapping")
    if spec.surface is None and section and connectivity is not None:
        mapping = looked.datatype("region_mapping", section, f"{path}.region_mapping")
        if mapping is not None:
            _check_reached(section, f"{path}.region_mapping", mapping.arrays["array_data"], connectivity)


def _check_reached(section: dict[str, Any], path: str, mapping: Any, connectivity: Contents) -> None:
    """Check that the mapping reaches the last region if no region is subcortical; else TVB's monitor fails."""
    import numpy as np

    regions, last = connectivity.arrays["weights"].shape[0], int(mapping.max())
    place = f"{path}.from_file" if "from_file" in section else f"{path}.array_data"
    if last >= regions:
        raise SpecError(place, _named(section, f"region {last}"), f"0 to {regions - 1}, the connectivity's")
    cortical = connectivity.arrays["cortical"]
    if last + 1 < regions and (not cortical.size or bool(np.all(cortical))):
        hint = "say in cortical which regions have no vertices"
        raise SpecError(place, _named(section, f"no region above {last}"), f"all of 0 to {regions - 1}", hint)


def _check_sources(spec: SimulationSpec, kind: str, path: str, connectivity: Contents) -> None:
    """Check centres and orientations of the regions, TVB's sources without a surface."""
    import numpy as np

    if connectivity.arrays.get("cortical") is None:
        hint = "true for each region on the cortex; a zip has them in cortical.txt"
        raise SpecError(path, "the connectivity has no cortical", f"it, as {kind} needs it", hint)
    for attribute in ("centres", "orientations"):
        member = "average_orientations.txt" if attribute == "orientations" else f"{attribute}.txt"
        hint = f"a zip has them in {member}; or simulate a surface"
        name = shown(spec.connectivity) or "the connectivity"
        expected = f"{attribute} of the regions, as {kind} needs them"
        if not has(connectivity.arrays, attribute):
            raise SpecError(path, f"{name} has no {attribute}", expected, hint)
        if not np.isfinite(connectivity.arrays[attribute]).all():
            raise SpecError(path, f"{name}: {connectivity.name(attribute)} holds NaN or infinity", expected)


def _check_mask(
    monitor: dict[str, Any], path: str, connectivity: Contents, nodes: int | None, shapes: dict[str, tuple[int, ...]]
) -> None:
    given = monitor.get("spatial_mask")
    if given is not None:
        count = shapes[f"{path}.spatial_mask"][0] if isinstance(given, dict) else len(given)
        if nodes is not None and count != nodes:
            expected = f"one for each of the {nodes} regions"
            raise SpecError(f"{path}.spatial_mask", f"{count} values", expected)
        return
    wanted = {"CORTICAL": "cortical", "HEMISPHERES": "hemispheres"}.get(str(monitor.get("default_mask")))
    if wanted is None or has(connectivity.arrays, wanted):
        return
    if wanted == "hemispheres" and _labels_tell(connectivity):
        return
    hint = f"a zip has it in {wanted}.txt; or give spatial_mask"
    raise SpecError(f"{path}.default_mask", f"the connectivity has no {wanted}", f"{wanted} of the regions", hint)


def _labels_tell(connectivity: Contents) -> bool:
    """Return whether TVB can find the hemispheres from labels that all start, or all end, with L or R."""
    if not has(connectivity.arrays, "region_labels"):
        return False
    labels = [str(label).lower() for label in connectivity.arrays["region_labels"].ravel()]
    return all(label[:1] in ("l", "r") for label in labels) or all(label[-1:] in ("l", "r") for label in labels)


def _named(section: dict[str, Any], found: str) -> str:
    name = shown(section)
    return f"{name}: {found}" if name else found
