"""The C library's cosine and sine without a call, so that several nodes are done at once."""

import math

import numpy as np
from numpy.typing import NDArray

from tvb_batch.worker.engines.jit_cache import inlined, jit
from tvb_batch.worker.engines.primitives.arguments import Pointer
from tvb_batch.worker.engines.primitives.libm_exp import bits_of, fma


def twofold(numerator: int, bits: int) -> tuple[float, float]:
    """Return numerator / 2**bits as a number and its rounding error."""
    high = numerator / (1 << bits)
    return high, (numerator - int(high * 2.0**bits)) / (1 << bits)


def _sincos_table() -> NDArray[np.float64]:
    """Return sine and cosine of k / 128, each as two numbers, (128 * 4,), from their series in integers."""
    bits, table = 160, np.zeros((128, 4))
    for k in range(128):
        x = (k << bits) // 128
        cosine, sine, term = 0, 0, 1 << bits
        for n in range(1, 60):
            (cosine, sine) = (cosine + term, sine) if n % 2 else (cosine, sine + term)
            term = (term * x >> bits) // n * (1 if n % 2 else -1)
        table[k] = *twofold(sine, bits), *twofold(cosine, bits)
    return table.ravel()


_SINCOS = _sincos_table()
#: Adding it rounds a number to a multiple of 1 / 128, whose number is in the last bits then.
_SHIFT = 1.5 * 2.0**45
# The numbers of cos and sin in the GNU C library since 2.28: an angle is k / 128 and a rest, of which there are short
# series. From _NEAR on it is seen from a right angle. The sine of a small angle has a series of its own.
_SMALL, _NEAR, _MOST = 0.126, 0.85546875, 1.5
_HALF_PI = (float.fromhex("0x1.921fb54442d18p0"), float.fromhex("0x1.1a62633145c07p-54"))
_C2, _C4, _C6 = 0.5, float.fromhex("-0x1.5555555555535p-5"), float.fromhex("0x1.6c16bedd9e239p-10")
_S3, _S5 = float.fromhex("-0x1.5555555555515p-3"), float.fromhex("0x1.11110e829872fp-7")
_T3, _T5 = float.fromhex("-0x1.5555555555555p-3"), float.fromhex("0x1.1111111110ecep-7")
_T7, _T9 = float.fromhex("-0x1.a01a019db08b8p-13"), float.fromhex("0x1.71de27b9a7ed9p-19")
_T11 = float.fromhex("-0x1.addffc2fcdf59p-26")


@inlined
def _look_up(x: float) -> tuple[float, float, float, float, float]:
    """Return the difference of a number to the nearest multiple of 1 / 128, and sine and cosine of that multiple."""
    shifted = x + _SHIFT
    at = (bits_of(shifted) & np.uint64(127)) << np.uint64(2)
    sine, cosine = _SINCOS[at], _SINCOS[at + np.uint64(2)]
    return x - (shifted - _SHIFT), sine, _SINCOS[at + np.uint64(1)], cosine, _SINCOS[at + np.uint64(3)]


@inlined
def _sine(x: float, lacks: float) -> float:
    """Return the sine of x + lacks."""
    r, sine, sine_rest, cosine, cosine_rest = _look_up(x)
    r2 = r * r
    s = r + fma(r * r2, fma(r2, _S5, _S3), lacks)
    c = fma(r, lacks, r2 * fma(r2, fma(r2, _C6, _C4), _C2))
    found = sine + fma(cosine, s, fma(-sine, c, fma(s, cosine_rest, sine_rest)))
    x2 = x * x
    series = fma(fma(fma(fma(_T11, x2, _T9), x2, _T7), x2, _T5), x2, _T3)
    small = x + fma(fma(series, x, -0.5 * lacks), x2, lacks)
    return small if x < _SMALL else found


@inlined
def _cosine(x: float, lacks: float) -> float:
    """Return the cosine of x + lacks."""
    r, sine, sine_rest, cosine, cosine_rest = _look_up(x)
    r += lacks
    r2 = r * r
    s = fma(r * r2, fma(r2, _S5, _S3), r)
    c = r2 * fma(r2, fma(r2, _C6, _C4), _C2)
    return cosine + fma(-sine, s, fma(-cosine, c, fma(-s, sine_rest, cosine_rest)))


@inlined
def quick_sincos(x: float) -> tuple[float, float]:
    """Return the C library's `cos(x)` and `sin(x)` for 0 <= x < 1.5, else NaN; only for C libraries tried before."""
    is_near = x < _NEAR
    left = _HALF_PI[0] - x
    right = left + _HALF_PI[1]
    sine = _sine(x if is_near else right, 0.0 if is_near else (left - right) + _HALF_PI[1])
    cosine = _cosine(x if is_near else left, 0.0 if is_near else _HALF_PI[1])
    is_known = (x >= 0.0) & (x < _MOST)
    return (
        (cosine if is_near else sine) if is_known else math.nan,
        (sine if is_near else cosine) if is_known else math.nan,
    )


@jit
def sincos(quick: bool, n: int, x: Pointer, cosine: Pointer, sine: Pointer) -> None:
    """Write the cosine and the sine of x, each (n,) float64; `quick` tells whether `quick_sincos` is right."""
    for i in range(n):
        c, s = quick_sincos(abs(x[i]))
        cosine[i] = c if quick else math.nan
        sine[i] = math.copysign(s, x[i]) if quick else math.nan
    for i in range(n):
        if cosine[i] != cosine[i]:
            cosine[i], sine[i] = math.cos(x[i]), math.sin(x[i])
