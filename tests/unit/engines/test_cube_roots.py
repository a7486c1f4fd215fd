"""Third roots, cosines and sines without calls: the bits of Numba's own, and bodies that are cut where they stand."""

import ast
import ctypes
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from bits import THIRD, numbers, same_bits
from hypothesis import given
from hypothesis import strategies as st
from numba import njit

from tvb_batch.worker.engines.codegen.capabilities import find_capabilities
from tvb_batch.worker.engines.codegen.emit import emit_function
from tvb_batch.worker.engines.codegen.kernel_cache import load_kernel, load_primitives
from tvb_batch.worker.engines.codegen.kernel_source import _with_signature
from tvb_batch.worker.engines.codegen.workspace import ArrayRow
from tvb_batch.worker.engines.graph import Graph, Op
from tvb_batch.worker.engines.passes.cube_roots import extract_roots, split_at_roots
from tvb_batch.worker.engines.passes.sincos import extract_sincos
from tvb_batch.worker.engines.primitives.libm_cube_root import roots_if_exact, third_roots

KERNEL = """
@entry(*[types.CPointer(types.float64)] * 12)
def root_all(n, real1, size1, real2, size2, re1, im1, re2, im2, a, b, c, d):
    roots({quick}, n, real1, size1, real2, size2, re1, im1, re2, im2, a, b, c, d)
    return 0

@entry(*[types.CPointer(types.float64)] * 3)
def turn_all(n, x, cosine, sine):
    sincos({quick}, n, x, cosine, sine)
    return 0
"""


@njit(error_model="numpy")
def numba_roots(numbers, out):
    for i in range(numbers.size):
        out[i] = numbers[i] ** THIRD


@njit(error_model="numpy")
def numba_turns(x, out):
    for i in range(x.size):
        out[0, i], out[1, i] = math.cos(x[i]), math.sin(x[i])


def sizes_of_all_kinds() -> np.ndarray:
    """Usual numbers, and some of all sizes; zeros, infinities and what is no number among them."""
    usual = np.random.default_rng(4).normal(scale=0.3, size=300_000)
    return np.concatenate([usual, numbers(100_000)])


@pytest.fixture(scope="module", params=[True, False], ids=["quick", "by calls"])
def kernel(kernels: Path, request: pytest.FixtureRequest) -> Callable[..., np.ndarray]:
    """The primitives as a kernel calls them: (results, n) from arrays of n numbers."""
    if request.param and not find_capabilities(load_primitives(kernels)).roots:
        pytest.skip("the C library of this machine is less exact than the GNU C library")
    made = load_kernel(KERNEL.format(quick=request.param), ["roots", "sincos"], kernels)

    def call(name: str, *given: np.ndarray, results: int) -> np.ndarray:
        out = np.full((results, given[0].size), 7.0)
        arrays = [*map(np.ascontiguousarray, given), *out]
        function = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64, *[ctypes.c_void_p] * len(arrays))
        function(made.address(name))(given[0].size, *(array.ctypes.data for array in arrays))
        return out

    return call


def assert_roots_are_numbas(kernel: Callable[..., np.ndarray], first: np.ndarray, second: np.ndarray) -> None:
    parts = [part for z in (first, second) for part in (z.real, abs(z.imag))]

    found = kernel("root_all", *parts, results=8)

    for k, z in enumerate((first, second)):
        expected = np.empty_like(z)
        numba_roots(z, expected)
        sign = np.where(z == 0.0, 1.0, np.copysign(1.0, z.imag))
        assert same_bits(found[2 * k], expected.real)
        assert same_bits(sign * found[2 * k + 1], expected.imag)


@pytest.mark.parametrize("kind", ["conjugates", "some conjugates", "others", "real"])
def test_roots_are_numbas(kernel: Callable[..., np.ndarray], kind: str) -> None:
    first = np.empty(400_000, dtype=complex)
    first.real, first.imag = sizes_of_all_kinds(), np.random.default_rng(5).permutation(sizes_of_all_kinds())
    if kind == "real":
        first.imag *= np.where(np.isfinite(first.imag), 0.0, 1.0)
    second = first[::-1].copy() if kind == "others" else first.conj()
    if kind == "some conjugates":
        second[::3] = first[::-1][::3]

    assert_roots_are_numbas(kernel, first, second)


@given(st.lists(st.complex_numbers(), min_size=1, max_size=9))
def test_roots_of_any_numbers_are_numbas(kernel: Callable[..., np.ndarray], values: list[complex]) -> None:
    assert_roots_are_numbas(kernel, np.array(values), np.array(values[::-1]))


@pytest.mark.parametrize("few", range(4))
def test_roots_of_few_numbers_are_numbas(kernel: Callable[..., np.ndarray], few: int) -> None:
    z = np.array([0.2 + 0.1j, -0.3 + 0.0j, 0.0 - 0.0j])[:few]

    assert_roots_are_numbas(kernel, z, z.conj())


def test_cosines_and_sines_are_numbas(kernel: Callable[..., np.ndarray]) -> None:
    x = np.concatenate([sizes_of_all_kinds(), np.random.default_rng(6).uniform(-1.6, 1.6, 500_000)])
    expected = np.empty((2, x.size))
    numba_turns(x, expected)

    found = kernel("turn_all", x, results=2)

    assert same_bits(found[0], expected[0])
    assert same_bits(found[1], expected[1])


def test_most_results_of_usual_numbers_are_sure_and_right(kernels: Path) -> None:
    if not find_capabilities(load_primitives(kernels)).roots:
        pytest.skip("the C library of this machine is less exact than the GNU C library")
    real, imaginary = np.random.default_rng(7).normal(size=(2, 1_000_000)) * 0.1

    found, expected = roots_if_exact(real, abs(imaginary)), third_roots(real, abs(imaginary))

    sure = ~np.isnan(found)
    assert (sure.mean(axis=1) > 0.85).all()
    assert np.array_equal(found[sure], expected[sure])


def halves_of(text: str) -> object:
    module = ast.parse(text)
    extract_roots(module)
    return split_at_roots(module.body, ("a", "n"), ("d",), {"n"})


def test_a_body_with_two_third_roots_is_cut() -> None:
    halves = halves_of("m = a * 2.0\nd = ((m + 1j * a) ** (1.0 / 3.0) + (m - 1j * a) ** (1.0 / 3.0)).real + m")

    assert halves is not None
    assert halves.carried == ("m", "sign1", "sign2")
    assert ast.unparse(halves.after[0]) == "d = (complex(re1, sign1 * im1) + complex(re2, sign2 * im2)).real + m"


@pytest.mark.parametrize(
    "text",
    [
        "d = a * 2.0",
        "d = ((a + 1j * a) ** (1.0 / 3.0)).real",
        "d = ((a + 1j) ** (1.0 / 3.0) + (a - 1j) ** (1.0 / 2.0)).real",
        "d = ((a + 1j) ** (1.0 / 3.0) + (a - 1j) ** (1.0 / 3.0) + (a - 2j) ** (1.0 / 3.0)).real",
        "m = n * 2\nd = ((a + 1j) ** (1.0 / 3.0) + (a - 1j) ** (1.0 / 3.0)).real + m",
        "m = a > 0.0\nd = ((a + 1j) ** (1.0 / 3.0) + (a - 1j) ** (1.0 / 3.0)).real + m",
        "m = a * 1j\nd = (m + (a + 1j) ** (1.0 / 3.0) + (a - 1j) ** (1.0 / 3.0)).real",
        "re1 = a * 2.0\nd = ((a + 1j) ** (1.0 / 3.0) + (a - 1j) ** (1.0 / 3.0)).real + re1",
        "d = a * 2.0\nd = ((a + 1j) ** (1.0 / 3.0) + (a - 1j) ** (1.0 / 3.0)).real + d",
    ],
    ids=["none", "one", "another", "three", "an integer", "a truth", "a complex number", "a name", "a result"],
)
def test_a_body_of_another_form_stays_whole(text: str) -> None:
    assert halves_of(text) is None


def test_cosines_and_sines_of_inputs_become_names() -> None:
    module = ast.parse("z = y_2\nw = numpy.cos(z) * np.sin(y_0) + math.cos(z * 2.0) + numpy.cos(p_0)")

    assert extract_sincos(module.body, {"y_0", "y_1", "y_2"}) == ("y_0", "y_2")
    assert ast.unparse(module).splitlines()[1] == ("w = cos_of_y_2 * sin_of_y_0 + math.cos(z * 2.0) + numpy.cos(p_0)")


@pytest.mark.parametrize("text", ["z = y_0\nz = z + 1.0\nw = numpy.cos(z)", "y_0 = 1.0\nw = numpy.cos(y_0)"])
def test_an_angle_that_changes_stays_a_call(text: str) -> None:
    module = ast.parse(text)

    assert extract_sincos(module.body, {"y_0"}) == ()
    assert ast.unparse(module) == text


def test_an_angle_that_all_nodes_share_is_turned_by(kernels: Path) -> None:
    graph = Graph()
    cosine, sine = graph.apply(Op.SINCOS, [graph.scalar(0.5)], "dd")
    outputs = [(ArrayRow("out", k), ref) for k, ref in enumerate((cosine, sine))]
    [function] = emit_function("turn_all", graph, {}, outputs, ("out",))
    text = _with_signature(function, types={"loops": "int64", "work32": "float32"})
    address = load_kernel(text, function.requires, kernels).address("turn_all")
    out, work = np.zeros((2, 5)), np.zeros((9, 5))

    call = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64, *[ctypes.c_void_p] * 6)(address)
    call(5, *(array.ctypes.data for array in (out, np.array(graph.scalars), work, work, work, work)))

    assert out.tolist() == [[math.cos(0.5)] * 5, [math.sin(0.5)] * 5]
