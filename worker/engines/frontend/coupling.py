"""TVB's couplings as equations: what a node sends, what is summed, and what the sum becomes.

Called by `worker.engines.frontend.step`, and by `worker.engines.hybrid` for networks whose other parts cannot be
compiled.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tvb_batch.worker.engines.graph import Graph, Ref, UntraceableError
from tvb_batch.worker.engines.passes.gufuncs import call_gufunc
from tvb_batch.worker.engines.tracing.context import TRACE_ERRORS, Proxy, TraceContext
from tvb_batch.worker.engines.tracing.inputs import inputs, refs_of, stack_of
from tvb_batch.worker.engines.tracing.recording import NoRecording
from tvb_batch.worker.engines.tracing.tracers import StackTracer


@dataclass(frozen=True)
class TracedCoupling:
    """How a coupling makes a node's input of the states of others."""

    #: What is weighted and summed, a number for each row, made of j and i.
    product: tuple[Ref, ...]
    #: Whether `pre` looks at the target too: it is done for each edge then, else once for each source.
    by_edge: bool
    #: Whether TVB sums all sources, in NumPy's order of a whole row, or only those with a weight, by reduceat.
    dense: bool
    #: The number of each row among those that TVB sums.
    rows: tuple[int, ...]

    @property
    def dtype(self) -> str:
        """Return d or f: the precision of the products and of their sum."""
        return self.product[0].dtype


def trace_coupling_pre(simulator: Any, context: TraceContext) -> TracedCoupling:
    """Return how the coupling makes the numbers to sum from delayed states."""
    from tvb.simulator.coupling import Coupling as Base
    from tvb.simulator.coupling import SparseCoupling

    coupling, rows = simulator.coupling, len(simulator.model.cvar)
    call = type(coupling).__call__
    if call is not Base.__call__ and call is not SparseCoupling.__call__:
        raise UntraceableError(f"{type(coupling).__name__} sums in a way of its own")
    dense = call is Base.__call__
    nodes, edges = simulator.connectivity.number_of_regions, int(np.count_nonzero(simulator.connectivity.weights))
    modes = simulator.model.number_of_modes
    delayed = (nodes, nodes, modes) if dense else (edges, modes)
    present = (nodes, 1, modes) if dense else delayed
    axis = 1 if dense else 0
    i = inputs(context.graph, "i", "f", rows, present, axis)
    j = inputs(context.graph, "j", "f", rows, delayed, axis)
    product = _trace_pre(coupling, context, i, j)
    if len(product) != rows * modes and not (dense and len(product) == modes):
        raise UntraceableError(f"the pre of {type(coupling).__name__} changes the number of coupling variables")
    names = context.graph.names_read(product)
    by_edge = any(name[0] == "i" and name[1:].isdigit() for name in names)
    return TracedCoupling(product, by_edge, dense, tuple(range(len(product))))


def keep_used_rows(coupling: TracedCoupling, names: set[str]) -> TracedCoupling:
    """Return the coupling without the sums g that are not among `names`; at least one stays."""
    rows = tuple(row for row in coupling.rows if f"g{row}" in names) or coupling.rows[:1]
    return replace(coupling, product=tuple(coupling.product[row] for row in rows), rows=rows)


def trace_coupling(simulator: Any) -> TracedCoupling:
    """Return how the simulator's coupling makes the numbers to sum.

    Raises
    ------
    UntraceableError
        The coupling cannot be traced.
    """
    try:
        return trace_coupling_pre(
            simulator, TraceContext(Graph(), (simulator.number_of_nodes, 1), call_gufunc, NoRecording())
        )
    except TRACE_ERRORS as exc:
        raise UntraceableError(f"what raises {type(exc).__name__} when it is traced: {exc}") from exc


def _trace_pre(coupling: Any, context: TraceContext, i: StackTracer, j: StackTracer) -> tuple[Ref, ...]:
    fields = len(context.graph.fields)
    found = context.retarget(type(coupling).pre)(Proxy(coupling, context, "coupling"), i, j)
    if not isinstance(found, StackTracer) or found.axis != j.axis or found.inner != j.inner:
        raise UntraceableError(f"the pre of {type(coupling).__name__}")
    if len(context.graph.fields) != fields:
        raise UntraceableError(f"a parameter of {type(coupling).__name__} that differs between nodes")
    return refs_of(context.graph, found, "d" if any(ref.dtype == "d" for ref in found.refs) else "f")


def trace_source(
    simulator: Any, context: TraceContext, coupling: TracedCoupling, coupled: StackTracer
) -> tuple[Ref, ...]:
    """Return what nodes send: TVB keeps coupling variables in float32, and applies `pre` to what it reads back."""
    graph = context.graph
    kept = refs_of(graph, coupled, "f")
    if coupling.by_edge:
        return kept
    stack = stack_of(graph, kept, coupled.inner, 1 if coupling.dense else 0)
    sent = _trace_pre(simulator.coupling, context, stack, stack)
    return tuple(sent[row] for row in coupling.rows)


def trace_post(simulator: Any, context: TraceContext, coupling: TracedCoupling) -> StackTracer:
    """Return the model's input, made of the sums g."""
    graph, rows, nodes = context.graph, len(simulator.model.cvar), simulator.number_of_nodes
    kind = coupling.dtype if coupling.dense else "f"
    modes = simulator.model.number_of_modes
    sums = [graph.input(f"g{k % len(coupling.rows)}", kind) for k in range(rows * modes)]
    axis = 1 if coupling.dense else 0
    stack = stack_of(graph, sums, (nodes, modes), axis)
    fields = len(graph.fields)
    found = context.retarget(type(simulator.coupling).post)(Proxy(simulator.coupling, context, "coupling"), stack)
    if (
        not isinstance(found, StackTracer)
        or found.axis != axis
        or len(found.items) != rows
        or len(graph.fields) != fields
    ):
        raise UntraceableError(f"the post of {type(simulator.coupling).__name__}")
    return StackTracer(found.items)


def records_afferents(monitor: Any) -> bool:
    """Return whether TVB shows the monitor what enters the nodes instead of their state."""
    from tvb.simulator.monitors import AfferentCoupling

    return isinstance(monitor, AfferentCoupling)
