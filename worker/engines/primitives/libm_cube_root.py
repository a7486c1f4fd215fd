"""Third roots of complex numbers with the bits of the C library, mostly without a call.

What pow and atan2 approximate is computed to more than a number's precision, several nodes at once, and
rounded where the C library cannot round it otherwise; see `libm_cube`. The rest is left to its functions.
"""

import math

import numpy as np
from numpy.typing import NDArray

from tvb_batch.worker.engines.jit_cache import allocating, inlined, jit
from tvb_batch.worker.engines.primitives.arguments import Pointer
from tvb_batch.worker.engines.primitives.libm_cube import round_if_exact
from tvb_batch.worker.engines.primitives.libm_exp import bits_of, fma, from_bits
from tvb_batch.worker.engines.primitives.libm_sincos import quick_sincos, sincos, twofold

THIRD = 1.0 / 3.0
#: The GNU C library's functions are wrong by less than 0.513 (pow), 0.525 (atan2) of the last place.
_POWER, _ANGLE = 0.48, 0.47
_SMALLEST, _LARGEST = 2.0**-60, 2.0**60
#: Adding it rounds a number below 2**51 to a whole one, which is then in its last bits.
_SHIFT = 1.5 * 2.0**52
_STEPS = 32
_HALF_PI = (float.fromhex("0x1.921fb54442d18p+0"), float.fromhex("0x1.1a62633145c07p-54"))


def _table() -> NDArray[np.float64]:
    """Return atan of k / 32 as two numbers, (64 * 2,), from its series in integers."""
    bits, table = 140, np.zeros((64, 2))
    for k in range(_STEPS + 1):
        x = (k << bits) // _STEPS
        angle, square = 0, (x * x >> bits) + (1 << bits)
        term = (x << bits) // square
        for n in range(160):  # Euler's series: its terms halve at least.
            angle += term
            term = (term * x >> bits) * x // square * (2 * n + 2) // (2 * n + 3)
        table[k] = twofold(angle, bits)
    return table.ravel()


_TABLE = _table()
_ROW = np.uint64(2)


@inlined
def quick_length(x: float, y: float) -> float:
    """Return `hypot(x, y)` by the steps of the GNU C library, for x, y >= 0; NaN where its steps are others.

    It is right only on C libraries tried before.
    """
    wide, narrow = max(x, y), min(x, y)
    length = math.sqrt(wide * wide + narrow * narrow)
    # What the square of the root lacks of the sum of squares, in one of two forms.
    over, less = length - narrow, length - wide
    even = wide * (2.0 * over - wide) + (over - 2.0 * (wide - narrow)) * over
    uneven = 2.0 * less * (wide - 2.0 * narrow) + ((4.0 * less - narrow) * narrow + less * less)
    length -= (even if length <= 2.0 * narrow else uneven) / (2.0 * length)
    length = wide + narrow if narrow <= wide * 2.0**-54 else length
    usual = (x < 2.0**511) & (y < 2.0**511) & ((narrow > 2.0**-459) | (narrow == 0.0))
    return length if usual else math.nan


@inlined
def root_if_exact(x: float) -> float:
    """Return `x ** (1.0 / 3.0)` where the result of pow is certain, else NaN."""
    top = from_bits((bits_of(x) >> np.uint64(32)) | np.uint64(0x4330000000000000)) - 2.0**52
    # The inverse by a third of the exponent and of the first bits: right to 4 %, then to 2e-5 and to the last bits.
    guess = 1430188164.0 - top * (1.0 / 3.0)
    z = from_bits(bits_of(guess + 2.0**52) << np.uint64(32))
    for _ in range(2):
        h = 1.0 - x * z * (z * z)
        z = z + z * h * (1.0 / 3.0 + h * (2.0 / 9.0 + h * (14.0 / 81.0)))
    z2 = z * z
    y = x * z2
    square = y * y
    cube = square * y
    left = (x - cube) - (fma(square, y, -cube) + fma(y, y, -square) * y)
    # 1.0 / 3.0 is less than a third by 2**-54 / 3, which the logarithm needs no more than three digits for.
    part = from_bits((bits_of(x) & np.uint64(0xFFFFFFFFFFFFF)) | np.uint64(0x3FF0000000000000)) - 1.0
    logarithm = (top * 2.0**-20 - 1023.0 + 0.343 * part * (1.0 - part)) * math.log(2.0)
    found = round_if_exact(y, left * (z2 * (1.0 / 3.0)) - y * logarithm * (2.0**-54 / 3.0), _POWER)
    return found if (x > _SMALLEST) & (x < _LARGEST) else math.nan


@inlined
def angle_if_exact(y: float, x: float) -> float:
    """Return `atan2(y, x)` for y >= 0 where its result is certain, else NaN."""
    wide = abs(x)
    steep = y > wide
    little, big = (wide, y) if steep else (y, wide)
    # little / big as c, a multiple of 1/32, and a rest, whose arc tangent is a short series.
    shifted = little / big * _STEPS + _SHIFT
    c = (shifted - _SHIFT) * (1.0 / _STEPS)
    at = (bits_of(shifted) & np.uint64(63)) * _ROW
    even, beside = c * big, c * little
    above, above_rest = little - even, -fma(c, big, -even)
    below = big + beside
    below_rest = (big - below) + beside + fma(c, little, -beside)
    inverse = 1.0 / below
    t = above * inverse
    rest = (fma(-t, below, above) + (above_rest - t * below_rest)) * inverse
    t2 = t * t
    series = t * t2 * (-1.0 / 3.0 + t2 * (1.0 / 5.0 + t2 * (-1.0 / 7.0 + t2 * (1.0 / 9.0))))
    high = _TABLE[at] + t
    low = ((_TABLE[at] - high) + t) + (_TABLE[at + np.uint64(1)] + (rest + series))
    quarters = (1.0 if steep else 0.0) + (2.0 if (not steep) & (x < 0.0) else 0.0)
    sign = -1.0 if steep != (x < 0.0) else 1.0
    base, high = quarters * _HALF_PI[0], sign * high
    total = base + high
    found = round_if_exact(total, ((base - total) + high) + (quarters * _HALF_PI[1] + sign * low), _ANGLE)
    found = found if (big > _SMALLEST) & (big < _LARGEST) else math.nan
    return 0.0 if (y == 0.0) & (x > 0.0) else found


@allocating
def roots_if_exact(real: NDArray[np.float64], size: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what gives third roots, (5, n): the cube roots of `size`, the angles, cosines, sines, and lengths.

    They are made without a call, and are NaN where the C library's result is not certain.

    Parameters
    ----------
    real, size : (n,) real parts, and sizes of imaginary parts
    """
    out = np.empty((5, size.size))
    for i in range(size.size):
        out[0, i], out[1, i] = root_if_exact(size[i]), angle_if_exact(size[i], real[i])
        phase = math.atan2(size[i], real[i]) * THIRD
        out[2, i], out[3, i] = quick_sincos(phase)
        out[4, i] = quick_length(abs(real[i]), size[i])
    return out


@allocating
def third_roots(real: NDArray[np.float64], size: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what `roots_if_exact` returns from the C library's functions, (5, n)."""
    out = np.empty((5, size.size))
    for i in range(size.size):
        out[0, i], out[1, i] = math.pow(size[i], THIRD), math.atan2(size[i], real[i])
        out[2, i], out[3, i] = math.cos(out[1, i] * THIRD), math.sin(out[1, i] * THIRD)
        out[4, i] = math.hypot(real[i], size[i])
    return out


@jit
def roots(
    quick: bool,
    n: int,
    real1: Pointer,
    size1: Pointer,
    real2: Pointer,
    size2: Pointer,
    re1: Pointer,
    im1: Pointer,
    re2: Pointer,
    im2: Pointer,
    work1: Pointer,
    work2: Pointer,
    some_real: Pointer,
    some_size: Pointer,
) -> None:
    """Compute third roots of two complex numbers of each node, by the steps of Python's own power of complex numbers.

    Parameters
    ----------
    quick : whether the functions above are right on this machine
    real1, size1, real2, size2 : (n,) float64: the real part and the size of the imaginary part of each number
    re1, im1, re2, im2 : (n,) float64: written, the roots; their imaginary parts lack the sign of the number's
    work1, work2, some_real, some_size : (n,) float64: memory
    """
    _roots(quick, n, real1, size1, re1, im1, work1, work2)
    others = 0
    for i in range(n):
        some_real[others], some_size[others] = real2[i], size2[i]
        others += 0 if (real1[i] == real2[i]) & (size1[i] == size2[i]) else 1
    _roots(quick, others, some_real, some_size, re2, im2, work1, work2)
    for i in range(n - 1, -1, -1):
        is_same = (real1[i] == real2[i]) & (size1[i] == size2[i])
        others -= 0 if is_same else 1
        re2[i], im2[i] = (re1[i], im1[i]) if is_same else (re2[others], im2[others])


@jit
def _roots(
    quick: bool,
    n: int,
    real: Pointer,
    size: Pointer,
    re: Pointer,
    im: Pointer,
    lengths: Pointer,
    phases: Pointer,
) -> None:
    # The lengths lie where the real parts of the roots will.
    for i in range(n):
        re[i] = quick_length(abs(real[i]), size[i]) if quick else math.nan
    for i in range(n):
        if re[i] != re[i]:
            re[i] = math.hypot(real[i], size[i])
    for i in range(n):
        lengths[i] = root_if_exact(re[i]) if quick else math.nan
    for i in range(n):
        phases[i] = angle_if_exact(size[i], real[i]) if quick else math.nan
    for i in range(n):
        if lengths[i] != lengths[i]:
            lengths[i] = math.pow(re[i], THIRD)
        if phases[i] != phases[i]:
            phases[i] = math.atan2(size[i], real[i])
        phases[i] *= THIRD
    sincos(quick, n, phases, re, im)
    for i in range(n):
        re[i] *= lengths[i]
        im[i] *= lengths[i]
        if real[i] == 0.0 and size[i] == 0.0:
            re[i], im[i] = 0.0, 0.0
