"""From operations on a node to the source of a function that does them for all nodes.

NumPy's inner loops want whole arrays, so the function is a row of phases: a loop over the nodes that does what can be
done, then NumPy's loops on what it left in `work`, then the next loop over the nodes. Without such loops there is one
phase, and nothing but the inputs and the outputs touches memory.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from worker.engines.graph import Block, Graph, Operation, Ref

_TEMPLATES = {
    "neg": "-{0}",
    "sqrt": "math.sqrt({0})",
    "abs": "abs({0})",
    "where": "{1} if {0} else {2}",
    "float64": "np.float64({0})",
    "float32": "np.float32({0})",
    "int64": "np.int64({0})",
}
_BYTES = {"work": 8, "work32": 4}


@dataclass(frozen=True)
class Function:
    """Source of a function, and how it is called: `name(n, *arguments, *rooms)`."""

    name: str
    source: str
    arguments: tuple[str, ...]
    #: Name, rows and type of the arrays (rows, n) it works in.
    rooms: tuple[tuple[str, int, str], ...]

    def call(self, count: str, *arguments: str) -> str:
        """A call for `count` nodes, with arrays of the same names but for the first `arguments`."""
        rest = self.arguments[len(arguments) :]
        return f"{self.name}({', '.join([count, *arguments, *rest, *(room for room, _, _ in self.rooms)])})"


@dataclass
class _Phase:
    statements: list[Operation] = field(default_factory=list)
    #: Whole-array operations at the end of the phase.
    arrays: list[Operation] = field(default_factory=list)
    stores: list[str] = field(default_factory=list)
    used: dict[str, Ref] = field(default_factory=dict)
    made: set[str] = field(default_factory=set)


def emit_function(
    name: str,
    graph: Graph,
    inputs: Mapping[str, str],
    outputs: Sequence[tuple[str, Ref]],
    arguments: Sequence[str],
) -> list[Function]:
    """A function that works on nodes 0 .. n - 1, after the functions it calls.

    Parameters
    ----------
    inputs : for a name of the graph the expression that reads it at node i
    outputs : (what is assigned at node i, its value)
    arguments : names of the arrays that the expressions use
    """
    return _Emitter(name, graph, inputs, outputs, arguments).functions()


class _Emitter:
    def __init__(
        self,
        name: str,
        graph: Graph,
        inputs: Mapping[str, str],
        outputs: Sequence[tuple[str, Ref]],
        arguments: Sequence[str],
    ) -> None:
        self._name, self._graph, self._inputs, self._outputs = name, graph, inputs, outputs
        self._arguments = arguments
        self._rows: dict[str, tuple[str, int]] = {}
        self._free: dict[str, list[int]] = {"work": [], "work32": []}
        self._count = {"work": 0, "work32": 0}
        self._rooms: list[tuple[str, int, str]] = []
        self._called: list[Function] = []
        self._phases = self._divide()

    def functions(self) -> list[Function]:
        body: list[str] = []
        for number, phase in enumerate(self._phases):
            body += self._phase(number, phase)
        rooms = [
            (f"{self._name}_{room}", rows, dtype)
            for (room, rows), dtype in zip(self._count.items(), ("float64", "float32"), strict=True)
        ]
        scalars = sorted({ref.name for phase in self._phases for ref in phase.used.values() if ref.name[0] == "s" and ref.name[1:].isdigit()})
        arguments = (*self._arguments, "scalars", "fields", "loops")
        lines = [
            f"def {self._name}({', '.join(['n', *arguments, *(room for room, _, _ in [*rooms, *self._rooms])])}):",
            f"    work, work32 = {rooms[0][0]}, {rooms[1][0]}",
            *[f"    {name} = scalars[{name[1:]}]" for name in scalars],
            *body,
        ]
        own = Function(self._name, "@jit\n" + "\n".join(lines) + "\n", arguments, (*rooms, *self._rooms))
        return [*self._called, own]

    def _divide(self) -> list[_Phase]:
        """Put every operation into the first phase that has what it needs."""
        operations = self._graph.reachable(ref for _, ref in self._outputs)
        level: dict[str, int] = {}
        phases = [_Phase()]
        for operation in operations:
            number = max([level.get(ref.name, 0) for ref in operation.arguments], default=0)
            later = operation.code.startswith(("loop", "block"))
            for ref in operation.results:
                level[ref.name] = number + later
            while len(phases) <= number + later:
                phases.append(_Phase())
            phase = phases[number]
            (phase.arrays if later else phase.statements).append(operation)
            phase.used |= {ref.name: ref for ref in operation.arguments}
            if not later:
                phase.made |= {ref.name for ref in operation.results}
        for target, ref in self._outputs:
            phases[-1].stores.append(f"{target} = {ref.name}")
            phases[-1].used[ref.name] = ref
        return phases

    def _phase(self, number: int, phase: _Phase) -> list[str]:
        later = set().union(*(other.used for other in self._phases[number + 1 :]), set())
        kinds = {ref.name: ref.kind for operation in phase.statements for ref in operation.results}
        loads = []
        for name in sorted(phase.used.keys() - phase.made):
            if name in self._inputs:
                loads.append(f"{name} = {self._inputs[name]}")
            elif name in self._rows:
                loads.append(f"{name} = {self._read(phase.used[name])}")
            elif name[0] == "n" and name[1:].isdigit():
                loads.append(f"{name} = fields[{name[1:]}, i]")
        keep = [f"{self._row(Ref(name, kinds[name]))} = {name}" for name in sorted(phase.made & later)]
        calls, more = [], []
        for operation in phase.arrays:
            lines, stores = self._array_call(operation, phase)
            calls += lines
            more += [line for line in stores if line not in more and line not in keep]
        statements = [*loads, *map(_statement, phase.statements), *keep, *more, *phase.stores]
        for name in [name for name in self._rows if name not in later and name not in phase.made]:
            room, row = self._rows.pop(name)
            if room in self._free:
                self._free[room].append(row)
        loop = ["    for i in range(n):", *[f"        {line}" for line in statements]] if statements else []
        return [*loop, *[f"    {line}" for line in calls]]

    def _array_call(self, operation: Operation, phase: _Phase) -> tuple[list[str], list[str]]:
        """The lines that call a whole-array operation, and what each node must store before."""
        kind, index = operation.code.split()
        if kind == "block":
            return self._block_call(self._graph.blocks[int(index)], operation)
        stores, operands = [], []
        for ref in operation.arguments:
            address, step, store = self._operand(ref, phase)
            operands.append(f"{address}, {step}")
            stores += store
        if len(operands) == 1:
            operands.append("0, 0")
        result = operation.results[0]
        self._row(result)
        room, row = self._rows[result.name]
        out = f"{room}.ctypes.data + {row * _BYTES[room]} * n, {_BYTES[room]}"
        return [f"call_loop(loops[{index}, 0], loops[{index}, 1], {', '.join(operands)}, {out}, n)"], stores

    def _operand(self, ref: Ref, phase: _Phase) -> tuple[str, int, list[str]]:
        """Address and stride of an operand of a NumPy loop, and how it gets there."""
        if ref.kind == "d" and ref.name[0] == "(":
            ref = self._graph.scalar(float(ref.name[1:-1]), _literal_source(ref.name))
        if ref.name[0] == "s" and ref.name[1:].isdigit():
            return f"scalars.ctypes.data + {8 * int(ref.name[1:])}", 0, []
        if ref.name[0] == "n" and ref.name[1:].isdigit():
            return f"fields.ctypes.data + {8 * int(ref.name[1:])} * n", 8, []
        stores = []
        if ref.name not in self._rows or ref.name in phase.made:
            stores = [f"{self._row(ref)} = {ref.name}"]
        room, row = self._rows[ref.name]
        return f"{room}.ctypes.data + {row * _BYTES[room]} * n", _BYTES[room], stores

    def _block_call(self, block: Block, operation: Operation) -> tuple[list[str], list[str]]:
        site = f"{self._name}_{operation.results[0].name}"
        inside = f"{site}_in"
        self._rooms += [(inside, len(operation.arguments), "float64"), (site, len(operation.results), "float64")]
        if not any(function.name == block.name for function in self._called):
            inputs = {ref.name: f"given[{k}, i]" for k, ref in enumerate(block.inputs)}
            outputs = [(f"result[{k}, i]", ref) for k, ref in enumerate(block.outputs)]
            self._called += emit_function(block.name, self._graph, inputs, outputs, ("given", "result"))
        function = next(function for function in self._called if function.name == block.name)
        self._rooms += [room for room in function.rooms if room not in self._rooms]
        for k, ref in enumerate(operation.results):
            self._rows[ref.name] = (site, k)
        return [function.call("n", inside, site)], [f"{inside}[{k}, i] = {ref.name}" for k, ref in enumerate(operation.arguments)]

    def _row(self, ref: Ref) -> str:
        """Where a number of each node is kept from one phase to the next."""
        if ref.name not in self._rows:
            room = "work32" if ref.kind == "f" else "work"
            if self._free[room]:
                row = self._free[room].pop()
            else:
                row = self._count[room]
                self._count[room] += 1
            self._rows[ref.name] = (room, row)
        room, row = self._rows[ref.name]
        return f"{room}[{row}, i]"

    def _read(self, ref: Ref) -> str:
        room, row = self._rows[ref.name]
        place = f"{room}[{row}, i]"
        return {"b": f"{place} != 0.0", "i": f"np.int64({place})"}.get(ref.kind, place)


_LITERALS: dict[str, object] = {}


def _literal_source(text: str) -> object:
    """One object for each literal, so that it takes one slot."""
    return _LITERALS.setdefault(text, object())


def _statement(operation: Operation) -> str:
    results = ", ".join(ref.name for ref in operation.results)
    arguments = [ref.name for ref in operation.arguments]
    if operation.code.startswith("call "):
        comma = "," if len(operation.results) == 1 else ""
        return f"{results}{comma} = {operation.code.removeprefix('call ')}({', '.join(arguments)})"
    if operation.code in _TEMPLATES:
        return f"{results} = {_TEMPLATES[operation.code].format(*arguments)}"
    return f"{results} = {arguments[0]} {operation.code} {arguments[1]}"
