"""NumPy's arithmetic on operands of a graph, with NumPy's types. Called by `worker.engines.tracing.tracers`."""

from typing import Any

import numpy as np

from tvb_batch.worker.engines.passes.graph import Graph, Ref, UntraceableError, literal
from tvb_batch.worker.engines.tracing.recording import value_of

_ARITHMETIC = {"add": "+", "subtract": "-", "multiply": "*", "divide": "/", "true_divide": "/"}
_COMPARISONS = {
    "less": "<",
    "less_equal": "<=",
    "greater": ">",
    "greater_equal": ">=",
    "equal": "==",
    "not_equal": "!=",
}
_EXACT = {"sqrt": "sqrt", "absolute": "abs", "fabs": "abs"}


def operand(graph: Graph, value: Any, shape: tuple[int, ...]) -> Ref:
    """A number or an array of parameters that meets values of `shape`."""
    if isinstance(value, bool | int | float) and not isinstance(value, np.generic):
        return literal(value)
    array = np.asarray(value_of(value))
    if array.dtype.kind not in "fi" or (array.dtype.kind == "f" and array.dtype != np.float64):
        raise UntraceableError(f"an operand of type {array.dtype}")
    if not fits(array.shape, shape):
        raise UntraceableError(f"shapes {array.shape} and {shape} together")
    if array.size == 1:
        return graph.scalar(value)
    if shape not in ((shape[0],), (shape[0], 1)):
        raise UntraceableError("a parameter for each edge")
    return graph.field(value)


def fits(part: tuple[int, ...], whole: tuple[int, ...]) -> bool:
    """Whether NumPy makes `whole` of both shapes."""
    return part == whole or (
        len(part) <= len(whole)
        and all(length in (1, full) for length, full in zip(reversed(part), reversed(whole), strict=False))
    )


def apply(graph: Graph, ufunc: np.ufunc, operands: list[Ref]) -> Ref:
    """What a ufunc of NumPy makes of operands."""
    name = ufunc.__name__
    kind = "d" if any(ref.dtype == "d" for ref in operands) else "f"
    if any(ref.dtype == "b" for ref in operands):
        raise UntraceableError(f"{name} of booleans")
    operands = [cast(graph, ref, kind) for ref in operands]
    if name in _ARITHMETIC:
        return graph.apply(_ARITHMETIC[name], operands, kind)[0]
    if name in _COMPARISONS:
        return graph.apply(_COMPARISONS[name], operands, "b")[0]
    if name == "square":
        return graph.apply("*", operands * 2, kind)[0]
    if name == "reciprocal":
        return graph.apply("/", [cast(graph, literal(1.0), kind), *operands], kind)[0]
    if name in ("negative", "positive"):
        return graph.apply("neg", operands, kind)[0] if name == "negative" else operands[0]
    if name in _EXACT:
        return graph.apply(_EXACT[name], operands, kind)[0]
    if ufunc.nout != 1 or ufunc.nin > 2:
        raise UntraceableError(f"numpy's {name}")
    index = graph.loop(ufunc, f"{kind * ufunc.nin}->{kind}")
    return graph.apply(f"loop {index}", operands, kind)[0]


def cast(graph: Graph, ref: Ref, kind: str) -> Ref:
    """The operand as d or f."""
    if ref.dtype == kind:
        return ref
    if ref.dtype == "w":
        return Ref(ref.name, kind) if kind == "d" else Ref(f"np.float32{ref.name}", kind)
    return graph.apply("float64" if kind == "d" else "float32", [ref], kind)[0]


def is_whole(index: Any, ndim: int) -> bool:
    """Whether an index means all of an array."""
    parts = index if isinstance(index, tuple) else (index,)
    return len(parts) <= ndim + 1 and all(
        part is Ellipsis or (isinstance(part, slice) and part == slice(None)) for part in parts
    )
