"""Adds the RegionMapping for a connectivity of tvb-data, which the GUI needs for its Brain viewers.

Imports TVB only if a connectivity has as many regions as one of tvb-data's.
"""

import tempfile
from pathlib import Path
from uuid import UUID

from tvb_batch.worker.h5.gui.archive import Archive
from tvb_batch.worker.h5.gui.members import Member, read_member
from tvb_batch.worker.h5.region_mapping import write_mapping


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
    with tempfile.TemporaryDirectory(dir=archive.directory) as directory:
        written = write_mapping(connectivity.path, UUID(connectivity.gid), connectivity.created, Path(directory))
        if written is None:
            return
        archive.add_datatype(read_member(written.surface))
        archive.add_datatype(read_member(written.mapping))
    archive.mappings[own] = archive.gid_of(written.gid)
