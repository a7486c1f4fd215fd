"""Equations in phases: a loop over the nodes, then operations on whole arrays, then the next loop over the nodes.

Called by `worker.engines.codegen.emit`. Without whole-array operations there is one phase.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from tvb_batch.worker.engines.graph import Equation, Op, Ref


@dataclass
class Phase:
    """A loop over the nodes, and what is done to whole arrays after it."""

    #: What the loop does to each node.
    statements: list[Equation] = field(default_factory=list)
    #: What is done for all nodes at once after the loop.
    whole_arrays: list[Equation] = field(default_factory=list)
    #: Numbers that either of them reads, by name.
    used: dict[str, Ref] = field(default_factory=dict)
    #: Names of numbers that the loop makes.
    made: set[str] = field(default_factory=set)

    @property
    def missing(self) -> set[str]:
        """Return the names of numbers that are read, and made elsewhere."""
        return self.used.keys() - self.made


def divide_into_phases(
    equations: Sequence[Equation], outputs: Iterable[Ref], is_whole_array: Callable[[Equation], bool]
) -> list[Phase]:
    """Put every equation into the first phase that has what it needs; the last phase has the outputs."""
    level: dict[str, int] = {}
    phases = [Phase()]
    for equation in equations:
        number = max([level.get(ref.name, 0) for ref in equation.operands], default=0)
        is_later = is_whole_array(equation)
        for ref in equation.results:
            level[ref.name] = number + is_later
        while len(phases) <= number + is_later:
            phases.append(Phase())
        phase = phases[number]
        (phase.whole_arrays if is_later else phase.statements).append(equation)
        phase.used |= {ref.name: ref for ref in equation.operands}
        if not is_later:
            phase.made |= {ref.name for ref in equation.results}
    shared = {equation.results[0].name: equation for equation in equations if _is_shared(equation)}
    for phase in phases[1:]:
        # An integer that all nodes share is made anew, so that a choice by it is made once for all of them.
        for name in sorted(shared.keys() & phase.missing):
            phase.statements.insert(0, shared[name])
            phase.used |= {ref.name: ref for ref in shared[name].operands}
            phase.made.add(name)
    phases[-1].used |= {ref.name: ref for ref in outputs}
    return phases


def is_slot(name: str, letter: str) -> bool:
    """Return whether a name is a slot for one number (letter s), or for a number of each node (n)."""
    return name[0] == letter and name[1:].isdigit()


def _is_shared(equation: Equation) -> bool:
    return equation.op is Op.INT64 and is_slot(equation.operands[0].name, "s")
