"""Arithmetic on one node of a network as a list of equations, in the order and precision NumPy would use.

Made by `worker.engines.tracing.context` while TVB's own functions run, turned into a kernel by
`worker.engines.codegen.emit`. SlotValues that may differ from job to job are slots, handed to the kernel when it runs;
only numbers written in TVB's source are part of the text, so that jobs of one sweep share a kernel.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class UntraceableError(Exception):
    """TVB's code does something that cannot be turned into a kernel; the message says what."""


class Ref(NamedTuple):
    """One number of a node: a name in the kernel, and its type: d (float64), f (float32), b (bool), w (as needed)."""

    name: str
    dtype: str


@dataclass(frozen=True)
class Equation:
    """`results = code(arguments)`."""

    #: An operator, a function of `emit`, `loop <index>`, `block <index>`, `call <index>` of a function, or `local sum`
    #: of neighbours.
    code: str
    results: tuple[Ref, ...]
    operands: tuple[Ref, ...]


@dataclass(frozen=True)
class UfuncLoop:
    """An inner loop of a NumPy ufunc, called for all nodes at once."""

    ufunc: np.ufunc
    #: Such as `dd->d`.
    signature: str


@dataclass(frozen=True)
class ScalarFunction:
    """Statements on single numbers, from the source of a function of TVB."""

    body: str
    #: The numbers that it reads.
    inputs: tuple[str, ...]
    results: tuple[str, ...]
    #: What the names it uses mean.
    imports: tuple[str, ...]


@dataclass(frozen=True)
class Block:
    """Operations that are done in a function of their own, because more than one place needs them."""

    name: str
    inputs: tuple[Ref, ...]
    outputs: tuple[Ref, ...]


@dataclass
class Graph:
    """Operations, and what they need from outside."""

    equations: list[Equation] = field(default_factory=list)
    #: One number for all nodes, or the parameter that it is.
    scalars: list[Any] = field(default_factory=list)
    #: (nodes,) float64, a number for each; or the parameter that it is made of.
    fields: list[Any] = field(default_factory=list)
    loops: list[UfuncLoop] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    functions: list[ScalarFunction] = field(default_factory=list)
    _known: dict[Any, tuple[Ref, ...]] = field(default_factory=dict)
    _floats: dict[int, tuple[Any, Any]] = field(default_factory=dict)

    def apply(self, code: str, arguments: Iterable[Ref], kinds: str) -> tuple[Ref, ...]:
        """The results of an equation; asked twice for the same, it is done once."""
        arguments = tuple(arguments)
        key = (code, arguments)
        if key not in self._known:
            results = tuple(Ref(f"t{len(self.equations)}_{k}", kind) for k, kind in enumerate(kinds))
            self.equations.append(Equation(code, results, arguments))
            self._known[key] = results
        return self._known[key]

    def scalar(self, source: Any) -> Ref:
        """A slot for one number, for each object that it comes from."""
        return self._slot("s", self.scalars, source)

    def field(self, source: Any) -> Ref:
        """A slot for a number for each node."""
        return self._slot("n", self.fields, source)

    def as_floats(self, array: NDArray[Any]) -> Any:
        """`array` as float64, the same object each time, so that it takes one slot."""
        return self._floats.setdefault(id(array), (array, array.astype(np.float64)))[1]

    def _slot(self, letter: str, slots: list[Any], source: Any) -> Ref:
        key = (letter, id(source))
        if key not in self._known:
            self._known[key] = (Ref(f"{letter}{len(slots)}", "d"),)
            # Kept, so that no other object has the same `id`.
            slots.append(source)
        return self._known[key][0]

    def loop(self, ufunc: np.ufunc, signature: str) -> int:
        """The index of an inner loop."""
        if signature not in ufunc.types:
            raise UntraceableError(f"numpy's {ufunc.__name__} has no loop {signature}")
        entry = UfuncLoop(ufunc, signature)
        if entry not in self.loops:
            self.loops.append(entry)
        return self.loops.index(entry)

    def names_read(self, outputs: Iterable[Ref]) -> set[str]:
        """The names of all numbers that the outputs need, and of the outputs."""
        outputs = list(outputs)
        equations = self.reachable(outputs)
        return {ref.name for equation in equations for ref in equation.operands} | {ref.name for ref in outputs}

    def reachable(self, outputs: Iterable[Ref]) -> list[Equation]:
        """The equations that the outputs need, in order."""
        wanted = {ref.name for ref in outputs}
        kept = []
        for equation in reversed(self.equations):
            if any(ref.name in wanted for ref in equation.results):
                kept.append(equation)
                wanted |= {ref.name for ref in equation.operands}
        return kept[::-1]


def literal(value: float) -> Ref:
    """A number of TVB's source; it takes the type of what it meets."""
    value = float(value)
    if math.isnan(value):
        return Ref("math.nan", "w")
    if math.isinf(value):
        return Ref("math.inf" if value > 0 else "(-math.inf)", "w")
    return Ref(f"({value!r})", "w")
