"""What the compiled loops are called with: arrays by name, nested as the loops pass them on.

Numba reads the fields of a NamedTuple by name. `worker.engines.runtime` fills them. Sizes: `nodes` of the network,
`rows` for coupling variables times modes, `edges` of the network that are done at each step, `columns` of the delay
buffer. A row is a coupling variable in one mode.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

#: float32 where TVB keeps what nodes have sent, float64 where the coupling's `pre` has made float64 of it.
Sent = NDArray[Any]
#: The address of numbers of a kernel, which is indexed like an array: Numba's CPointer.
Pointer = Any


class PrecomputedSums(NamedTuple):
    """Chains of additions whose numbers were sent at least TIME_BLOCK - 1 steps ago; see `SummationPlan`."""

    #: (groups, 3) int64: how many chains follow each other, of how many earlier sums and of how many edges each.
    groups: NDArray[np.int64]
    #: (chains,) int32: where in `sums` each chain's sum goes.
    places: NDArray[np.int32]
    #: int32: where in `sums` the earlier sums lie that the chains take, one chain after the other.
    parts: NDArray[np.int32]
    #: int32: where in a row of the delay buffer the number of each edge lies, before the column of the step.
    offset: NDArray[np.int32]
    #: The weight of each of these edges.
    weight: Sent
    #: int32: where in `sums` the numbers of a line lie; empty where nothing is precomputed.
    line_parts: NDArray[np.int32]


class CurrentStepSums(NamedTuple):
    """Chains of additions that are done at each step; their numbers lie in a line, SIMD_WIDTH chains side by side."""

    #: (edges,) int64: the node that sent an edge's number, and how many steps ago.
    source: NDArray[np.int64]
    delay: NDArray[np.int64]
    #: (edges,)
    weight: Sent
    #: (edges,) int32: where in a line each number goes.
    places: NDArray[np.int32]
    #: (groups, 2) int64: how many numbers SIMD_WIDTH chains have, and how many copies are made until they are done.
    groups: NDArray[np.int64]
    #: (copies, 2) int32: where in a line a sum lies, and where it is a number of another chain.
    copies: NDArray[np.int32]
    #: (nodes,) int32: where in a line each target's sum lies.
    totals: NDArray[np.int32]
    #: Where in a line the chains' sums begin.
    first_sum: int


class EdgeTables(NamedTuple):
    """How the numbers of single edges are gathered, where the coupling's `pre` is done for each edge."""

    #: (edges,) int64: the target of each edge; SIMD_WIDTH edges that follow each other have one target.
    target: NDArray[np.int64]
    #: (edges,) int32: as in `PrecomputedSums`.
    offset: NDArray[np.int32]
    #: int64: edges whose delay is too short to be gathered for TIME_BLOCK steps at once; their sources and delays.
    recent: NDArray[np.int64]
    recent_source: NDArray[np.int64]
    recent_delay: NDArray[np.int64]


class DelayTables(NamedTuple):
    """How the delayed input of a step is summed."""

    precomputed: PrecomputedSums
    current: CurrentStepSums
    edges: EdgeTables
    #: (rows, size): precomputed sums, each of TIME_BLOCK steps.
    sums: Sent
    #: (rows, TIME_BLOCK, size): the numbers of a step's chains; one line for all steps where nothing is precomputed.
    lines: Sent


class EdgeWorkspace(NamedTuple):
    """Numbers of edges; of no edges where `pre` is done for the sources alone."""

    #: (rows, TIME_BLOCK, edges) what arrives at the steps of a block.
    gathered: Sent
    #: (rows, edges) what arrives at this step.
    delayed: Sent
    #: (rows, edges) float32: the targets' own states.
    present: NDArray[np.float32]
    #: (rows, edges) what `pre` makes of both.
    product: Sent


class NormalState(NamedTuple):
    """The state of a legacy RandomState that draws normals."""

    #: (MT19937_WORDS,) uint32: the state of MT19937.
    key: NDArray[np.uint32]
    #: (2 * MT19937_WORDS,) uint32: the words that it gives, and memory behind them.
    words: NDArray[np.uint32]
    #: (1,) int64: how many words were used.
    used: NDArray[np.int64]
    #: (2,) float64: whether a normal is left over, and the normal.
    spare: NDArray[np.float64]
    #: (period,) int64: how many pairs from a position (modulo the period) on are not needed: they are drawn and not
    #: written. If negative: how many are needed.
    free: NDArray[np.int64]


class NormalWorkspace(NamedTuple):
    """Where pairs of uniforms become pairs of normals."""

    #: (5, NORMAL_PAIRS) float64: the two coordinates of each point, its squared length, and two intermediate results.
    tried: NDArray[np.float64]
    #: (NORMAL_PAIRS + 1,) int32: the numbers of the points that are kept.
    kept: NDArray[np.int32]
    #: (NORMAL_PAIRS,) uint8: whether a point lies in the circle.
    inside: NDArray[np.uint8]
    #: (4,) uint32: words on both sides of a refill.
    four: NDArray[np.uint32]


class Network(NamedTuple):
    """What nodes have sent, and how it is summed."""

    #: (times, coupling variables, nodes x modes) float32: TVB's own history.
    history: NDArray[np.float32]
    #: (rows,) int64: which state variable, with its mode, each coupled row is.
    cvar: NDArray[np.int64]
    #: (rows, nodes + 1, columns): the delay buffer.
    window: Sent
    tables: DelayTables


class StepWorkspace(NamedTuple):
    """Memory of the loop over steps, for regions."""

    #: (rows, nodes) the delayed input of a step.
    total: Sent
    #: (TIME_BLOCK, rows, nodes) what was sent at the last steps.
    recent: Sent
    #: (TIME_BLOCK,) int64: where in `recent` each of these steps begins.
    recent_begin: NDArray[np.int64]
    #: (TIME_BLOCK, variables x modes, nodes) float64: normals of the steps of a block.
    normals: NDArray[np.float64]
    #: (1, variables x modes, nodes) float64: the normals of a step with several modes, in the kernel's order.
    by_mode: NDArray[np.float64]
    drawing: NormalWorkspace
    edges: EdgeWorkspace


class StepArrays(NamedTuple):
    """What a kernel reads and writes, for regions."""

    #: (2, variables x modes, nodes) float64: the states of an even and of an odd step.
    states: NDArray[np.float64]
    #: (steps or 1, variables x modes, nodes) float64: normals that NumPy has drawn.
    drawn: NDArray[np.float64]
    #: (2, variables x modes, nodes) float64: coloured noise, as `states`.
    coloured: NDArray[np.float64]
    #: (steps or 1, nodes) float64: the stimulus.
    stimulus: NDArray[np.float64]
    #: (steps or 1, coupling variables x modes, nodes) float64: what enters the nodes.
    afferents: NDArray[np.float64]
    #: (steps, variables of interest x modes, nodes) float64: what monitors see.
    observed: NDArray[np.float64]
    #: float64: numbers of the graph, one for all nodes.
    scalars: NDArray[np.float64]
    #: (fields, nodes) float64: numbers of the graph, one for each node.
    fields: NDArray[np.float64]
    #: int64: addresses of NumPy's inner loops.
    loops: NDArray[np.int64]
    #: float64 and float32: memory of the kernel's functions.
    work: NDArray[np.float64]
    work32: NDArray[np.float32]


class Neighbours(NamedTuple):
    """The matrix of local connections: SIMD_WIDTH vertices with about as many neighbours make a group."""

    #: (groups x SIMD_WIDTH,) the vertices, in the order of the groups; the last one fills up the last group.
    vertices: NDArray[Any]
    #: (groups + 1,) int64: in `columns`, whose blocks of SIMD_WIDTH have one neighbour of each vertex of a group.
    begins: NDArray[np.int64]
    #: int32 and float64: neighbours that every vertex of a group has, and their weights.
    columns: NDArray[np.int32]
    weights: NDArray[np.float64]
    #: (groups x SIMD_WIDTH + 1,) int64: in `rest_columns`, the neighbours that single vertices have beyond these.
    rests: NDArray[np.int64]
    rest_columns: NDArray[np.int32]
    rest_weights: NDArray[np.float64]


class SurfaceFunctions(NamedTuple):
    """A kernel's functions for a surface, and what is summed between them."""

    #: (2,) int64: addresses of the functions for edges, or 0, and for regions.
    others: NDArray[np.int64]
    #: int64: addresses of the stages for vertices, for any numbers.
    exact: NDArray[np.int64]
    #: (sums, 3) int64: after which stage, the row of the values, and the row for the sums over neighbours.
    sums: NDArray[np.int64]
    #: The same for numbers in the range of the quick form; empty where there is none.
    quick: NDArray[np.int64]
    quick_sums: NDArray[np.int64]


class Sheet(NamedTuple):
    """The vertices of a surface."""

    #: (vertices,) int64: the region of each.
    region: NDArray[np.int64]
    #: (regions,) float64: how many vertices belong there.
    sizes: NDArray[np.float64]
    neighbours: Neighbours


class SurfaceWorkspace(NamedTuple):
    """Memory of the loop over steps, for a surface; `wide` vertices make a tile."""

    #: As in `StepWorkspace`.
    total: Sent
    recent: Sent
    recent_begin: NDArray[np.int64]
    #: (tiles, variables x modes, wide) float64: the normals of a step.
    normals: NDArray[np.float64]
    #: float64: the same in the order of drawing.
    drawn: NDArray[np.float64]
    drawing: NormalWorkspace
    edges: EdgeWorkspace
    #: (tiles, rows, wide) the delayed input of a step, for each vertex.
    entering: Sent
    #: (rows, regions) means of the coupling variables: float64, and float32 as TVB's history keeps them.
    means: NDArray[np.float64]
    kept_means: NDArray[np.float32]
    #: (coupling variables x modes, wide) and (variables of interest x modes, wide) float64: of one tile.
    afferent: NDArray[np.float64]
    seen: NDArray[np.float64]


class SurfaceArrays(NamedTuple):
    """What a kernel reads and writes, for a surface: as `StepArrays`, in tiles."""

    #: (2, tiles, variables x modes, wide)
    states: NDArray[np.float64]
    #: (steps or 1, tiles, variables x modes, wide)
    drawn: NDArray[np.float64]
    #: (2, tiles, variables x modes, wide)
    coloured: NDArray[np.float64]
    #: (tiles, steps or 1, wide)
    stimulus: NDArray[np.float64]
    #: (steps or 1, coupling variables x modes, vertices)
    afferents: NDArray[np.float64]
    #: (steps, variables of interest x modes, vertices)
    observed: NDArray[np.float64]
    scalars: NDArray[np.float64]
    #: (tiles, fields, wide)
    fields: NDArray[np.float64]
    loops: NDArray[np.int64]
    #: (tiles, rows of memory, wide) float64 and float32: memory of the stages.
    work: NDArray[np.float64]
    work32: NDArray[np.float32]
    #: float64 and float32: memory of the functions for edges and regions.
    other_work: NDArray[np.float64]
    other_work32: NDArray[np.float32]
