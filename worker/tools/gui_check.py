"""Finds every fault in files and ZIPs for the GUI, without tvb-framework and TVB.

`python -m tvb_batch.worker.tools.gui_check` answers a `CheckFiles` and exits with 1 if there was a fault.
`worker.h5.verify` checks a job's own file and stops at the first fault; this module also checks the encoding of each
value, and the references between the members of a ZIP. It writes only copies of members into a temporary directory.
"""

import shutil
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import h5py

from tvb_batch.models.errors import one_line
from tvb_batch.models.tvb.h5_guard import open_h5
from tvb_batch.models.worker_protocol import CheckFiles
from tvb_batch.worker.h5.tvb1 import tvb1_zip_check
from tvb_batch.worker.h5.validation.file_faults import DAMAGE, file_faults, kind_in, reason
from tvb_batch.worker.h5.validation.rules import DATE, GID

#: Starts of the classes whose view models are the records of operations; the others are parts of them.
_OPERATIONS = ("tvb.adapters.", "tvb.core.entities.file.simulator.view_model.SimulatorAdapterModel")


@dataclass(frozen=True)
class _Member:
    """A file in a ZIP, as the other files see it."""

    name: str
    gid: str
    created: str
    #: The gid that each attribute holds.
    references: dict[str, str]
    #: Whether it is the record of its folder's operation.
    is_operation: bool = False

    @property
    def folder(self) -> str:
        return str(PurePosixPath(self.name).parent)


def faults(path: Path) -> list[str]:
    """Return each fault of an H5 file or ZIP as `file::key: what is there, what was expected`.

    A damaged or unreadable file is a fault too, not an exception. Format tvb1 has its own rules.
    """
    return [one_line(fault) for fault in _faults(path)]


def _faults(path: Path) -> Iterator[str]:
    if tvb1_zip_check.is_tvb1(path):
        yield from tvb1_zip_check.faults(path)
        return
    try:
        with path.open("rb") as file:
            is_zip = file.read(2) == b"PK"
        yield from _zip_faults(path) if is_zip else file_faults(path, str(path))
    except OSError as exc:
        yield f"{path}: cannot be read ({exc.strerror or exc})"


def _zip_faults(path: Path) -> Iterator[str]:
    try:
        with zipfile.ZipFile(path) as archive, tempfile.TemporaryDirectory() as directory:
            names = archive.namelist()
            for name in sorted({name for name in names if names.count(name) > 1}):
                yield f"{path}/{name}: occurs twice, expected once"
            for name in names:
                if name.endswith(".hdf5"):
                    yield f"{path}/{name}: ignored by the GUI; expected a name that ends in .h5"
            members: list[_Member] = []
            for name in dict.fromkeys(name for name in names if name.endswith(".h5")):
                copy = Path(directory) / "member.h5"
                yield from _member_faults(archive, name, copy, f"{path}/{name}", members)
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError) as exc:
        yield f"{path}: not a readable ZIP ({reason(exc)})"
        return
    if not any(name.endswith(".h5") for name in names):
        yield f"{path}: no H5 file in it, expected at least one"
    yield from _relation_faults(path, members)


def _member_faults(
    archive: zipfile.ZipFile, name: str, copy: Path, place: str, members: list[_Member]
) -> Iterator[str]:
    """Yield the faults of one member; add its header to `members`."""
    try:
        # Read it completely, so that its CRC is checked.
        with archive.open(name) as source, copy.open("wb") as target:
            shutil.copyfileobj(source, target, 2**20)
    except (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, EOFError, OSError) as exc:
        yield f"{place}: cannot be unpacked ({reason(exc)})"
        return
    yield from file_faults(copy, place)
    try:
        with open_h5(copy) as file:
            members.append(_member(file, name))
    except DAMAGE:
        return  # Already reported as a fault of the file.


def _member(file: h5py.File, name: str) -> _Member:
    _, wanted = kind_in(file.attrs)
    names = wanted.references + wanted.optional_references if wanted else ()
    held = {one: file.attrs.get(f"TVB_{one}") for one in names}
    own, created = file.attrs.get("TVB_gid"), file.attrs.get("TVB_create_date")
    return _Member(
        name,
        str(own) if GID.fits(own) else "",
        str(created) if DATE.fits(created) else "",
        {one: value for one, value in held.items() if isinstance(value, str) and GID.fits(value)},
        str(file.attrs.get("TVB_type")).startswith(_OPERATIONS),
    )


def _relation_faults(path: Path, members: list[_Member]) -> Iterator[str]:
    by_gid: dict[str, _Member] = {}
    for member in members:
        if member.gid and member.gid in by_gid:
            yield f"{path}/{member.name}::TVB_gid: {member.gid}, which {by_gid[member.gid].name} has, too"
        by_gid.setdefault(member.gid, member)
    operations = {member.folder: member for member in members if member.is_operation}
    for member in members:
        for name, held in member.references.items():
            other = by_gid.get(held)
            if other is None:
                yield f"{path}/{member.name}::TVB_{name}: {held}, which is not in the ZIP"
            # The GUI imports each folder's files by date. The dates have all digits, so their texts sort in the same
            # order.
            elif other.folder == member.folder and other.created and "" < member.created <= other.created:
                yield (
                    f"{path}/{member.name}::TVB_create_date: {member.created}, expected later than "
                    f"{other.created} of {other.name}, which it refers to"
                )
            # It imports the folders by the date of their operations; the parts of one have the same folder.
            elif other.folder != member.folder and member.folder in operations and other.folder in operations:
                own, first = operations[member.folder], operations[other.folder]
                if "" < own.created <= first.created:
                    yield (
                        f"{path}/{own.name}::TVB_create_date: {own.created}, expected later than {first.created} of "
                        f"{first.name}, whose operation holds {other.name}"
                    )


def main() -> int:
    """Check the files named on standard input, print one fault per line, and return the exit code."""
    found = [fault for path in CheckFiles.from_json(sys.stdin.read()).paths for fault in faults(path)]
    for fault in found:
        print(fault)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
