"""The state of TVB's noise outside of NumPy, where a kernel draws from it. Called by `worker.engines.program`."""

from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray


class NormalStream:
    """A RandomState's Mersenne Twister, taken out for a while and put back where the kernel left it."""

    def __init__(self, primitives: ModuleType, stream: Any, needed: NDArray[np.bool_]) -> None:
        """Take out the state of `stream`; of the normals of a step only those that are `needed` must be written."""
        name, key, used, has_spare, spare = stream.get_state()
        assert name == "MT19937"
        self.key, self.words = key.copy(), np.empty(624, dtype=np.uint32)
        primitives.temper(self.key, self.words)
        self.used = np.array([used], dtype=np.int64)
        self.spare = np.array([float(has_spare), spare])
        self.free = _free(needed)

    def put_back(self, stream: Any) -> None:
        """`stream` goes on where the kernel ended."""
        stream.set_state(("MT19937", self.key, int(self.used[0]), int(self.spare[0]), float(self.spare[1])))


def _free(needed: NDArray[np.bool_]) -> NDArray[np.int64]:
    """How many pairs of numbers from each position on nobody needs; see `primitives.fill_normals`."""
    period = len(needed)
    if needed.all():
        return np.zeros(period, dtype=np.int64)
    if not needed.any():
        return np.full(period, 2**30, dtype=np.int64)
    wanted = np.flatnonzero(np.concatenate([needed, needed]))
    position = np.arange(period)
    distance = wanted[np.searchsorted(wanted, position)] - position
    return (distance // 2).astype(np.int64)
