"""The edges of a network in the order in which NumPy adds them up, as chains of additions.

`add.reduceat` adds the first edge of a row to the pairwise sum of the others; `sum` over a whole row takes all sources
pairwise, where those without weight add nothing but keep their place. The pairwise sum has eight lanes up to 128
numbers, and halves what is longer.

A chain adds numbers one after the other. An early chain is made of what was sent long ago, so it can be done for eight
steps at once; a late one takes in what was sent a moment ago, and is done at each step. `primitives.summation` walks
these tables, in which chains of one length follow each other: the processor guesses the ends of loops better.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

#: As in `worker.engines.primitives`: steps done at once, and lanes of NumPy's pairwise sum.
BLOCK = LANES = 8
#: Up to so many numbers NumPy sums in one go.
_LEAF = 128
#: Early chains of rows that are done together: their sums should stay in the processor's cache.
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
        """Some of the edges; a place of -1 is an edge without weight from nobody."""
        found = np.where(places < 0, 0, places)

        def pick(values: NDArray[Any], missing: float) -> NDArray[Any]:
            return np.where(places < 0, values.dtype.type(missing), values[found]) if values.size else values[:0]

        return Edges(
            pick(self.target, 0), pick(self.source, self.nodes), pick(self.delay, 0), pick(self.weight, 0.0), self.nodes
        )

    def offset(self, columns: int) -> NDArray[np.int32]:
        """Where each edge's value lies in a window (sources, columns), before the column of the step."""
        return (self.source * columns - 1 - self.delay).astype(np.int32)


@dataclass(frozen=True)
class Sums:
    """How the sums of all rows are made.

    Early sums lie in an array, each with eight steps. What one step wants of them lies in a line, with what comes at
    that step: the numbers of late chains, eight chains side by side; sums that are a row's as they are; then the sums
    of late chains.
    """

    #: (n, 3) how many early chains there are of how many earlier sums and how many edges, in the order of their doing
    early_groups: NDArray[np.int64]
    #: For each early chain, where in the array its sums go; and those of the sums that it takes.
    early_places: NDArray[np.int32]
    early_parts: NDArray[np.int32]
    early_edges: Edges
    #: Where in the array the numbers of a line lie; empty where nothing is early.
    line_parts: NDArray[np.int32]
    late_edges: Edges
    #: Where in a line the value of each late edge goes, times its weight.
    late_places: NDArray[np.int32]
    #: (n, 2) how many numbers eight late chains have, and how many copies are made until they are done.
    late_groups: NDArray[np.int64]
    #: (n, 2) where in a line a late sum lies, and where it is a number of another chain.
    copies: NDArray[np.int32]
    #: Where in a line each row's sum lies, and where the sums of late chains begin.
    totals: NDArray[np.int32]
    late_sums: int
    #: The array and a line before anything is in them.
    array: NDArray[np.float64]
    line: NDArray[np.float64]


def make_sums(edges: Edges, late: NDArray[np.int64], order: Order) -> Sums:
    """The sums of each row.

    Parameters
    ----------
    late : the edges whose values are known at the step only, in the order in which they are to lie; -1 for a gap
    order : in which TVB sums a row: `reduceat` over its edges, or `pairwise` or in `sequence` over all sources
    """
    chains = _Chains(late)
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
    """The value of an early edge times its weight."""

    number: int


@dataclass(frozen=True)
class _LateEdge:
    """The value of a late edge times its weight."""

    number: int


@dataclass(eq=False)
class _Early:
    """The sum of earlier sums and then of edges."""

    parts: list["_Early"]
    edges: list[int]
    #: Rows that are done together, and how many sums lie below this one.
    rows: int
    level: int
    #: Wanted after its rows are done.
    lasts: bool = False
    #: In the array, counted in eights.
    place: int = 0


#: What is the sum of a row without edges, and what changes nothing when it is added, not even a sign.
_ZERO, _NOTHING = _Early([], [], 0, 0, place=0), _Early([], [], 0, 0, place=1)
_FIRST = 2


@dataclass(eq=False)
class _Late:
    """The sum of numbers of which the first is late."""

    terms: list["_LateEdge | _Late | _Early"]
    #: 0 as long as nobody asked.
    level: int = 0
    #: Among the sums of late chains.
    place: int = 0


_Value = _Edge | _LateEdge | _Early | _Late


class _Chains:
    def __init__(self, late: NDArray[np.int64]) -> None:
        self._late_order = late
        self._late_places = {int(edge): place for place, edge in enumerate(late) if edge >= 0}
        self._early: list[_Early] = []
        self._late: list[_Late] = []
        #: Rows that are done together, and how many early chains there were before them.
        self._rows, self._before = 0, 0

    def edges(self, line: Sequence[int]) -> list[_Value | None]:
        """The edges of a row; nothing where there is none."""
        late = self._late_places
        return [None if k < 0 else _LateEdge(late[k]) if k in late else _Edge(k) for k in line]

    def end_row(self) -> None:
        if len(self._early) - self._before >= _TOGETHER:
            self._rows, self._before = self._rows + 1, len(self._early)

    def pairwise(self, line: Sequence[_Value | None]) -> _Value | None:
        """NumPy's pairwise sum."""
        if len(line) > _LEAF:
            half = len(line) // 2
            half -= half % LANES
            return self.add([self.pairwise(line[:half]), self.pairwise(line[half:])])
        whole = len(line) - len(line) % LANES
        sums = [self.add(line[lane:whole:LANES]) for lane in range(LANES)]
        while len(sums) > 1:
            sums = [self.add(pair) for pair in zip(sums[::2], sums[1::2], strict=True)]
        return self.add([*sums, *line[whole:]])

    def add(self, values: Sequence[_Value | None]) -> _Value | None:
        """The sum of values one after the other; what is not there adds nothing."""
        present = [value for value in values if value is not None]
        if len(present) < 2:
            return present[0] if present else None
        early = [value for value in present if isinstance(value, _Edge | _Early)]
        if len(early) == len(present):
            return self._add_early(early)
        first = next(k for k, value in enumerate(present) if isinstance(value, _LateEdge | _Late))
        value = present[first]
        # Of two numbers either may come first, so that the late one is the first of its chain.
        if not isinstance(value, _Late):
            assert isinstance(value, _LateEdge)
            value = _Late([value])
            self._late.append(value)
        if first:
            value.terms.append(self._add_early(early[:first]))
        for other in present[first + 1 :]:
            value.terms.append(self._add_early([other]) if isinstance(other, _Edge) else other)
        return value

    def _add_early(self, values: Sequence[_Edge | _Early]) -> _Early:
        first, *rest = values
        if not rest and isinstance(first, _Early):
            return first
        if rest and isinstance(first, _Edge) and isinstance(rest[0], _Early):
            return self._add_early([rest[0], first, *rest[1:]])
        for k in range(1, len(values)):
            if isinstance(values[k], _Early) and isinstance(values[k - 1], _Edge):
                return self._add_early([self._add_early(values[:k]), *values[k:]])
        parts = [value for value in values if isinstance(value, _Early)]
        edges = [value.number for value in values if isinstance(value, _Edge)]
        made = _Early(parts, edges, self._rows, 1 + max((part.level for part in parts), default=0))
        self._early.append(made)
        return made

    def finish(self, edges: Edges, totals: Sequence[_Value | None]) -> Sums:
        """The tables."""
        wanted = [self._add_early([value]) if isinstance(value, _Edge) else value or _ZERO for value in totals]
        for value in (*wanted, *(term for late in self._late for term in late.terms)):
            if isinstance(value, _Early):
                value.lasts = True
        self._early.sort(key=lambda one: (one.rows, one.level, len(one.parts), len(one.edges)))
        size = self._place_early()
        line = _Line(len(self._late_order))
        self._late.sort(key=lambda one: (_level(one), len(one.terms)))
        for _, level in groupby(self._late, key=_level):
            chains = list(level)
            for start in range(0, len(chains), LANES):
                line.add_chains(chains[start : start + LANES])
        places = line.place_totals(wanted)
        array = np.zeros(LANES * size)
        array[LANES : 2 * LANES] = -0.0
        return Sums(
            early_groups=_runs((len(one.parts), len(one.edges)) for one in self._early),
            early_places=_places(self._early),
            early_parts=_places(part for one in self._early for part in one.parts),
            early_edges=edges.take(np.array([edge for one in self._early for edge in one.edges], dtype=np.int64)),
            line_parts=_places(line.parts if self._early else ()),
            late_edges=edges.take(self._late_order),
            late_places=np.array(line.late_places, dtype=np.int32),
            late_groups=np.array(line.groups(), dtype=np.int64).reshape(-1, 2),
            copies=np.array(line.copies(), dtype=np.int32).reshape(-1, 2),
            totals=np.array(places, dtype=np.int32),
            late_sums=line.sums,
            array=array,
            line=line.begin(),
        )

    def _place_early(self) -> int:
        """Give each early sum its place; the sums of one set of rows lie where those of the last set lay."""
        lasting = [one for one in self._early if one.lasts]
        for place, one in enumerate(lasting, start=_FIRST):
            one.place = place
        most = begin = _FIRST + len(lasting)
        for _, together in groupby(self._early, key=lambda one: one.rows):
            place = begin
            for one in together:
                if not one.lasts:
                    one.place = place
                    place += 1
            most = max(most, place)
        return most


class _Line:
    """The places of a line."""

    def __init__(self, late_edges: int) -> None:
        #: What is early at each place.
        self.parts: list[_Early] = []
        #: Of each late edge; none for a gap among them.
        self.late_places = [-1] * late_edges
        #: Of late sums that are numbers of another chain.
        self._wanted: dict[_Late, int] = {}
        self._lengths: list[int] = []
        #: Where the sums of late chains begin.
        self.sums = 0

    def add_chains(self, chains: Sequence[_Late]) -> None:
        """Eight chains or fewer, side by side."""
        for lane, chain in enumerate(chains):
            chain.place = LANES * len(self._lengths) + lane
        self._lengths.append(max(len(chain.terms) for chain in chains))
        for number in range(self._lengths[-1]):
            for lane in range(LANES):
                terms = chains[lane].terms if lane < len(chains) else []
                self._put(terms[number] if number < len(terms) else _NOTHING)

    def place_totals(self, totals: Sequence[_LateEdge | _Late | _Early]) -> list[int]:
        """Where each row's sum lies, once all chains are there."""
        places = [0 if isinstance(value, _Late) else self._put(value) for value in totals]
        while len(self.parts) % LANES:
            self._put(_NOTHING)
        self.sums = len(self.parts)
        return [
            self.sums + value.place if isinstance(value, _Late) else place
            for value, place in zip(totals, places, strict=True)
        ]

    def groups(self) -> list[tuple[int, int]]:
        """Lengths, and copies until then."""
        owners = [chain.place // LANES for chain in self._wanted]
        return [(length, sum(owner <= k for owner in owners)) for k, length in enumerate(self._lengths)]

    def copies(self) -> list[tuple[int, int]]:
        """Of late sums, in their order."""
        return sorted((self.sums + chain.place, place) for chain, place in self._wanted.items())

    def begin(self) -> NDArray[np.float64]:
        """A line without anything late; its last place is for what belongs to nobody."""
        line = np.full(self.sums + LANES * len(self._lengths) + 1, -0.0)
        line[[place for place, part in enumerate(self.parts) if part is _ZERO]] = 0.0
        return line

    def _put(self, value: _LateEdge | _Late | _Early) -> int:
        place = len(self.parts)
        if isinstance(value, _LateEdge):
            self.late_places[value.number] = place
        elif isinstance(value, _Late):
            self._wanted[value] = place
        self.parts.append(value if isinstance(value, _Early) else _NOTHING)
        return place


def _level(late: _Late) -> int:
    """How many late sums must be there one after the other before this one."""
    if not late.level:
        late.level = 1 + max((_level(term) for term in late.terms if isinstance(term, _Late)), default=0)
    return late.level


def _places(sums: Iterable[_Early]) -> NDArray[np.int32]:
    return LANES * np.array([one.place for one in sums], dtype=np.int32)


def _runs(kinds: Iterable[tuple[int, int]]) -> NDArray[np.int64]:
    """How many of one kind follow each other, and the kind; a row for each run."""
    rows = [(len(list(run)), *kind) for kind, run in groupby(kinds)]
    return np.array(rows, dtype=np.int64).reshape(-1, 3)
