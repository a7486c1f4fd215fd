"""Numbers of all sizes, and whether two arrays have the same bits."""

import numpy as np

THIRD = 1.0 / 3.0


def numbers(count: int) -> np.ndarray:
    """Return numbers of all sizes, zeros of both signs, infinities and NaN."""
    rng = np.random.default_rng(1)
    found = rng.normal(size=count) * 10.0 ** rng.integers(-12, 13, size=count)
    found[: count // 10] = rng.choice([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 5e-324], size=count // 10)
    return rng.permutation(found)


def same_bits(one: np.ndarray, other: np.ndarray) -> bool:
    """Return whether two arrays have the same bits, also of zeros; any NaN equals any other."""
    return np.array_equal(one, other, equal_nan=True) and np.array_equal(
        np.signbit(one[one == 0.0]), np.signbit(other[other == 0.0])
    )
