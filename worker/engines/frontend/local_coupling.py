"""A cortical surface: the region of each vertex, and the sum over its neighbours.

TVB multiplies a sparse matrix with a state variable inside of its `dfun`; here that is an inner loop like NumPy's,
which adds a vertex's neighbours in SciPy's order. Made by `worker.engines.runtime.program`, called by kernels.
"""

from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tvb_batch.worker.engines.graph import Graph, Op, UntraceableError
from tvb_batch.worker.engines.primitives.arguments import Neighbours
from tvb_batch.worker.engines.primitives.sizes import SIMD_WIDTH
from tvb_batch.worker.engines.tracing.tracers import NodeTracer, StackTracer
from tvb_batch.worker.engines.tracing.ufuncs import cast


class LocalCouplingTracer:
    """A tracer in place of TVB's sparse matrix of local connections."""

    # NumPy must not take it for a number.
    __array_ufunc__ = None

    def __init__(self, graph: Graph, nodes: int) -> None:
        self._graph, self._nodes = graph, nodes

    def __mul__(self, values: Any) -> Any:
        """Multiply the matrix by values, (nodes,) or (nodes, modes)."""
        if isinstance(values, StackTracer) and values.shape[:-1] == (self._nodes,) and values.axis == 1:
            return StackTracer([self * item for item in values.items], axis=1)
        if not isinstance(values, NodeTracer) or values.shape not in ((self._nodes,), (self._nodes, 1)):
            raise UntraceableError("a local coupling of something else than a state variable")
        ref = cast(self._graph, values.ref, "d")
        return NodeTracer(self._graph, self._graph.apply(Op.LOCAL_SUM, [ref], "d")[0], values.shape)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise UntraceableError(f"{name!r} of the local coupling")


@dataclass(frozen=True)
class Surface:
    """The vertices of a simulator, as kernels see them."""

    #: (nodes,) where each belongs
    region: NDArray[np.int64]
    #: (regions,) how many belong there
    sizes: NDArray[np.float64]
    neighbours: Neighbours
    #: Tells surfaces apart.
    digest: bytes


def make_surface(simulator: Any) -> Surface | None:
    """Return the surface of a configured simulator, or None where it has none.

    Raises
    ------
    UntraceableError
        There is no order in which its sums could be made.
    """
    if simulator.surface is None:
        return None
    region = np.ascontiguousarray(simulator.surface.region_mapping, dtype=np.int64)
    sizes = np.bincount(region).astype(np.float64)
    if (
        len(region) <= simulator.connectivity.number_of_regions
        or len(sizes) != simulator.connectivity.number_of_regions
    ):
        # TVB takes the vertices for regions, or fails.
        raise UntraceableError("a surface of as few vertices as regions")
    neighbours = _group(simulator._prepare_local_coupling(), len(region))
    digest = sha256(b"".join(array.tobytes() for array in (region, *neighbours))).digest()
    return Surface(region, sizes, neighbours, digest)


def _group(matrix: Any, nodes: int) -> Neighbours:
    """Return the matrix in groups of vertices with about as many neighbours, whose sums do not wait for each other.

    Raises
    ------
    UntraceableError
        The matrix is not square or not of float64.
    """
    entries = matrix.tocoo()
    if entries.shape != (nodes, nodes) or entries.data.dtype != np.float64:
        raise UntraceableError("a local coupling that is no square matrix of float64")
    # SciPy's products of all formats go through a row in the order of the entries.
    order = np.argsort(entries.row, kind="stable")
    columns, weights = entries.col[order].astype(np.int32), entries.data[order]
    first = np.searchsorted(entries.row[order], np.arange(nodes + 1)).astype(np.int64)
    counts = np.diff(first)
    vertices = np.argsort(counts, kind="stable")
    vertices = np.concatenate([vertices, np.repeat(vertices[-1:], -nodes % SIMD_WIDTH)])
    common = counts[vertices].reshape(-1, SIMD_WIDTH)[:, 0]
    begins = np.concatenate([[0], np.cumsum(common)])
    within = np.arange(begins[-1]) - np.repeat(begins[:-1], common)
    together = (np.repeat(first[vertices].reshape(-1, SIMD_WIDTH), common, axis=0) + within[:, np.newaxis]).ravel()
    left = counts[vertices] - np.repeat(common, SIMD_WIDTH)
    rests = np.concatenate([[0], np.cumsum(left)])
    start = first[vertices] + np.repeat(common, SIMD_WIDTH)
    alone = np.arange(rests[-1]) - np.repeat(rests[:-1] - start, left)
    return Neighbours(
        vertices=vertices.astype(np.int64),
        begins=begins.astype(np.int64),
        columns=columns[together],
        weights=weights[together],
        rests=rests.astype(np.int64),
        rest_columns=columns[alone],
        rest_weights=weights[alone],
    )
