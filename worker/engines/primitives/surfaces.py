"""Steps of a cortical surface: vertices that are coupled at once to their neighbours, and with delays by regions.

Called by `worker.engines.vertices`, which tells what tiles are; `worker.engines.neighbours` makes the tables.
"""

# mypy: ignore-errors
import numpy as np
from numba.core import types
from numba.extending import intrinsic

from worker.engines.keeping import jit
from worker.engines.primitives.normals import fill_normals
from worker.engines.primitives.running import call_kernel, finish, look_ahead
from worker.engines.primitives.sums import gather_now, spread, sum_now, sum_sources

_BLOCK, _DEPTH, _LANES = 8, 16, 8


@intrinsic
def at(typingctx, array, k):
    """An element of a flat array, counted from the first one: without a question about negative numbers."""
    signature = array.dtype(array, types.intp)

    def generate(context, builder, signature, arguments):
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.load(builder.gep(data, [arguments[1]]))

    return signature, generate


@jit
def sum_neighbours(values, out, neighbours):
    """Add up the weighted neighbours of every vertex, each in the order of its row of the matrix.

    Parameters
    ----------
    values, out : flat, from the first vertex on
    neighbours : see `worker.engines.neighbours`; eight vertices at a time, which need not wait for each other
    """
    begins, columns, weights, rests, rest_columns, rest_weights, vertices = neighbours
    for group in range(begins.size - 1):
        a = b = c = d = e = f = g = h = 0.0
        for k in range(_LANES * begins[group], _LANES * begins[group + 1], _LANES):
            a += at(weights, k) * at(values, at(columns, k))
            b += at(weights, k + 1) * at(values, at(columns, k + 1))
            c += at(weights, k + 2) * at(values, at(columns, k + 2))
            d += at(weights, k + 3) * at(values, at(columns, k + 3))
            e += at(weights, k + 4) * at(values, at(columns, k + 4))
            f += at(weights, k + 5) * at(values, at(columns, k + 5))
            g += at(weights, k + 6) * at(values, at(columns, k + 6))
            h += at(weights, k + 7) * at(values, at(columns, k + 7))
        lane = _LANES * group
        for total in (a, b, c, d, e, f, g, h):
            for k in range(at(rests, lane), at(rests, lane + 1)):
                total += at(rest_weights, k) * at(values, at(rest_columns, k))
            out[at(vertices, lane)] = total
            lane += 1


@jit
def average(rows, region, sizes, out):
    """The mean of each region's vertices, added up in their order.

    Parameters
    ----------
    rows : (n, vertices)
    out : (n, regions)
    """
    out[:] = 0.0
    for i in range(region.size):
        for k in range(rows.shape[0]):
            out[k, region[i]] += rows[k, i]
    divide(out, sizes)


@jit
def divide(sums, sizes):
    """Means of sums."""
    for k in range(sums.shape[0]):
        for r in range(sizes.size):
            sums[k, r] /= sizes[r]


@jit
def draw(normals, twister, modes, nodes, room, tried, kept):
    """The normals of a step, in tiles."""
    key, words, used, spare, free = twister
    fill_normals(key, words, used, spare, room, free, tried, kept)
    wide = normals.shape[2]
    for tile in range(normals.shape[0]):
        start = tile * wide
        for k in range(normals.shape[1]):
            first = (k // modes) * modes * nodes + k % modes
            for i in range(min(wide, nodes - start)):
                normals[tile, k, i] = room[first + modes * (start + i)]


@jit
def deliver(total, region, entering):
    """What arrives in a region is for all its vertices."""
    wide = entering.shape[2]
    for tile in range(entering.shape[0]):
        start = tile * wide
        for r in range(total.shape[0]):
            for i in range(min(wide, region.size - start)):
                entering[tile, r, i] = total[r, region[start + i]]


@jit
def advance_stages(s, stages, sums, source, entering, sent, means, region, cvar, neighbours, made, arrays):
    """Do step s for all vertices; return how often a quick form was not allowed, after which nothing is valid.

    Parameters
    ----------
    stages : addresses of the kernel's functions
    sums : (n, 3) after which stage, the row of the values, the row of the sums of their neighbours
    made : room for a tile's afferents and observed variables
    """
    states, _, colours, pulses, afferents, observed, scalars, fields, loops, (work, work32), _ = arrays
    afferent, seen = made
    tiles, wide = states.shape[1], states.shape[3]
    size, coloured = states[0].size, colours[0].size
    old, new = s % 2, 1 - s % 2
    pulse = s if pulses.shape[1] > 1 else 0
    given = (states, entering, source, colours, pulses, states, colours, afferent, seen, sent)
    given = (*given, scalars, fields, loops, work, work32)
    flat, row = work.reshape(-1), wide
    means[:] = 0.0
    far = 0
    for stage in range(stages.size):
        for tile in range(tiles):
            offsets = (
                old * size + tile * states[0, 0].size,
                tile * entering[0].size,
                tile * source[0].size,
                old * coloured + tile * colours[0, 0].size,
                (tile * pulses.shape[1] + pulse) * wide if pulses.shape[0] > 1 else 0,
                new * size + tile * states[0, 0].size,
                new * coloured + tile * colours[0, 0].size,
                *(0, 0, 0, 0),
                tile * fields[0].size,
                0,
                tile * work[0].size,
                tile * work32[0].size,
            )
            far += call_kernel(stages[stage], wide, given, offsets)
            if stage == stages.size - 1:
                start = tile * wide
                many = min(wide, region.size - start)
                for k in range(observed.shape[1]):
                    observed[s, k, start : start + many] = seen[k, :many]
                if afferents.shape[0] > 1:
                    for k in range(afferents.shape[1]):
                        afferents[s, k, start : start + many] = afferent[k, :many]
                for k in range(cvar.size):
                    coupled = states[new, tile, cvar[k]]
                    for i in range(many):
                        means[k, region[start + i]] += coupled[i]
        for k in range(sums.shape[0]):
            if sums[k, 0] == stage:
                sum_neighbours(flat[sums[k, 1] * row :], flat[sums[k, 2] * row :], neighbours)
    return far


@jit
def run_surface(n, first, column, modes, rows, draws, history, cvar, window, tables, twister, sheet, arrays):
    """Do n steps; see `running.run_sources`."""
    others, exact, sums, quick, quick_sums, region, sizes, neighbours = sheet
    states, drawn, colours, _, _, observed, scalars, _, loops, _, (work, work32) = arrays
    ahead_rows, _, _, _, now_rows, now_leaves, now_offset, now_weight, now_target, _, late = tables
    flat, plane, edges = window.reshape(-1), window.shape[1] * window.shape[2], now_offset.size
    sources, nodes, regions = window.shape[0], region.size, sizes.size
    tiles, wide = states.shape[1], states.shape[3]
    ahead = np.zeros((sources, regions, _BLOCK), window.dtype)
    gathered = np.zeros((sources, _BLOCK, edges), window.dtype)
    parts, part = np.empty(_DEPTH * _BLOCK, window.dtype), np.empty(_DEPTH, now_weight.dtype)
    total, entering = np.zeros((rows, regions), now_weight.dtype), np.zeros((tiles, rows, wide), now_weight.dtype)
    normals, room = np.zeros(states.shape[1:]), np.zeros(states.shape[2] * nodes if draws else 0)
    tried, kept = np.empty((5, 156)), np.empty(157, np.int64)
    delayed, present = np.empty((sources, edges), np.float32), np.empty((sources, edges), np.float32)
    product = np.empty((rows, edges), now_weight.dtype)
    means, mean = np.empty((cvar.size, regions)), np.empty((cvar.size, regions), np.float32)
    sent = np.empty((sources, regions), window.dtype)
    made = np.empty((arrays[4].shape[1], wide)), np.empty((observed.shape[1], wide))
    is_far = quick.size == 0
    recall(history[(first - 1) % history.shape[0]], modes, mean)
    for s in range(n):
        at = column + s
        look_ahead(s, n, at, False, window, tables, ahead, gathered, parts, normals, twister, tried, kept)
        if others[0] != 0:
            gather_now(flat, plane, at, s % _BLOCK, now_offset, late, gathered)
            for k in range(sources):
                delayed[k] = gathered[k, s % _BLOCK]
                spread(mean[k], now_target, present[k])
            given = (delayed, present, product, scalars, work, loops, work, work32)
            call_kernel(others[0], edges, given, (0, 0, 0, 0, 0, 0, 0, 0))
            for r in range(rows):
                sum_now(product[r], 0, now_rows, now_leaves, now_weight, total[r], part)
        else:
            sum_sources(
                *(flat, plane, at, s % _BLOCK, ahead_rows, ahead, now_rows, now_offset, now_weight, now_leaves, late),
                *(gathered, total, part),
            )
        deliver(total, region, entering)
        if draws:
            draw(normals, twister, modes, nodes, room, tried, kept)
        source = normals if draws else drawn[s if drawn.shape[0] > 1 else 0]
        left = (source, entering, sent, means, region, cvar, neighbours, made, arrays)
        if is_far or advance_stages(s, quick, quick_sums, *left) != 0:
            # What was not allowed at one step is not tried at the next ones.
            is_far = True
            advance_stages(s, exact, sums, *left)
        divide(means, sizes)
        note(means, modes, history[(first + s) % history.shape[0]], mean)
        call_kernel(others[1], regions, (mean, sent, scalars, work, loops, work, work32), (0, 0, 0, 0, 0, 0, 0))
        for r in range(sources):
            for i in range(regions):
                window[r, i, at] = sent[r, i]
    finish(n, states, colours)


@jit
def recall(past, modes, mean):
    """What TVB's history keeps of a step: (coupling variables x modes, regions)."""
    for k in range(mean.shape[0]):
        for i in range(mean.shape[1]):
            mean[k, i] = past[k // modes, modes * i + k % modes]


@jit
def note(means, modes, past, mean):
    """Keep means as TVB's history does, and as the kernel reads them."""
    for k in range(mean.shape[0]):
        for i in range(mean.shape[1]):
            mean[k, i] = np.float32(means[k, i])
            past[k // modes, modes * i + k % modes] = mean[k, i]
