"""The C library's exp without a call, so that several nodes are done at once."""

import decimal
import math
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from tvb_batch.worker.engines.jit_cache import allocating, inlined, jit


@intrinsic
def fma(typingctx: Any, a: Any, b: Any, c: Any) -> Any:
    """Return a * b + c, rounded once; float64."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fma(*arguments)

    return types.float64(types.float64, types.float64, types.float64), generate


@intrinsic
def bits_of(typingctx: Any, x: Any) -> Any:
    """Return the bits of a float64 as uint64."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.IntType(64))

    return types.uint64(types.float64), generate


@intrinsic
def from_bits(typingctx: Any, x: Any) -> Any:
    """Return the float64 of the bits of a uint64."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.DoubleType())

    return types.float64(types.uint64), generate


def _powers_of_two() -> NDArray[np.uint64]:
    """Return 2**(k / 128) as exp of the C library keeps it, (128 * 2,): its rounding error, its bits less k * 2**45."""
    table = np.empty((128, 2), dtype=np.uint64)
    with decimal.localcontext(prec=60):
        for k in range(128):
            exact = (decimal.Decimal(2).ln() * k / 128).exp()
            power = np.float64(float(exact))
            rest = np.float64(float(exact / decimal.Decimal(float(power)) - 1))
            table[k] = rest.view(np.uint64), power.view(np.uint64) - np.uint64(k << 45)
    return table.ravel()


_POWERS = _powers_of_two()
# The numbers of exp in the GNU C library since 2.28: an argument is k/128 ln 2 and a rest, whose exp is a polynomial.
_INVERSE = float.fromhex("0x1.71547652b82fep0") * 128
_SHIFT = float.fromhex("0x1.8p52")
_LN2_HIGH, _LN2_LOW = float.fromhex("-0x1.62e42fefa0000p-8"), float.fromhex("-0x1.cf79abc9e3b39p-47")
_C2, _C3 = float.fromhex("0x1.ffffffffffdbdp-2"), float.fromhex("0x1.555555555543cp-3")
_C4, _C5 = float.fromhex("0x1.55555cf172b91p-5"), float.fromhex("0x1.1111167a4d017p-7")
#: From there on the C library takes another path: powers of two beyond what an exponent can say are made in two steps.
EXP_RANGE = 512.0
#: So large numbers have no exp but infinity and zero.
_MOST = 1024.0
_RAISED, _LOWERED = np.uint64(1022 << 52), np.uint64(1009 << 52)
_SMALL, _LARGE = 2.0**-1022, 2.0**1009


@inlined
def _parts(x: float) -> tuple[np.uint64, float]:
    """Return the bits of the power of two nearest to exp(x), and the rest: exp(x) is power + power * rest."""
    shifted = fma(_INVERSE, x, _SHIFT)
    whole = bits_of(shifted)
    k = shifted - _SHIFT
    r = fma(k, _LN2_LOW, fma(k, _LN2_HIGH, x))
    at = (whole & np.uint64(127)) << np.uint64(1)
    r2 = r * r
    rest = fma(r2, fma(r, _C3, _C2), from_bits(_POWERS[at]) + r)
    return _POWERS[at + np.uint64(1)] + (whole << np.uint64(45)), fma(r2 * r2, fma(r, _C5, _C4), rest)


@inlined
def quick_exp(x: float) -> float:
    """Return the C library's exp without a call: right where |x| < EXP_RANGE, and on C libraries tried before."""
    bits, rest = _parts(x)
    power = from_bits(bits)
    return fma(power, rest, power)


@inlined
def whole_exp(x: float) -> float:
    """Return the C library's exp of any number, without a call; it takes 1.5 times as long as `quick_exp`."""
    bits, rest = _parts(x)
    is_negative = x < 0.0
    power = from_bits(bits + _RAISED if is_negative else bits - _LOWERED)
    product = power * rest
    y = power + product if x <= -EXP_RANGE else fma(power, rest, power)
    # What will have fewer digits is rounded to them before.
    one = 1.0 + y
    few = (one + (1.0 - one + y + (power - y + product))) - 1.0
    y = few if is_negative & (y < 1.0) else y
    y *= _SMALL if is_negative else _LARGE
    y = math.inf if x >= _MOST else y
    return 0.0 if x <= -_MOST else y


@allocating
def quick_exps(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return `quick_exp` of numbers in its range, `whole_exp` of the others, (n,)."""
    out = np.empty_like(x)
    for i in range(x.size):
        out[i] = quick_exp(x[i]) if abs(x[i]) < EXP_RANGE else whole_exp(x[i])
    return out


@jit
def compare_exp(x: NDArray[np.float64]) -> int:
    """Return how often `quick_exp`, in its range, or `whole_exp` is not the C library's exp of (n,) numbers."""
    wrong = 0
    for i in range(x.size):
        expected, in_range = math.exp(x[i]), abs(x[i]) < EXP_RANGE
        for found in (whole_exp(x[i]), quick_exp(x[i]) if in_range else expected):
            wrong += (found != expected) & ((found == found) | (expected == expected))
    return wrong
