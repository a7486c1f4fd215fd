"""A simulator of a cortical surface that a program runs. Used by `worker.engines.compiled`.

A step has stages: what a vertex needs of its neighbours must have been made for all of them. Within a stage, vertices
are done a tile at a time, and a tile has all its numbers together, so that they stay in the processor's cache.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tvb_batch.worker.engines.codegen.kernel_source import SurfaceKernelSource
from tvb_batch.worker.engines.primitives.arguments import (
    Sheet,
    SurfaceArrays,
    SurfaceFunctions,
    SurfaceWorkspace,
)
from tvb_batch.worker.engines.primitives.sizes import TIME_BLOCK
from tvb_batch.worker.engines.runtime.program import Run, Work
from tvb_batch.worker.engines.runtime.random_state import make_workspace

#: Vertices of a tile; rows that lie a multiple of 4096 bytes apart would fight for the same places of the cache.
TILE = 264


class SurfaceRun(Run):
    """The state of all vertices in tiles; samples are as in any run."""

    def _prepare(self) -> None:
        program, source = self._program, self._program.source
        surface = program.surface
        assert surface is not None
        assert isinstance(source, SurfaceKernelSource)
        tiles = self._states.shape[1]
        wide, wide32 = (max(rows, 1) for rows in source.workspace)
        size = max(len(surface.sizes), self._buffer.edges)
        self._work = Work(np.zeros((tiles, wide, TILE)), np.zeros((tiles, wide32, TILE), dtype=np.float32))
        self._other_work = Work(
            np.empty(source.edge_workspace[0] * size),
            np.empty(source.edge_workspace[1] * size, dtype=np.float32),
        )
        self._fields = self._lay(program.numbers.fields)

        def place(vertex: NDArray[Any]) -> NDArray[np.int32]:
            """Return where a vertex's number lies, counted from the first vertex's number of a row."""
            return np.asarray(vertex // TILE * (wide * TILE) + vertex % TILE, dtype=np.int32)

        neighbours = surface.neighbours._replace(
            vertices=place(surface.neighbours.vertices),
            columns=place(surface.neighbours.columns),
            rest_columns=place(surface.neighbours.rest_columns),
        )
        self._sheet = Sheet(surface.region, surface.sizes, neighbours)
        others, exact, quick = np.split(self._functions, [2, 2 + len(source.sums)])
        self._kernel_functions = SurfaceFunctions(others, exact, _table(source.sums), quick, _table(source.quick_sums))
        means = (len(self._network.cvar), len(surface.sizes))
        total, recent = self._buffer.make_total(), self._buffer.make_recent()
        self._tiles = SurfaceWorkspace(
            total=total,
            recent=recent,
            recent_begin=np.arange(TIME_BLOCK) * recent[0].size,
            normals=np.zeros(self._states.shape[1:]),
            drawn=np.zeros(self._simulator.current_state.size),
            drawing=make_workspace(),
            edges=self._buffer.make_edge_workspace(),
            entering=np.zeros((tiles, len(total), TILE), dtype=total.dtype),
            means=np.zeros(means),
            kept_means=np.zeros(means, dtype=np.float32),
            afferent=np.zeros((self._afferents.shape[1], TILE)),
            seen=np.zeros((self._observed.shape[1], TILE)),
        )

    def _lay(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (rows, nodes) as (tiles, rows, TILE); the last vertex fills up the last tile."""
        tiles = -(-rows.shape[1] // TILE)
        whole = np.pad(rows, ((0, 0), (0, tiles * TILE - rows.shape[1])), mode="edge")
        return np.ascontiguousarray(whole.reshape(-1, tiles, TILE).transpose(1, 0, 2))

    def _take_up(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        flat = rows.transpose(1, 0, 2).reshape(rows.shape[1], -1)
        return np.ascontiguousarray(flat[:, : self._simulator.number_of_nodes])

    def _do(self, n: int, stimulus: NDArray[np.float64]) -> None:
        program = self._program
        program.kernel.primitives.run_surface(
            *(n, self._step + 1, self._buffer.column, self._modes, self._noise is not None and program.draws),
            *(self._kernel_functions, self._sheet, self._network, self._normals.arrays(), self._tiles),
            SurfaceArrays(
                states=self._states,
                drawn=self._draw(n),
                coloured=self._coloured,
                stimulus=self._lay(stimulus),
                afferents=self._afferents,
                observed=self._observed,
                scalars=program.numbers.scalars,
                fields=self._fields,
                loops=program.trace.loops,
                work=self._work.work,
                work32=self._work.work32,
                other_work=self._other_work.work,
                other_work32=self._other_work.work32,
            ),
        )


def _table(sums: Any) -> NDArray[np.int64]:
    """Return sums as rows of a table: after which stage, the row of the values and that of the sums."""
    rows = [(stage, values, out) for stage, found in enumerate(sums) for values, out in found]
    return np.array(rows, dtype=np.int64).reshape(-1, 3)
