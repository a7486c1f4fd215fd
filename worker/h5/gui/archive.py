"""A ZIP while it is written: assigns gids and dates, with one temporary file at a time. Imports no TVB.

Each file in the ZIP gets a later creation date than the one before. The GUI imports in the order of dates, and fails
with an unrelated message if a time series is as old as its connectivity. The same holds for the operations of a project
that the GUI exports and imports again: their order is that of the dates in their main view models.
"""

import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import h5py

from tvb_batch.models.errors import OutputError
from tvb_batch.models.paths import part
from tvb_batch.worker.h5.gui.members import REFERENCES, Member, read_member
from tvb_batch.worker.h5.tvb2 import PROVENANCE, write_attributes

#: The folder of the datatypes that several operations refer to.
SHARED = "datatypes/"
#: The date of the operation with these datatypes, before that of every simulation. The GUI uses it only for the order.
SHARED_DATE = datetime(2000, 1, 1)

#: Datatypes that a GUI project may already have: the start of their file names, by option.
LINKED = {
    "connectivity": "Connectivity", "region_mapping": "RegionMapping", "surface": "Surface", "sensors": "Sensors",
}  # fmt: skip


@dataclass(frozen=True)
class Linking:
    """How the gids in a ZIP are chosen.

    With new gids, a second import cannot damage the data of the first one.
    """

    #: Keep the gids of the files.
    is_stable: bool = False
    #: The gid of a datatype in the project, by the keys of `LINKED`; it is not put into the ZIP.
    links: Mapping[str, UUID] = field(default_factory=dict)
    #: Add the region mapping of known connectivities.
    adds_mappings: bool = True


class Archive:
    """A ZIP that is being written."""

    def __init__(self, archive: zipfile.ZipFile, directory: Path, first: datetime, linking: Linking) -> None:
        self._archive, self.directory, self._date, self.linking = archive, directory, first, linking
        self._operation_date = _first_operation(first, linking)
        self._gids: dict[UUID, UUID] = {}
        self._linked: dict[str, str] = {}
        self._added: set[UUID] = set()
        #: Where datatypes that operations share are put: a folder, or "" in a ZIP without operations.
        self.shared_folder = ""
        #: The RegionMapping of each Connectivity, both with their gids in this ZIP.
        self.mappings: dict[UUID, UUID] = {}

    def gid_of(self, old: UUID) -> UUID:
        """Return the gid in this ZIP of a datatype that several files refer to."""
        return self._gids.setdefault(old, old if self.linking.is_stable else uuid4())

    def date(self) -> datetime:
        """Return a date after all dates given before."""
        self._date += timedelta(microseconds=1)
        return self._date

    def operation_date(self) -> datetime:
        """Return the date of an operation's view model, after all that this method returned before."""
        self._operation_date += timedelta(microseconds=1)
        return self._operation_date

    @property
    def holds_datatypes(self) -> bool:
        """Return whether the ZIP holds a datatype that operations share."""
        return bool(self._added)

    def add_datatype(self, member: Member) -> None:
        """Add a datatype that operations share, once, unless the project already has it.

        Raises
        ------
        OutputError
            There are two datatypes of its kind, but one gid was given.
        """
        for name, datatype in LINKED.items():
            # Besides the cortex there may be an EEG cap, which needs no gid.
            is_meant = member.datatype == datatype and member.surface_type in ("", "Cortical Surface")
            if name in self.linking.links and is_meant:
                if self._linked.setdefault(name, member.gid) != member.gid:
                    raise OutputError(f"{member.path}: a second {datatype}; one gid cannot stand for both")
                self._gids[UUID(member.gid)] = self.linking.links[name]
                return
        gid = self.gid_of(UUID(member.gid))
        if gid not in self._added:
            self._added.add(gid)
            self.add_copy(member, self.shared_folder, gid, {})

    def add(self, name: str, write: Callable[[h5py.File], None]) -> None:
        """Write a new file into the ZIP."""
        path = self.directory / "new.h5"
        with h5py.File(path, "w") as file:
            write(file)
        self._archive.write(path, name)
        path.unlink()

    def add_text(self, name: str, text: str) -> None:
        """Write a text file into the ZIP."""
        self._archive.writestr(name, text)

    def add_copy(self, member: Member, folder: str, gid: UUID, extra: Mapping[str, object]) -> None:
        """Copy a file into the ZIP with its new gid and new references."""
        # Keep the member's date if the order allows it.
        self._date = max(self._date, member.created - timedelta(microseconds=1))
        created = self.date()
        own = UUID(member.gid)
        name = folder + (member.path.name if gid == own else f"{member.datatype}_{gid.hex}.h5")
        with h5py.File(member.path, "r") as file:
            old = {key.removeprefix("TVB_"): UUID(str(file.attrs[key])) for key in REFERENCES if key in file.attrs}
            # A mean over all regions has one node, which the Brain viewers cannot show.
            is_of_regions = member.datatype == "TimeSeriesRegion" and file["data"].shape[2] > 1
        renamed = {key: self.gid_of(value) for key, value in old.items()}
        mapping = self.mappings.get(renamed.get("connectivity", UUID(int=0)))
        if is_of_regions and mapping is not None:
            renamed.setdefault("region_mapping", mapping)
        if (renamed, gid, created) == (old, own, member.created) and not extra:
            self._archive.write(member.path, name)
            return
        copy = self.directory / "copy.h5"
        shutil.copyfile(member.path, copy)
        with h5py.File(copy, "r+") as file:
            write_attributes(file, {**renamed, **extra, "gid": gid, "create_date": created})
            if PROVENANCE in file:
                file[PROVENANCE].attrs["output"] = own.hex
        self._archive.write(copy, name)
        copy.unlink()


def _first_operation(first: datetime, linking: Linking) -> datetime:
    """Return a date before that of the first operation with a simulation.

    The operation must be later than the upload of what it refers to, and earlier than what the GUI computes from it.
    A day covers the time zones of the GUI and of this machine.
    """
    if linking.links or linking.is_stable:
        # The project may already have the datatypes; the GUI dates their upload by its local clock.
        return datetime.now()
    return first - timedelta(days=1)


@contextmanager
def open_archive(files: Sequence[Path], target: Path, linking: Linking) -> Iterator[Archive]:
    """Open a ZIP for these files; it appears complete or not at all, and replaces an existing file.

    Raises
    ------
    OutputError
        A file is damaged, or the ZIP cannot be written.
    """
    unfinished = part(target)
    first = min(read_member(path).created for path in files) - timedelta(microseconds=1)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # Beside the target: series may be larger than the space for temporary files.
        # Not compressed: noisy float64 becomes a tenth smaller in 40 times the time.
        with (
            tempfile.TemporaryDirectory(dir=target.parent, prefix=".bundle-") as directory,
            zipfile.ZipFile(unfinished, "w", zipfile.ZIP_STORED) as archive,
        ):
            yield Archive(archive, Path(directory), first, linking)
        unfinished.replace(target)
    except OSError as exc:
        raise OutputError(f"{target}: cannot be written ({exc.strerror or exc})") from exc
    finally:
        unfinished.unlink(missing_ok=True)
