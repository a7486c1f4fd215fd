"""The loop over the steps of a simulation. What a step does to the nodes is a function of a kernel, called by address.

So one compiled loop serves every model, and a kernel is as small as its model. `worker.engines.runtime.program` calls
it.
"""

# mypy: ignore-errors
import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from tvb_batch.worker.engines.codegen.jit_cache import jit
from tvb_batch.worker.engines.primitives.normals import fill_normals, turn
from tvb_batch.worker.engines.primitives.summation import (
    gather,
    put_recent,
    spread,
    sum_early,
    sum_edges,
    sum_sources,
    take_recent,
)

#: Steps that are looked at together; as in `worker.engines.runtime.summation_plan`.
_BLOCK = 8


@intrinsic
def call_kernel(typingctx, function, n, arrays, offsets):
    """Call a function of a kernel with `n` and the address of one element of each array; gives what it returns."""
    signature = types.intp(types.intp, types.intp, arrays, offsets)

    def generate(context, builder, signature, arguments):
        function, n, arrays, offsets = arguments
        addresses = []
        for k, kind in enumerate(signature.args[2]):
            data = context.make_array(kind)(context, builder, builder.extract_value(arrays, k)).data
            addresses.append(builder.gep(data, [builder.extract_value(offsets, k)]))
        kind = ir.FunctionType(n.type, [n.type, *(address.type for address in addresses)])
        return builder.call(builder.inttoptr(function, kind.as_pointer()), [n, *addresses])

    return signature, generate


@jit
def draw_ahead(s, n, normals, twister, tries):
    """At the first of eight steps: the normals of all."""
    if s % _BLOCK == 0:
        fill_normals(twister, normals[: min(_BLOCK, n - s)].reshape(-1), tries)


@jit
def advance(s, functions, is_far, modes, draws, normals, turned, total, recent, arrays):
    """Do step s for all nodes: as for numbers near zero unless `is_far`; return whether some were not."""
    states, drawn, colours, pulses, afferents, observed, scalars, fields, loops, work, work32 = arrays
    source, at = drawn, s
    if draws:
        source, at = normals, s % _BLOCK
        if modes > 1:
            turn(normals[at].reshape(-1), modes, turned[0])
            source = turned
    size, nodes = states.shape[1] * states.shape[2], states.shape[2]
    coloured = colours.shape[1] * colours.shape[2]
    old, new = s % 2, 1 - s % 2
    offsets = (
        old * size,
        0,
        (at if source.shape[0] > 1 else 0) * size,
        old * coloured,
        (s if pulses.shape[0] > 1 else 0) * nodes,
        new * size,
        new * coloured,
        (s if afferents.shape[0] > 1 else 0) * afferents.shape[1] * nodes,
        s * observed.shape[1] * nodes,
        (s % _BLOCK) * recent.shape[1] * nodes,
        *(0, 0, 0, 0, 0),
    )
    given = (states, total, source, colours, pulses, states, colours, afferents, observed, recent)
    given = (*given, scalars, fields, loops, work, work32)
    if is_far or call_kernel(functions[1], nodes, given, offsets) != 0:
        call_kernel(functions[0], nodes, given, offsets)
        return True
    return False


@jit
def remember(s, first, modes, state, history, cvar):
    """What TVB's history keeps of step s."""
    past = history[(first + s) % history.shape[0]]
    for k in range(cvar.size):
        kept, mode = past[k // modes], k % modes
        for i in range(state.shape[1]):
            kept[modes * i + mode] = np.float32(state[cvar[k], i])


@jit
def pass_on(s, n, recent, steps, window, column):
    """After eight steps, or the last one, put what the nodes have sent into the window."""
    b = s % _BLOCK
    if b == _BLOCK - 1 or s == n - 1:
        put_recent(recent, steps, b + 1, window, column + s - b)


@jit
def finish(n, states, colours):
    """The last state lies first."""
    if n % 2:
        take_second(states)
        take_second(colours)


@jit
def take_second(both):
    flat, size = both.reshape(-1), both[0].size
    for k in range(size):
        flat[k] = flat[size + k]


@jit
def run_sources(n, first, column, modes, draws, functions, history, cvar, window, tables, twister, room, arrays):
    """Do n steps, where the coupling's `pre` needs the sources alone.

    Parameters
    ----------
    first : number of the first step; `column` is its place in the window
    draws : whether normals are drawn here
    functions : (3,) addresses of a kernel's functions: for nodes, for nodes near zero or 0, for edges or 0
    window, tables : see `worker.engines.runtime.delay_buffer`
    twister : see `worker.engines.runtime.random_state`
    room : see `worker.engines.runtime.program`
    arrays : see `advance`
    """
    (early, late, _, array, lines), (total, recent, steps, normals, turned, tries, _) = tables, room
    flat, plane = window.reshape(-1), window.shape[1] * window.shape[2]
    is_far = functions[1] == 0
    take_recent(window, column, recent)
    for s in range(n):
        if draws:
            draw_ahead(s, n, normals, twister, tries)
        if s % _BLOCK == 0:
            sum_early(flat, plane, column + s, early, array, lines)
        sum_sources(recent, s, late, lines, total)
        is_far = advance(s, functions, is_far, modes, draws, normals, turned, total, recent, arrays)
        remember(s, first, modes, arrays[0][1 - s % 2], history, cvar)
        pass_on(s, n, recent, steps, window, column)
    finish(n, arrays[0], arrays[2])


@jit
def run_edges(n, first, column, modes, draws, functions, history, cvar, window, tables, twister, room, arrays):
    """Do n steps, where the coupling's `pre` is done for each edge; see `run_sources`."""
    (_, late, edges, _, lines), (total, recent, steps, normals, turned, tries, of_edges) = tables, room
    states, scalars, fields, loops, work, work32 = arrays[0], *arrays[6:]
    flat, plane = window.reshape(-1), window.shape[1] * window.shape[2]
    is_far = functions[1] == 0
    take_recent(window, column, recent)
    for s in range(n):
        if draws:
            draw_ahead(s, n, normals, twister, tries)
        gather(flat, plane, column + s, s, recent, edges, of_edges)
        for k in range(recent.shape[1]):
            spread(states[s % 2, cvar[k]], edges, k, of_edges)
        combine(functions[2], edges, of_edges, (scalars, fields, loops, work, work32))
        sum_edges(of_edges, late, lines, total)
        is_far = advance(s, functions, is_far, modes, draws, normals, turned, total, recent, arrays)
        remember(s, first, modes, states[1 - s % 2], history, cvar)
        pass_on(s, n, recent, steps, window, column)
    finish(n, states, arrays[2])


@jit
def combine(function, edges, of_edges, shared):
    """What the coupling's `pre` makes of all edges."""
    _, delayed, present, product = of_edges
    call_kernel(function, edges[0].size, (delayed, present, product, *shared), (0, 0, 0, 0, 0, 0, 0, 0))
