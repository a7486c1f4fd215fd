"""Plots one sweep: a metric as a line over one swept parameter, or as a heat map over two. Imports matplotlib."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from tvb_batch.models.catalogue import JobValue
from tvb_batch.models.errors import NotFoundError, did_you_mean
from tvb_batch.submit.present.formatting import number
from tvb_batch.submit.present.plots import Picture

#: Minimum part of a grid for a heat map; otherwise dots are drawn.
FILLED = 0.5
#: Maximum number of tick labels of an axis.
MOST_TICKS = 12
#: Maximum characters of tick labels side by side below a plot.
LETTERS = 80

Array = NDArray[np.float64]


@dataclass(frozen=True)
class _Axis:
    """A swept parameter as an axis: numbers, or else positions with names."""

    name: str
    values: Sequence[Any]

    @property
    def is_numeric(self) -> bool:
        return all(isinstance(value, int | float) and not isinstance(value, bool) for value in self.values)

    @property
    def places(self) -> Array:
        return np.array(self.values, dtype=np.float64) if self.is_numeric else np.arange(len(self.values), dtype=float)

    def label(self, axes: Axes, which: str, *, is_plane: bool = False) -> None:
        axes.set(**{f"{which}label": self.name})
        if not self.is_numeric or (is_plane and len(self.values) <= MOST_TICKS):
            names = [f"{value:.3g}" if self.is_numeric else number(value) for value in self.values]
            axes.set(**{f"{which}ticks": self.places, f"{which}ticklabels": names})
            if which == "x" and sum(map(len, names)) > LETTERS:
                axes.tick_params("x", rotation=30)


def draw_sweep(points: Sequence[JobValue], metric: str, over: Sequence[str] | None, title: str) -> Picture:
    """Plot a metric over one swept parameter as a line, or over two as a heat map.

    Parameters
    ----------
    over : one or two swept parameters; None for the first that vary. All others and repeats are averaged

    Raises
    ------
    NotFoundError
        One of `over` does not vary.
    """
    axes_of = {name: axis for name in _swept(points) if len((axis := _axis(points, name)).values) > 1}
    chosen = list(over or axes_of)[:2]
    for name in chosen:
        if name not in axes_of:
            hint = did_you_mean(name, axes_of) or "its jobs differ only in the seed"
            raise NotFoundError(f"{name}: the sweep does not vary it; {hint}")
    picture = Picture(figsize=(8, 5.5), layout="constrained")
    axes = picture.subplots()
    if len(chosen) == 2:
        _draw_plane(axes, points, axes_of[chosen[0]], axes_of[chosen[1]], metric)
    else:
        _draw_line(axes, points, axes_of[chosen[0]] if chosen else None, metric)
    others = [name for name in axes_of if name not in chosen]
    absent = sum(point.value is None for point in points)
    remarks = [f"mean over {', '.join(others)}"] if others else []
    remarks += [f"{absent:,} of {len(points):,} jobs have no value"] if absent else []
    axes.set_title("\n".join([title, *remarks]), fontsize="medium")
    return picture


def _swept(points: Sequence[JobValue]) -> list[str]:
    return list(dict.fromkeys(name for point in points for name in point.parameters))


def _axis(points: Sequence[JobValue], name: str) -> _Axis:
    values = {_key(point.parameters.get(name)): _single(point.parameters.get(name)) for point in points}
    axis = _Axis(name, list(values.values()))
    return _Axis(name, sorted(axis.values)) if axis.is_numeric else axis


def _single(value: Any) -> Any:
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _key(value: Any) -> Any:
    value = _single(value)
    return value if isinstance(value, int | float) else number(value)


def _draw_line(axes: Axes, points: Sequence[JobValue], axis: _Axis | None, metric: str) -> None:
    found = [point for point in points if point.value is not None]
    values = np.array([point.value for point in found])
    if axis is None:
        axes.plot([point.number for point in found], values, "o")
        axes.set(xlabel="job", ylabel=metric)
        return
    place = {_key(value): where for value, where in zip(axis.values, axis.places, strict=True)}
    where = np.array([place[_key(point.parameters.get(axis.name))] for point in found])
    marks, which = np.unique(where, return_inverse=True)
    means = np.bincount(which, weights=values) / np.bincount(which)
    if len(found) > len(marks):
        axes.plot(where, values, ".", color="C0", alpha=0.3, label="jobs")
        axes.plot(marks, means, "-", color="C0", label="mean")
        axes.legend(frameon=False)
    else:
        axes.plot(marks, means, "o-" if len(marks) <= 60 else "-")
    axis.label(axes, "x")
    axes.set(ylabel=metric)


def _draw_plane(axes: Axes, points: Sequence[JobValue], first: _Axis, second: _Axis, metric: str) -> None:
    columns = {_key(value): index for index, value in enumerate(first.values)}
    rows = {_key(value): index for index, value in enumerate(second.values)}
    total, count = np.zeros((len(rows), len(columns))), np.zeros((len(rows), len(columns)))
    wanted = np.zeros_like(count, dtype=bool)
    for point in points:
        place = rows[_key(point.parameters.get(second.name))], columns[_key(point.parameters.get(first.name))]
        wanted[place] = True
        if point.value is not None:
            total[place] += point.value
            count[place] += 1
    means = np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)
    if wanted.mean() >= FILLED:
        axes.set_facecolor("lightgray")
        image: Any = axes.pcolormesh(first.places, second.places, means, shading="nearest", cmap="viridis")
    else:
        row, column = np.nonzero(count)
        image = axes.scatter(first.places[column], second.places[row], c=means[row, column], cmap="viridis", s=18)
    axes.figure.colorbar(image, ax=axes, label=metric)
    first.label(axes, "x", is_plane=True)
    second.label(axes, "y", is_plane=True)
