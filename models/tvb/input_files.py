"""Checks the input files of a spec before they are stored and before a worker reads them.

Each file must be complete, in its format, and of a readable size. Does not import TVB.
"""

import bz2
import zipfile
import zlib
from pathlib import Path
from typing import IO, Literal

from tvb_batch.models.errors import InputError
from tvb_batch.models.tvb.h5_guard import open_h5

#: Suffixes of files in TVB's formats and in this program's; a worker reads no others.
SUFFIXES = (".zip", ".h5", ".txt", ".txt.bz2", ".npy", ".npz", ".mat", ".csv")

#: Maximum size of an unpacked file. Bytes.
MOST_UNPACKED = 4 * 2**30
_BLOCK = 2**20
#: The bit for encryption in a ZIP member's `flag_bits`.
_ENCRYPTED = 1


def check_file(path: Path) -> None:
    """Check that the file has the format of its suffix.

    Raises
    ------
    InputError
        It does not.
    OSError
        It cannot be read.
    """
    with path.open("rb") as file:
        start = file.read(8)
        file.seek(0)
        kind = path.suffix.lower()
        if kind in (".zip", ".npz"):
            problem = _zip_problem(path)
        elif not start:
            problem = "an empty file"
        elif kind == ".h5":
            problem = _h5_problem(path) if start == b"\x89HDF\r\n\x1a\n" else "not an HDF5 file"
        elif kind == ".npy":
            problem = _npy_problem(file, path.stat().st_size)
        elif kind == ".mat":
            problem = _mat_problem(file)
        else:
            problem = _bz2_problem(file) if kind == ".bz2" else ""
    if problem:
        raise InputError(f"{path}: {problem}; expected a complete {path.suffix[1:]} file of TVB's format")


def _too_large(size: int) -> str:
    return (
        f"{size / 2**30:,.1f} GiB when unpacked, more than {MOST_UNPACKED / 2**30:,.0f}" if size > MOST_UNPACKED else ""
    )


def _zip_problem(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            if problem := _too_large(sum(member.file_size for member in archive.infolist())):
                return problem
            if any(member.flag_bits & _ENCRYPTED for member in archive.infolist()):
                return "encrypted; make it without a password"
            if damaged := archive.testzip():
                return f"its member {damaged} is damaged"
            for member in archive.infolist():
                if member.filename.endswith(".npy"):
                    with archive.open(member) as content:
                        problem = _npy_problem(content, member.file_size)
                    if problem:
                        return f"its member {member.filename} is {problem}"
            return ""
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, ValueError, OSError) as exc:
        return f"not a complete zip ({exc})"


def _h5_problem(path: Path) -> str:
    try:
        with open_h5(path, most_bytes=MOST_UNPACKED):
            return ""
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError) as exc:
        return (str(exc).splitlines() or [type(exc).__name__])[0]


def _npy_problem(file: IO[bytes], size: int) -> str:
    """Return why NumPy cannot read an array, such as a header with a wrong size; empty if it can."""
    import numpy as np

    header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    try:
        shape, _, dtype = header[np.lib.format.read_magic(file)](file)
    except (ValueError, KeyError, EOFError, OSError, SyntaxError) as exc:
        return f"not a NumPy array ({' '.join(str(exc).split())[:100]})"
    if dtype.hasobject:
        return "an array of Python objects, which could hold code"
    claimed, there = dtype.itemsize, size - file.tell()
    for length in shape:
        claimed *= length
    if claimed != there:
        return f"an array of shape {shape} and {claimed} bytes, of which the file holds {there}"
    return _too_large(claimed)


def _mat_problem(file: IO[bytes]) -> str:
    """MATLAB 5 to 7 files are a head and elements, compressed each for itself."""
    head = file.read(128)
    if head.startswith(b"MATLAB 7.3") or b"\x89HDF" in (head[:4], file.read(388)[-4:]):
        return "of MATLAB's format 7.3, which TVB does not read; save it with -v7"
    file.seek(128)
    order: Literal["little", "big"] = "big" if head[126:128] == b"MI" else "little"
    size = 0
    while len(tag := file.read(8)) == 8:
        kind, length = int.from_bytes(tag[:4], order), int.from_bytes(tag[4:], order)
        start = file.tell()
        if kind == _COMPRESSED:
            size = _unpacked(file, length, size)
        if problem := _too_large(size):
            return problem
        file.seek(start + length)
    return ""


#: The type of a compressed element.
_COMPRESSED = 15


def _unpacked(file: IO[bytes], length: int, size: int) -> int:
    """Add the unpacked size of the next `length` bytes to `size`; stop when it is too large."""
    unpack = zlib.decompressobj()
    try:
        while length > 0 and size <= MOST_UNPACKED and (block := file.read(min(length, _BLOCK))):
            length -= len(block)
            size += len(unpack.decompress(block, MOST_UNPACKED))
    except zlib.error:
        return size  # TVB reports the error when it reads the file.
    return size


def _bz2_problem(file: IO[bytes]) -> str:
    size = 0
    try:
        with bz2.open(file) as content:
            while size <= MOST_UNPACKED and (block := content.read(_BLOCK)):
                size += len(block)
    except (OSError, EOFError, ValueError) as exc:
        return f"not a complete bz2 file ({exc})"
    return _too_large(size)
