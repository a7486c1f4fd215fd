"""The C library's exp without a call, so that several nodes are done at once."""

# mypy: ignore-errors
import decimal
import math

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from worker.engines.keeping import jit


@intrinsic
def fma(typingctx, a, b, c):
    def generate(context, builder, signature, arguments):
        return builder.fma(*arguments)

    return types.float64(types.float64, types.float64, types.float64), generate


@intrinsic
def bits_of(typingctx, x):
    def generate(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], ir.IntType(64))

    return types.uint64(types.float64), generate


@intrinsic
def from_bits(typingctx, x):
    def generate(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], ir.DoubleType())

    return types.float64(types.uint64), generate


def _powers_of_two():
    """2**(k / 128) as the C library's exp has it: how far the rounded power is off, and its bits less k * 2**45."""
    decimal.getcontext().prec = 60
    table = np.empty((128, 2), dtype=np.uint64)
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
#: Beyond it the C library takes another path.
FAR = 512.0


@jit
def quick_exp(x):
    """What the C library's exp returns, without a call; right only where |x| < FAR, and on C libraries tried before."""
    shifted = fma(_INVERSE, x, _SHIFT)
    whole = bits_of(shifted)
    k = shifted - _SHIFT
    r = fma(k, _LN2_LOW, fma(k, _LN2_HIGH, x))
    at = (whole & np.uint64(127)) << np.uint64(1)
    scale = from_bits(_POWERS[at + np.uint64(1)] + (whole << np.uint64(45)))
    r2 = r * r
    rest = fma(r2, fma(r, _C3, _C2), from_bits(_POWERS[at]) + r)
    rest = fma(r2 * r2, fma(r, _C5, _C4), rest)
    return fma(scale, rest, scale)


@jit
def quick_exps(x):
    """`quick_exp` of each number."""
    out = np.empty_like(x)
    for i in range(x.size):
        out[i] = quick_exp(x[i])
    return out


@jit
def compare_exp(x):
    """How often `quick_exp` is not the C library's exp."""
    wrong = 0
    for i in range(x.size):
        wrong += quick_exp(x[i]) != math.exp(x[i])
    return wrong
