"""Weighted sums of what was sent, in NumPy's order.

`worker.engines.runtime.summation_plan` makes the tables that these functions walk.
"""

import numpy as np
from numpy.typing import NDArray

from tvb_batch.worker.engines.jit_cache import jit
from tvb_batch.worker.engines.primitives.arguments import (
    CurrentStepSums,
    EdgeTables,
    EdgeWorkspace,
    PrecomputedSums,
    Sent,
)
from tvb_batch.worker.engines.primitives.memory import at
from tvb_batch.worker.engines.primitives.simd import add_chain, add_lanes, transpose_lanes
from tvb_batch.worker.engines.primitives.sizes import SIMD_WIDTH, TIME_BLOCK


@jit
def sum_precomputed(window: Sent, plane: int, column: int, plan: PrecomputedSums, sums: Sent, lines: Sent) -> None:
    """Sum numbers of TIME_BLOCK steps that are known already, and put the sums into the lines of the steps.

    Parameters
    ----------
    window : the delay buffer, flat; `plane` numbers of it for each row; the first step's place is `column`
    sums : (rows, size)
    lines : (rows, TIME_BLOCK, places); one line for all steps where nothing is precomputed
    """
    for row in range(sums.shape[0]):
        base = row * plane + column
        out = sums[row]
        chain, p, e = 0, 0, 0
        for group in range(plan.groups.shape[0]):
            many, of_parts, of_edges = plan.groups[group, 0], plan.groups[group, 1], plan.groups[group, 2]
            for _ in range(many):
                to = at(plan.places, chain)
                add_chain(window, base, plan.offset, plan.weight, e, e + of_edges, out, plan.parts, p, p + of_parts, to)
                chain += 1
                p += of_parts
                e += of_edges
        line, size = lines[row].reshape(-1), lines.shape[2]
        for place in range(0, plan.line_parts.size, SIMD_WIDTH):
            transpose_lanes(out, 0, plan.line_parts, place, line, place, size)


@jit
def sum_sources(recent: Sent, s: int, plan: CurrentStepSums, lines: Sent, total: Sent) -> None:
    """Finish the sums of step s, where every edge carries what its source sent.

    Parameters
    ----------
    recent : (TIME_BLOCK, rows, nodes) what was sent at the last steps
    total : (rows, targets)
    """
    flat = recent.reshape(-1)
    for row in range(total.shape[0]):
        line = lines[row, s % lines.shape[1]]
        for k in range(plan.weight.size):
            step = (s - 1 - at(plan.delay, k)) & (TIME_BLOCK - 1)
            place = (step * recent.shape[1] + row) * recent.shape[2]
            line[plan.places[k]] = at(plan.weight, k) * at(flat, place + at(plan.source, k))
        finish_sums(line, plan, total[row])


@jit
def sum_edges(product: Sent, plan: CurrentStepSums, lines: Sent, total: Sent) -> None:
    """Make all sums of a step of what `pre` made of each edge: `product`, (rows, edges)."""
    for row in range(total.shape[0]):
        line = lines[row, 0]
        for k in range(plan.weight.size):
            line[plan.places[k]] = at(plan.weight, k) * product[row, k]
        finish_sums(line, plan, total[row])


@jit
def finish_sums(line: Sent, plan: CurrentStepSums, total: Sent) -> None:
    """Make the sums of a line, (places,), and give each target its own: `total`, (targets,)."""
    begin, copied = 0, 0
    for group in range(plan.groups.shape[0]):
        end = begin + SIMD_WIDTH * plan.groups[group, 0]
        add_lanes(line, begin, end, plan.first_sum + SIMD_WIDTH * group)
        begin = end
        while copied < plan.groups[group, 1]:
            line[plan.copies[copied, 1]] = line[plan.copies[copied, 0]]
            copied += 1
    for i in range(total.size):
        total[i] = at(line, at(plan.totals, i))


@jit
def gather(
    window: Sent, plane: int, column: int, s: int, recent: Sent, tables: EdgeTables, workspace: EdgeWorkspace
) -> None:
    """Put what arrives along every edge at step s, whose place in the window is `column`, into `workspace.delayed`.

    Parameters
    ----------
    window, plane, recent : as `sum_precomputed` and `sum_sources` take them
    """
    gathered, delayed, offset = workspace.gathered, workspace.delayed, tables.offset
    flat, b = gathered.reshape(-1), s % TIME_BLOCK
    for row in range(delayed.shape[0]):
        if b == 0:
            begin = row * TIME_BLOCK * offset.size
            for edge in range(0, offset.size, SIMD_WIDTH):
                transpose_lanes(window, row * plane + column, offset, edge, flat, begin + edge, offset.size)
        out = delayed[row]
        for k in range(offset.size):
            out[k] = gathered[row, b, k]
        for k in range(tables.recent.size):
            step = (s - 1 - tables.recent_delay[k]) & (TIME_BLOCK - 1)
            out[tables.recent[k]] = recent[step, row, tables.recent_source[k]]


@jit
def spread(state: Sent, target: NDArray[np.int64], row: int, present: NDArray[np.float32]) -> None:
    """Give every edge its target's state; SIMD_WIDTH edges that follow each other have one target.

    Parameters
    ----------
    state : (nodes,)
    target : (edges,)
    present : (rows, edges), of which `row` is written
    """
    for group in range(target.size // SIMD_WIDTH):
        value = np.float32(state[target[SIMD_WIDTH * group]])
        for k in range(SIMD_WIDTH):
            present[row, SIMD_WIDTH * group + k] = value


@jit
def take_recent(window: Sent, column: int, recent: Sent) -> None:
    """Read what was sent at the TIME_BLOCK steps before a column of the window, as far as it is there."""
    for step in range(1, min(column, TIME_BLOCK) + 1):
        for row in range(recent.shape[1]):
            for i in range(recent.shape[2]):
                recent[TIME_BLOCK - step, row, i] = window[row, i, column - step]


@jit
def put_recent(recent: Sent, begins: NDArray[np.int64], n: int, window: Sent, column: int) -> None:
    """Write what was sent at n steps, `recent`, into the delay buffer, `window`, from a column on.

    Parameters
    ----------
    recent : (TIME_BLOCK, rows, nodes)
    begins : (TIME_BLOCK,) where in `recent` each step begins
    window : (rows, nodes + 1, columns)
    """
    flat, out, wide = recent.reshape(-1), window.reshape(-1), window.shape[2]
    whole = recent.shape[2] // SIMD_WIDTH * SIMD_WIDTH if n == TIME_BLOCK else 0
    for row in range(recent.shape[1]):
        for i in range(0, whole, SIMD_WIDTH):
            begin = (row * window.shape[1] + i) * wide + column
            transpose_lanes(flat, row * recent.shape[2] + i, begins, 0, out, begin, wide)
        for i in range(whole, recent.shape[2]):
            for step in range(n):
                window[row, i, column + step] = recent[step, row, i]
