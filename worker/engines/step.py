"""One step of a configured simulator as operations on a node, traced from TVB's model, integrator, noise and coupling.

Called by `worker.engines.program`. Names in the graph: x state, g summed input, z normal numbers, e coloured noise,
u stimulus, and in a coupling's `pre` j the delayed and i the present state, each with the number of its row.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from worker.engines.graph import Block, Graph, Ref, UntraceableError
from worker.engines.gufuncs import call_gufunc
from worker.engines.standins import Stack, Value, cast
from worker.engines.tracing import Proxy, Tracer


@dataclass(frozen=True)
class Step:
    """What happens to a node in one step."""

    graph: Graph
    #: The next state, a number for each state variable.
    state: tuple[Ref, ...]
    #: The next value of coloured noise; empty without.
    coloured: tuple[Ref, ...]
    #: What enters the node, as the model sees it.
    afferent: tuple[Ref, ...]
    #: What monitors see of the next state.
    observed: tuple[Ref, ...]
    #: What the next state sends to others.
    source: tuple[Ref, ...]
    coupling: "Coupling"
    draws_noise: bool
    #: Each of the numbers above stands for a variable and a mode, all modes of a variable after each other.
    modes: int


@dataclass(frozen=True)
class Coupling:
    """How a coupling makes a node's input of the states of others."""

    #: What is weighted and summed, a number for each row, made of j and i.
    product: tuple[Ref, ...]
    #: Whether `pre` looks at the target too: it is done for each edge then, else once for each source.
    by_edge: bool
    #: Whether TVB sums all sources, in NumPy's order of a whole row, or only those with a weight, by reduceat.
    dense: bool

    @property
    def kind(self) -> str:
        """d or f: the precision of the products and of their sum."""
        return self.product[0].kind


#: What code may raise that meets stand-ins for arrays, or numbers it was not written for.
_FAULTS = (ArithmeticError, AssertionError, AttributeError, LookupError, NameError, RuntimeError, TypeError, ValueError)


def trace_step(simulator: Any) -> Step:
    """The step of a configured simulator.

    Raises
    ------
    UntraceableError
        A part of it is not understood.
    """
    try:
        return _trace_step(simulator)
    except _FAULTS as exc:
        raise UntraceableError(f"what raises {type(exc).__name__} when it is traced: {exc}") from exc


def _trace_step(simulator: Any) -> Step:
    model, integrator = simulator.model, simulator.integrator
    nodes, modes = simulator.number_of_nodes, model.number_of_modes
    if simulator.integrate_next_step != integrator.integrate or not np.all(model.state_variable_mask):
        raise UntraceableError("state variables that are not integrated")
    graph, shape = Graph(), (nodes, modes)
    tracer = Tracer(graph, shape, call_gufunc)
    coupling = _trace_coupling(simulator, tracer)
    afferent = _trace_post(simulator, tracer, coupling)
    state = _inputs(graph, "x", "d", model.nvar, shape)
    noise = _Noise(simulator, tracer, state.shape)
    stimulus: Any = 0.0
    if simulator.stimulus is not None:
        stimulus = Stack([_stimulus(graph, k, model, (nodes, 1)) for k in range(model.nvar)])
    own = {"noise": noise.proxy} if noise.proxy is not None else {}
    proxy = Proxy(integrator, tracer, **own)
    dfun = _Dfun(model, tracer)
    following = tracer.retarget(type(integrator).scheme)(proxy, state, dfun, afferent, 0.0, stimulus)
    if not isinstance(following, Stack) or following.shape != state.shape:
        raise UntraceableError("an integrator that returns something else than a state")
    observed = tracer.retarget(model.observe)(following)
    if not isinstance(observed, Stack) or observed.inner != state.inner:
        raise UntraceableError("variables of interest that are no state variables")
    return Step(
        graph=graph,
        state=_refs(graph, following),
        coloured=noise.following(graph),
        afferent=_refs(graph, afferent),
        observed=_refs(graph, observed),
        source=_trace_source(simulator, tracer, coupling, following),
        coupling=coupling,
        draws_noise=noise.draws > 0,
        modes=modes,
    )


def _refs(graph: Graph, stack: Stack, kind: str = "d") -> tuple[Ref, ...]:
    return tuple(cast(graph, ref, kind) for ref in stack.refs)


def _inputs(graph: Graph, letter: str, kind: str, count: int, shape: tuple[int, ...], axis: int = 0) -> Stack:
    """A stack of inputs with names of their own; the last of `shape` counts modes."""
    return _stack(graph, [Ref(f"{letter}{k}", kind) for k in range(count * shape[-1])], shape, axis)


def _stack(graph: Graph, refs: Sequence[Ref], shape: tuple[int, ...], axis: int = 0) -> Stack:
    """A stack of numbers, `shape` each, that has all modes of one item after the other."""
    modes = shape[-1]
    if modes == 1:
        return Stack([Value(graph, ref, shape) for ref in refs], axis)
    values = [Value(graph, ref, shape[:-1]) for ref in refs]
    inner = len(shape) - 1
    return Stack([Stack(values[k : k + modes], inner) for k in range(0, len(values), modes)], axis)


def _stimulus(graph: Graph, variable: int, model: Any, shape: tuple[int, ...]) -> Value:
    stimulated = [int(k) for k in model.stvar]
    if variable in stimulated:
        return Value(graph, Ref("u0", "d"), shape)
    return Value(graph, Ref("0.0", "d"), shape)


#: A dfun of more operations is a function of its own: it would be compiled several times.
_MOST_INLINE = 300


class _Dfun:
    """The model's derivatives: part of the step where they are short, else a function that the step calls."""

    def __init__(self, model: Any, tracer: Tracer) -> None:
        function = model.dfun
        if getattr(function, "__self__", None) is not model:
            raise UntraceableError("a dfun that is no method of its model")
        self._function, self._model, self._tracer = tracer.retarget(function.__func__), model, tracer
        self._block: Block | None = None

    def __call__(self, state: Stack, coupling: Stack, local_coupling: Any) -> Stack:
        if self._block is None:
            self._block = self._trace_block(state, coupling, local_coupling)
        graph = self._tracer.graph
        if self._block not in graph.blocks:
            return self._trace(state, coupling, local_coupling)
        arguments = [*_refs(graph, state), *coupling.refs]
        results = graph.apply(f"block {graph.blocks.index(self._block)}", arguments, "d" * len(state.refs))
        return _stack(graph, results, state.inner)

    def _trace(self, state: Stack, coupling: Stack, local_coupling: Any) -> Stack:
        found = self._function(Proxy(self._model, self._tracer), state, coupling, local_coupling)
        if not isinstance(found, Stack) or found.shape != state.shape:
            raise UntraceableError("a dfun that returns something else than derivatives")
        return found

    def _trace_block(self, state: Stack, coupling: Stack, local_coupling: Any) -> Block:
        graph = self._tracer.graph
        # A coupling without a `post` hands on float32.
        y = _inputs(graph, "y", "d", len(state.items), state.inner)
        c = _inputs(graph, "c", coupling.refs[0].kind, len(coupling.items), coupling.inner)
        outputs = _refs(graph, self._trace(y, c, local_coupling))
        names = (*y.refs, *c.refs)
        block = Block(f"dfun_{len(graph.blocks)}", names, outputs)
        operations = graph.reachable(outputs)
        if len(operations) > _MOST_INLINE or any(operation.code.startswith("loop") for operation in operations):
            graph.blocks.append(block)
        return block


class _Noise:
    """The integrator's noise: what it draws becomes z, the coloured noise it remembers e."""

    def __init__(self, simulator: Any, tracer: Tracer, shape: tuple[int, ...]) -> None:
        self._tracer, self._shape, self.draws, self.proxy = tracer, shape, 0, None
        noise = getattr(simulator.integrator, "noise", None)
        if noise is None:
            return
        if type(noise.random_stream) is not np.random.RandomState or not _is_twister(noise.random_stream):
            raise UntraceableError("a random stream of another kind than RandomState")
        remembered = {}
        if noise.ntau > 0.0:
            remembered["_eta"] = self._stack("e")
        self._coloured = noise.ntau > 0.0
        bounds = {"b": _Equation(noise.b)} if hasattr(noise, "b") else {}
        self.proxy = Proxy(noise, tracer, random_stream=self, **remembered, **bounds)

    def _stack(self, letter: str) -> Stack:
        return _inputs(self._tracer.graph, letter, "d", self._shape[0], self._shape[1:])

    def normal(self, size: Any) -> Stack:
        """What TVB asks its RandomState for."""
        self.draws += 1
        if self.draws > 1 or tuple(size) != self._shape:
            raise UntraceableError(f"noise of shape {size}, drawn {self.draws} times in a step")
        return self._stack("z")

    def following(self, graph: Graph) -> tuple[Ref, ...]:
        """Coloured noise after the step."""
        if self.proxy is None or not self._coloured:
            return ()
        return _refs(graph, self.proxy._eta)


def _is_twister(stream: np.random.RandomState) -> bool:
    return bool(dict(stream.get_state(legacy=False))["bit_generator"] == "MT19937")


class _Equation:
    """An equation of TVB as a function of traced values: its text with its parameters."""

    def __init__(self, equation: Any) -> None:
        from tvb.datatypes.equations import Equation

        if type(equation).evaluate is not Equation.evaluate:
            raise UntraceableError(f"the equation {type(equation).__name__}")
        self._text = equation.equation
        self._parameters = {name: np.float64(value) for name, value in equation.parameters.items()}

    def evaluate(self, var: Any) -> Any:
        functions = {name: getattr(np, name) for name in ("exp", "sin", "cos", "tan", "log", "sqrt", "tanh", "where")}
        # The text is TVB's own; the names it may use are its parameters and these functions.
        scope = {"__builtins__": {}, **functions, **self._parameters, "var": var}
        try:
            return eval(self._text, scope)  # noqa: S307
        except (NameError, SyntaxError, TypeError) as exc:
            raise UntraceableError(f"the equation {self._text}") from exc


def _trace_coupling(simulator: Any, tracer: Tracer) -> Coupling:
    """How the coupling makes what is summed of delayed states."""
    from tvb.simulator.coupling import Coupling as Base
    from tvb.simulator.coupling import SparseCoupling

    coupling, rows = simulator.coupling, len(simulator.model.cvar)
    call = type(coupling).__call__
    if call is not Base.__call__ and call is not SparseCoupling.__call__:
        raise UntraceableError(f"{type(coupling).__name__} sums in a way of its own")
    dense = call is Base.__call__
    nodes, edges = simulator.number_of_nodes, int(np.count_nonzero(simulator.connectivity.weights))
    modes = simulator.model.number_of_modes
    delayed = (nodes, nodes, modes) if dense else (edges, modes)
    present = (nodes, 1, modes) if dense else delayed
    axis = 1 if dense else 0
    i = _inputs(tracer.graph, "i", "f", rows, present, axis)
    j = _inputs(tracer.graph, "j", "f", rows, delayed, axis)
    product = _trace_pre(coupling, tracer, i, j)
    if len(product) != rows * modes and not (dense and len(product) == modes):
        raise UntraceableError(f"the pre of {type(coupling).__name__} changes the number of coupling variables")
    used = {ref.name for operation in tracer.graph.reachable(product) for ref in operation.arguments}
    names = used | {ref.name for ref in product}
    return Coupling(product, any(name[0] == "i" and name[1:].isdigit() for name in names), dense)


def trace_coupling(simulator: Any) -> Coupling:
    """How the simulator's coupling makes what is summed.

    Raises
    ------
    UntraceableError
        It is not understood.
    """
    try:
        return _trace_coupling(simulator, Tracer(Graph(), (simulator.number_of_nodes, 1), call_gufunc))
    except _FAULTS as exc:
        raise UntraceableError(f"what raises {type(exc).__name__} when it is traced: {exc}") from exc


def _trace_pre(coupling: Any, tracer: Tracer, i: Stack, j: Stack) -> tuple[Ref, ...]:
    fields = len(tracer.graph.fields)
    found = tracer.retarget(type(coupling).pre)(Proxy(coupling, tracer), i, j)
    if not isinstance(found, Stack) or found.axis != j.axis or found.inner != j.inner:
        raise UntraceableError(f"the pre of {type(coupling).__name__}")
    if len(tracer.graph.fields) != fields:
        raise UntraceableError(f"a parameter of {type(coupling).__name__} that differs between nodes")
    return _refs(tracer.graph, found, "d" if any(ref.kind == "d" for ref in found.refs) else "f")


def _trace_source(simulator: Any, tracer: Tracer, coupling: Coupling, state: Stack) -> tuple[Ref, ...]:
    """What a state sends: TVB keeps it in float32, and applies `pre` to what it takes out again."""
    graph = tracer.graph
    kept = _refs(graph, Stack([state[int(k)] for k in simulator.model.cvar]), "f")
    if coupling.by_edge:
        return kept
    stack = _stack(graph, kept, state.inner, 1 if coupling.dense else 0)
    return _trace_pre(simulator.coupling, tracer, stack, stack)


def _trace_post(simulator: Any, tracer: Tracer, coupling: Coupling) -> Stack:
    """The model's input, made of the sums g."""
    graph, rows, nodes = tracer.graph, len(simulator.model.cvar), simulator.number_of_nodes
    kind = coupling.kind if coupling.dense else "f"
    modes = simulator.model.number_of_modes
    sums = [Ref(f"g{k % len(coupling.product)}", kind) for k in range(rows * modes)]
    axis = 1 if coupling.dense else 0
    stack = _stack(graph, sums, (nodes, modes), axis)
    fields = len(graph.fields)
    found = tracer.retarget(type(simulator.coupling).post)(Proxy(simulator.coupling, tracer), stack)
    if not isinstance(found, Stack) or found.axis != axis or len(found.items) != rows or len(graph.fields) != fields:
        raise UntraceableError(f"the post of {type(simulator.coupling).__name__}")
    return Stack(found.items)
