"""NumPy's MT19937, and the numbers from 0 to 1 that its legacy RandomState makes of it, bit for bit."""

import numpy as np
from numpy.typing import NDArray

from tvb_batch.worker.engines.jit_cache import jit
from tvb_batch.worker.engines.primitives.sizes import MT19937_WORDS

_UPPER, _LOWER, _MATRIX = np.uint32(0x80000000), np.uint32(0x7FFFFFFF), np.uint32(0x9908B0DF)
_ONE = np.uint32(1)


@jit
def _twist(high: np.uint32, low: np.uint32, later: np.uint32) -> np.uint32:
    """Return a new word of the state, made of three old ones."""
    y = (high & _UPPER) | (low & _LOWER)
    return later ^ (y >> _ONE) ^ ((np.uint32(0) - (y & _ONE)) & _MATRIX)


@jit
def next_key(key: NDArray[np.uint32]) -> None:
    """Make the next MT19937_WORDS words of the state, (624,)."""
    for i in range(227):
        key[i] = _twist(key[i], key[i + 1], key[i + 397])
    # Two loops, none of which reads what it has written: LLVM does many words at once.
    for i in range(227, 454):
        key[i] = _twist(key[i], key[i + 1], key[i - 227])
    for i in range(454, 623):
        key[i] = _twist(key[i], key[i + 1], key[i - 227])
    key[623] = _twist(key[623], key[0], key[396])


@jit
def temper(key: NDArray[np.uint32], words: NDArray[np.uint32]) -> None:
    """Compute the output words of the state, both (624,)."""
    for i in range(MT19937_WORDS):
        y = key[i]
        y ^= y >> np.uint32(11)
        y ^= (y << np.uint32(7)) & np.uint32(0x9D2C5680)
        y ^= (y << np.uint32(15)) & np.uint32(0xEFC60000)
        words[i] = y ^ (y >> np.uint32(18))


@jit
def next_words(key: NDArray[np.uint32], words: NDArray[np.uint32]) -> None:
    """Make the next words of the state, and their output words, both (624,)."""
    next_key(key)
    temper(key, words)


@jit
def unit(a: np.uint32, b: np.uint32) -> np.float64:
    """Return 53 bits of two words as a number from 0 to 1, without 1."""
    whole = np.float64(np.int32(a >> np.uint32(5))) * 67108864.0 + np.float64(np.int32(b >> np.uint32(6)))
    return whole / 9007199254740992.0


@jit
def fill_uniforms(
    key: NDArray[np.uint32],
    words: NDArray[np.uint32],
    used: NDArray[np.int64],
    low: float,
    width: float,
    out: NDArray[np.float64],
) -> None:
    """Draw the next `out.size` numbers of `RandomState.uniform(low, low + width)`.

    Parameters
    ----------
    key, words : (624,) uint32, the state and its output words
    used : (1,) int64, words that were used
    out : (n,) float64, written
    """
    done = 0
    while done < out.size:
        pairs = min((MT19937_WORDS - used[0]) // 2, out.size - done)
        first = used[0]
        for k in range(pairs):
            out[done + k] = low + width * unit(words[first + 2 * k], words[first + 2 * k + 1])
        used[0] += 2 * pairs
        done += pairs
        if done < out.size:
            last = words[MT19937_WORDS - 1]
            is_odd = used[0] < MT19937_WORDS
            next_words(key, words)
            used[0] = 0
            if is_odd:
                out[done] = low + width * unit(last, words[0])
                used[0] = 1
                done += 1


@jit
def skip_uniforms(key: NDArray[np.uint32], words: NDArray[np.uint32], used: NDArray[np.int64], n: int) -> None:
    """Skip the next n numbers of `fill_uniforms`; the same arguments."""
    used[0] += 2 * n
    # The last word of a state is used before the next state is made.
    refills = max(0, (used[0] - 1) // MT19937_WORDS)
    for _ in range(refills):
        next_key(key)
    used[0] -= refills * MT19937_WORDS
    if refills:
        temper(key, words)
