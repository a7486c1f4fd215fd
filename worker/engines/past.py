"""What nodes have sent so far, and the sums of it that are about to arrive. Called by `program` and `hybrid`.

A window holds what every node sent during the longest delay, a column for each step, and room for the steps to come;
it slides when it is full. Edges whose delay is long enough are gathered or summed for eight steps at once.
"""

from collections import OrderedDict
from hashlib import sha256
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from worker.engines.coupling import Coupling
from worker.engines.graph import UntraceableError
from worker.engines.sums import BLOCK, DEPTH, Edges, Order, Table, split_rows

#: With more than this part of short delays, edges are gathered one step at a time.
_MOSTLY_LATE = 0.5
#: Room for at least so many steps, so that the window slides seldom.
_LEAST_ROOM = 256

_TABLES: OrderedDict[bytes, tuple[Table, Table]] = OrderedDict()


def network_tables(simulator: Any, coupling: Coupling) -> tuple[bytes, tuple[Table, Table]]:
    """A name for the network, and its tables; jobs of a sweep share the last ones."""
    history, modes = simulator.history, simulator.model.number_of_modes
    order: Order = "reduceat" if not coupling.dense else "pairwise" if modes == 1 else "sequence"
    ahead = not coupling.by_edge
    parts = (history.nnz_mask, history.nnz_weights, history.nnz_idelays)
    text = f"{order} {ahead}".encode()
    key = sha256(text + b"".join(np.ascontiguousarray(part).tobytes() for part in parts)).digest()
    if key not in _TABLES:
        target, source = np.nonzero(history.nnz_mask)
        weight = history.nnz_weights.astype(np.float32)
        edges = Edges(
            target, source, history.nnz_idelays.astype(np.int64), weight, simulator.connectivity.number_of_regions
        )
        _TABLES[key] = split_rows(edges, order=order, ahead=ahead)
        if len(_TABLES) > 4:
            _TABLES.popitem(last=False)
    return key, _TABLES[key]


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

    def __init__(self, simulator: Any, coupling: Coupling, primitives: ModuleType, steps: int) -> None:
        """Begin at the simulator's current step; `steps` is how many are done at most before `make_room`."""
        self._primitives, self._steps = primitives, steps
        self._horizon = int(simulator.history.n_time)
        nodes = simulator.connectivity.number_of_regions
        dtype = np.dtype(np.float64 if coupling.kind == "d" else np.float32)
        sent_dtype = np.dtype(np.float32) if coupling.by_edge else dtype
        order = np.arange(simulator.current_step - self._horizon + 1, simulator.current_step + 1) % self._horizon
        sent = simulator.history.buffer[order]
        if not coupling.by_edge:
            sent = send(simulator.coupling, sent, dense=coupling.dense)
        columns = self._horizon + max(steps, self._horizon // 2, _LEAST_ROOM) + BLOCK
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
        primitives.slide(self.window, 0, 0)  # Compiled now, not in the middle of a run.
        _, (ahead, now) = network_tables(simulator, coupling)
        late = np.flatnonzero((now.delay < BLOCK - 1) & (now.source < nodes))
        early = len(now.source)
        if len(late) > _MOSTLY_LATE * early:
            early, late = 0, np.arange(early)
        #: As the kernel's `run` takes them: rows summed ahead, then rows summed now.
        self.tables = (
            *(ahead.rows, ahead.leaves, ahead.offset(columns), ahead.weight.astype(sent_dtype)),
            *(now.rows, now.leaves, now.offset(columns), now.weight.astype(dtype), now.target, early, late),
        )

    def make_room(self, n: int) -> None:
        """Slide when the window is too full for n more steps."""
        if self.column + n + BLOCK > self.window.shape[2]:
            self._primitives.slide(self.window, self.column - self._horizon, self._horizon)
            self.column = self._horizon


class Arrivals:
    """The sums of the past, a step at a time."""

    def __init__(self, past: Past, primitives: ModuleType, rows: int) -> None:
        self._past, self._primitives, self._asked = past, primitives, 0
        _, _, _, _, _, _, offset, weight, self._target, _, _ = past.tables
        sources, nodes, _ = past.window.shape
        self._ahead = np.zeros((sources, nodes - 1, BLOCK), dtype=past.window.dtype)
        self._gathered = np.zeros((sources, BLOCK, offset.size), dtype=past.window.dtype)
        self._parts = np.zeros(DEPTH * BLOCK, dtype=past.window.dtype)
        self._part = np.zeros(DEPTH, dtype=weight.dtype)
        self.total = np.zeros((rows, nodes - 1), dtype=weight.dtype)

    def sum_sources(self) -> None:
        """Sum what arrives at the coming step into `total`."""
        flat, plane, at, b = self._look_ahead()
        ahead_rows, _, _, _, rows, leaves, offset, weight, _, _, late = self._past.tables
        self._primitives.sum_sources(
            *(flat, plane, at, b, ahead_rows, self._ahead, rows, offset, weight, leaves, late),
            *(self._gathered, self.total, self._part),
        )

    def gather(self) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """What arrives along each edge, (rows, edges), and the edges' targets."""
        flat, plane, at, b = self._look_ahead()
        _, _, _, _, _, _, offset, _, target, _, late = self._past.tables
        self._primitives.gather_now(flat, plane, at, b, offset, late, self._gathered)
        return self._gathered[:, b], target

    def sum_edges(self, products: NDArray[Any]) -> None:
        """Sum what `pre` made of each edge, (rows, edges), into `total`."""
        _, _, _, _, rows, leaves, _, weight, _, _, _ = self._past.tables
        for row, product in enumerate(products):
            self._primitives.sum_now(product, 0, rows, leaves, weight, self.total[row], self._part)

    def send(self, values: NDArray[Any]) -> None:
        """What the nodes send at the coming step, (rows, nodes); the step after it is the coming one then."""
        past = self._past
        past.window[:, : values.shape[1], past.column] = values
        past.column += 1

    def _look_ahead(self) -> tuple[NDArray[Any], int, int, int]:
        past, b = self._past, self._asked % BLOCK
        self._asked += 1
        if b == 0:
            past.make_room(BLOCK)
        flat, plane, at = past.window.reshape(-1), past.window[0].size, past.column
        if b == 0:
            rows, leaves, offset, weight, _, _, now_offset, _, _, early, _ = past.tables
            self._primitives.sum_ahead(flat, plane, at, rows, leaves, offset, weight, self._ahead, self._parts)
            self._primitives.gather_ahead(flat, plane, at, now_offset, early, self._gathered)
        return flat, plane, at, b
