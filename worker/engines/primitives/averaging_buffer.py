"""What monitors keep between two samples. Called by `worker.engines.runtime.monitors`."""

# mypy: ignore-errors
from tvb_batch.worker.engines.codegen.jit_cache import jit


@jit
def stock_up(stock, first, rows, wanted, out, period):
    """Keep the last rows in TVB's stock, and write the mean of a stock's steps to `out` at every period.

    Parameters
    ----------
    stock : (period, variables, nodes)
    first : number of the first step; step 1 is the first of a stock
    rows : (n, all variables, nodes) what was observed
    wanted : (variables,) which of them
    out : (m, variables, nodes)
    """
    n, found, begin = rows.shape[0], 0, 0
    while begin < n:
        at = (first + begin - 1) % period
        many = min(period - at, n - begin)
        is_whole = many == period
        # What the next steps will fill again is not kept.
        if not is_whole or begin + 2 * period > n:
            keep(rows, begin, many, wanted, stock, at)
        if is_whole:
            mean_of_rows(rows, begin, period, wanted, out[found])
        elif at + many == period:
            mean(stock, out[found])
        found += at + many == period
        begin += many


@jit
def keep(rows, begin, many, wanted, stock, at):
    """Put rows into the stock from `at` on."""
    for s in range(many):
        for k in range(wanted.size):
            for i in range(stock.shape[2]):
                stock[at + s, k, i] = rows[begin + s, wanted[k], i]


@jit
def mean_of_rows(rows, begin, period, wanted, out):
    """NumPy's mean of consecutive rows: one row after the other."""
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
def mean(stock, out):
    """The same of a stock."""
    for k in range(out.shape[0]):
        for i in range(out.shape[1]):
            out[k, i] = stock[0, k, i]
        for s in range(1, stock.shape[0]):
            for i in range(out.shape[1]):
                out[k, i] += stock[s, k, i]
        for i in range(out.shape[1]):
            out[k, i] /= stock.shape[0]
