"""Addresses of NumPy's and SciPy's inner loops, so that a kernel gets their bits. Called by `program`."""

import ctypes
from functools import cache

import numpy as np

from tvb_batch.worker.engines.graph import UfuncLoop, UntraceableError

#: Numbers that an inner loop is tried on.
_TRIED = 13


class _UFunc(ctypes.Structure):
    """The head of NumPy's PyUFuncObject, part of its C interface."""

    _fields_ = (
        ("references", ctypes.c_ssize_t),
        ("type", ctypes.c_void_p),
        ("nin", ctypes.c_int),
        ("nout", ctypes.c_int),
        ("nargs", ctypes.c_int),
        ("identity", ctypes.c_int),
        ("functions", ctypes.POINTER(ctypes.c_void_p)),
        ("data", ctypes.POINTER(ctypes.c_void_p)),
        ("ntypes", ctypes.c_int),
    )


@cache
def loop_addresses(loop: UfuncLoop) -> tuple[int, int]:
    """Return the addresses of an inner loop and of its data; the loop is tried once against the ufunc itself.

    Raises
    ------
    UntraceableError
        The ufunc is not laid out as expected, or the loop does not return what the ufunc returns.
    """
    ufunc = loop.ufunc
    head = _UFunc.from_address(id(ufunc))
    if (head.nin, head.nout, head.nargs, head.ntypes) != (ufunc.nin, ufunc.nout, ufunc.nargs, ufunc.ntypes):
        raise UntraceableError(f"numpy's {ufunc.__name__} is not laid out as expected")
    index = ufunc.types.index(loop.signature)
    function, data = head.functions[index], head.data[index]
    if not function or not _agrees(loop, function, data or 0):
        raise UntraceableError(f"numpy's {ufunc.__name__} has no loop that can be called")
    return function, data or 0


def _agrees(loop: UfuncLoop, function: int, data: int) -> bool:
    dtype = np.dtype(loop.signature[-1])
    inputs = [np.linspace(0.1, 0.9, _TRIED, dtype=dtype) + k for k in range(loop.ufunc.nin)]
    found = np.zeros(_TRIED, dtype=dtype)
    arrays = [*inputs, found]
    call = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)(function)
    places = (ctypes.c_void_p * len(arrays))(*[array.ctypes.data for array in arrays])
    steps = (ctypes.c_ssize_t * len(arrays))(*[dtype.itemsize] * len(arrays))
    count = (ctypes.c_ssize_t * 1)(_TRIED)
    call(ctypes.addressof(places), ctypes.addressof(count), ctypes.addressof(steps), data)
    with np.errstate(all="ignore"):
        return bool(np.array_equal(found, loop.ufunc(*inputs), equal_nan=True))
