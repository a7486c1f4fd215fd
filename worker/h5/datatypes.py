"""Writes the datatypes of a simulation: connectivity, surfaces, region mapping, sensors, projections and stimuli.

It gets TVB's own objects and imports no TVB. A file is complete or absent. An existing file is compared with its seal
before anything refers to it. A damaged file is replaced at once, even if another process reads it.
"""

import contextlib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import h5py
import structlog

from tvb_batch.worker.h5.formats import FORMATS
from tvb_batch.worker.h5.kinds import Kind, find_kind, kind_of, needed
from tvb_batch.worker.h5.seal import is_as_sealed, is_right_once, seal
from tvb_batch.worker.h5.tvb2 import common, write_attributes
from tvb_batch.worker.h5.verify import as_output_error, publish, verify_datatype

log = structlog.get_logger()


def write_datatype(path: Path, instance: Any, created: datetime, *, subject: str) -> None:
    """Write a TVB object to its final path, unless the same file exists already.

    Parameters
    ----------
    path : its name is `file_prefix(instance)`, underscore, the gid in hexadecimal and `.h5`, as the GUI expects it
    instance : of a class in `worker.h5.kinds.KINDS` or of a subclass; it is configured if necessary

    Raises
    ------
    InputError
        It is of another class, or lacks an attribute that the GUI needs.
    OutputError
        It cannot be written, or the existing file has other content.
    """
    kind = kind_of(instance)
    if is_right_once(path, lambda path: _is_right(path, instance.gid)):
        return
    _configure(instance, kind)
    # Several workers may do this at once: each writes its own file, and the last rename wins with the same content.
    unfinished = path.with_name(f"{path.name}.{uuid4().hex}.part")
    try:
        with as_output_error(unfinished, ""):
            path.parent.mkdir(parents=True, exist_ok=True)
        with as_output_error(unfinished, ""), h5py.File(unfinished, "w") as file:
            write_attributes(file, common(kind.datatype, instance.gid, created, subject=subject))
            write_attributes(file, _gids(instance, kind))
            kind.write(file, instance)
        verify_datatype(unfinished, instance.gid)
        with as_output_error(unfinished, ""):
            seal(unfinished, path)
        publish(unfinished, path)
    finally:
        with contextlib.suppress(OSError):
            unfinished.unlink()


def _is_right(path: Path, gid: UUID) -> bool:
    """Return whether the existing file is the one that would be written.

    Raises
    ------
    OutputError
        It is another file or damaged, and its name does not tell whose content it should have.
    """
    if gid.hex not in path.name:
        verify_datatype(path, gid)
        return True
    is_right = is_as_sealed(path)
    if is_right is False:
        log.warning("datatype_replaced", path=str(path), reason="its content has changed since it was written")
    return bool(is_right)


def file_prefix(instance: Any) -> str:
    """Return the start of the GUI's file names for such an object, for example `Surface` for an EEGCap.

    Raises
    ------
    InputError
        The GUI cannot import objects of this class.
    """
    return kind_of(instance).datatype


def references(instance: Any) -> tuple[Any, ...]:
    """Return the TVB objects that an object refers to and `write_datatype` writes, each after its own references.

    Parameters
    ----------
    instance : a datatype, or another object with traits such as a Simulator; its parts are searched to any depth
    """
    found: dict[UUID, Any] = {}
    _search(instance, found, set())
    found.pop(instance.gid, None)
    return tuple(found.values())


def _search(instance: Any, found: dict[UUID, Any], seen: set[int]) -> None:
    if id(instance) in seen:
        return
    seen.add(id(instance))
    for name in type(instance).declarative_attrs:
        # A required attribute without a value raises AttributeError.
        for value in _members(getattr(instance, name, None)):
            _search(value, found, seen)
    if find_kind(instance) is not None:
        found.setdefault(instance.gid, instance)


def _members(value: Any) -> Iterator[Any]:
    for member in value if isinstance(value, list | tuple) else (value,):
        if hasattr(type(member), "declarative_attrs"):
            yield member


def _configure(instance: Any, kind: Kind) -> None:
    for name in kind.needs:
        needed(instance, name)
    if kind.filled and not getattr(instance, kind.filled):
        instance.configure()


def _gids(instance: Any, kind: Kind) -> dict[str, object]:
    wanted = FORMATS[kind.datatype]
    gids: dict[str, object] = {name: needed(instance, name).gid for name in wanted.references}
    for name in wanted.optional_references:
        value = getattr(instance, name)
        gids[name] = None if value is None else value.gid
    return gids
