"""Charts are well-formed SVG with every job, and contain no code."""

import math
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tvb_batch.submit.web.charts import Mark, colour, series_svg, sweep_svg, ticks
from tvb_batch.submit.web.decimation import envelope

EVIL = "<script>alert('x')</script>\"&"


def parsed(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)


def marks(*places: tuple[float, ...], values: list[float] | None = None) -> list[Mark]:
    return [
        Mark(f"/jobs/{k}", f"job {k} {EVIL}", place, values[k] if values else float(k))
        for k, place in enumerate(places)
    ]


@pytest.mark.parametrize(
    "places",
    [
        [(1.0,), (2.0,), (4.0,)],
        [(a, b) for a in (1.0, 2.0) for b in (3.0, 5.0)],
        [(0.1 * k, 0.7 * k * k) for k in range(12)],
        [(1.0, 2.0, 3.0), (2.0, 1.0, 0.0)],
        [(1.0, 1.0)],
    ],
    ids=["curve", "map", "scatter", "parallel", "one job"],
)
def test_every_job_is_in_the_picture_and_leads_to_its_page(places) -> None:
    axes = [f"model.{EVIL}"] * len(places[0])

    root = parsed(sweep_svg(marks(*places), axes, EVIL))

    assert {link.get("href") for link in root.iter("a")} == {f"/jobs/{k}" for k in range(len(places))}
    assert "script" not in {element.tag for element in root.iter()}
    assert {link.get("aria-label") for link in root.iter("a")} == {f"job {k} {EVIL}" for k in range(len(places))}


def test_a_job_without_the_number_is_grey_in_a_map() -> None:
    root = parsed(sweep_svg(marks((1.0, 1.0), (2.0, 1.0), values=[math.nan, 3.0]), ["a", "b"], "x"))

    assert next(cell.get("fill") for cell in root.iter("rect") if cell.get("class") == "cell") == "#9a9a9a"


def test_a_series_is_a_line_for_each_node_with_gaps_where_it_diverged() -> None:
    data = np.arange(40.0).reshape(10, 1, 4, 1)
    data[5] = np.nan

    root = parsed(series_svg(envelope(data, np.arange(10.0), nodes=[0, 2]), ["l", EVIL], "title", "V"))

    lines = [path.get("d") for path in root.iter("path") if "line" in path.get("class", "")]
    assert len(lines) == 2
    assert all(line.count("M") == 2 for line in lines)


@pytest.mark.slow
@given(st.floats(-1e12, 1e12), st.floats(1e-9, 1e12))
def test_ticks_are_few_and_inside(low: float, width: float) -> None:
    high = low + width
    if high > low:
        found = ticks(low, high)
        assert len(found) <= 8
        assert all(low - width * 1e-6 <= tick <= high + width * 1e-6 for tick in found)


@given(st.floats(allow_nan=True, allow_infinity=True), st.floats(-1e9, 1e9), st.floats(-1e9, 1e9))
def test_every_value_has_a_valid_colour(value: float, low: float, high: float) -> None:
    found = colour(value, low, high)

    assert len(found) == 7
    assert int(found[1:], 16) >= 0
