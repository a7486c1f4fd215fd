"""The normals of NumPy's legacy RandomState, bit for bit. `worker.engines.runtime.random_state` holds its state."""

import math

import numpy as np
from numpy.typing import NDArray

from tvb_batch.worker.engines.jit_cache import inlined, jit
from tvb_batch.worker.engines.primitives.arguments import NormalState, NormalWorkspace
from tvb_batch.worker.engines.primitives.libm_log import log_if_exact
from tvb_batch.worker.engines.primitives.mt19937 import next_words, unit
from tvb_batch.worker.engines.primitives.sizes import MT19937_WORDS, NORMAL_PAIRS


@jit
def fill_normals(state: NormalState, out: NDArray[np.float64], workspace: NormalWorkspace) -> None:
    """Draw the next normals of a legacy RandomState into `out`, (n,), with its bits, by Marsaglia's polar method.

    A pair that is not needed, see `state.free`, is drawn but not written.
    """
    spare, free, tried, kept = state.spare, state.free, workspace.tried, workspace.kept
    n, period = out.size, free.size
    done = 0
    if n and spare[0] != 0.0:
        out[0] = spare[1]
        spare[0], spare[1] = 0.0, 0.0
        done = 1
    phase = done % period
    while done < n:
        found = _try_pairs(state, workspace, (n - done + 1) // 2)
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
def _normals(tried: NDArray[np.float64], kept: NDArray[np.int32], out: NDArray[np.float64]) -> None:
    """Write two normals of each point that was kept, (k,), to `out`, (2 k,)."""
    logarithm, factor = tried[3], tried[4]
    for i in range(kept.size):
        factor[i] = tried[2, kept[i]]
    for i in range(kept.size):
        logarithm[i] = log_if_exact(factor[i])
    for i in range(kept.size):
        if logarithm[i] != logarithm[i]:
            logarithm[i] = math.log(factor[i])
    for i in range(kept.size):
        factor[i] = math.sqrt(-2.0 * logarithm[i] / factor[i])
    for i in range(kept.size):
        out[2 * i] = factor[i] * tried[1, kept[i]]
        out[2 * i + 1] = factor[i] * tried[0, kept[i]]


@jit
def _try_pairs(state: NormalState, workspace: NormalWorkspace, wanted: int) -> np.int64 | int:
    """Try as many pairs as the words at hand allow; return how many lie in the circle, at most `wanted`."""
    key, words, used = state.key, state.words, state.used
    tried, kept, inside, four = workspace.tried, workspace.kept, workspace.inside, workspace.four
    if used[0] >= MT19937_WORDS:
        next_words(key, words)
        used[0] = 0
    pairs = (MT19937_WORDS - used[0]) // 4
    if pairs == 0:
        _straddle(key, words, used, four)
        _polar(four, 1, tried, inside)
        pairs = 1
    else:
        # Always the same number of pairs, whatever lies behind the words, so that LLVM knows it.
        _polar(words[used[0] :], NORMAL_PAIRS, tried, inside)
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
def _polar(words: NDArray[np.uint32], pairs: int, tried: NDArray[np.float64], inside: NDArray[np.uint8]) -> None:
    """Make points of the square, their squared distances from its middle, and whether each lies in the circle."""
    for i in range(pairs):
        a = 2.0 * unit(words[4 * i], words[4 * i + 1]) - 1.0
        b = 2.0 * unit(words[4 * i + 2], words[4 * i + 3]) - 1.0
        tried[0, i] = a
        tried[1, i] = b
        tried[2, i] = a * a + b * b
    for i in range(pairs):
        inside[i] = (tried[2, i] < 1.0) & (tried[2, i] != 0.0)


@jit
def _straddle(
    key: NDArray[np.uint32], words: NDArray[np.uint32], used: NDArray[np.int64], four: NDArray[np.uint32]
) -> None:
    """Take four words that lie on both sides of a refill."""
    for k in range(4):
        if used[0] >= MT19937_WORDS:
            next_words(key, words)
            used[0] = 0
        four[k] = words[used[0]]
        used[0] += 1


@jit
def turn(values: NDArray[np.float64], modes: int, out: NDArray[np.float64]) -> None:
    """Write normals from TVB's order, flat (variables, nodes, modes), to `out`, (variables x modes, nodes)."""
    for row in range(out.shape[0]):
        first = (row // modes) * modes * out.shape[1] + row % modes
        for i in range(out.shape[1]):
            out[row, i] = values[first + modes * i]
