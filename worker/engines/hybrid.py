"""TVB's own step with its coupling compiled: for models, integrators and noises that cannot be compiled.

TVB's Python makes each step; what arrives from other nodes, where large networks spend nearly all their time, is
summed by the primitives. The same interface as `worker.engines.compiled`.
"""

import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tvb_batch.worker.engines.codegen.kernel_cache import load_primitives
from tvb_batch.worker.engines.frontend.coupling import TracedCoupling, records_afferents, trace_coupling
from tvb_batch.worker.engines.graph import UntraceableError
from tvb_batch.worker.engines.primitives.sizes import TIME_BLOCK
from tvb_batch.worker.engines.reference import Chunk, Samples, count_steps, in_chunks
from tvb_batch.worker.engines.runtime.delay_buffer import DelayBuffer, DelayedInput, apply_pre, check_silence
from tvb_batch.worker.engines.runtime.monitors import join, make_recorder
from tvb_batch.worker.engines.selfcheck import find_difference

NAME = "hybrid"

#: Steps whose states are kept before monitors see them.
_BATCH = 64


@dataclass(frozen=True)
class _Prepared:
    """A coupling that was compared with TVB's, for the history of the configuration it was made for."""

    coupling: TracedCoupling
    primitives: ModuleType
    history: Any


_PREPARED: "weakref.WeakKeyDictionary[Any, _Prepared]" = weakref.WeakKeyDictionary()


def supports(simulator: Any, cache: Path) -> str | None:
    """Return None if `stream` runs the configured simulator as TVB would, else the reason in one sentence.

    The first steps are compared with TVB's. The simulator is left unchanged.
    """
    _PREPARED.pop(simulator, None)
    if simulator.surface is not None:
        return "a surface simulation is left to TVB's own loop"
    if hasattr(simulator.integrator, "_ode"):
        return f"{type(simulator.integrator).__name__} keeps a state of its own"
    try:
        coupling = trace_coupling(simulator)
        if coupling.dense:
            check_silence(simulator)
    except UntraceableError as exc:
        return f"cannot compile {exc}"
    primitives = load_primitives(cache)
    difference = find_difference(simulator, lambda: _Steps(simulator, coupling, primitives), 2 * TIME_BLOCK + 1)
    if difference is not None:
        return f"compiled sums differ from TVB's in {difference}"
    _PREPARED[simulator] = _Prepared(coupling, primitives, simulator.history)
    return None


def stream(simulator: Any, chunk_steps: int, done: int = 0) -> Iterator[Chunk]:
    """Run a simulator that `supports` accepted from its current step to its `simulation_length`, a chunk at a time."""
    prepared = _PREPARED[simulator]
    assert prepared.history is simulator.history, "the simulator was configured again: ask `supports` again"
    steps = _Steps(simulator, prepared.coupling, prepared.primitives, done)

    def do(n_steps: int) -> list[Samples | None]:
        with np.errstate(all="ignore"):
            return steps.do(n_steps)

    yield from in_chunks(do, count_steps(simulator), chunk_steps, done)


class _Steps:
    """A simulator and its monitors while they run."""

    def __init__(self, simulator: Any, coupling: TracedCoupling, primitives: ModuleType, done: int = 0) -> None:
        self._simulator, self._coupling = simulator, coupling
        self._delayed_input = DelayedInput(DelayBuffer(simulator, coupling, TIME_BLOCK), primitives)
        self._recorders = [make_recorder(monitor, primitives) for monitor in simulator.monitors]
        self._entering = simulator._loop_compute_node_coupling(simulator.current_step + 1)
        self._begun = True
        #: Where the stimulus began.
        self._first = int(simulator.current_step) + 1 - done
        self._pulses = simulator._prepare_stimulus()

    def do(self, n_steps: int) -> list[Samples | None]:
        """Do the next steps; return the samples of each monitor."""
        simulator = self._simulator
        parts: list[list[Samples | None]] = [[] for _ in self._recorders]
        done = 0
        while done < n_steps:
            n = min(_BATCH, n_steps - done)
            first = int(simulator.current_step) + 1
            states, entering = self._steps(first, n)
            observed = np.ascontiguousarray(simulator.model.observe(states.transpose(1, 0, 2, 3)).swapaxes(0, 1))
            for part, recorder, monitor in zip(parts, self._recorders, simulator.monitors, strict=True):
                part.append(recorder(first, entering if records_afferents(monitor) else observed))
            simulator.current_step += n
            done += n
        simulator.calls += 1
        return [join(part) for part in parts]

    def _steps(self, first: int, n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the states after each of the next n steps, and what enters the nodes at the step after each."""
        simulator = self._simulator
        states = np.empty((n, *simulator.current_state.shape))
        entering = np.empty((n, *self._entering.shape))
        present = simulator.current_state
        for s in range(n):
            if simulator.stimulus is not None:
                pulse = simulator.stimulus(first + s - self._first).reshape((1, -1, 1))
                self._pulses[simulator.model.stvar, :, :] = pulse
            present = simulator.integrate_next_step(present, simulator.model, self._entering, 0.0, self._pulses)
            simulator.history.update(first + s, present)
            self._entering = self._sum(present)
            states[s], entering[s] = present, self._entering
        simulator.current_state = present
        return states, entering

    def _sum(self, present: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what enters the nodes at the next step, (coupling variables, nodes, modes)."""
        simulator, coupling = self._simulator, self._coupling
        kept = present[simulator.model.cvar].astype(np.float32)
        sent = kept if coupling.by_edge else apply_pre(simulator.coupling, kept[np.newaxis], dense=coupling.dense)[0]
        modes = kept.shape[-1]
        self._delayed_input.receive(sent.transpose(0, 2, 1).reshape(-1, sent.shape[1]))
        if coupling.by_edge:
            self._sum_edges(kept.transpose(0, 2, 1))
        else:
            self._delayed_input.sum_sources()
        total = self._delayed_input.total
        total = np.ascontiguousarray(total.reshape(-1, modes, total.shape[1]).transpose(0, 2, 1))
        if len(total) < len(kept):
            total = np.repeat(total, len(kept), axis=0)
        if coupling.dense:
            post = simulator.coupling.post(np.ascontiguousarray(total.transpose(1, 0, 2)))
            return np.asarray(post).transpose(1, 0, 2)
        return np.asarray(simulator.coupling.post(total.astype(np.float32)))

    def _sum_edges(self, kept: NDArray[np.float32]) -> None:
        """Do `pre` for every edge, as TVB does it for (coupling variables, edges, modes), and sum the results."""
        variables, modes, _ = kept.shape
        delayed, target = self._delayed_input.gather()
        i = kept[:, :, target].transpose(0, 2, 1)
        j = delayed.reshape(variables, modes, -1).transpose(0, 2, 1)
        if self._coupling.dense:
            product = self._simulator.coupling.pre(i[np.newaxis], j[np.newaxis])[0]
        else:
            product = self._simulator.coupling.pre(i, j)
        product = product.transpose(0, 2, 1).reshape(-1, len(target))
        self._delayed_input.sum_edges(np.ascontiguousarray(product, dtype=self._delayed_input.total.dtype))
