"""Ways to step a configured TVB Simulator through time; all yield the same chunks."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from worker.engines import compiled, hybrid, reference
from worker.engines.reference import Chunk


@dataclass(frozen=True)
class Choice:
    """The engine that runs a simulator."""

    name: str
    #: Why no faster engine was taken; empty when the fastest was.
    reason: str
    #: (simulator, chunk_steps) -> chunks, see `reference.stream`.
    stream: Callable[[Any, int], Iterator[Chunk]]


def choose(simulator: Any, engine: Literal["auto", "reference"], cache: Path) -> Choice:
    """The fastest engine that runs the configured simulator as TVB would.

    Parameters
    ----------
    engine : `reference` asks for TVB's own loop
    cache : the directory of compiled kernels, shared by all workers of a host; made when missing
    """
    if engine == "reference":
        return Choice(reference.NAME, "asked for", reference.stream)
    reasons: list[str] = []
    for one in (compiled, hybrid):
        reason = one.supports(simulator, cache)
        if reason is None:
            return Choice(one.NAME, "; ".join(reasons), one.stream)
        reasons += [reason] if reason not in reasons else []
    return Choice(reference.NAME, "; ".join(reasons), reference.stream)
