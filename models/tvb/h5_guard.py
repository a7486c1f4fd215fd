"""Opens HDF5 files that may be damaged or malicious. Imports h5py inside its functions."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import h5py

#: A heap, in which HDF5 stores texts: signature, version and three zero bytes.
_HEAP = b"GCOL\1\0\0\0"
#: Size of a heap's header and of an object's header. Bytes.
_HEAD = 16
#: Size of most heaps. Bytes.
_COMMON = 4096
#: Size of a block to search. Bytes.
_BLOCK = 2**18


#: Filters that HDF5 and h5py bring: deflate, shuffle, fletcher32, szip, nbit, scale-offset, lzf. HDF5 looks for any
#: other one among its plugins, which are code.
_FILTERS = frozenset({1, 2, 3, 4, 5, 6, 32000})
#: The best possible compression: deflate reaches 1 in 1032.
_MOST_COMPRESSED = 2000
#: Maximum number of objects in one file; results have about ten.
_MOST_OBJECTS = 10_000


def open_h5(
    path: Path, apart_from: Sequence[tuple[int, int]] = (), *, most_bytes: float = math.inf
) -> h5py.File:  # fmt: skip
    """Open a file for reading, after checking that all its content is in it and that HDF5 can read it safely.

    HDF5 also reads other files that a file names: by external storage, links and virtual datasets. HDF5 2.0 never ends
    in a heap with a damaged free object of length 0.

    Parameters
    ----------
    apart_from : (first byte, end) of parts that hold only numbers and need no search; only for files of this program
    most_bytes : maximum size of all datasets when they are read

    Raises
    ------
    OSError
        It cannot be opened, is damaged in this way, or names other files.
    """
    import h5py

    # The file is read once, in order, so a cache of chunks would only be another copy.
    file = h5py.File(path, "r", rdcc_nbytes=0)
    try:
        # Files with other sizes of numbers have another layout; no program writes them.
        if file.id.get_create_plist().get_sizes() == (8, 8):
            descriptor = os.open(path, os.O_RDONLY)
            try:
                if any(_is_endless(descriptor, place) for place in _heaps(descriptor, apart_from)):
                    raise OSError("a string heap is damaged")
            finally:
                os.close(descriptor)
        if not apart_from:
            check_contained(file, most_bytes)
    except BaseException:
        file.close()
        raise
    return file


def check_contained(file: h5py.File, most_bytes: float = math.inf) -> None:
    """Check that no content is elsewhere, needs other code, or is larger than possible.

    Raises
    ------
    OSError
        A dataset violates this; the message names it.
    """
    import h5py

    most_bytes = min(most_bytes, _MOST_COMPRESSED * file.id.get_filesize())
    seen, size = 0, 0
    waiting = [(file.id, "")]
    while waiting:
        group, place = waiting.pop()
        for name in group:
            key = f"{place}/{name.decode(errors='replace')}"
            seen += 1
            if seen > _MOST_OBJECTS:  # Too many objects, or a cycle of groups.
                raise OSError(f"more than {_MOST_OBJECTS} objects")
            if group.links.get_info(name).type != h5py.h5l.TYPE_HARD:
                raise OSError(f"{key} is a link to another place; expected data that is in the file itself")
            found = h5py.h5o.open(group, name)
            if isinstance(found, h5py.h5g.GroupID):
                waiting.append((found, key))
            elif isinstance(found, h5py.h5d.DatasetID):
                size += _contained_bytes(found, key)
        if size > most_bytes:
            raise OSError(f"its datasets claim {size / 2**30:,.1f} GiB; more than the file can hold")


def _contained_bytes(dataset: h5py.h5d.DatasetID, key: str) -> int:
    """Return the size of a dataset in memory, after checking that it is in the file."""
    import h5py

    layout = dataset.get_create_plist()
    if layout.get_external_count():
        raise OSError(f"{key} is stored in another file; expected data that is in the file itself")
    if layout.get_layout() == h5py.h5d.VIRTUAL:
        raise OSError(f"{key} is a view of other datasets; expected data that is in the file itself")
    foreign = {layout.get_filter(index)[0] for index in range(layout.get_nfilters())} - _FILTERS
    if foreign:
        raise OSError(f"{key} is compressed by filter {min(foreign)}; expected gzip, lzf or none")
    # A chunk is unpacked completely, even if only a part belongs to the dataset.
    chunk = math.prod(layout.get_chunk()) if layout.get_layout() == h5py.h5d.CHUNKED else 0
    # HDF5's own count of the elements overflows.
    return max(math.prod(dataset.shape or ()), chunk) * int(dataset.get_type().get_size())


def _heaps(descriptor: int, apart_from: Sequence[tuple[int, int]]) -> Iterator[int]:
    """Yield the places of heaps in a file, without mapping the whole file into memory."""
    start = 0
    for first, end in (*sorted(apart_from), (os.fstat(descriptor).st_size, 0)):
        while start + len(_HEAP) <= first:
            block = os.pread(descriptor, min(_BLOCK, first - start), start)
            place = block.find(_HEAP)
            while place >= 0:
                yield start + place
                place = block.find(_HEAP, place + 1)
            # A heap may cross the end of the block.
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
        # Objects are numbered from 1; 0 is the free space, whose length includes its header.
        step = _HEAD + -(-length // 8) * 8 if head[:2] != b"\0\0" else length
        if not step:
            return True
        place += step
    return False
