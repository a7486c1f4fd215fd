"""Streams of random numbers as data: which seed a `numpy.random.RandomState` began with, and its state as an array.

Called by `submit.api.noise_stream`, which asks where a script's stream stands, and by `models.tvb.assembly`, which puts
a stream there. A RandomState is a Mersenne Twister: its key of 624 words is replaced by the next one ("a twist")
whenever all of them have been used, and every twist can be taken back.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tvb_batch.models.errors import InputError

WORDS = 624
_LENGTH = WORDS + 4
_M = 397
#: Keys that are looked through at a time.
_MANY = 1000
_UPPER, _LOWER = np.uint32(0x80000000), np.uint32(0x7FFFFFFF)
_MAG = np.uint32(0x9908B0DF)
#: Of `init_genrand`, which makes the first key of a whole number, and its inverse modulo 2**32.
_FACTOR = 1812433253
_INVERSE = pow(_FACTOR, -1, 2**32)

Words = NDArray[np.uint32]


def is_twister(stream: Any) -> bool:
    """Whether the stream is a plain RandomState of a Mersenne Twister, whose state is data."""
    return type(stream) is np.random.RandomState and stream.get_state(legacy=False)["bit_generator"] == "MT19937"


def as_array(stream: Any) -> Words:
    """The state of a Mersenne Twister: (628,) uint32, the key, how much of it is used, and a normal number in stock."""
    _, key, used, has_gauss, gauss = _state(stream)
    rest = np.array([used, has_gauss], dtype=np.uint32)
    return np.concatenate([key.astype(np.uint32), rest, np.array([gauss]).view(np.uint32)])


def restore(stream: Any, state: Any, name: str) -> None:
    """Let the stream go on from a state that `as_array` gave.

    Raises
    ------
    InputError
        The array holds no such state.
    """
    if state.shape != (_LENGTH,) or state.dtype != np.uint32 or state[WORDS] > WORDS:
        raise InputError(f"{name}: {state.dtype} of shape {state.shape}; expected the state of a stream, uint32 (628,)")
    gauss = state[WORDS + 2 :].copy().view(np.float64)[0]
    stream.set_state(("MT19937", state[:WORDS], int(state[WORDS]), int(state[WORDS + 1]), float(gauss)))


def _state(stream: Any) -> tuple[str, Words, int, int, float]:
    state: tuple[str, Words, int, int, float] = stream.get_state(legacy=True)
    return state


def seed_of(stream: Any) -> int | None:
    """The seed of a stream that nothing was drawn from since `RandomState(seed)`; None of any other."""
    state = as_array(stream)
    seed = _seed_of_key(state[:WORDS])
    is_fresh = seed is not None and np.array_equal(state, as_array(np.random.RandomState(seed)))
    return seed if is_fresh else None


def origin(stream: Any, most: int) -> int | None:
    """The seed that a stream began with, however much was drawn from it since; None when it was no whole number.

    Parameters
    ----------
    most : how many twists to go back, each taking about 30 us; None too when the beginning is further away
    """
    key = as_array(stream)[:WORDS]
    for _ in range(most + 1):
        if (seed := _seed_of_key(key)) is not None:
            return seed
        key = _untwisted(key)
    return None


def descends(stream: Any, seed: int, words: int) -> bool:
    """Whether a stream is `RandomState(seed)` of which at most so many words were drawn; in 3 ns a word."""
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
    """The state of a stream before its last `words` words were drawn, none of them for a normal number."""
    state = as_array(stream)
    key, used = state[:WORDS], int(state[WORDS]) - words
    while used < 0:
        key, used = _untwisted(key), used + WORDS
    if not used:
        # Where all words of the key before have been used, the next draw makes this one.
        key, used = _untwisted(key), WORDS
        if (seed := _seed_of_key(key)) is not None:
            key = as_array(np.random.RandomState(seed))[:WORDS]
    return np.concatenate([key, np.array([used], dtype=np.uint32), state[WORDS + 1 :]])


def _tempered(words: Words) -> Words:
    """What is drawn of words of a key."""
    words = words ^ (words >> np.uint32(11))
    words = words ^ ((words << np.uint32(7)) & np.uint32(0x9D2C5680))
    words = words ^ ((words << np.uint32(15)) & np.uint32(0xEFC60000))
    return words ^ (words >> np.uint32(18))


def _untwisted(key: Words) -> Words:
    """The key before the last twist; of a first key, whose low bits of word 0 decide nothing, these are not known."""
    old = np.empty_like(key)
    late = _mixed(key[WORDS - _M :] ^ key[:_M])
    old[WORDS - _M + 1 :] = (late[1:] & _UPPER) | (late[:-1] & _LOWER)
    early = _mixed(key[: WORDS - _M] ^ old[_M:])
    old[WORDS - _M] = (late[0] & _UPPER) | (early[-1] & _LOWER)
    old[1 : WORDS - _M] = (early[1:] & _UPPER) | (early[:-1] & _LOWER)
    old[0] = (early[0] & _UPPER) | (_mixed(old[-1:] ^ old[_M - 1 : _M])[0] & _LOWER)
    return old


def _mixed(words: Words) -> Words:
    """What a twist halved, made of what it wrote."""
    is_odd = words >> np.uint32(31)
    return ((words ^ (is_odd * _MAG)) << np.uint32(1)) | is_odd


def _seed_of_key(key: Words) -> int | None:
    """The whole number that this is the first key of."""
    first, second = int(key[1]), int(key[2])
    if (_FACTOR * (first ^ (first >> 30)) + 2) % 2**32 != second:
        return None
    mixed = (first - 1) * _INVERSE % 2**32
    seed = mixed ^ (mixed >> 30)
    return seed if np.array_equal(_state(np.random.RandomState(seed))[1][1:], key[1:]) else None
