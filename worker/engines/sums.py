"""The edges of a network in the order in which NumPy adds them up.

`add.reduceat` adds the first edge of a row to the pairwise sum of the others; `sum` over a whole row takes all sources
pairwise, where those without weight add nothing but keep their place. The pairwise sum has eight lanes up to 128
numbers, and halves what is longer. Read by `worker.engines.primitives`, which walks these tables.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

#: As in `worker.engines.primitives`: steps done at once, and lanes of NumPy's pairwise sum.
BLOCK, LANES = 8, 8
#: Up to so many numbers NumPy sums in one go.
_LEAF = 128
#: A row may need so many partial sums at a time; enough for 2**10 leaves.
DEPTH = 16


Order = Literal["reduceat", "pairwise", "sequence"]


@dataclass(frozen=True)
class Edges:
    """Connections with a weight, by target and then by source."""

    target: NDArray[np.int64]
    source: NDArray[np.int64]
    delay: NDArray[np.int64]
    weight: NDArray[np.float32]
    nodes: int


@dataclass(frozen=True)
class Table:
    """Rows of the weighted sum; see `primitives.sum_ahead` for the columns."""

    rows: NDArray[np.int64]
    leaves: NDArray[np.int64]
    #: For each edge of the table: target, source (`nodes` for a place that is empty), delay, weight.
    target: NDArray[np.int64]
    source: NDArray[np.int64]
    delay: NDArray[np.int64]
    weight: NDArray[np.float64]

    def offset(self, columns: int) -> NDArray[np.int32]:
        """Where each edge's value lies in a window (sources, columns), before the column of the step."""
        return (self.source * columns - 1 - self.delay).astype(np.int32)


def split_rows(edges: Edges, *, order: Order, ahead: bool) -> tuple[Table, Table]:
    """A table of the rows that can be summed for BLOCK steps at once, and one of those that cannot.

    Parameters
    ----------
    order : in which TVB sums a row: `reduceat` over its edges, or `pairwise` or in `sequence` over all sources
    ahead : False puts all rows into the second table
    """
    slow = np.ones(edges.nodes, dtype=bool)
    if ahead:
        slow = np.zeros(edges.nodes, dtype=bool)
        slow[edges.target[edges.delay < BLOCK - 1]] = True
    return _table(edges, np.flatnonzero(~slow), order), _table(edges, np.flatnonzero(slow), order)


def _table(edges: Edges, targets: NDArray[np.int64], order: Order) -> Table:
    starts = np.searchsorted(edges.target, np.arange(edges.nodes + 1))
    # Rows of one length after another: the processor guesses the ends of loops better.
    lengths = starts[targets + 1] - starts[targets]
    targets = targets[np.argsort(lengths, kind="stable")]
    rows: list[tuple[int, int, int, int]] = []
    leaves: list[tuple[int, int, int, int, int]] = []
    places: list[int] = []
    owners: list[int] = []
    for target in targets:
        own = np.arange(starts[target], starts[target + 1])
        if order == "pairwise":
            # Whole row: which edge stands at each source, -1 where none does.
            line = np.full(edges.nodes, -1)
            line[edges.source[own]] = own
        else:
            line = own[1:] if order == "reduceat" else own
        first_leaf = len(leaves)
        if len(own):
            leaves += _leaves(line, places, pairs=order != "sequence") if len(line) else []
        first = -1
        if order == "reduceat" and len(own):
            first = len(places)
            places.append(int(own[0]))
        rows.append((int(target), first, first_leaf, len(leaves)))
        _fill_up(places)
        owners += [int(target)] * (len(places) - len(owners))
    return _finish(edges, rows, leaves, np.array(places, dtype=np.int64), np.array(owners, dtype=np.int64))


def _leaves(line: NDArray[np.int64], places: list[int], *, pairs: bool) -> list[tuple[int, int, int, int, int]]:
    found = []
    for start, stop, ends in pairwise(0, len(line)) if pairs else [(0, len(line), 0)]:
        part = line[start:stop]
        whole = len(part) - len(part) % LANES if pairs else 0
        lanes = part[:whole].reshape(-1, LANES)
        _fill_up(places)
        group = len(places) // LANES
        if whole:
            packed = _pack(lanes)
            places += packed.ravel().tolist()
        groups = len(places) // LANES
        tail = [int(edge) for edge in part[whole:] if edge >= 0]
        found.append((group, groups, len(places), len(places) + len(tail), ends))
        places += tail
    return found


def _pack(lanes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Move the edges of each lane up over places that are empty: adding nothing changes no sum."""
    order = np.argsort(lanes < 0, axis=0, kind="stable")
    packed = np.take_along_axis(lanes, order, axis=0)
    return packed[: int((packed >= 0).any(axis=1).sum())]


def _fill_up(places: list[int]) -> None:
    """Groups of eight begin at a multiple of eight."""
    places += [-1] * (-len(places) % LANES)


def pairwise(start: int, stop: int) -> list[tuple[int, int, int]]:
    """The leaves of NumPy's pairwise sum in order: start, stop, and how many sums of two parts end with it."""
    if stop - start <= _LEAF:
        return [(start, stop, 0)]
    half = (stop - start) // 2
    half -= half % LANES
    parts = pairwise(start, start + half) + pairwise(start + half, stop)
    last = parts.pop()
    return [*parts, (last[0], last[1], last[2] + 1)]


def _finish(
    edges: Edges,
    rows: list[tuple[int, int, int, int]],
    leaves: list[tuple[int, int, int, int, int]],
    places: NDArray[np.int64],
    owners: NDArray[np.int64],
) -> Table:
    empty = places < 0
    which = np.where(empty, 0, places)

    def pick(values: NDArray[np.generic], missing: float) -> NDArray[np.generic]:
        if not len(edges.target):
            return np.full(len(places), missing, dtype=values.dtype)
        return np.where(empty, values.dtype.type(missing), values[which])

    return Table(
        rows=np.array(rows, dtype=np.int64).reshape(-1, 4),
        leaves=np.array(leaves, dtype=np.int64).reshape(-1, 5),
        target=owners,
        source=pick(edges.source, edges.nodes).astype(np.int64),
        delay=pick(edges.delay, 0).astype(np.int64),
        weight=pick(edges.weight, 0.0).astype(np.float64),
    )
