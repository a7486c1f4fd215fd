"""The source of a kernel: what a step does to the nodes, and to the edges. Called by `worker.engines.runtime.program`.

A kernel holds one to three functions with the calls of C, whose addresses the loop of `primitives.step_loop` is given.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

from tvb_batch.worker.engines.codegen.capabilities import Capabilities
from tvb_batch.worker.engines.codegen.emit import Function, NeighbourSum, emit_function
from tvb_batch.worker.engines.codegen.inline import QUICK_EXP
from tvb_batch.worker.engines.codegen.workspace import ArrayRow, Workspace
from tvb_batch.worker.engines.frontend.step import Step
from tvb_batch.worker.engines.graph import Ref

#: Types of the arrays that the functions are called with; all others are float64.
_TYPES = {"loops": "int64", "work32": "float32", "delayed": "float32", "present": "float32", "kept": "float32"}


@dataclass(frozen=True)
class KernelSource:
    """The text of a kernel, and what it needs."""

    text: str
    #: Names of the functions: for nodes, for nodes quickly, for edges; an empty one for what there is not.
    functions: tuple[str, ...]
    #: Rows to work in, for as many numbers as there are nodes; and edges.
    workspace: Workspace
    edge_workspace: Workspace
    #: Names of primitives that the text uses, sorted.
    requires: tuple[str, ...]


@dataclass(frozen=True)
class SurfaceKernelSource(KernelSource):
    """The text of a kernel for a surface; its functions are for edges, for regions, then each stage for vertices."""

    #: Sums of neighbours after each stage.
    sums: tuple[tuple[NeighbourSum, ...], ...]
    #: The same for the stages of the quick form, which follow; empty without.
    quick_sums: tuple[tuple[NeighbourSum, ...], ...]


class _Forms(NamedTuple):
    """What is done to the nodes."""

    #: For any numbers.
    exact: list[Function]
    #: For numbers in the range of `QUICK_EXP`; empty where it is the same.
    quick: list[Function]


class _NodeRows(NamedTuple):
    """Where the functions for nodes find what they read, and put what they make."""

    inputs: dict[str, ArrayRow]
    outputs: list[tuple[ArrayRow, Ref]]


def make_source(step: Step, capabilities: Capabilities) -> KernelSource:
    """Return the source for a step; making it may give the step's graph further slots.

    Parameters
    ----------
    capabilities : what may be done without a call
    """
    return (_make_surface_source if step.by_region else _make_source)(step, capabilities)


#: Arrays that the functions for nodes are given.
_NAMES = (
    *("before", "total", "normal", "coloured", "pulse"),
    *("after", "recoloured", "entering", "now", "sent"),
)


def _node_rows(step: Step) -> _NodeRows:
    inputs = {f"g{row}": ArrayRow("total", k) for k, row in enumerate(step.coupling.rows)}
    inputs["u0"] = ArrayRow("pulse", 0)
    for letter, array in (("x", "before"), ("z", "normal"), ("e", "coloured")):
        inputs |= {f"{letter}{k}": ArrayRow(array, k) for k in range(len(step.state))}
    parts = {
        "after": step.state,
        "recoloured": step.coloured,
        "entering": step.afferent,
        "now": step.observed,
        "sent": step.source,
    }
    return _NodeRows(inputs, [(ArrayRow(array, k), ref) for array, refs in parts.items() for k, ref in enumerate(refs)])


def _make_source(step: Step, capabilities: Capabilities) -> KernelSource:
    exact, quick = _forms(step, _node_rows(step), capabilities)
    edges = _edge_functions(step)
    return KernelSource(
        text=_text(step, [exact, quick, edges]),
        functions=("advance", "advance_quickly" if quick else "", "combine" if edges else ""),
        workspace=_workspace([*exact, *quick]),
        edge_workspace=_workspace(edges),
        requires=_requires([*exact, *quick, *edges]),
    )


def _make_surface_source(step: Step, capabilities: Capabilities) -> SurfaceKernelSource:
    inputs, outputs = _node_rows(step)
    sent = [output for output in outputs if output[0].array == "sent"]
    exact, quick = _forms(step, _NodeRows(inputs, [one for one in outputs if one not in sent]), capabilities)
    edges = _edge_functions(step)
    means = {f"k{k}": ArrayRow("kept", k) for k in range(len(step.state))}
    regions = emit_function("send", step.graph, means, sent, ("kept", "sent"))
    return SurfaceKernelSource(
        text=_text(step, [edges, regions, *([stage] for stage in (*exact, *quick))]),
        functions=("combine" if edges else "", "send", *(stage.name for stage in (*exact, *quick))),
        workspace=_workspace([*exact, *quick]),
        edge_workspace=_workspace([*edges, *regions]),
        requires=_requires([*exact, *quick, *edges, *regions]),
        sums=tuple(stage.sums for stage in exact),
        quick_sums=tuple(stage.sums for stage in quick),
    )


def _forms(step: Step, rows: _NodeRows, capabilities: Capabilities) -> _Forms:
    def emit(name: str, able: Capabilities) -> list[Function]:
        return emit_function(name, step.graph, rows.inputs, rows.outputs, _NAMES, capabilities=able)

    exact = emit("advance", capabilities)
    quick = emit("advance_quickly", replace(capabilities, in_range=True))
    return _Forms(exact, quick if QUICK_EXP in _requires(quick) else [])


def _workspace(functions: list[Function]) -> Workspace:
    """Return rows that are enough for each."""
    sizes = [function.workspace for function in functions]
    return Workspace(max((size.work for size in sizes), default=0), max((size.work32 for size in sizes), default=0))


def _requires(functions: list[Function]) -> tuple[str, ...]:
    return tuple(sorted(frozenset().union(*(function.requires for function in functions))))


def _text(step: Step, groups: list[list[Function]]) -> str:
    """Return the text of groups of functions, of each of which the last is called from outside."""
    own = {"total": step.coupling.dtype, "product": step.coupling.dtype, "sent": step.source[0].dtype}
    types = _TYPES | {name: "float64" if dtype == "d" else "float32" for name, dtype in own.items()}
    imports = dict.fromkeys(line for function in step.graph.functions for line in function.imports)
    return "\n\n".join([*imports, *(_with_signature(*group, types=types) for group in groups if group)])


def _edge_functions(step: Step) -> list[Function]:
    """Return what is done to the edges; empty where each sends what its source sends."""
    if not step.coupling.by_edge:
        return []
    inputs: dict[str, ArrayRow] = {}
    for k in range(len(step.source)):
        inputs |= {f"j{k}": ArrayRow("delayed", k), f"i{k}": ArrayRow("present", k)}
    outputs = [(ArrayRow("product", r), ref) for r, ref in enumerate(step.coupling.product)]
    return emit_function("combine", step.graph, inputs, outputs, ("delayed", "present", "product"))


def _with_signature(*functions: Function, types: dict[str, str]) -> str:
    """Return the text of functions of which the last is called from outside."""
    *inner, outer = functions
    arguments = ", ".join(f"types.CPointer(types.{types.get(name, 'float64')})" for name in outer.arguments)
    call = f"@entry({arguments})\n"
    return "\n\n".join([*(f"@jit\n{function.source}" for function in inner), call + outer.source])
