"""Sources of tvb1 files, and copies of tvb1 files with other references or another date."""

import shutil
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import h5py

from tvb_batch.models.errors import OutputError
from tvb_batch.worker.h5.tvb1.tvb1_faults import text_of, tvb1_faults
from tvb_batch.worker.h5.tvb1.tvb1_format import DATE_FORMAT, as_json, write_attributes
from tvb_batch.worker.h5.verify import as_output_error


@dataclass(frozen=True)
class SourceFile:
    """A file, and the header fields that decide where it goes."""

    path: Path
    datatype: str
    gid: UUID
    created: datetime
    connectivity: UUID | None
    region_mapping: UUID | None = None
    is_tvb1: bool = False


def linked(source: SourceFile, connectivity: UUID | None, region_mapping: UUID | None) -> SourceFile:
    """Return the source with the references for its tvb1 file; only a TimeSeriesRegion has references."""
    if source.datatype != "TimeSeriesRegion":
        return source
    return replace(
        source,
        connectivity=connectivity or source.connectivity,
        region_mapping=region_mapping or source.region_mapping,
    )


def read_tvb1(path: Path, file: h5py.File) -> SourceFile:
    """Read the header of an open tvb1 file.

    Raises
    ------
    OutputError
        It has a fault.
    """
    for fault in tvb1_faults(file):
        raise OutputError(f"{path}::{fault}")

    def text(name: str) -> str:
        return text_of(file.attrs.get(f"TVB_{name}", ""))

    def gid(name: str) -> UUID | None:
        return UUID(text(name)) if text(name) else None

    # TVB 1 does not need the date; without it, the importer uses the day of the import.
    created = datetime.strptime(text("Create_date"), f"datetime:{DATE_FORMAT}") if text("Create_date") else datetime.min
    return SourceFile(path, text("Type"), UUID(text("Gid")), created, gid("Connectivity"), gid("Region_mapping"), True)


def write_again(source: SourceFile, target: Path) -> None:
    """Write the tvb1 file again, with the references and the date of `source`.

    Raises
    ------
    OutputError
        It cannot be written.
    """
    with as_output_error(target, ""):
        shutil.copyfile(source.path, target)
    values: dict[str, Any] = {"Create_date": source.created}
    if source.datatype == "TimeSeriesRegion":
        has_mapping = as_json(source.region_mapping is not None)
        values |= {"Connectivity": source.connectivity, "Region_mapping": source.region_mapping}
        values |= {"Has_surface_mapping": has_mapping}
    with as_output_error(target, "attributes"), h5py.File(target, "r+") as file:
        write_attributes(file, values)
