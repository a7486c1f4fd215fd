"""Cubes with the bits of the C library's pow, mostly without a call.

A cube is known here to twice the precision of a number, and so is how far it lies from the middle between two
numbers. Where that is further than a good pow can be wrong, there is one number that pow can return; the others are
left to NumPy's own loop. `worker.engines.codegen.ufunc_loops` tries whether pow is as good as that.
"""

import math

import numpy as np
from numpy.typing import NDArray

from tvb_batch.worker.engines.jit_cache import allocating, inlined, jit
from tvb_batch.worker.engines.primitives.arguments import Pointer
from tvb_batch.worker.engines.primitives.libm_exp import bits_of, fma, from_bits
from tvb_batch.worker.engines.primitives.memory import call_loop, locate
from tvb_batch.worker.engines.primitives.sizes import FLOAT64_BYTES

#: So far from the number it is rounded to, in units of its last place, a cube is known to be rounded by pow as well:
#: the GNU C library's pow is wrong by less than 0.513 of a unit where it returns what lies between these.
_EXACT = 0.48
_SMALLEST, _LARGEST = 2.0**-64, 2.0**64
_EXPONENT = np.uint64(0x7FF0000000000000)


@inlined
def round_if_exact(high: float, low: float, margin: float) -> float:
    """Return the sum of two numbers, the second much smaller, rounded to one; NaN where the rounding is in doubt.

    Parameters
    ----------
    margin : how far the sum may lie from the number it is rounded to: less than half, in units of the last place
    """
    nearest = high + low
    away = (high - nearest) + low
    # The smaller unit where the number is a power of two.
    unit = from_bits((bits_of(nearest) - np.uint64(1)) & _EXPONENT) * 2.0**-52
    size = abs(nearest)
    is_exact = (abs(away) < margin * unit) & (size > _SMALLEST) & (size < _LARGEST)
    return nearest if is_exact else math.nan


@inlined
def cube_if_exact(x: float) -> float:
    """Return `x ** 3` where the result of pow is certain, else NaN."""
    square = x * x
    cube = square * x
    return round_if_exact(cube, fma(square, x, -cube) + fma(x, x, -square) * x, _EXACT)


@allocating
def cubes_if_exact(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return `cube_if_exact` of each number, (n,)."""
    out = np.empty_like(x)
    for i in range(x.size):
        out[i] = cube_if_exact(x[i])
    return out


@jit
def cubes(function: int, data: int, x: Pointer, exponent: int, out: Pointer, n: int, everywhere: bool) -> None:
    """Compute `x ** 3` of n numbers, by NumPy's loop where pow may round either way.

    Parameters
    ----------
    function, data, exponent : as `call_loop` takes them
    x, out : float64, which do not overlap
    everywhere : whether `cube_if_exact` is right; else it is so for negative numbers, which NumPy does one by one
    """
    if not everywhere:
        for i in range(n):
            out[i] = 1.0 if x[i] < 0.0 else x[i]
        call_loop(function, data, locate(out, 0, 1), FLOAT64_BYTES, exponent, 0, locate(out, 0, 1), FLOAT64_BYTES, n)
    for i in range(n):
        out[i] = cube_if_exact(x[i]) if everywhere or x[i] < 0.0 else out[i]
    for i in range(n):
        if out[i] != out[i] and x[i] == x[i]:
            call_loop(function, data, locate(x, i, 1), FLOAT64_BYTES, exponent, 0, locate(out, i, 1), FLOAT64_BYTES, 1)
