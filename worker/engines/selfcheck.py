"""The first steps of an engine, compared with TVB's. Called by the modules `compiled` and `hybrid`."""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from tvb_batch.worker.engines import simulator_state
from tvb_batch.worker.engines.reference import Samples, count_steps


class Steps(Protocol):
    """A simulator while an engine runs it."""

    def do(self, n_steps: int) -> list[Samples | None]:
        """Do the next steps; return the samples of each monitor."""
        ...


def find_difference(simulator: Any, begin: Callable[[], Steps], n_steps: int) -> str | None:
    """Return where the next steps of an engine and of TVB first differ, or None; the simulator is left unchanged.

    Parameters
    ----------
    begin : makes the engine's steps from where the simulator stands
    n_steps : no more than the simulation has: TVB makes a stimulus no longer than it
    """
    n_steps = min(n_steps, count_steps(simulator))
    before = simulator_state.take(simulator)
    with np.errstate(all="ignore"):
        outputs = list(simulator(n_steps=n_steps))
        expected = simulator_state.take(simulator)
        simulator_state.put_back(simulator, before)
        samples = begin().do(n_steps)
    found = simulator_state.take(simulator)
    simulator_state.put_back(simulator, before)
    difference = simulator_state.first_difference(expected, found)
    if difference is not None:
        return difference
    for number, sample in enumerate(samples):
        records = [output[number] for output in outputs if output[number] is not None]
        if not _same(records, sample):
            return f"the samples of monitors[{number}]"
    return None


def _same(records: list[Any], samples: Samples | None) -> bool:
    if samples is None or not records:
        return samples is None and not records
    time, data = np.array([record[0] for record in records]), np.array([record[1] for record in records])
    return np.array_equal(time, samples.time) and np.array_equal(data, samples.data, equal_nan=True)
