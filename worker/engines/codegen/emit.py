"""From equations on a node to the source of a function that does them for all nodes.

NumPy's inner loops want whole arrays, so the function is a row of phases: a loop over the nodes that does what can be
done, then NumPy's loops on what it left in `work`, then the next loop over the nodes. Without such loops there is one
phase, and nothing but the inputs and the outputs touches memory.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tvb_batch.worker.engines.codegen.capabilities import PORTABLE, Capabilities
from tvb_batch.worker.engines.codegen.inline import EXP_RANGE, QUICK_EXP, WHOLE_EXP, count_out_of_range, inline
from tvb_batch.worker.engines.codegen.phases import Phase, divide_into_phases, is_slot
from tvb_batch.worker.engines.codegen.workspace import (
    ITEM_BYTES,
    WORK,
    WORK32,
    ArrayRow,
    RowAllocator,
    Store,
    Workspace,
)
from tvb_batch.worker.engines.graph import ROW_FUNCTIONS, WHOLE_ARRAY, Equation, Graph, Op, Ref
from tvb_batch.worker.engines.primitives.sizes import FLOAT64_BYTES

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
#: How a number is read; booleans and integers are kept as float64 from one phase to the next.
_READ = {"d": "{}", "f": "np.float32({})", "b": "{} != 0.0", "i": "np.int64({})"}
#: The last arguments of every function: slots of the graph, addresses of NumPy's loops, and memory to work in.
SHARED = ("scalars", "fields", "loops", WORK, WORK32)
#: Becomes the number of scopes, which is known when all rows are.
_SCOPES = "@SCOPES@"

#: One object for each literal that a NumPy loop reads, so that it takes one slot.
_LITERALS: dict[str, float] = {}


class NeighbourSum(NamedTuple):
    """A sum over neighbours, made between two functions."""

    #: The row of `work` with the values.
    values: int
    #: The row of `work` for the sums.
    out: int


@dataclass(frozen=True)
class Function:
    """The source of a function that is called with the number of nodes and the addresses of arrays."""

    name: str
    source: str
    #: Names of the arrays.
    arguments: tuple[str, ...]
    #: Rows that it works in.
    workspace: Workspace
    #: Names of primitives that the source uses.
    requires: frozenset[str]
    #: What is to be made after it, before the next function is called.
    sums: tuple[NeighbourSum, ...] = ()


class _Lines(NamedTuple):
    """A call of a whole-array operation."""

    lines: list[str]
    #: What each node must store before.
    stores: list[Store]


class _Operand(NamedTuple):
    """Where an operand of a whole-array operation lies."""

    #: Array, row, and numbers in a row, as arguments of a primitive.
    place: str
    #: Bytes from one node to the next; 0 where all nodes share it.
    stride: int


def emit_function(
    name: str,
    graph: Graph,
    inputs: Mapping[str, ArrayRow],
    outputs: Sequence[tuple[ArrayRow, Ref]],
    arguments: Sequence[str],
    *,
    capabilities: Capabilities = PORTABLE,
) -> list[Function]:
    """Return a function that works on nodes 0 .. n - 1, after the functions it calls.

    Where neighbours are summed, these are several, to be called one after the other; there must be no blocks then.

    Parameters
    ----------
    inputs : for a name of the graph where it is read
    outputs : where a value goes
    arguments : names of the arrays
    capabilities : what to do without a call; the function returns how many numbers were out of range
    """
    return _Emitter(name, graph, inputs, outputs, arguments, capabilities).functions()


class _Emitter:
    def __init__(
        self,
        name: str,
        graph: Graph,
        inputs: Mapping[str, ArrayRow],
        outputs: Sequence[tuple[ArrayRow, Ref]],
        arguments: Sequence[str],
        capabilities: Capabilities,
    ) -> None:
        self._name, self._graph, self._inputs, self._outputs = name, graph, inputs, outputs
        self._arguments, self._capabilities = arguments, capabilities
        self._rows = RowAllocator()
        self._called: list[Function] = []
        #: Where the rows of a called function begin.
        self._begins: dict[str, Workspace] = {}
        self._bodies = 0
        self._sums: list[NeighbourSum] = []
        self._requires: set[str] = set()
        refs = [ref for _, ref in outputs]
        self._phases = divide_into_phases(graph.reachable(refs), refs, self._is_whole_array)

    def functions(self) -> list[Function]:
        bodies: list[list[str]] = [[]]
        sums: list[tuple[NeighbourSum, ...]] = []
        for number, phase in enumerate(self._phases):
            bodies[-1] += self._phase(number, phase)
            if self._sums:
                # Neighbours may be any nodes: all must have come so far.
                sums.append(tuple(self._sums))
                self._sums = []
                bodies.append([])
        names = [self._name, *(f"{self._name}_{k}" for k in range(1, len(bodies)))]
        return [*self._called, *map(self._function, names, bodies, [*sums, ()])]

    def _function(self, name: str, body: list[str], sums: tuple[NeighbourSum, ...]) -> Function:
        arguments = (*self._arguments, *SHARED)
        lines = [f"def {name}({', '.join(['n', *arguments])}):", "    outside = 0", *body, "    return outside"]
        text = ("\n".join(lines) + "\n").replace(_SCOPES, str(self._rows.scopes))
        return Function(name, text, arguments, self._rows.size, frozenset(self._requires), sums)

    def _use(self, primitive: str) -> str:
        """Return the name of a primitive, which the source requires from now on."""
        self._requires.add(primitive)
        return primitive

    def _is_whole_array(self, equation: Equation) -> bool:
        return equation.op in WHOLE_ARRAY and not self._is_own_exp(equation)

    def _is_own_exp(self, equation: Equation) -> bool:
        """Return whether a loop of NumPy is replaced by an exp without a call."""
        if not self._capabilities.numpy or equation.op is not Op.UFUNC_LOOP:
            return False
        return equation.loop.ufunc.__name__ == "exp" and equation.loop.signature == "d->d"

    # ------------------------------------------------------------------------------------------- loops over the nodes

    def _phase(self, number: int, phase: Phase) -> list[str]:
        later = set().union(*(other.missing for other in self._phases[number + 1 :]), set())
        dtypes = {ref.name: ref.dtype for equation in phase.statements for ref in equation.results}
        stores = [Store(self._rows.row(Ref(name, dtypes[name])), name) for name in sorted(phase.made & later)]
        calls: list[str] = []
        for equation in phase.whole_arrays:
            call = self._whole_array(equation, phase)
            calls += call.lines
            stores += call.stores
        stores = [*dict.fromkeys(stores)]
        if phase is self._phases[-1]:
            stores += [Store(place, ref.name) for place, ref in self._outputs]
        for store in stores:
            self._rows.scope(store.place)
        loads = [line for name in sorted(phase.missing) if (line := self._load(name, phase))]
        outer, self._requires = self._requires, set()
        statements = [line for equation in phase.statements for line in self._statement(equation)]
        called, self._requires = self._requires, outer
        puts = [self._put(store) for store in stores]
        self._rows.release(later | phase.made)
        body = [*loads, *statements, *puts]
        scalars = sorted(name for name in phase.used if is_slot(name, "s"))
        if any(equation.op is Op.CALL for equation in phase.statements):
            # Numba makes of TVB's source what it makes of it for TVB.
            self._requires |= called | ({"get"} if loads else set()) | ({"put"} if puts else set())
            slots = [f"    {name} = scalars[{name[1:]}]" for name in scalars]
            loop = [*slots, "    for i in range(n):", *[f"        {line}" for line in body]]
        else:
            loop = self._compute(body, scalars) if body else []
        return [*loop, *[f"    {line}" for line in calls]]

    def _compute(self, body: list[str], scalars: list[str]) -> list[str]:
        """Return a loop over plain arithmetic; `compute` knows what stands in its text."""
        loads = [f"{name} = get(scalars, {name[1:]}, 1, 0, 0, 0)" for name in scalars]
        arrays = [name for name in (*self._arguments, *SHARED) if name != "loops"]
        text = "\n".join([*loads, *body]).replace(_SCOPES, "0")
        names, given = " ".join(arrays), ", ".join(arrays)
        call = f'outside += {self._use("compute")}("""\n{text}\n""", "{names}", {_SCOPES}, n, i, {given})'
        return ["    for i in range(n):", f"        {call}"]

    def _load(self, name: str, phase: Phase) -> str:
        if is_slot(name, "n"):
            return f"{name} = get(fields, {name[1:]}, n, i, 0, {_SCOPES})"
        place = self._inputs.get(name) or self._rows.get(name)
        if place is None:
            return ""
        array, row = place
        value = f"get({array}, {row}, n, i, {self._rows.known_scope(ArrayRow(array, row))}, {_SCOPES})"
        return f"{name} = {_READ[phase.used[name].dtype].format(value)}"

    def _put(self, store: Store) -> str:
        array, row = store.place
        return f"put({array}, {row}, n, i, {store.name}, {self._rows.scope(store.place)}, {_SCOPES})"

    def _statement(self, equation: Equation) -> list[str]:
        results, operands = [ref.name for ref in equation.results], [ref.name for ref in equation.operands]
        able = self._capabilities
        if self._is_own_exp(equation):
            if not able.in_range:
                return [f"{results[0]} = {self._use(WHOLE_EXP)}({operands[0]})"]
            self._use(EXP_RANGE)
            return [count_out_of_range(operands[0]), f"{results[0]} = {self._use(QUICK_EXP)}({operands[0]})"]
        if equation.op is Op.CALL:
            self._bodies += 1
            exp = "" if not able.c_library else QUICK_EXP if able.in_range else WHOLE_EXP
            suffix = f"_{self._bodies}"
            inlined = inline(equation.function, operands, results, suffix, exp=exp, quick_norm=able.norms)
            self._requires |= inlined.requires
            return inlined.lines
        if equation.op is Op.FMA:
            self._use("fma")
        template = _TEMPLATES.get(equation.op, f"{{0}} {equation.op.value} {{1}}")
        return [f"{results[0]} = {template.format(*operands)}"]

    # -------------------------------------------------------------------------------------------------- whole arrays

    def _whole_array(self, equation: Equation, phase: Phase) -> _Lines:
        if equation.op in ROW_FUNCTIONS:
            return self._row_function(equation, phase)
        if equation.op is Op.BLOCK:
            return self._block(equation)
        if equation.op is Op.LOCAL_SUM:
            return self._local_sum(equation, phase)
        return self._ufunc_loop(equation, phase)

    def _local_sum(self, equation: Equation, phase: Phase) -> _Lines:
        stores: list[Store] = []
        (values,) = equation.operands
        self._operand(values, phase, stores)
        place = self._rows.get(values.name)
        assert place is not None, "what neighbours give is made by the model"
        self._sums.append(NeighbourSum(place.row, self._rows.row(equation.results[0]).row))
        return _Lines([], stores)

    def _ufunc_loop(self, equation: Equation, phase: Phase) -> _Lines:
        stores: list[Store] = []
        operands = [self._operand(ref, phase, stores) for ref in equation.operands]
        array, row = self._rows.row(equation.results[0])
        index = self._graph.loops.index(equation.loop)
        # The address of the loop, and that of its data.
        loop, out = f"loops[{2 * index}], loops[{2 * index + 1}]", f"{array}, {row}, n"
        skip, locate = self._use("skip") if self._is_cube(equation) else "", self._use("locate")
        if self._is_cube(equation):
            base, exponent = operands
            everywhere = self._capabilities.cubes == "all"
            arguments = f"{skip}({base.place}), {locate}({exponent.place}), {skip}({out}), n, {everywhere}"
            return _Lines([f"{self._use('cubes')}({loop}, {arguments})"], stores)
        given = [f"{locate}({place}), {stride}" for place, stride in operands]
        given += ["0, 0"] * (2 - len(given))
        out = f"{locate}({out}), {ITEM_BYTES[array]}"
        return _Lines([f"{self._use('call_loop')}({loop}, {', '.join(given)}, {out}, n)"], stores)

    def _row_function(self, equation: Equation, phase: Phase) -> _Lines:
        stores: list[Store] = []
        places: list[str] = []
        for ref in equation.operands:
            place, stride = self._operand(ref, phase, stores)
            if stride == 0:  # All nodes share it.
                row = self._rows.row(Ref(f"row of {ref.name}", "d"))
                stores.append(Store(row, ref.name))
                place = f"{row.array}, {row.row}, n"
            places.append(place)
        rows = [self._rows.row(ref) for ref in equation.results]
        places += [f"{array}, {row}, n" for array, row in rows]
        able = self._capabilities.norms if equation.op is Op.NORM else self._capabilities.roots
        given = ", ".join(f"{self._use('skip')}({place})" for place in places)
        return _Lines([f"{self._use(equation.op.value)}({able}, n, {given})"], stores)

    def _is_cube(self, equation: Equation) -> bool:
        """Return whether a loop of NumPy is replaced by `cubes`."""
        loop = equation.loop
        if self._capabilities.cubes == "none" or loop.ufunc.__name__ != "power" or loop.signature != "dd->d":
            return False
        base, exponent = equation.operands
        return exponent.name == "(3.0)" and not is_slot(base.name, "s")

    def _operand(self, ref: Ref, phase: Phase, stores: list[Store]) -> _Operand:
        """Return where an operand lies; what is not in memory yet is added to `stores`."""
        if ref.dtype == "d" and ref.name[0] == "(":
            ref = self._graph.scalar(_LITERALS.setdefault(ref.name, float(ref.name[1:-1])))
        if is_slot(ref.name, "s"):
            return _Operand(f"scalars, {ref.name[1:]}, 1", 0)
        if is_slot(ref.name, "n"):
            return _Operand(f"fields, {ref.name[1:]}, n", FLOAT64_BYTES)
        if ref.name not in self._rows or ref.name in phase.made:
            stores.append(Store(self._rows.row(ref), ref.name))
        array, row = self._rows.row(ref)
        return _Operand(f"{array}, {row}, n", ITEM_BYTES[array])

    def _block(self, equation: Equation) -> _Lines:
        block = equation.block
        name = block.name + ("_quickly" if self._capabilities.in_range else "")
        if name not in self._begins:
            inputs = {ref.name: ArrayRow("given", k) for k, ref in enumerate(block.inputs)}
            outputs = [(ArrayRow("result", k), ref) for k, ref in enumerate(block.outputs)]
            arguments = ("given", "result")
            self._called += emit_function(
                name, self._graph, inputs, outputs, arguments, capabilities=self._capabilities
            )
            own = self._called[-1].workspace
            self._begins[name] = Workspace(self._rows.reserve(WORK, own.work), self._rows.reserve(WORK32, own.work32))
        given = self._rows.reserve(WORK, len(equation.operands))
        result = self._rows.reserve(WORK, len(equation.results))
        for k, ref in enumerate(equation.results):
            self._rows.place(ref.name, ArrayRow(WORK, result + k))
        stores = [Store(ArrayRow(WORK, given + k), ref.name) for k, ref in enumerate(equation.operands)]
        skip, begin = self._use("skip"), self._begins[name]
        arrays = f"{skip}({WORK}, {given}, n), {skip}({WORK}, {result}, n), scalars, fields, loops"
        work = f"{skip}({WORK}, {begin.work}, n), {skip}({WORK32}, {begin.work32}, n)"
        return _Lines([f"outside += {name}(n, {arrays}, {work})"], stores)
