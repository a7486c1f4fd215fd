"""What kernels on this machine compute themselves, where TVB calls the C library, NumPy or BLAS.

The primitives follow the steps of these libraries. Another version of a library may round differently, so each process
compares both on many numbers before it believes that they agree.
"""

from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Literal

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Capabilities:
    """Which functions kernels compute without a call; with the defaults, none."""

    #: The C library's exp.
    c_library: bool = False
    #: NumPy's exp.
    numpy: bool = False
    #: Of which numbers NumPy's cube.
    cubes: Literal["none", "negative", "all"] = "none"
    #: The C library's functions in third roots of complex numbers, and its cosine and sine.
    roots: bool = False
    #: BLAS's length of a vector.
    norms: bool = False
    #: Whether arguments of exp are taken to be in the range of `quick_exp`. Those that are not are counted.
    in_range: bool = False


#: What any machine does.
PORTABLE = Capabilities()


@cache
def find_capabilities(primitives: ModuleType) -> Capabilities:
    """Return what the primitives compute with the bits of this machine's libraries, tried on some 80,000 numbers."""
    spread = np.random.RandomState(0)
    x = np.concatenate([spread.uniform(-width, width, 20_000) for width in (1e-6, 1.0, 30.0, primitives.EXP_RANGE)])
    large = spread.uniform(-800.0, 800.0, 20_000)
    wide = np.concatenate([x, large, spread.uniform(-746.0, -708.0, 20_000), [np.inf, -np.inf, np.nan, 1e300, -1e300]])
    with np.errstate(over="ignore"):
        numpy = np.array_equal(primitives.quick_exps(wide), np.exp(wide), equal_nan=True)
    return Capabilities(
        c_library=primitives.compare_exp(wide) == 0,
        numpy=bool(numpy),
        cubes=_find_cubes(primitives, x),
        roots=_are_roots_exact(primitives, x),
        norms=primitives.compare_norms(x[: x.size // 3 * 3].reshape(-1, 3)) == 0,
    )


def _find_cubes(primitives: ModuleType, x: NDArray[np.float64]) -> Literal["none", "negative", "all"]:
    """Return the numbers of which `cube_if_exact` is right; one in twelve of `x` is as doubtful as it allows."""
    cubes = primitives.cubes_if_exact(x)
    wrong = ~np.isnan(cubes) & (cubes != np.power(x, 3.0))
    return "all" if not wrong.any() else "negative" if not wrong[x < 0.0].any() else "none"


def _are_roots_exact(primitives: ModuleType, x: NDArray[np.float64]) -> bool:
    """Return whether `root_if_exact` and its like are right wherever they give a result."""
    real, size = x, np.abs(x[::-1])
    found, expected = primitives.roots_if_exact(real, size), primitives.third_roots(real, size)
    sure = ~np.isnan(found)
    return bool(np.array_equal(found[sure], expected[sure]))
