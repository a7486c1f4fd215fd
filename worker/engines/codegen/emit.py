"""From equations on a node to the source of a function that does them for all nodes.

NumPy's inner loops want whole arrays, so the function is a row of phases: a loop over the nodes that does what can be
done, then NumPy's loops on what it left in `work`, then the next loop over the nodes. Without such loops there is one
phase, and nothing but the inputs and the outputs touches memory.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from tvb_batch.worker.engines.codegen.inline import count_far, inline
from tvb_batch.worker.engines.passes.graph import ROW_FUNCTIONS, WHOLE_ARRAY, Block, Equation, Graph, Op, Ref

_TEMPLATES = {
    Op.NEGATIVE: "-{0}",
    Op.SQRT: "math.sqrt({0})",
    Op.ABSOLUTE: "abs({0})",
    Op.WHERE: "{1} if {0} else {2}",
    Op.FMA: "fma({0}, {1}, {2})",
    Op.FLOAT64: "np.float64({0})",
    Op.FLOAT32: "np.float32({0})",
    Op.INT64: "np.int64({0})",
}
#: Booleans and integers are kept as float64 from one phase to the next.
_READ = {"d": "{}", "f": "np.float32({})", "b": "{} != 0.0", "i": "np.int64({})"}
_BYTES = {"work": 8, "work32": 4}
#: The last arguments of every function: slots of the graph, addresses of NumPy's loops, and room to work in.
SHARED = ("scalars", "fields", "loops", "work", "work32")


_LITERALS: dict[str, float] = {}

#: A row of an array: its name and the row; and what is stored there.
ArrayRow = tuple[str, int]
Store = tuple[str, int, str]
NeighbourSums = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Function:
    """KernelSource of a function that is called with the number of nodes and the addresses of arrays."""

    name: str
    source: str
    #: Names of the arrays.
    arguments: tuple[str, ...]
    #: ArrayCall of `work` and of `work32` that it needs.
    workspace: tuple[int, int]
    #: What is to be made after it, before the next function is called: rows of `work` with values, and for the sums of
    #: their neighbours.
    sums: NeighbourSums = ()


@dataclass(frozen=True)
class Capabilities:
    """What on this machine may be done without a call."""

    #: Whose exp is made here.
    c_library: bool = False
    numpy: bool = False
    #: Of which numbers NumPy's power is as exact as `cubes` takes it for.
    cubes: Literal["none", "negative", "all"] = "none"
    #: Whether the C library's functions are as exact as `roots` takes them for.
    roots: bool = False
    #: Whether BLAS is as exact as `quick_norm` takes it for.
    norms: bool = False
    #: Whether numbers are taken to be near zero, where `quick_exp` does, and those that are not are counted.
    near: bool = False


NEVER = Capabilities()


@dataclass
class _Phase:
    statements: list[Equation] = field(default_factory=list)
    #: Whole-array equations at the end of the phase.
    arrays: list[Equation] = field(default_factory=list)
    stores: list[Store] = field(default_factory=list)
    used: dict[str, Ref] = field(default_factory=dict)
    made: set[str] = field(default_factory=set)


def emit_function(
    name: str,
    graph: Graph,
    inputs: Mapping[str, ArrayRow],
    outputs: Sequence[tuple[ArrayRow, Ref]],
    arguments: Sequence[str],
    *,
    quick: Capabilities = NEVER,
) -> list[Function]:
    """A function that works on nodes 0 .. n - 1, after the functions it calls; where neighbours are summed, several.

    These are to be called one after the other; there must be no blocks then.

    Parameters
    ----------
    inputs : for a name of the graph where it is read
    outputs : where a value goes
    arguments : names of the arrays
    quick : what to do without a call; the function returns how many numbers were not near
    """
    return _Emitter(name, graph, inputs, outputs, arguments, quick).functions()


class _Emitter:
    def __init__(
        self,
        name: str,
        graph: Graph,
        inputs: Mapping[str, ArrayRow],
        outputs: Sequence[tuple[ArrayRow, Ref]],
        arguments: Sequence[str],
        quick: Capabilities,
    ) -> None:
        self._name, self._graph, self._inputs, self._outputs = name, graph, inputs, outputs
        self._arguments, self._quick = arguments, quick
        self._rows: dict[str, ArrayRow] = {}
        self._free: dict[str, list[int]] = {"work": [], "work32": []}
        self._count = {"work": 0, "work32": 0}
        self._called: list[Function] = []
        #: Where the rows of a called function begin in `work` and in `work32`.
        self._begins: dict[str, tuple[int, int]] = {}
        self._scopes: dict[ArrayRow, int] = {}
        self._bodies = 0
        self._sums: list[tuple[int, int]] = []
        self._phases = self._divide()

    def functions(self) -> list[Function]:
        bodies: list[list[str]] = [[]]
        sums: list[NeighbourSums] = []
        for number, phase in enumerate(self._phases):
            bodies[-1] += self._phase(number, phase)
            if self._sums:
                # Neighbours may be any nodes: all must have come so far.
                sums.append(tuple(self._sums))
                self._sums = []
                bodies.append([])
        names = [self._name, *(f"{self._name}_{k}" for k in range(1, len(bodies)))]
        return [*self._called, *map(self._function, names, bodies, [*sums, ()])]

    def _function(self, name: str, body: list[str], sums: NeighbourSums) -> Function:
        arguments = (*self._arguments, *SHARED)
        lines = [f"def {name}({', '.join(['n', *arguments])}):", "    far = 0", *body, "    return far"]
        text = ("\n".join(lines) + "\n").replace("@SCOPES@", str(len(self._scopes) + 1))
        return Function(name, text, arguments, (self._count["work"], self._count["work32"]), sums)

    def _divide(self) -> list[_Phase]:
        """Put every equation into the first phase that has what it needs."""
        equations = self._graph.reachable(ref for _, ref in self._outputs)
        level: dict[str, int] = {}
        phases = [_Phase()]
        for equation in equations:
            number = max([level.get(ref.name, 0) for ref in equation.operands], default=0)
            later = equation.op in WHOLE_ARRAY and not self._is_quick(equation)
            for ref in equation.results:
                level[ref.name] = number + later
            while len(phases) <= number + later:
                phases.append(_Phase())
            phase = phases[number]
            (phase.arrays if later else phase.statements).append(equation)
            phase.used |= {ref.name: ref for ref in equation.operands}
            if not later:
                phase.made |= {ref.name for ref in equation.results}
        whole = {equation.results[0].name: equation for equation in equations if _is_shared(equation)}
        for phase in phases[1:]:
            # An integer that all nodes share is made anew, so that a choice by it is made once for all of them.
            for name in sorted(whole.keys() & phase.used.keys() - phase.made):
                phase.statements.insert(0, whole[name])
                phase.used |= {ref.name: ref for ref in whole[name].operands}
                phase.made.add(name)
        for target, ref in self._outputs:
            phases[-1].stores.append((*target, ref.name))
            phases[-1].used[ref.name] = ref
        return phases

    def _is_quick(self, equation: Equation) -> bool:
        """Whether a loop of NumPy is replaced by an exp without a call."""
        if not self._quick.numpy or equation.op is not Op.UFUNC_LOOP:
            return False
        loop = equation.loop
        return loop.ufunc.__name__ == "exp" and loop.signature == "d->d"

    def _phase(self, number: int, phase: _Phase) -> list[str]:
        later = set().union(*(other.used.keys() - other.made for other in self._phases[number + 1 :]), set())
        kinds = {ref.name: ref.dtype for equation in phase.statements for ref in equation.results}
        targets = [(*self._row(Ref(name, kinds[name])), name) for name in sorted(phase.made & later)]
        calls: list[str] = []
        for equation in phase.arrays:
            lines, stores = self._array_call(equation, phase)
            calls += lines
            targets += stores
        targets = [*dict.fromkeys(targets), *phase.stores]
        for room, row, _ in targets:
            self._scope(room, row)
        loads = [line for name in sorted(phase.used.keys() - phase.made) if (line := self._load(name, phase))]
        statements = [line for equation in phase.statements for line in self._statement(equation)]
        puts = [self._put(room, row, name) for room, row, name in targets]
        for name in [name for name in self._rows if name not in later and name not in phase.made]:
            room, row = self._rows.pop(name)
            self._free[room].append(row)
        body = [*loads, *statements, *puts]
        if any(equation.op is Op.CALL for equation in phase.statements):
            # Numba makes of TVB's source what it makes of it for TVB.
            scalars = [f"    {name} = scalars[{name[1:]}]" for name in sorted(phase.used) if _is_slot(name, "s")]
            loop = [*scalars, "    for i in range(n):", *[f"        {line}" for line in body]]
        else:
            loop = self._compute(body, phase)
        return [*loop, *[f"    {line}" for line in calls]]

    def _compute(self, body: list[str], phase: _Phase) -> list[str]:
        """A loop over plain arithmetic."""
        if not body:
            return []
        scalars = sorted(name for name in phase.used if _is_slot(name, "s"))
        loads = [f"{name} = get(scalars, {name[1:]}, 1, 0, 0, 0)" for name in scalars]
        arrays = [name for name in (*self._arguments, *SHARED) if name != "loops"]
        text = "\n".join([*loads, *body]).replace("@SCOPES@", "0")
        names, given = " ".join(arrays), ", ".join(arrays)
        call = f'far += compute("""\n{text}\n""", "{names}", @SCOPES@, n, i, {given})'
        return ["    for i in range(n):", f"        {call}"]

    def _load(self, name: str, phase: _Phase) -> str:
        if _is_slot(name, "n"):
            return f"{name} = get(fields, {name[1:]}, n, i, 0, @SCOPES@)"
        place = self._inputs.get(name) or self._rows.get(name)
        if place is None:
            return ""
        value = f"get({place[0]}, {place[1]}, n, i, {self._scopes.get(place, 0)}, @SCOPES@)"
        kind = phase.used[name].dtype
        return f"{name} = " + {"b": f"{value} != 0.0", "i": f"np.int64({value})", "f": f"np.float32({value})"}.get(
            kind, value
        )

    def _put(self, room: str, row: int, name: str) -> str:
        return f"put({room}, {row}, n, i, {name}, {self._scopes[room, row]}, @SCOPES@)"

    def _statement(self, equation: Equation) -> list[str]:
        results, arguments = [ref.name for ref in equation.results], [ref.name for ref in equation.operands]
        if self._is_quick(equation):
            if not self._quick.near:
                return [f"{results[0]} = whole_exp({arguments[0]})"]
            return [count_far(arguments[0]), f"{results[0]} = quick_exp({arguments[0]})"]
        if equation.op is Op.CALL:
            self._bodies += 1
            exp = "" if not self._quick.c_library else "quick_exp" if self._quick.near else "whole_exp"
            return inline(
                equation.function, arguments, results, f"_{self._bodies}", exp=exp, quick_norm=self._quick.norms
            )
        template = _TEMPLATES.get(equation.op, f"{{0}} {equation.op.value} {{1}}")
        return [f"{results[0]} = {template.format(*arguments)}"]

    def _array_call(self, equation: Equation, phase: _Phase) -> tuple[list[str], list[Store]]:
        """The lines that call a whole-array equation, and what each node must store where before."""
        if equation.op in ROW_FUNCTIONS:
            return self._rows_call(equation, phase)
        if equation.op is Op.BLOCK:
            return self._block_call(equation.block, equation)
        stores: list[Store] = []
        if equation.op is Op.LOCAL_SUM:
            (values,) = equation.operands
            self._operand(values, phase, stores)
            self._sums.append((self._rows[values.name][1], self._row(equation.results[0])[1]))
            return [], stores
        places = [self._operand(ref, phase, stores) for ref in equation.operands]
        room, row = self._row(equation.results[0])
        index = self._graph.loops.index(equation.loop)
        loop, out = f"loops[{2 * index}], loops[{2 * index + 1}]", f"{room}, {row}, n"
        if self._is_cube(equation):
            everywhere = self._quick.cubes == "all"
            call = f"cubes({loop}, skip({places[0][0]}), locate({places[1][0]}), skip({out}), n, {everywhere})"
            return [call], stores
        operands = [f"locate({place}), {step}" for place, step in places]
        operands += ["0, 0"] * (2 - len(operands))
        return [f"call_loop({loop}, {', '.join(operands)}, locate({out}), {_BYTES[room]}, n)"], stores

    def _rows_call(self, equation: Equation, phase: _Phase) -> tuple[list[str], list[Store]]:
        stores: list[Store] = []
        places: list[str] = []
        for ref in equation.operands:
            place, step = self._operand(ref, phase, stores)
            if step == 0:  # All nodes share it.
                room, row = self._row(Ref(f"row of {ref.name}", "d"))
                stores.append((room, row, ref.name))
                place = f"{room}, {row}, n"
            places.append(place)
        rows = [self._row(ref) for ref in equation.results]
        places += [f"{room}, {row}, n" for room, row in rows]
        quick = self._quick.norms if equation.op is Op.NORM else self._quick.roots
        return [f"{equation.op.value}({quick}, n, {', '.join(f'skip({place})' for place in places)})"], stores

    def _is_cube(self, equation: Equation) -> bool:
        """Whether a loop of NumPy is replaced by `cubes`."""
        loop = equation.loop
        if self._quick.cubes == "none" or loop.ufunc.__name__ != "power" or loop.signature != "dd->d":
            return False
        base, exponent = equation.operands
        return exponent.name == "(3.0)" and not _is_slot(base.name, "s")

    def _operand(self, ref: Ref, phase: _Phase, stores: list[Store]) -> tuple[str, int]:
        """Where an operand of a NumPy loop lies: rows, row, and numbers in a row; and its stride."""
        if ref.dtype == "d" and ref.name[0] == "(":
            # One object for each literal, so that it takes one slot.
            ref = self._graph.scalar(_LITERALS.setdefault(ref.name, float(ref.name[1:-1])))
        if _is_slot(ref.name, "s"):
            return f"scalars, {ref.name[1:]}, 1", 0
        if _is_slot(ref.name, "n"):
            return f"fields, {ref.name[1:]}, n", 8
        if ref.name not in self._rows or ref.name in phase.made:
            stores.append((*self._row(ref), ref.name))
        room, row = self._rows[ref.name]
        return f"{room}, {row}, n", _BYTES[room]

    def _block_call(self, block: Block, equation: Equation) -> tuple[list[str], list[Store]]:
        name = block.name + ("_quickly" if self._quick.near else "")
        if name not in self._begins:
            inputs = {ref.name: ("given", k) for k, ref in enumerate(block.inputs)}
            outputs = [(("result", k), ref) for k, ref in enumerate(block.outputs)]
            self._called += emit_function(name, self._graph, inputs, outputs, ("given", "result"), quick=self._quick)
            self._begins[name] = (
                self._reserve("work", self._called[-1].workspace[0]),
                self._reserve("work32", self._called[-1].workspace[1]),
            )
        inside = self._reserve("work", len(equation.operands))
        result = self._reserve("work", len(equation.results))
        for k, ref in enumerate(equation.results):
            self._rows[ref.name] = ("work", result + k)
            self._scope("work", result + k)
        stores = [("work", inside + k, ref.name) for k, ref in enumerate(equation.operands)]
        given, out = f"skip(work, {inside}, n)", f"skip(work, {result}, n)"
        begin, begin32 = self._begins[name]
        call = f"{name}(n, {given}, {out}, scalars, fields, loops, skip(work, {begin}, n), skip(work32, {begin32}, n))"
        return [f"far += {call}"], stores

    def _reserve(self, room: str, rows: int) -> int:
        """The first of some rows that are used for nothing else."""
        self._count[room] += rows
        return self._count[room] - rows

    def _scope(self, room: str, row: int) -> None:
        self._scopes.setdefault((room, row), len(self._scopes) + 1)

    def _row(self, ref: Ref) -> ArrayRow:
        """Where a number of each node is kept from one phase to the next."""
        if ref.name not in self._rows:
            room = "work32" if ref.dtype == "f" else "work"
            row = self._free[room].pop() if self._free[room] else self._reserve(room, 1)
            self._rows[ref.name] = (room, row)
            self._scope(room, row)
        return self._rows[ref.name]


def _is_shared(equation: Equation) -> bool:
    return equation.op is Op.INT64 and _is_slot(equation.operands[0].name, "s")


def _is_slot(name: str, letter: str) -> bool:
    return name[0] == letter and name[1:].isdigit()
