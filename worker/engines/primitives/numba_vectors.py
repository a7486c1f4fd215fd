"""The length of a small vector and roots of complex numbers, as Numba makes them for TVB's compiled functions."""

import math
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.types import StarArgTuple as _StarArgTuple  # type: ignore[attr-defined]  # Numba's stubs lack it
from numba.extending import intrinsic
from numpy.typing import NDArray

from tvb_batch.worker.engines.jit_cache import inlined, jit
from tvb_batch.worker.engines.primitives.arguments import Pointer
from tvb_batch.worker.engines.primitives.libm_cube import round_if_exact
from tvb_batch.worker.engines.primitives.libm_exp import fma

#: BLAS adds up in extended precision where it is OpenBLAS on x86: wrong by less than 0.502 units of the last place.
_NORM = 0.49
#: Of a complex number and a power of it: see `root`.
Root = tuple[float, float, float, float, float]
_HUGE = float(np.finfo(np.float64).max) / (1.0 + math.sqrt(2.0))


@intrinsic
def norm(typingctx: Any, *numbers: Any) -> Any:
    """Return the norm of numbers by the function of BLAS that Numba calls; its rounding depends on the library."""
    if any(number != types.float64 for number in numbers):
        return None
    signature = types.float64(_StarArgTuple.from_types(numbers))

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        word, kind, double = context.get_value_type(types.intp), ir.IntType(8), ir.DoubleType()
        vector = cgutils.alloca_once(builder, ir.ArrayType(double, len(numbers)))
        result = cgutils.alloca_once_value(builder, double("nan"))
        for k in range(len(numbers)):
            place = cgutils.gep_inbounds(builder, vector, 0, k)
            builder.store(builder.extract_value(arguments[0], k), place)
        raw = kind.as_pointer()
        form = ir.FunctionType(ir.IntType(32), [kind, word, raw, word, raw])
        function = cgutils.get_or_insert_function(builder.module, form, "numba_xxnrm2")
        given = kind(ord("d")), word(len(numbers)), builder.bitcast(vector, raw), word(1), builder.bitcast(result, raw)
        builder.call(function, given)
        return builder.load(result)

    return signature, generate


@inlined
def norm_if_exact(a: float, b: float, c: float) -> float:
    """Return `norm(a, b, c)` if the result is certain, else NaN."""
    p, q, r = a * a, b * b, c * c
    first = p + q
    total = first + r
    # What the products and the sums have lost.
    part, other = first - p, total - first
    low = ((p - (first - part)) + (q - part)) + ((first - (total - other)) + (r - other))
    low += fma(a, a, -p) + fma(b, b, -q) + fma(c, c, -r)
    length = math.sqrt(total)
    return round_if_exact(length, (fma(-length, length, total) + low) / (2.0 * length), _NORM)


@jit
def quick_norm(a: float, b: float, c: float) -> float:
    """Return `norm(a, b, c)`, mostly without a call; right only with a BLAS tried before."""
    found = norm_if_exact(a, b, c)
    return found if found == found else norm(a, b, c)


@jit
def norms(quick: bool, n: int, a: Pointer, b: Pointer, c: Pointer, found: Pointer) -> None:
    """Write the norms of n vectors (a, b, c) to `found`, each (n,) float64; `quick` as `norm_if_exact` is right."""
    for i in range(n):
        found[i] = norm_if_exact(a[i], b[i], c[i]) if quick else math.nan
    for i in range(n):
        if found[i] != found[i]:
            found[i] = norm(a[i], b[i], c[i])


@jit
def compare_norms(vectors: NDArray[np.float64]) -> int:
    """Return how many norms of (n, 3) numbers differ from `norm`."""
    wrong = 0
    for i in range(len(vectors)):
        a, b, c = vectors[i, 0], vectors[i, 1], vectors[i, 2]
        wrong += 0 if quick_norm(a, b, c) == norm(a, b, c) else 1
    return wrong


@inlined
def root_of_real(x: float) -> complex:
    """Return Numba's `numpy.sqrt` of a complex number whose imaginary part is 0, without a branch."""
    size = math.sqrt(abs(x))
    # Numba scales what might overflow, and forgets it for these.
    size = size * 0.5 if x <= -_HUGE else size
    return complex(0.0 if x <= 0.0 else size, 0.0 if x > 0.0 else size)


@jit
def square_root(x: complex) -> complex:
    """Return Numba's `numpy.sqrt` of a complex number; it is quicker if the imaginary part is 0."""
    if x.imag == 0.0:
        found = root_of_real(x.real)
        return complex(found.real, math.copysign(found.imag, x.imag))
    return np.sqrt(x)


@jit
def root(base: complex, exponent: float, known: Root) -> Root:
    """Compute `base ** exponent`, for an exponent above zero, by the steps of Python's own power of complex numbers.

    Return the real part and the size of the imaginary part of the base and of the result, and the result's sign. Twice
    the same base but for that sign, as the two roots of a cubic often are, is computed once: `known` is what the last
    call gave, or five times NaN.
    """
    real, size = base.real, abs(base.imag)
    sign = math.copysign(1.0, base.imag)
    if real == 0.0 and size == 0.0:
        return real, size, 0.0, 0.0, 1.0
    if real == known[0] and size == known[1]:
        return real, size, known[2], known[3], sign
    length = math.pow(math.hypot(real, size), exponent)
    phase = math.atan2(size, real) * exponent
    return real, size, length * math.cos(phase), length * math.sin(phase), sign


@jit
def number(found: Root) -> complex:
    """Return the complex number that `root` has found."""
    return complex(found[2], found[4] * found[3])
