"""What nodes have sent, and the delayed input that arrives. Called by `program` and `hybrid`.

A window holds what every node sent during the longest delay, a column for each step, and columns for the steps to come.
It slides when it is full. Edges whose delay is long enough are gathered or summed for TIME_BLOCK steps at once.
"""

from hashlib import sha256
from itertools import groupby
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tvb_batch.worker.bounded_cache import BoundedCache
from tvb_batch.worker.engines.frontend.coupling import TracedCoupling
from tvb_batch.worker.engines.graph import UntraceableError
from tvb_batch.worker.engines.primitives.arguments import (
    DelayTables,
    EdgeTables,
    EdgeWorkspace,
)
from tvb_batch.worker.engines.primitives.sizes import SIMD_WIDTH, TIME_BLOCK
from tvb_batch.worker.engines.runtime.summation_plan import Edges, Order, SummationPlan, make_plan

#: Columns for at least so many steps to come, so that the window slides seldom.
_LEAST_COLUMNS = 1024

_PLANS: BoundedCache[bytes, SummationPlan] = BoundedCache(4)


class NetworkPlan(NamedTuple):
    """How a network is summed."""

    #: Tells networks apart.
    key: bytes
    plan: SummationPlan


class EdgeInput(NamedTuple):
    """What arrives along edges."""

    #: (rows, edges)
    delayed: NDArray[np.float32]
    #: (edges,) where it arrives
    target: NDArray[np.int64]


def network_plan(simulator: Any, coupling: TracedCoupling) -> NetworkPlan:
    """Return how a simulator's network is summed; jobs of a sweep share the last plans."""
    history, modes = simulator.history, simulator.model.number_of_modes
    order: Order = "reduceat" if not coupling.dense else "pairwise" if modes == 1 else "sequence"
    parts = (history.nnz_mask, history.nnz_weights, history.nnz_idelays)
    text = f"{order} {coupling.by_edge}".encode()
    key = sha256(text + b"".join(np.ascontiguousarray(part).tobytes() for part in parts)).digest()
    plan = _PLANS.get(key)
    if plan is None:
        target, source = np.nonzero(history.nnz_mask)
        weight = history.nnz_weights.astype(np.float32)
        delay = history.nnz_idelays.astype(np.int64)
        edges = Edges(target, source, delay, weight, simulator.connectivity.number_of_regions)
        current = np.flatnonzero(delay < TIME_BLOCK - 1)
        plan = make_plan(edges, _in_groups(target) if coupling.by_edge else current, order)
        _PLANS.put(key, plan)
    return NetworkPlan(key, plan)


def _in_groups(target: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return all edges, those of each target in groups of SIMD_WIDTH; -1 where a group is not full."""
    places: list[int] = []
    for _, edges in groupby(range(len(target)), key=lambda edge: target[edge]):
        places += edges
        places += [-1] * (-len(places) % SIMD_WIDTH)
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


def apply_pre(coupling: Any, states: NDArray[np.float32], *, dense: bool) -> NDArray[Any]:
    """Return `pre` of states (times, coupling variables, nodes, modes), as TVB's own coupling does it."""
    with np.errstate(all="ignore"):
        if dense:
            return np.asarray(coupling.pre(states, states))
        turned = states.transpose(1, 0, 2, 3)
        return np.asarray(coupling.pre(turned, turned)).transpose(1, 0, 2, 3)


class DelayBuffer:
    """What the nodes of a simulator have sent."""

    def __init__(self, simulator: Any, coupling: TracedCoupling, steps: int) -> None:
        """Begin at the simulator's current step; `steps` is how many are done at most before `reserve`."""
        self._by_edge = coupling.by_edge
        self._horizon = int(simulator.history.n_time)
        nodes = simulator.connectivity.number_of_regions
        dtype = np.dtype(np.float64 if coupling.dtype == "d" else np.float32)
        sent_dtype = np.dtype(np.float32) if coupling.by_edge else dtype
        order = np.arange(simulator.current_step - self._horizon + 1, simulator.current_step + 1) % self._horizon
        sent = simulator.history.buffer[order]
        if not coupling.by_edge:
            sent = apply_pre(simulator.coupling, sent, dense=coupling.dense)
        columns = self._horizon + max(steps, self._horizon, _LEAST_COLUMNS) + TIME_BLOCK
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
        plan = network_plan(simulator, coupling).plan
        current, products = plan.current_edges, len(coupling.product)
        recent = np.flatnonzero((current.delay < TIME_BLOCK - 1) & (current.source < nodes))
        self.tables = DelayTables(
            precomputed=plan.precomputed(columns, sent_dtype),
            current=plan.current(dtype),
            edges=EdgeTables(
                target=current.target,
                offset=current.offset(columns),
                recent=recent,
                recent_source=current.source[recent],
                recent_delay=current.delay[recent],
            ),
            sums=np.tile(plan.sums.astype(sent_dtype), (products, 1)),
            lines=plan.make_lines(products, dtype),
        )

    @property
    def edges(self) -> int:
        """Return how many edges are done at each step, with gaps."""
        return len(self.tables.edges.target)

    def make_total(self) -> NDArray[Any]:
        """Return memory for the delayed input of a step, (rows, nodes)."""
        lines = self.tables.lines
        return np.zeros((len(lines), self.window.shape[1] - 1), dtype=lines.dtype)

    def make_recent(self) -> NDArray[Any]:
        """Return memory for what was sent at the last steps, (TIME_BLOCK, rows, nodes)."""
        rows, nodes, _ = self.window.shape
        return np.zeros((TIME_BLOCK, rows, nodes - 1), dtype=self.window.dtype)

    def make_edge_workspace(self) -> EdgeWorkspace:
        """Return memory for the numbers of edges; for none where `pre` needs the sources alone."""
        rows, lines, edges = len(self.window), self.tables.lines, self.edges if self._by_edge else 0
        return EdgeWorkspace(
            gathered=np.zeros((rows, TIME_BLOCK, edges), dtype=self.window.dtype),
            delayed=np.zeros((rows, edges), dtype=self.window.dtype),
            present=np.zeros((rows, edges), np.float32),
            product=np.zeros((len(lines), edges), dtype=lines.dtype),
        )

    def reserve(self, n: int) -> None:
        """Slide when the window is too full for n more steps."""
        if self.column + n + TIME_BLOCK > self.window.shape[2]:
            self.window[:, :, : self._horizon] = self.window[:, :, self.column - self._horizon : self.column]
            self.column = self._horizon


class DelayedInput:
    """The delayed input of a network, a step at a time."""

    def __init__(self, buffer: DelayBuffer, primitives: ModuleType) -> None:
        self._buffer, self._primitives, self._asked = buffer, primitives, 0
        #: (rows, nodes)
        self.total = buffer.make_total()
        self._recent = buffer.make_recent()
        self._edges = buffer.make_edge_workspace()

    def sum_sources(self) -> None:
        """Sum what arrives at the coming step into `total`."""
        place, tables = self._begin(), self._buffer.tables
        if place.b == 0:
            window = (place.window, place.plane, place.column)
            self._primitives.sum_precomputed(*window, tables.precomputed, tables.sums, tables.lines)
        self._primitives.sum_sources(self._recent, place.b, tables.current, tables.lines, self.total)

    def gather(self) -> EdgeInput:
        """Return what arrives along each edge."""
        place, edges = self._begin(), self._buffer.tables.edges
        window = (place.window, place.plane, place.column)
        self._primitives.gather(*window, place.b, self._recent, edges, self._edges)
        return EdgeInput(self._edges.delayed, edges.target)

    def sum_edges(self, products: NDArray[Any]) -> None:
        """Sum what `pre` made of each edge, (rows, edges), into `total`."""
        tables = self._buffer.tables
        self._primitives.sum_edges(products, tables.current, tables.lines, self.total)

    def receive(self, values: NDArray[Any]) -> None:
        """Take what the nodes send at the coming step, (rows, nodes); then the next step is the coming one."""
        buffer = self._buffer
        buffer.window[:, : values.shape[1], buffer.column] = values
        buffer.column += 1
        self._recent[(self._asked - 1) % TIME_BLOCK] = values

    def _begin(self) -> "_Place":
        buffer, b = self._buffer, self._asked % TIME_BLOCK
        self._asked += 1
        if b == 0:
            buffer.reserve(TIME_BLOCK)
            self._primitives.take_recent(buffer.window, buffer.column, self._recent)
        return _Place(buffer.window.reshape(-1), buffer.window[0].size, buffer.column, b)


class _Place(NamedTuple):
    """Where the coming step is."""

    #: The delay buffer, flat, and how many numbers of it a row has.
    window: NDArray[Any]
    plane: int
    column: int
    #: Which step of a block it is.
    b: int
