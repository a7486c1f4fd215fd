"""The envelope of a series has the minimum and maximum of each pixel, for any window."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tvb_batch.submit.web import decimation
from tvb_batch.submit.web.decimation import MOST_SAMPLES, envelope


def series(samples: int, nodes: int = 5) -> tuple[np.ndarray, np.ndarray]:
    time = 0.25 + 0.5 * np.arange(samples)
    return np.random.default_rng(samples).normal(size=(samples, 2, nodes, 1)), time


@pytest.mark.slow
@given(st.integers(1, 400), st.integers(1, 90), st.lists(st.integers(0, 4), min_size=1, max_size=3, unique=True))
def test_each_pixel_has_the_extent_of_its_samples(samples: int, pixels: int, nodes: list[int]) -> None:
    data, time = series(samples)

    found = envelope(data, time, nodes=nodes, variable=1, pixels=pixels)

    edges = np.unique(np.linspace(0, samples, min(pixels, samples) + 1).astype(int))
    for pixel, (begin, end) in enumerate(itertools.pairwise(edges)):
        np.testing.assert_array_equal(found.low[pixel], data[begin:end, 1, nodes, 0].min(axis=0))
        np.testing.assert_array_equal(found.high[pixel], data[begin:end, 1, nodes, 0].max(axis=0))
    np.testing.assert_allclose(found.times, time[edges[:-1]])
    assert found.read == found.samples == samples


@given(st.floats(-50, 250), st.floats(-50, 250))
def test_a_window_holds_the_samples_from_start_to_stop(start: float, stop: float) -> None:
    data, time = series(300)

    found = envelope(data, time, nodes=[0], start=start, stop=stop, pixels=10_000)

    inside = [k for k in range(300) if start <= time[k] <= stop]
    if inside:
        np.testing.assert_array_equal(found.low[:, 0], data[inside, 0, 0, 0])
    else:
        assert found.samples == 1


def test_what_is_not_finite_is_a_gap() -> None:
    data, time = series(4)
    data[1, 0, 0, 0], data[2, 0, 0, 0] = np.nan, np.inf

    found = envelope(data, time, nodes=[0], pixels=4)

    assert np.isnan(found.low[:, 0]).tolist() == [False, True, True, False]


class Counted:
    """A dataset that counts how much of it is read."""

    def __init__(self, samples: int) -> None:
        self.samples, self.read, self.most = samples, 0, 0

    def __len__(self) -> int:
        return self.samples

    def __getitem__(self, key):
        if isinstance(key, int):
            return float(key)
        rows = range(*key[0].indices(self.samples))
        self.read, self.most = self.read + len(rows), max(self.most, len(rows))
        return np.zeros((len(rows), 1))


@pytest.mark.parametrize("samples", [10**5, 10**8])
def test_the_longest_series_is_read_in_part_and_in_blocks(samples: int) -> None:
    data = Counted(samples)

    found = envelope(data, Counted(samples), nodes=[0])

    assert data.read <= MOST_SAMPLES
    assert data.most <= decimation.BLOCK
    assert found.samples == samples
