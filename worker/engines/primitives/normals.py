"""The normals of NumPy's legacy RandomState, bit for bit. `worker.engines.runtime.random_state` holds its state."""

# mypy: ignore-errors
import math

import numpy as np

from tvb_batch.worker.engines.codegen.jit_cache import inlined, jit
from tvb_batch.worker.engines.primitives.libm_log import sure_log
from tvb_batch.worker.engines.primitives.mt19937 import WORDS, next_words, unit

#: Pairs that the words of a state give.
_PAIRS = 156


@jit
def fill_normals(twister, out, room):
    """The next `out.size` normals of a legacy RandomState, bit for bit: Marsaglia's polar method, two at a time.

    Parameters
    ----------
    twister : (624,) uint32, the state of MT19937; (1248,) uint32, what it gives out, and room; (1,) int64, words that
        were used; (2,) whether a normal is left over, and the normal; (period,) int64, how many pairs from a position
        (modulo the period) on are not needed: they are drawn, but `out` is left as it is; if negative, how many are
    room : see `worker.engines.runtime.random_state.make_room`
    """
    (_, _, _, spare, free), (tried, kept, _, _) = twister, room
    n, period = out.size, free.size
    done = 0
    if n and spare[0] != 0.0:
        out[0] = spare[1]
        spare[0], spare[1] = 0.0, 0.0
        done = 1
    phase = done % period
    while done < n:
        found = _try_pairs(twister, room, (n - done + 1) // 2)
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
        factor[i] = tried[2, kept[i]]
    for i in range(kept.size):
        logarithm[i] = sure_log(factor[i])
    for i in range(kept.size):
        if logarithm[i] != logarithm[i]:
            logarithm[i] = math.log(factor[i])
    for i in range(kept.size):
        factor[i] = math.sqrt(-2.0 * logarithm[i] / factor[i])
    for i in range(kept.size):
        out[2 * i] = factor[i] * tried[1, kept[i]]
        out[2 * i + 1] = factor[i] * tried[0, kept[i]]


@jit
def _try_pairs(twister, room, wanted):
    """Try as many pairs as the words at hand allow; return how many lie in the circle, at most `wanted`."""
    key, words, used, _, _ = twister
    tried, kept, inside, four = room
    if used[0] >= WORDS:
        next_words(key, words)
        used[0] = 0
    pairs = (WORDS - used[0]) // 4
    if pairs == 0:
        _straddle(key, words, used, four)
        _polar(four, 1, tried, inside)
        pairs = 1
    else:
        # Always the same number of pairs, whatever lies behind the words, so that LLVM knows it.
        _polar(words[used[0] :], _PAIRS, tried, inside)
        used[0] += 4 * pairs
    found = np.uint64(0)
    for i in range(pairs):
        kept[found] = i
        found += np.uint64(inside[i])
    if found < wanted:
        return np.int64(found)
    used[0] -= 4 * (pairs - 1 - kept[wanted - 1])
    return wanted


@inlined
def _polar(words, pairs, tried, inside):
    """Points of the square, the squares of their distances from its middle, and whether each lies in the circle."""
    for i in range(pairs):
        a = 2.0 * unit(words[4 * i], words[4 * i + 1]) - 1.0
        b = 2.0 * unit(words[4 * i + 2], words[4 * i + 3]) - 1.0
        tried[0, i] = a
        tried[1, i] = b
        tried[2, i] = a * a + b * b
    for i in range(pairs):
        inside[i] = (tried[2, i] < 1.0) & (tried[2, i] != 0.0)


@jit
def _straddle(key, words, used, four):
    """Four words that lie on both sides of a refill."""
    for k in range(4):
        if used[0] >= WORDS:
            next_words(key, words)
            used[0] = 0
        four[k] = words[used[0]]
        used[0] += 1


@jit
def turn(values, modes, out):
    """Normals in TVB's order (variables, nodes, modes) as (variables x modes, nodes)."""
    for row in range(out.shape[0]):
        first = (row // modes) * modes * out.shape[1] + row % modes
        for i in range(out.shape[1]):
            out[row, i] = values[first + modes * i]
