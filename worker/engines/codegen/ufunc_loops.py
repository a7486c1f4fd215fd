"""Addresses of NumPy's and SciPy's inner loops, so that a kernel gets their bits. Called by `program`."""

import ctypes
from functools import cache
from types import ModuleType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tvb_batch.worker.engines.codegen.emit import Capabilities
from tvb_batch.worker.engines.passes.graph import UfuncLoop, UntraceableError


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
def address(loop: UfuncLoop) -> tuple[int, int]:
    """The function and the data of an inner loop, tried once against the ufunc itself.

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
    inputs = [np.linspace(0.1, 0.9, 13, dtype=dtype) + k for k in range(loop.ufunc.nin)]
    found = np.zeros(13, dtype=dtype)
    arrays = [*inputs, found]
    call = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)(function)
    places = (ctypes.c_void_p * len(arrays))(*[array.ctypes.data for array in arrays])
    steps = (ctypes.c_ssize_t * len(arrays))(*[dtype.itemsize] * len(arrays))
    count = (ctypes.c_ssize_t * 1)(13)
    call(ctypes.addressof(places), ctypes.addressof(count), ctypes.addressof(steps), data)
    with np.errstate(all="ignore"):
        return bool(np.array_equal(found, loop.ufunc(*inputs), equal_nan=True))


@cache
def find_capabilities(primitives: ModuleType) -> Capabilities:
    """What the primitives give in the place of functions of the C library and of NumPy, tried on many numbers."""
    spread = np.random.RandomState(0)
    x = np.concatenate([spread.uniform(-width, width, 20_000) for width in (1e-6, 1.0, 30.0, primitives.FAR)])
    large = spread.uniform(-800.0, 800.0, 20_000)
    wide = np.concatenate([x, large, spread.uniform(-746.0, -708.0, 20_000), [np.inf, -np.inf, np.nan, 1e300, -1e300]])
    with np.errstate(over="ignore"):
        numpy = np.array_equal(primitives.quick_exps(wide), np.exp(wide), equal_nan=True)
    return Capabilities(
        c_library=primitives.compare_exp(wide) == 0,
        numpy=bool(numpy),
        cubes=_sure_cubes(primitives, x),
        roots=_are_roots_sure(primitives, x),
        norms=primitives.compare_norms(x[: x.size // 3 * 3].reshape(-1, 3)) == 0,
    )


def _sure_cubes(primitives: ModuleType, x: NDArray[np.float64]) -> Literal["none", "negative", "all"]:
    """About which numbers `sure_cube` is right, of which one in twelve is as doubtful as it allows."""
    cubes = primitives.sure_cubes(x)
    wrong = ~np.isnan(cubes) & (cubes != np.power(x, 3.0))
    return "all" if not wrong.any() else "negative" if not wrong[x < 0.0].any() else "none"


def _are_roots_sure(primitives: ModuleType, x: NDArray[np.float64]) -> bool:
    """Whether `sure_root` and its like are right, and sure of most usual numbers."""
    real, size = x, np.abs(x[::-1])
    found, expected = primitives.sure_roots(real, size), primitives.third_roots(real, size)
    sure = ~np.isnan(found)
    return bool(np.array_equal(found[sure], expected[sure]))
