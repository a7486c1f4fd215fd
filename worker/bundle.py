"""The ZIP that the GUI imports into an empty project: time series and what they refer to, in one flat folder.

`python -m worker.bundle TARGET` reads the files' paths from standard input, one a line; the command line starts it so.
Within the ZIP the creation dates rise in the order of dependency: the GUI imports by date, and fails with an unrelated
message where a time series is as old as its connectivity.
"""

import shutil
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import h5py

from models.errors import OutputError, TvbBatchError
from models.paths import part
from worker.h5.formats import FORMATS
from worker.h5.tvb2 import DATE_FORMAT, encode

#: Attributes that hold the gid of another datatype.
REFERENCES = sorted({f"TVB_{name}" for it in FORMATS.values() for name in it.references + it.optional_references})


@dataclass(frozen=True)
class Member:
    """One file of a bundle, as it says itself."""

    path: Path
    gid: str
    created: datetime
    references: tuple[str, ...]


def write_bundle(files: Sequence[Path], target: Path) -> Path:
    """Write the files into one ZIP, what is referred to first; the ZIP appears whole or not at all.

    Raises
    ------
    OutputError
        A file is damaged or in twice, a datatype that one refers to is not among them, or the disk refused the ZIP.
    """
    members = in_order([read_member(path) for path in files])
    unfinished = part(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # Not compressed: noisy float64 shrinks by a tenth at forty times the cost.
        with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_STORED) as archive:
            for member, created in zip(members, _rising(members), strict=True):
                _add(archive, member, created)
        unfinished.replace(target)
    except OSError as exc:
        raise OutputError(f"{target}: cannot be written ({exc.strerror or exc})") from exc
    finally:
        unfinished.unlink(missing_ok=True)
    return target


def read_member(path: Path) -> Member:
    """What a file says of itself.

    Raises
    ------
    OutputError
        It is no datatype's file.
    """
    try:
        with h5py.File(path, "r") as file:
            references = tuple(str(file.attrs[name]) for name in REFERENCES if name in file.attrs)
            created = datetime.strptime(str(file.attrs["TVB_create_date"]), DATE_FORMAT)
            return Member(path, str(file.attrs["TVB_gid"]), created, references)
    except (OSError, KeyError, ValueError) as exc:
        raise OutputError(f"{path}: cannot be bundled ({str(exc).splitlines()[0]})") from exc


def in_order(members: Sequence[Member]) -> list[Member]:
    """The members, each after what it refers to.

    Raises
    ------
    OutputError
        One is in twice, what one refers to is not among them, or they refer to each other in a circle.
    """
    by_gid = {member.gid: member for member in members}
    if len(by_gid) < len(members):
        raise OutputError("a datatype is in twice; name each job once")
    for member in members:
        for gid in member.references:
            if gid not in by_gid:
                raise OutputError(f"{member.path}: refers to {gid}, which is not among the files")
    graph = TopologicalSorter({member.gid: member.references for member in members})
    try:
        return [by_gid[gid] for gid in graph.static_order()]
    except CycleError as exc:
        paths = " > ".join(str(by_gid[gid].path) for gid in exc.args[1])
        raise OutputError(f"{paths}: refer to each other in a circle; the GUI imports no such files") from exc


def _rising(members: Sequence[Member]) -> list[datetime]:
    """The members' own dates, moved on where they would not rise."""
    dates: list[datetime] = []
    for member in members:
        earliest = dates[-1] + timedelta(microseconds=1) if dates else member.created
        dates.append(max(member.created, earliest))
    return dates


def _add(archive: zipfile.ZipFile, member: Member, created: datetime) -> None:
    if created == member.created:
        archive.write(member.path, member.path.name)
        return
    with tempfile.TemporaryDirectory() as directory:
        copy = Path(directory) / member.path.name
        shutil.copyfile(member.path, copy)
        with h5py.File(copy, "r+") as file:
            file.attrs["TVB_create_date"] = encode(created)
        archive.write(copy, copy.name)


def main() -> int:
    """Bundle what standard input names; gives the exit code."""
    try:
        write_bundle([Path(line) for line in sys.stdin.read().splitlines()], Path(sys.argv[1]))
    except TvbBatchError as exc:
        print(exc, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
