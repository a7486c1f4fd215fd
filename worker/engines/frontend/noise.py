"""TVB's noise as equations on a node. Called by `worker.engines.frontend.step`."""

from types import SimpleNamespace
from typing import Any

import numpy as np

from tvb_batch.models.spec.random_streams import is_mt19937
from tvb_batch.worker.engines.graph import Graph, Ref, UntraceableError
from tvb_batch.worker.engines.tracing.context import Proxy, TraceContext
from tvb_batch.worker.engines.tracing.inputs import inputs, refs_of
from tvb_batch.worker.engines.tracing.tracers import StackTracer


class NoiseTracer:
    """The integrator's noise: what it draws becomes z, the coloured noise it remembers e."""

    def __init__(self, simulator: Any, context: TraceContext, shape: tuple[int, ...]) -> None:
        self._context, self._shape, self.draws, self.proxy = context, shape, 0, None
        noise = getattr(simulator.integrator, "noise", None)
        if noise is None:
            return
        if not is_mt19937(noise.random_stream):
            raise UntraceableError("a random stream of another kind than RandomState")
        remembered = {}
        if noise.ntau > 0.0:
            remembered["_eta"] = self._stack("e")
        self._coloured = noise.ntau > 0.0
        bounds = {"b": _EquationTracer(noise.b, context)} if hasattr(noise, "b") else {}
        self.proxy = Proxy(noise, context, "noise", random_stream=self, **remembered, **bounds)

    def _stack(self, letter: str) -> StackTracer:
        return inputs(self._context.graph, letter, "d", self._shape[0], self._shape[1:])

    def normal(self, size: Any) -> StackTracer:
        """Return tracers for the normal numbers that TVB draws from its RandomState."""
        self.draws += 1
        if self.draws > 1 or tuple(size) != self._shape:
            raise UntraceableError(f"noise of shape {size}, drawn {self.draws} times in a step")
        return self._stack("z")

    def following(self, graph: Graph) -> tuple[Ref, ...]:
        """Return the coloured noise after the step; empty without."""
        if self.proxy is None or not self._coloured:
            return ()
        return refs_of(graph, self.proxy._eta)


def equation_parts(equation: Any) -> SimpleNamespace:
    """Return an equation's text, and its parameters as NumPy's numbers."""
    parameters = {name: np.float64(value) for name, value in equation.parameters.items()}
    return SimpleNamespace(equation=equation.equation, type=type(equation).__name__, **parameters)


class _EquationTracer:
    """An equation of TVB as a function of traced values: its text with its parameters."""

    def __init__(self, equation: Any, context: TraceContext) -> None:
        from tvb.datatypes.equations import Equation

        if type(equation).evaluate is not Equation.evaluate:
            raise UntraceableError(f"the equation {type(equation).__name__}")
        parts = {
            name: context.recording.read("b", name, value) for name, value in vars(equation_parts(equation)).items()
        }
        self._text, _ = parts.pop("equation"), parts.pop("type")
        self._parameters = parts

    def evaluate(self, var: Any) -> Any:
        functions = {name: getattr(np, name) for name in ("exp", "sin", "cos", "tan", "log", "sqrt", "tanh", "where")}
        # The text is TVB's own; the names it may use are its parameters and these functions.
        scope = {"__builtins__": {}, **functions, **self._parameters, "var": var}
        try:
            return eval(self._text, scope)  # noqa: S307
        except (NameError, SyntaxError, TypeError) as exc:
            raise UntraceableError(f"the equation {self._text}") from exc
