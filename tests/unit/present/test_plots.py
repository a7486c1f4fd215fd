"""Plots show the data of any size and shape, and the files are pictures."""

from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import h5py
import numpy as np
import pytest
from conftest import SHORT

from tvb_batch.models.catalogue import JobValue
from tvb_batch.models.catalogue.status import Status
from tvb_batch.models.errors import NotFoundError, OutputError, SpecError
from tvb_batch.models.spec.sweep import sweep
from tvb_batch.submit.api.results import Job, Sweep
from tvb_batch.submit.present import plot_series, plot_sweep
from tvb_batch.submit.present.html import as_table
from tvb_batch.submit.present.plots import Picture, save_picture
from tvb_batch.worker.job.run import run_job

PNG = b"\x89PNG\r\n\x1a\n"


class Array:
    """A series in memory."""

    def __init__(self, data: np.ndarray, period: float = 1.0) -> None:
        self.data = data
        self.attributes = {"sample_period": period, "labels_dimensions": {"State Variable": ["V"]}}


def series(samples: int, nodes: int, seed: int = 0) -> Array:
    return Array(np.random.default_rng(seed).normal(size=(samples, 2, nodes, 1)))


def drawn(picture: Picture) -> list[Any]:
    return [axes for figure in (picture.subfigs or [picture]) for axes in figure.axes]


# ------------------------------------------------------------------------------------------------------------- jobs


def test_every_sample_is_seen_however_many_there_are(monkeypatch) -> None:
    monkeypatch.setattr(plot_series, "CHUNK", 8 * 3 * 700)  # No pixel ends with a chunk.
    one = series(10_007, 3)
    one.data[1234, 0, 1, 0], one.data[9876, 0, 2, 0] = 99.0, -77.0

    time, *_ = drawn(plot_series.draw_series(one, "t"))

    lines = np.array([line.get_ydata() for line in time.lines[:3]])
    assert lines.shape == (3, 2 * plot_series.PIXELS)
    np.testing.assert_array_equal(lines.max(axis=1), one.data[:, 0, :, 0].max(axis=0))
    np.testing.assert_array_equal(lines.min(axis=1), one.data[:, 0, :, 0].min(axis=0))


def test_a_short_series_is_drawn_sample_by_sample() -> None:
    one = series(40, 2)

    time, *_ = drawn(plot_series.draw_series(one, "t"))

    np.testing.assert_array_equal(time.lines[0].get_ydata()[::2], one.data[:, 0, 0, 0])


def test_the_spectrum_peaks_where_the_series_swings() -> None:
    times = np.arange(4000) / 1000.0
    one = Array(np.sin(2 * np.pi * 10.0 * times)[:, None, None, None] * np.ones((1, 1, 3, 1)))

    _, spectrum, _ = drawn(plot_series.draw_series(one, "t"))[:3]

    frequencies, power = spectrum.lines[0].get_data()
    assert frequencies[np.argmax(power)] == pytest.approx(10.0, abs=0.3)


@pytest.mark.parametrize("nodes", [2, 76, 1000])
def test_the_connectivity_is_pearsons_correlation(monkeypatch, nodes: int) -> None:
    monkeypatch.setattr(plot_series, "CHUNK", 8 * nodes * 77)
    one = series(500, nodes)
    one.data[:, 0, 1, 0] = 1000.0 + 2.0 * one.data[:, 0, 0, 0]

    matrix, step = plot_series.functional_connectivity(one)

    np.testing.assert_allclose(matrix, np.corrcoef(one.data[:, 0, ::step, 0].T), atol=1e-12)
    assert len(matrix) <= plot_series.MOST_NODES


def test_spectrum_and_connectivity_leave_the_transient_out_and_say_so() -> None:
    one = series(600, 5)
    one.data[:100] += 1000.0 * np.arange(100)[:, None, None, None]

    time, spectrum, connectivity, _ = drawn(plot_series.draw_series(one, "t", 100))
    whole = drawn(plot_series.draw_series(one, "t"))

    np.testing.assert_allclose(connectivity.images[0].get_array(), np.corrcoef(one.data[100:, 0, :, 0].T), atol=1e-12)
    assert len(spectrum.lines[0].get_xdata()) == 500 // 2
    assert [axes.get_title(loc="left") for axes in (spectrum, connectivity)] == [
        "spectrum, without the first 100 ms", "correlation, without the first 100 ms",
    ]  # fmt: skip
    assert time.lines[-1].get_xdata() == [100.0, 100.0]
    assert [axes.get_title(loc="left") for axes in whole[1:3]] == [
        "spectrum, of the whole series", "correlation, of the whole series",
    ]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    "one",
    [
        series(1, 1), series(2, 2), series(50, 1), series(2000, 300), Array(np.zeros((100, 1, 4, 1))),
        Array(np.full((100, 1, 4, 1), np.nan)), Array(np.full((100, 1, 4, 1), np.inf)), Array(np.ones((20, 1, 3, 2)), 0.1),
    ],
    ids=["one sample", "two samples", "one node", "many nodes", "at rest", "nan", "infinite", "two modes"],
)  # fmt: skip
def test_any_series_is_drawn(one, tmp_path: Path) -> None:
    save_picture(plot_series.draw_series(one, "any"), tmp_path / "any.png")

    assert (tmp_path / "any.png").read_bytes().startswith(PNG)


# ----------------------------------------------------------------------------------------------------------- sweeps


def points(rows: list[tuple[dict[str, Any], float | None]]) -> list[JobValue]:
    return [JobValue(uuid4(), n, Status.FINISHED, parameters, value) for n, (parameters, value) in enumerate(rows)]


def test_a_line_goes_through_the_means() -> None:
    rows = [({"a": a}, a + r) for a in (3.0, 1.0, 2.0) for r in (-0.5, 0.0, 0.5)]

    [axes] = drawn(plot_sweep.draw_sweep(points(rows), "mean", None, "t"))

    line = axes.lines[-1]
    np.testing.assert_allclose(line.get_xdata(), [1.0, 2.0, 3.0])
    np.testing.assert_allclose(line.get_ydata(), [1.0, 2.0, 3.0])
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("a", "mean")


def test_a_heat_map_has_each_point_at_its_place_and_a_hole_where_there_is_none() -> None:
    rows = [({"a": a, "b": b}, None if (a, b) == (1, 20) else a * b) for a in (0, 1, 2) for b in (20, 10)]

    axes, _ = drawn(plot_sweep.draw_sweep(points(rows), "m", None, "t"))

    [mesh] = axes.collections
    np.testing.assert_array_equal(mesh.get_array().filled(-1), [[0, 10, 20], [0, -1, 40]])
    assert "1 of 6 jobs have no value" in axes.get_title()


def test_of_three_parameters_two_are_axes_and_the_mean_is_taken_over_the_third() -> None:
    rows = [({"a": a, "b": b, "c": c}, a + 10 * b + 100 * c) for a in (0, 1) for b in (0, 1) for c in (0, 1)]

    axes, _ = drawn(plot_sweep.draw_sweep(points(rows), "m", ["c", "a"], "t"))

    np.testing.assert_array_equal(axes.collections[0].get_array(), [[5, 105], [6, 106]])
    assert "mean over b" in axes.get_title()


def test_samples_without_a_grid_are_dots() -> None:
    rng = np.random.default_rng(0)
    rows = [({"a": float(a), "b": float(b)}, float(a)) for a, b in rng.random((50, 2))]

    axes, _ = drawn(plot_sweep.draw_sweep(points(rows), "m", None, "t"))

    [dots] = axes.collections
    assert len(dots.get_offsets()) == 50
    np.testing.assert_allclose(dots.get_array(), np.asarray(dots.get_offsets())[:, 0])


@pytest.mark.parametrize(
    "rows",
    [
        [({}, 1.0)], [({}, 1.0), ({}, 2.0)], [({"a": 1.0}, None), ({"a": 2.0}, 1.0)],
        [({"model": {"class": "Kuramoto"}}, 1.0), ({"model": {"class": "JansenRit", "mu": [0.3]}}, 2.0)],
        [({"a": [1.0]}, 1.0), ({"a": [2.0]}, 2.0)], [({"a": [1.0, 2.0]}, 1.0), ({"a": [2.0, 3.0]}, 2.0)],
        [({"a": a, "m": m}, 1.0) for a in (1, 2) for m in ("A rather long name of a file.zip" * 2, "B" * 30)],
        [({"a": a}, float(a)) for a in range(500)], [({"a": 1, "b": 1}, 1.0), ({"a": 2}, 2.0)],
    ],
    ids=["one", "repeats", "hole", "objects", "arrays of one", "arrays", "names", "many", "partly"],
)  # fmt: skip
def test_any_sweep_is_drawn(rows, tmp_path: Path) -> None:
    save_picture(plot_sweep.draw_sweep(points(rows), "m", None, "any"), tmp_path / "any.svg")

    assert "<svg" in (tmp_path / "any.svg").read_text()[:2000]


def test_a_parameter_that_does_not_vary_is_no_axis() -> None:
    rows = [({"coupling.a": float(a), "model.mu": 1.0}, 1.0) for a in range(3)]

    with pytest.raises(NotFoundError, match=r"did you mean 'coupling\.a'"):
        plot_sweep.draw_sweep(points(rows), "m", ["coupling.aa"], "t")
    with pytest.raises(NotFoundError, match="does not vary"):
        plot_sweep.draw_sweep(points(rows), "m", ["model.mu"], "t")


@pytest.mark.parametrize("name", ["x", "x.txt", "nowhere/x.png"])
def test_a_picture_that_cannot_be_saved_is_reported(tmp_path: Path, name: str) -> None:
    with pytest.raises(OutputError, match="x"):
        save_picture(Picture(), tmp_path / name)


# ---------------------------------------------------------------------------------------------------- of real results


@pytest.mark.slow
def test_results_are_drawn_and_shown_by_a_notebook(catalogue, settings, tmp_path: Path) -> None:
    axes = {"coupling.a": [0.01, 0.02], "model.tau": [1.0, 2.0]}
    made = catalogue.add_sweep(sweep({**SHORT, "name": "p", "sweep": axes}))
    for job in catalogue.jobs(sweep=made.gid):
        run_job(catalogue, settings, catalogue.claim(job.gid, "w", timedelta(seconds=60)))
    all_, one = Sweep(made, catalogue, settings), Job(catalogue.jobs(sweep=made.gid)[0], catalogue, settings)

    picture = all_.plot("GlobalVariance", path=tmp_path / "sweep.png")

    mesh = drawn(picture)[0].collections[0]
    values = [job.metrics["GlobalVariance"] for job in all_.jobs()]
    np.testing.assert_allclose(mesh.get_array(), np.reshape(values, (2, 2)).T)
    assert (tmp_path / "sweep.png").read_bytes().startswith(PNG)
    assert one.plot()._repr_png_().startswith(PNG)
    one.plot("TemporalAverage", tmp_path / "job.pdf")
    assert (tmp_path / "job.pdf").stat().st_size > 1000
    with one.time_series() as series, h5py.File(series.path) as file:
        matrix, _ = plot_series.functional_connectivity(series)
        np.testing.assert_allclose(matrix, np.corrcoef(file["data"][:, 0, :, 0].T), atol=1e-12)
        # As the metrics: at most three quarters.
        assert [series.left_out(ms) for ms in (None, 0, 7.5, 19.0)] == [15, 0, 7, 19]
        for wrong in (-1.0, 20.0, float("nan"), float("inf")):
            with pytest.raises(
                SpecError, match=r"transient: .* ms; expected from 0 on, and less than the series, 20 ms"
            ):
                one.plot(transient=wrong)
    assert "without the first 3 ms" in drawn(one.plot(transient=3.0))[1].get_title(loc="left")
    with pytest.raises(NotFoundError, match="did you mean 'GlobalVariance'"):
        all_.plot("GlobalVarianc")


def test_objects_of_a_notebook_have_tables(catalogue, settings) -> None:
    made = catalogue.add_sweep(sweep({**SHORT, "name": "h", "sweep": {"coupling.a": [0.01]}}))
    [job] = catalogue.jobs(sweep=made.gid)
    run_job(catalogue, settings, catalogue.claim(job.gid, "w", timedelta(seconds=60)))
    sweep_ = Sweep(made, catalogue, settings)
    one = sweep_.jobs()[0]

    assert "1 finished" in sweep_._repr_html_()
    assert "<script>" not in as_table("<script>", {"<script>": "<script>"})
    assert "GlobalVariance" in one._repr_html_()
    with one.time_series() as series:
        assert "20 x 1 x 76 x 1" in series._repr_html_()


@pytest.mark.slow
def test_a_series_is_an_array_with_names_and_is_still_read_by_the_slice(catalogue, settings) -> None:
    pytest.importorskip("xarray")
    made = catalogue.add_sweep(sweep({**SHORT, "name": "x"}))
    [job] = catalogue.jobs(sweep=made.gid)
    run_job(catalogue, settings, catalogue.claim(job.gid, "w", timedelta(seconds=60)))

    with Sweep(made, catalogue, settings).jobs()[0].time_series() as series:
        array = series.to_xarray()

        assert array.dims == ("time", "state_variable", "node", "mode")
        assert not array.variable._in_memory
        np.testing.assert_array_equal(array.isel(node=[3, 5], time=slice(2, 9, 3)), series.data[2:9:3, :, [3, 5]])
        np.testing.assert_array_equal(
            array.sel(time=slice(5.0, 8.0)).time, series.time[(series.time >= 5) & (series.time <= 8)]
        )
        np.testing.assert_allclose(array.mean("time"), series.data[()].mean(axis=0))
        assert list(array.coords["state_variable"].values) == ["V"]
        assert list(array.coords["node"].values[:3]) == ["rA1", "rA2", "rAMYG"]
        assert float(array.sel(node="rA2", time=series.time[4], state_variable="V")[0]) == series.data[4, 0, 1, 0]
