"""Finds the seed that a `numpy.random.RandomState` started from, and converts its state to an array and back.

A RandomState is a Mersenne Twister. When all 624 words of its key are used, a "twist" replaces the key with the next
one. Every twist can be inverted.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tvb_batch.models.errors import InputError

WORDS = 624
_LENGTH = WORDS + 4
_M = 397
#: Number of keys searched at a time.
_MANY = 1000
_UPPER, _LOWER = np.uint32(0x80000000), np.uint32(0x7FFFFFFF)
_MAG = np.uint32(0x9908B0DF)
#: Factor of `init_genrand`, which makes the first key from an integer, and its inverse modulo 2**32.
_FACTOR = 1812433253
_INVERSE = pow(_FACTOR, -1, 2**32)

Words = NDArray[np.uint32]


def is_mt19937(stream: Any) -> bool:
    """Return whether the stream is a plain RandomState with a Mersenne Twister."""
    return type(stream) is np.random.RandomState and stream.get_state(legacy=False)["bit_generator"] == "MT19937"


def as_array(stream: Any) -> Words:
    """Return the state of a Mersenne Twister, shape (628,), uint32: key, position and cached normal number."""
    _, key, used, has_gauss, gauss = _state(stream)
    rest = np.array([used, has_gauss], dtype=np.uint32)
    return np.concatenate([key.astype(np.uint32), rest, np.array([gauss]).view(np.uint32)])


def restore(stream: Any, state: Any, name: str) -> None:
    """Set the stream to a state from `as_array`.

    Raises
    ------
    InputError
        The array is not such a state.
    """
    if state.shape != (_LENGTH,) or state.dtype != np.uint32 or state[WORDS] > WORDS:
        raise InputError(f"{name}: {state.dtype} of shape {state.shape}; expected the state of a stream, uint32 (628,)")
    gauss = state[WORDS + 2 :].copy().view(np.float64)[0]
    stream.set_state(("MT19937", state[:WORDS], int(state[WORDS]), int(state[WORDS + 1]), float(gauss)))


def _state(stream: Any) -> tuple[str, Words, int, int, float]:
    state: tuple[str, Words, int, int, float] = stream.get_state(legacy=True)
    return state


def seed_of(stream: Any) -> int | None:
    """Return the seed of an unused stream `RandomState(seed)`; None for any other."""
    state = as_array(stream)
    seed = _seed_of_key(state[:WORDS])
    is_fresh = seed is not None and np.array_equal(state, as_array(np.random.RandomState(seed)))
    return seed if is_fresh else None


def origin(stream: Any, most: int) -> int | None:
    """Return the integer seed that a stream started from, after any number of draws; None if there is none.

    Parameters
    ----------
    most : maximum number of twists to go back, about 30 us each; the result is None if the start is further away
    """
    key = as_array(stream)[:WORDS]
    for _ in range(most + 1):
        if (seed := _seed_of_key(key)) is not None:
            return seed
        key = _untwisted(key)
    return None


def descends(stream: Any, seed: int, words: int) -> bool:
    """Return whether a stream is `RandomState(seed)` after at most this number of draws; takes 3 ns per word."""
    key = as_array(stream)[:WORDS]
    other = np.random.RandomState(seed)
    if np.array_equal(_state(other)[1], key):
        return True
    sought = _tempered(key[1:3])
    for _ in range(0, words + WORDS, _MANY * WORDS):
        drawn = other.randint(0, 2**32, size=(_MANY, WORDS), dtype=np.uint32)
        if (drawn[:, 1:3] == sought).all(axis=1).any():
            return True
    return False


def rewound(stream: Any, words: int) -> Words:
    """Return the state of a stream before its last `words` words were drawn."""
    state = as_array(stream)
    key, used = state[:WORDS], int(state[WORDS]) - words
    while used < 0:
        key, used = _untwisted(key), used + WORDS
    if not used:
        # If all words of the previous key are used, the next draw makes this key.
        key, used = _untwisted(key), WORDS
        if (seed := _seed_of_key(key)) is not None:
            key = as_array(np.random.RandomState(seed))[:WORDS]
    return np.concatenate([key, np.array([used], dtype=np.uint32), state[WORDS + 1 :]])


def _tempered(words: Words) -> Words:
    """Return the numbers drawn from words of a key."""
    words = words ^ (words >> np.uint32(11))
    words = words ^ ((words << np.uint32(7)) & np.uint32(0x9D2C5680))
    words = words ^ ((words << np.uint32(15)) & np.uint32(0xEFC60000))
    return words ^ (words >> np.uint32(18))


def _untwisted(key: Words) -> Words:
    """Return the key before the last twist; the low bits of word 0 of a first key stay unknown."""
    old = np.empty_like(key)
    late = _mixed(key[WORDS - _M :] ^ key[:_M])
    old[WORDS - _M + 1 :] = (late[1:] & _UPPER) | (late[:-1] & _LOWER)
    early = _mixed(key[: WORDS - _M] ^ old[_M:])
    old[WORDS - _M] = (late[0] & _UPPER) | (early[-1] & _LOWER)
    old[1 : WORDS - _M] = (early[1:] & _UPPER) | (early[:-1] & _LOWER)
    old[0] = (early[0] & _UPPER) | (_mixed(old[-1:] ^ old[_M - 1 : _M])[0] & _LOWER)
    return old


def _mixed(words: Words) -> Words:
    """Return the input of the halving step of a twist, from its output."""
    is_odd = words >> np.uint32(31)
    return ((words ^ (is_odd * _MAG)) << np.uint32(1)) | is_odd


def _seed_of_key(key: Words) -> int | None:
    """Return the integer whose first key this is."""
    first, second = int(key[1]), int(key[2])
    if (_FACTOR * (first ^ (first >> 30)) + 2) % 2**32 != second:
        return None
    mixed = (first - 1) * _INVERSE % 2**32
    seed = mixed ^ (mixed >> 30)
    return seed if np.array_equal(_state(np.random.RandomState(seed))[1][1:], key[1:]) else None
