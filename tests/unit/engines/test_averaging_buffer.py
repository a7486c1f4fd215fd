"""Means of many steps at once, and what an averaging buffer holds after them, are those of TVB's step by step."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tvb_batch.worker.engines.codegen.kernel_cache import load_primitives


@settings(deadline=None)
@given(
    period=st.integers(1, 12), first=st.integers(1, 40), parts=st.lists(st.integers(1, 30), min_size=1, max_size=4),
    seed=st.integers(0, 2**32 - 1),
)  # fmt: skip
@pytest.mark.parametrize("variables", [[0], [2, 0]])
def test_means_and_averaging_buffers_are_tvbs(
    kernels: Path, variables: list[int], period: int, first: int, parts: list[int], seed: int
) -> None:
    random, wanted = np.random.default_rng(seed), np.array(variables)
    buffer = random.normal(size=(period, len(variables), 5))
    expected, means, found = buffer.copy(), [], []

    for n in parts:
        rows = random.normal(size=(n, 3, 5))
        for step, row in enumerate(rows, start=first):
            expected[step % period - 1] = row[wanted]
            if step % period == 0:
                means.append(expected.mean(axis=0))
        out = np.empty((len(means) - len(found), *buffer.shape[1:]))
        load_primitives(kernels).add_to_buffer(buffer, first, rows, wanted, out, period)
        found += [*out]
        first += n

    np.testing.assert_array_equal(buffer, expected)
    np.testing.assert_array_equal(np.array(found), np.array(means))
