"""Names for the numbers of a node, as stacks that traced code takes for arrays. Called where TVB's parts are traced."""

from collections.abc import Sequence

from tvb_batch.worker.engines.graph import Graph, Ref
from tvb_batch.worker.engines.tracing.tracers import NodeTracer, StackTracer
from tvb_batch.worker.engines.tracing.ufuncs import cast


def refs_of(graph: Graph, stack: StackTracer, kind: str = "d") -> tuple[Ref, ...]:
    """Return all numbers of a stack, in one dtype."""
    return tuple(cast(graph, ref, kind) for ref in stack.refs)


def inputs(graph: Graph, letter: str, kind: str, count: int, shape: tuple[int, ...], axis: int = 0) -> StackTracer:
    """Return a stack of new inputs; the last of `shape` counts modes."""
    return stack_of(graph, [graph.input(f"{letter}{k}", kind) for k in range(count * shape[-1])], shape, axis)


def stack_of(graph: Graph, refs: Sequence[Ref], shape: tuple[int, ...], axis: int = 0) -> StackTracer:
    """Return a stack of items of `shape`; `refs` has all modes of the first item, then of the next."""
    modes = shape[-1]
    if modes == 1:
        return StackTracer([NodeTracer(graph, ref, shape) for ref in refs], axis)
    values = [NodeTracer(graph, ref, shape[:-1]) for ref in refs]
    inner = len(shape) - 1
    return StackTracer([StackTracer(values[k : k + modes], inner) for k in range(0, len(values), modes)], axis)
