"""The source of a kernel: what a step does to the nodes, and to the edges. Called by `worker.engines.runtime.program`.

A kernel holds one to three functions with the calls of C, whose addresses the loop of `primitives.step_loop` is given.
"""

from dataclasses import dataclass, replace

from tvb_batch.worker.engines.codegen.emit import ArrayRow, Capabilities, Function, NeighbourSums, emit_function
from tvb_batch.worker.engines.frontend.step import Step
from tvb_batch.worker.engines.passes.graph import Ref

#: Types of what the functions are called with; all others are float64.
_TYPES = {"loops": "int64", "work32": "float32", "delayed": "float32", "present": "float32", "kept": "float32"}


@dataclass(frozen=True)
class KernelSource:
    """The text of a kernel, and what it needs."""

    text: str
    #: Names of the functions: for nodes, for nodes quickly, for edges; an empty one for what there is not.
    functions: tuple[str, ...]
    #: ArrayCall of float64 and of float32 to work in, for as many numbers as there are nodes; and edges.
    workspace: tuple[int, int]
    edge_workspace: tuple[int, int]


@dataclass(frozen=True)
class SurfaceKernelSource(KernelSource):
    """The text of a kernel for a surface; its functions are for edges, for regions, then each stage for vertices."""

    #: NeighbourSums of neighbours after each stage.
    sums: tuple[NeighbourSums, ...]
    #: The same for the stages of the quick form, which follow; empty without.
    quick_sums: tuple[NeighbourSums, ...]


def make_source(step: Step, allowed: Capabilities) -> KernelSource:
    """The source for a step; making it may give the step's graph further slots.

    Parameters
    ----------
    allowed : what may be done without a call
    """
    return (_make_surface_source if step.by_region else _make_source)(step, allowed)


#: Arrays that the functions for nodes are given.
_NAMES = (
    *("before", "total", "normal", "coloured", "pulse"),
    *("after", "recoloured", "entering", "now", "sent"),
)


def _rows_of(step: Step) -> tuple[dict[str, ArrayRow], list[tuple[ArrayRow, Ref]]]:
    """Where the functions for nodes find what they read, and put what they make."""
    inputs = {f"g{row}": ("total", k) for k, row in enumerate(step.coupling.rows)} | {"u0": ("pulse", 0)}
    for k in range(len(step.state)):
        inputs |= {f"x{k}": ("before", k), f"z{k}": ("normal", k), f"e{k}": ("coloured", k)}
    parts = {
        "after": step.state,
        "recoloured": step.coloured,
        "entering": step.afferent,
        "now": step.observed,
        "sent": step.source,
    }
    return inputs, [((array, k), ref) for array, refs in parts.items() for k, ref in enumerate(refs)]


def _make_source(step: Step, allowed: Capabilities) -> KernelSource:
    inputs, outputs = _rows_of(step)
    exact, quick = _forms(step, inputs, outputs, allowed)
    edges = _edge_functions(step)
    return KernelSource(
        text=_text(step, [exact, quick, edges]),
        functions=("advance", "advance_quickly" if quick else "", "combine" if edges else ""),
        workspace=_rooms([*exact, *quick]),
        edge_workspace=_rooms(edges),
    )


def _make_surface_source(step: Step, allowed: Capabilities) -> SurfaceKernelSource:
    inputs, outputs = _rows_of(step)
    sent = [output for output in outputs if output[0][0] == "sent"]
    exact, quick = _forms(step, inputs, [output for output in outputs if output not in sent], allowed)
    edges = _edge_functions(step)
    means = {f"k{k}": ("kept", k) for k in range(len(step.state))}
    regions = emit_function("send", step.graph, means, sent, ("kept", "sent"))
    return SurfaceKernelSource(
        text=_text(step, [edges, regions, *([stage] for stage in (*exact, *quick))]),
        functions=("combine" if edges else "", "send", *(stage.name for stage in (*exact, *quick))),
        workspace=_rooms([*exact, *quick]),
        edge_workspace=_rooms([*edges, *regions]),
        sums=tuple(stage.sums for stage in exact),
        quick_sums=tuple(stage.sums for stage in quick),
    )


def _forms(
    step: Step, inputs: dict[str, ArrayRow], outputs: list[tuple[ArrayRow, Ref]], allowed: Capabilities
) -> tuple[list[Function], list[Function]]:
    """What is done to the nodes, for any numbers and for those near zero; the second is empty where it is the same."""
    exact = emit_function("advance", step.graph, inputs, outputs, _NAMES, quick=allowed)
    quick = emit_function("advance_quickly", step.graph, inputs, outputs, _NAMES, quick=replace(allowed, near=True))
    return exact, quick if any("quick_exp" in function.source for function in quick) else []


def _rooms(functions: list[Function]) -> tuple[int, int]:
    """ArrayCall that are enough for each."""
    works, works32 = zip((0, 0), *(function.workspace for function in functions), strict=True)
    return max(works), max(works32)


def _text(step: Step, groups: list[list[Function]]) -> str:
    """Of groups of functions, of each of which the last is called from outside."""
    own = {"total": step.coupling.dtype, "product": step.coupling.dtype, "sent": step.source[0].dtype}
    types = _TYPES | {name: "float64" if kind == "d" else "float32" for name, kind in own.items()}
    imports = dict.fromkeys(line for function in step.graph.functions for line in function.imports)
    return "\n\n".join([*imports, *(_compile(*group, types=types) for group in groups if group)])


def _edge_functions(step: Step) -> list[Function]:
    """What is done to the edges; empty where each sends what its source sends."""
    if not step.coupling.by_edge:
        return []
    inputs: dict[str, tuple[str, int]] = {}
    for k in range(len(step.source)):
        inputs |= {f"j{k}": ("delayed", k), f"i{k}": ("present", k)}
    outputs = [(("product", r), ref) for r, ref in enumerate(step.coupling.product)]
    return emit_function("combine", step.graph, inputs, outputs, ("delayed", "present", "product"))


def _compile(*functions: Function, types: dict[str, str]) -> str:
    """Functions of which the last is called from outside."""
    *inner, outer = functions
    arguments = ", ".join(f"types.CPointer(types.{types.get(name, 'float64')})" for name in outer.arguments)
    call = f"@entry({arguments})\n"
    return "\n\n".join([*(f"@jit\n{function.source}" for function in inner), call + outer.source])
