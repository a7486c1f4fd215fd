"""NumPy's functions that are no ufuncs, on stand-ins. Called by `worker.engines.tracing.tracers`."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tvb_batch.worker.engines.passes.graph import Graph, Op, UntraceableError
from tvb_batch.worker.engines.tracing.recording import Parameter
from tvb_batch.worker.engines.tracing.tracers import NodeTracer, StackTracer
from tvb_batch.worker.engines.tracing.ufuncs import cast


def array_function(graph: Graph, function: Callable[..., Any], arguments: Any, keywords: Any) -> Any:
    """What `function` makes of arguments of which some are stand-ins."""
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
    """(nodes, modes) times (modes, modes), in the order in which BLAS adds fused products up."""
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
