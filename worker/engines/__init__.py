"""Ways to step a configured TVB Simulator through time; all yield the same chunks."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tvb_batch.worker.engines import compiled, hybrid, reference, simulator_state
from tvb_batch.worker.engines.reference import Chunk


@dataclass(frozen=True)
class Choice:
    """The engine that runs a simulator."""

    name: str
    #: Why no faster engine was taken; empty when the fastest was.
    reason: str
    #: (simulator, chunk_steps, done = 0) -> chunks, see `reference.stream`.
    stream: Callable[..., Iterator[Chunk]]


#: Fewer steps of a region simulation, or steps times thousands of vertices, are done by TVB in the time that compiling
#: takes: about 5 s.
WORTH_COMPILING = 10_000


def is_worth_compiling(steps: int) -> bool:
    """Whether so many steps of a region simulation, or steps times thousands of vertices, are worth a compilation."""
    return steps >= WORTH_COMPILING


def choose(simulator: Any, engine: Literal["auto", "reference"], cache: Path, jobs: int = 1) -> Choice:
    """The fastest engine that runs the configured simulator as TVB would.

    Parameters
    ----------
    engine : `reference` asks for TVB's own loop
    cache : the directory of compiled kernels, shared by all workers of a host; made when missing
    jobs : how many simulations of this kind there are
    """
    if engine == "reference":
        return Choice(reference.NAME, "asked for", reference.stream)
    steps = reference.count_steps(simulator) * jobs
    thousands = 1 if simulator.surface is None else max(1, simulator.number_of_nodes // 1000)
    if not is_worth_compiling(steps * thousands):
        return Choice(reference.NAME, f"{steps:,} steps are not worth compiling for", reference.stream)
    reasons: list[str] = []
    for one in (compiled, hybrid):
        before = simulator_state.take(simulator)
        try:
            reason = one.supports(simulator, cache)
        except Exception as exc:
            # Whatever the compiler did not foresee, TVB's own loop can do.
            simulator_state.put_back(simulator, before)
            reason = f"cannot compile it ({type(exc).__name__}: {' '.join(str(exc).split())[:200]})"
        if reason is None:
            return Choice(one.NAME, "; ".join(reasons), one.stream)
        reasons += [reason] if reason not in reasons else []
    return Choice(reference.NAME, "; ".join(reasons), reference.stream)
