"""What monitors keep between two samples. Called by `worker.engines.runtime.monitors`."""

import numpy as np
from numpy.typing import NDArray

from tvb_batch.worker.engines.jit_cache import jit

#: float64.
Values = NDArray[np.float64]
#: int64.
Wanted = NDArray[np.int64]


@jit
def add_to_buffer(buffer: Values, first: int, rows: Values, wanted: Wanted, out: Values, period: int) -> None:
    """Keep the last rows in TVB's averaging buffer; write the mean of its steps to `out` at every period.

    Parameters
    ----------
    buffer : (period, variables, nodes), changed
    first : number of the first step; step 1 is the first of a buffer
    rows : (n, all variables, nodes) what was observed
    wanted : (variables,) which of them
    out : (m, variables, nodes), written
    period : in steps
    """
    n, found, begin = rows.shape[0], 0, 0
    while begin < n:
        at = (first + begin - 1) % period
        many = min(period - at, n - begin)
        is_whole = many == period
        # What the next steps will fill again is not kept.
        if not is_whole or begin + 2 * period > n:
            keep(rows, begin, many, wanted, buffer, at)
        if is_whole:
            mean_of_rows(rows, begin, period, wanted, out[found])
        elif at + many == period:
            mean(buffer, out[found])
        found += at + many == period
        begin += many


@jit
def keep(rows: Values, begin: int, many: int, wanted: Wanted, buffer: Values, at: int) -> None:
    """Copy `many` rows from `begin` on into the buffer from `at` on."""
    for s in range(many):
        for k in range(wanted.size):
            for i in range(buffer.shape[2]):
                buffer[at + s, k, i] = rows[begin + s, wanted[k], i]


@jit
def mean_of_rows(rows: Values, begin: int, period: int, wanted: Wanted, out: Values) -> None:
    """Write NumPy's mean of consecutive rows, one row after the other, to `out`, (variables, nodes)."""
    for k in range(wanted.size):
        variable = wanted[k]
        for i in range(out.shape[1]):
            out[k, i] = rows[begin, variable, i]
        for s in range(begin + 1, begin + period):
            for i in range(out.shape[1]):
                out[k, i] += rows[s, variable, i]
        for i in range(out.shape[1]):
            out[k, i] /= period


@jit
def mean(buffer: Values, out: Values) -> None:
    """Write NumPy's mean of the buffer's steps to `out`, (variables, nodes)."""
    for k in range(out.shape[0]):
        for i in range(out.shape[1]):
            out[k, i] = buffer[0, k, i]
        for s in range(1, buffer.shape[0]):
            for i in range(out.shape[1]):
                out[k, i] += buffer[s, k, i]
        for i in range(out.shape[1]):
            out[k, i] /= buffer.shape[0]
