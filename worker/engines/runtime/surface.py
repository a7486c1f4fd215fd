"""A simulator of a cortical surface on its way through a program. Used by `worker.engines.compiled`.

A step has stages: what a vertex needs of its neighbours must have been made for all of them. Within a stage, vertices
are done a tile at a time, and a tile has all its numbers together, so that they stay in the processor's cache.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tvb_batch.worker.engines.codegen.kernel_source import SurfaceKernelSource
from tvb_batch.worker.engines.runtime.program import Run
from tvb_batch.worker.engines.runtime.random_state import make_room

#: Vertices of a tile; rows that lie a multiple of 4096 bytes apart would fight for the same places of the cache.
TILE = 264


class SurfaceRun(Run):
    """The state of all vertices in tiles; samples are as in any run."""

    def _prepare(self) -> None:
        program, source = self._program, self._program.source
        sheet = program.sheet
        assert sheet is not None
        assert isinstance(source, SurfaceKernelSource)
        tiles = self._states.shape[1]
        wide, wide32 = (max(rooms, 1) for rooms in source.workspace)
        size = max(len(sheet.sizes), self._past.edges)
        self._work = np.zeros((tiles, wide, TILE)), np.zeros((tiles, wide32, TILE), dtype=np.float32)
        self._other_work = (
            np.empty(source.edge_workspace[0] * size),
            np.empty(source.edge_workspace[1] * size, dtype=np.float32),
        )
        self._fields = self._lay(program.numbers.fields)
        vertices, begins, columns, weights, rests, rest_columns, rest_weights = sheet.groups

        def place(vertex: NDArray[Any]) -> NDArray[np.int32]:
            """Where a vertex's number lies, from the first vertex's number of a row on."""
            return np.asarray(vertex // TILE * (wide * TILE) + vertex % TILE, dtype=np.int32)

        neighbours = (begins, place(columns), weights, rests, place(rest_columns), rest_weights, place(vertices))
        others, exact, quick = np.split(self._functions, [2, 2 + len(source.sums)])
        self._sheet = (
            *(others, exact, _table(source.sums), quick, _table(source.quick_sums)),
            *(sheet.region, sheet.sizes, neighbours),
        )

        normals, random = np.zeros(self._states.shape[1:]), np.zeros(self._simulator.current_state.size)
        regions, coupled = len(sheet.sizes), len(self._cvar)
        total, recent, steps = self._past.rooms()
        entering = np.zeros((tiles, len(total), TILE), dtype=total.dtype)
        means = np.zeros((coupled, regions)), np.zeros((coupled, regions), dtype=np.float32)
        made = np.zeros((self._afferents.shape[1], TILE)), np.zeros((self._observed.shape[1], TILE))
        self._rooms = (
            *(total, recent, steps, normals, random, make_room(), self._past.rooms_of_edges(), entering, means, made),
        )

    def _lay(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """(rows, nodes) as (tiles, rows, TILE); the last vertex fills up the last tile."""
        tiles = -(-rows.shape[1] // TILE)
        whole = np.pad(rows, ((0, 0), (0, tiles * TILE - rows.shape[1])), mode="edge")
        return np.ascontiguousarray(whole.reshape(-1, tiles, TILE).transpose(1, 0, 2))

    def _take_up(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        flat = rows.transpose(1, 0, 2).reshape(rows.shape[1], -1)
        return np.ascontiguousarray(flat[:, : self._simulator.number_of_nodes])

    def _do(self, n: int, pulses: NDArray[np.float64]) -> None:
        program = self._program
        program.kernel.primitives.run_surface(
            *(n, self._step + 1, self._past.column, self._modes, self._noise is not None and program.draws),
            *(self._history, self._cvar, self._past.window, self._past.tables),
            *(self._normals.twister(), self._rooms, self._sheet),
            (
                *(self._states, self._draw(n), self._colours, self._lay(pulses)),
                *(self._afferents, self._observed, program.numbers.scalars, self._fields, program.trace.loops),
                *(self._work, self._other_work),
            ),
        )


def _table(sums: Any) -> NDArray[np.int64]:
    """Sums as rows of a table: after which stage, the row of the values and that of the sums."""
    rows = [(stage, values, out) for stage, found in enumerate(sums) for values, out in found]
    return np.array(rows, dtype=np.int64).reshape(-1, 3)
