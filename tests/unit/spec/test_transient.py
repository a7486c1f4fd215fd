"""The part of a series that counts: the default rule, `transient` from spec to file, and reuse of finished jobs."""

import h5py
import numpy as np
import pytest
from conftest import SHORT
from hypothesis import given
from hypothesis import strategies as st
from runs import LEASE, claimed

from tvb_batch.models.catalogue.status import Status
from tvb_batch.models.errors import SpecError
from tvb_batch.models.spec.consistency import check_transient
from tvb_batch.models.spec.simulation import simulation, spec_warnings
from tvb_batch.models.spec.sweep import sweep
from tvb_batch.models.spec.transient import LEAST_LEFT, START_POINT, Transient, default_transient, transient_of
from tvb_batch.worker.job import metrics
from tvb_batch.worker.job.run import run_job

BOLD = simulation({**SHORT, "monitors": ["Bold"], "simulation_length": 4000.0}).monitors[0]


# ---------------------------------------------------------------------------------------------------------- the rule


@pytest.mark.parametrize(
    ("samples", "period", "monitor", "left_out"),
    [
        (1000, 1.0, {}, 500), (10_000, 0.1, {}, 5000), (668, 1.0, {}, 500),  # As TVB.
        (400, 1.0, {}, 300), (401, 1.0, {}, 300), (5, 1.0, {}, 3),  # As TVB: the last of four parts.
        (500, 1.0, {}, 375), (501, 1.0, {}, 375), (666, 1.0, {}, 498),  # TVB would leave less than a quarter.
        (1, 1.0, {}, 0), (2, 1.0, {}, 0), (3, 1.0, {}, 0), (4, 1.0, {}, 2),  # Never one sample if there are more.
        (100, 1000.0, {}, 1), (100, 600.0, {}, 1),  # The first sample holds the transient.
        (300, 2000.0, BOLD, 10), (300, 1000.0, BOLD, 20), (300, 720.0, BOLD, 27),  # 20 s of haemodynamic response.
        (300, 2000.0, {**BOLD, "hrf_length": 32_000.0}, 16), (300, 2000.0, {**BOLD, "hrf_length": None}, 1),
        (10, 2000.0, BOLD, 6), (2, 2000.0, BOLD, 0),
    ],
)  # fmt: skip
def test_the_default_rule(samples: int, period: float, monitor, left_out: int) -> None:
    assert transient_of(samples, period, None, monitor) == Transient(left_out)


@pytest.mark.parametrize(
    ("given", "samples", "period", "left_out"),
    [
        (0.0, 1000, 1.0, 0), (1.0, 1000, 1.0, 1), (321.5, 1000, 1.0, 321), (999.0, 1000, 1.0, 999), (5e9, 1000, 1.0, 1000),
        (20_000.0, 300, 2000.0, 10), (1500.0, 300, 2000.0, 1), (0.01, 1000, 0.1, 1),
    ],
)  # fmt: skip
def test_a_transient_that_is_given_is_left_out(given: float, samples: int, period: float, left_out: int) -> None:
    assert transient_of(samples, period, given, BOLD) == Transient(left_out, is_given=True)


@given(st.integers(1, 5000), st.sampled_from([0.1, 0.9765625, 1.0, 7.0, 333.0, 500.0, 720.0, 2000.0]))
def test_the_default_rule_leaves_a_quarter_and_agrees_with_tvb_where_tvb_does(samples: int, period: float) -> None:
    found = transient_of(samples, period).samples

    assert samples - found >= min(samples, max(LEAST_LEFT, samples / 4))
    of_tvb = 3 * (samples // 4) if START_POINT / period > samples else int(START_POINT / period)
    if period <= START_POINT and samples - of_tvb >= max(LEAST_LEFT, samples / 4):
        assert found == of_tvb


def test_the_transient_of_bold_is_what_tvb_convolves_with() -> None:
    from tvb.simulator.monitors import Bold

    bold = Bold(period=500.0)
    assert bold.hrf_length == BOLD["hrf_length"] == default_transient(BOLD) == 20_000.0


# ------------------------------------------------------------------------------------------------------------ specs


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (-1.0, "transient: -1.0; expected a number of at least 0.0"),
        (
            20.0,
            "transient: 20 ms; expected less than simulation_length, 20 ms; metrics use the samples after it",
        ),
        (1e300, "expected less than simulation_length"),
        ("20", "transient: '20'; expected a number"),
        (True, "transient: True; expected a number"),
        (float("nan"), "transient: nan; expected a finite number"),
        (float("inf"), "transient: inf; expected a finite number"),
        ([1.0], "transient: .* expected a number"),
    ],
    ids=str,
)
def test_a_transient_that_cannot_be_gives_one_line(value, words: str) -> None:
    with pytest.raises(SpecError, match=words) as caught:
        simulation({**SHORT, "transient": value})

    assert "\n" not in str(caught.value)


def test_each_point_of_a_sweep_outlasts_the_transient() -> None:
    with pytest.raises(SpecError, match=r"sweep\.simulation_length\[1\]|less than simulation_length"):
        sweep({**SHORT, "transient": 10.0, "sweep": {"simulation_length": [20.0, 9.0]}})
    check_transient(None, 1.0)


def test_the_transient_changes_no_data() -> None:
    plain, given_ = simulation(SHORT), simulation({**SHORT, "transient": 7})

    assert (plain.transient, given_.transient) == (None, 7.0)
    assert plain.parameters_hash() == given_.parameters_hash()
    assert plain.canonical_json() != given_.canonical_json()


@pytest.mark.parametrize(
    ("changes", "warnings"),
    [
        ({}, []),
        ({"transient": 18.0}, []),
        ({"transient": 19.0}, ["transient: 19 ms leaves 1 of the 20 samples of monitors[0] (TemporalAverage)"]),
        (
            {"transient": 4500.0, "simulation_length": 5000.0, "monitors": [{"class": "Bold", "period": 2000.0}]},
            ["transient: 4500 ms leaves 0 of the 2 samples of monitors[0] (Bold)"],
        ),
        (
            {"simulation_length": 21_000.0, "monitors": [{"class": "Bold", "period": 2000.0}]},
            ["monitors[0] (Bold): 20000 ms is not longer than its haemodynamic transient, 20000 ms; its metrics contain part of it"],
        ),
        ({"simulation_length": 22_000.0, "monitors": [{"class": "Bold", "period": 2000.0}]}, []),
        ({"monitors": [{"class": "Raw", "period": 1000.0}]}, []),
    ],
    ids=str,
)  # fmt: skip
def test_a_series_that_hardly_outlasts_its_transient_is_a_warning(changes, warnings) -> None:
    assert spec_warnings(simulation({**SHORT, **changes})) == warnings


# ------------------------------------------------------------------------------------------------------------- jobs


def test_the_row_and_the_file_say_what_was_left_out(settings, catalogue) -> None:
    monitors = [{"class": "TemporalAverage", "period": 1.0}, {"class": "GlobalAverage", "period": 4.0}]
    for changes, left_out in (({}, [15.0, 12.0]), ({"transient": 6.0}, [6.0, 4.0])):
        claim = claimed(catalogue, monitors=monitors, **changes)
        records = run_job(catalogue, settings, claim)

        assert [record.transient for record in records] == left_out
        assert [output.transient for output in catalogue.outputs([claim.gid])] == left_out
        for record, one in zip(records, left_out, strict=True):
            with h5py.File(settings.storage.absolute(record.path)) as file:
                assert float(file["tvb_batch"].attrs["transient"]) == one
                data = file["data"][()]
            assert record.metrics["mean"] == pytest.approx(data[int(one / (20.0 / len(data))) :].mean(), rel=1e-12)


def test_a_missing_metric_has_its_reason_in_the_row_under_its_name(settings, catalogue) -> None:
    monitors = [{"class": "TemporalAverage", "period": 1.0}, {"class": "GlobalAverage", "period": 4.0}]
    claim = claimed(catalogue, monitors=monitors)

    run_job(catalogue, settings, claim)

    first, second = catalogue.outputs([claim.gid])
    assert set(first.missing) == {"KuramotoIndex", "dominant_frequency"}
    assert first.missing["dominant_frequency"] == "5 of 20 samples are left after the transient; a spectrum needs 8"
    assert {name.partition(".")[0] for name in second.missing} == {"monitors[1]"}
    found = catalogue.metrics([claim.gid])[claim.gid]
    assert not {*first.missing, *second.missing} & {*found}
    assert {name for name in metrics.METRICS if name in found} | {*first.missing} == {*metrics.METRICS}


@pytest.mark.slow
def test_metrics_of_bold_hold_nothing_of_the_haemodynamic_transient(settings, catalogue) -> None:
    claim = claimed(catalogue, monitors=[{"class": "Bold", "period": 1000.0}], simulation_length=40_000.0,
                    integrator={"class": "HeunDeterministic", "dt": 2.0})  # fmt: skip

    [record] = run_job(catalogue, settings, claim)

    with h5py.File(settings.storage.absolute(record.path)) as file:
        data = file["data"][()]
    assert (record.transient, data.shape[0]) == (20_000.0, 40)
    assert record.metrics["std"] == pytest.approx(data[20:].std(), rel=1e-9)
    # The ramp is far larger than the rest.
    assert np.ptp(data[:20]) > 10 * np.ptp(data[20:])


# ------------------------------------------------------------------------------------------------------------ reuse


def test_metrics_made_with_another_transient_are_not_handed_out(settings, catalogue) -> None:
    def submitted(**changes) -> list[Status]:
        found = catalogue.add_sweep(sweep({**SHORT, "sweep": {"coupling.a": [0.1]}, **changes}))
        jobs = catalogue.jobs(sweep=found.gid)
        before = [job.status for job in jobs]
        for job in jobs:
            if job.status is Status.PENDING:
                run_job(catalogue, settings, catalogue.claim(job.gid, "test", LEASE))
        return before

    assert submitted() == [Status.PENDING]
    assert submitted() == [Status.FINISHED]
    assert submitted(transient=5.0) == [Status.PENDING]
    assert submitted(transient=5.0) == submitted() == [Status.FINISHED]
    assert submitted(transient=0.0) == [Status.PENDING]


def test_each_swept_transient_reuses_its_own_jobs(settings, catalogue) -> None:
    def submitted() -> dict[float, Status]:
        plan = {"transient": [2.0, 4], "common_random_numbers": True}
        found = catalogue.add_sweep(sweep({**SHORT, "sweep": plan}))
        return {job.parameters["transient"]: job for job in catalogue.jobs(sweep=found.gid)}

    first = submitted()
    assert len({job.parameters_hash for job in first.values()}) == 1
    for job in first.values():
        run_job(catalogue, settings, catalogue.claim(job.gid, "test", LEASE))

    again = submitted()

    assert {value: job.source_id for value, job in again.items()} == {value: job.id for value, job in first.items()}
