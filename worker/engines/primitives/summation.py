"""Weighted sums of what was sent, in NumPy's order.

`worker.engines.runtime.summation_plan` makes the tables that these functions walk.
"""

# mypy: ignore-errors
import numpy as np

from tvb_batch.worker.engines.codegen.jit_cache import jit
from tvb_batch.worker.engines.primitives.memory import at
from tvb_batch.worker.engines.primitives.simd import LANES, add_chain, add_eights, turn_eight


@jit
def sum_early(window, plane, column, early, array, lines):
    """Make the early sums for eight steps, of values that are known already, and put them into the lines of the steps.

    Parameters
    ----------
    window : flat values, `plane` of them for each variable that is coupled; the first step's place is `column`
    early : groups, places, parts of `sums.Sums`, offsets and weights of its early edges, and what its lines take
    array : (variables, size)
    lines : (variables, 8, places); one line for all steps where nothing is early
    """
    groups, places, parts, offset, weight, taken = early
    for variable in range(array.shape[0]):
        base = variable * plane + column
        out = array[variable]
        chain, p, e = 0, 0, 0
        for group in range(groups.shape[0]):
            many, of_parts, of_edges = groups[group, 0], groups[group, 1], groups[group, 2]
            for _ in range(many):
                add_chain(window, base, offset, weight, e, e + of_edges, out, parts, p, p + of_parts, at(places, chain))
                chain += 1
                p += of_parts
                e += of_edges
        line, size = lines[variable].reshape(-1), lines.shape[2]
        for place in range(0, taken.size, LANES):
            turn_eight(out, 0, taken, place, line, place, size)


@jit
def sum_sources(recent, s, late, lines, total):
    """Finish the sums of step s, where every edge carries what its source sent.

    Parameters
    ----------
    recent : what was sent at the last eight steps
    late : source, delay, weight of late edges and their places in a line; groups, copies, totals of `sums.Sums`, and
        where the sums of late chains begin
    total : (variables, targets)
    """
    (source, delay, weight, places), chains = late
    flat = recent.reshape(-1)
    for variable in range(total.shape[0]):
        line = lines[variable, s % lines.shape[1]]
        for k in range(weight.size):
            place = (((s - 1 - at(delay, k)) & (LANES - 1)) * recent.shape[1] + variable) * recent.shape[2]
            line[places[k]] = at(weight, k) * at(flat, place + at(source, k))
        finish_sums(line, chains, total[variable])


@jit
def sum_edges(of_edges, late, lines, total):
    """Make all sums of a step, where all edges are late, of what `pre` made of them."""
    (_, _, weight, places), chains = late
    product = of_edges[3]
    for variable in range(total.shape[0]):
        line = lines[variable, 0]
        for k in range(weight.size):
            line[places[k]] = at(weight, k) * product[variable, k]
        finish_sums(line, chains, total[variable])


@jit
def finish_sums(line, chains, total):
    """Make the late sums of a line, and give each target its own."""
    groups, copies, totals, sums = chains
    begin, copied = 0, 0
    for group in range(groups.shape[0]):
        end = begin + LANES * groups[group, 0]
        add_eights(line, begin, end, sums + LANES * group)
        begin = end
        while copied < groups[group, 1]:
            line[copies[copied, 1]] = line[copies[copied, 0]]
            copied += 1
    for i in range(total.size):
        total[i] = at(line, at(totals, i))


@jit
def gather(window, plane, column, s, recent, edges, of_edges):
    """What arrives along every edge at step s, whose place in the window is `column`.

    Parameters
    ----------
    edges : target and offset of every edge; then those whose delay is too short to be gathered for eight steps at once,
        their sources and delays
    of_edges : (variables, 8, edges) room for what is gathered, (variables, edges) for what arrives, for what is at the
        targets, and for what is made of both
    """
    (_, offset, late, source, delay), (gathered, delayed, _, _) = edges, of_edges
    flat, b = gathered.reshape(-1), s % LANES
    for variable in range(delayed.shape[0]):
        if b == 0:
            begin = variable * LANES * offset.size
            for edge in range(0, offset.size, LANES):
                turn_eight(window, variable * plane + column, offset, edge, flat, begin + edge, offset.size)
        out = delayed[variable]
        for k in range(offset.size):
            out[k] = gathered[variable, b, k]
        for k in range(late.size):
            out[late[k]] = recent[(s - 1 - delay[k]) & (LANES - 1), variable, source[k]]


@jit
def spread(state, edges, variable, of_edges):
    """Give every edge its target's state, in groups of eight edges of one target."""
    target, present = edges[0], of_edges[2]
    for group in range(target.size // LANES):
        value = np.float32(state[target[LANES * group]])
        for k in range(LANES):
            present[variable, LANES * group + k] = value


@jit
def take_recent(window, column, recent):
    """What was sent at the eight steps before a column of the window, as far as it is there."""
    for step in range(1, min(column, LANES) + 1):
        for variable in range(recent.shape[1]):
            for i in range(recent.shape[2]):
                recent[LANES - step, variable, i] = window[variable, i, column - step]


@jit
def put_recent(recent, steps, n, window, column):
    """Write what was sent at n steps into the window; `steps` says where each begins."""
    flat, out, wide = recent.reshape(-1), window.reshape(-1), window.shape[2]
    whole = recent.shape[2] // LANES * LANES if n == LANES else 0
    for variable in range(recent.shape[1]):
        for i in range(0, whole, LANES):
            begin = (variable * window.shape[1] + i) * wide + column
            turn_eight(flat, variable * recent.shape[2] + i, steps, 0, out, begin, wide)
        for i in range(whole, recent.shape[2]):
            for step in range(n):
                window[variable, i, column + step] = recent[step, variable, i]
