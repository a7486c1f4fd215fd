"""Requests to the disk: free space before a file is written, and an early start of writing."""

import ctypes
import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast


def _libc(name: str, *arguments: Any) -> Callable[..., int]:
    """Return a function of the C library that Python does not have; without effect if the library lacks it."""
    function: Any = getattr(ctypes.CDLL(None, use_errno=True), name, None)
    if function is None:
        return lambda *_: 0
    function.argtypes = arguments
    return cast("Callable[..., int]", function)


#: Not `os.posix_fallocate`, which writes every block if the file system has no support.
_fallocate = _libc("fallocate64", ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
_sync_file_range = _libc("sync_file_range", ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
_SYNC_FILE_RANGE_WRITE = 2


def check_room(directory: Path, size: int) -> None:
    """Check that the file system of a directory has free space for so many bytes.

    Raises
    ------
    OSError
        There is not enough free space.
    """
    free = os.statvfs(directory)
    if size > free.f_bavail * free.f_frsize:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def reserve(descriptor: int, size: int) -> None:
    """Allocate disk space for an open file, if the file system supports it.

    Raises
    ------
    OSError
        There is not enough free space.
    """
    number = ctypes.get_errno() if size and _fallocate(descriptor, 0, 0, size) else 0
    if number not in (0, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL):
        raise OSError(number, os.strerror(number))


def start_sync(descriptor: int) -> None:
    """Start writing an open file to the disk, so that a later `fsync` waits less.

    Only that `fsync` tells whether it succeeded.
    """
    _sync_file_range(descriptor, 0, 0, _SYNC_FILE_RANGE_WRITE)
