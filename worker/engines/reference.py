"""TVB's own loop, in chunks: the reference that every other engine must equal bit for bit.

Called by `worker.job.run`. Eight calls of `sim(n_steps=250)` give what one call of 2000 steps gives, so a chunk is a
call; between two chunks nothing is held but the simulator's own state.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

NAME = "reference"

#: Most steps of a chunk.
MOST_STEPS = 2000
#: How long a chunk should take, so that a stop or a cancellation is heard soon. Seconds.
CHUNK_SECONDS = 1.0
#: Steps of the first chunk, whose speed is not known yet: seconds of the largest surface.
FIRST_STEPS = 8
#: A chunk has at most so many times the steps of the one before.
GROWTH = 4


@dataclass(frozen=True)
class Samples:
    """What one monitor gave during one chunk."""

    #: (n,) ms
    time: NDArray[np.float64]
    #: (n, state variables, nodes, modes)
    data: NDArray[np.float64]


@dataclass(frozen=True)
class Chunk:
    """What all monitors gave during some consecutive steps."""

    #: Steps done since the start of the simulation, this chunk included.
    step: int
    #: One for each monitor, in the simulator's order; None where no sample fell into the chunk.
    samples: tuple[Samples | None, ...]


def count_steps(simulator: Any) -> int:
    """Return the number of steps that TVB makes for the simulator's `simulation_length`."""
    return steps_of(float(simulator.simulation_length), float(simulator.integrator.dt))


def steps_of(length: float, dt: float) -> int:
    """Return the number of steps of `dt` ms that TVB makes for a length in ms."""
    return math.ceil(length / dt)


def choose_chunk_steps(simulator: Any, chunk_bytes: int) -> int:
    """Return the most steps of a chunk whose monitor output stays below `chunk_bytes`."""
    frame = int(simulator.current_state.size) * 8  # No monitor returns more than the state, as float64.
    bytes_per_step = sum(frame / max(monitor.istep, 1) for monitor in simulator.monitors)
    by_memory = int(chunk_bytes / bytes_per_step) if bytes_per_step else MOST_STEPS
    return max(1, min(MOST_STEPS, by_memory))


def supports(simulator: Any, cache: Path) -> str | None:
    """Return None: TVB's own loop runs every configured simulator."""
    return None


def stream(simulator: Any, chunk_steps: int, done: int = 0) -> Iterator[Chunk]:
    """Run a configured simulator from its current step to its `simulation_length`, a chunk at a time.

    Parameters
    ----------
    chunk_steps : most steps of a chunk; fewer are done where they take long
    done : how many steps of the simulation lie behind it already
    """
    if simulator.stimulus is not None:
        _continue_stimulus(simulator, done)

    def do(n_steps: int) -> list[Samples | None]:
        # A model that diverges says so in its data (`is_nan`); NumPy's warnings of it would fill the log.
        with np.errstate(all="ignore"):
            outputs = list(simulator(n_steps=n_steps))
        return [_collect(outputs, index) for index in range(len(simulator.monitors))]

    yield from in_chunks(do, count_steps(simulator), chunk_steps, done)


def in_chunks(
    do: Callable[[int], list[Samples | None]], total: int, most: int, done: int, first: int = FIRST_STEPS
) -> Iterator[Chunk]:
    """Yield chunks of the steps from `done` to `total`, each of about `CHUNK_SECONDS`; `do` does a number of steps."""
    n_steps = min(first, most)
    while done < total:
        n_steps = min(n_steps, total - done)
        start = time.monotonic()
        samples = do(n_steps)
        seconds = time.monotonic() - start
        done += n_steps
        yield Chunk(done, tuple(samples))
        fitting = n_steps * CHUNK_SECONDS / max(seconds, 1e-9)
        n_steps = max(1, min(most, n_steps * GROWTH, int(fitting)))


def _continue_stimulus(simulator: Any, done: int) -> None:
    """Let the stimulus go on from chunk to chunk: TVB starts it again at every call of a simulator."""
    first = simulator.current_step + 1 - done

    def update(step: int, stimulus: NDArray[np.float64]) -> None:
        stimulus[simulator.model.stvar, :, :] = simulator.stimulus(step - first).reshape((1, -1, 1))

    simulator._loop_update_stimulus = update


def _collect(outputs: list[Any], monitor: int) -> Samples | None:
    records = [output[monitor] for output in outputs if output[monitor] is not None]
    if not records:
        return None
    time = np.array([record[0] for record in records], dtype=np.float64)
    return Samples(time, np.array([record[1] for record in records], dtype=np.float64))
