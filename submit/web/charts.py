"""Charts as SVG: time series, heat maps, lines and parallel coordinates.

The style sheet sets the colours of lines, for light and dark mode. The marks have the colours of values.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from tvb_batch.submit.web.decimation import Envelope

WIDTH, HEIGHT = 840, 320
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 12, 44

#: Anchors of the viridis colour map: even in lightness, and for the colour-blind.
_VIRIDIS = np.array(
    [
        (68, 1, 84), (72, 40, 120), (62, 74, 137), (49, 104, 142), (38, 130, 142), (31, 158, 137), (53, 183, 121),
        (110, 206, 88), (181, 222, 43), (253, 231, 37),
    ]
)  # fmt: skip


@dataclass(frozen=True)
class Mark:
    """The position of a job in a sweep."""

    #: The page that a click opens.
    href: str
    #: Its tooltip.
    label: str
    #: Its swept values, in the order of the axes.
    place: tuple[float, ...]
    #: The value for the colour; NaN if there is none.
    value: float


def colour(value: float, low: float, high: float) -> str:
    """Return the colour of a value between `low` and `high`; grey for NaN."""
    if not math.isfinite(value):
        return "#9a9a9a"
    share = 0.5 if high <= low else min(1.0, max(0.0, (value - low) / (high - low)))
    at = share * (len(_VIRIDIS) - 1)
    near = min(int(at), len(_VIRIDIS) - 2)
    mixed = _VIRIDIS[near] + (at - near) * (_VIRIDIS[near + 1] - _VIRIDIS[near])
    return "#{:02x}{:02x}{:02x}".format(*(round(part) for part in mixed))


def ticks(low: float, high: float, wanted: int = 6) -> list[float]:
    """Return round numbers from `low` to `high`."""
    if not (math.isfinite(low) and math.isfinite(high)) or high <= low:
        return [low] if math.isfinite(low) else []
    rough = (high - low) / wanted
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * nice for nice in (1, 2, 5, 10) if power * nice >= rough)
    first = math.ceil(low / step)
    return [number * step for number in range(first, math.floor(high / step) + 1)]


# ----------------------------------------------------------------------------------------------------- time series


def series_svg(found: Envelope, names: Sequence[str], title: str, variable: str, transient: float = 0.0) -> str:
    """Draw a time series, one line for each node, with the range of each pixel as a stroke.

    Parameters
    ----------
    transient : the part that metrics leave out, ms; a dotted line marks its end, if it is in the window
    """
    low, high = _extent(np.concatenate([found.low.ravel(), found.high.ravel()]))
    first, last = float(found.times[0]), float(found.times[-1])
    x, y = _scale(first, last, LEFT, WIDTH - RIGHT), _scale(low, high, HEIGHT - BOTTOM, TOP)
    lines = []
    for node, name in enumerate(names):
        steps: list[str] = []
        pen = "M"
        for time, least, most in zip(found.times, found.low[:, node], found.high[:, node], strict=True):
            if math.isnan(least):
                pen = "M"  # A gap: the simulation diverged.
                continue
            steps.append(f"{pen}{x(float(time)):.1f} {y(float(least)):.1f}")
            pen = "L"
            if most > least:
                steps.append(f"L{x(float(time)):.1f} {y(float(most)):.1f}")
        lines.append(f'<path class="line c{node % 8}" d="{"".join(steps)}"><title>{escape(name)}</title></path>')
    end = (
        f'<path class="transient" d="M{x(transient):.1f} {TOP}V{HEIGHT - BOTTOM}"/>' if first < transient < last else ""
    )
    body = "".join((*_axes(x, y, (first, last), (low, high), "time (ms)", variable), *lines, end))
    attributes = f'data-start="{first}" data-stop="{last}" data-left="{LEFT}" data-right="{WIDTH - RIGHT}"'
    return _svg(body, f"{title}: {', '.join(names)}, {first:g} to {last:g} ms", attributes, "series")


# ---------------------------------------------------------------------------------------------------------- sweeps


def sweep_svg(marks: Sequence[Mark], axes: Sequence[str], coloured_by: str) -> str:
    """Draw jobs over swept parameters: a curve for one, a map for two, parallel coordinates for more."""
    draw: Callable[[Sequence[Mark], Sequence[str], str], str] = {1: _curve, 2: _map}.get(len(axes), _parallel)
    return draw(marks, axes, coloured_by)


def _curve(marks: Sequence[Mark], axes: Sequence[str], coloured_by: str) -> str:
    places, values = [mark.place[0] for mark in marks], [mark.value for mark in marks]
    horizontal, vertical = _extent(np.array(places)), _extent(np.array(values))
    x, y = _scale(*horizontal, LEFT, WIDTH - RIGHT), _scale(*vertical, HEIGHT - BOTTOM, TOP)
    shown = [mark for mark in sorted(marks, key=lambda mark: mark.place) if math.isfinite(mark.value)]
    line = "M" + "L".join(f"{x(mark.place[0]):.1f} {y(mark.value):.1f}" for mark in shown) if shown else ""
    dots = [
        _link(mark, f'<circle class="dot c0" cx="{x(mark.place[0]):.1f}" cy="{y(mark.value):.1f}" r="5"/>')
        for mark in shown
    ]
    parts = (*_axes(x, y, horizontal, vertical, axes[0], coloured_by), f'<path class="line c0" d="{line}"/>', *dots)
    return _svg("".join(parts), f"{coloured_by} over {axes[0]}, {len(shown)} jobs")


def _map(marks: Sequence[Mark], axes: Sequence[str], coloured_by: str) -> str:
    columns, rows = ({value: at for at, value in enumerate(sorted({mark.place[k] for mark in marks}))} for k in (0, 1))
    low, high = _extent(np.array([mark.value for mark in marks]), margin=0.0)
    is_grid = len(columns) * len(rows) <= 4 * len(marks)
    right = WIDTH - RIGHT - 104
    if not is_grid:
        return _scatter(marks, axes, coloured_by, right)
    wide, tall = (right - LEFT) / len(columns), (HEIGHT - BOTTOM - TOP) / len(rows)
    cells = []
    for mark in marks:
        left, top = LEFT + columns[mark.place[0]] * wide, HEIGHT - BOTTOM - (rows[mark.place[1]] + 1) * tall
        shape = f'<rect class="cell" x="{left:.1f}" y="{top:.1f}" width="{wide:.1f}" height="{tall:.1f}"'
        cells.append(_link(mark, f'{shape} fill="{colour(mark.value, low, high)}"/>'))
    names = [
        f'<text x="{LEFT + (at + 0.5) * wide:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{value:g}</text>'
        for value, at in _some(columns)
    ]
    names += [
        f'<text x="{LEFT - 6}" y="{HEIGHT - BOTTOM - (at + 0.5) * tall + 4:.1f}" text-anchor="end">{value:g}</text>'
        for value, at in _some(rows)
    ]
    parts = (*cells, *names, *_titles(axes[0], axes[1], right), _legend(low, high, coloured_by))
    return _svg("".join(parts), f"{coloured_by} over {axes[0]} and {axes[1]}, {len(marks)} jobs")


def _scatter(marks: Sequence[Mark], axes: Sequence[str], coloured_by: str, right: float) -> str:
    low, high = _extent(np.array([mark.value for mark in marks]), margin=0.0)
    horizontal, vertical = (_extent(np.array([mark.place[k] for mark in marks])) for k in (0, 1))
    x, y = _scale(*horizontal, LEFT, right), _scale(*vertical, HEIGHT - BOTTOM, TOP)
    dots = [
        _link(
            mark,
            f'<circle class="dot" cx="{x(mark.place[0]):.1f}" cy="{y(mark.place[1]):.1f}" r="5" '
            f'fill="{colour(mark.value, low, high)}"/>',
        )
        for mark in marks
    ]
    frame = _axes(x, y, horizontal, vertical, axes[0], axes[1])
    return _svg(
        "".join((*frame, *dots, _legend(low, high, coloured_by))),
        f"{coloured_by} over {axes[0]} and {axes[1]}, {len(marks)} jobs",
    )


def _parallel(marks: Sequence[Mark], axes: Sequence[str], coloured_by: str) -> str:
    low, high = _extent(np.array([mark.value for mark in marks]), margin=0.0)
    right = WIDTH - RIGHT - 150
    places = np.linspace(LEFT, right, len(axes))
    extents = [_extent(np.array([mark.place[k] for mark in marks]), margin=0.0) for k in range(len(axes))]
    scales = [_scale(*extent, HEIGHT - BOTTOM, TOP + 16) for extent in extents]
    lines = []
    for mark in marks:
        steps = (f"{place:.1f} {scale(v):.1f}" for place, scale, v in zip(places, scales, mark.place, strict=True))
        stroke = colour(mark.value, low, high)
        lines.append(_link(mark, f'<path class="thread" stroke="{stroke}" d="M{"L".join(steps)}"/>'))
    frame = []
    for place, name, (least, most) in zip(places, axes, extents, strict=True):
        frame.append(f'<path class="axis" d="M{place:.1f} {TOP + 16}V{HEIGHT - BOTTOM}"/>')
        frame.append(f'<text x="{place:.1f}" y="{TOP + 8}" text-anchor="middle">{most:.4g}</text>')
        frame.append(f'<text x="{place:.1f}" y="{HEIGHT - BOTTOM + 14}" text-anchor="middle">{least:.4g}</text>')
        frame.append(f'<text x="{place:.1f}" y="{HEIGHT - 8}" text-anchor="middle">{escape(name)}</text>')
    parts = (*lines, *frame, _legend(low, high, coloured_by))
    return _svg("".join(parts), f"{coloured_by} over {', '.join(axes)}, {len(marks)} jobs")


# ------------------------------------------------------------------------------------------------------------ parts


def _svg(body: str, label: str, attributes: str = "", kind: str = "chart") -> str:
    said = f'role="group" aria-label="{escape(label)}" {attributes}'
    return f'<svg class="chart {kind}" viewBox="0 0 {WIDTH} {HEIGHT}" {said}>{body}</svg>'


def _link(mark: Mark, shape: str) -> str:
    label = escape(mark.label)
    return f'<a href="{escape(mark.href)}" aria-label="{label}">{shape.removesuffix("/>")}><title>{label}</title>' + (
        f"</{shape[1 : shape.index(' ')]}></a>"
    )


def _axes(
    x: Callable[[float], float], y: Callable[[float], float], horizontal: tuple[float, float],
    vertical: tuple[float, float], x_title: str, y_title: str,
) -> Iterable[str]:  # fmt: skip
    right = x(horizontal[1])
    for value in ticks(*horizontal):
        yield f'<path class="grid" d="M{x(value):.1f} {TOP}V{HEIGHT - BOTTOM}"/>'
        yield f'<text x="{x(value):.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{value:.6g}</text>'
    for value in ticks(*vertical, 5):
        yield f'<path class="grid" d="M{LEFT} {y(value):.1f}H{right:.1f}"/>'
        yield f'<text x="{LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{value:.4g}</text>'
    yield from _titles(x_title, y_title, right)


def _titles(x_title: str, y_title: str, right: float) -> Iterable[str]:
    centre, middle = (LEFT + right) / 2, (TOP + HEIGHT - BOTTOM) / 2
    yield f'<text class="title" x="{centre:.1f}" y="{HEIGHT - 8}" text-anchor="middle">{escape(x_title)}</text>'
    yield (
        f'<text class="title" transform="rotate(-90 14 {middle:.1f})" x="14" y="{middle:.1f}" '
        f'text-anchor="middle">{escape(y_title)}</text>'
    )


def _legend(low: float, high: float, name: str) -> str:
    left, tall = WIDTH - 92, (HEIGHT - BOTTOM - TOP - 20) / 40
    bars = [
        f'<rect x="{left}" y="{HEIGHT - BOTTOM - (k + 1) * tall:.1f}" width="14" height="{tall + 0.5:.1f}" '
        f'fill="{colour(k, 0, 39)}"/>'
        for k in range(40)
    ]
    return "".join(bars) + (
        f'<text x="{left + 20}" y="{TOP + 28}">{high:.4g}</text>'
        f'<text x="{left + 20}" y="{HEIGHT - BOTTOM}">{low:.4g}</text>'
        f'<text class="title" x="{WIDTH - 4}" y="{TOP + 8}" text-anchor="end">{escape(name)}</text>'
    )


def _some(places: dict[float, int], most: int = 10) -> list[tuple[float, int]]:
    """Return an evenly spaced selection of the values of an axis."""
    step = math.ceil(len(places) / most)
    return [(value, at) for value, at in places.items() if at % step == 0]


def _extent(values: "np.ndarray[tuple[int, ...], np.dtype[np.float64]]", margin: float = 0.03) -> tuple[float, float]:
    finite = values[np.isfinite(values)]
    if not finite.size:
        return 0.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    room = margin * (high - low) or (0.0 if not margin else abs(high) * 0.05 or 1.0)
    return low - room, high + room


def _scale(low: float, high: float, start: float, stop: float) -> Callable[[float], float]:
    width = (high - low) or 1.0
    return lambda value: start + (value - low) / width * (stop - start)
