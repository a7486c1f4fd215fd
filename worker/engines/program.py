"""A configured simulator as a compiled program that runs it some steps at a time. Made by `worker.engines.compiled`.

The program works on arrays of its own, and on TVB's history buffer; after `give_back` the simulator holds what TVB's
own loop would have left in it.
"""

from collections import OrderedDict
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from worker.engines.emit import Function, Quick, emit_function
from worker.engines.graph import UntraceableError
from worker.engines.kernels import Kernel, load_kernel, load_primitives
from worker.engines.loops import address, quick_exp_of
from worker.engines.noise import NormalStream
from worker.engines.step import Step, trace_step
from worker.engines.sums import BLOCK, DEPTH, Edges, Table, split_rows

#: What a call of the kernel may fill with observed states, so that they stay in the processor's cache. Bytes.
_CALL_BYTES = 2**19
#: With more than this part of short delays, edges are gathered one step at a time.
_MOSTLY_LATE = 0.5

_RUN = '''
@jit
def run(n, first, column, states, observed, afferents, history, cvar, window, pulses, colours,
        ahead_rows, ahead_leaves, ahead_offset, ahead_weight,
        now_rows, now_leaves, now_offset, now_weight, now_target, early, late,
        key, words, used, spare, free, scalars, fields, loops):
    nodes, edges, sources = states.shape[2], now_offset.size, window.shape[0]
    plane = window.shape[1] * window.shape[2]
    flat = window.reshape(-1)
    ahead = np.zeros((sources, nodes, 8), window.dtype)
    gathered = np.zeros((sources, 8, edges), window.dtype)
    total = np.zeros(({rows}, nodes), now_weight.dtype)
    parts, part = np.empty({depth} * 8, window.dtype), np.empty({depth}, now_weight.dtype)
    sent = np.empty((sources, nodes), window.dtype)
    normals = np.zeros((8, {draws}, nodes))
    tried, kept = np.empty((5, 156)), np.empty(157, np.int64)
{rooms}
    before, after, coloured, recoloured = states[0], states[1], colours[0], colours[1]
    for s in range(n):
        at, b = column + s, s % 8
        if b == 0:
            sum_ahead(flat, plane, at, ahead_rows, ahead_leaves, ahead_offset, ahead_weight, ahead, parts)
            gather_ahead(flat, plane, at, now_offset, early, gathered)
            {draw}
        gather_now(flat, plane, at, b, now_offset, late, gathered)
{sums}
        for row in range(ahead_rows.shape[0]):
            for r in range({rows}):
                total[r, ahead_rows[row, 0]] = ahead[r, ahead_rows[row, 0], b]
        now, normal = observed[s], normals[b]
        entering = afferents[s if afferents.shape[0] > 1 else 0]
        pulse = pulses[s if pulses.shape[0] > 1 else 0].reshape(1, nodes)
        {advance}
        past = history[(first + s) % history.shape[0]]
        for k in range(cvar.size):
            for i in range(nodes):
                past[k, i] = np.float32(after[cvar[k], i])
        for r in range(sources):
            for i in range(nodes):
                window[r, i, at] = sent[r, i]
        before, after, coloured, recoloured = after, before, recoloured, coloured
    if n % 2:
        states[0][:], colours[0][:] = before, coloured
'''
_DRAW = "fill_normals(key, words, used, spare, normals[: min(8, n - s)].reshape(-1), free, tried, kept)"
_SUM_SOURCES = '''
        for r in range({rows}):
            sum_now(gathered.reshape(-1), (8 * r + b) * edges, now_rows, now_leaves, now_weight, total[r], part)
'''
_SUM_EDGES = '''
        for k in range(sources):
            delayed[k] = gathered[k, b]
        for k in range(sources):
            spread(before[cvar[k]], now_target, present[k])
        {combine}
        for r in range({rows}):
            sum_now(product[r], 0, now_rows, now_leaves, now_weight, total[r], part)
'''


@dataclass(frozen=True)
class Program:
    """What is the same for all simulators of one shape, and the numbers of one of them."""

    step: Step
    source: str
    kernel: Kernel
    scalars: NDArray[np.float64]
    fields: NDArray[np.float64]
    loops: NDArray[np.int64]
    #: Rows of the weighted sum that are summed ahead, and the others.
    ahead: Table
    now: Table
    #: Tells networks apart.
    network: bytes

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of what is weighted and summed."""
        return np.dtype(np.float64 if self.step.coupling.kind == "d" else np.float32)

    @property
    def source_dtype(self) -> np.dtype[Any]:
        """Of what a node sends."""
        return np.dtype(np.float64 if self.step.source[0].kind == "d" else np.float32)


def make_program(simulator: Any, directory: Path) -> Program:
    """The program of a configured simulator; its kernel is compiled when it runs first.

    Raises
    ------
    UntraceableError
        Something in it is not understood.
    """
    step = trace_step(simulator)
    source = _make_source(step, quick_exp_of(load_primitives(directory)))
    graph, nodes = step.graph, simulator.number_of_nodes
    if step.coupling.dense:
        _check_dense(simulator)
    network, (ahead, now) = _tables(simulator, step)
    return Program(
        step=step,
        source=source,
        kernel=load_kernel(source, directory),
        scalars=np.array(graph.scalars, dtype=np.float64),
        fields=np.array(graph.fields, dtype=np.float64).reshape(-1, nodes),
        loops=np.array([address(loop) for loop in graph.loops], dtype=np.int64).reshape(-1, 2),
        ahead=ahead,
        now=now,
        network=network,
    )


def _make_source(step: Step, allowed: Quick) -> str:
    graph, rows = step.graph, len(step.coupling.product)
    inputs = {f"g{r}": ("total", r) for r in range(rows)} | {"u0": ("pulse", 0)}
    for k in range(len(step.state)):
        inputs |= {f"x{k}": ("before", k), f"z{k}": ("normal", k), f"e{k}": ("coloured", k)}
    parts = {
        "after": step.state,
        "recoloured": step.coloured,
        "entering": step.afferent,
        "now": step.observed,
        "sent": step.source,
    }
    outputs = [((array, k), ref) for array, refs in parts.items() for k, ref in enumerate(refs)]
    names = ("before", "total", "normal", "coloured", "pulse", *parts)
    exact = emit_function("advance", graph, inputs, outputs, names)
    quick = emit_function("advance_quickly", graph, inputs, outputs, names, quick=allowed)
    functions, advance = list(exact), exact[-1].call("nodes")
    rooms = _rooms(exact[-1], "nodes")
    if any("quick_exp" in function.source for function in quick):
        functions += quick
        rooms += _rooms(quick[-1], "nodes")
        advance = f"if {quick[-1].call('nodes')}:\n            {advance}"
    sums = _SUM_SOURCES.format(rows=rows)
    if step.coupling.by_edge:
        edges = _edge_functions(step)
        functions = [*edges, *functions]
        rooms += _rooms(edges[-1], "edges")
        rooms += [f"product = np.empty(({rows}, edges), now_weight.dtype)"]
        rooms += ["delayed = np.empty((sources, edges), np.float32)"]
        rooms += ["present = np.empty((sources, edges), np.float32)"]
        sums = _SUM_EDGES.format(rows=rows, combine=edges[-1].call("edges"))
    run = _RUN.format(
        rows=rows,
        depth=DEPTH,
        draws=len(step.state) if step.draws_noise else 1,
        draw=_DRAW if step.draws_noise else "pass",
        rooms="\n".join(f"    {line}" for line in dict.fromkeys(rooms)),
        sums=sums.strip("\n"),
        advance=advance,
    )
    imports = dict.fromkeys(line for function in graph.functions for line in function.imports)
    return "\n\n".join([*imports, *(function.source for function in functions), run])


def _edge_functions(step: Step) -> list[Function]:
    inputs = {}
    for k in range(len(step.source)):
        inputs |= {f"j{k}": ("delayed", k), f"i{k}": ("present", k)}
    outputs = [(("product", r), ref) for r, ref in enumerate(step.coupling.product)]
    return emit_function("combine", step.graph, inputs, outputs, ("delayed", "present", "product"))


def _rooms(function: Function, count: str) -> list[str]:
    return [f"{name} = np.empty(({rows}, {count}), np.{dtype})" for name, rows, dtype in function.rooms]


def _check_dense(simulator: Any) -> None:
    """TVB multiplies what it finds at places without weight, `pre` of 0, by 0: that must be 0."""
    rows = len(simulator.model.cvar)
    nothing = np.zeros((1, rows, 1, 1), dtype=np.float32)
    with np.errstate(all="ignore"):
        if not np.isfinite(simulator.coupling.pre(nothing, nothing)).all():
            raise UntraceableError("a coupling that is infinite without activity")


_TABLES: OrderedDict[bytes, tuple[Table, Table]] = OrderedDict()


def _tables(simulator: Any, step: Step) -> tuple[bytes, tuple[Table, Table]]:
    """The tables of the network; jobs of a sweep share the last ones."""
    history, dense = simulator.history, step.coupling.dense
    ahead = not step.coupling.by_edge
    flags = bytes([dense, ahead])
    parts = (history.nnz_mask, history.nnz_weights, history.nnz_idelays)
    key = sha256(flags + b"".join(np.ascontiguousarray(part).tobytes() for part in parts)).digest()
    if key not in _TABLES:
        target, source = np.nonzero(history.nnz_mask)
        weight = history.nnz_weights.astype(np.float32)
        edges = Edges(target, source, history.nnz_idelays.astype(np.int64), weight, simulator.number_of_nodes)
        _TABLES[key] = split_rows(edges, dense=dense, ahead=ahead)
        if len(_TABLES) > 4:
            _TABLES.popitem(last=False)
    return key, _TABLES[key]


class Run:
    """One simulator on its way through a program: the state, and where the past lies."""

    def __init__(self, program: Program, simulator: Any, *, afferents: bool) -> None:
        self._program, self._simulator = program, simulator
        model, nodes = simulator.model, simulator.number_of_nodes
        self._step = int(simulator.current_step)
        self._states = np.zeros((2, model.nvar, nodes))
        self._states[0] = simulator.current_state[..., 0]
        observed = len(program.step.observed)
        self.steps = max(BLOCK, _CALL_BYTES // (8 * observed * nodes) // BLOCK * BLOCK)
        self._observed = np.empty((self.steps, observed, nodes))
        self._afferents = np.empty((self.steps if afferents else 1, len(model.cvar), nodes))
        self._horizon = int(simulator.history.n_time)
        self._fill_window()
        self._cvar = np.asarray(model.cvar, dtype=np.int64)
        self._bind_edges()
        noise = getattr(simulator.integrator, "noise", None)
        self._take_noise(noise if program.step.draws_noise else None)

    def _fill_window(self) -> None:
        """What every node has sent during the longest delay, and room for what follows: (rows, nodes + 1, columns).

        The row after the last node stays zero: edges that only fill up a group of eight read it.
        """
        simulator, program = self._simulator, self._program
        horizon, nodes = self._horizon, simulator.number_of_nodes
        columns = horizon + max(self.steps, horizon // 2, 256) + BLOCK
        # Rows that lie a multiple of 4096 bytes apart would fight for the same places of the cache.
        columns += 24 if columns * program.source_dtype.itemsize % 4096 < 128 else 0
        self._window = np.zeros((len(program.step.source), nodes + 1, columns), dtype=program.source_dtype)
        order = np.arange(self._step - horizon + 1, self._step + 1) % horizon
        past = simulator.history.buffer[order]
        if not program.step.coupling.by_edge:
            past = _send(simulator.coupling, past, dense=program.step.coupling.dense)
        self._window[:, :nodes, :horizon] = past[..., 0].transpose(1, 2, 0)
        self._column = horizon
        program.kernel.primitives.slide(self._window, 0, 0)  # Compiled now, not in the middle of a run.

    def _bind_edges(self) -> None:
        columns, dtype = self._window.shape[2], self._program.dtype
        ahead, now = self._program.ahead, self._program.now
        late = np.flatnonzero((now.delay < BLOCK - 1) & (now.source < self._simulator.number_of_nodes))
        early = len(now.source)
        if len(late) > _MOSTLY_LATE * early:
            early, late = 0, np.arange(early)
        self._edges = (
            *(ahead.rows, ahead.leaves, ahead.offset(columns), ahead.weight.astype(dtype)),
            *(now.rows, now.leaves, now.offset(columns), now.weight.astype(dtype), now.target, early, late),
        )

    def _take_noise(self, noise: Any) -> None:
        shape = self._states[0].shape
        self._colours = np.zeros((2, 1, 1))
        self._noise = noise
        stream = noise.random_stream if noise is not None else np.random.RandomState(0)  # noqa: NPY002 - TVB's
        needed = np.ones(shape, dtype=bool)
        if noise is not None:
            needed = np.broadcast_to(noise.nsig != 0.0, (*shape, 1))[..., 0]
            if self._program.step.coloured:
                needed = np.ones(shape, dtype=bool)
                self._colours = np.zeros((2, *shape))
                self._colours[0] = noise._eta[..., 0]
        self._normals = NormalStream(self._program.kernel.primitives, stream, needed.ravel())

    def advance(self, n: int, pulses: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        """Do n steps, at most `steps`.

        Parameters
        ----------
        pulses : (n, nodes) the stimulus of each step

        Returns
        -------
        (n, variables of interest, nodes) what monitors see; valid until the next call
        """
        program, normals = self._program, self._normals
        if self._column + n + BLOCK > self._window.shape[2]:
            program.kernel.primitives.slide(self._window, self._column - self._horizon, self._horizon)
            self._column = self._horizon
        program.kernel.run(
            n,
            self._step + 1,
            self._column,
            self._states,
            self._observed,
            self._afferents,
            self._simulator.history.buffer[..., 0],
            self._cvar,
            self._window,
            np.zeros((1, self._states.shape[2])) if pulses is None else pulses,
            self._colours,
            *self._edges,
            *(normals.key, normals.words, normals.used, normals.spare, normals.free),
            *(program.scalars, program.fields, program.loops),
        )
        self._step += n
        self._column += n
        return self._observed[:n]

    def afferents(self, n: int) -> NDArray[np.float64]:
        """What entered the nodes after each of the last n steps: (n, coupling variables, nodes).

        TVB shows monitors what will enter at the next step, so the last one is still to be computed: by TVB itself.
        """
        last = self._simulator._loop_compute_node_coupling(self._step + 1)[..., 0]
        return np.concatenate([self._afferents[1:n], last[np.newaxis]])

    def give_back(self) -> None:
        """Leave state, step and noise in the simulator as TVB's loop would."""
        simulator = self._simulator
        simulator.current_state[..., 0] = self._states[0]
        simulator.current_step = self._step
        if self._noise is not None:
            self._normals.put_back(self._noise.random_stream)
            if self._program.step.coloured:
                self._noise._eta = self._colours[0][..., np.newaxis].copy()


def _send(coupling: Any, past: NDArray[np.float32], *, dense: bool) -> Any:
    """`pre` of the past (times, coupling variables, nodes, modes)."""
    with np.errstate(all="ignore"):
        if dense:
            return coupling.pre(past, past)
        turned = past.transpose(1, 0, 2, 3)
        return coupling.pre(turned, turned).transpose(1, 0, 2, 3)
