"""Ways to step a configured TVB Simulator through time; all yield the same chunks."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from tvb_batch.worker.engines import compiled, hybrid, reference, simulator_state
from tvb_batch.worker.engines.reference import Chunk


class Engine(Protocol):
    """A way to step a simulator through time; `reference`, `compiled` and `hybrid` are modules of this form."""

    #: As files and rows name it.
    NAME: str

    def supports(self, simulator: Any, cache: Path, /) -> str | None:
        """Return None where `stream` runs the configured simulator as TVB would, else the reason why not.

        The simulator is left as it was. `cache` is the directory of compiled kernels.
        """

    def stream(self, simulator: Any, chunk_steps: int, done: int = 0, /) -> Iterator[Chunk]:
        """Run a simulator that `supports` accepted from its current step to its `simulation_length`.

        A chunk has at most `chunk_steps` steps; `done` steps of the simulation lie behind it already. At the end of
        each chunk the simulator holds what TVB's loop would have left in it.
        """


#: From the fastest on; `reference` runs whatever these do not.
_FASTER: tuple[Engine, ...] = (compiled, hybrid)


@dataclass(frozen=True)
class Choice:
    """The engine that runs a simulator."""

    engine: Engine
    #: Why no faster engine was taken; empty when the fastest was.
    reason: str

    @property
    def name(self) -> str:
        """Return the engine's name."""
        return self.engine.NAME

    def stream(self, simulator: Any, chunk_steps: int, done: int = 0) -> Iterator[Chunk]:
        """Run the simulator, see `Engine.stream`."""
        return self.engine.stream(simulator, chunk_steps, done)


#: Fewer steps of a region simulation, or steps times thousands of vertices, are done by TVB in the time that compiling
#: takes: about 5 s.
WORTH_COMPILING = 10_000


def is_worth_compiling(steps: int) -> bool:
    """Return whether so many steps (of a surface: steps times thousands of vertices) are worth a compilation."""
    return steps >= WORTH_COMPILING


def choose(simulator: Any, engine: Literal["auto", "reference"], cache: Path, jobs: int = 1) -> Choice:
    """Return the fastest engine that runs the configured simulator as TVB would.

    Parameters
    ----------
    engine : `reference` asks for TVB's own loop
    cache : the directory of compiled kernels, shared by all workers of a host; made when missing
    jobs : how many simulations of this kind there are
    """
    if engine == "reference":
        return Choice(reference, "asked for")
    steps = reference.count_steps(simulator) * jobs
    thousands = 1 if simulator.surface is None else max(1, simulator.number_of_nodes // 1000)
    if not is_worth_compiling(steps * thousands):
        return Choice(reference, f"{steps:,} steps are not worth compiling for")
    reasons: list[str] = []
    for one in _FASTER:
        before = simulator_state.take(simulator)
        try:
            reason = one.supports(simulator, cache)
        except Exception as exc:
            # Whatever the compiler did not foresee, TVB's own loop can do.
            simulator_state.put_back(simulator, before)
            reason = f"cannot compile it ({type(exc).__name__}: {' '.join(str(exc).split())[:200]})"
        if reason is None:
            return Choice(one, "; ".join(reasons))
        reasons += [reason] if reason not in reasons else []
    return Choice(reference, "; ".join(reasons))
