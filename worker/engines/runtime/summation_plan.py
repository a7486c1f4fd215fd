"""The edges of a network in the order in which NumPy adds them up, as chains of additions.

`add.reduceat` adds the first edge of a row to the pairwise sum of the others; `sum` over a whole row takes all sources
pairwise, where those without weight add nothing but keep their place. The pairwise sum has eight lanes up to 128
numbers, and halves what is longer.

A chain adds numbers one after the other. A precomputed chain is made of what was sent at least TIME_BLOCK - 1 steps
ago, so it is done for TIME_BLOCK steps at once. A current-step chain takes in what was sent later, and is done at each
step. `primitives.summation` walks these tables, in which chains of one length follow each other: the processor guesses
the ends of loops better.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tvb_batch.worker.engines.primitives.arguments import CurrentStepSums, PrecomputedSums
from tvb_batch.worker.engines.primitives.sizes import PAIRWISE_LANES, SIMD_WIDTH, TIME_BLOCK

#: Up to so many numbers NumPy sums in one go.
_LEAF = 128
#: Precomputed chains of rows that are done together: their sums should stay in the processor's cache.
_TOGETHER = 256

Order = Literal["reduceat", "pairwise", "sequence"]


@dataclass(frozen=True)
class Edges:
    """Connections with a weight, by target and then by source."""

    target: NDArray[np.int64]
    source: NDArray[np.int64]
    delay: NDArray[np.int64]
    weight: NDArray[np.float32]
    nodes: int

    def take(self, places: NDArray[np.int64]) -> "Edges":
        """Return some of the edges; a place, (n,), of -1 gives an edge without weight from no node."""
        found = np.where(places < 0, 0, places)

        def pick(values: NDArray[Any], missing: float) -> NDArray[Any]:
            return np.where(places < 0, values.dtype.type(missing), values[found]) if values.size else values[:0]

        return Edges(
            pick(self.target, 0), pick(self.source, self.nodes), pick(self.delay, 0), pick(self.weight, 0.0), self.nodes
        )

    def offset(self, columns: int) -> NDArray[np.int32]:
        """Return where each edge's value lies in a window (sources, columns), before the column of the step."""
        return (self.source * columns - 1 - self.delay).astype(np.int32)


@dataclass(frozen=True)
class SummationPlan:
    """How the sums of all rows are made.

    Precomputed sums lie in an array, each for TIME_BLOCK steps. A line has what one step needs: the numbers of
    current-step chains, SIMD_WIDTH chains side by side; then sums that are a row's as they are; then the sums of
    current-step chains.
    """

    #: (n, 3) how many precomputed chains follow each other, of how many earlier sums and of how many edges each.
    precomputed_groups: NDArray[np.int64]
    #: For each precomputed chain, where in the array its sums go; and those of the sums that it takes.
    precomputed_places: NDArray[np.int32]
    precomputed_parts: NDArray[np.int32]
    precomputed_edges: Edges
    #: Where in the array the numbers of a line lie; empty where nothing is precomputed.
    line_parts: NDArray[np.int32]
    current_edges: Edges
    #: Where in a line the value of each current-step edge goes, times its weight.
    current_places: NDArray[np.int32]
    #: (n, 2) how many numbers SIMD_WIDTH current-step chains have, and how many copies are made until they are done.
    current_groups: NDArray[np.int64]
    #: (n, 2) where in a line a current-step sum lies, and where it is a number of another chain.
    copies: NDArray[np.int32]
    #: Where in a line each row's sum lies, and where the sums of current-step chains begin.
    totals: NDArray[np.int32]
    first_sum: int
    #: The array and a line before anything is in them.
    sums: NDArray[np.float64]
    line: NDArray[np.float64]

    def precomputed(self, columns: int, dtype: Any) -> PrecomputedSums:
        """Return the tables of precomputed sums, for a delay buffer of so many columns of a dtype."""
        edges = self.precomputed_edges
        return PrecomputedSums(
            groups=self.precomputed_groups,
            places=self.precomputed_places,
            parts=self.precomputed_parts,
            offset=edges.offset(columns),
            weight=edges.weight.astype(dtype),
            line_parts=self.line_parts,
        )

    def current(self, dtype: Any) -> CurrentStepSums:
        """Return the tables of sums that are made at each step, in a dtype."""
        edges = self.current_edges
        return CurrentStepSums(
            source=edges.source,
            delay=edges.delay,
            weight=edges.weight.astype(dtype),
            places=self.current_places,
            groups=self.current_groups,
            copies=self.copies,
            totals=self.totals,
            first_sum=self.first_sum,
        )

    def make_lines(self, rows: int, dtype: Any) -> NDArray[Any]:
        """Return the lines of the steps of a block before anything is in them, (rows, TIME_BLOCK or 1, places)."""
        return np.tile(self.line.astype(dtype), (rows, TIME_BLOCK if len(self.line_parts) else 1, 1))


def make_plan(edges: Edges, current: NDArray[np.int64], order: Order) -> SummationPlan:
    """Return how the sums of each row are made.

    Parameters
    ----------
    current : (n,) the edges whose numbers are known only at the step, in the order of memory; -1 for a gap
    order : in which TVB sums a row: `reduceat` over its edges, or `pairwise` or in `sequence` over all sources
    """
    chains = _Chains(current)
    starts = np.searchsorted(edges.target, np.arange(edges.nodes + 1))
    totals = []
    for start, stop in pairwise(starts):
        row: list[int] = list(range(start, stop))
        if order == "pairwise":
            # Whole row: which edge stands at each source, -1 where none does.
            line = np.full(edges.nodes, -1)
            line[edges.source[start:stop]] = row
            totals.append(chains.pairwise(chains.edges(line.tolist())) if row else None)
        elif order == "reduceat" and row:
            first, *rest = chains.edges(row)
            totals.append(chains.add([first, chains.pairwise(rest)]))
        else:
            totals.append(chains.add(chains.edges(row)))
        chains.end_row()
    return chains.finish(edges, totals)


@dataclass(frozen=True)
class _Edge:
    """The value of a precomputed edge times its weight."""

    number: int


@dataclass(frozen=True)
class _CurrentEdge:
    """The value of a current-step edge times its weight."""

    number: int


@dataclass(eq=False)
class _Precomputed:
    """The sum of earlier sums and then of edges."""

    parts: list["_Precomputed"]
    edges: list[int]
    #: Rows that are done together, and how many sums lie below this one.
    rows: int
    level: int
    #: Wanted after its rows are done.
    lasts: bool = False
    #: In the array, in units of TIME_BLOCK numbers.
    place: int = 0


#: What is the sum of a row without edges, and what changes nothing when it is added, not even a sign.
_ZERO, _NOTHING = _Precomputed([], [], 0, 0, place=0), _Precomputed([], [], 0, 0, place=1)
_FIRST = 2


@dataclass(eq=False)
class _CurrentStep:
    """The sum of numbers of which the first is known at the step only."""

    terms: list["_CurrentEdge | _CurrentStep | _Precomputed"]
    #: 0 until it is computed.
    level: int = 0
    #: Among the sums of current-step chains.
    place: int = 0


_Value = _Edge | _CurrentEdge | _Precomputed | _CurrentStep


class _Chains:
    def __init__(self, current: NDArray[np.int64]) -> None:
        self._current_order = current
        self._current_places = {int(edge): place for place, edge in enumerate(current) if edge >= 0}
        self._precomputed: list[_Precomputed] = []
        self._current: list[_CurrentStep] = []
        #: Rows that are done together, and how many precomputed chains there were before them.
        self._rows, self._before = 0, 0

    def edges(self, line: Sequence[int]) -> list[_Value | None]:
        """Return the edges of a row; None where there is none."""
        current = self._current_places
        return [None if k < 0 else _CurrentEdge(current[k]) if k in current else _Edge(k) for k in line]

    def end_row(self) -> None:
        if len(self._precomputed) - self._before >= _TOGETHER:
            self._rows, self._before = self._rows + 1, len(self._precomputed)

    def pairwise(self, line: Sequence[_Value | None]) -> _Value | None:
        """Return NumPy's pairwise sum of a row."""
        if len(line) > _LEAF:
            half = len(line) // 2
            half -= half % PAIRWISE_LANES
            return self.add([self.pairwise(line[:half]), self.pairwise(line[half:])])
        whole = len(line) - len(line) % PAIRWISE_LANES
        sums = [self.add(line[lane:whole:PAIRWISE_LANES]) for lane in range(PAIRWISE_LANES)]
        while len(sums) > 1:
            sums = [self.add(pair) for pair in zip(sums[::2], sums[1::2], strict=True)]
        return self.add([*sums, *line[whole:]])

    def add(self, values: Sequence[_Value | None]) -> _Value | None:
        """Return the sum of values one after the other; a missing value adds nothing."""
        present = [value for value in values if value is not None]
        if len(present) < 2:
            return present[0] if present else None
        precomputed = [value for value in present if isinstance(value, _Edge | _Precomputed)]
        if len(precomputed) == len(present):
            return self._add_precomputed(precomputed)
        first = next(k for k, value in enumerate(present) if isinstance(value, _CurrentEdge | _CurrentStep))
        value = present[first]
        # Of two numbers either may come first, so that the one of the step is the first of its chain.
        if not isinstance(value, _CurrentStep):
            assert isinstance(value, _CurrentEdge)
            value = _CurrentStep([value])
            self._current.append(value)
        if first:
            value.terms.append(self._add_precomputed(precomputed[:first]))
        for other in present[first + 1 :]:
            value.terms.append(self._add_precomputed([other]) if isinstance(other, _Edge) else other)
        return value

    def _add_precomputed(self, values: Sequence[_Edge | _Precomputed]) -> _Precomputed:
        first, *rest = values
        if not rest and isinstance(first, _Precomputed):
            return first
        if rest and isinstance(first, _Edge) and isinstance(rest[0], _Precomputed):
            return self._add_precomputed([rest[0], first, *rest[1:]])
        for k in range(1, len(values)):
            if isinstance(values[k], _Precomputed) and isinstance(values[k - 1], _Edge):
                return self._add_precomputed([self._add_precomputed(values[:k]), *values[k:]])
        parts = [value for value in values if isinstance(value, _Precomputed)]
        edges = [value.number for value in values if isinstance(value, _Edge)]
        made = _Precomputed(parts, edges, self._rows, 1 + max((part.level for part in parts), default=0))
        self._precomputed.append(made)
        return made

    def finish(self, edges: Edges, totals: Sequence[_Value | None]) -> SummationPlan:
        """Return the tables."""
        wanted = [self._add_precomputed([value]) if isinstance(value, _Edge) else value or _ZERO for value in totals]
        for value in (*wanted, *(term for current in self._current for term in current.terms)):
            if isinstance(value, _Precomputed):
                value.lasts = True
        self._precomputed.sort(key=lambda one: (one.rows, one.level, len(one.parts), len(one.edges)))
        size = self._place_precomputed()
        line = _Line(len(self._current_order))
        self._current.sort(key=lambda one: (_level(one), len(one.terms)))
        for _, level in groupby(self._current, key=_level):
            chains = list(level)
            for start in range(0, len(chains), SIMD_WIDTH):
                line.add_chains(chains[start : start + SIMD_WIDTH])
        places = line.place_totals(wanted)
        sums = np.zeros(SIMD_WIDTH * size)
        sums[SIMD_WIDTH : 2 * SIMD_WIDTH] = -0.0
        return SummationPlan(
            precomputed_groups=_runs((len(one.parts), len(one.edges)) for one in self._precomputed),
            precomputed_places=_places(self._precomputed),
            precomputed_parts=_places(part for one in self._precomputed for part in one.parts),
            precomputed_edges=edges.take(
                np.array([edge for one in self._precomputed for edge in one.edges], dtype=np.int64)
            ),
            line_parts=_places(line.parts if self._precomputed else ()),
            current_edges=edges.take(self._current_order),
            current_places=np.array(line.current_places, dtype=np.int32),
            current_groups=np.array(line.groups(), dtype=np.int64).reshape(-1, 2),
            copies=np.array(line.copies(), dtype=np.int32).reshape(-1, 2),
            totals=np.array(places, dtype=np.int32),
            first_sum=line.sums,
            sums=sums,
            line=line.begin(),
        )

    def _place_precomputed(self) -> int:
        """Give each precomputed sum its place; the sums of one set of rows lie where those of the last set lay."""
        lasting = [one for one in self._precomputed if one.lasts]
        for place, one in enumerate(lasting, start=_FIRST):
            one.place = place
        most = begin = _FIRST + len(lasting)
        for _, together in groupby(self._precomputed, key=lambda one: one.rows):
            place = begin
            for one in together:
                if not one.lasts:
                    one.place = place
                    place += 1
            most = max(most, place)
        return most


class _Line:
    """The places of a line."""

    def __init__(self, current_edges: int) -> None:
        #: What is precomputed at each place.
        self.parts: list[_Precomputed] = []
        #: Of each current-step edge; none for a gap among them.
        self.current_places = [-1] * current_edges
        #: Of current-step sums that are numbers of another chain.
        self._wanted: dict[_CurrentStep, int] = {}
        self._lengths: list[int] = []
        #: Where the sums of current-step chains begin.
        self.sums = 0

    def add_chains(self, chains: Sequence[_CurrentStep]) -> None:
        """Place up to SIMD_WIDTH chains side by side."""
        for lane, chain in enumerate(chains):
            chain.place = SIMD_WIDTH * len(self._lengths) + lane
        self._lengths.append(max(len(chain.terms) for chain in chains))
        for number in range(self._lengths[-1]):
            for lane in range(SIMD_WIDTH):
                terms = chains[lane].terms if lane < len(chains) else []
                self._put(terms[number] if number < len(terms) else _NOTHING)

    def place_totals(self, totals: Sequence[_CurrentEdge | _CurrentStep | _Precomputed]) -> list[int]:
        """Return where each row's sum lies; all chains must have been added."""
        places = [0 if isinstance(value, _CurrentStep) else self._put(value) for value in totals]
        while len(self.parts) % SIMD_WIDTH:
            self._put(_NOTHING)
        self.sums = len(self.parts)
        return [
            self.sums + value.place if isinstance(value, _CurrentStep) else place
            for value, place in zip(totals, places, strict=True)
        ]

    def groups(self) -> list[tuple[int, int]]:
        """Return the length of each group of chains, and the number of copies until it is done."""
        owners = [chain.place // SIMD_WIDTH for chain in self._wanted]
        return [(length, sum(owner <= k for owner in owners)) for k, length in enumerate(self._lengths)]

    def copies(self) -> list[tuple[int, int]]:
        """Return from where and to where current-step sums are copied, in their order."""
        return sorted((self.sums + chain.place, place) for chain, place in self._wanted.items())

    def begin(self) -> NDArray[np.float64]:
        """Return an empty line, (places,); its last place is for the numbers of gaps."""
        line = np.full(self.sums + SIMD_WIDTH * len(self._lengths) + 1, -0.0)
        line[[place for place, part in enumerate(self.parts) if part is _ZERO]] = 0.0
        return line

    def _put(self, value: _CurrentEdge | _CurrentStep | _Precomputed) -> int:
        place = len(self.parts)
        if isinstance(value, _CurrentEdge):
            self.current_places[value.number] = place
        elif isinstance(value, _CurrentStep):
            self._wanted[value] = place
        self.parts.append(value if isinstance(value, _Precomputed) else _NOTHING)
        return place


def _level(current: _CurrentStep) -> int:
    """Return the longest row of current-step sums that must be done, one after the other, before this one."""
    if not current.level:
        current.level = 1 + max((_level(term) for term in current.terms if isinstance(term, _CurrentStep)), default=0)
    return current.level


def _places(sums: Iterable[_Precomputed]) -> NDArray[np.int32]:
    return SIMD_WIDTH * np.array([one.place for one in sums], dtype=np.int32)


def _runs(kinds: Iterable[tuple[int, int]]) -> NDArray[np.int64]:
    """Return how many of one kind follow each other, and the kind; a row for each run."""
    rows = [(len(list(run)), *kind) for kind, run in groupby(kinds)]
    return np.array(rows, dtype=np.int64).reshape(-1, 3)
