"""The source of a kernel: a step, done for all nodes and as many steps as asked. Called by `worker.engines.program`."""

from worker.engines.emit import Function, Quick, emit_function
from worker.engines.step import Step
from worker.engines.sums import DEPTH

_RUN = """
@jit
def run(n, first, column, states, observed, afferents, history, cvar, window, pulses, colours,
        ahead_rows, ahead_leaves, ahead_offset, ahead_weight,
        now_rows, now_leaves, now_offset, now_weight, now_target, early, late,
        drawn, key, words, used, spare, free, scalars, fields, loops):
    nodes, edges, sources = states.shape[2], now_offset.size, window.shape[0]
    plane = window.shape[1] * window.shape[2]
    flat = window.reshape(-1)
    ahead = np.zeros((sources, nodes, 8), window.dtype)
    gathered = np.zeros((sources, 8, edges), window.dtype)
    total = np.zeros(({rows}, nodes), now_weight.dtype)
    parts, part = np.empty({depth} * 8, window.dtype), np.empty({depth}, now_weight.dtype)
    sent = np.empty((sources, nodes), window.dtype)
    normals = np.zeros((8, {draws}, nodes))
    turned = np.zeros(({draws}, nodes))
    tried, kept = np.empty((5, 156)), np.empty(157, np.int64)
{rooms}
    before, after, coloured, recoloured = states[0], states[1], colours[0], colours[1]
    for s in range(n):
        at, b = column + s, s % 8
        if b == 0:
            sum_ahead(flat, plane, at, ahead_rows, ahead_leaves, ahead_offset, ahead_weight, ahead, parts)
            gather_ahead(flat, plane, at, now_offset, early, gathered)
            {draw}
{sums}
        {turn}
        now, normal = observed[s], {normal}
        entering = afferents[s if afferents.shape[0] > 1 else 0]
        pulse = pulses[s if pulses.shape[0] > 1 else 0].reshape(1, nodes)
        {advance}
        past = history[(first + s) % history.shape[0]]
        for k in range(cvar.size):
            for i in range(nodes):
                past[k // {modes}, {modes} * i + k % {modes}] = np.float32(after[cvar[k], i])
        for r in range(sources):
            for i in range(nodes):
                window[r, i, at] = sent[r, i]
        before, after, coloured, recoloured = after, before, recoloured, coloured
    if n % 2:
        states[0][:], colours[0][:] = before, coloured
"""
_DRAW = "fill_normals(key, words, used, spare, normals[: min(8, n - s)].reshape(-1), free, tried, kept)"
_TURN = "turn(normals[b].reshape(-1), {modes}, turned)"
_SUM_SOURCES = """
        sum_sources(flat, plane, at, b, ahead_rows, ahead, now_rows, now_offset, now_weight, now_leaves, late, gathered,
                    total, part)
"""
_SUM_EDGES = """
        gather_now(flat, plane, at, b, now_offset, late, gathered)
        for k in range(sources):
            delayed[k] = gathered[k, b]
            spread(before[cvar[k]], now_target, present[k])
        {combine}
        for r in range({rows}):
            sum_now(product[r], 0, now_rows, now_leaves, now_weight, total[r], part)
"""


def make_source(step: Step, allowed: Quick, *, draws: bool) -> str:
    """The source of `run`, which does some steps.

    Parameters
    ----------
    allowed : whose exp may be replaced
    draws : the kernel draws the normals of noise itself; else they are handed to it
    """
    graph, rows = step.graph, len(step.coupling.product)
    inputs = {f"g{r}": ("total", r) for r in range(rows)} | {"u0": ("pulse", 0)}
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
    exact = emit_function("advance", graph, inputs, outputs, names)
    quick = emit_function("advance_quickly", graph, inputs, outputs, names, quick=allowed)
    functions, advance = list(exact), exact[-1].call("nodes")
    rooms = _rooms(exact[-1], "nodes")
    if any("quick_exp" in function.source for function in quick):
        functions += quick
        rooms += _rooms(quick[-1], "nodes")
        advance = f"if {quick[-1].call('nodes')}:\n            {advance}"
    sums = _SUM_SOURCES
    if step.coupling.by_edge:
        edges = _edge_functions(step)
        functions = [*edges, *functions]
        rooms += _rooms(edges[-1], "edges")
        rooms += [f"product = np.empty(({rows}, edges), now_weight.dtype)"]
        rooms += ["delayed = np.empty((sources, edges), np.float32)"]
        rooms += ["present = np.empty((sources, edges), np.float32)"]
        sums = _SUM_EDGES.format(rows=rows, combine=edges[-1].call("edges"))
    own = step.draws_noise and draws
    normal = ("turned" if step.modes > 1 else "normals[b]") if own else "drawn[s if s < drawn.shape[0] else 0]"
    run = _RUN.format(
        rows=rows,
        modes=step.modes,
        depth=DEPTH,
        draws=len(step.state) if own else 1,
        draw=_DRAW if own else "pass",
        turn=_TURN.format(modes=step.modes) if own and step.modes > 1 else "pass",
        normal=normal,
        rooms="\n".join(f"    {line}" for line in dict.fromkeys(rooms)),
        sums=sums.strip("\n"),
        advance=advance,
    )
    imports = dict.fromkeys(line for function in graph.functions for line in function.imports)
    return "\n\n".join([*imports, *(function.source for function in functions), run])


def _edge_functions(step: Step) -> list[Function]:
    inputs: dict[str, tuple[str, int]] = {}
    for k in range(len(step.source)):
        inputs |= {f"j{k}": ("delayed", k), f"i{k}": ("present", k)}
    outputs = [(("product", r), ref) for r, ref in enumerate(step.coupling.product)]
    return emit_function("combine", step.graph, inputs, outputs, ("delayed", "present", "product"))


def _rooms(function: Function, count: str) -> list[str]:
    return [f"{name} = np.empty(({rows}, {count}), np.{dtype})" for name, rows, dtype in function.rooms]
