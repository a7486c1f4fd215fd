"""Writes the ZIP that TVB 1.4 to 1.5.x imports into an empty project: converted files and one `Operation.xml`.

`python -m tvb_batch.worker.h5.tvb1.tvb1_zip` answers a `WriteTvb1Bundle`. One converted file at a time is beside the
ZIP. The ZIP appears complete or not at all.
"""

import contextlib
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TextIO
from uuid import UUID, uuid4
from xml.etree import ElementTree

from tvb_batch.models.errors import InputError, OutputError
from tvb_batch.models.paths import part
from tvb_batch.models.worker_protocol import WriteTvb1Bundle
from tvb_batch.worker.h5.region_mapping import write_mapping
from tvb_batch.worker.h5.tvb1.tvb1_convert import read_source, write_source
from tvb_batch.worker.h5.tvb1.tvb1_format import DATA_VERSION, OPERATION_DATE_FORMAT, OPERATION_FILE, as_json
from tvb_batch.worker.h5.tvb1.tvb1_sources import SourceFile, linked
from tvb_batch.worker.h5.verify import as_output_error, publish
from tvb_batch.worker.program import run_program

#: The folder of the ZIP.
_OPERATION = "Operation_1"


def convert_bundle(
    sources: Sequence[Path],
    target: Path,
    *,
    connectivity_gid: UUID | None = None,
    region_mapping_gid: UUID | None = None,
) -> Path:
    """Write tvb2 or tvb1 files as the ZIP that TVB 1 imports into an empty project; return `target`.

    Parameters
    ----------
    sources : in any order, with every Connectivity that a series names; with `connectivity_gid`, no Connectivity is put
        into the ZIP
    connectivity_gid, region_mapping_gid : as for `convert`

    Raises
    ------
    InputError
        There is nothing to write, or TVB 1 does not have a datatype.
    OutputError
        A source is damaged or occurs twice, a Connectivity is missing, or the ZIP cannot be written.
    """
    members = _members(sources, connectivity_gid, region_mapping_gid)
    unfinished = part(target)
    try:
        with as_output_error(target, ""):
            target.parent.mkdir(parents=True, exist_ok=True)
            # Use the disk of the ZIP: the temporary file is as large as its series.
            with (
                tempfile.TemporaryDirectory(dir=target.parent, prefix=".tvb1-") as directory,
                zipfile.ZipFile(unfinished, "w", zipfile.ZIP_STORED) as archive,
            ):
                if region_mapping_gid is None:
                    members = _with_mappings(members, Path(directory))
                members = _dated(members)
                archive.writestr(f"{_OPERATION}/{OPERATION_FILE}", _operation(target.name, members))
                for member in members:
                    # TVB 1 uses these names itself: the gid with dashes.
                    converted = Path(directory) / f"{member.datatype}_{member.gid}.h5"
                    write_source(member, converted)
                    archive.write(converted, f"{_OPERATION}/{converted.name}")
                    converted.unlink()
        publish(unfinished, target)
    finally:
        # Ignore errors here, so that the first error is raised.
        with contextlib.suppress(OSError):
            unfinished.unlink()
    return target


def _members(sources: Sequence[Path], connectivity: UUID | None, region_mapping: UUID | None) -> list[SourceFile]:
    """Return the members of the ZIP, connectivities first."""
    members = [linked(read_source(path), connectivity, region_mapping) for path in sources]
    if connectivity is not None:
        members = [member for member in members if member.datatype != "Connectivity"]
    if not members:
        raise InputError("nothing to put into the ZIP; expected at least one time series")
    gids = {member.gid for member in members}
    if len(gids) < len(members):
        raise OutputError("a datatype occurs twice; give each job once")
    for member in members:
        if connectivity is None and member.connectivity is not None and member.connectivity not in gids:
            raise OutputError(f"{member.path}: refers to {member.connectivity}, which is not among the files")
    return sorted(members, key=lambda member: (_place(member), member.created))


#: What other members refer to comes first.
_ORDER = ("Connectivity", "CorticalSurface", "RegionMapping")


def _place(member: SourceFile) -> int:
    return _ORDER.index(member.datatype) if member.datatype in _ORDER else len(_ORDER)


def _with_mappings(members: Sequence[SourceFile], directory: Path) -> list[SourceFile]:
    """Return the members with the region mappings that are known, as a ZIP for TVB 2 has them.

    The surface and the mapping of a Connectivity are written into the directory; its series refer to the mapping.
    """
    found: list[SourceFile] = []
    mappings: dict[UUID | None, UUID] = {}
    for member in members:
        if member.datatype != "Connectivity":
            continue
        with as_output_error(member.path, ""):
            written = write_mapping(member.path, member.gid, member.created, directory)
        if written is None:
            continue
        mappings[member.gid] = written.gid
        found += [read_source(path) for path in (written.surface, written.mapping)]
    series = [
        replace(member, region_mapping=mappings.get(member.connectivity))
        if member.datatype == "TimeSeriesRegion" and member.region_mapping is None
        else member
        for member in members
    ]
    # Mappings of several connectivities refer to one surface.
    unique = {member.gid: member for member in found}
    return sorted([*series, *unique.values()], key=lambda member: (_place(member), member.created))


def _dated(members: Sequence[SourceFile]) -> list[SourceFile]:
    """Return the members with strictly increasing dates: TVB 1 imports in the order of dates."""
    dated: list[SourceFile] = []
    for member in members:
        earliest = dated[-1].created + timedelta(microseconds=1) if dated else member.created
        dated.append(replace(member, created=max(member.created, earliest)))
    return dated


def _operation(name: str, members: Sequence[SourceFile]) -> bytes:
    """Return `Operation.xml`: the import as an operation of TVB 1's own importer."""
    date = members[0].created.strftime(OPERATION_DATE_FORMAT)
    values = {
        "gid": str(uuid4()),
        "fk_from_algo": as_json({"module": "tvb.adapters.uploaders.tvb_importer", "classname": "TVBImporter"}),
        "parameters": as_json({"data_file": name}),
        "meta_data": "{}",
        "create_date": date,
        "start_date": date,
        "completion_date": date,
        "status": "5-FINISHED",
        "visible": "True",
        "range_values": "",
        "user_group": "",
        "additional_info": "",
    }
    root = ElementTree.Element("tvb_data", {"Data_version": str(DATA_VERSION)})
    for key, text in values.items():
        ElementTree.SubElement(root, key).text = text
    ElementTree.indent(root, "\t")
    return bytes(ElementTree.tostring(root, "us-ascii", xml_declaration=True))


def answer(request: WriteTvb1Bundle, _: TextIO) -> None:
    """Bundle the files that a client names."""
    convert_bundle(
        request.files, request.target,
        connectivity_gid=request.connectivity_gid, region_mapping_gid=request.region_mapping_gid,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(run_program(WriteTvb1Bundle, answer))
