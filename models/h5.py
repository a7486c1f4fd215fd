"""Opens HDF5 files that others may have made or damaged. Imports h5py inside its function."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import h5py

#: Where HDF5 keeps texts: signature, version and three bytes that are zero.
_HEAP = b"GCOL\1\0\0\0"
#: Bytes of a heap's head, and of each object's.
_HEAD = 16
#: Bytes of most heaps.
_COMMON = 4096
#: Bytes looked through at once.
_BLOCK = 2**18


def open_h5(path: Path, apart_from: Sequence[tuple[int, int]] = ()) -> h5py.File:
    """The file, opened for reading, once HDF5 is known to come back from reading its texts.

    HDF5 2.0 walks endlessly over a heap in which a damaged free object has no length.

    Parameters
    ----------
    apart_from : first byte and end of what is known to be no text, and needs no search

    Raises
    ------
    OSError
        It cannot be opened, or is damaged so.
    """
    import h5py

    # Who reads here reads once, from front to back: a cache of chunks would be one more copy.
    file = h5py.File(path, "r", rdcc_nbytes=0)
    try:
        # The layout is another one with numbers of another size, which nobody writes.
        if file.id.get_create_plist().get_sizes() == (8, 8):
            descriptor = os.open(path, os.O_RDONLY)
            try:
                if any(_is_endless(descriptor, place) for place in _heaps(descriptor, apart_from)):
                    raise OSError("a heap of texts is damaged")
            finally:
                os.close(descriptor)
    except BaseException:
        file.close()
        raise
    return file


def _heaps(descriptor: int, apart_from: Sequence[tuple[int, int]]) -> Iterator[int]:
    """Where there are heaps; a map of the whole file would count as memory of the process."""
    start = 0
    for first, end in (*sorted(apart_from), (os.fstat(descriptor).st_size, 0)):
        while start + len(_HEAP) <= first:
            block = os.pread(descriptor, min(_BLOCK, first - start), start)
            place = block.find(_HEAP)
            while place >= 0:
                yield start + place
                place = block.find(_HEAP, place + 1)
            # One may lie across the end of the block.
            start += max(1, len(block) - len(_HEAP) + 1)
        start = max(start, end)


def _is_endless(descriptor: int, start: int) -> bool:
    heap = os.pread(descriptor, _COMMON, start)
    size = int.from_bytes(heap[8:_HEAD], "little")
    place, end = start + _HEAD, min(start + size, os.fstat(descriptor).st_size)
    while place + _HEAD <= end:
        head = heap[place - start : place - start + _HEAD]
        if len(head) < _HEAD:
            head = os.pread(descriptor, _HEAD, place)
        length = int.from_bytes(head[8:], "little")
        # Objects are numbered from 1; 0 is the free room, whose length holds its head.
        step = _HEAD + -(-length // 8) * 8 if head[:2] != b"\0\0" else length
        if not step:
            return True
        place += step
    return False
