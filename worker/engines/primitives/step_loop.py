"""The loop over the steps of a simulation. What a step does to the nodes is a function of a kernel, called by address.

So one compiled loop serves every model, and a kernel is as small as its model. `worker.engines.runtime.program` calls
it.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from tvb_batch.worker.engines.jit_cache import jit
from tvb_batch.worker.engines.primitives.arguments import (
    EdgeWorkspace,
    Network,
    NormalState,
    NormalWorkspace,
    Sent,
    StepArrays,
    StepWorkspace,
)
from tvb_batch.worker.engines.primitives.normals import fill_normals, turn
from tvb_batch.worker.engines.primitives.sizes import TIME_BLOCK
from tvb_batch.worker.engines.primitives.summation import (
    gather,
    put_recent,
    spread,
    sum_edges,
    sum_precomputed,
    sum_sources,
    take_recent,
)


@intrinsic
def call_kernel(typingctx: Any, function: Any, n: Any, arrays: Any, offsets: Any) -> Any:
    """Call a function of a kernel with `n` and the address of one element of each array; return what it returns.

    Parameters
    ----------
    function : its address
    arrays : in the order of the function's arguments, see `worker.engines.codegen.kernel_source`
    offsets : which element of each array, counted in its numbers
    """
    signature = types.intp(types.intp, types.intp, arrays, offsets)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        function, n, arrays, offsets = arguments
        addresses = []
        for k, kind in enumerate(signature.args[2]):
            data = context.make_array(kind)(context, builder, builder.extract_value(arrays, k)).data
            addresses.append(builder.gep(data, [builder.extract_value(offsets, k)]))
        kind = ir.FunctionType(n.type, [n.type, *(address.type for address in addresses)])
        return builder.call(builder.inttoptr(function, kind.as_pointer()), [n, *addresses])

    return signature, generate


@jit
def draw_ahead(s: int, n: int, normals: NDArray[np.float64], state: NormalState, workspace: NormalWorkspace) -> None:
    """Draw the normals of a block, (TIME_BLOCK, variables x modes, nodes), at its first step."""
    if s % TIME_BLOCK == 0:
        fill_normals(state, normals[: min(TIME_BLOCK, n - s)].reshape(-1), workspace)


@jit
def advance(
    s: int,
    functions: NDArray[np.int64],
    is_outside: bool,
    modes: int,
    draws: bool,
    workspace: StepWorkspace,
    arrays: StepArrays,
) -> bool:
    """Do step s for all nodes: with the quick form unless `is_outside`; return whether a number was out of its range.

    Parameters
    ----------
    functions : see `run_sources`
    draws : whether the normals are those of the workspace
    """
    states, coloured, stimulus = arrays.states, arrays.coloured, arrays.stimulus
    afferents, observed, recent = arrays.afferents, arrays.observed, workspace.recent
    source, at = arrays.drawn, s
    if draws:
        source, at = workspace.normals, s % TIME_BLOCK
        if modes > 1:
            turn(source[at].reshape(-1), modes, workspace.by_mode[0])
            source = workspace.by_mode
    size, nodes = states.shape[1] * states.shape[2], states.shape[2]
    colours = coloured.shape[1] * coloured.shape[2]
    old, new = s % 2, 1 - s % 2
    offsets = (
        old * size,
        0,
        (at if source.shape[0] > 1 else 0) * size,
        old * colours,
        (s if stimulus.shape[0] > 1 else 0) * nodes,
        new * size,
        new * colours,
        (s if afferents.shape[0] > 1 else 0) * afferents.shape[1] * nodes,
        s * observed.shape[1] * nodes,
        (s % TIME_BLOCK) * recent.shape[1] * nodes,
        *(0, 0, 0, 0, 0),
    )
    given = (
        *(states, workspace.total, source, coloured, stimulus, states, coloured, afferents, observed, recent),
        *(arrays.scalars, arrays.fields, arrays.loops, arrays.work, arrays.work32),
    )
    if is_outside or call_kernel(functions[1], nodes, given, offsets) != 0:
        call_kernel(functions[0], nodes, given, offsets)
        return True
    return False


@jit
def remember(
    s: int, first: int, modes: int, state: NDArray[np.float64], history: NDArray[np.float32], cvar: NDArray[np.int64]
) -> None:
    """Keep what TVB's history keeps of step s; `state` is (variables x modes, nodes)."""
    row = history[(first + s) % history.shape[0]]
    for k in range(cvar.size):
        kept, mode = row[k // modes], k % modes
        for i in range(state.shape[1]):
            kept[modes * i + mode] = np.float32(state[cvar[k], i])


@jit
def pass_on(s: int, n: int, recent: Sent, begins: NDArray[np.int64], window: Sent, column: int) -> None:
    """Write what nodes have sent into the delay buffer, after a block of steps or the last step; see `put_recent`."""
    b = s % TIME_BLOCK
    if b == TIME_BLOCK - 1 or s == n - 1:
        put_recent(recent, begins, b + 1, window, column + s - b)


@jit
def finish(n: int, states: NDArray[np.float64], coloured: NDArray[np.float64]) -> None:
    """Copy the last state, (2, variables x modes, nodes), to the first place; the same for coloured noise."""
    if n % 2:
        take_second(states)
        take_second(coloured)


@jit
def take_second(both: NDArray[np.float64]) -> None:
    """Copy `both[1]` to `both[0]`, (2, ...)."""
    flat, size = both.reshape(-1), both[0].size
    for k in range(size):
        flat[k] = flat[size + k]


@jit
def run_sources(
    n: int,
    first: int,
    column: int,
    modes: int,
    draws: bool,
    functions: NDArray[np.int64],
    network: Network,
    state: NormalState,
    workspace: StepWorkspace,
    arrays: StepArrays,
) -> None:
    """Do n steps, where the coupling's `pre` needs the sources alone.

    Parameters
    ----------
    first : number of the first step; `column` is its place in the window
    draws : whether normals are drawn here
    functions : (3,) addresses of a kernel's functions: for nodes, for nodes in the range of the quick form or 0, for
        edges or 0
    """
    window, tables, recent = network.window, network.tables, workspace.recent
    flat, plane = window.reshape(-1), window.shape[1] * window.shape[2]
    is_outside = functions[1] == 0
    take_recent(window, column, recent)
    for s in range(n):
        if draws:
            draw_ahead(s, n, workspace.normals, state, workspace.drawing)
        if s % TIME_BLOCK == 0:
            sum_precomputed(flat, plane, column + s, tables.precomputed, tables.sums, tables.lines)
        sum_sources(recent, s, tables.current, tables.lines, workspace.total)
        is_outside = advance(s, functions, is_outside, modes, draws, workspace, arrays)
        remember(s, first, modes, arrays.states[1 - s % 2], network.history, network.cvar)
        pass_on(s, n, recent, workspace.recent_begin, window, column)
    finish(n, arrays.states, arrays.coloured)


@jit
def run_edges(
    n: int,
    first: int,
    column: int,
    modes: int,
    draws: bool,
    functions: NDArray[np.int64],
    network: Network,
    state: NormalState,
    workspace: StepWorkspace,
    arrays: StepArrays,
) -> None:
    """Do n steps, where the coupling's `pre` is done for each edge; see `run_sources`."""
    window, tables, recent, edges = network.window, network.tables, workspace.recent, workspace.edges
    flat, plane = window.reshape(-1), window.shape[1] * window.shape[2]
    is_outside = functions[1] == 0
    take_recent(window, column, recent)
    for s in range(n):
        if draws:
            draw_ahead(s, n, workspace.normals, state, workspace.drawing)
        gather(flat, plane, column + s, s, recent, tables.edges, edges)
        for k in range(recent.shape[1]):
            spread(arrays.states[s % 2, network.cvar[k]], tables.edges.target, k, edges.present)
        shared = (arrays.scalars, arrays.fields, arrays.loops, arrays.work, arrays.work32)
        combine(functions[2], tables.edges.target.size, edges, shared)
        sum_edges(edges.product, tables.current, tables.lines, workspace.total)
        is_outside = advance(s, functions, is_outside, modes, draws, workspace, arrays)
        remember(s, first, modes, arrays.states[1 - s % 2], network.history, network.cvar)
        pass_on(s, n, recent, workspace.recent_begin, window, column)
    finish(n, arrays.states, arrays.coloured)


@jit
def combine(function: int, n_edges: int, edges: EdgeWorkspace, shared: Any) -> None:
    """Do the coupling's `pre` for all edges.

    Parameters
    ----------
    function : its address in the kernel
    shared : the last arguments of every function of a kernel, see `worker.engines.codegen.emit`
    """
    call_kernel(function, n_edges, (edges.delayed, edges.present, edges.product, *shared), (0, 0, 0, 0, 0, 0, 0, 0))
