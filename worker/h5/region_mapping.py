"""Writes the surface and the region mapping of a connectivity of tvb-data.

Imports TVB only if a connectivity has as many regions as one of tvb-data's.
"""

from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import h5py
import numpy as np

from tvb_batch.worker.h5.content_gid import content_gid
from tvb_batch.worker.h5.datatypes import file_prefix, write_datatype

#: Files of tvb-data by the number of regions: connectivity, cortex, mapping. Its mapping to 192 regions has 16 500
#: vertices, and none of its surfaces so many.
_KNOWN = {76: ("connectivity_76.zip", "cortex_16384.zip", "regionMapping_16k_76.txt")}


class WrittenMapping(NamedTuple):
    """The files of a surface and of the region mapping that refers to it."""

    surface: Path
    mapping: Path
    #: Of the region mapping.
    gid: UUID


def write_mapping(connectivity: Path, gid: UUID, created: datetime, directory: Path) -> WrittenMapping | None:
    """Write the surface and the region mapping for a file of a Connectivity; return None if none is known.

    Parameters
    ----------
    connectivity : a file of format tvb2 or tvb1
    gid : what the mapping calls the connectivity
    """
    with h5py.File(connectivity, "r") as file:
        names = _KNOWN.get(len(file["weights"]))
        if names is None or "region_labels" not in file:
            return None
        labels, centres = file["region_labels"][()], file["centres"][()]
    known, cortex, mapping = _load(names)
    # The same regions at the same positions; weights and lengths may differ.
    labels = [label.decode() for label in labels]
    if labels != list(known.region_labels) or not np.allclose(centres, known.centres):
        return None
    known.gid = gid
    # Each connectivity needs its own mapping, because a mapping refers to one connectivity.
    mapping.gid = content_gid(mapping)
    surface_file, mapping_file = (directory / f"{file_prefix(one)}_{one.gid.hex}.h5" for one in (cortex, mapping))
    write_datatype(surface_file, cortex, created, subject="John Doe")
    write_datatype(mapping_file, mapping, created, subject="John Doe")
    return WrittenMapping(surface_file, mapping_file, mapping.gid)


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
