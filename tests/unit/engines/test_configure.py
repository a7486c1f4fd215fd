"""A simulator configured in less time is TVB's own: state, history, random streams, and all arrays inside."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engine_cases import MODELS, Case, additive
from hypothesis import given
from hypothesis import strategies as st

from tvb_batch.worker.engines import simulator_state
from tvb_batch.worker.engines.codegen.kernel_cache import load_primitives
from tvb_batch.worker.engines.configure import configure
from tvb_batch.worker.engines.runtime.random_state import MT19937State

NOISY = {"integrator": "HeunStochastic", "noise": additive(nsig=np.array([1e-3]))}
COLOURED = {"integrator": "HeunStochastic", "noise": additive(nsig=np.array([1e-3]), ntau=2.0)}


@dataclass(frozen=True)
class Raw:
    """A simulator that is not configured yet, and what happens to it before."""

    case: Case
    change: Any = None

    def make(self, monkeypatch: pytest.MonkeyPatch) -> Any:
        from tvb.simulator.simulator import Simulator

        with monkeypatch.context() as patch:
            patch.setattr(Simulator, "configure", lambda simulator: simulator)
            simulator = self.case.configure()
        if self.change is not None:
            self.change(simulator)
        return simulator


def arrays_of(history: Any) -> dict[str, Any]:
    """Everything that a history holds in its descriptors, but for what was never set."""
    names = {name for cls in type(history).__mro__ for name, one in vars(cls).items() if hasattr(one, "instance_state")}
    return {name: getattr(history, name) for name in names - {"current_state"}}


def assert_configured_alike(raw: Raw, kernels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tvb, streams = raw.make(monkeypatch).configure(), []
    streams.append(np.random.get_state())  # noqa: NPY002 - TVB draws from the global generator
    own = configure(raw.make(monkeypatch), load_primitives(kernels))
    streams.append(np.random.get_state())  # noqa: NPY002

    assert simulator_state.first_difference(simulator_state.take(tvb), simulator_state.take(own)) is None
    for one, other in zip(*streams, strict=True):
        np.testing.assert_array_equal(one, other)
    expected, found = arrays_of(tvb.history), arrays_of(own.history)
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)
        assert np.asarray(found[name]).dtype == np.asarray(value).dtype
    # TVB notes how much memory it takes, and a default that it reads for that.
    noted = {"_memory_requirement_guess", "_memory_requirement_census", "conduction_speed"}
    assert vars(own).keys() == vars(tvb).keys() - noted


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("noise", [{}, NOISY, COLOURED], ids=["deterministic", "white", "coloured"])
def test_every_model_is_configured_as_by_tvb(
    kernels: Path, monkeypatch: pytest.MonkeyPatch, model: str, noise: dict[str, Any]
) -> None:
    assert_configured_alike(Raw(Case(model=model, steps=10, **noise)), kernels, monkeypatch)


def given_conditions(simulator: Any) -> None:
    simulator.initial_conditions = np.full((3, 2, 76, 1), 0.25)


def clamped(simulator: Any) -> None:
    simulator.integrator.clamped_state_variable_indices = np.array([1])
    simulator.integrator.clamped_state_variable_values = np.array([[0.5]])


def bounded(simulator: Any) -> None:
    vars(simulator.model)["state_variable_boundaries"] = {"V": np.array([-0.5, np.inf]), "W": np.array([-np.inf, 1.0])}


def of_range(simulator: Any, low: float, high: float) -> None:
    # TVB gives all models the same one, and sets it for good.
    ranges = {**simulator.model.state_variable_range, "V": np.array([low, high])}
    vars(simulator.model)["state_variable_range"] = ranges


def own_range(simulator: Any) -> None:
    of_range(simulator, 3.0, 3.0)


@pytest.mark.parametrize("change", [given_conditions, clamped, bounded, own_range])
def test_what_is_left_to_tvb_is_tvbs(kernels: Path, monkeypatch: pytest.MonkeyPatch, change: Any) -> None:
    assert_configured_alike(Raw(Case(steps=10, **NOISY), change), kernels, monkeypatch)


def test_a_history_is_nobody_elses(kernels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    primitives, raw = load_primitives(kernels), Raw(Case(steps=10))
    first, second = (configure(raw.make(monkeypatch), primitives) for _ in range(2))
    untouched = second.history.buffer.copy()

    first.run()

    np.testing.assert_array_equal(second.history.buffer, untouched)
    other = replace(raw.case, speed=7.0)
    assert_configured_alike(Raw(other), kernels, monkeypatch)


def test_a_range_that_tvb_refuses_is_refused(kernels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def endless(simulator: Any) -> None:
        of_range(simulator, -np.inf, 1.0)

    with pytest.raises(OverflowError, match="Range exceeds"):
        configure(Raw(Case(steps=10), endless).make(monkeypatch), load_primitives(kernels))


@given(
    seed=st.integers(0, 2**32 - 1), odd=st.booleans(),
    parts=st.lists(st.tuples(st.booleans(), st.integers(0, 2000)), max_size=6),
    low=st.floats(-1e6, 1e6), width=st.floats(0.0, 1e6),
)  # fmt: skip
def test_numbers_that_are_drawn_and_passed_over_are_numpys(
    kernels: Path, seed: int, odd: bool, parts: list[tuple[bool, int]], low: float, width: float
) -> None:
    primitives, numpy = load_primitives(kernels), np.random.RandomState(seed)
    if odd:
        numpy.randint(2**32, dtype=np.uint32)
    own, stream = MT19937State(primitives, numpy), np.random.RandomState(0)
    high = low + width

    for is_kept, count in parts:
        expected, found = numpy.uniform(low, high, count), np.empty(count)
        if is_kept:
            primitives.fill_uniforms(own.key, own.words, own.used, low, high - low, found)
            np.testing.assert_array_equal(found, expected)
        else:
            primitives.skip_uniforms(own.key, own.words, own.used, count)

    own.put_back(stream)
    assert stream.random_sample() == numpy.random_sample()
