"""Access to rows of numbers, and to NumPy's own inner loops. `worker.engines.codegen.emit` writes these calls.

Rows lie one after the other in memory that is known by its address alone.
"""

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

_INT = ir.IntType(32)


@intrinsic
def get(typingctx: Any, rows: Any, row: Any, n: Any, i: Any, scope: Any, scopes: Any) -> Any:
    """Return element `i` of a row of `n`, known not to lie where any other of the function's `scopes` rows lies.

    Without that knowledge LLVM does not dare to work on several nodes at once.

    Parameters
    ----------
    rows : pointer to the first row
    row, n, i : int64
    scope, scopes : literals: which row of the function it is, and how many there are
    """
    if not (isinstance(scope, types.IntegerLiteral) and isinstance(scopes, types.IntegerLiteral)):
        return None
    signature = rows.dtype(rows, types.intp, types.intp, types.intp, scope, scopes)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        loaded = builder.load(element(builder, *arguments[:4]))
        separate(builder, loaded, scope.literal_value, scopes.literal_value)
        return loaded

    return signature, generate


@intrinsic
def put(typingctx: Any, rows: Any, row: Any, n: Any, i: Any, value: Any, scope: Any, scopes: Any) -> Any:
    """Set an element, under the same terms as `get`."""
    if not (isinstance(scope, types.IntegerLiteral) and isinstance(scopes, types.IntegerLiteral)):
        return None
    signature = types.void(rows, types.intp, types.intp, types.intp, rows.dtype, scope, scopes)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        stored = builder.store(arguments[4], element(builder, *arguments[:4]))
        separate(builder, stored, scope.literal_value, scopes.literal_value)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def at(typingctx: Any, array: Any, k: Any) -> Any:
    """Return element k of a flat array; k is not tested for negative numbers."""
    signature = array.dtype(array, types.intp)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.load(builder.gep(data, [arguments[1]]))

    return signature, generate


@intrinsic
def skip(typingctx: Any, rows: Any, row: Any, n: Any) -> Any:
    """Return a pointer to a row of `n` numbers."""
    signature = rows(rows, types.intp, types.intp)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        rows, row, n = arguments
        return builder.gep(rows, [builder.mul(row, n)])

    return signature, generate


@intrinsic
def locate(typingctx: Any, rows: Any, row: Any, n: Any) -> Any:
    """Return the address of a row of `n` numbers, as an integer."""
    signature = types.intp(rows, types.intp, types.intp)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        rows, row, n = arguments
        return builder.ptrtoint(builder.gep(rows, [builder.mul(row, n)]), n.type)

    return signature, generate


def element(builder: Any, rows: Any, row: Any, n: Any, i: Any) -> Any:
    """Return the address of an element."""
    return builder.gep(rows, [builder.add(builder.mul(row, n), i)])


def separate(builder: Any, access: Any, scope: Any, scopes: Any) -> None:
    """Tell LLVM which row an access is for, and that it is none of the others."""
    module, name = builder.module, builder.function.name
    known = vars(module).setdefault("_rows_of_functions", {})
    if (name, scope) not in known:
        # Rows of two functions may be the same: each has its own domain, also where one is written into the other.
        domain = module.add_metadata([f"rows of {name}"])
        nodes = [module.add_metadata([f"row {k} of {name}", domain]) for k in range(scopes)]
        for k, node in enumerate(nodes):
            others = [other for other in nodes if other is not node]
            known[name, k] = module.add_metadata([node]), module.add_metadata(others) if others else None
    own, others = known[name, scope]
    access.set_metadata("alias.scope", own)
    if others is not None:
        access.set_metadata("noalias", others)


@intrinsic
def call_loop(
    typingctx: Any, function: Any, data: Any, in1: Any, step1: Any, in2: Any, step2: Any, out: Any, step: Any, n: Any
) -> Any:
    """Call an inner loop of a NumPy ufunc by its address, so that the result carries NumPy's bits.

    Parameters
    ----------
    function, data : int64: addresses of the loop and of its data, see `worker.engines.codegen.ufunc_loops`
    in1, in2, out : int64: addresses of the first numbers; `in2` of a function of one argument is 0
    step1, step2, step : int64: bytes from one number to the next
    n : int64: how many numbers
    """
    signature = types.void(*[types.intp] * 9)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        function, data, in1, step1, in2, step2, out, step, n = arguments
        word = ir.IntType(64)
        two = cgutils.is_not_null(builder, in2)
        with builder.goto_entry_block():
            places = builder.alloca(ir.ArrayType(word, 3))
            count = builder.alloca(word)
            steps = builder.alloca(ir.ArrayType(word, 3))

        def put(array: Any, k: Any, value: Any) -> Any:
            builder.store(value, builder.gep(array, [_INT(0), _INT(k)]))

        put(places, 0, in1)
        put(steps, 0, step1)
        for k, (place, stride) in enumerate(((in2, step2), (out, step)), start=1):
            put(places, k, builder.select(two, place, out))
            put(steps, k, builder.select(two, stride, step))
        builder.store(n, count)
        pointer = word.as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [pointer, pointer, pointer, word])
        builder.call(
            builder.inttoptr(function, kind.as_pointer()),
            [builder.bitcast(places, pointer), count, builder.bitcast(steps, pointer), data],
        )
        return context.get_dummy_value()

    return signature, generate
