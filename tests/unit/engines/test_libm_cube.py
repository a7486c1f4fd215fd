"""Cubes without a call: NumPy's own bits, or none."""

import ctypes
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from bits import numbers, same_bits
from hypothesis import given
from hypothesis import strategies as st

from tvb_batch.worker.engines.codegen.capabilities import find_capabilities
from tvb_batch.worker.engines.codegen.kernel_cache import load_kernel, load_primitives
from tvb_batch.worker.engines.codegen.ufunc_loops import loop_addresses
from tvb_batch.worker.engines.graph import UfuncLoop
from tvb_batch.worker.engines.primitives.libm_cube import cubes_if_exact

KERNEL = """
@entry(*[types.CPointer(types.float64)] * 3, types.CPointer(types.int64))
def cube_all(n, x, exponent, out, loops):
    cubes(loops[0], loops[1], x, locate(exponent, 0, 1), out, n, {everywhere})
    return 0
"""


def by_numpy(x: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        return x**3


@pytest.fixture(scope="module")
def known(kernels: Path) -> str:
    """Of which numbers NumPy's cubes can be told beforehand on this machine: no kernel makes others."""
    known = find_capabilities(load_primitives(kernels)).cubes
    if known == "none":
        pytest.skip("NumPy's power of this machine is less exact than the GNU C library's")
    return known


@pytest.fixture(scope="module")
def own_cubes(known: str, kernels: Path) -> Callable[[np.ndarray], np.ndarray]:
    """Cubes as a kernel makes them."""
    kernel = load_kernel(KERNEL.format(everywhere=known == "all"), ["cubes", "locate"], kernels)
    call = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64, *[ctypes.c_void_p] * 4)(kernel.address("cube_all"))
    loop, exponent = np.array(loop_addresses(UfuncLoop(np.power, "dd->d")), dtype=np.int64), np.array([3.0])

    def cube(x: np.ndarray) -> np.ndarray:
        x, out = np.ascontiguousarray(x), np.empty_like(x)
        call(x.size, *(array.ctypes.data for array in (x, exponent, out, loop)))
        return out

    return cube


def test_cubes_of_numbers_of_all_sizes_are_numpys(own_cubes: Callable[[np.ndarray], np.ndarray]) -> None:
    x = np.concatenate(
        [numbers(300_000), np.random.default_rng(2).uniform(-4.0, 4.0, 700_000), 2.0 ** np.arange(-9, 9)]
    )

    assert same_bits(own_cubes(x), by_numpy(x))


@given(st.lists(st.floats(width=64), min_size=1, max_size=9))
def test_cubes_of_any_numbers_are_numpys(own_cubes: Callable[[np.ndarray], np.ndarray], values: list[float]) -> None:
    x = np.array(values)

    assert same_bits(own_cubes(x), by_numpy(x))


def test_most_cubes_of_usual_numbers_are_sure_and_right(known: str) -> None:
    x = np.random.default_rng(3).normal(size=1_000_000)
    x = x if known == "all" else -abs(x)

    found = cubes_if_exact(x)

    sure = ~np.isnan(found)
    assert sure.mean() > 0.95
    assert same_bits(found[sure], by_numpy(x[sure]))


@pytest.mark.parametrize("x", [0.0, -0.0, 1.0, -2.0, np.inf, -np.inf, np.nan, 5e-324, 1e-8, 1e9, 1e300])
def test_what_could_round_either_way_is_not_sure(x: float) -> None:
    exact = float(x) in (1.0, -2.0)

    found = cubes_if_exact(np.array([x]))[0]

    assert found == x**3 if exact else np.isnan(found)
