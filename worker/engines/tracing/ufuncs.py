"""NumPy's arithmetic on operands of a graph, with NumPy's dtypes. Called by `worker.engines.tracing.tracers`."""

from typing import Any

import numpy as np

from tvb_batch.worker.engines.graph import Graph, Op, Ref, UntraceableError, literal
from tvb_batch.worker.engines.tracing.recording import value_of

#: NumPy's names of ufuncs that a kernel computes itself.
_ARITHMETIC = {
    "add": Op.ADD,
    "subtract": Op.SUBTRACT,
    "multiply": Op.MULTIPLY,
    "divide": Op.DIVIDE,
    "true_divide": Op.DIVIDE,
}
_COMPARISONS = {
    "less": Op.LESS,
    "less_equal": Op.LESS_EQUAL,
    "greater": Op.GREATER,
    "greater_equal": Op.GREATER_EQUAL,
    "equal": Op.EQUAL,
    "not_equal": Op.NOT_EQUAL,
}
_UNARY = {"negative": Op.NEGATIVE, "sqrt": Op.SQRT, "absolute": Op.ABSOLUTE, "fabs": Op.ABSOLUTE}


def operand(graph: Graph, value: Any, shape: tuple[int, ...]) -> Ref:
    """Return a number or an array of parameters as an operand for values of `shape`.

    Raises
    ------
    UntraceableError
        Its dtype or its shape does not fit.
    """
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
    """Return whether NumPy broadcasts both shapes to `whole`."""
    return part == whole or (
        len(part) <= len(whole)
        and all(length in (1, full) for length, full in zip(reversed(part), reversed(whole), strict=False))
    )


def apply(graph: Graph, ufunc: np.ufunc, operands: list[Ref]) -> Ref:
    """Return what a ufunc of NumPy makes of operands; float64 where one of them is float64, else float32.

    Raises
    ------
    UntraceableError
        The ufunc takes booleans, or more than two operands.
    """
    name = ufunc.__name__
    dtype = "d" if any(ref.dtype == "d" for ref in operands) else "f"
    if any(ref.dtype == "b" for ref in operands):
        raise UntraceableError(f"{name} of booleans")
    operands = [cast(graph, ref, dtype) for ref in operands]
    if name in _ARITHMETIC:
        return graph.apply(_ARITHMETIC[name], operands, dtype)[0]
    if name in _COMPARISONS:
        return graph.apply(_COMPARISONS[name], operands, "b")[0]
    if name == "square":
        return graph.apply(Op.MULTIPLY, operands * 2, dtype)[0]
    if name == "reciprocal":
        return graph.apply(Op.DIVIDE, [cast(graph, literal(1.0), dtype), *operands], dtype)[0]
    if name == "positive":
        return operands[0]
    if name in _UNARY:
        return graph.apply(_UNARY[name], operands, dtype)[0]
    if ufunc.nout != 1 or ufunc.nin > 2:
        raise UntraceableError(f"numpy's {name}")
    loop = graph.loop(ufunc, f"{dtype * ufunc.nin}->{dtype}")
    return graph.apply(Op.UFUNC_LOOP, operands, dtype, loop)[0]


def cast(graph: Graph, ref: Ref, dtype: str) -> Ref:
    """Return the operand as d or f."""
    if ref.dtype == dtype:
        return ref
    if ref.dtype == "w":
        return Ref(ref.name, dtype) if dtype == "d" else Ref(f"np.float32{ref.name}", dtype)
    return graph.apply(Op.FLOAT64 if dtype == "d" else Op.FLOAT32, [ref], dtype)[0]


def selects_all(index: Any, ndim: int) -> bool:
    """Return whether an index selects all of an array."""
    parts = index if isinstance(index, tuple) else (index,)
    return len(parts) <= ndim + 1 and all(
        part is Ellipsis or (isinstance(part, slice) and part == slice(None)) for part in parts
    )
