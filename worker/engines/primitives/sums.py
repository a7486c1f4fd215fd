"""Weighted sums of what was sent, in NumPy's order; `worker.engines.sums` makes the tables these functions walk."""

# mypy: ignore-errors
import numpy as np

from worker.engines.keeping import jit
from worker.engines.primitives.leaves import BLOCK, LANES, gather_group, leaf_ahead, leaf_now


@jit
def sum_ahead(window, plane, s, rows, leaves, offset, weight, out, stack):
    """Sum whole rows for the steps s .. s + 7, from values that are known already.

    Parameters
    ----------
    window : flat values, `plane` of them for each variable that is coupled
    rows : (n, 4) target, first edge or -1, first leaf, last leaf + 1
    leaves : (m, 5) first group, last group + 1, first single edge, last + 1, sums that this leaf ends
    out : (variables, targets, 8)
    stack : room for 8 partial sums of 8 steps
    """
    wide = 8 if window.itemsize == 4 else 4
    for variable in range(out.shape[0]):
        for row in range(rows.shape[0]):
            target, first = rows[row, 0], rows[row, 1]
            for part in range(0, BLOCK, wide):
                base = variable * plane + s + part
                depth = 0
                for leaf in range(rows[row, 2], rows[row, 3]):
                    m0, m1, t0, t1 = leaves[leaf, 0], leaves[leaf, 1], leaves[leaf, 2], leaves[leaf, 3]
                    leaf_ahead(window, base, offset, weight, m0, m1, t0, t1, stack, depth * wide)
                    depth += 1
                    for _ in range(leaves[leaf, 4]):
                        depth -= 1
                        for k in range(wide):
                            stack[(depth - 1) * wide + k] += stack[depth * wide + k]
                for k in range(wide):
                    total = stack[k] if depth else weight.dtype.type(0.0)
                    if first >= 0:
                        one = weight[first] * window[base + offset[first] + k]
                        total = one + stack[k] if depth else one
                    out[variable, target, part + k] = total


@jit
def sum_now(values, base, rows, leaves, weight, out, stack):
    """Sum whole rows at one step; `values[base + e]` is the value of edge e, `out` is (targets,)."""
    for row in range(rows.shape[0]):
        target, first = rows[row, 0], rows[row, 1]
        depth = 0
        for leaf in range(rows[row, 2], rows[row, 3]):
            m0, m1, t0, t1 = leaves[leaf, 0], leaves[leaf, 1], leaves[leaf, 2], leaves[leaf, 3]
            stack[depth] = leaf_now(values, base, weight, m0, m1, t0, t1)
            depth += 1
            for _ in range(leaves[leaf, 4]):
                depth -= 1
                stack[depth - 1] += stack[depth]
        total = stack[0] if depth else weight.dtype.type(0.0)
        if first >= 0:
            one = weight[first] * values[base + first]
            total = one + stack[0] if depth else one
        out[target] = total


@jit
def gather_ahead(window, plane, s, offset, ahead, out):
    """Copy the steps s .. s + 7 of the first `ahead` edges, a multiple of eight, to `out` (variables, 8, edges)."""
    flat = out.reshape(-1)
    for variable in range(out.shape[0]):
        base = variable * plane + s
        for edge in range(0, ahead, LANES):
            gather_group(window, base, offset, edge, flat, variable * BLOCK * out.shape[2], out.shape[2])


@jit
def gather_now(window, plane, s, b, offset, late, out):
    """Copy step s of the edges `late`, whose delay is too short to be gathered ahead, to row b of `out`."""
    for variable in range(out.shape[0]):
        base = variable * plane + s
        for k in range(late.size):
            out[variable, b, late[k]] = window[base + offset[late[k]]]


@jit
def sum_sources(window, plane, s, b, ahead_rows, ahead, now, offset, weight, leaves, late, gathered, total, part):
    """Sum all rows for step b of eight that were looked at ahead, where every edge carries what its source sent.

    Parameters
    ----------
    ahead_rows, ahead : rows that were summed ahead, and their sums (variables, targets, 8)
    now, leaves : rows to be summed now
    total : (variables, targets)
    """
    gather_now(window, plane, s, b, offset, late, gathered)
    flat = gathered.reshape(-1)
    for variable in range(total.shape[0]):
        sum_now(flat, (BLOCK * variable + b) * offset.size, now, leaves, weight, total[variable], part)
    add_ahead(ahead_rows, ahead, b, total)


@jit
def add_ahead(rows, ahead, b, total):
    """Put the sums of step b that were made ahead beside the others."""
    for variable in range(total.shape[0]):
        for row in range(rows.shape[0]):
            total[variable, rows[row, 0]] = ahead[variable, rows[row, 0], b]


@jit
def spread(state, target, out):
    """Give every edge its target's state, in groups of eight edges of one target."""
    for group in range(target.size // LANES):
        value = np.float32(state[target[LANES * group]])
        for k in range(LANES):
            out[LANES * group + k] = value


@jit
def slide(window, n, horizon):
    """Move the last `horizon` of `horizon + n` columns to the front: (variables, sources, columns)."""
    for variable in range(window.shape[0]):
        for source in range(window.shape[1]):
            row = window[variable, source]
            for k in range(horizon):
                row[k] = row[k + n]
