"""Access to rows of arrays, and to NumPy's own inner loops. `worker.engines.emit` writes these calls."""

# mypy: ignore-errors
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

_INT = ir.IntType(32)


@intrinsic
def get(typingctx, array, row, i, scope, scopes):
    """`array[row, i]`, known not to lie where any other of the kernel's `scopes` rows of arrays lies.

    Without that knowledge LLVM does not dare to work on several nodes at once.
    """
    if not (isinstance(scope, types.IntegerLiteral) and isinstance(scopes, types.IntegerLiteral)):
        return None
    signature = array.dtype(array, row, i, scope, scopes)

    def generate(context, builder, signature, arguments):
        address = _element(context, builder, signature.args[0], arguments, signature.args[1])
        loaded = builder.load(address)
        _separate(builder.module, loaded, scope.literal_value, scopes.literal_value)
        return loaded

    return signature, generate


@intrinsic
def put(typingctx, array, row, i, value, scope, scopes):
    """`array[row, i] = value`, under the same terms as `get`."""
    if not (isinstance(scope, types.IntegerLiteral) and isinstance(scopes, types.IntegerLiteral)):
        return None
    signature = types.void(array, row, i, array.dtype, scope, scopes)

    def generate(context, builder, signature, arguments):
        address = _element(context, builder, signature.args[0], arguments, signature.args[1])
        stored = builder.store(arguments[3], address)
        _separate(builder.module, stored, scope.literal_value, scopes.literal_value)
        return context.get_dummy_value()

    return signature, generate


def _element(context, builder, array_type, arguments, row_type):
    array = context.make_array(array_type)(context, builder, arguments[0])
    index = context.get_value_type(types.intp)
    columns = cgutils.unpack_tuple(builder, array.shape)[-1]
    row = builder.sext(arguments[1], index) if arguments[1].type != index else arguments[1]
    return builder.gep(array.data, [builder.add(builder.mul(row, columns), arguments[2])])


def _separate(module, access, scope, scopes):
    domain = module.add_metadata(["tvb-batch rows"])
    nodes = [module.add_metadata([f"tvb-batch row {k} of {scopes}", domain]) for k in range(scopes)]
    access.set_metadata("alias.scope", module.add_metadata([nodes[scope]]))
    others = [node for k, node in enumerate(nodes) if k != scope]
    if others:
        access.set_metadata("noalias", module.add_metadata(others))


@intrinsic
def call_loop(typingctx, function, data, in1, step1, in2, step2, out, step, n):
    """Call an inner loop of a NumPy ufunc by its address, so that the result carries NumPy's bits.

    All arguments are integers; the `in2` of a function of one argument is 0.
    """
    signature = types.void(*[types.intp] * 9)

    def generate(context, builder, signature, arguments):
        function, data, in1, step1, in2, step2, out, step, n = arguments
        word = ir.IntType(64)
        two = cgutils.is_not_null(builder, in2)
        with builder.goto_entry_block():
            places = builder.alloca(ir.ArrayType(word, 3))
            count = builder.alloca(word)
            steps = builder.alloca(ir.ArrayType(word, 3))

        def put(array, k, value):
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
