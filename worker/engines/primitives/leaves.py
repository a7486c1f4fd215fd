"""Eight edges, or eight steps, at once: what the sums of `sums` are made of.

Vectors are written in LLVM's own form, eight or four elements wide: it becomes AVX, SSE or NEON as the processor has
it, and never changes a rounding.
"""

# mypy: ignore-errors
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

#: Steps that are gathered or summed at once; an edge takes part when its delay is at least BLOCK - 1 steps.
BLOCK = 8
#: Independent sums in NumPy's pairwise summation.
LANES = 8


_INT = ir.IntType(32)


def _pointer(context, builder, array_type, array):
    return context.make_array(array_type)(context, builder, array).data


def _bytes(element):
    return 8 if isinstance(element, ir.DoubleType) else 4


def _load(builder, pointer, index, vector):
    """A whole vector from an address that need not be aligned to it."""
    address = builder.bitcast(builder.gep(pointer, [index]), vector.as_pointer())
    return builder.load(address, align=_bytes(vector.element))


def _store(builder, value, pointer, index):
    address = builder.bitcast(builder.gep(pointer, [index]), value.type.as_pointer())
    builder.store(value, address, align=_bytes(value.type.element))


def _splat(builder, scalar, vector):
    undefined = ir.Constant(vector, ir.Undefined)
    first = builder.insert_element(undefined, scalar, _INT(0))
    zeros = ir.Constant(ir.VectorType(_INT, vector.count), [0] * vector.count)
    return builder.shuffle_vector(first, undefined, zeros)


def _tree(builder, lanes):
    """((r0 + r1) + (r2 + r3)) + ((r4 + r5) + (r6 + r7)): how NumPy ends a pairwise sum."""
    while len(lanes) > 1:
        lanes = [builder.fadd(a, b) for a, b in zip(lanes[::2], lanes[1::2], strict=True)]
    return lanes[0]


def _negative_zero(kind):
    """What NumPy's sums start from: adding it changes nothing, not even a sign."""
    if isinstance(kind, ir.VectorType):
        return ir.Constant(kind, [-0.0] * kind.count)
    return ir.Constant(kind, -0.0)


@intrinsic
def leaf_ahead(typingctx, window, base, offset, weight, m0, m1, t0, t1, out, o):
    """Sum one leaf of a row for consecutive steps: groups m0:m1 of eight edges, then edges t0:t1 one by one.

    `window[base + offset[e]]` is the first step's value of edge e, the next steps' values follow it. Eight steps are
    summed in float32, four in float64, and stored from `out[o]`.
    """
    integer = types.intp
    signature = types.void(window, integer, offset, weight, integer, integer, integer, integer, out, integer)

    def generate(context, builder, signature, arguments):
        kinds = signature.args
        values, offsets, weights, sums = (_pointer(context, builder, kinds[k], arguments[k]) for k in (0, 2, 3, 8))
        base, first, last, tail, end, to = (arguments[k] for k in (1, 4, 5, 6, 7, 9))
        element = context.get_value_type(window.dtype)
        vector = ir.VectorType(element, 8 if _bytes(element) == 4 else 4)
        index = context.get_value_type(integer)

        def term(edge):
            at = builder.add(base, builder.sext(builder.load(builder.gep(offsets, [edge])), index))
            factor = _splat(builder, builder.load(builder.gep(weights, [edge])), vector)
            return builder.fmul(factor, _load(builder, values, at, vector))

        lanes = [cgutils.alloca_once_value(builder, _negative_zero(vector)) for _ in range(LANES)]
        with cgutils.for_range_slice(builder, first, last, index(1), index) as (group, _):
            for k, lane in enumerate(lanes):
                edge = builder.add(builder.mul(group, index(LANES)), index(k))
                builder.store(builder.fadd(builder.load(lane), term(edge)), lane)
        total = cgutils.alloca_once_value(builder, _tree(builder, [builder.load(lane) for lane in lanes]))
        with cgutils.for_range_slice(builder, tail, end, index(1), index) as (edge, _):
            builder.store(builder.fadd(builder.load(total), term(edge)), total)
        _store(builder, builder.load(total), sums, to)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def leaf_now(typingctx, values, base, weight, m0, m1, t0, t1):
    """The sum of one leaf of a row at one step; edge e's value is `values[base + e]`."""
    integer = types.intp
    signature = values.dtype(values, integer, weight, integer, integer, integer, integer)

    def generate(context, builder, signature, arguments):
        kinds = signature.args
        x, weights = (_pointer(context, builder, kinds[k], arguments[k]) for k in (0, 2))
        base, first, last, tail, end = (arguments[k] for k in (1, 3, 4, 5, 6))
        element = context.get_value_type(kinds[0].dtype)
        vector = ir.VectorType(element, LANES)
        index = context.get_value_type(integer)
        lanes = cgutils.alloca_once_value(builder, _negative_zero(vector))
        with cgutils.for_range_slice(builder, first, last, index(1), index) as (group, _):
            edge = builder.mul(group, index(LANES))
            term = builder.fmul(
                _load(builder, weights, edge, vector), _load(builder, x, builder.add(base, edge), vector)
            )
            builder.store(builder.fadd(builder.load(lanes), term), lanes)
        ends = [builder.extract_element(builder.load(lanes), _INT(k)) for k in range(LANES)]
        total = cgutils.alloca_once_value(builder, _tree(builder, ends))
        with cgutils.for_range_slice(builder, tail, end, index(1), index) as (edge, _):
            value = builder.load(builder.gep(x, [builder.add(base, edge)]))
            term = builder.fmul(builder.load(builder.gep(weights, [edge])), value)
            builder.store(builder.fadd(builder.load(total), term), total)
        return builder.load(total)

    return signature, generate


@intrinsic
def gather_group(typingctx, window, base, offset, edge, out, o, stride):
    """Copy eight consecutive steps of the edges edge .. edge + 7 to eight rows `out[o + step * stride + edge]`."""
    integer = types.intp
    signature = types.void(window, integer, offset, integer, out, integer, integer)

    def generate(context, builder, signature, arguments):
        kinds = signature.args
        values, offsets, copies = (_pointer(context, builder, kinds[k], arguments[k]) for k in (0, 2, 4))
        base, edge, to, stride = (arguments[k] for k in (1, 3, 5, 6))
        vector = ir.VectorType(context.get_value_type(window.dtype), LANES)
        index = context.get_value_type(integer)
        rows = []
        for k in range(LANES):
            at = builder.load(builder.gep(offsets, [builder.add(edge, index(k))]))
            rows.append(_load(builder, values, builder.add(base, builder.sext(at, index)), vector))
        low = ir.Constant(ir.VectorType(_INT, 8), [0, 8, 1, 9, 2, 10, 3, 11])
        high = ir.Constant(ir.VectorType(_INT, 8), [4, 12, 5, 13, 6, 14, 7, 15])
        for _ in range(3):  # Three perfect shuffles transpose eight rows of eight.
            pairs = list(zip(rows[:4], rows[4:], strict=True))
            rows = [builder.shuffle_vector(a, b, mask) for a, b in pairs for mask in (low, high)]
        for k, row in enumerate(rows):
            at = builder.add(builder.add(to, edge), builder.mul(stride, index(k)))
            _store(builder, row, copies, at)
        return context.get_dummy_value()

    return signature, generate
