"""What nodes have sent so far, and the sums of it that are about to arrive. Called by `program` and `hybrid`.

A window holds what every node sent during the longest delay, a column for each step, and room for the steps to come;
it slides when it is full. Edges whose delay is long enough are gathered or summed for eight steps at once.
"""

from collections import OrderedDict
from hashlib import sha256
from itertools import groupby
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tvb_batch.worker.engines.frontend.coupling import TracedCoupling
from tvb_batch.worker.engines.passes.graph import UntraceableError
from tvb_batch.worker.engines.runtime.summation_plan import BLOCK, LANES, Edges, Order, Sums, make_sums

#: Room for at least so many steps, so that the window slides seldom.
_LEAST_ROOM = 1024

_SUMS: OrderedDict[bytes, Sums] = OrderedDict()


def network_sums(simulator: Any, coupling: TracedCoupling) -> tuple[bytes, Sums]:
    """A name for the network, and how it is summed; jobs of a sweep share the last ones."""
    history, modes = simulator.history, simulator.model.number_of_modes
    order: Order = "reduceat" if not coupling.dense else "pairwise" if modes == 1 else "sequence"
    parts = (history.nnz_mask, history.nnz_weights, history.nnz_idelays)
    text = f"{order} {coupling.by_edge}".encode()
    key = sha256(text + b"".join(np.ascontiguousarray(part).tobytes() for part in parts)).digest()
    if key not in _SUMS:
        target, source = np.nonzero(history.nnz_mask)
        weight = history.nnz_weights.astype(np.float32)
        delay = history.nnz_idelays.astype(np.int64)
        edges = Edges(target, source, delay, weight, simulator.connectivity.number_of_regions)
        late = np.flatnonzero(delay < BLOCK - 1)
        _SUMS[key] = make_sums(edges, _in_groups(target) if coupling.by_edge else late, order)
        if len(_SUMS) > 4:
            _SUMS.popitem(last=False)
    return key, _SUMS[key]


def _in_groups(target: NDArray[np.int64]) -> NDArray[np.int64]:
    """All edges, those of each target in groups of eight; -1 where one is not full."""
    places: list[int] = []
    for _, edges in groupby(range(len(target)), key=lambda edge: target[edge]):
        places += edges
        places += [-1] * (-len(places) % LANES)
    return np.array(places, dtype=np.int64)


def check_silence(simulator: Any) -> None:
    """TVB multiplies what it finds at places without weight, `pre` of 0, by 0: that must be 0.

    Raises
    ------
    UntraceableError
        It is not.
    """
    nothing = np.zeros((1, len(simulator.model.cvar), 1, 1), dtype=np.float32)
    with np.errstate(all="ignore"):
        if not np.isfinite(simulator.coupling.pre(nothing, nothing)).all():
            raise UntraceableError("a coupling that is infinite without activity")


def send(coupling: Any, states: NDArray[np.float32], *, dense: bool) -> NDArray[Any]:
    """`pre` of states (times, coupling variables, nodes, modes), as TVB's own coupling does it."""
    with np.errstate(all="ignore"):
        if dense:
            return np.asarray(coupling.pre(states, states))
        turned = states.transpose(1, 0, 2, 3)
        return np.asarray(coupling.pre(turned, turned)).transpose(1, 0, 2, 3)


class Past:
    """The past of a simulator."""

    def __init__(self, simulator: Any, coupling: TracedCoupling, steps: int) -> None:
        """Begin at the simulator's current step; `steps` is how many are done at most before `make_room`."""
        self._by_edge = coupling.by_edge
        self._horizon = int(simulator.history.n_time)
        nodes = simulator.connectivity.number_of_regions
        dtype = np.dtype(np.float64 if coupling.dtype == "d" else np.float32)
        sent_dtype = np.dtype(np.float32) if coupling.by_edge else dtype
        order = np.arange(simulator.current_step - self._horizon + 1, simulator.current_step + 1) % self._horizon
        sent = simulator.history.buffer[order]
        if not coupling.by_edge:
            sent = send(simulator.coupling, sent, dense=coupling.dense)
        columns = self._horizon + max(steps, self._horizon, _LEAST_ROOM) + BLOCK
        # Rows that lie a multiple of 4096 bytes apart would fight for the same places of the cache.
        columns += 24 if columns * sent_dtype.itemsize % 4096 < 128 else 0
        every = range(sent.shape[1] * sent.shape[3])
        rows = every if coupling.by_edge else coupling.rows
        #: (rows, nodes + 1, columns); the row after the last node stays zero, for edges that fill up a group.
        self.window = np.zeros((len(rows), nodes + 1, columns), dtype=sent_dtype)
        for place, row in enumerate(rows):
            variable, mode = divmod(row, sent.shape[3])
            self.window[place, :nodes, : self._horizon] = sent[:, variable, :, mode].T
        #: Of the step to come.
        self.column = self._horizon
        _, sums = network_sums(simulator, coupling)
        early, late, sums_of = sums.early_edges, sums.late_edges, len(coupling.product)
        soon = np.flatnonzero((late.delay < BLOCK - 1) & (late.source < nodes))
        #: As the kernel's `run` takes them: of early sums, of late ones, how late edges are gathered where that is
        #: asked for, and the array and the lines of each row.
        self.tables = (
            (
                *(sums.early_groups, sums.early_places, sums.early_parts),
                *(early.offset(columns), early.weight.astype(sent_dtype), sums.line_parts),
            ),
            (
                (late.source, late.delay, late.weight.astype(dtype), sums.late_places),
                (sums.late_groups, sums.copies, sums.totals, sums.late_sums),
            ),
            (late.target, late.offset(columns), soon, late.source[soon], late.delay[soon]),
            np.tile(sums.array.astype(sent_dtype), (sums_of, 1)),
            np.tile(sums.line.astype(dtype), (sums_of, BLOCK if len(sums.line_parts) else 1, 1)),
        )

    @property
    def edges(self) -> int:
        """How many edges are late, with gaps."""
        return len(self.tables[2][0])

    def rooms(self) -> tuple[NDArray[Any], ...]:
        """For the sums of a step, for what was sent at the last eight steps, and where each of these begins."""
        lines, (rows, nodes, _) = self.tables[4], self.window.shape
        recent = np.zeros((BLOCK, rows, nodes - 1), dtype=self.window.dtype)
        total = np.zeros((len(lines), nodes - 1), dtype=lines.dtype)
        return total, recent, np.arange(BLOCK) * recent[0].size

    def rooms_of_edges(self) -> tuple[NDArray[Any], ...]:
        """For what arrives along edges, also of eight steps, what is at their targets, and what is made of both."""
        rows, lines, edges = len(self.window), self.tables[4], self.edges if self._by_edge else 0
        arriving = (np.zeros(shape, dtype=self.window.dtype) for shape in ((rows, BLOCK, edges), (rows, edges)))
        return (*arriving, np.zeros((rows, edges), np.float32), np.zeros((len(lines), edges), dtype=lines.dtype))

    def make_room(self, n: int) -> None:
        """Slide when the window is too full for n more steps."""
        if self.column + n + BLOCK > self.window.shape[2]:
            self.window[:, :, : self._horizon] = self.window[:, :, self.column - self._horizon : self.column]
            self.column = self._horizon


class Arrivals:
    """The sums of the past, a step at a time."""

    def __init__(self, past: Past, primitives: ModuleType) -> None:
        self._past, self._primitives, self._asked = past, primitives, 0
        self.total, self._recent, _ = past.rooms()
        self._of_edges = past.rooms_of_edges()

    def sum_sources(self) -> None:
        """Sum what arrives at the coming step into `total`."""
        flat, plane, column, b = self._begin()
        early, late, _, array, lines = self._past.tables
        if b == 0:
            self._primitives.sum_early(flat, plane, column, early, array, lines)
        self._primitives.sum_sources(self._recent, b, late, lines, self.total)

    def gather(self) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """What arrives along each edge, (rows, edges), and the edges' targets."""
        flat, plane, column, b = self._begin()
        edges = self._past.tables[2]
        self._primitives.gather(flat, plane, column, b, self._recent, edges, self._of_edges)
        return self._of_edges[1], edges[0]

    def sum_edges(self, products: NDArray[Any]) -> None:
        """Sum what `pre` made of each edge, (rows, edges), into `total`."""
        _, late, _, _, lines = self._past.tables
        self._primitives.sum_edges((*self._of_edges[:3], products), late, lines, self.total)

    def send(self, values: NDArray[Any]) -> None:
        """What the nodes send at the coming step, (rows, nodes); the step after it is the coming one then."""
        past = self._past
        past.window[:, : values.shape[1], past.column] = values
        past.column += 1
        self._recent[(self._asked - 1) % BLOCK] = values

    def _begin(self) -> tuple[NDArray[Any], int, int, int]:
        """The window, flat, how much of it is a row's, the coming step's column, and which of eight steps it is."""
        past, b = self._past, self._asked % BLOCK
        self._asked += 1
        if b == 0:
            past.make_room(BLOCK)
            self._primitives.take_recent(past.window, past.column, self._recent)
        return past.window.reshape(-1), past.window[0].size, past.column, b
