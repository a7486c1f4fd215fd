"""Tracers: objects in place of NumPy arrays that record what TVB's code does with them.

`worker.engines.tracing.context` calls TVB's functions once with tracers in place of the state. Unsupported use raises
`UntraceableError`; nothing is guessed. Arrays of parameters stay NumPy arrays: what TVB computes of parameters alone,
NumPy computes once.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from tvb_batch.worker.engines.graph import Graph, Op, Ref, UntraceableError
from tvb_batch.worker.engines.primitives.sizes import PAIRWISE_LANES
from tvb_batch.worker.engines.tracing.recording import Parameter
from tvb_batch.worker.engines.tracing.ufuncs import apply, cast, fits, operand, selects_all

#: NumPy's short cuts for `array ** python_number`.
_POWERS = {1.0, 2.0, 0.5, -1.0}


class NodeTracer(NDArrayOperatorsMixin):
    """A number of every node: an array of shape (nodes,), (nodes, 1), or of edges."""

    def __init__(self, graph: Graph, ref: Ref, shape: tuple[int, ...], *, is_view: bool = False) -> None:
        self.graph, self.ref, self.shape, self._is_view = graph, ref, shape, is_view

    @property
    def ndim(self) -> int:
        """Return the number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Return the number of elements."""
        return math.prod(self.shape)

    @property
    def refs(self) -> list[Ref]:
        """Return the number of a node, in a list as of `StackTracer`."""
        return [self.ref]

    def copy(self) -> "NodeTracer":
        """Return a tracer that can be assigned to on its own."""
        return NodeTracer(self.graph, self.ref, self.shape)

    def __getattr__(self, name: str) -> Any:
        return _missing(name)

    def __bool__(self) -> bool:
        raise UntraceableError("a branch that depends on the state")

    def __float__(self) -> float:
        raise UntraceableError("a single number made of the state")

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise UntraceableError("an array made of the state")

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[Any]:
        raise UntraceableError("a loop over nodes")

    def __getitem__(self, index: Any) -> Any:
        if selects_all(index, self.ndim):
            return self
        if isinstance(index, tuple) and index == (slice(None), 0) and self.shape[1:] == (1,):
            return NodeTracer(self.graph, self.ref, self.shape[:1], is_view=True)
        if isinstance(index, tuple) and len(index) == 2 and index[0] == slice(None) and index[1] is None:
            if self.ndim == 1:
                return NodeTracer(self.graph, self.ref, (*self.shape, 1), is_view=True)
            return StackTracer([NodeTracer(self.graph, self.ref, self.shape, is_view=True)], axis=1)
        raise UntraceableError(f"index {index!r} of a state variable")

    def __setitem__(self, index: Any, value: Any) -> None:
        if isinstance(index, tuple) and len(index) == 1:
            index = index[0]
        if isinstance(index, NodeTracer) and index.ref.dtype == "b":
            new = cast(self.graph, self._ref(value), self.ref.dtype)
            self._assign(self.graph.apply(Op.WHERE, (index.ref, new, self.ref), self.ref.dtype)[0])
        elif selects_all(index, self.ndim):
            self._assign(cast(self.graph, self._ref(value), self.ref.dtype))
        else:
            raise UntraceableError(f"assignment to index {index!r} of a state variable")

    def _assign(self, ref: Ref) -> None:
        if self._is_view:
            raise UntraceableError("assignment to a view")
        self.ref = ref

    def _ref(self, value: Any) -> Ref:
        """Return a value as an operand."""
        if isinstance(value, NodeTracer):
            if not fits(value.shape, self.shape):
                raise UntraceableError(f"shapes {value.shape} and {self.shape} together")
            return value.ref
        return operand(self.graph, value, self.shape)

    def __pow__(self, exponent: Any) -> Any:
        if isinstance(exponent, int | float) and not isinstance(exponent, bool | np.generic) and exponent in _POWERS:
            if exponent == 2.0:
                return self * self
            if exponent == 0.5:
                return np.sqrt(self)
            return self.copy() if exponent == 1.0 else 1.0 / self
        return np.power(self, exponent)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **keywords: Any) -> Any:
        if any(isinstance(value, StackTracer) for value in inputs):
            return NotImplemented
        out = keywords.pop("out", None)
        if method != "__call__" or keywords:
            raise UntraceableError(f"{ufunc.__name__} with {method}, {sorted(keywords)}")
        modes = max(
            (value.shape[1] for value in inputs if isinstance(value, np.ndarray | Parameter) and value.ndim == 2),
            default=1,
        )
        if modes > 1 and self.shape[1:] == (1,) and out is None:
            # (nodes, 1) with a parameter (1, modes) makes (nodes, modes).
            return ufunc(*[StackTracer([v[:, 0]] * modes, axis=1) if isinstance(v, NodeTracer) else v for v in inputs])
        largest = max((value for value in inputs if isinstance(value, NodeTracer)), key=lambda value: value.size)
        result = NodeTracer(
            self.graph, apply(self.graph, ufunc, [largest._ref(value) for value in inputs]), largest.shape
        )
        if out is None:
            return result
        (target,) = out
        if not isinstance(target, NodeTracer) or target.shape != result.shape:
            raise UntraceableError(f"{ufunc.__name__} with this out")
        target._assign(cast(self.graph, result.ref, target.ref.dtype))
        return target

    def __array_function__(self, function: Callable[..., Any], kinds: Any, arguments: Any, keywords: Any) -> Any:
        return _array_function(self.graph, function, arguments, keywords)


class StackTracer(NDArrayOperatorsMixin):
    """Some numbers of every node: an array whose `axis` counts them, such as (state variables, nodes, 1).

    With more than one mode the items are stacks themselves: (state variables, nodes, modes) is one of (nodes, modes).
    """

    def __init__(self, items: Sequence["Tracer | None"], axis: int = 0, shape: tuple[int, ...] | None = None) -> None:
        self.items, self.axis = list(items), axis
        inner: tuple[int, ...] = shape if shape is not None else first(self.items).shape
        self.inner = inner
        self.shape = (*inner[:axis], len(self.items), *inner[axis:])

    @property
    def ndim(self) -> int:
        """Return the number of axes."""
        return len(self.shape)

    @property
    def graph(self) -> Graph:
        """Return the graph of the items."""
        graph: Graph = first(self.items).graph
        return graph

    @property
    def refs(self) -> list[Ref]:
        """Return all numbers of a node, one item after the other."""
        return [ref for item in self.items for ref in _known(item).refs]

    def __len__(self) -> int:
        return self.shape[0]

    def __getattr__(self, name: str) -> Any:
        return _missing(name)

    def __bool__(self) -> bool:
        raise UntraceableError("a branch that depends on the state")

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise UntraceableError("an array made of the state")

    def __iter__(self) -> Iterator[Any]:
        if self.axis != 0:
            raise UntraceableError("a loop over nodes")
        return iter([self[k] for k in range(len(self.items))])

    def sum(self, axis: int) -> Any:
        """Return the sum over the items, in NumPy's order for fewer than 8 numbers: one after the other."""
        if axis != self.axis or len(self.items) >= PAIRWISE_LANES:
            raise UntraceableError(f"the sum of axis {axis} of shape {self.shape}")
        total = _known(self.items[0])
        for item in self.items[1:]:
            total = total + _known(item)
        return total

    def copy(self) -> "StackTracer":
        """Return a stack of copies."""
        return StackTracer([_known(item).copy() for item in self.items], self.axis)

    def reshape(self, *shape: Any) -> "StackTracer":
        """Return the stack without its last axis of one element; no other shape is supported."""
        shape = shape[0] if len(shape) == 1 and isinstance(shape[0], tuple) else shape
        if self.axis != 0 or shape != self.shape[:-1] or self.shape[-1] != 1:
            raise UntraceableError(f"reshape from {self.shape} to {shape}")
        return StackTracer([_known(item)[:, 0] for item in self.items])

    @property
    def T(self) -> "StackTracer":  # noqa: N802 - NumPy's name
        """Return the transpose of a stack with two axes."""
        if self.ndim != 2:
            raise UntraceableError(f"the transpose of shape {self.shape}")
        return StackTracer(self.items, 1 - self.axis)

    def __getitem__(self, index: Any) -> Any:
        if selects_all(index, self.ndim):
            return self
        if isinstance(index, tuple) and index == (Ellipsis, None) and self.axis == 0:
            return StackTracer([_known(item)[:, np.newaxis] for item in self.items])
        which, rest = self._split(index)
        item = _known(self.items[which])
        return item[rest] if rest else item

    def __setitem__(self, index: Any, value: Any) -> None:
        if isinstance(index, StackTracer) or selects_all(index, self.ndim):
            for k, item in enumerate(self.items):
                where = _part(index, k, self.ndim, self.axis) if isinstance(index, StackTracer) else Ellipsis
                _known(item)[where] = _part(value, k, self.ndim, self.axis)
            return
        if isinstance(index, np.ndarray) and index.dtype.kind == "i" and self.axis == 0:
            for k, position in enumerate(index):
                self.items[position] = as_tracer(self, _part(value, k, self.ndim, 0))
            return
        which, rest = self._split(index)
        if rest and not selects_all(rest, len(self.inner)):
            raise UntraceableError(f"assignment to index {index!r}")
        self.items[which] = as_tracer(self, value)

    def _split(self, index: Any) -> tuple[int, tuple[Any, ...]]:
        """Return the item that an index selects, and the rest of the index, for the item."""
        parts = index if isinstance(index, tuple) else (index,)
        parts = tuple(part for part in parts if part is not Ellipsis)
        if len(parts) > self.axis and isinstance(parts[self.axis], int | np.integer):
            before, which, after = parts[: self.axis], int(parts[self.axis]), parts[self.axis + 1 :]
            rest = (*before, *after)
            return which, () if selects_all(rest, len(self.inner)) else rest
        raise UntraceableError(f"index {index!r} of shape {self.shape}")

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **keywords: Any) -> Any:
        out = keywords.pop("out", None)
        if method != "__call__" or keywords:
            raise UntraceableError(f"{ufunc.__name__} with {method}, {sorted(keywords)}")
        largest = max((value for value in inputs if isinstance(value, StackTracer)), key=lambda value: len(value.items))
        items = []
        for k in range(len(largest.items)):
            items.append(ufunc(*[_part(value, k, largest.ndim, largest.axis) for value in inputs]))
        result = StackTracer(items, largest.axis)
        if out is None:
            return result
        (target,) = out
        if not isinstance(target, StackTracer) or target.shape != result.shape:
            raise UntraceableError(f"{ufunc.__name__} with this out")
        for old, new in zip(target.items, result.items, strict=True):
            _known(old)[...] = new
        return target

    def __pow__(self, exponent: Any) -> "StackTracer":
        return StackTracer([_known(item) ** exponent for item in self.items], self.axis)

    def __array_function__(self, function: Callable[..., Any], kinds: Any, arguments: Any, keywords: Any) -> Any:
        return _array_function(self.graph, function, arguments, keywords)


#: A number of every node, or as many as there are modes.
Tracer = NodeTracer | StackTracer


def as_tracer(stack: StackTracer, value: Any) -> "Tracer":
    """Return what a stack stores for a value: a copy, as NumPy would make."""
    graph = next((item.graph for item in stack.items if item is not None), None)
    if isinstance(value, StackTracer):
        if value.shape != stack.inner:
            raise UntraceableError(f"a stack of shape {value.shape} stored in shape {stack.inner}")
        return value.copy()
    if stack.inner[1:] not in ((), (1,)):
        raise UntraceableError(f"one value stored for {stack.inner[-1]} modes")
    if isinstance(value, NodeTracer):
        if value.shape not in (stack.inner, stack.inner[:-1] if stack.inner[-1] == 1 else stack.inner):
            raise UntraceableError(f"a value of shape {value.shape} stored in shape {stack.inner}")
        return NodeTracer(value.graph, value.ref, stack.inner)
    if graph is None:
        raise UntraceableError("a constant stored before any value")
    return NodeTracer(graph, operand(graph, value, stack.inner), stack.inner)


def _array_function(graph: Graph, function: Callable[..., Any], arguments: Any, keywords: Any) -> Any:
    """Return what a function of NumPy that is no ufunc makes of arguments of which some are tracers."""
    if function is np.dot and not keywords and isinstance(arguments[0], StackTracer):
        return _dot(graph, *arguments)
    if keywords or function is not np.where:
        raise UntraceableError(f"numpy's {function.__name__}")
    if len(arguments) == 1:
        return (arguments[0],)
    condition, yes, no = arguments
    if not isinstance(condition, NodeTracer) or condition.ref.dtype != "b":
        raise UntraceableError("numpy's where on this condition")
    values = [condition._ref(value) for value in (yes, no)]
    kind = "d" if any(ref.dtype in "dw" for ref in values) else "f"
    values = [cast(graph, ref, kind) for ref in values]
    return NodeTracer(graph, graph.apply(Op.WHERE, (condition.ref, *values), kind)[0], condition.shape)


def _dot(graph: Graph, left: StackTracer, right: Any) -> StackTracer:
    """Return (nodes, modes) times (modes, modes); the order of additions is that of BLAS, with fused products."""
    if left.axis != 1 or left.ndim != 2 or not isinstance(right, np.ndarray | Parameter) or right.ndim != 2:
        raise UntraceableError("a product of these matrices")
    columns = []
    for column in right.T:
        factors = [graph.scalar(factor) for factor in column]
        total = graph.apply(Op.MULTIPLY, (left.refs[0], factors[0]), "d")[0]
        for ref, factor in zip(left.refs[1:], factors[1:], strict=True):
            total = graph.apply(Op.FMA, (ref, factor, total), "d")[0]
        columns.append(NodeTracer(graph, total, left.inner))
    return StackTracer(columns, axis=1)


def _part(value: Any, k: int, ndim: int, axis: int) -> Any:
    """Return the part of an operand that meets the k-th item of a stack; `axis` of its `ndim` axes counts the items."""
    if isinstance(value, StackTracer):
        if value.ndim < ndim and axis == 0:
            return value
        if value.ndim != ndim or value.axis != axis:
            raise UntraceableError("stacks of different shapes together")
        return _known(value.items[k if len(value.items) > 1 else 0])
    if isinstance(value, NodeTracer):
        if axis == 0:
            return value
        if axis == ndim - 1 and value.shape[1:] == (1,):
            return value[:, 0]
        raise UntraceableError("a value and a stack of this shape together")
    if not isinstance(value, np.ndarray | Parameter) or value.ndim < ndim - axis:
        return value
    position = axis - (ndim - value.ndim)
    return value.take(0 if value.shape[position] == 1 else k, axis=position)


def _missing(name: str) -> Any:
    """Raise for an attribute that a tracer does not have; NumPy tests for names with underscores."""
    if name.startswith("__"):
        raise AttributeError(name)
    raise UntraceableError(f"{name!r} of the state")


def _known(item: "Tracer | None") -> Any:
    if item is None:
        raise UntraceableError("a value that was never set")
    return item


def first(items: Sequence["Tracer | None"]) -> Any:
    """Return the first item that was set."""
    return next(_known(item) for item in items if item is not None)
