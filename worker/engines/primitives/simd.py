"""Several steps at once: what the sums of `summation` are made of.

Vectors are written in LLVM's own form, SIMD_WIDTH elements wide. It becomes AVX, SSE or NEON as the processor has it,
and never changes a rounding.
"""

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from tvb_batch.worker.engines.primitives.sizes import FLOAT32_BYTES, FLOAT64_BYTES, SIMD_WIDTH

_INT = ir.IntType(32)


def _pointer(context: Any, builder: Any, array_type: Any, array: Any) -> Any:
    return context.make_array(array_type)(context, builder, array).data


def _bytes(element: Any) -> int:
    return FLOAT64_BYTES if isinstance(element, ir.DoubleType) else FLOAT32_BYTES


def _load(builder: Any, pointer: Any, index: Any, vector: Any) -> Any:
    """Load a vector from an address that need not be aligned."""
    address = builder.bitcast(builder.gep(pointer, [index]), vector.as_pointer())
    return builder.load(address, align=_bytes(vector.element))


def _store(builder: Any, value: Any, pointer: Any, index: Any) -> None:
    address = builder.bitcast(builder.gep(pointer, [index]), value.type.as_pointer())
    builder.store(value, address, align=_bytes(value.type.element))


def _splat(builder: Any, scalar: Any, vector: Any) -> Any:
    undefined = ir.Constant(vector, ir.Undefined)
    first = builder.insert_element(undefined, scalar, _INT(0))
    zeros = ir.Constant(ir.VectorType(_INT, vector.count), [0] * vector.count)
    return builder.shuffle_vector(first, undefined, zeros)


@intrinsic
def add_chain(
    typingctx: Any,
    window: Any,
    base: Any,
    offset: Any,
    weight: Any,
    e0: Any,
    e1: Any,
    values: Any,
    parts: Any,
    p0: Any,
    p1: Any,
    to: Any,
) -> Any:
    """Add up numbers of SIMD_WIDTH consecutive steps: earlier sums p0:p1, then edges e0:e1.

    `values[parts[p]]` is the first step's number of sum p, and `window[base + offset[e]]` that of edge e before it is
    multiplied by its weight; the next steps' follow it. The sums of these steps are stored from `values[to]` on.
    """
    integer = types.intp
    signature = types.void(
        *(window, integer, offset, weight, integer, integer, values, parts, integer, integer, integer)
    )

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kinds = signature.args
        sent, offsets, weights, sums, places = (
            _pointer(context, builder, kinds[k], arguments[k]) for k in (0, 2, 3, 6, 7)
        )
        base, first_edge, last_edge, first_part, last_part, to = (arguments[k] for k in (1, 4, 5, 8, 9, 10))
        vector = ir.VectorType(context.get_value_type(window.dtype), SIMD_WIDTH)
        index = context.get_value_type(integer)

        def place(table: Any, k: Any) -> Any:
            return builder.sext(builder.load(builder.gep(table, [k])), index)

        # Adding to it changes nothing, not even a sign.
        total = cgutils.alloca_once_value(builder, ir.Constant(vector, [-0.0] * SIMD_WIDTH))
        with cgutils.for_range_slice(builder, first_part, last_part, index(1), index) as (part, _):
            number = _load(builder, sums, place(places, part), vector)
            builder.store(builder.fadd(builder.load(total), number), total)
        with cgutils.for_range_slice(builder, first_edge, last_edge, index(1), index) as (edge, _):
            factor = _splat(builder, builder.load(builder.gep(weights, [edge])), vector)
            number = _load(builder, sent, builder.add(base, place(offsets, edge)), vector)
            builder.store(builder.fadd(builder.load(total), builder.fmul(factor, number)), total)
        _store(builder, builder.load(total), sums, to)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def add_lanes(typingctx: Any, values: Any, begin: Any, end: Any, to: Any) -> Any:
    """Add up `values[begin:end]`, SIMD_WIDTH at a time; write the lanes' sums to `values[to:to + SIMD_WIDTH]`."""
    integer = types.intp
    signature = types.void(values, integer, integer, integer)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        numbers, (_, begin, end, to) = _pointer(context, builder, signature.args[0], arguments[0]), arguments
        vector = ir.VectorType(context.get_value_type(values.dtype), SIMD_WIDTH)
        index = context.get_value_type(integer)
        total = cgutils.alloca_once_value(builder, ir.Constant(vector, [-0.0] * SIMD_WIDTH))
        with cgutils.for_range_slice(builder, begin, end, index(SIMD_WIDTH), index) as (k, _):
            builder.store(builder.fadd(builder.load(total), _load(builder, numbers, k, vector)), total)
        _store(builder, builder.load(total), numbers, to)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def transpose_lanes(typingctx: Any, values: Any, base: Any, offset: Any, k: Any, out: Any, to: Any, stride: Any) -> Any:
    """Transpose SIMD_WIDTH rows of as many numbers, `values[base + offset[k]]` and the next ones, into rows of `out`.

    These begin at `to`, `to + stride` and so on; the first has the first number of each row.
    """
    integer = types.intp
    signature = types.void(values, integer, offset, integer, out, integer, integer)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kinds = signature.args
        source, offsets, copies = (_pointer(context, builder, kinds[k], arguments[k]) for k in (0, 2, 4))
        base, first, to, stride = (arguments[k] for k in (1, 3, 5, 6))
        vector = ir.VectorType(context.get_value_type(values.dtype), SIMD_WIDTH)
        index = context.get_value_type(integer)
        rows = []
        for k in range(SIMD_WIDTH):
            at = builder.load(builder.gep(offsets, [builder.add(first, index(k))]))
            rows.append(_load(builder, source, builder.add(base, builder.sext(at, index)), vector))
        half, masks = SIMD_WIDTH // 2, ir.VectorType(_INT, SIMD_WIDTH)
        shuffled = [number for k in range(SIMD_WIDTH) for number in (k, SIMD_WIDTH + k)]
        low, high = ir.Constant(masks, shuffled[:SIMD_WIDTH]), ir.Constant(masks, shuffled[SIMD_WIDTH:])
        for _ in range(half.bit_length()):  # Three perfect shuffles transpose eight rows of eight.
            pairs = list(zip(rows[:half], rows[half:], strict=True))
            rows = [builder.shuffle_vector(a, b, mask) for a, b in pairs for mask in (low, high)]
        for k, row in enumerate(rows):
            _store(builder, row, copies, builder.add(to, builder.mul(stride, index(k))))
        return context.get_dummy_value()

    return signature, generate
