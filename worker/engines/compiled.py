"""TVB's loop as compiled code, with TVB's own bits: the same interface as `worker.engines.reference`.

What runs is made of TVB's own definitions (`worker.engines.frontend.step`). Before it is trusted, its first steps are
compared with TVB's own, and whatever differs or is not understood is left to another engine, with the reason.
"""

import weakref
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numba.core.errors import NumbaError
from numpy.typing import NDArray

from tvb_batch.worker.bounded_cache import BoundedCache
from tvb_batch.worker.engines.frontend.coupling import records_afferents
from tvb_batch.worker.engines.graph import UntraceableError
from tvb_batch.worker.engines.reference import FIRST_STEPS, Chunk, Samples, count_steps, in_chunks
from tvb_batch.worker.engines.runtime.monitors import join, make_recorder
from tvb_batch.worker.engines.runtime.program import Program, Run, make_program
from tvb_batch.worker.engines.runtime.surface import SurfaceRun
from tvb_batch.worker.engines.selfcheck import find_difference

NAME = "compiled"

#: Steps compared with TVB's when a kernel meets a network for the first time in a process, and of how many simulations
#: after that one is compared again, for so many steps.
CHECKED_STEPS, AGAIN_EVERY, CHECKED_AGAIN = 17, 16, 2
#: Numbers of the state times steps of the first chunk: a hundredth of a second for most models, a second at worst.
FIRST_NUMBERS = 2**19


@dataclass(frozen=True)
class _Prepared:
    """A checked program, for the history of the configuration it was made for."""

    program: Program
    history: Any


_PREPARED: "weakref.WeakKeyDictionary[Any, _Prepared]" = weakref.WeakKeyDictionary()
#: How many simulations ran with a kernel, a network and monitors of this kind, after a comparison in this process.
_TRUSTED: BoundedCache[Hashable, int] = BoundedCache(1024)


def supports(simulator: Any, cache: Path) -> str | None:
    """Return None if `stream` runs the configured simulator as TVB would, else the reason in one sentence.

    The kernel is compiled if it is not in the cache, and its first steps are compared with TVB's. The simulator is left
    unchanged.

    Parameters
    ----------
    cache : the directory of compiled kernels, shared by all workers of a host
    """
    _PREPARED.pop(simulator, None)
    try:
        program = make_program(simulator, cache)
        key = (program.kernel.name, program.network, _kinds(simulator))
        times = _TRUSTED.get(key) or 0
        n_steps = CHECKED_STEPS if not times else 0 if times % AGAIN_EVERY else CHECKED_AGAIN
        difference = find_difference(simulator, lambda: _Steps(simulator, program), n_steps) if n_steps else None
    except UntraceableError as exc:
        return f"cannot compile {exc}"
    except NumbaError as exc:
        return f"Numba cannot compile the kernel: {str(exc).strip().splitlines()[0]}"
    if difference is not None:
        return f"compiled steps differ from TVB's in {difference}"
    _TRUSTED.put(key, times + 1)
    _PREPARED[simulator] = _Prepared(program, simulator.history)
    return None


def _kinds(simulator: Any) -> Hashable:
    """Return what the steps depend on, apart from the kernel, the network and numbers."""
    parts = (simulator.stimulus, getattr(simulator.integrator, "noise", None))
    monitors = ((type(one), one.istep, str(getattr(one, "voi", None))) for one in simulator.monitors)
    return (*map(type, parts), *monitors)


def stream(simulator: Any, chunk_steps: int, done: int = 0) -> Iterator[Chunk]:
    """Run a simulator that `supports` accepted from its current step to its `simulation_length`, a chunk at a time.

    At the end of each chunk, the simulator holds what TVB's loop would have left in it: state, history, noise and the
    monitors' averaging buffers.
    """
    prepared = _PREPARED.get(simulator)
    assert prepared is not None, "ask `supports` first"
    assert prepared.history is simulator.history, "the simulator was configured again: ask `supports` again"
    steps = _Steps(simulator, prepared.program, done)

    def do(n_steps: int) -> list[Samples | None]:
        with np.errstate(all="ignore"):
            return steps.do(n_steps)

    first = max(FIRST_STEPS, FIRST_NUMBERS // simulator.current_state.size)
    yield from in_chunks(do, count_steps(simulator), chunk_steps, done, first)


class _Steps:
    """A simulator and its monitors while they run."""

    def __init__(self, simulator: Any, program: Program, done: int = 0) -> None:
        self._simulator = simulator
        self._afferents = any(records_afferents(monitor) for monitor in simulator.monitors)
        kind = SurfaceRun if program.surface is not None else Run
        self._run = kind(program, simulator, afferents=self._afferents)
        self._recorders = [make_recorder(monitor, program.kernel.primitives) for monitor in simulator.monitors]
        #: Where the stimulus began.
        self._first = int(simulator.current_step) + 1 - done
        self._step = int(simulator.current_step)
        if simulator.stimulus is not None:
            simulator._prepare_stimulus()

    def do(self, n_steps: int) -> list[Samples | None]:
        """Do the next steps; return the samples of each monitor."""
        parts: list[list[Samples | None]] = [[] for _ in self._recorders]
        done = 0
        while done < n_steps:
            n = min(self._run.steps, n_steps - done)
            first = self._step + 1
            observed = self._run.advance(n, self._stimulus(first, n))
            self._step += n
            entering = self._run.afferents(n) if self._afferents else observed
            for part, recorder, monitor in zip(parts, self._recorders, self._simulator.monitors, strict=True):
                part.append(recorder(first, entering if records_afferents(monitor) else observed))
            done += n
        self._run.give_back()
        self._simulator.calls += 1
        return [join(part) for part in parts]

    def _stimulus(self, first: int, n: int) -> NDArray[np.float64] | None:
        """Return the stimulus, (steps, nodes); TVB counts its steps from the start of the run."""
        stimulus = self._simulator.stimulus
        if stimulus is None:
            return None
        start = first - self._first
        return np.array([stimulus(step).reshape(-1) for step in range(start, start + n)], dtype=np.float64)
