"""What the disk is asked for: room before a file is filled, and an early beginning. Called by `worker.h5.writer`."""

import ctypes
import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast


def _libc(name: str, *arguments: Any) -> Callable[..., int]:
    """A function of the C library that Python has not; one that does nothing where the library has it neither."""
    function: Any = getattr(ctypes.CDLL(None, use_errno=True), name, None)
    if function is None:
        return lambda *_: 0
    function.argtypes = arguments
    return cast("Callable[..., int]", function)


#: Not `os.posix_fallocate`, which writes every block where the file system knows no better.
_fallocate = _libc("fallocate64", ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
_sync_file_range = _libc("sync_file_range", ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
_SYNC_FILE_RANGE_WRITE = 2


def check_room(directory: Path, size: int) -> None:
    """Return when a file of so many bytes fits into the directory.

    Raises
    ------
    OSError
        There is not so much room.
    """
    free = os.statvfs(directory)
    if size > free.f_bavail * free.f_frsize:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def reserve(descriptor: int, size: int) -> None:
    """Claim the room of an open file before anything is computed for it, where the file system can do so.

    Raises
    ------
    OSError
        There is not so much room.
    """
    number = ctypes.get_errno() if size and _fallocate(descriptor, 0, 0, size) else 0
    if number not in (0, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL):
        raise OSError(number, os.strerror(number))


def start_sync(descriptor: int) -> None:
    """Let the disk begin with what was written of an open file; a later `fsync`, which alone says whether that
    succeeded, has less to wait for."""
    _sync_file_range(descriptor, 0, 0, _SYNC_FILE_RANGE_WRITE)
