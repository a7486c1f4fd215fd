"""Builds the exploration group that the GUI's viewers show. Imports no TVB."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID, uuid4

from tvb_batch.models.errors import SpecError
from tvb_batch.models.worker_protocol import BundlePoint
from tvb_batch.worker.h5.gui.ranges import range_json

#: Maximum number of points in the GUI's Discrete viewer.
MOST_POINTS = 512


@dataclass(frozen=True)
class Group:
    """The data that all operations of an exploration share."""

    axes: dict[str, list[float]]
    ranges: list[str]
    simulations: UUID = field(default_factory=uuid4)
    metrics: UUID = field(default_factory=uuid4)

    def attributes(self, point: BundlePoint, gid: UUID) -> dict[str, object]:
        """Return the attributes of the operation at a point."""
        place = {name: float(point.swept[name]) for name in self.axes}
        return {"operation_group_gid": gid, "ranges": self.ranges, "range_values": place}


def group_of(points: Sequence[BundlePoint]) -> Group:
    """Return the exploration of the points, after checking that the GUI can show it."""
    names = list(points[0].swept)
    if not 1 <= len(names) <= 2:
        hint = "fix the others, one bundle for each of their values"
        raise SpecError("swept", f"{len(names)} parameters", "1 or 2, as many as the GUI's viewers have axes", hint)
    if len(points) > MOST_POINTS:
        hint = "leave some out, or make a bundle for each value of one parameter"
        raise SpecError("points", str(len(points)), f"at most {MOST_POINTS}, as many as the GUI shows", hint)
    if not points[0].metrics:
        raise SpecError("metrics", "none", "at least one, the same in each point: without them the viewers are empty")
    places: set[tuple[float, ...]] = set()
    for point in points:
        if set(point.swept) != set(names):
            raise SpecError(point.name, f"swept {', '.join(point.swept) or 'nothing'}", ", ".join(names))
        if set(point.metrics) != set(points[0].metrics):
            found = f"metrics {', '.join(point.metrics) or 'none'}"
            raise SpecError(point.name, found, f"{', '.join(points[0].metrics)}, as the first point has")
        place = tuple(float(point.swept[name]) for name in names)
        if not all(map(math.isfinite, place)):
            raise SpecError(point.name, f"swept to {place}", "finite numbers")
        if place in places:
            where = ", ".join(f"{name}={value:g}" for name, value in zip(names, place, strict=True))
            raise SpecError(point.name, f"a second point at {where}", "one point at each place")
        places.add(place)
    axes = {name: [float(point.swept[name]) for point in points] for name in names}
    return Group(axes, [range_json(name, values) for name, values in axes.items()])
