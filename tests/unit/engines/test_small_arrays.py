"""Small arrays and complex roots of TVB's functions, written out: Numba's own bits for each of many numbers."""

import ast
from pathlib import Path

import numpy as np
import pytest
from bits import THIRD, numbers, same_bits
from numba import njit

from tvb_batch.worker.engines.codegen.capabilities import find_capabilities
from tvb_batch.worker.engines.codegen.kernel_cache import load_primitives
from tvb_batch.worker.engines.passes.cube_roots import extract_roots
from tvb_batch.worker.engines.passes.small_arrays import replace_small_arrays
from tvb_batch.worker.engines.primitives.numba_vectors import norm, norm_if_exact, number, quick_norm, root, square_root

NONE = (np.nan,) * 5


@njit(error_model="numpy")
def own_roots(first, second, out):
    for i in range(first.size):
        found = root(first[i], THIRD, NONE)
        out[0, i], out[1, i] = number(found), number(root(second[i], THIRD, found))


@njit(error_model="numpy")
def numba_roots(first, second, out):
    for i in range(first.size):
        out[0, i], out[1, i] = first[i] ** THIRD, second[i] ** THIRD


@njit(error_model="numpy")
def own_norms(vectors, out):
    for i in range(len(out)):
        out[i] = norm(vectors[i, 0], vectors[i, 1], vectors[i, 2])


@njit(error_model="numpy")
def quick_norms(vectors, out):
    for i in range(len(out)):
        out[i] = quick_norm(vectors[i, 0], vectors[i, 1], vectors[i, 2])


@njit(error_model="numpy")
def sure_norms(vectors, out):
    for i in range(len(out)):
        out[i] = norm_if_exact(vectors[i, 0], vectors[i, 1], vectors[i, 2])


@njit(error_model="numpy")
def numba_norms(vectors, out):
    for i in range(len(out)):
        out[i] = np.linalg.norm(vectors[i])


@njit(error_model="numpy")
def own_square_roots(z, out):
    for i in range(z.size):
        out[i] = square_root(z[i])


@njit(error_model="numpy")
def numba_square_roots(z, out):
    for i in range(z.size):
        out[i] = np.sqrt(z[i])


@pytest.mark.parametrize("sign", [1.0, -1.0, 0.5], ids=["same", "conjugate", "another"])
def test_roots_are_numbas(sign: float) -> None:
    first = np.empty(200_000, dtype=complex)
    first.real, first.imag = numbers(2 * first.size).reshape(2, -1)
    second = first.copy()
    second.imag *= sign
    own, expected = np.empty((2, first.size), complex), np.empty((2, first.size), complex)

    own_roots(first, second, own)
    numba_roots(first, second, expected)

    assert same_bits(own.real, expected.real)
    assert same_bits(own.imag, expected.imag)


@pytest.mark.parametrize("zero", [0.0, -0.0, None], ids=["real", "with a negative zero", "complex"])
def test_square_roots_are_numbas(zero: float | None) -> None:
    z = np.empty(200_000, dtype=complex)
    z.real, z.imag = numbers(2 * z.size).reshape(2, -1)
    z.real[:1000] *= 1e300
    z.real[-4:] = 1.7e308, -1.7e308, -1e-310, np.nan
    # Numba itself divides by zero at the root of a number so small.
    z.imag = np.where(abs(z.imag) < 1e-300, 0.0, z.imag) if zero is None else zero
    own, expected = np.empty_like(z), np.empty_like(z)

    own_square_roots(z, own)
    numba_square_roots(z, expected)

    assert same_bits(own.real, expected.real)
    assert same_bits(own.imag, expected.imag)


def test_norms_are_numbas() -> None:
    vectors = numbers(300_000).reshape(-1, 3)
    own, expected = np.empty(len(vectors)), np.empty(len(vectors))

    own_norms(vectors, own)
    numba_norms(vectors, expected)

    assert same_bits(own, expected)


def test_norms_without_a_call_are_numbas(kernels: Path) -> None:
    if not find_capabilities(load_primitives(kernels)).norms:
        pytest.skip("BLAS of this machine adds up in less than extended precision")
    usual = np.random.default_rng(8).normal(size=(500_000, 3))
    vectors = np.concatenate([usual, numbers(300_000).reshape(-1, 3), usual * 1e-200, usual * 1e200, np.round(usual)])
    own, expected, sure = np.empty((3, len(vectors)))

    quick_norms(vectors, own)
    numba_norms(vectors, expected)
    sure_norms(vectors, sure)

    assert same_bits(own, expected)
    assert np.isnan(sure[: len(usual)]).mean() < 0.05


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("A = numpy.array([a, b])\nc = A[1]", "A_at0 = a\nA_at1 = b\nc = A_at1"),
        (
            "A = f(x) * numpy.array([a, b])",
            "single1 = f(x)\nsingle2 = single1 * a\nsingle3 = single1 * b\nA_at0 = single2\nA_at1 = single3",
        ),
        ("A = numpy.array([a, b])\nc = numpy.linalg.norm(A)", "A_at0 = a\nA_at1 = b\nc = norm(A_at0, A_at1)"),
    ],
)
def test_arrays_become_numbers(before: str, after: str) -> None:
    module = ast.parse(before)

    assert replace_small_arrays(module)
    assert ast.unparse(ast.fix_missing_locations(module)) == after


@pytest.mark.parametrize(
    "text",
    [
        "A = numpy.array([a, b])\nc = f(A)",
        "A = numpy.array([a, b])\nc = A[k]",
        "A = numpy.array([a, b])\nc = A[2]",
        "A = numpy.array([1, 2])",
        "A = numpy.array(a)",
        "A = numpy.array([a, b])\nA += 1.0",
        "A = numpy.array([a, b])\nA = 1.0",
        "A = numpy.array([a, b]) ** 2",
        "A = numpy.array([a, b]) + numpy.array([a, b, c])",
        "if a:\n    A = numpy.array([a, b])",
    ],
)
def test_what_is_not_plain_stays(text: str) -> None:
    module = ast.parse(text)

    assert not replace_small_arrays(module)
    assert ast.unparse(ast.fix_missing_locations(module)) == ast.unparse(ast.parse(text))


@pytest.mark.parametrize("text", ["y = x ** (1.0 / 3.0)", "y = (x + 1j) ** 2 + z ** 0.5", "y = (x + 1j) ** n"])
def test_real_numbers_and_other_powers_stay(text: str) -> None:
    module = ast.parse(text)

    assert not extract_roots(module)
    assert ast.unparse(module) == text
