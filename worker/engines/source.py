"""The source of a kernel: what a step does to the nodes, and to the edges. Called by `worker.engines.program`.

A kernel holds one to three functions with the calls of C, whose addresses the loop of `primitives.running` is given.
"""

from collections.abc import Hashable
from dataclasses import dataclass, replace

from worker.engines.emit import Function, Quick, emit_function
from worker.engines.step import Step

#: Types of what the functions are called with; all others are float64.
_TYPES = {"loops": "int64", "work32": "float32", "delayed": "float32", "present": "float32"}


@dataclass(frozen=True)
class Source:
    """The text of a kernel, and what it needs."""

    text: str
    #: Names of the functions: for nodes, for nodes quickly, for edges; an empty one for what there is not.
    functions: tuple[str, str, str]
    #: Rows of float64 and of float32 to work in, for as many numbers as there are nodes; and edges.
    rooms: tuple[int, int]
    edge_rooms: tuple[int, int]


#: Sources that this process has made, by all that they are made of: the jobs of a sweep differ in their numbers alone.
_MADE: dict[Hashable, Source] = {}


def make_source(step: Step, allowed: Quick) -> Source:
    """The source for a step.

    Parameters
    ----------
    allowed : what may be done without a call
    """
    graph = step.graph
    refs = (step.state, step.coloured, step.afferent, step.observed, step.source, step.coupling)
    parts = (tuple(graph.operations), tuple(graph.loops), tuple(graph.blocks), tuple(graph.functions))
    key = (*refs, *parts, allowed)
    if key in _MADE:
        return _MADE[key]
    slots = len(graph.scalars)
    source = _make_source(step, allowed)
    if len(graph.scalars) == slots:
        # Else making it has given the graph a slot, which the next graph needs too.
        _MADE[key] = source
    return source


def _make_source(step: Step, allowed: Quick) -> Source:
    graph = step.graph
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
    outputs = [((array, k), ref) for array, refs in parts.items() for k, ref in enumerate(refs)]
    names = ("before", "total", "normal", "coloured", "pulse", *parts)
    without_exp = replace(allowed, c_library=False, numpy=False)
    exact = emit_function("advance", graph, inputs, outputs, names, quick=without_exp)
    quick = emit_function("advance_quickly", graph, inputs, outputs, names, quick=allowed)
    is_quicker = any("quick_exp" in function.source for function in quick)
    edges = _edge_functions(step) if step.coupling.by_edge else []
    own = {"total": step.coupling.kind, "product": step.coupling.kind, "sent": step.source[0].kind}
    types = _TYPES | {name: "float64" if kind == "d" else "float32" for name, kind in own.items()}
    texts = [
        _compile(*functions, types=types) for functions in (exact, quick if is_quicker else [], edges) if functions
    ]
    imports = dict.fromkeys(line for function in graph.functions for line in function.imports)
    return Source(
        text="\n\n".join([*imports, *texts]),
        functions=("advance", "advance_quickly" if is_quicker else "", "combine" if edges else ""),
        rooms=(max(exact[-1].rooms[0], quick[-1].rooms[0]), max(exact[-1].rooms[1], quick[-1].rooms[1])),
        edge_rooms=edges[-1].rooms if edges else (0, 0),
    )


def _edge_functions(step: Step) -> list[Function]:
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
