"""What a datatype's file says of its own content, so that a flipped bit is found before HDF5 reads it, which may crash.

A last line after all that HDF5 reads: `tvb-batch sha256` and the checksum of the file's name and of what is before the
line. Whoever opens the file for writing cuts it off. Results have theirs in the catalogue's rows.
"""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

_WORDS = b"\ntvb-batch sha256 "
_LENGTH = len(_WORDS) + 64 + 1
_BLOCK = 2**20


def seal(unfinished: Path, final: Path) -> None:
    """Note what a file holds, as the last thing that is written into it.

    Parameters
    ----------
    final : the name that the file will have
    """
    line = _WORDS + _digest(unfinished, final, unfinished.stat().st_size).encode() + b"\n"
    with unfinished.open("ab") as file:
        file.write(line)


def is_as_sealed(path: Path) -> bool | None:
    """Whether a file is what was written under its name; None when it does not say.

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


#: Files that this process has found to be right, by what changes when anybody writes to them.
_RIGHT: dict[Path, tuple[int, ...]] = {}


def is_right_once(path: Path, check: Callable[[Path], bool]) -> bool:
    """What `check` says of a file, which is asked once a process as long as nobody touches the file; False without one.

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
