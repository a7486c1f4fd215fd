"""Sections that fit each other, and TVB's behaviour if they do not."""

from typing import Any

import numpy as np
import pytest
from specs import NO_INPUTS

from tvb_batch.models.errors import SpecError
from tvb_batch.models.spec.consistency import check_shapes, check_times, time_warnings
from tvb_batch.models.spec.sections import complete
from tvb_batch.models.spec.simulation import simulation

BASE: dict[str, Any] = {
    "model": {"class": "Generic2dOscillator"},
    "coupling": "Linear",
    "integrator": {"class": "HeunStochastic", "dt": 0.5, "noise": {"class": "Additive", "nsig": [0.001]}},
    "monitors": [{"class": "TemporalAverage", "period": 1.0}],
    "simulation_length": 4.0,
}


def average(period: float, name: str = "TemporalAverage") -> dict[str, Any]:
    return {"class": name, "period": period}


@pytest.mark.parametrize(
    ("dt", "length", "period"), [(0.5, 0.5, 0.5), (0.1, 1.0, 1.0), (0.1, 0.95, 1.0), (0.3, 1.0, 1.0)]
)
def test_a_monitor_that_samples_once_fits(dt, length, period) -> None:
    check_times(dt, length, [average(period)])


@pytest.mark.parametrize(
    ("dt", "length", "period", "path"),
    [
        (0.5, 0.4, 0.5, "simulation_length"),
        (0.5, 10.0, 0.4, "monitors[0].period"),
        (0.1, 0.8, 1.0, "monitors[0].period"),
        (1e-320, 1.0, 1.0, "simulation_length"),
        (0.1, 1e300, 1.0, "simulation_length"),
        (1e-10, 1.0, 1e308, "monitors[0].period"),
    ],
)
def test_a_monitor_that_never_samples_does_not_fit(dt, length, period, path) -> None:
    with pytest.raises(SpecError) as caught:
        check_times(dt, length, [average(period)])

    assert caught.value.path == path


@pytest.mark.parametrize("name", ["Raw", "RawVoi", "AfferentCoupling"])
def test_raw_monitors_have_no_period(name) -> None:
    check_times(0.5, 1.0, [average(0.0, name)])


@pytest.mark.parametrize(("length", "period", "samples"), [(4.0, 4.0, 1), (3.6, 4.0, 1), (3.0, 4.0, 0)])
def test_tvb_samples_as_often_as_the_check_supposes(length, period, samples) -> None:
    from tvb.datatypes.connectivity import Connectivity
    from tvb.simulator.simulator import Simulator

    from tvb_batch.models.tvb.traits import build

    spec = simulation({**BASE, "simulation_length": 4.0})
    simulator = Simulator(
        connectivity=Connectivity.from_file(),
        model=build("model", spec.model, NO_INPUTS),
        integrator=build("integrator", spec.integrator, NO_INPUTS),
        monitors=[build("monitor", complete("monitor", average(period), "monitor"), NO_INPUTS)],
        simulation_length=length,
    ).configure()

    [(time, _)] = simulator.run()

    assert len(time) == samples
    if samples:
        check_times(0.5, length, [average(period)])
    else:
        with pytest.raises(SpecError):
            check_times(0.5, length, [average(period)])


@pytest.mark.parametrize(
    ("model", "nsig", "voi"),
    [
        ({}, [0.1], None),
        ({}, [0.1, 0.2], [0]),
        ({}, [0.1] * 76, []),
        ({}, [[0.1] * 76] * 2, None),
        ({"a": [1.0] * 76}, [0.1], None),
        ({"variables_of_interest": ["V", "W"]}, [0.1], [1, 0]),
    ],
)
def test_one_value_or_one_for_each_variable_or_region_fits(model, nsig, voi) -> None:
    spec = simulation(
        {
            **BASE,
            "model": {**BASE["model"], **model},
            "integrator": {**BASE["integrator"], "noise": {"class": "Additive", "nsig": nsig}},
            "monitors": [{**average(1.0), **({} if voi is None else {"variables_of_interest": voi})}],
        }
    )

    assert np.shape(spec.integrator["noise"]["nsig"]) == np.shape(nsig)


@pytest.mark.parametrize(
    ("changes", "path", "words"),
    [
        ({"model": {"class": "Generic2dOscillator", "a": [1.0] * 75}}, "model.a", "76 regions"),
        (
            {"integrator": {"class": "HeunStochastic", "dt": 0.5, "noise": {"class": "Additive", "nsig": [1, 2, 3]}}},
            "integrator.noise.nsig",
            "3 values; expected one value, one for each of the 2 state variables",
        ),
        (
            {"monitors": [{**average(1.0), "variables_of_interest": [0, 1]}]},
            "monitors[0].variables_of_interest[1]",
            "an index into model.variables_of_interest",
        ),
        ({"monitors": [{**average(1.0), "variables_of_interest": [-1]}]}, "monitors[0].variables_of_interest[0]", "-1"),
        (
            {"stimulus": {"class": "StimuliRegion", "weight": [1.0] * 75, "temporal": "Linear"}},
            "stimulus.weight",
            "75 values; expected one for each of the 76 regions",
        ),
        ({"initial_conditions": [[[[0.0]] * 76]]}, "initial_conditions", "(time, 2 state variables, 76, modes)"),
        ({"initial_conditions": [1.0, 2.0]}, "initial_conditions", "shape (2,)"),
        (
            {"surface": {"region_mapping_data": "regionMapping_16k_76.txt"}},
            "surface.region_mapping_data.surface",
            "no surface",
        ),
    ],
)
def test_other_lengths_and_indices_do_not_fit(changes, path, words) -> None:
    with pytest.raises(SpecError) as caught:
        simulation({**BASE, **changes})

    assert caught.value.path == path
    assert words in str(caught.value)


def test_tables_that_belong_to_a_model_keep_their_length() -> None:
    spec = simulation({**BASE, "model": "ZerlautAdaptationFirstOrder"})

    assert len(spec.model["P_e"]) == 10


def test_regions_in_a_file_are_not_checked_until_they_are_counted() -> None:
    model = {"class": "Generic2dOscillator", "a": [1.0] * 5}

    spec = simulation({**BASE, "model": model, "connectivity": "/data/five_regions.zip"})

    check_shapes(spec, 5)
    with pytest.raises(SpecError, match="5 values; expected one value, or one for each of the 6 regions"):
        check_shapes(spec, 6)


def test_a_rounded_period_is_reported_with_the_effective_one() -> None:
    told = list(time_warnings(0.5, [average(0.0, "Raw"), average(1.0), average(1.3)]))

    assert told == ["monitors[2].period: 1.3 ms is not a multiple of dt; TVB samples every 1.5 ms"]


def test_a_decimal_multiple_of_a_decimal_step_is_a_multiple() -> None:
    assert list(time_warnings(0.1, [average(0.3), average(1000.0)])) == []
