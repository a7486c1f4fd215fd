"""The table of all benchmarks: its rows, measuring two things in turns, and printing.

`benchmarks.__main__` puts the rows of all benchmarks together.
"""

import logging
import statistics
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

TURNS = 5
#: What a ratio says. The first is the better the larger it is, the others are costs.
FASTER, TIME, SIZE, MEMORY = "times as fast", "times the time", "times the size", "times the memory"
MANY = "times as many"
#: Baselines of more than one benchmark.
TVB = "TVB's sim.run()"

_HEAD = ("Benchmark", "Measured", "Figure", "Baseline", "Its figure", "Ratio", "Note")
_WIDTHS = (9, 40, 13, 32, 13, 21, 0)


@dataclass(frozen=True)
class Row:
    """One measured figure and its baseline."""

    benchmark: str
    measured: str
    baseline: str
    #: `ms` of all that takes time; otherwise of a rate or a size.
    unit: str
    #: What each turn gave, and what the baseline gave in the same turn.
    turns: Sequence[float]
    baseline_turns: Sequence[float]
    #: What the ratio says.
    sense: str
    #: What else a reader wants to know.
    note: str = ""

    @property
    def ratio(self) -> float:
        """Return the median of the ratios of the turns: if the machine slows down, both figures of a turn do."""
        is_inverse = self.sense == FASTER and self.unit == "ms"
        pairs = zip(self.turns, self.baseline_turns, strict=True)
        return statistics.median(theirs / ours if is_inverse else ours / theirs for ours, theirs in pairs)


def in_turns(
    measure: Callable[[], float], baseline: Callable[[], float], turns: int = TURNS
) -> tuple[Sequence[float], Sequence[float]]:
    """Return the figures of both functions, measured in turns, the baseline first."""
    theirs, ours = zip(*((baseline(), measure()) for _ in range(turns)), strict=True)
    return ours, theirs


def timed(do: Callable[..., object], *arguments: Any) -> float:
    """Return the milliseconds of a call."""
    started = time.perf_counter()
    do(*arguments)
    return 1000 * (time.perf_counter() - started)


def show(rows: Iterable[Row], *, has_head: bool = True) -> None:
    """Print the rows when they are ready; suppress the output of TVB and the jobs."""
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    if has_head:
        print(_line(_HEAD), _line(["-" * (width or 4) for width in _WIDTHS]), sep="\n", flush=True)
    for row in rows:
        print(_line(_cells(row)), flush=True)


def number(value: float) -> str:
    """Return a number with about three digits."""
    decimals = next((count for count, least in enumerate((100, 10, 1, 0.1)) if value >= least), 4)
    return f"{value:,.{decimals}f}"


def _cells(row: Row) -> tuple[str, ...]:
    figure, baseline = (f"{number(statistics.median(turns))} {row.unit}" for turns in (row.turns, row.baseline_turns))
    return row.benchmark, row.measured, figure, row.baseline, baseline, f"{number(row.ratio)} {row.sense}", row.note


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.ljust(width) for cell, width in zip(cells, _WIDTHS, strict=True))} |"
