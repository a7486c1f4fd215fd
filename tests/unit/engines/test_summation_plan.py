"""What arrives at the nodes is added up as NumPy does it, whatever is known early and what comes late."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tvb_batch.worker.engines.codegen.kernel_cache import load_primitives
from tvb_batch.worker.engines.primitives.sizes import TIME_BLOCK
from tvb_batch.worker.engines.runtime.summation_plan import Edges, make_plan

#: Longest delay of a network, in steps.
MOST = 20


def edges_of(weights: np.ndarray, delays: np.ndarray) -> Edges:
    target, source = np.nonzero(weights)
    return Edges(target, source, delays[target, source].astype(np.int64), weights[target, source], len(weights))


def by_numpy(weights: np.ndarray, delays: np.ndarray, sent: np.ndarray, step: int, order: str) -> np.ndarray:
    """What TVB makes of (nodes, times) at a step."""
    target, source = np.nonzero(weights)
    products = weights[target, source].astype(sent.dtype) * sent[source, step - 1 - delays[target, source]]
    if order == "reduceat":
        total = np.zeros(len(weights), dtype=sent.dtype)
        rows, begins = np.unique(target, return_index=True)
        total[rows] = np.add.reduceat(products, begins)
        return total
    whole = np.zeros(weights.shape, dtype=sent.dtype)
    whole[target, source] = products
    if order == "pairwise":
        return whole.sum(axis=1)
    # NumPy adds along an axis that is not the last one number after the other.
    return np.stack([whole, whole], axis=2).sum(axis=1)[:, 0]


def by_chains(edges: Edges, sent: np.ndarray, steps: int, order: Any, kernels: Path) -> np.ndarray:
    """The sums of the last steps: (steps, nodes)."""
    primitives, columns = load_primitives(kernels), sent.shape[1]
    plan = make_plan(edges, np.flatnonzero(edges.delay < TIME_BLOCK - 1), order)
    window = np.zeros((1, edges.nodes + 1, columns), dtype=sent.dtype)
    window[0, :-1] = sent
    precomputed, current = plan.precomputed(columns, sent.dtype), plan.current(sent.dtype)
    array, lines = plan.sums.astype(sent.dtype)[np.newaxis], plan.make_lines(1, sent.dtype)
    recent, total = (
        np.zeros((TIME_BLOCK, 1, edges.nodes), dtype=sent.dtype),
        np.zeros((1, edges.nodes), dtype=sent.dtype),
    )
    begin, found = columns - steps, []
    primitives.take_recent(window, begin, recent)
    for s in range(steps):
        if s % TIME_BLOCK == 0:
            primitives.sum_precomputed(window.reshape(-1), window[0].size, begin + s, precomputed, array, lines)
        primitives.sum_sources(recent, s, current, lines, total)
        found.append(total[0].copy())
        recent[s % TIME_BLOCK, 0] = sent[:, begin + s]
    return np.array(found)


def network(nodes: int, density: float, late: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    weights = random.lognormal(sigma=3.0, size=(nodes, nodes)) * (random.random((nodes, nodes)) < density)
    delays = np.where(random.random((nodes, nodes)) < late, 0, TIME_BLOCK) + random.integers(
        0, TIME_BLOCK - 1, (nodes, nodes)
    )
    return weights.astype(np.float32), np.minimum(delays, MOST)


@pytest.mark.parametrize("order", ["reduceat", "pairwise", "sequence"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@settings(deadline=None, max_examples=40)
@given(
    nodes=st.one_of(st.integers(1, 20), st.sampled_from([76, 131, 260])),
    density=st.sampled_from([0.02, 0.3, 1.0]),
    late=st.sampled_from([0.0, 0.02, 0.5, 1.0]),
    seed=st.integers(0, 2**32 - 1),
)
def test_sums_are_numpys(
    kernels: Path, order: str, dtype: Any, nodes: int, density: float, late: float, seed: int
) -> None:
    weights, delays = network(nodes, density, late, seed)
    random = np.random.default_rng(seed)
    sent = (random.normal(size=(nodes, MOST + 40)) * 10.0 ** random.integers(-6, 6, (nodes, 1))).astype(dtype)
    steps = 19

    found = by_chains(edges_of(weights, delays), sent, steps, order, kernels)

    expected = [by_numpy(weights, delays, sent, sent.shape[1] - steps + s, order) for s in range(steps)]
    np.testing.assert_array_equal(found, np.array(expected))


def test_a_late_number_costs_one_addition_for_each_that_comes_after_it() -> None:
    weights, delays = np.ones((76, 76), dtype=np.float32), np.full((76, 76), 12)
    np.fill_diagonal(delays, 0)

    plan = make_plan(edges_of(weights, delays), np.arange(76) * 77, "pairwise")

    # A lane has at most ten numbers; then come three sums of lanes and four numbers beside them.
    assert plan.current_groups[:, 0].max() <= 10 + 3 + 4
    assert len(plan.copies) == 0
