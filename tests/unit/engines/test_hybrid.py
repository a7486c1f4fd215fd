"""TVB's own step with its coupling compiled, beside TVB's own loop."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engine_cases import NOISES, Case, assert_same_run, pulse, run_chunks, watch

from tvb_batch.worker.engines import Choice, choose, hybrid, reference

CASES = {
    "each source": Case(integrator="HeunStochastic", noise=NOISES["coloured"]),
    "each edge": Case(coupling="Difference"),
    "whole rows": Case(
        model="JansenRit",
        coupling="SigmoidalJansenRit",
        monitors=watch(("AfferentCoupling", {}), ("TemporalAverage", {"period": 0.7})),
    ),
    "products in float64": Case(coupling="HyperbolicTangent"),
    "three modes": Case(model="ReducedSetHindmarshRose", dt=0.01, integrator="HeunStochastic"),
    "three modes, each edge": Case(model="ReducedSetHindmarshRose", dt=0.01, coupling="Difference"),
    "three modes, whole rows": Case(model="ReducedSetHindmarshRose", dt=0.01, coupling="Sigmoidal"),
    "stimulus": Case(stimulus=pulse),
    "no delays": Case(speed=1e9),
}


def with_model(change: type, case: Case) -> Any:
    """A simulator whose model was given another class."""
    simulator = case.configure()
    simulator.model.__class__ = type(change.__name__, (change, type(simulator.model)), {})
    return simulator


class Branching:
    """A model that looks at its state before it decides: no kernel is made of that."""

    def dfun(self, state_variables: Any, coupling: Any, local_coupling: float = 0.0) -> Any:
        rate = 0.5 if state_variables.mean() > 0.2 else 1.0
        return coupling - rate * state_variables


class Counting:
    """A model that remembers how often it was called, so that it never does the same twice."""

    count = 0

    def dfun(self, state_variables: Any, coupling: Any, local_coupling: float = 0.0) -> Any:
        type(self).count += 1
        return super().dfun(state_variables, coupling, local_coupling) / type(self).count  # type: ignore[misc]


@pytest.mark.parametrize("name", CASES)
def test_a_hybrid_run_is_tvbs_run_bit_for_bit(name: str, kernels: Path) -> None:
    tvb, own = CASES[name].configure(), CASES[name].configure()
    expected = tvb.run()

    assert hybrid.supports(own, kernels) is None
    found = run_chunks(Choice(hybrid, ""), own, 300)

    assert_same_run(found, own, expected, tvb)


def test_a_model_that_cannot_be_compiled_runs_in_python_with_the_reason(kernels: Path) -> None:
    case = Case(steps=500)
    tvb, own = with_model(Branching, case), with_model(Branching, case)
    expected = tvb.run()

    choice = choose(own, "auto", kernels, 10**6)
    found = run_chunks(choice, own, 200)

    assert (choice.name, choice.reason) == (hybrid.NAME, "cannot compile 'mean' of the state")
    assert_same_run(found, own, expected, tvb)


def test_a_model_that_never_does_the_same_twice_is_left_to_tvb(kernels: Path) -> None:
    choice = choose(with_model(Counting, Case(steps=100)), "auto", kernels, 10**6)

    assert choice.name == reference.NAME
    assert "differ from TVB's in current_state" in choice.reason


def test_a_coupling_that_sums_in_its_own_way_is_left_to_tvb(kernels: Path) -> None:
    choice = choose(Case(model="WilsonCowan", coupling="PreSigmoidal", steps=10).configure(), "auto", kernels, 10**6)

    assert choice.name == reference.NAME
    assert choice.reason == "cannot compile PreSigmoidal sums in a way of its own"


@pytest.mark.parametrize("integrator", ["Dopri5", "VODEStochastic"])
def test_an_integrator_with_a_state_of_its_own_is_left_to_tvb(integrator: str, kernels: Path) -> None:
    case = Case(integrator=integrator, steps=50)
    tvb, own = case.configure(), case.configure()
    expected = tvb.run()

    choice = choose(own, "auto", kernels, 10**6)
    found = run_chunks(choice, own, 50)

    assert choice.name == reference.NAME
    assert choice.reason.endswith(f"{integrator} keeps a state of its own")
    assert_same_run(found, own, expected, tvb)


def test_a_coupling_that_is_infinite_without_activity_is_left_to_tvb(kernels: Path) -> None:
    case = Case(
        model="JansenRit", coupling="SigmoidalJansenRit", coupling_parameters={"cmin": np.array([np.inf])}, steps=10
    )

    choice = choose(case.configure(), "auto", kernels, 10**6)

    assert choice.name == reference.NAME
    assert "infinite without activity" in choice.reason
