"""Calls TVB's own functions with tracers in place of the state. Called by `worker.engines.frontend.step`."""

import builtins
import types
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tvb_batch.worker.engines.graph import Graph, UntraceableError
from tvb_batch.worker.engines.tracing.recording import ABSENT, NoRecording, Parameter, Recording
from tvb_batch.worker.engines.tracing.tracers import StackTracer, Tracer, as_tracer

#: What code may raise that gets tracers or numbers for which it was not written.
TRACE_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    NameError,
    RuntimeError,
    TypeError,
    ValueError,
)


class NumPy:
    """NumPy as traced code sees it: a function that makes an array of tracers makes a stack."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        #: Of one state variable.
        self._shape = shape

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)

    def array(self, value: Any, *arguments: Any, **keywords: Any) -> Any:
        """Return a stack if the value holds tracers, else what NumPy returns."""
        if isinstance(value, Tracer):
            return value.copy()
        if isinstance(value, list | tuple) and builtins.any(isinstance(item, Tracer) for item in value):
            known = next(item for item in value if isinstance(item, Tracer))
            return StackTracer([as_tracer(StackTracer([known]), item) for item in value])
        return np.array(value, *arguments, **keywords)

    def empty_like(self, value: Any, *arguments: Any, **keywords: Any) -> Any:
        """Return an empty stack for a stack, else what NumPy returns."""
        if isinstance(value, StackTracer):
            return StackTracer([None] * len(value.items), value.axis, value.inner)
        return np.empty_like(value, *arguments, **keywords)

    def empty(self, shape: Any, *arguments: Any, **keywords: Any) -> Any:
        """Return an empty stack if the shape is that of state variables, else what NumPy returns."""
        if isinstance(shape, tuple) and shape[1:] == self._shape:
            return StackTracer([None] * shape[0], shape=self._shape)
        return np.empty(shape, *arguments, **keywords)


class Proxy:
    """A TVB object as traced code sees it through `self`: methods are traced, what is set stays here."""

    def __init__(self, target: Any, context: "TraceContext", part: str, **replaced: Any) -> None:
        """Stand for a part of the simulator; `part` names it."""
        object.__setattr__(self, "_target", (target, part))
        object.__setattr__(self, "_context", context)
        for name, value in replaced.items():
            object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> Any:
        (target, part), context = object.__getattribute__(self, "_target"), object.__getattribute__(self, "_context")
        value = getattr(target, name, ABSENT)
        if isinstance(value, np.ndarray) and not hasattr(type(target), name) and value.ndim == 3:
            raise AttributeError(name)  # A buffer that TVB keeps from its last call.
        value = context.recording.read(part, name, value)
        if value is ABSENT:
            raise AttributeError(name)
        if isinstance(value, Parameter):
            pass
        elif isinstance(value, types.MethodType):
            value = types.MethodType(context.retarget(value.__func__), self)
        elif isinstance(value, types.FunctionType) or hasattr(value, "py_func"):
            value = context.retarget(value)
        object.__setattr__(self, name, value)
        return value


class TraceContext:
    """Calls TVB's functions with tracers."""

    def __init__(
        self,
        graph: Graph,
        shape: tuple[int, ...],
        call_gufunc: Callable[..., Any],
        recording: "Recording | NoRecording",
    ) -> None:
        self.graph, self.recording = graph, recording
        self._numpy, self._call_gufunc = NumPy(shape), call_gufunc

    def retarget(self, function: Any) -> Callable[..., Any]:
        """Return a function that uses tracers' NumPy, and traces what it calls."""
        function = getattr(function, "py_func", function)
        if not isinstance(function, types.FunctionType):
            raise UntraceableError(f"{function!r} has no Python source")
        names = set(_names(function.__code__))
        scope = {name: self._replace(value) for name, value in function.__globals__.items() if name in names}
        defaults = tuple(self._default(value) for value in function.__defaults__ or ())
        scope["__builtins__"] = function.__globals__["__builtins__"]
        twin = types.FunctionType(function.__code__, scope, function.__name__, defaults, function.__closure__)
        twin.__kwdefaults__ = function.__kwdefaults__
        return twin

    def _replace(self, value: Any) -> Any:
        if value is np:
            return self._numpy
        if hasattr(value, "gufunc_builder"):
            return lambda *arguments: self._call_gufunc(self.graph, value, *arguments)
        if isinstance(value, types.FunctionType) or hasattr(value, "py_func"):
            return self.retarget(value)
        return value

    def _default(self, value: Any) -> Any:
        name = getattr(value, "__name__", "")
        if callable(value) and getattr(np, name, None) is value:
            return getattr(self._numpy, name)
        return value


def _names(code: types.CodeType) -> Iterator[str]:
    """Yield the names that a function and those inside it use."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)
