"""Numba pieces that every kernel is made of: sums in NumPy's order, TVB's normal numbers, NumPy's inner loops.

The text of this file is copied to the kernel cache and imported from there, beside the kernels that
`worker.engines.emit` writes. No function here knows a model. Vectors are written in LLVM's own form, eight or four
elements wide: it becomes AVX, SSE or NEON as the processor has it, and never changes a rounding.
"""

# mypy: ignore-errors
import decimal
import math

import numba as nb
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

#: Steps that are gathered or summed at once; an edge takes part when its delay is at least BLOCK - 1 steps.
BLOCK = 8
#: Independent sums in NumPy's pairwise summation.
LANES = 8

jit = nb.njit(cache=True, error_model="numpy")

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
        values, offsets, weights, sums = (
            _pointer(context, builder, kinds[k], arguments[k]) for k in (0, 2, 3, 8)
        )
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


@jit
def sum_ahead(window, plane, s, rows, leaves, offset, weight, out, stack):
    """Sum whole rows for the steps s .. s + 7, from values that are known already.

    Parameters
    ----------
    window : flat values, `plane` of them for each variable that is coupled
    rows : (n, 4) target, first edge or -1, first leaf, last leaf + 1
    leaves : (m, 5) first group, last group + 1, first single edge, last + 1, sums that this leaf ends
    out : (variables, targets, 8)
    stack : room for 8 partial sums of 8 steps
    """
    wide = 8 if window.itemsize == 4 else 4
    for variable in range(out.shape[0]):
        for row in range(rows.shape[0]):
            target, first = rows[row, 0], rows[row, 1]
            for part in range(0, BLOCK, wide):
                base = variable * plane + s + part
                depth = 0
                for leaf in range(rows[row, 2], rows[row, 3]):
                    m0, m1, t0, t1 = leaves[leaf, 0], leaves[leaf, 1], leaves[leaf, 2], leaves[leaf, 3]
                    leaf_ahead(window, base, offset, weight, m0, m1, t0, t1, stack, depth * wide)
                    depth += 1
                    for _ in range(leaves[leaf, 4]):
                        depth -= 1
                        for k in range(wide):
                            stack[(depth - 1) * wide + k] += stack[depth * wide + k]
                for k in range(wide):
                    total = stack[k] if depth else weight.dtype.type(0.0)
                    if first >= 0:
                        one = weight[first] * window[base + offset[first] + k]
                        total = one + stack[k] if depth else one
                    out[variable, target, part + k] = total


@jit
def sum_now(values, base, rows, leaves, weight, out, stack):
    """Sum whole rows at one step; `values[base + e]` is the value of edge e, `out` is (targets,)."""
    for row in range(rows.shape[0]):
        target, first = rows[row, 0], rows[row, 1]
        depth = 0
        for leaf in range(rows[row, 2], rows[row, 3]):
            m0, m1, t0, t1 = leaves[leaf, 0], leaves[leaf, 1], leaves[leaf, 2], leaves[leaf, 3]
            stack[depth] = leaf_now(values, base, weight, m0, m1, t0, t1)
            depth += 1
            for _ in range(leaves[leaf, 4]):
                depth -= 1
                stack[depth - 1] += stack[depth]
        total = stack[0] if depth else weight.dtype.type(0.0)
        if first >= 0:
            one = weight[first] * values[base + first]
            total = one + stack[0] if depth else one
        out[target] = total


@jit
def gather_ahead(window, plane, s, offset, ahead, out):
    """Copy the steps s .. s + 7 of the first `ahead` edges, a multiple of eight, to `out` (variables, 8, edges)."""
    flat = out.reshape(-1)
    for variable in range(out.shape[0]):
        base = variable * plane + s
        for edge in range(0, ahead, LANES):
            gather_group(window, base, offset, edge, flat, variable * BLOCK * out.shape[2], out.shape[2])


@jit
def gather_now(window, plane, s, b, offset, late, out):
    """Copy step s of the edges `late`, whose delay is too short to be gathered ahead, to row b of `out`."""
    for variable in range(out.shape[0]):
        base = variable * plane + s
        for k in range(late.size):
            out[variable, b, late[k]] = window[base + offset[late[k]]]


@jit
def sum_sources(window, plane, s, b, ahead_rows, ahead, now, offset, weight, leaves, late, gathered, total, part):
    """Sum all rows for step b of eight that were looked at ahead, where every edge carries what its source sent.

    Parameters
    ----------
    ahead_rows, ahead : rows that were summed ahead, and their sums (variables, targets, 8)
    now, leaves : rows to be summed now
    total : (variables, targets)
    """
    gather_now(window, plane, s, b, offset, late, gathered)
    flat = gathered.reshape(-1)
    for variable in range(total.shape[0]):
        sum_now(flat, (BLOCK * variable + b) * offset.size, now, leaves, weight, total[variable], part)
    add_ahead(ahead_rows, ahead, b, total)


@jit
def add_ahead(rows, ahead, b, total):
    """Put the sums of step b that were made ahead beside the others."""
    for variable in range(total.shape[0]):
        for row in range(rows.shape[0]):
            total[variable, rows[row, 0]] = ahead[variable, rows[row, 0], b]


@jit
def spread(state, target, out):
    """Give every edge its target's state, in groups of eight edges of one target."""
    for group in range(target.size // LANES):
        value = np.float32(state[target[LANES * group]])
        for k in range(LANES):
            out[LANES * group + k] = value


@jit
def turn(values, modes, out):
    """Normals in TVB's order (variables, nodes, modes) as (variables x modes, nodes)."""
    for row in range(out.shape[0]):
        first = (row // modes) * modes * out.shape[1] + row % modes
        for i in range(out.shape[1]):
            out[row, i] = values[first + modes * i]


@jit
def slide(window, n, horizon):
    """Move the last `horizon` of `horizon + n` columns to the front: (variables, sources, columns)."""
    for variable in range(window.shape[0]):
        for source in range(window.shape[1]):
            row = window[variable, source]
            for k in range(horizon):
                row[k] = row[k + n]


#: Words of the state of NumPy's MT19937, all made at once.
_WORDS = 624
_UPPER, _LOWER, _MATRIX = np.uint32(0x80000000), np.uint32(0x7FFFFFFF), np.uint32(0x9908B0DF)
_ONE = np.uint32(1)


@jit
def _twist(high, low, far):
    y = (high & _UPPER) | (low & _LOWER)
    return far ^ (y >> _ONE) ^ ((np.uint32(0) - (y & _ONE)) & _MATRIX)


@jit
def next_words(key, words):
    """Make the next 624 words of MT19937: `key` is its state, `words` what the state gives out."""
    for i in range(227):
        key[i] = _twist(key[i], key[i + 1], key[i + 397])
    for i in range(227, 623):
        key[i] = _twist(key[i], key[i + 1], key[i - 227])
    key[623] = _twist(key[623], key[0], key[396])
    temper(key, words)


@jit
def temper(key, words):
    """What the state gives out."""
    for i in range(_WORDS):
        y = key[i]
        y ^= y >> np.uint32(11)
        y ^= (y << np.uint32(7)) & np.uint32(0x9D2C5680)
        y ^= (y << np.uint32(15)) & np.uint32(0xEFC60000)
        words[i] = y ^ (y >> np.uint32(18))


@jit
def _double(a, b):
    """53 bits of two words, from -1 to 1."""
    whole = np.float64(np.int32(a >> np.uint32(5))) * 67108864.0 + np.float64(np.int32(b >> np.uint32(6)))
    return 2.0 * (whole / 9007199254740992.0) - 1.0


@jit
def fill_normals(key, words, state, spare, out, free, tried, kept):
    """The next `out.size` normals of a legacy RandomState, bit for bit: Marsaglia's polar method, two at a time.

    Parameters
    ----------
    key, words : (624,) uint32, MT19937's state and what it gives out
    state : (1,) int64, words that were used
    spare : (2,) whether a normal is left over, and the normal
    free : (period,) int64, how many pairs from a position (modulo the period) on are not needed: they are drawn, but
        `out` is left as it is; a negative number says how many are needed
    tried : (5, 156) float64, room
    kept : (157,) int64, room
    """
    n, period = out.size, free.size
    done = 0
    if n and spare[0] != 0.0:
        out[0] = spare[1]
        spare[0], spare[1] = 0.0, 0.0
        done = 1
    phase = done % period
    while done < n:
        found = _try_pairs(key, words, state, tried, kept, (n - done + 1) // 2)
        i = 0
        while i < found:
            pairs = min(abs(free[phase]), found - i, (n - done) // 2)
            if pairs > 0 and free[phase] < 0:
                _normals(tried, kept[i : i + pairs], out[done : done + 2 * pairs])
            if pairs == 0:
                pairs = 1
                k = kept[i]
                factor = math.sqrt(-2.0 * math.log(tried[2, k]) / tried[2, k])
                out[done] = factor * tried[1, k]
                spare[0], spare[1] = 1.0, factor * tried[0, k]
            i += pairs
            done += 2 * pairs
            phase += 2 * pairs
            if phase >= period:
                phase %= period


@jit
def _normals(tried, kept, out):
    """Two normals of each point that was kept."""
    logarithm, factor = tried[3], tried[4]
    for i in range(kept.size):
        logarithm[i] = math.log(tried[2, kept[i]])
        factor[i] = tried[2, kept[i]]
    for i in range(kept.size):
        factor[i] = math.sqrt(-2.0 * logarithm[i] / factor[i])
    for i in range(kept.size):
        out[2 * i] = factor[i] * tried[1, kept[i]]
        out[2 * i + 1] = factor[i] * tried[0, kept[i]]


@jit
def _try_pairs(key, words, state, tried, kept, wanted):
    """Try as many pairs as the words at hand allow; return how many lie in the circle, at most `wanted`."""
    if state[0] >= _WORDS:
        next_words(key, words)
        state[0] = 0
    pairs = (_WORDS - state[0]) // 4
    if pairs == 0:
        _polar(_straddle(key, words, state), tried)
        pairs = 1
    else:
        first = state[0]
        state[0] += 4 * pairs
        _polar(words[first : first + 4 * pairs], tried)
    found = 0
    for i in range(pairs):
        kept[found] = i
        r2 = tried[2, i]
        found += (r2 < 1.0) & (r2 != 0.0)
    if found >= wanted:
        found = wanted
        state[0] -= 4 * (pairs - 1 - kept[found - 1])
    return found


@jit
def _polar(words, tried):
    """Points of the square, and the squares of their distances from its middle."""
    x, y, r2 = tried[0], tried[1], tried[2]
    for i in range(words.size // 4):
        a = _double(words[4 * i], words[4 * i + 1])
        b = _double(words[4 * i + 2], words[4 * i + 3])
        x[i] = a
        y[i] = b
        r2[i] = a * a + b * b


@jit
def _straddle(key, words, state):
    """Four words that lie on both sides of a refill."""
    four = np.empty(4, np.uint32)
    for k in range(4):
        if state[0] >= _WORDS:
            next_words(key, words)
            state[0] = 0
        four[k] = words[state[0]]
        state[0] += 1
    return four


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
def fma(typingctx, a, b, c):
    def generate(context, builder, signature, arguments):
        return builder.fma(*arguments)

    return types.float64(types.float64, types.float64, types.float64), generate


@intrinsic
def _bits(typingctx, x):
    def generate(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], ir.IntType(64))

    return types.uint64(types.float64), generate


@intrinsic
def _from_bits(typingctx, x):
    def generate(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], ir.DoubleType())

    return types.float64(types.uint64), generate


def _powers_of_two():
    """2**(k / 128) as the C library's exp has it: how far the rounded power is off, and its bits less k * 2**45."""
    decimal.getcontext().prec = 60
    table = np.empty((128, 2), dtype=np.uint64)
    for k in range(128):
        exact = (decimal.Decimal(2).ln() * k / 128).exp()
        power = np.float64(float(exact))
        rest = np.float64(float(exact / decimal.Decimal(float(power)) - 1))
        table[k] = rest.view(np.uint64), power.view(np.uint64) - np.uint64(k << 45)
    return table.ravel()


_POWERS = _powers_of_two()
# The numbers of exp in the GNU C library since 2.28: an argument is k/128 ln 2 and a rest, whose exp is a polynomial.
_INVERSE = float.fromhex("0x1.71547652b82fep0") * 128
_SHIFT = float.fromhex("0x1.8p52")
_LN2_HIGH, _LN2_LOW = float.fromhex("-0x1.62e42fefa0000p-8"), float.fromhex("-0x1.cf79abc9e3b39p-47")
_C2, _C3 = float.fromhex("0x1.ffffffffffdbdp-2"), float.fromhex("0x1.555555555543cp-3")
_C4, _C5 = float.fromhex("0x1.55555cf172b91p-5"), float.fromhex("0x1.1111167a4d017p-7")
#: Beyond it the C library takes another path.
FAR = 512.0


@jit
def quick_exp(x):
    """What the C library's exp returns, without a call; right only where |x| < FAR, and on C libraries tried before."""
    shifted = fma(_INVERSE, x, _SHIFT)
    whole = _bits(shifted)
    k = shifted - _SHIFT
    r = fma(k, _LN2_LOW, fma(k, _LN2_HIGH, x))
    at = (whole & np.uint64(127)) << np.uint64(1)
    scale = _from_bits(_POWERS[at + np.uint64(1)] + (whole << np.uint64(45)))
    r2 = r * r
    rest = fma(r2, fma(r, _C3, _C2), _from_bits(_POWERS[at]) + r)
    rest = fma(r2 * r2, fma(r, _C5, _C4), rest)
    return fma(scale, rest, scale)


@jit
def quick_exps(x):
    """`quick_exp` of each number."""
    out = np.empty_like(x)
    for i in range(x.size):
        out[i] = quick_exp(x[i])
    return out


@jit
def compare_exp(x):
    """How often `quick_exp` is not the C library's exp."""
    wrong = 0
    for i in range(x.size):
        wrong += quick_exp(x[i]) != math.exp(x[i])
    return wrong


@jit
def stock_up(stock, first, rows, wanted, out, period):
    """Keep each step's row in TVB's stock, and write the mean of the stock to `out` at every period; return how many.

    Parameters
    ----------
    stock : (period, variables, nodes)
    first : number of the first step
    rows : (n, all variables, nodes) what was observed
    wanted : (variables,) which of them
    out : (m, variables, nodes)
    """
    found = 0
    for s in range(rows.shape[0]):
        at = (first + s) % period
        place = stock[at - 1 if at else period - 1]
        for k in range(wanted.size):
            for i in range(place.shape[1]):
                place[k, i] = rows[s, wanted[k], i]
        if at == 0:
            mean(stock, out[found])
            found += 1
    return found


@jit
def mean(stock, out):
    """NumPy's mean of the first axis: one row after the other."""
    out[:] = stock[0]
    for k in range(1, stock.shape[0]):
        for variable in range(out.shape[0]):
            for i in range(out.shape[1]):
                out[variable, i] += stock[k, variable, i]
    for variable in range(out.shape[0]):
        for i in range(out.shape[1]):
            out[variable, i] /= stock.shape[0]
