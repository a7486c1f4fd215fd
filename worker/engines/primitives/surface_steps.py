"""Steps of a cortical surface: vertices that are coupled at once to their neighbours, and with delays by regions.

Called by `worker.engines.runtime.surface`, which tells what tiles are; `worker.engines.frontend.local_coupling` makes
the tables.
"""

# mypy: ignore-errors
import numpy as np

from tvb_batch.worker.engines.codegen.jit_cache import jit
from tvb_batch.worker.engines.primitives.memory import at
from tvb_batch.worker.engines.primitives.normals import fill_normals
from tvb_batch.worker.engines.primitives.step_loop import call_kernel, combine, finish, pass_on
from tvb_batch.worker.engines.primitives.summation import gather, spread, sum_early, sum_edges, sum_sources, take_recent

_BLOCK, _LANES = 8, 8


@jit
def sum_neighbours(values, out, neighbours):
    """Add up the weighted neighbours of every vertex, each in the order of its row of the matrix.

    Parameters ---------- values, out : flat, from the first vertex on neighbours : see
    `worker.engines.frontend.local_coupling`; eight vertices at a time, which need not wait for each other
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
def divide(sums, sizes):
    """Means of sums."""
    for k in range(sums.shape[0]):
        for r in range(sizes.size):
            sums[k, r] /= sizes[r]


@jit
def draw(normals, twister, modes, nodes, room, tries):
    """The normals of a step, in tiles."""
    fill_normals(twister, room, tries)
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
def show(tile, many, rows, start):
    """Put the numbers of a tile where monitors see them."""
    for k in range(rows.shape[0]):
        for i in range(many):
            rows[k, start + i] = tile[k, i]


@jit
def advance_stages(s, stages, sums, source, entering, recent, means, region, cvar, neighbours, made, arrays):
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
    given = (states, entering, source, colours, pulses, states, colours, afferent, seen, recent)
    given = (*given, scalars, fields, loops, work, work32)
    flat, row = work.reshape(-1), wide
    for k in range(means.shape[0]):
        for r in range(means.shape[1]):
            means[k, r] = 0.0
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
                show(seen, many, observed[s], start)
                if afferents.shape[0] > 1:
                    show(afferent, many, afferents[s], start)
                for k in range(cvar.size):
                    coupled = states[new, tile, cvar[k]]
                    for i in range(many):
                        means[k, region[start + i]] += coupled[i]
        for k in range(sums.shape[0]):
            if sums[k, 0] == stage:
                sum_neighbours(flat[sums[k, 1] * row :], flat[sums[k, 2] * row :], neighbours)
    return far


@jit
def run_surface(n, first, column, modes, draws, history, cvar, window, tables, twister, room, sheet, arrays):
    """Do n steps; see `running.run_sources`."""
    others, exact, sums, quick, quick_sums, region, sizes, neighbours = sheet
    states, drawn, _, _, _, _, scalars, _, loops, _, (work, work32) = arrays
    early, late, edges, array, lines = tables
    total, recent, steps, normals, random, tries, of_edges, entering, (means, mean), made = room
    flat, plane = window.reshape(-1), window.shape[1] * window.shape[2]
    is_far = quick.size == 0
    recall(history[(first - 1) % history.shape[0]], modes, mean)
    take_recent(window, column, recent)
    for s in range(n):
        if others[0] != 0:
            gather(flat, plane, column + s, s, recent, edges, of_edges)
            for k in range(recent.shape[1]):
                spread(mean[k], edges, k, of_edges)
            combine(others[0], edges, of_edges, (scalars, work, loops, work, work32))
            sum_edges(of_edges, late, lines, total)
        else:
            if s % _BLOCK == 0:
                sum_early(flat, plane, column + s, early, array, lines)
            sum_sources(recent, s, late, lines, total)
        deliver(total, region, entering)
        if draws:
            draw(normals, twister, modes, region.size, random, tries)
        source = normals if draws else drawn[s if drawn.shape[0] > 1 else 0]
        left = (source, entering, recent, means, region, cvar, neighbours, made, arrays)
        if is_far or advance_stages(s, quick, quick_sums, *left) != 0:
            # What was not allowed at one step is not tried at the next ones.
            is_far = True
            advance_stages(s, exact, sums, *left)
        divide(means, sizes)
        note(means, modes, history[(first + s) % history.shape[0]], mean)
        offsets = (0, (s % _BLOCK) * recent[0].size, 0, 0, 0, 0, 0)
        call_kernel(others[1], sizes.size, (mean, recent, scalars, work, loops, work, work32), offsets)
        pass_on(s, n, recent, steps, window, column)
    finish(n, states, arrays[2])


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
