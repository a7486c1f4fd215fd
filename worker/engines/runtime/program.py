"""A configured simulator as a compiled program that runs it some steps at a time. Made by `worker.engines.compiled`.

The program works on arrays of its own, and on TVB's history buffer; after `give_back` the simulator holds what TVB's
own loop would have left in it.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tvb_batch.worker.engines.codegen.capabilities import find_capabilities
from tvb_batch.worker.engines.codegen.kernel_cache import Kernel, load_kernel, load_primitives
from tvb_batch.worker.engines.codegen.kernel_source import KernelSource
from tvb_batch.worker.engines.codegen.trace_cache import SlotValues, Trace, find_trace
from tvb_batch.worker.engines.frontend.local_coupling import Surface, make_surface
from tvb_batch.worker.engines.frontend.step import Step
from tvb_batch.worker.engines.primitives.arguments import Network, StepArrays, StepWorkspace
from tvb_batch.worker.engines.primitives.sizes import FLOAT64_BYTES, TIME_BLOCK
from tvb_batch.worker.engines.runtime.delay_buffer import DelayBuffer, check_silence, network_plan
from tvb_batch.worker.engines.runtime.random_state import NormalStream, draws_normals, make_workspace

#: What a call of the kernel may fill with observed states, so that they stay in the processor's cache. Bytes.
_CALL_BYTES = 2**20


@dataclass(frozen=True)
class Program:
    """What is the same for all simulators of one shape, and the numbers of one of them."""

    trace: Trace
    kernel: Kernel
    numbers: SlotValues
    #: Tells networks apart, and surfaces.
    network: bytes
    #: The kernel draws normals itself; else NumPy draws them for it.
    draws: bool
    #: Where the nodes are vertices of a surface.
    surface: Surface | None

    @property
    def step(self) -> Step:
        """Return the traced step."""
        return self.trace.step

    @property
    def source(self) -> KernelSource:
        """Return the kernel's source."""
        return self.trace.source


def make_program(simulator: Any, directory: Path) -> Program:
    """Return the program of a configured simulator; its kernel is compiled when it first runs.

    Raises
    ------
    UntraceableError
        A part of the simulator cannot be traced.
    """
    surface = make_surface(simulator)
    primitives = load_primitives(directory)
    trace, numbers = find_trace(simulator, find_capabilities(primitives))
    coupling = trace.step.coupling
    if coupling.dense:
        check_silence(simulator)
    return Program(
        trace=trace,
        kernel=load_kernel(trace.source.text, trace.source.requires, directory),
        numbers=numbers,
        network=network_plan(simulator, coupling).key + (surface.digest if surface else b""),
        draws=draws_normals(primitives),
        surface=surface,
    )


class Work(NamedTuple):
    """Memory in which a kernel's functions work."""

    work: NDArray[np.float64]
    work32: NDArray[np.float32]


class Run:
    """One simulator that a program runs: its state, and its delay buffer."""

    def __init__(self, program: Program, simulator: Any, *, afferents: bool) -> None:
        self._program, self._simulator = program, simulator
        model, nodes = simulator.model, simulator.number_of_nodes
        self._step = int(simulator.current_step)
        self._modes = program.step.modes
        first = self._lay(by_mode(simulator.current_state))
        self._states = np.zeros((2, *first.shape))
        self._states[0] = first
        observed = len(program.step.observed)
        self.steps = max(TIME_BLOCK, _CALL_BYTES // (FLOAT64_BYTES * observed * nodes) // TIME_BLOCK * TIME_BLOCK)
        self._observed = np.empty((self.steps, observed, nodes))
        self._afferents = np.empty((self.steps if afferents else 1, len(program.step.afferent), nodes))
        cvar = (np.asarray(model.cvar)[:, np.newaxis] * self._modes + np.arange(self._modes)).ravel()
        # The same memory as TVB's, with all modes of a node after each other.
        history = simulator.history.buffer.reshape(*simulator.history.buffer.shape[:2], -1)
        self._buffer = DelayBuffer(simulator, program.step.coupling, self.steps)
        self._network = Network(history, cvar, self._buffer.window, self._buffer.tables)
        noise = getattr(simulator.integrator, "noise", None)
        self._take_noise(noise if program.step.draws_noise else None)
        kernel = program.kernel
        self._functions = np.array([kernel.address(name) for name in program.source.functions], dtype=np.int64)
        self._prepare()

    def _prepare(self) -> None:
        program, primitives = self._program, self._program.kernel.primitives
        self._work = _make_work(program, self._simulator.number_of_nodes, self._buffer.edges)
        self._run = primitives.run_edges if program.step.coupling.by_edge else primitives.run_sources
        recent = self._buffer.make_recent()
        self._workspace = StepWorkspace(
            total=self._buffer.make_total(),
            recent=recent,
            recent_begin=np.arange(TIME_BLOCK) * recent[0].size,
            normals=np.zeros((TIME_BLOCK, *self._states.shape[1:])),
            by_mode=np.zeros((1, *self._states.shape[1:])),
            drawing=make_workspace(),
            edges=self._buffer.make_edge_workspace(),
        )

    def _lay(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (variables x modes, nodes) as the kernel wants it."""
        return rows

    def _take_up(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what `_lay` was given."""
        return rows

    def _take_noise(self, noise: Any) -> None:
        self._shape = self._simulator.current_state.shape
        self._coloured = np.zeros((2, 1, 1))
        self._noise = noise
        stream = noise.random_stream if noise is not None else None
        needed = np.ones(self._shape, dtype=bool)
        if noise is not None and self._program.step.coloured:
            self._coloured = np.zeros_like(self._states)
            self._coloured[0] = self._lay(by_mode(noise._eta))
        elif noise is not None:
            needed = np.broadcast_to(noise.nsig != 0.0, self._shape)
        self._normals = NormalStream(self._program.kernel.primitives, stream, needed.ravel())

    def advance(self, n: int, stimulus: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        """Do n steps, at most `steps`.

        Parameters
        ----------
        stimulus : (n, nodes)

        Returns
        -------
        (n, variables of interest, nodes, modes) what monitors see; valid until the next call
        """
        self._buffer.reserve(n)
        self._do(n, np.zeros((1, self._simulator.number_of_nodes)) if stimulus is None else stimulus)
        self._step += n
        self._buffer.column += n
        return self._as_tvb(self._observed[:n])

    def _do(self, n: int, stimulus: NDArray[np.float64]) -> None:
        program = self._program
        self._run(
            *(n, self._step + 1, self._buffer.column, self._modes, self._noise is not None and program.draws),
            *(self._functions, self._network, self._normals.arrays(), self._workspace),
            StepArrays(
                states=self._states,
                drawn=self._draw(n),
                coloured=self._coloured,
                stimulus=stimulus,
                afferents=self._afferents,
                observed=self._observed,
                scalars=program.numbers.scalars,
                fields=program.numbers.fields,
                loops=program.trace.loops,
                work=self._work.work,
                work32=self._work.work32,
            ),
        )

    def _as_tvb(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (n, variables x modes, nodes) as (n, variables, nodes, modes)."""
        n, _, nodes = rows.shape
        return np.ascontiguousarray(
            rows.reshape(n, rows.shape[1] // self._modes, self._modes, nodes).transpose(0, 1, 3, 2)
        )

    def _draw(self, n: int) -> NDArray[np.float64]:
        if self._noise is None or self._program.draws:
            return np.zeros((1, *self._states[0].shape))
        drawn = self._noise.random_stream.normal(size=(n, *self._shape))
        return np.stack([self._lay(by_mode(values)) for values in drawn])

    def afferents(self, n: int) -> NDArray[np.float64]:
        """Return what entered the nodes after each of the last n steps, (n, coupling variables, nodes, modes).

        TVB shows monitors what will enter at the next step, so the last one is still to be computed: by TVB itself.
        """
        last = self._simulator._loop_compute_node_coupling(self._step + 1)
        return np.concatenate([self._as_tvb(self._afferents[1:n]), last[np.newaxis]])

    def give_back(self) -> None:
        """Leave state, step and noise in the simulator as TVB's loop would."""
        simulator = self._simulator
        simulator.current_state[...] = self._as_tvb(self._take_up(self._states[0])[np.newaxis])[0]
        simulator.current_step = self._step
        if self._noise is not None:
            if self._program.draws:
                self._normals.put_back(self._noise.random_stream)
            if self._program.step.coloured:
                self._noise._eta = self._as_tvb(self._take_up(self._coloured[0])[np.newaxis])[0]


def by_mode(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (variables, nodes, modes) as (variables x modes, nodes)."""
    return values.transpose(0, 2, 1).reshape(-1, values.shape[1])


def _make_work(program: Program, nodes: int, edges: int) -> Work:
    source = program.source
    sizes = [
        max(of_nodes * nodes, of_edges * edges)
        for of_nodes, of_edges in zip(source.workspace, source.edge_workspace, strict=True)
    ]
    return Work(np.empty(sizes[0]), np.empty(sizes[1], dtype=np.float32))
