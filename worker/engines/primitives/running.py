"""The loop over the steps of a simulation. What a step does to the nodes is a function of a kernel, called by address.

So one compiled loop serves every model, and a kernel is as small as its model. `worker.engines.program` calls it.
"""

# mypy: ignore-errors
import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from worker.engines.keeping import jit
from worker.engines.primitives.normals import fill_normals, turn
from worker.engines.primitives.sums import gather_ahead, gather_now, spread, sum_ahead, sum_now, sum_sources

#: Steps that are looked at ahead, and partial sums that a row may need at a time; as in `worker.engines.sums`.
_BLOCK, _DEPTH = 8, 16


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
def look_ahead(s, n, at, draws, window, tables, ahead, gathered, parts, normals, twister, tried, kept):
    """At the first of eight steps: what is known of them already."""
    ahead_rows, ahead_leaves, ahead_offset, ahead_weight, _, _, now_offset, _, _, early, _ = tables
    if s % _BLOCK == 0:
        flat, plane = window.reshape(-1), window.shape[1] * window.shape[2]
        sum_ahead(flat, plane, at, ahead_rows, ahead_leaves, ahead_offset, ahead_weight, ahead, parts)
        gather_ahead(flat, plane, at, now_offset, early, gathered)
        if draws:
            key, words, used, spare, free = twister
            fill_normals(key, words, used, spare, normals[: min(_BLOCK, n - s)].reshape(-1), free, tried, kept)


@jit
def advance(s, functions, modes, draws, normals, turned, total, sent, arrays):
    """Do step s for all nodes: quickly where the kernel can and the numbers allow it, else as it stands."""
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
        *(0, 0, 0, 0, 0, 0),
    )
    given = (states, total, source, colours, pulses, states, colours, afferents, observed, sent)
    given = (*given, scalars, fields, loops, work, work32)
    if functions[1] == 0 or call_kernel(functions[1], nodes, given, offsets) != 0:
        call_kernel(functions[0], nodes, given, offsets)
    return new


@jit
def remember(step, at, modes, state, history, cvar, sent, window):
    """What TVB's history keeps of a step, and what the nodes send."""
    past = history[step % history.shape[0]]
    for k in range(cvar.size):
        for i in range(state.shape[1]):
            past[k // modes, modes * i + k % modes] = np.float32(state[cvar[k], i])
    for r in range(sent.shape[0]):
        for i in range(sent.shape[1]):
            window[r, i, at] = sent[r, i]


@jit
def finish(n, states, colours):
    """The last state lies first."""
    if n % 2:
        states[0] = states[1]
        colours[0] = colours[1]


@jit
def run_sources(n, first, column, modes, rows, draws, functions, history, cvar, window, tables, twister, arrays):
    """Do n steps, where the coupling's `pre` needs the sources alone.

    Parameters
    ----------
    first : number of the first step; `column` is its place in the window
    rows : sums of each node
    draws : whether normals are drawn here
    functions : (3,) addresses of a kernel's functions: for nodes, for nodes quickly or 0, for edges or 0
    window, tables : see `worker.engines.past`
    twister : see `worker.engines.noise`
    arrays : see `advance`
    """
    states, colours = arrays[0], arrays[2]
    ahead_rows, _, _, _, now_rows, now_leaves, now_offset, now_weight, _, _, late = tables
    flat, plane = window.reshape(-1), window.shape[1] * window.shape[2]
    sources, nodes = window.shape[0], states.shape[2]
    ahead = np.zeros((sources, nodes, _BLOCK), window.dtype)
    gathered = np.zeros((sources, _BLOCK, now_offset.size), window.dtype)
    parts, part = np.empty(_DEPTH * _BLOCK, window.dtype), np.empty(_DEPTH, now_weight.dtype)
    total, sent = np.zeros((rows, nodes), now_weight.dtype), np.empty((sources, nodes), window.dtype)
    normals, turned = np.zeros((_BLOCK, *states.shape[1:])), np.zeros((1, *states.shape[1:]))
    tried, kept = np.empty((5, 156)), np.empty(157, np.int64)
    for s in range(n):
        at = column + s
        look_ahead(s, n, at, draws, window, tables, ahead, gathered, parts, normals, twister, tried, kept)
        sum_sources(
            *(flat, plane, at, s % _BLOCK, ahead_rows, ahead, now_rows, now_offset, now_weight, now_leaves, late),
            *(gathered, total, part),
        )
        new = advance(s, functions, modes, draws, normals, turned, total, sent, arrays)
        remember(first + s, at, modes, states[new], history, cvar, sent, window)
    finish(n, states, colours)


@jit
def run_edges(n, first, column, modes, rows, draws, functions, history, cvar, window, tables, twister, arrays):
    """Do n steps, where the coupling's `pre` is done for each edge; see `run_sources`."""
    states, colours, scalars, fields, loops, work, work32 = arrays[0], arrays[2], *arrays[6:]
    _, _, _, _, now_rows, now_leaves, now_offset, now_weight, now_target, _, late = tables
    flat, plane, edges = window.reshape(-1), window.shape[1] * window.shape[2], now_offset.size
    sources, nodes = window.shape[0], states.shape[2]
    ahead = np.zeros((sources, nodes, _BLOCK), window.dtype)
    gathered = np.zeros((sources, _BLOCK, edges), window.dtype)
    parts, part = np.empty(_DEPTH * _BLOCK, window.dtype), np.empty(_DEPTH, now_weight.dtype)
    total, sent = np.zeros((rows, nodes), now_weight.dtype), np.empty((sources, nodes), window.dtype)
    normals, turned = np.zeros((_BLOCK, *states.shape[1:])), np.zeros((1, *states.shape[1:]))
    tried, kept = np.empty((5, 156)), np.empty(157, np.int64)
    delayed, present = np.empty((sources, edges), np.float32), np.empty((sources, edges), np.float32)
    product = np.empty((rows, edges), now_weight.dtype)
    given = (delayed, present, product, scalars, fields, loops, work, work32)
    for s in range(n):
        at = column + s
        look_ahead(s, n, at, draws, window, tables, ahead, gathered, parts, normals, twister, tried, kept)
        gather_now(flat, plane, at, s % _BLOCK, now_offset, late, gathered)
        for k in range(sources):
            delayed[k] = gathered[k, s % _BLOCK]
            spread(states[s % 2, cvar[k]], now_target, present[k])
        call_kernel(functions[2], edges, given, (0, 0, 0, 0, 0, 0, 0, 0))
        for r in range(rows):
            sum_now(product[r], 0, now_rows, now_leaves, now_weight, total[r], part)
        new = advance(s, functions, modes, draws, normals, turned, total, sent, arrays)
        remember(first + s, at, modes, states[new], history, cvar, sent, window)
    finish(n, states, colours)
