"""Adds the RegionMapping for a connectivity of tvb-data, which the GUI needs for its Brain viewers.

Imports TVB only if a connectivity has as many regions as one of tvb-data's.
"""

import tempfile
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID

import h5py
import numpy as np

from tvb_batch.worker.h5.datatypes import file_prefix, write_datatype
from tvb_batch.worker.h5.gui.archive import Archive
from tvb_batch.worker.h5.gui.members import Member, read_member
from tvb_batch.worker.job.content_gid import content_gid

#: Files of tvb-data by the number of regions: connectivity, cortex, mapping. Its mapping to 192 regions has 16 500
#: vertices, and none of its surfaces so many.
_KNOWN = {76: ("connectivity_76.zip", "cortex_16384.zip", "regionMapping_16k_76.txt")}


def add_datatype(archive: Archive, member: Member) -> None:
    """Add a datatype at the top level of the ZIP; a Connectivity is added with its region mapping."""
    archive.add_datatype(member)
    if member.datatype == "Connectivity" and archive.linking.adds_mappings:
        add_mapping(archive, member)


def add_mapping(archive: Archive, connectivity: Member) -> None:
    """Add the surface and region mapping for a connectivity in the ZIP, if they are known.

    If the project already has a mapping, the ZIP refers to that one.
    """
    own = archive.gid_of(UUID(connectivity.gid))
    linked = archive.linking.links.get("region_mapping")
    if linked is not None:
        archive.mappings[own] = linked
        return
    with h5py.File(connectivity.path, "r") as file:
        names = _KNOWN.get(int(file.attrs["TVB_number_of_regions"]))
        labels, centres = file["region_labels"].asstr()[()], file["centres"][()]
    if names is None:
        return
    known, cortex, mapping = _load(names)
    # The same regions at the same positions; weights and lengths may differ.
    if list(labels) != list(known.region_labels) or not np.allclose(centres, known.centres):
        return
    known.gid = UUID(connectivity.gid)
    # Each connectivity needs its own mapping, because a mapping refers to one connectivity.
    mapping.gid = content_gid(mapping)
    with tempfile.TemporaryDirectory(dir=archive.directory) as directory:
        for datatype in (cortex, mapping):
            path = Path(directory) / f"{file_prefix(datatype)}_{datatype.gid.hex}.h5"
            write_datatype(path, datatype, connectivity.created, subject="John Doe")
            archive.add_datatype(read_member(path))
    archive.mappings[own] = archive.gid_of(mapping.gid)


@cache
def _load(names: tuple[str, str, str]) -> tuple[Any, Any, Any]:
    """Return TVB's own connectivity, cortex and mapping; the mapping refers to both."""
    from tvb.datatypes.connectivity import Connectivity
    from tvb.datatypes.region_mapping import RegionMapping
    from tvb.datatypes.surfaces import CorticalSurface

    connectivity = Connectivity.from_file(names[0])
    cortex = CorticalSurface.from_file(names[1])
    mapping = RegionMapping.from_file(names[2])
    mapping.connectivity, mapping.surface = connectivity, cortex
    for datatype in (connectivity, cortex, mapping):
        datatype.configure()
        datatype.gid = content_gid(datatype)
    return connectivity, cortex, mapping
