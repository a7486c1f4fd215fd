"""A checksum in a datatype's file, so that a flipped bit is found before HDF5 reads the file, which may crash.

It is a last line after all data that HDF5 reads: `tvb-batch sha256` and the checksum of the file's name and content. A
program that opens the file for writing removes the line. The checksums of results are in the catalogue.
"""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

_WORDS = b"\ntvb-batch sha256 "
_LENGTH = len(_WORDS) + 64 + 1
_BLOCK = 2**20


def seal(unfinished: Path, final: Path) -> None:
    """Append the checksum, after everything else is written.

    Parameters
    ----------
    final : the name that the file will have
    """
    line = _WORDS + _digest(unfinished, final, unfinished.stat().st_size).encode() + b"\n"
    with unfinished.open("ab") as file:
        file.write(line)


def is_as_sealed(path: Path) -> bool | None:
    """Return whether a file matches its name and checksum; None if it has no checksum.

    Raises
    ------
    OSError
        It cannot be read.
    """
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END) - _LENGTH
        file.seek(max(0, size))
        line = file.read()
    if size < 0 or not line.startswith(_WORDS):
        return None
    return line == _WORDS + _digest(path, path, size).encode() + b"\n"


#: Files that this process has verified, by their state.
_RIGHT: dict[Path, tuple[int, ...]] = {}


def is_right_once(path: Path, check: Callable[[Path], bool]) -> bool:
    """Return `check` of a file, cached in this process until the file changes; False if there is no file.

    All jobs of a sweep refer to the same files.
    """
    try:
        found = path.stat()
        mark = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        if _RIGHT.get(path) != mark:
            if not check(path):
                return False
            _RIGHT[path] = mark
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _digest(path: Path, final: Path, size: int) -> str:
    # A Connectivity has the same name in both formats.
    folder = "tvb1/" if final.parent.name == "tvb1" else ""
    digest = hashlib.sha256(f"{folder}{final.name}\n".encode())
    with path.open("rb") as file:
        while size > 0 and (block := file.read(min(size, _BLOCK))):
            digest.update(block)
            size -= len(block)
    return digest.hexdigest()
