"""The C library's log of numbers between 0 and 1, mostly without a call, so that several are done at once.

A logarithm is known here to more than the precision of a number, and so is how far it lies from the middle between two
numbers: see `libm_cube.round_if_exact`. What could be rounded either way is left to the C library.
"""

import decimal

import numpy as np
from numpy.typing import NDArray

from tvb_batch.worker.engines.jit_cache import inlined
from tvb_batch.worker.engines.primitives.libm_cube import round_if_exact
from tvb_batch.worker.engines.primitives.libm_exp import bits_of, fma, from_bits

#: The GNU C library's log is wrong by less than 0.52 of a unit of the last place.
_EXACT = 0.479
#: Where the smallest of 128 intervals begins; all of them together reach as far as twice that.
_BEGIN = np.float64(0.6875)
_OFFSET = _BEGIN.view(np.uint64)
_EXPONENT = np.uint64(0xFFF << 52)


def _intervals() -> NDArray[np.float64]:
    """Return a factor of few digits that brings numbers near 1, and minus its log in two parts, (128 * 3,).

    The first part has few digits too, so that multiples of `_LN2_HIGH` can be added to it without rounding.
    """
    table = np.empty((128, 3))
    for k in range(128):
        begin, end = (float((_OFFSET + np.uint64(place << 45)).view(np.float64)) for place in (k, k + 1))
        step = 2.0**-7 if begin < 1.0 else 2.0**-8
        factor = 1.0 if begin == 1.0 else round(2.0 / (begin + end) / step) * step
        exact = -decimal.Decimal(factor).ln()
        high = round(float(exact) * 2.0**42) / 2.0**42
        table[k] = factor, high, float(exact - decimal.Decimal(high))
    return table.ravel()


with decimal.localcontext(prec=60):
    _INTERVALS = _intervals()
    _LN2 = decimal.Decimal(2).ln()
    _LN2_HIGH = round(float(_LN2) * 2.0**42) / 2.0**42
    _LN2_LOW = float(_LN2 - decimal.Decimal(_LN2_HIGH))


@inlined
def log_if_exact(x: float) -> float:
    """Return `math.log(x)` of a normal number above 0 where the result is certain, else NaN."""
    moved = bits_of(x) - _OFFSET
    at = ((moved >> np.uint64(45)) & np.uint64(127)) * np.uint64(3)
    twos = np.float64(np.int64(moved) >> np.int64(52))
    z = from_bits(bits_of(x) - (moved & _EXPONENT))
    # Exact, for want of digits.
    r = fma(z, _INTERVALS[at], -1.0)
    whole = twos * _LN2_HIGH + _INTERVALS[at + np.uint64(1)]
    first = whole + r
    part = first - whole
    low = (whole - (first - part)) + (r - part)
    square = r * r
    second = first - 0.5 * square
    low += (first - second) - 0.5 * square
    low -= 0.5 * fma(r, r, -square)
    rest = fma(fma(r, 1.0 / 9.0, -1.0 / 8.0), r, 1.0 / 7.0)
    rest = fma(fma(fma(fma(rest, r, -1.0 / 6.0), r, 1.0 / 5.0), r, -1.0 / 4.0), r, 1.0 / 3.0)
    low += fma(square * r, rest, fma(twos, _LN2_LOW, _INTERVALS[at + np.uint64(2)]))
    return round_if_exact(second, low, _EXACT)
