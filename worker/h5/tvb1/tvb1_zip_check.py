"""Finds every fault in files and ZIPs for TVB 1.4 to 1.5.x, named by file and key, without TVB 1.

It writes only copies of members into a temporary directory. Memory is bounded, and reading a member completely checks
its CRC.
"""

import json
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from uuid import UUID
from xml.parsers.expat import ExpatError, ParserCreate

from tvb_batch.models.tvb.h5_guard import open_h5
from tvb_batch.worker.h5.tvb1.tvb1_faults import text_of, tvb1_faults
from tvb_batch.worker.h5.tvb1.tvb1_format import DATE_FORMAT, OPERATION_DATE_FORMAT, OPERATION_FIELDS, OPERATION_FILE
from tvb_batch.worker.h5.validation.file_faults import DAMAGE, reason

#: Attributes that refer to another datatype.
_REFERENCES = ("TVB_Connectivity", "TVB_Surface", "TVB_Region_mapping", "TVB_Region_mapping_volume")
_DATES = ("create_date", "start_date", "completion_date")
#: Maximum size of an `Operation.xml`, which normally has some kilobytes.
_OPERATION_BYTES = 2**20


@dataclass(frozen=True)
class _Member:
    """A file in a ZIP, as the other files see it."""

    name: str
    gid: str
    created: datetime | None
    #: The gid that each attribute holds.
    references: dict[str, str]


def is_tvb1(path: Path) -> bool:
    """Return whether a file or ZIP is of format tvb1; False if it cannot be read."""
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                return any(PurePosixPath(name).name == OPERATION_FILE for name in archive.namelist())
        with open_h5(path) as file:
            # Format tvb2 has these names in lower case.
            return any(name in file.attrs for name in ("TVB_Type", "TVB_Gid", "TVB_Module"))
    except (*DAMAGE, zipfile.BadZipFile):
        return False


def faults(path: Path, *, existing: Collection[UUID] = ()) -> list[str]:
    """Yield each fault of the tvb1 file or ZIP at `path`, as `file::key: what is there, what was expected`.

    Parameters
    ----------
    existing : gids of datatypes in the TVB 1 project, which the members of a ZIP may refer to
    """
    try:
        with path.open("rb") as file:
            is_zip = file.read(2) == b"PK"
    except OSError as exc:
        return [f"{path}: cannot be read ({exc.strerror})"]
    if not is_zip:
        return list(_h5_faults(path, str(path)))
    return list(_zip_faults(path, {str(gid) for gid in existing}))


def _h5_faults(path: Path, name: str) -> Iterator[str]:
    try:
        with open_h5(path) as file:
            yield from (f"{name}::{fault}" for fault in tvb1_faults(file))
    except DAMAGE as exc:
        yield f"{name}: not a readable H5 file ({reason(exc)})"


def _zip_faults(path: Path, existing: set[str]) -> Iterator[str]:
    try:
        with zipfile.ZipFile(path) as archive, tempfile.TemporaryDirectory() as directory:
            names = [name for name in archive.namelist() if not name.endswith("/")]
            for name in sorted({name for name in names if names.count(name) > 1}):
                yield f"{path}/{name}: occurs twice, expected once"
            yield from _folder_faults(path, archive, names)
            members: list[_Member] = []
            for name in (name for name in dict.fromkeys(names) if name.endswith(".h5")):
                copy = Path(directory) / "member.h5"
                try:
                    with archive.open(name) as source, copy.open("wb") as target:
                        shutil.copyfileobj(source, target)
                except (zipfile.BadZipFile, zlib.error, EOFError) as exc:
                    yield f"{path}/{name}: damaged ({exc})"
                    continue
                yield from _h5_faults(copy, f"{path}/{name}")
                members.extend(_member(copy, name))
            yield from _relation_faults(path, members, existing)
    except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as exc:
        yield f"{path}: not a readable ZIP ({exc})"


def _folder_faults(path: Path, archive: zipfile.ZipFile, names: list[str]) -> Iterator[str]:
    """Yield faults of the folders: TVB 1 reads only folders with an `Operation.xml`."""
    folders = {str(PurePosixPath(name).parent) for name in names if name.endswith(".h5")}
    if not folders:
        yield f"{path}: no H5 file in it"
    for folder in sorted(folders):
        name = OPERATION_FILE if folder == "." else f"{folder}/{OPERATION_FILE}"
        if folder == ".":
            yield f"{path}: H5 files beside the folders; expected them in one such as Operation_1"
        elif name not in names:
            yield f"{path}/{name}: missing"
        else:
            yield from (f"{path}/{name}::{fault}" for fault in _operation_faults(archive, name))


def _operation_faults(archive: zipfile.ZipFile, name: str) -> Iterator[str]:
    try:
        with archive.open(name) as file:
            fields = _fields(file.read(_OPERATION_BYTES))
    except (ExpatError, zipfile.BadZipFile, zlib.error, EOFError) as exc:
        yield f"not readable XML ({exc})"
        return
    for field in OPERATION_FIELDS:
        if field not in fields:
            yield f"{field}: missing"
    for field in _DATES:
        # TVB itself writes None for missing dates.
        if field in fields and not _is_date(fields[field]) and not (fields[field] == "None" and field != "create_date"):
            yield f"{field}: {fields[field]!r}, expected a date such as 2026-01-02,03-04-05.000006"
    try:
        algorithm = json.loads(fields.get("fk_from_algo", '{"module": "", "classname": ""}'))
        complete = isinstance(algorithm, dict) and {"module", "classname"} <= set(algorithm)
    except ValueError:
        complete = False
    if not complete:
        yield f"fk_from_algo: {fields['fk_from_algo']!r}, expected JSON with module and classname"


def _fields(text: bytes) -> dict[str, str]:
    """Return the text of each element below the root; only XML's own entities are expanded."""
    found: dict[str, str] = {}
    open_elements: list[str] = []

    def start(name: str, _: dict[str, str]) -> None:
        open_elements.append(name)
        if len(open_elements) == 2:
            found[name] = ""

    def characters(more: str) -> None:
        if len(open_elements) == 2:
            found[open_elements[1]] += more

    def no_declaration(*_: object) -> None:
        raise ExpatError("it declares entities")

    parser = ParserCreate()
    parser.StartElementHandler, parser.CharacterDataHandler = start, characters
    parser.EndElementHandler = lambda _: open_elements.pop()
    parser.EntityDeclHandler = no_declaration
    parser.Parse(text, True)
    return {name: value.strip() for name, value in found.items()}


def _is_date(text: str) -> bool:
    try:
        return bool(datetime.strptime(text, OPERATION_DATE_FORMAT))
    except ValueError:
        return False


def _member(path: Path, name: str) -> Iterator[_Member]:
    """Return a member's header, or None if its own faults were already reported."""
    try:
        with open_h5(path) as file:
            present = [key for key in ("TVB_Gid", "TVB_Create_date", *_REFERENCES) if key in file.attrs]
            texts = {key: text_of(file.attrs[key]) for key in present}
    except DAMAGE:
        return
    if "TVB_Gid" not in texts:
        return
    try:
        created = datetime.strptime(texts.get("TVB_Create_date", ""), f"datetime:{DATE_FORMAT}")
    except ValueError:
        created = None
    yield _Member(name, texts["TVB_Gid"], created, {key: texts[key] for key in _REFERENCES if texts.get(key)})


def _relation_faults(path: Path, members: list[_Member], existing: set[str]) -> Iterator[str]:
    by_gid: dict[str, _Member] = {}
    for member in members:
        if member.gid in by_gid:
            yield f"{path}/{member.name}::TVB_Gid: {member.gid} is that of {by_gid[member.gid].name} too"
        by_gid.setdefault(member.gid, member)
    for member in members:
        for key, gid in member.references.items():
            other = by_gid.get(gid)
            if other is not None:
                yield from _date_faults(path, other, member)
            elif gid not in existing:
                yield f"{path}/{member.name}::{key}: {gid} is not in the ZIP"


def _date_faults(path: Path, earlier: _Member, later: _Member) -> Iterator[str]:
    """Yield faults of the dates: TVB 1 imports by date, so a reference must be older."""
    undated = [member.name for member in (earlier, later) if member.created is None]
    yield from (f"{path}/{name}::TVB_Create_date: no date, which decides the order of import" for name in undated)
    if earlier.created is not None and later.created is not None and later.created <= earlier.created:
        yield (
            f"{path}/{later.name}::TVB_Create_date: {later.created}, "
            f"expected after {earlier.created}, that of {earlier.name}"
        )
