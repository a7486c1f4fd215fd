"""One step of a configured simulator as equations on a node, traced from TVB's model, integrator, noise and coupling.

Called by `worker.engines.runtime.program`. Names in the graph: x state, g summed input, z normal numbers, e coloured
noise, u stimulus, k a region's mean, and in a coupling's `pre` j the delayed and i the present state, each with the
number of its row.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from tvb_batch.worker.engines.frontend.coupling import (
    TracedCoupling,
    keep_used_rows,
    records_afferents,
    trace_coupling_pre,
    trace_post,
    trace_source,
)
from tvb_batch.worker.engines.frontend.local_coupling import LocalCouplingTracer
from tvb_batch.worker.engines.frontend.noise import NoiseTracer
from tvb_batch.worker.engines.graph import Block, Graph, Op, Ref, UntraceableError
from tvb_batch.worker.engines.passes.gufuncs import call_gufunc
from tvb_batch.worker.engines.tracing.context import TRACE_ERRORS, Proxy, TraceContext
from tvb_batch.worker.engines.tracing.inputs import inputs, refs_of, stack_of
from tvb_batch.worker.engines.tracing.recording import NoRecording, Recording
from tvb_batch.worker.engines.tracing.tracers import NodeTracer, StackTracer


@dataclass(frozen=True)
class Step:
    """What happens to a node in one step."""

    graph: Graph
    #: The next state, a number for each state variable.
    state: tuple[Ref, ...]
    #: The next value of coloured noise; empty without.
    coloured: tuple[Ref, ...]
    #: What enters the node, as the model sees it; empty where no monitor looks at it.
    afferent: tuple[Ref, ...]
    #: What monitors see of the next state.
    observed: tuple[Ref, ...]
    #: What the next state sends to others.
    source: tuple[Ref, ...]
    coupling: TracedCoupling
    draws_noise: bool
    #: Each of the numbers above stands for a variable and a mode, all modes of a variable after each other.
    modes: int
    #: Nodes are vertices of a surface, whose regions send their means.
    by_region: bool

    @property
    def parts(self) -> dict[str, tuple[Ref, ...]]:
        """Return the outputs of the graph by name; those of an edge are `product`."""
        parts = {"state": self.state, "coloured": self.coloured, "afferent": self.afferent}
        return parts | {"observed": self.observed, "source": self.source, "product": self.coupling.product}

    @property
    def outputs(self) -> tuple[Ref, ...]:
        """Return all outputs of the graph."""
        return tuple(ref for part in self.parts.values() for ref in part)

    def pretty(self) -> str:
        """Return the equations of the step as text, see `Graph.pretty`."""
        return self.graph.pretty({name: refs for name, refs in self.parts.items() if refs})


def trace_step(simulator: Any, recording: Recording | NoRecording) -> Step:
    """Trace the step of a configured simulator.

    Parameters
    ----------
    recording : of what is read of the simulator's model, coupling, integrator and noise

    Raises
    ------
    UntraceableError
        A part of the simulator cannot be traced.
    """
    try:
        return _trace_step(simulator, recording)
    except TRACE_ERRORS as exc:
        raise UntraceableError(f"what raises {type(exc).__name__} when it is traced: {exc}") from exc


def _trace_step(simulator: Any, recording: Recording | NoRecording) -> Step:
    model, integrator = simulator.model, simulator.integrator
    nodes, modes = simulator.number_of_nodes, model.number_of_modes
    if simulator.integrate_next_step != integrator.integrate or not np.all(model.state_variable_mask):
        raise UntraceableError("state variables that are not integrated")
    graph, shape = Graph(), (nodes, modes)
    context = TraceContext(graph, shape, call_gufunc, recording)
    coupling = trace_coupling_pre(simulator, context)
    afferent = trace_post(simulator, context, coupling)
    state = inputs(graph, "x", "d", model.nvar, shape)
    noise = NoiseTracer(simulator, context, state.shape)
    stimulus: Any = 0.0
    if simulator.stimulus is not None:
        stimulus = StackTracer([_stimulus(graph, k, model, (nodes, 1)) for k in range(model.nvar)])
    own = {"noise": noise.proxy} if noise.proxy is not None else {}
    proxy = Proxy(integrator, context, "integrator", **own)
    dfun = _Dfun(model, context)
    local = LocalCouplingTracer(graph, nodes) if simulator.surface is not None else 0.0
    following = context.retarget(type(integrator).scheme)(proxy, state, dfun, afferent, local, stimulus)
    if not isinstance(following, StackTracer) or following.shape != state.shape:
        raise UntraceableError("an integrator that returns something else than a state")
    observed = context.retarget(model.observe)(following)
    if not isinstance(observed, StackTracer) or observed.inner != state.inner:
        raise UntraceableError("variables of interest that are no state variables")
    parts = {"state": refs_of(graph, following), "coloured": noise.following(graph), "afferent": ()}
    parts["observed"] = refs_of(graph, observed)
    if any(records_afferents(monitor) for monitor in simulator.monitors):
        parts["afferent"] = refs_of(graph, afferent)
    # Many models have coupling variables whose sums they never read.
    coupling = keep_used_rows(coupling, graph.names_read([ref for refs in parts.values() for ref in refs]))
    return Step(
        graph=graph,
        **parts,
        source=trace_source(simulator, context, coupling, _coupled(simulator, following)),
        coupling=coupling,
        draws_noise=noise.draws > 0,
        modes=modes,
        by_region=simulator.surface is not None,
    )


def _coupled(simulator: Any, following: StackTracer) -> StackTracer:
    """Return the next state's coupling variables: of the node itself, or means of a region's vertices."""
    model = simulator.model
    if simulator.surface is None:
        return StackTracer([following[int(k)] for k in model.cvar])
    shape = (simulator.connectivity.number_of_regions, model.number_of_modes)
    return inputs(following.graph, "k", "f", len(model.cvar), shape)


def _stimulus(graph: Graph, variable: int, model: Any, shape: tuple[int, ...]) -> NodeTracer:
    stimulated = [int(k) for k in model.stvar]
    if variable in stimulated:
        return NodeTracer(graph, graph.input("u0", "d"), shape)
    return NodeTracer(graph, Ref("0.0", "d"), shape)


#: A dfun of more equations is a function of its own: it would be compiled several times.
_MOST_INLINE = 300


class _Dfun:
    """The model's derivatives: part of the step where they are short, else a function that the step calls."""

    def __init__(self, model: Any, context: TraceContext) -> None:
        function = model.dfun
        if getattr(function, "__self__", None) is not model:
            raise UntraceableError("a dfun that is no method of its model")
        self._function, self._model, self._context = context.retarget(function.__func__), model, context
        #: One for all calls of a step: some models give out an array of their own, and fill it again at the next call.
        self._proxy = Proxy(model, context, "model")
        self._block: Block | None = None
        #: Which of the state variables and of what enters the block takes.
        self._places: list[int] = []

    def __call__(self, state: StackTracer, coupling: StackTracer, local_coupling: Any) -> StackTracer:
        if self._block is None:
            self._block = self._trace_block(state, coupling, local_coupling)
        graph = self._context.graph
        if self._block not in graph.blocks:
            # Also on a surface, where the step is cut wherever neighbours are summed.
            return self._trace(self._proxy, state, coupling, local_coupling)
        given = [*refs_of(graph, state), *coupling.refs]
        arguments = [given[place] for place in self._places]
        results = graph.apply(Op.BLOCK, arguments, "d" * len(state.refs), self._block)
        return stack_of(graph, results, state.inner)

    def _trace(self, proxy: Proxy, state: StackTracer, coupling: StackTracer, local_coupling: Any) -> StackTracer:
        found = self._function(proxy, state, coupling, local_coupling)
        if not isinstance(found, StackTracer) or found.shape != state.shape:
            raise UntraceableError("a dfun that returns something else than derivatives")
        return found

    def _trace_block(self, state: StackTracer, coupling: StackTracer, local_coupling: Any) -> Block:
        graph = self._context.graph
        # A coupling without a `post` hands on float32.
        y = inputs(graph, "y", "d", len(state.items), state.inner)
        c = inputs(graph, "c", coupling.refs[0].dtype, len(coupling.items), coupling.inner)
        outputs = refs_of(graph, self._trace(Proxy(self._model, self._context, "model"), y, c, local_coupling))
        names, read = (*y.refs, *c.refs), graph.names_read(outputs)
        self._places = [place for place, ref in enumerate(names) if ref.name in read]
        block = Block(f"dfun_{len(graph.blocks)}", tuple(names[place] for place in self._places), outputs)
        equations = graph.reachable(outputs)
        is_long = len(equations) > _MOST_INLINE or any(equation.op is Op.UFUNC_LOOP for equation in equations)
        if is_long and not isinstance(local_coupling, LocalCouplingTracer):
            graph.blocks.append(block)
        return block
