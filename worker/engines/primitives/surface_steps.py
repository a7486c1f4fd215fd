"""Steps of a cortical surface: vertices that are coupled at once to their neighbours, and with delays by regions.

Called by `worker.engines.runtime.surface`, which tells what tiles are; `worker.engines.frontend.local_coupling` makes
the tables.
"""

import numpy as np
from numpy.typing import NDArray

from tvb_batch.worker.engines.jit_cache import jit
from tvb_batch.worker.engines.primitives.arguments import (
    Neighbours,
    Network,
    NormalState,
    NormalWorkspace,
    Sent,
    Sheet,
    SurfaceArrays,
    SurfaceFunctions,
    SurfaceWorkspace,
)
from tvb_batch.worker.engines.primitives.memory import at
from tvb_batch.worker.engines.primitives.normals import fill_normals
from tvb_batch.worker.engines.primitives.sizes import SIMD_WIDTH, TIME_BLOCK
from tvb_batch.worker.engines.primitives.step_loop import call_kernel, combine, finish, pass_on
from tvb_batch.worker.engines.primitives.summation import (
    gather,
    spread,
    sum_edges,
    sum_precomputed,
    sum_sources,
    take_recent,
)


@jit
def sum_neighbours(values: NDArray[np.float64], out: NDArray[np.float64], neighbours: Neighbours) -> None:
    """Add up the weighted neighbours of every vertex, each in the order of its row of the matrix.

    The vertices of a group need not wait for each other.

    Parameters
    ----------
    values, out : flat, from the first vertex on; only the numbers of vertices are read and written
    """
    begins, columns, weights = neighbours.begins, neighbours.columns, neighbours.weights
    rests, rest_columns, rest_weights = neighbours.rests, neighbours.rest_columns, neighbours.rest_weights
    for group in range(begins.size - 1):
        a = b = c = d = e = f = g = h = 0.0
        for k in range(SIMD_WIDTH * begins[group], SIMD_WIDTH * begins[group + 1], SIMD_WIDTH):
            a += at(weights, k) * at(values, at(columns, k))
            b += at(weights, k + 1) * at(values, at(columns, k + 1))
            c += at(weights, k + 2) * at(values, at(columns, k + 2))
            d += at(weights, k + 3) * at(values, at(columns, k + 3))
            e += at(weights, k + 4) * at(values, at(columns, k + 4))
            f += at(weights, k + 5) * at(values, at(columns, k + 5))
            g += at(weights, k + 6) * at(values, at(columns, k + 6))
            h += at(weights, k + 7) * at(values, at(columns, k + 7))
        lane = SIMD_WIDTH * group
        for total in (a, b, c, d, e, f, g, h):
            for k in range(at(rests, lane), at(rests, lane + 1)):
                total += at(rest_weights, k) * at(values, at(rest_columns, k))
            out[at(neighbours.vertices, lane)] = total
            lane += 1


@jit
def divide(sums: NDArray[np.float64], sizes: NDArray[np.float64]) -> None:
    """Divide sums, (rows, regions), by the sizes of the regions, in place."""
    for k in range(sums.shape[0]):
        for r in range(sizes.size):
            sums[k, r] /= sizes[r]


@jit
def draw(
    normals: NDArray[np.float64],
    state: NormalState,
    modes: int,
    nodes: int,
    drawn: NDArray[np.float64],
    workspace: NormalWorkspace,
) -> None:
    """Draw the normals of a step into tiles, (tiles, variables x modes, wide).

    Parameters
    ----------
    drawn : (variables x nodes x modes,) memory: the normals in TVB's order
    """
    fill_normals(state, drawn, workspace)
    wide = normals.shape[2]
    for tile in range(normals.shape[0]):
        start = tile * wide
        for k in range(normals.shape[1]):
            first = (k // modes) * modes * nodes + k % modes
            for i in range(min(wide, nodes - start)):
                normals[tile, k, i] = drawn[first + modes * (start + i)]


@jit
def deliver(total: Sent, region: NDArray[np.int64], entering: Sent) -> None:
    """Give what arrives in a region, (rows, regions), to all its vertices, (tiles, rows, wide)."""
    wide = entering.shape[2]
    for tile in range(entering.shape[0]):
        start = tile * wide
        for r in range(total.shape[0]):
            for i in range(min(wide, region.size - start)):
                entering[tile, r, i] = total[r, region[start + i]]


@jit
def show(tile: NDArray[np.float64], many: int, rows: NDArray[np.float64], start: int) -> None:
    """Copy `many` numbers of a tile, (rows, wide), to where monitors see them, (rows, vertices), from `start` on."""
    for k in range(rows.shape[0]):
        for i in range(many):
            rows[k, start + i] = tile[k, i]


@jit
def advance_stages(
    s: int,
    stages: NDArray[np.int64],
    sums: NDArray[np.int64],
    source: NDArray[np.float64],
    sheet: Sheet,
    cvar: NDArray[np.int64],
    workspace: SurfaceWorkspace,
    arrays: SurfaceArrays,
) -> int:
    """Do step s for all vertices; return how often a quick form was out of its range, after which nothing is valid.

    Parameters
    ----------
    stages : addresses of the kernel's functions
    sums : see `SurfaceFunctions`
    source : (tiles, variables x modes, wide) normals
    """
    states, coloured, stimulus = arrays.states, arrays.coloured, arrays.stimulus
    entering, means, region = workspace.entering, workspace.means, sheet.region
    tiles, wide = states.shape[1], states.shape[3]
    size, colours = states[0].size, coloured[0].size
    old, new = s % 2, 1 - s % 2
    step = s if stimulus.shape[1] > 1 else 0
    given = (
        *(states, entering, source, coloured, stimulus, states, coloured, workspace.afferent, workspace.seen),
        *(workspace.recent, arrays.scalars, arrays.fields, arrays.loops, arrays.work, arrays.work32),
    )
    flat, row = arrays.work.reshape(-1), wide
    for k in range(means.shape[0]):
        for r in range(means.shape[1]):
            means[k, r] = 0.0
    outside = 0
    for stage in range(stages.size):
        for tile in range(tiles):
            offsets = (
                old * size + tile * states[0, 0].size,
                tile * entering[0].size,
                tile * source[0].size,
                old * colours + tile * coloured[0, 0].size,
                (tile * stimulus.shape[1] + step) * wide if stimulus.shape[0] > 1 else 0,
                new * size + tile * states[0, 0].size,
                new * colours + tile * coloured[0, 0].size,
                *(0, 0, 0, 0),
                tile * arrays.fields[0].size,
                0,
                tile * arrays.work[0].size,
                tile * arrays.work32[0].size,
            )
            outside += call_kernel(stages[stage], wide, given, offsets)
            if stage == stages.size - 1:
                start = tile * wide
                many = min(wide, region.size - start)
                show(workspace.seen, many, arrays.observed[s], start)
                if arrays.afferents.shape[0] > 1:
                    show(workspace.afferent, many, arrays.afferents[s], start)
                for k in range(cvar.size):
                    coupled = states[new, tile, cvar[k]]
                    for i in range(many):
                        means[k, region[start + i]] += coupled[i]
        for k in range(sums.shape[0]):
            if sums[k, 0] == stage:
                sum_neighbours(flat[sums[k, 1] * row :], flat[sums[k, 2] * row :], sheet.neighbours)
    return outside


@jit
def run_surface(
    n: int,
    first: int,
    column: int,
    modes: int,
    draws: bool,
    functions: SurfaceFunctions,
    sheet: Sheet,
    network: Network,
    state: NormalState,
    workspace: SurfaceWorkspace,
    arrays: SurfaceArrays,
) -> None:
    """Do n steps; see `step_loop.run_sources`."""
    window, tables, history, cvar = network.window, network.tables, network.history, network.cvar
    recent, edges, mean = workspace.recent, workspace.edges, workspace.kept_means
    scalars, loops, work, work32 = arrays.scalars, arrays.loops, arrays.other_work, arrays.other_work32
    flat, plane = window.reshape(-1), window.shape[1] * window.shape[2]
    is_outside = functions.quick.size == 0
    recall(history[(first - 1) % history.shape[0]], modes, mean)
    take_recent(window, column, recent)
    for s in range(n):
        if functions.others[0] != 0:
            gather(flat, plane, column + s, s, recent, tables.edges, edges)
            for k in range(recent.shape[1]):
                spread(mean[k], tables.edges.target, k, edges.present)
            combine(functions.others[0], tables.edges.target.size, edges, (scalars, work, loops, work, work32))
            sum_edges(edges.product, tables.current, tables.lines, workspace.total)
        else:
            if s % TIME_BLOCK == 0:
                sum_precomputed(flat, plane, column + s, tables.precomputed, tables.sums, tables.lines)
            sum_sources(recent, s, tables.current, tables.lines, workspace.total)
        deliver(workspace.total, sheet.region, workspace.entering)
        if draws:
            draw(workspace.normals, state, modes, sheet.region.size, workspace.drawn, workspace.drawing)
        source = workspace.normals if draws else arrays.drawn[s if arrays.drawn.shape[0] > 1 else 0]
        left = (source, sheet, cvar, workspace, arrays)
        if is_outside or advance_stages(s, functions.quick, functions.quick_sums, *left) != 0:
            # What was out of range at one step is not tried at the next ones.
            is_outside = True
            advance_stages(s, functions.exact, functions.sums, *left)
        divide(workspace.means, sheet.sizes)
        note(workspace.means, modes, history[(first + s) % history.shape[0]], mean)
        offsets = (0, (s % TIME_BLOCK) * recent[0].size, 0, 0, 0, 0, 0)
        call_kernel(functions.others[1], sheet.sizes.size, (mean, recent, scalars, work, loops, work, work32), offsets)
        pass_on(s, n, recent, workspace.recent_begin, window, column)
    finish(n, arrays.states, arrays.coloured)


@jit
def recall(history: NDArray[np.float32], modes: int, mean: NDArray[np.float32]) -> None:
    """Read what TVB's history keeps of a step into `mean`, (coupling variables x modes, regions)."""
    for k in range(mean.shape[0]):
        for i in range(mean.shape[1]):
            mean[k, i] = history[k // modes, modes * i + k % modes]


@jit
def note(means: NDArray[np.float64], modes: int, history: NDArray[np.float32], mean: NDArray[np.float32]) -> None:
    """Write means to TVB's history, and to `mean` as the kernel reads them, (coupling variables x modes, regions)."""
    for k in range(mean.shape[0]):
        for i in range(mean.shape[1]):
            mean[k, i] = np.float32(means[k, i])
            history[k // modes, modes * i + k % modes] = mean[k, i]
