"""Logarithms without a call: the C library's own bits, or none."""

import math

import numpy as np
import pytest
from numba import njit

from tvb_batch.worker.engines.primitives.libm_log import log_if_exact


@njit(error_model="numpy")
def logs(x, found, expected):
    for i in range(x.size):
        found[i], expected[i] = log_if_exact(x[i]), math.log(x[i])


@pytest.mark.parametrize(
    ("low", "high"), [(0.0, 1.0), (0.99, 1.01), (1.0 - 1e-9, 1.0 + 1e-9), (0.6, 1.4), (1e-300, 1e-290), (1e9, 1e300)]
)
def test_logarithms_are_the_c_librarys_and_mostly_sure(low: float, high: float) -> None:
    x = np.random.default_rng(2).uniform(low, high, 500_000)
    found, expected = np.empty((2, x.size))

    logs(x, found, expected)

    sure = ~np.isnan(found)
    np.testing.assert_array_equal(found[sure], expected[sure])
    assert sure.mean() > 0.9 or high - low < 1e-8


@pytest.mark.parametrize("x", [1.0, 0.5, 2.0, 0.6875, np.nextafter(0.6875, 0.0), np.nextafter(1.0, 0.0), 1.375])
def test_borders_of_intervals_are_no_exception(x: float) -> None:
    found, expected = np.empty((2, 1))

    logs(np.array([x]), found, expected)

    assert np.isnan(found[0]) or found[0] == expected[0]
