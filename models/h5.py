"""Opens HDF5 files that others may have made or damaged. Imports h5py inside its function."""

from __future__ import annotations

import mmap
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import h5py

#: Where HDF5 keeps texts: signature, version and three bytes that are zero.
_HEAP = re.compile(rb"GCOL\x01\0\0\0")
#: Bytes of a heap's head, and of each object's.
_HEAD = 16


def open_h5(path: Path) -> h5py.File:
    """The file, opened for reading, once HDF5 is known to come back from reading its texts.

    HDF5 2.0 walks endlessly over a heap in which a damaged free object has no length.

    Raises
    ------
    OSError
        It cannot be opened, or is damaged so.
    """
    import h5py

    file = h5py.File(path, "r")
    try:
        # The layout is another one with numbers of another size, which nobody writes.
        if file.id.get_create_plist().get_sizes() == (8, 8):
            with path.open("rb") as raw, mmap.mmap(raw.fileno(), 0, access=mmap.ACCESS_READ) as content:
                if any(_is_endless(content, found.start()) for found in _HEAP.finditer(content)):
                    raise OSError("a heap of texts is damaged")
    except BaseException:
        file.close()
        raise
    return file


def _is_endless(content: mmap.mmap, start: int) -> bool:
    place, end = start + _HEAD, min(start + _number(content, start + 8, 8), len(content))
    while place + _HEAD <= end:
        length = _number(content, place + 8, 8)
        # Objects are numbered from 1; 0 is the free room, whose length holds its head.
        step = _HEAD + -(-length // 8) * 8 if _number(content, place, 2) else length
        if not step:
            return True
        place += step
    return False


def _number(content: mmap.mmap, place: int, size: int) -> int:
    return int.from_bytes(content[place : place + size], "little")
