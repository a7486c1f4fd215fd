"""The rows of memory in which a kernel's function keeps numbers from one phase to the next.

Called by `worker.engines.codegen.emit`.
"""

from typing import NamedTuple

from tvb_batch.worker.engines.graph import Ref
from tvb_batch.worker.engines.primitives.sizes import FLOAT32_BYTES, FLOAT64_BYTES

#: Arrays to work in, and the bytes of a number: float64 and float32.
WORK, WORK32 = "work", "work32"
ITEM_BYTES = {WORK: FLOAT64_BYTES, WORK32: FLOAT32_BYTES}


class ArrayRow(NamedTuple):
    """A row of an array, with a number for each node."""

    #: The array's name in the kernel.
    array: str
    row: int


class Store(NamedTuple):
    """A number of each node that is put into a row."""

    place: ArrayRow
    #: The number's name in the graph.
    name: str


class Workspace(NamedTuple):
    """How many rows a function works in."""

    #: Rows of float64.
    work: int
    #: Rows of float32.
    work32: int


class RowAllocator:
    """Gives rows to numbers, and takes them back."""

    def __init__(self) -> None:
        self._rows: dict[str, ArrayRow] = {}
        self._free: dict[str, list[int]] = {WORK: [], WORK32: []}
        self._count = {WORK: 0, WORK32: 0}
        self._scopes: dict[ArrayRow, int] = {}

    @property
    def size(self) -> Workspace:
        """Return the numbers of rows that were ever in use."""
        return Workspace(self._count[WORK], self._count[WORK32])

    def __contains__(self, name: str) -> bool:
        return name in self._rows

    def get(self, name: str) -> ArrayRow | None:
        """Return the row of a number that has one."""
        return self._rows.get(name)

    def row(self, ref: Ref) -> ArrayRow:
        """Return the row of a number; it gets one where it has none."""
        if ref.name not in self._rows:
            array = WORK32 if ref.dtype == "f" else WORK
            row = self._free[array].pop() if self._free[array] else self.reserve(array, 1)
            self.place(ref.name, ArrayRow(array, row))
        return self._rows[ref.name]

    def place(self, name: str, row: ArrayRow) -> None:
        """Give a reserved row to a number."""
        self._rows[name] = row
        self.scope(row)

    def reserve(self, array: str, rows: int) -> int:
        """Return the first of some new rows that are used for nothing else."""
        self._count[array] += rows
        return self._count[array] - rows

    def release(self, kept: set[str]) -> None:
        """Take back the rows of all numbers but these."""
        for name in [name for name in self._rows if name not in kept]:
            array, row = self._rows.pop(name)
            self._free[array].append(row)

    def scope(self, row: ArrayRow) -> int:
        """Return the number that tells LLVM that a row overlaps no other one, see `primitives.memory.get`."""
        return self._scopes.setdefault(row, len(self._scopes) + 1)

    def known_scope(self, row: ArrayRow) -> int:
        """Return the same for a row that may have none: 0 then."""
        return self._scopes.get(row, 0)

    @property
    def scopes(self) -> int:
        """Return the number of scopes, 0 included."""
        return len(self._scopes) + 1
