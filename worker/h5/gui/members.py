"""Reads the headers of the files of a bundle, and sorts them in the order that the GUI imports. Imports no TVB."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from tvb_batch.models.errors import OutputError
from tvb_batch.models.tvb.h5_guard import open_h5
from tvb_batch.worker.h5.formats import FORMATS
from tvb_batch.worker.h5.tvb2 import DATE_FORMAT

#: Attributes that hold the gid of another datatype.
REFERENCES = sorted({f"TVB_{name}" for it in FORMATS.values() for name in it.references + it.optional_references})


@dataclass(frozen=True)
class Member:
    """The header of one file of a bundle."""

    path: Path
    gid: str
    created: datetime
    references: tuple[str, ...]
    #: The type of a surface, such as `EEG Cap`.
    surface_type: str = ""

    @property
    def datatype(self) -> str:
        """Return the start of the GUI's file name, such as Connectivity."""
        return self.path.stem.rpartition("_")[0]


def read_member(path: Path) -> Member:
    """Read the header of a file.

    Raises
    ------
    OutputError
        It is not the file of a datatype.
    """
    try:
        with open_h5(path) as file:
            references = tuple(str(file.attrs[name]) for name in REFERENCES if name in file.attrs)
            created = datetime.strptime(str(file.attrs["TVB_create_date"]), DATE_FORMAT)
            surface_type = str(file.attrs.get("TVB_surface_type", ""))
            return Member(path, str(file.attrs["TVB_gid"]), created, references, surface_type)
    except (OSError, KeyError, ValueError) as exc:
        raise OutputError(f"{path}: cannot be bundled ({str(exc).splitlines()[0]})") from exc


def in_import_order(members: Sequence[Member]) -> list[Member]:
    """Return the members in an order where each comes after its references.

    Raises
    ------
    OutputError
        A member occurs twice, a reference is missing, or references form a cycle.
    """
    by_gid = {member.gid: member for member in members}
    if len(by_gid) < len(members):
        raise OutputError("a datatype occurs twice; give each job once")
    for member in members:
        for gid in member.references:
            if gid not in by_gid:
                raise OutputError(f"{member.path}: refers to {gid}, which is not among the files")
    graph = TopologicalSorter({member.gid: member.references for member in members})
    try:
        return [by_gid[gid] for gid in graph.static_order()]
    except CycleError as exc:
        paths = " > ".join(str(by_gid[gid].path) for gid in exc.args[1])
        raise OutputError(f"{paths}: refer to each other in a circle; the GUI cannot import such files") from exc
