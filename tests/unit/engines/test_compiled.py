"""The compiled engine beside TVB's own loop: the same bits, for every model, coupling, integrator, noise and monitor."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engine_cases import MODELS, NOISES, Case, assert_same_run, of_model, pulse, run_chunks, watch

from tvb_batch.worker.engines import choose, compiled, reference, simulator_state
from tvb_batch.worker.engines.frontend.step import trace_step
from tvb_batch.worker.engines.tracing.recording import NoRecording


def eeg() -> list[Any]:
    from tvb.simulator.monitors import EEG

    return [EEG.from_file(period=1.0)]


MONITORS = {
    "Raw": watch(("Raw", {})),
    "RawVoi": watch(("RawVoi", {"variables_of_interest": np.array([1])})),
    "SubSample": watch(("SubSample", {"period": 0.7})),
    "TemporalAverage": watch(("TemporalAverage", {"period": 1.3}), ("TemporalAverage", {"period": 0.1})),
    "GlobalAverage": watch(("GlobalAverage", {"period": 0.5})),
    "SpatialAverage": watch(("SpatialAverage", {"period": 0.5})),
    "Bold": watch(("Bold", {"period": 20.0, "hrf_length": 100.0}), ("Bold", {"period": 40.0})),
    "AfferentCoupling": watch(("AfferentCoupling", {}), ("AfferentCouplingTemporalAverage", {"period": 1.0})),
    "ProgressLogger": watch(("ProgressLogger", {"period": 10.0}), ("Raw", {})),
    "EEG": eeg,
}

SYMMETRIC = {"variables_of_interest": ("E", "I")}


CASES: dict[str, Case] = {f"model {_name}": Case(**of_model(_name)) for _name in MODELS}
for _name in ("Linear", "Scaling", "HyperbolicTangent", "Sigmoidal", "Difference", "Kuramoto"):
    CASES[f"coupling {_name}"] = Case(
        model="MontbrioPazoRoxin", coupling=_name, dt=0.001 if _name == "HyperbolicTangent" else 0.01
    )
CASES["coupling SigmoidalJansenRit"] = Case(model="JansenRit", coupling="SigmoidalJansenRit")
for _name in ("Euler", "Heun"):
    CASES[f"integrator {_name}Deterministic"] = Case(integrator=f"{_name}Deterministic")
    CASES[f"integrator {_name}Stochastic"] = Case(integrator=f"{_name}Stochastic")
    for _noise, _make in NOISES.items():
        CASES[f"noise {_noise}, {_name}"] = Case(integrator=f"{_name}Stochastic", noise=_make)
CASES["integrator RungeKutta4thOrderDeterministic"] = Case(integrator="RungeKutta4thOrderDeterministic")
CASES["integrator RungeKutta4thOrderDeterministic, NumPy's tanh"] = Case(
    model="LarterBreakspear", integrator="RungeKutta4thOrderDeterministic"
)
_MAP = {"model": "Linear", "model_parameters": {"gamma": np.array([0.5])}}
CASES["integrator Identity"] = Case(integrator="Identity", **_MAP)
CASES["integrator IdentityStochastic"] = Case(integrator="IdentityStochastic", **_MAP)
for _name, _monitors in MONITORS.items():
    CASES[f"monitor {_name}"] = Case(model="WilsonCowan", model_parameters=SYMMETRIC, monitors=_monitors)
for _name in ("Sigmoidal", "Difference", "HyperbolicTangent"):
    CASES[f"three modes, coupling {_name}"] = Case(
        model="ReducedSetHindmarshRose", coupling=_name, dt=0.01, monitors=MONITORS["GlobalAverage"]
    )
CASES["three modes, coloured noise"] = Case(
    model="ReducedSetHindmarshRose", integrator="HeunStochastic", dt=0.01, noise=NOISES["coloured"]
)
CASES["three modes, what enters"] = Case(
    model="ReducedSetHindmarshRose", dt=0.01, monitors=MONITORS["AfferentCoupling"]
)
CASES["stimulus"] = Case(stimulus=pulse)
CASES["stimulus, stochastic"] = Case(stimulus=pulse, integrator="HeunStochastic")
for _root in (2, 3):
    for _name in ("EpileptorCodim3", "EpileptorCodim3SlowMod"):
        CASES[f"root {_root} of {_name}"] = Case(model=_name, model_parameters={"N": np.array([_root])})
CASES["parameters for each node"] = Case(
    model="WilsonCowan", model_parameters={"c_ee": np.linspace(10.0, 14.0, 76), "P": np.linspace(0.0, 1.0, 76)}
)
CASES["NumPy parameters for each node"] = Case(
    model="MontbrioPazoRoxin", dt=0.01, model_parameters={"eta": np.linspace(-6.0, -4.0, 76)}
)
CASES["no delays"] = Case(model="JansenRit", coupling="SigmoidalJansenRit", speed=1e9)
CASES["no delays, each edge"] = Case(coupling="Difference", speed=1e9)
CASES["short delays"] = Case(speed=300.0)
CASES["192 regions"] = Case(connectivity="connectivity_192.zip", model="JansenRit", coupling="SigmoidalJansenRit")


@pytest.mark.parametrize("name", CASES)
def test_a_compiled_run_is_tvbs_run_bit_for_bit(name: str, kernels: Path, record_property: Any) -> None:
    case = CASES[name]
    tvb, own = case.configure(), case.configure()
    expected = tvb.run()

    choice = choose(own, "auto", kernels, 10**6)
    found = run_chunks(choice, own, 700)

    assert (choice.name, choice.reason) == (compiled.NAME, "")
    assert_same_run(found, own, expected, tvb)
    record_property("engine", (name, choice.name))


@pytest.mark.parametrize("chunk_steps", [1, 7, 64, 250])
def test_chunks_of_any_size_give_the_same_run(chunk_steps: int, kernels: Path) -> None:
    case = Case(
        model="JansenRit",
        coupling="SigmoidalJansenRit",
        integrator="HeunStochastic",
        monitors=MONITORS["Bold"],
        steps=500,
    )
    tvb, own = case.configure(), case.configure()
    expected = tvb.run()

    choice = choose(own, "auto", kernels, 10**6)
    found = run_chunks(choice, own, chunk_steps)

    assert choice.name == compiled.NAME
    assert_same_run(found, own, expected, tvb)


def test_after_each_chunk_tvb_can_go_on_itself(kernels: Path) -> None:
    case = Case(integrator="HeunStochastic", noise=NOISES["coloured"], monitors=MONITORS["TemporalAverage"])
    tvb, own = case.configure(), case.configure()

    choice = choose(own, "auto", kernels, 10**6)
    done = next(chunk.step for chunk in choice.stream(own, 333) if chunk.step >= 333)
    tvb.run(n_steps=done)
    expected = tvb.run(n_steps=500)
    found = own.run(n_steps=500)

    assert choice.name == compiled.NAME
    assert_same_run(found, own, expected, tvb)


def test_asking_leaves_the_simulator_as_it_was(kernels: Path) -> None:
    own = Case(integrator="HeunStochastic", monitors=MONITORS["Bold"]).configure()
    before = simulator_state.take(own)

    choose(own, "auto", kernels, 10**6)

    assert simulator_state.first_difference(before, simulator_state.take(own)) is None
    assert own.calls == 0


@pytest.mark.parametrize(
    ("case", "rows"),
    [
        (Case(model="ReducedSetHindmarshRose"), (0, 1, 2)),
        (Case(model="ReducedSetHindmarshRose", monitors=MONITORS["AfferentCoupling"]), (0, 1, 2, 3, 4, 5)),
        (Case(model="ReducedSetHindmarshRose", coupling="Difference"), (0, 1, 2)),
        (Case(model="JansenRit"), (0,)),
        (Case(model="Epileptor"), (0, 1)),
    ],
    ids=["unread", "watched", "each edge", "one mode", "all read"],
)
def test_sums_that_nothing_reads_are_not_made(case: Case, rows: tuple[int, ...]) -> None:
    assert trace_step(case.configure(), NoRecording()).coupling.rows == rows


def test_the_reference_can_be_asked_for(kernels: Path) -> None:
    choice = choose(Case(steps=10).configure(), "reference", kernels)

    assert (choice.engine, choice.reason) == (reference, "asked for")


def test_a_simulator_configured_again_must_be_asked_about_again(kernels: Path) -> None:
    own = Case(steps=10).configure()
    choice = choose(own, "auto", kernels, 10**6)
    own.configure()

    with pytest.raises(AssertionError, match="configured again"):
        list(choice.stream(own, 5))


@pytest.mark.parametrize(
    ("model", "dt"),
    [
        ("JansenRit", 40.0),
        ("EpileptorCodim3", 5.0),
        ("EpileptorCodim3SlowMod", 5.0),
        ("ReducedSetHindmarshRose", 1.0),
    ],
)
def test_a_model_that_diverges_gives_tvbs_not_a_numbers(model: str, dt: float, kernels: Path) -> None:
    coupling = "SigmoidalJansenRit" if model == "JansenRit" else "Linear"
    case = Case(model=model, coupling=coupling, integrator="HeunStochastic", dt=dt, steps=600)
    tvb, own = case.configure(), case.configure()
    with np.errstate(all="ignore"):
        expected = tvb.run()

    found = run_chunks(choose(own, "auto", kernels, 10**6), own, 100)

    assert not np.isfinite(expected[0][1]).all()
    assert_same_run(found, own, expected, tvb, is_finite=False)
