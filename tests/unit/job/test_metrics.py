"""Metrics equal TVB's analyzers on the same data, in bounded memory; missing ones have a reason."""

import tracemalloc
import warnings

import h5py
import numpy as np
import pytest
from h5_files import write
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs
from tvb.analyzers import METRICS as TVB_METRICS
from tvb.datatypes.time_series import TimeSeriesRegion

from tvb_batch.models.errors import NOT_FINITE, MissingMetricError, OutputError, SettingsError
from tvb_batch.models.spec.transient import SEGMENTS, START_POINT, Transient, transient_of
from tvb_batch.worker.job import metrics
from tvb_batch.worker.job.metrics import METRICS, Measured, metric

OF_TVB = {"GlobalVariance", "VarianceNodeVariance", "KuramotoIndex", "Metastability", "Synchrony"}


def walk(*shape: int, seed: int = 0, offset: float = 2.0) -> np.ndarray:
    """Return random walks, each with its own amplitude."""
    rng = np.random.default_rng(seed)
    return offset + rng.normal(size=shape).cumsum(axis=0) * rng.uniform(0.05, 0.5, size=shape[1:])


def tvbs_own(data: np.ndarray, period: float, start_point: float = START_POINT) -> dict[str, float]:
    """Return the numbers of TVB's analyzers, with the GUI's defaults or another start point."""
    series = TimeSeriesRegion(data=data, sample_period=period)
    found: dict[str, float] = {}
    for name, function in TVB_METRICS.items():
        if name == "KuramotoIndex" and data.shape[1] < 2:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            value = function({"time_series": series, "start_point": start_point, "segment": SEGMENTS})
        found |= value if isinstance(value, dict) else {name: value}
    return {name: float(value) for name, value in found.items() if np.isfinite(value)}


def measured(path, transient: Transient | None = None) -> Measured:
    """Return the metrics of a file's series; check that an array in memory gives the same bits."""
    with h5py.File(path) as file, np.errstate(all="ignore"):
        data, period = file["data"], float(file.attrs["TVB_sample_period"])
        found = metrics.compute(data, period, transient)
        assert metrics.compute(data[()], period, transient) == found
    assert {*found.values} | {*found.missing} == {*metrics.METRICS}
    return found


def compute(path) -> dict[str, float]:
    """Return the metrics of a file's series by the default rule."""
    return measured(path).values


def check_equal(data: np.ndarray, period: float, path, rtol: float = 1e-12) -> None:
    """Check that the metrics equal those of TVB's analyzers with the GUI's defaults."""
    write(path, data, sample_period=period)
    expected = tvbs_own(data, period)

    found = compute(path)

    assert set(found) & OF_TVB == set(expected)
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=rtol, abs=0), name


@pytest.mark.parametrize(
    ("shape", "period"),
    [
        ((1000, 4, 76, 1), 1.0),
        ((700, 2, 76, 1), 0.9765625),
        ((668, 2, 5, 1), 1.0),  # the shortest of which TVB leaves a quarter
        ((300, 3, 10, 2), 1.0),  # shorter than 500 ms: the last of four parts
        ((301, 1, 10, 1), 1.0),  # one state variable: no phase
        ((3, 2, 5, 1), 1.0),  # shorter than four parts
        ((40, 2, 1, 1), 100.0),  # one node has no distance from the mean
        ((200, 6, 2000, 1), 5.0),
    ],
)
def test_the_values_are_those_of_tvbs_analyzers(tmp_path, shape, period: float) -> None:
    check_equal(walk(*shape), period, tmp_path / "x.h5")


def test_the_values_are_tvbs_for_small_deviations_from_a_large_mean(tmp_path) -> None:
    # TVB loses six digits here, and this program loses the same.
    check_equal(walk(1200, 2, 20, 1, offset=1e6), 1.0, tmp_path / "x.h5")


@pytest.mark.parametrize("chunk", [1, 40_000, metrics.CHUNK])
def test_the_values_are_tvbs_for_a_series_at_rest(tmp_path, monkeypatch, chunk: int) -> None:
    monkeypatch.setattr(metrics, "CHUNK", chunk)
    start = np.random.default_rng(0).uniform(0.5, 1.5, size=(2, 76, 1))
    data = 0.3 + start * np.exp(-np.arange(1100) / 18.0)[:, None, None, None]

    check_equal(data, 1.0, tmp_path / "x.h5")

    assert 0.0 < compute(tmp_path / "x.h5")["GlobalVariance"] < 1e-20


@given(st.integers(1, 60), st.integers(1, 4), st.integers(1, 6), st.integers(1, 3), st.sampled_from([1.0, 30.0, 600.0]))
@settings(max_examples=40, deadline=None)
def test_the_values_are_tvbs_for_any_shape_and_any_chunks(
    tmp_path_factory, samples, variables, nodes, modes, period
) -> None:
    data = walk(samples, variables, nodes, modes, seed=samples, offset=0.0)
    path = tmp_path_factory.mktemp("any") / "x.h5"
    write(path, data, sample_period=period)
    start = transient_of(samples, period).samples
    # Half a sample more is the same sample for TVB, whatever the division gives.
    expected = tvbs_own(data, period, (start + 0.5) * period)
    whole = compute(path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metrics, "CHUNK", 1)
        found = compute(path)

    assert found == pytest.approx(whole, rel=1e-9, abs=1e-14)
    # For one sample TVB's variances are 0, or only those of the state variables.
    of_one = {"GlobalVariance", "VarianceNodeVariance", "Metastability"} if samples - start < 2 else set()
    assert set(whole) & OF_TVB == set(expected) - of_one
    for name in set(expected) - of_one:
        assert whole[name] == pytest.approx(expected[name], rel=1e-12, abs=0), name


def test_a_simulation_of_tvb_has_the_metrics_that_tvb_finds_in_it(tmp_path) -> None:
    from tvb.datatypes.connectivity import Connectivity
    from tvb.simulator import coupling, integrators, monitors, simulator
    from tvb.simulator.models import JansenRit

    monitor = monitors.TemporalAverage(period=1.0, variables_of_interest=np.array([0, 1, 2]))
    sim = simulator.Simulator(
        connectivity=Connectivity.from_file("connectivity_76.zip"), model=JansenRit(),
        coupling=coupling.SigmoidalJansenRit(), integrator=integrators.HeunDeterministic(dt=0.5), monitors=[monitor],
        simulation_length=700.0,
    ).configure()  # fmt: skip
    ((_, data),) = sim.run()

    check_equal(data, 1.0, tmp_path / "x.h5")


def test_mean_and_deviation_are_those_of_all_points_after_the_transient(tmp_path) -> None:
    data = walk(1500, 2, 30, 2)
    write(tmp_path / "x.h5", data, sample_period=1.0)

    found = compute(tmp_path / "x.h5")

    assert found["mean"] == pytest.approx(data[500:].mean(), rel=1e-12)
    assert found["std"] == pytest.approx(data[500:].std(), rel=1e-12)


# ---------------------------------------------------------------------------------------------------------- frequency


def oscillation(samples: int, period: float, hertz: float, nodes: int = 5) -> np.ndarray:
    time = period / 1000.0 * np.arange(samples)[:, None, None, None]
    phase = np.linspace(0, 3, nodes)[:, None]
    noise = np.random.default_rng(0).normal(size=(samples, 2, nodes, 1))
    return 40.0 + np.sin(2 * np.pi * hertz * time + phase) + 0.3 * noise


@pytest.mark.parametrize(
    ("samples", "period", "hertz"), [(1500, 1.0, 10.0), (9500, 0.1, 40.0), (400, 1000.0, 0.05), (1501, 0.9765625, 7.0)]
)
def test_the_frequency_of_an_oscillation_is_found(tmp_path, samples: int, period: float, hertz: float) -> None:
    write(tmp_path / "x.h5", oscillation(samples, period, hertz), sample_period=period)

    found = compute(tmp_path / "x.h5")["dominant_frequency"]

    resolution = 1000.0 / (samples * period - min(500.0, samples * period / 2))
    assert found == pytest.approx(hertz, abs=resolution)


def test_a_series_longer_than_the_maximum_window_is_split(tmp_path, monkeypatch) -> None:
    write(tmp_path / "x.h5", oscillation(4700, 1.0, 10.0), sample_period=1.0)
    monkeypatch.setattr(metrics, "WINDOW", 1000 * 5 * 8)
    monkeypatch.setattr(metrics, "CHUNK", 8000)

    found = compute(tmp_path / "x.h5")["dominant_frequency"]

    # 4200 samples after the transient: five windows of 840.
    assert found == pytest.approx(10.0, abs=1000 / 840)


def test_the_peak_frequency_is_that_of_scipys_welch(tmp_path) -> None:
    from scipy.signal import welch

    data = walk(2000, 1, 20, 1)
    write(tmp_path / "x.h5", data, sample_period=2.0)

    frequencies, power = welch(data[250:, 0, :, 0], fs=500.0, window="hann", nperseg=1750, noverlap=0, axis=0)

    expected = frequencies[1:][power.sum(axis=1)[1:].argmax()]
    assert compute(tmp_path / "x.h5")["dominant_frequency"] == pytest.approx(expected, rel=1e-12)


def test_a_constant_has_no_frequency_and_no_variance(tmp_path) -> None:
    write(tmp_path / "x.h5", np.full((900, 2, 7, 1), 0.1), sample_period=1.0)

    found = compute(tmp_path / "x.h5")

    assert measured(tmp_path / "x.h5").missing["dominant_frequency"] == "the series is constant"
    assert found["mean"] == pytest.approx(0.1)
    assert found["GlobalVariance"] == pytest.approx(0.0, abs=1e-30)


# ------------------------------------------------------------------------------------------------------ what has none


def test_a_nan_removes_only_the_metrics_that_read_it(tmp_path) -> None:
    data = walk(900, 4, 7, 1)
    data[600, 3, 2, 0] = np.nan
    write(tmp_path / "x.h5", data, sample_period=1.0)

    assert set(compute(tmp_path / "x.h5")) == {"KuramotoIndex", "dominant_frequency"}
    found = metrics.compute(data, 1.0, is_nan=True)
    assert set(found.missing.values()) == {NOT_FINITE}


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e308])
def test_a_diverged_series_is_not_a_fault(tmp_path, value: float) -> None:
    data = walk(900, 2, 7, 1)
    data[600:] = value
    write(tmp_path / "x.h5", data, sample_period=1.0)

    found = compute(tmp_path / "x.h5")

    assert all(np.isfinite(number) for number in found.values())
    assert "GlobalVariance" not in found or value == 1e308


@pytest.mark.parametrize("samples", [500, 501, 600, 666])
def test_a_short_series_has_metrics_of_its_last_quarter(tmp_path, samples: int) -> None:
    # TVB's analyzers use no sample, one sample, or less than a quarter.
    data = walk(samples, 2, 7, 1)
    write(tmp_path / "x.h5", data, sample_period=1.0)

    found = compute(tmp_path / "x.h5")

    assert set(found) == set(METRICS)
    start = 3 * (samples // 4)
    assert found["std"] == pytest.approx(data[start:].std(), rel=1e-12)
    assert found["GlobalVariance"] == pytest.approx(tvbs_own(data, 1.0, float(start))["GlobalVariance"], rel=1e-12)


def test_a_transient_that_is_given_is_left_out_of_every_metric(tmp_path) -> None:
    data = walk(900, 2, 7, 1)
    write(tmp_path / "x.h5", data, sample_period=1.0)
    write(tmp_path / "rest.h5", data[321:], sample_period=1.0)

    found = measured(tmp_path / "x.h5", Transient(321, is_given=True))

    expected = measured(tmp_path / "rest.h5", Transient(0, is_given=True)).values
    assert found.values == pytest.approx(expected, rel=1e-12)
    assert found.values["KuramotoIndex"] != pytest.approx(compute(tmp_path / "x.h5")["KuramotoIndex"], rel=1e-6)
    of_tvb = tvbs_own(data, 1.0, 321.0) | tvbs_own(data[321:], 1.0, 0.0)
    assert {name: found.values[name] for name in OF_TVB} == pytest.approx(of_tvb, rel=1e-12)


@pytest.mark.parametrize(
    ("shape", "start", "reasons"),
    [
        ((900, 1, 7, 1), 500, {"KuramotoIndex": "it needs two state variables, and one is recorded (variables_of_interest)"}),
        (
            (10, 2, 7, 1), 9,
            dict.fromkeys(
                ["GlobalVariance", "VarianceNodeVariance", "Metastability", "std"],
                "1 of 10 samples are left after the transient; a variance needs 2",
            )
            | {"dominant_frequency": "1 of 10 samples are left after the transient; a spectrum needs 8"},
        ),
        ((900, 2, 1, 1), 500, {"Synchrony": "the nodes do not differ: their distance from their mean is 0"}),
    ],
    ids=["one variable", "one sample", "one node"],
)  # fmt: skip
def test_a_missing_metric_has_its_reason(shape, start: int, reasons: dict[str, str]) -> None:
    found = metrics.compute(walk(*shape), 1.0, Transient(start, is_given=True))

    assert found.missing == reasons


def test_a_transient_that_leaves_nothing_is_the_reason_of_every_metric() -> None:
    found = metrics.compute(walk(10, 2, 7, 1), 1.0, Transient(10, is_given=True))

    assert found.values == {}
    assert {reason.partition(";")[0] for reason in found.missing.values()} == {
        "0 of 10 samples are left after the transient"
    }


# -------------------------------------------------------------------------------------------------- a metric of a user


def test_a_users_metric_is_one_registered_function(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(metrics, "METRICS", dict(METRICS))
    data = walk(900, 2, 7, 1)
    write(tmp_path / "x.h5", data, sample_period=1.0)

    @metric("highest")
    def highest(series) -> float:
        return max(chunk.max() for chunk in series.chunks(series.start))

    assert compute(tmp_path / "x.h5")["highest"] == data[500:].max()


def test_a_failing_user_metric_is_the_only_missing_one(monkeypatch) -> None:
    monkeypatch.setattr(metrics, "METRICS", dict(METRICS))

    @metric("broken")
    def broken(series) -> float:
        return 1 / 0

    @metric("wordy")
    def wordy(series) -> float:
        return "a lot"

    @metric("choosy")
    def choosy(series) -> float:
        raise MissingMetricError("no stimulus,\nno response")

    @metric("nan")
    def nan(series) -> float:
        return float("nan")

    with capture_logs() as logged:
        found = metrics.compute(walk(900, 2, 7, 1), 1.0)

    assert set(found.values) == set(METRICS) - {"broken", "wordy", "choosy", "nan"}
    assert found.missing == {
        "broken": "ZeroDivisionError: division by zero",
        "wordy": "ValueError: could not convert string to float: 'a lot'",
        "choosy": "no stimulus,\\nno response",
        "nan": "its value is nan",
    }
    assert [(line["event"], line["metric"]) for line in logged] == [
        ("metric_failed", "broken"),
        ("metric_failed", "wordy"),
    ]


@pytest.mark.parametrize("name", ["", "my metric", "1st", "a.b", "monitors[1].mean", "ä", "a" * 101, "a; b"])
def test_an_invalid_name_of_a_metric_is_refused(monkeypatch, name: str) -> None:
    monkeypatch.setattr(metrics, "METRICS", dict(METRICS))

    with pytest.raises(SettingsError, match="letters, digits and _"):
        metric(name)(lambda series: 0.0)

    assert metrics.METRICS == METRICS


def test_tvbs_own_metrics_are_not_replaced(monkeypatch) -> None:
    monkeypatch.setattr(metrics, "METRICS", dict(METRICS))

    with pytest.raises(SettingsError, match="tvb-batch itself has a metric 'GlobalVariance' already"):
        metric("GlobalVariance")(lambda series: 0.0)


def test_a_module_that_is_imported_again_brings_its_metric_again(monkeypatch) -> None:
    monkeypatch.setattr(metrics, "METRICS", dict(METRICS))

    def made():
        def highest(series) -> float:
            return 1.0

        return highest

    first, second = metric("highest")(made()), metric("highest")(made())

    assert first is not second
    assert metrics.METRICS["highest"] is second


# ----------------------------------------------------------------------------------------------------------- the file


def test_a_metric_may_change_its_arrays(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(metrics, "METRICS", dict(METRICS))
    data = walk(900, 2, 7, 1)
    write(tmp_path / "x.h5", data, sample_period=1.0)
    before = compute(tmp_path / "x.h5")

    def careless(series) -> float:
        for part in (*series.chunks(), series.read(0, 900)):
            part[:] = 0.0
        return 0.0

    monkeypatch.setattr(metrics, "METRICS", {"careless": careless, **METRICS})

    assert compute(tmp_path / "x.h5") == {"careless": 0.0, **before}


@pytest.mark.parametrize("kind", ["f4", "i2"])
def test_metrics_do_not_depend_on_the_number_type(kind: str) -> None:
    data = (10 * walk(900, 2, 7, 1)).astype(kind)

    assert metrics.compute(data, 1.0) == metrics.compute(data.astype("f8"), 1.0)


def test_samples_are_read_as_they_were_written(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(metrics, "CHUNK", 1000)
    data = walk(60, 3, 7, 2)
    write(tmp_path / "x.h5", data)

    with h5py.File(tmp_path / "x.h5") as file:
        series = metrics.Series(file["data"], data.shape, 0.25)
        for first, end, variables in [(0, 60, None), (7, 31, 1), (59, 90, 2), (5, 5, None), (0, 60, 9)]:
            np.testing.assert_array_equal(series.read(first, end, variables), data[first:end, :variables])
        chunks = list(series.chunks(11, 2))

    assert len(chunks) > 1
    np.testing.assert_array_equal(np.concatenate(chunks), data[11:, :2])


def test_a_file_that_cannot_be_read_any_further_gives_one_line(tmp_path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        data = file.create_dataset("data", (900, 2, 7, 1), "f8", chunks=(900, 2, 7, 1), compression="gzip")
        data.id.write_direct_chunk((0, 0, 0, 0), b"no gzip")

        with pytest.raises(OutputError, match=r"x\.h5::data: cannot be read") as caught:
            metrics.compute(data, 1.0)

    assert "\n" not in str(caught.value)


def test_a_large_series_needs_no_more_memory_than_a_window(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(metrics, "WINDOW", 4 * 2**20)
    data = walk(6000, 4, 300, 1)
    write(tmp_path / "x.h5", data, sample_period=1.0)
    assert data.nbytes > 50e6
    tracemalloc.start()
    try:
        with h5py.File(tmp_path / "x.h5") as file:
            metrics.compute(file["data"], 1.0)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 16 * 2**20
