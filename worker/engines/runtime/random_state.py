"""The state of TVB's noise outside of NumPy, where a kernel draws from it.

Called by `worker.engines.runtime.program`.
"""

from functools import cache, lru_cache
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tvb_batch.worker.engines.primitives.arguments import NormalState, NormalWorkspace
from tvb_batch.worker.engines.primitives.sizes import MT19937_WORDS, NORMAL_PAIRS


class MT19937State:
    """The state of a RandomState's Mersenne Twister, while the primitives draw in NumPy's place."""

    def __init__(self, primitives: ModuleType, stream: Any) -> None:
        """Take out the state of `stream`, where there is one."""
        self.key, self.words = np.zeros(MT19937_WORDS, dtype=np.uint32), np.zeros(2 * MT19937_WORDS, dtype=np.uint32)
        self.used, self.spare = np.zeros(1, dtype=np.int64), np.zeros(2)
        if stream:
            state = stream.get_state(legacy=False)
            self.key[:], self.used[0] = state["state"]["key"], state["state"]["pos"]
            self.spare[:] = state["has_gauss"], state["gauss"]
            primitives.temper(self.key, self.words)

    def put_back(self, stream: Any) -> None:
        """Let `stream` continue where the primitives ended."""
        stream.set_state(("MT19937", self.key, int(self.used[0]), int(self.spare[0]), float(self.spare[1])))


class NormalStream(MT19937State):
    """The same for normals."""

    def __init__(self, primitives: ModuleType, stream: Any, needed: NDArray[np.bool_]) -> None:
        """Of the normals of a step those that are `needed` must be written."""
        super().__init__(primitives, stream)
        self.free = _free(needed.tobytes())

    def arrays(self) -> NormalState:
        """Return the state as the primitives take it; they change it."""
        return NormalState(self.key, self.words, self.used, self.spare, self.free)

    def fill(self, primitives: ModuleType, out: NDArray[np.float64]) -> None:
        """Draw the next normals into `out`, (n,)."""
        primitives.fill_normals(self.arrays(), out, make_workspace())


def make_workspace() -> NormalWorkspace:
    """Return memory in which normals are drawn."""
    return NormalWorkspace(
        tried=np.empty((5, NORMAL_PAIRS)),
        kept=np.empty(NORMAL_PAIRS + 1, dtype=np.int32),
        inside=np.empty(NORMAL_PAIRS, dtype=np.uint8),
        four=np.empty(4, dtype=np.uint32),
    )


@cache
def draws_normals(primitives: ModuleType) -> bool:
    """Return whether the primitives draw the normals that NumPy draws on this machine."""
    numpy = np.random.RandomState(1)
    own = NormalStream(primitives, numpy, np.ones(1, dtype=bool))
    out = np.empty(20_001)
    own.fill(primitives, out)
    return np.array_equal(out, numpy.normal(size=out.size))


@cache
def draws_uniforms(primitives: ModuleType) -> bool:
    """Return whether the primitives draw NumPy's uniform numbers on this machine."""
    numpy = np.random.RandomState(1)
    # An odd number of words is used, so that some pairs lie on both sides of a refill.
    numpy.randint(2**32, dtype=np.uint32)
    own, out, (low, high) = MT19937State(primitives, numpy), np.empty(5_001), (-0.3, 0.4)
    primitives.fill_uniforms(own.key, own.words, own.used, low, high - low, out)
    return np.array_equal(out, numpy.uniform(low, high, out.size))


@lru_cache(maxsize=16)
def _free(flags: bytes) -> NDArray[np.int64]:
    """Return from each position on how many pairs of numbers are not needed; see `primitives.fill_normals`.

    If one of the next two numbers is needed: minus the number of pairs until two are not.
    """
    needed = np.frombuffer(flags, dtype=np.bool_)
    period = len(needed)
    if needed.all():
        return np.full(period, -(2**30), dtype=np.int64)
    if not needed.any():
        return np.full(period, 2**30, dtype=np.int64)
    position = np.arange(period)
    wanted = np.flatnonzero(np.concatenate([needed, needed]))
    pairs = (wanted[np.searchsorted(wanted, position)] - position) // 2
    idle = np.flatnonzero(np.concatenate([pairs > 0, pairs > 0]))
    if not len(idle):
        return np.full(period, -(2**30), dtype=np.int64)
    until = (idle[np.searchsorted(idle, position)] - position + 1) // 2
    return np.where(pairs > 0, pairs, -until).astype(np.int64)
