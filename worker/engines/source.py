"""The source of a kernel: what a step does to the nodes, and to the edges. Called by `worker.engines.program`.

A kernel holds one to three functions with the calls of C, whose addresses the loop of `primitives.running` is given.
"""

from collections.abc import Hashable
from dataclasses import dataclass, replace

from worker.engines.emit import Function, Quick, Row, Sums, emit_function, emit_stages
from worker.engines.graph import Ref
from worker.engines.step import Step

#: Types of what the functions are called with; all others are float64.
_TYPES = {"loops": "int64", "work32": "float32", "delayed": "float32", "present": "float32", "kept": "float32"}


@dataclass(frozen=True)
class Source:
    """The text of a kernel, and what it needs."""

    text: str
    #: Names of the functions: for nodes, for nodes quickly, for edges; an empty one for what there is not.
    functions: tuple[str, ...]
    #: Rows of float64 and of float32 to work in, for as many numbers as there are nodes; and edges.
    rooms: tuple[int, int]
    edge_rooms: tuple[int, int]


@dataclass(frozen=True)
class SurfaceSource(Source):
    """The text of a kernel for a surface; its functions are for edges, for regions, then each stage for vertices."""

    #: Sums of neighbours after each stage but the last.
    sums: tuple[Sums, ...]
    #: The same for the stages of the quick form, which follow; None without.
    quick_sums: tuple[Sums, ...] | None


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
    key = (*refs, *parts, step.by_region, allowed)
    if key in _MADE:
        return _MADE[key]
    slots = len(graph.scalars)
    source = (_make_surface_source if step.by_region else _make_source)(step, allowed)
    if len(graph.scalars) == slots:
        # Else making it has given the graph a slot, which the next graph needs too.
        _MADE[key] = source
    return source


#: Arrays that the functions for nodes are given.
_NAMES = (
    *("before", "total", "normal", "coloured", "pulse"),
    *("after", "recoloured", "entering", "now", "sent"),
)


def _rows_of(step: Step) -> tuple[dict[str, Row], list[tuple[Row, Ref]]]:
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


def _make_source(step: Step, allowed: Quick) -> Source:
    graph, (inputs, outputs) = step.graph, _rows_of(step)
    exact = emit_function("advance", graph, inputs, outputs, _NAMES, quick=_without_exp(allowed))
    quick = emit_function("advance_quickly", graph, inputs, outputs, _NAMES, quick=allowed)
    is_quicker = any("quick_exp" in function.source for function in quick)
    edges = _edge_functions(step) if step.coupling.by_edge else []
    types = _types(step)
    texts = [
        _compile(*functions, types=types) for functions in (exact, quick if is_quicker else [], edges) if functions
    ]
    return Source(
        text="\n\n".join([*_imports(step), *texts]),
        functions=("advance", "advance_quickly" if is_quicker else "", "combine" if edges else ""),
        rooms=(max(exact[-1].rooms[0], quick[-1].rooms[0]), max(exact[-1].rooms[1], quick[-1].rooms[1])),
        edge_rooms=edges[-1].rooms if edges else (0, 0),
    )


def _without_exp(allowed: Quick) -> Quick:
    return replace(allowed, c_library=False, numpy=False)


def _make_surface_source(step: Step, allowed: Quick) -> SurfaceSource:
    graph, (inputs, outputs) = step.graph, _rows_of(step)
    sent = [output for output in outputs if output[0][0] == "sent"]
    outputs = [output for output in outputs if output[0][0] != "sent"]
    exact, sums = emit_stages("advance", graph, inputs, outputs, _NAMES, quick=_without_exp(allowed))
    quick, quick_sums = emit_stages("advance_quickly", graph, inputs, outputs, _NAMES, quick=allowed)
    is_quicker = any("quick_exp" in function.source for function in quick)
    stages = [*exact, *(quick if is_quicker else [])]
    edges = _edge_functions(step) if step.coupling.by_edge else []
    means = {f"k{k}": ("kept", k) for k in range(len(step.state))}
    regions = emit_function("send", graph, means, sent, ("kept", "sent"))
    types = _types(step)
    texts = [_compile(*functions, types=types) for functions in (edges, regions) if functions]
    texts += [_compile(stage, types=types) for stage in stages]
    others = [functions[-1].rooms for functions in (edges, regions) if functions]
    return SurfaceSource(
        text="\n\n".join([*_imports(step), *texts]),
        functions=("combine" if edges else "", "send", *(stage.name for stage in stages)),
        rooms=(max(stage.rooms[0] for stage in stages), max(stage.rooms[1] for stage in stages)),
        edge_rooms=(max(room for room, _ in others), max(room for _, room in others)),
        sums=tuple(sums),
        quick_sums=tuple(quick_sums) if is_quicker else None,
    )


def _types(step: Step) -> dict[str, str]:
    own = {"total": step.coupling.kind, "product": step.coupling.kind, "sent": step.source[0].kind}
    return _TYPES | {name: "float64" if kind == "d" else "float32" for name, kind in own.items()}


def _imports(step: Step) -> list[str]:
    return list(dict.fromkeys(line for function in step.graph.functions for line in function.imports))


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
