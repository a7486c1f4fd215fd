"""Cuts a surface into slices that a browser can draw.

WebGL draws with 16-bit indices, so the GUI needs triangles that count from the first vertex of their slice. The result
was compared with `tvb.adapters.datatypes.h5.surface_h5.SurfaceH5.prepare_slices` of tvb-framework 2.10.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Vertices from the start of a slice to the start of the next.
STEP = 40_000
#: Overlap of two slices in vertices, so that few triangles are in none.
OVERLAP = 15_000


def slice_surface(
    triangles: NDArray[np.int64], vertices: int, right: int | None
) -> tuple[dict[int, dict[str, Any]], NDArray[np.int64]]:
    """Return the slices as the GUI describes them, and the triangles of all slices in order.

    Parameters
    ----------
    triangles : (n, 3) int, indices of vertices
    vertices : number of vertices
    right : number of vertices of the right hemisphere, which are the last ones; None if the surface has no halves

    Returns
    -------
    slices : by their number: its triangles, its vertices, and LEFT, RIGHT or NONE
    triangles : (m, 3) int64, counted from each slice's first vertex; empty if one slice is the whole surface

    Notes
    -----
    As in TVB, a triangle belongs to the first slice with its three vertices, and to none if there is no such slice.
    """
    if right is None and vertices <= STEP + OVERLAP:
        whole = {"triangles": _range(0, len(triangles)), "vertices": _range(0, vertices), "hemisphere": "NONE"}
        return {0: whole}, np.empty(0, np.int64)
    left = vertices - (right or 0)
    parts = _parts(0, vertices, "NONE") if right is None else _parts(0, left, "LEFT") + _parts(left, vertices, "RIGHT")
    lowest, highest = triangles.min(axis=1), triangles.max(axis=1)
    free = np.ones(len(triangles), bool)
    slices: dict[int, dict[str, Any]] = {}
    chosen, done = [], 0
    for number, (first, end, hemisphere) in enumerate(parts):
        fits = free & (lowest >= first) & (highest < end)
        free &= ~fits
        chosen.append(triangles[fits] - first)
        slices[number] = {
            "vertices": _range(first, end),
            "hemisphere": hemisphere,
            "triangles": _range(done, done + len(chosen[-1])),
        }
        done += len(chosen[-1])
    return slices, np.concatenate(chosen).astype(np.int64)


def _parts(first: int, end: int, hemisphere: str) -> list[tuple[int, int, str]]:
    """Return (first vertex, end, hemisphere) of each slice."""
    count, rest = divmod(end - first, STEP)
    if rest > OVERLAP or (not count and rest):
        count += 1
    starts = [first + number * STEP for number in range(count)]
    return [(start, min(end, start + STEP + OVERLAP), hemisphere) for start in starts]


def _range(start: int, end: int) -> dict[str, int]:
    return {"start_idx": start, "end_idx": end}
