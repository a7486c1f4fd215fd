"""Arithmetic on one node of a network as a list of equations, in the order and precision NumPy would use.

`worker.engines.tracing` makes a graph while TVB's own functions run, `worker.engines.passes.verify_graph` checks it,
and `worker.engines.codegen.emit` makes a kernel of it. Numbers that may differ from job to job are slots, passed to the
kernel when it runs; only numbers of TVB's source are in the text. So the jobs of a sweep share a kernel.
"""

import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class UntraceableError(Exception):
    """TVB's code does something that cannot be turned into a kernel; the message says what."""


#: The dtypes of a graph, as NumPy's letters, and what `Graph.pretty` calls them. A number of TVB's source is weak: it
#: takes the dtype of what it meets.
DTYPES = {"d": "f64", "f": "f32", "b": "bool", "i": "i64", "w": "weak"}


class Ref(NamedTuple):
    """One number of a node, by its name in the kernel."""

    #: An input, a slot, the result of an equation, or a number written out.
    name: str
    #: A letter of `DTYPES`.
    dtype: str

    @property
    def is_literal(self) -> bool:
        """Return whether it is a number of TVB's source."""
        return not self.name.isidentifier()


class Op(Enum):
    """What an equation does; the value is the operator or the function that kernels write for it."""

    ADD = "+"
    SUBTRACT = "-"
    MULTIPLY = "*"
    DIVIDE = "/"
    LESS = "<"
    LESS_EQUAL = "<="
    GREATER = ">"
    GREATER_EQUAL = ">="
    EQUAL = "=="
    NOT_EQUAL = "!="
    NEGATIVE = "neg"
    SQRT = "sqrt"
    ABSOLUTE = "abs"
    #: A condition, the number where it holds, and the number elsewhere.
    WHERE = "where"
    #: a * b + c, rounded once.
    FMA = "fma"
    FLOAT64 = "float64"
    FLOAT32 = "float32"
    INT64 = "int64"
    #: An inner loop of NumPy, for all nodes at once: a `UfuncLoop`.
    UFUNC_LOOP = "loop"
    #: Statements from a function of TVB: a `ScalarFunction`.
    CALL = "call"
    #: Equations in a function of their own: a `Block`.
    BLOCK = "block"
    #: The weighted sum over a vertex's neighbours.
    LOCAL_SUM = "local sum"
    #: Functions of the primitives, for all nodes at once: the third roots of two complex numbers, the cosine and the
    #: sine of an angle, the norm of a vector of three numbers.
    CUBE_ROOTS = "roots"
    SINCOS = "sincos"
    NORM = "norms"


#: Functions of the primitives that are called with rows of numbers.
ROW_FUNCTIONS = frozenset({Op.CUBE_ROOTS, Op.SINCOS, Op.NORM})
#: Done for all nodes at once, between two loops over the nodes.
WHOLE_ARRAY = ROW_FUNCTIONS | {Op.UFUNC_LOOP, Op.BLOCK, Op.LOCAL_SUM}


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
    #: Lines that define the names it uses.
    imports: tuple[str, ...]


@dataclass(frozen=True)
class Block:
    """Equations that are done in a function of their own, because more than one place needs them."""

    name: str
    inputs: tuple[Ref, ...]
    outputs: tuple[Ref, ...]


#: What an operation needs beside its operands.
Payload = UfuncLoop | ScalarFunction | Block | None


@dataclass(frozen=True)
class Equation:
    """`results = op[payload](operands)`."""

    op: Op
    results: tuple[Ref, ...]
    operands: tuple[Ref, ...]
    payload: Payload = None

    @property
    def loop(self) -> UfuncLoop:
        """Return the loop of a `UFUNC_LOOP`."""
        assert isinstance(self.payload, UfuncLoop)
        return self.payload

    @property
    def function(self) -> ScalarFunction:
        """Return the function of a `CALL`."""
        assert isinstance(self.payload, ScalarFunction)
        return self.payload

    @property
    def block(self) -> Block:
        """Return the block of a `BLOCK`."""
        assert isinstance(self.payload, Block)
        return self.payload


@dataclass
class Graph:
    """Equations, and what they need from outside."""

    equations: list[Equation] = field(default_factory=list)
    #: What is read of the state, of the network and of the noise, by name.
    inputs: dict[str, Ref] = field(default_factory=dict)
    #: One number for all nodes, or the parameter that it is; slot k is called `s<k>`.
    scalars: list[Any] = field(default_factory=list)
    #: (nodes,) float64, a number for each; or the parameter that it is made of; slot k is called `n<k>`.
    fields: list[Any] = field(default_factory=list)
    loops: list[UfuncLoop] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    functions: list[ScalarFunction] = field(default_factory=list)
    _known: dict[Any, tuple[Ref, ...]] = field(default_factory=dict)
    _floats: dict[int, tuple[Any, Any]] = field(default_factory=dict)

    def apply(self, op: Op, operands: Iterable[Ref], dtypes: str, payload: Payload = None) -> tuple[Ref, ...]:
        """Return the results of an operation, one for each letter of `dtypes`; the same operation is done once."""
        operands = tuple(operands)
        key = (op, payload, operands)
        if key not in self._known:
            results = tuple(Ref(f"t{len(self.equations)}_{k}", dtype) for k, dtype in enumerate(dtypes))
            self.equations.append(Equation(op, results, operands, payload))
            self._known[key] = results
            if isinstance(payload, ScalarFunction) and payload not in self.functions:
                self.functions.append(payload)
        return self._known[key]

    def input(self, name: str, dtype: str) -> Ref:
        """Return a number that is read from outside."""
        return self.inputs.setdefault(name, Ref(name, dtype))

    def scalar(self, source: Any) -> Ref:
        """Return a slot for one number, one for each object that it comes from."""
        return self._slot("s", self.scalars, source)

    def field(self, source: Any) -> Ref:
        """Return a slot for a number of each node."""
        return self._slot("n", self.fields, source)

    def as_floats(self, array: NDArray[Any]) -> Any:
        """Return an array, (nodes,), as float64: the same object each time, so that it takes one slot."""
        return self._floats.setdefault(id(array), (array, array.astype(np.float64)))[1]

    def _slot(self, letter: str, slots: list[Any], source: Any) -> Ref:
        key = (letter, id(source))
        if key not in self._known:
            self._known[key] = (Ref(f"{letter}{len(slots)}", "d"),)
            # Kept, so that no other object has the same `id`.
            slots.append(source)
        return self._known[key][0]

    def loop(self, ufunc: np.ufunc, signature: str) -> UfuncLoop:
        """Return an inner loop, as one of `loops`.

        Raises
        ------
        UntraceableError
            The ufunc has no loop of this signature.
        """
        if signature not in ufunc.types:
            raise UntraceableError(f"numpy's {ufunc.__name__} has no loop {signature}")
        loop = UfuncLoop(ufunc, signature)
        if loop not in self.loops:
            self.loops.append(loop)
        return loop

    def names_read(self, outputs: Iterable[Ref]) -> set[str]:
        """Return the names of all numbers that the outputs need, and of the outputs."""
        outputs = list(outputs)
        equations = self.reachable(outputs)
        return {ref.name for equation in equations for ref in equation.operands} | {ref.name for ref in outputs}

    def reachable(self, outputs: Iterable[Ref]) -> list[Equation]:
        """Return the equations that the outputs need, in order."""
        wanted = {ref.name for ref in outputs}
        kept = []
        for equation in reversed(self.equations):
            if any(ref.name in wanted for ref in equation.results):
                kept.append(equation)
                wanted |= {ref.name for ref in equation.operands}
        return kept[::-1]

    def pretty(self, outputs: Mapping[str, Sequence[Ref]]) -> str:
        """Return the equations that the outputs need as text, in the form of JAX's jaxpr.

        `lambda` names the slots, which differ from job to job, and after the semicolon the inputs; `let` lists the
        equations; `in` tells which numbers are the outputs. Functions and blocks that are called come first.
        """
        refs = [ref for group in outputs.values() for ref in group]
        results = [f"{name}=({', '.join(ref.name for ref in group)})" for name, group in outputs.items()]
        equations = self.reachable(refs)
        parts: list[str] = []
        for payload in dict.fromkeys(equation.payload for equation in equations):
            if isinstance(payload, Block):
                parts.append(f"{payload.name} = {self.pretty({'': payload.outputs}).replace('in =(', 'in (')}")
            elif isinstance(payload, ScalarFunction):
                head = f"function_{self.functions.index(payload)}({', '.join(payload.inputs)}):"
                parts.append(f"{head}\n{textwrap.indent(payload.body, '    ')}\n    -> {', '.join(payload.results)}")
        read = self.names_read(refs)
        slots = [f"s{k}:f64[]" for k in range(len(self.scalars)) if f"s{k}" in read]
        slots += [f"n{k}:f64[nodes]" for k in range(len(self.fields)) if f"n{k}" in read]
        inputs = [_typed(ref) for name, ref in self.inputs.items() if name in read]
        lines = [f"    {self._line(equation)}" for equation in equations]
        head = f"{{ lambda {' '.join(slots)} ; {' '.join(inputs)} . let"
        return "\n\n".join([*parts, "\n".join([head, *lines, f"  in {' '.join(results)} }}"])])

    def _line(self, equation: Equation) -> str:
        results = " ".join(map(_typed, equation.results))
        operands = " ".join(ref.name for ref in equation.operands)
        payload = equation.payload
        what = ""
        if isinstance(payload, UfuncLoop):
            what = f"[{payload.ufunc.__name__} {payload.signature}]"
        elif isinstance(payload, Block):
            what = f"[{payload.name}]"
        elif isinstance(payload, ScalarFunction):
            what = f"[function_{self.functions.index(payload)}]"
        return f"{results} = {equation.op.name.lower()}{what} {operands}"


def _typed(ref: Ref) -> str:
    return f"{ref.name}:{DTYPES[ref.dtype]}"


def literal(value: float) -> Ref:
    """Return a number of TVB's source; it takes the dtype of what it meets."""
    value = float(value)
    if math.isnan(value):
        return Ref("math.nan", "w")
    if math.isinf(value):
        return Ref("math.inf" if value > 0 else "(-math.inf)", "w")
    return Ref(f"({value!r})", "w")
