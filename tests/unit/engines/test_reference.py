"""TVB's own loop in chunks."""

import numpy as np
import pytest
from conftest import SHORT

from tvb_batch.models.paths import Storage
from tvb_batch.models.spec.simulation import SimulationSpec
from tvb_batch.models.tvb.input_store import Inputs
from tvb_batch.worker.engines.reference import choose_chunk_steps, count_steps, stream
from tvb_batch.worker.job.simulator import build_simulator


def simulator(tmp_path, **changes):
    spec = SimulationSpec.model_validate({**SHORT, **changes})
    return build_simulator(spec, Inputs(Storage(tmp_path)))


@pytest.mark.parametrize("chunk_steps", [1, 7, 40, 1000])
def test_chunks_put_together_are_one_run(tmp_path, chunk_steps: int) -> None:
    [(time, data)] = simulator(tmp_path).run()

    chunks = list(stream(simulator(tmp_path), chunk_steps))

    samples = [chunk.samples[0] for chunk in chunks if chunk.samples[0]]
    np.testing.assert_array_equal(np.concatenate([sample.time for sample in samples]), time)
    np.testing.assert_array_equal(np.concatenate([sample.data for sample in samples]), data)
    assert chunks[-1].step == 40


def test_a_length_between_two_steps_is_rounded_up_as_tvb_does(tmp_path) -> None:
    assert count_steps(simulator(tmp_path, simulation_length=20.1)) == 41


def test_a_chunk_is_bounded_by_memory_and_by_time(tmp_path) -> None:
    one = simulator(tmp_path)
    frame = one.current_state.size * 8

    assert choose_chunk_steps(one, chunk_bytes=frame * 5) == 10  # TemporalAverage gives a frame every second step.
    assert choose_chunk_steps(one, chunk_bytes=1) == 1
    assert choose_chunk_steps(one, chunk_bytes=2**60) == 2000
