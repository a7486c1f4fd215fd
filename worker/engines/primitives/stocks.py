"""What monitors keep between two samples. Called by `worker.engines.watchers`."""

# mypy: ignore-errors
from worker.engines.keeping import jit


@jit
def stock_up(stock, first, rows, wanted, out, period):
    """Keep each step's row in TVB's stock, and write the mean of the stock to `out` at every period; return how many.

    Parameters
    ----------
    stock : (period, variables, nodes)
    first : number of the first step
    rows : (n, all variables, nodes) what was observed
    wanted : (variables,) which of them
    out : (m, variables, nodes)
    """
    found = 0
    for s in range(rows.shape[0]):
        at = (first + s) % period
        place = stock[at - 1 if at else period - 1]
        for k in range(wanted.size):
            for i in range(place.shape[1]):
                place[k, i] = rows[s, wanted[k], i]
        if at == 0:
            mean(stock, out[found])
            found += 1
    return found


@jit
def mean(stock, out):
    """NumPy's mean of the first axis: one row after the other."""
    for variable in range(out.shape[0]):
        for i in range(out.shape[1]):
            out[variable, i] = stock[0, variable, i]
    for k in range(1, stock.shape[0]):
        for variable in range(out.shape[0]):
            for i in range(out.shape[1]):
                out[variable, i] += stock[k, variable, i]
    for variable in range(out.shape[0]):
        for i in range(out.shape[1]):
            out[variable, i] /= stock.shape[0]
