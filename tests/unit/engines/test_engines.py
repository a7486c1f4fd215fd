"""Every engine gives TVB's bits: samples, state, history and random streams; and what cannot be compiled is left to TVB."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import SHORT
from tvb_cases import CASES, Case
from tvb_runs import LEFT_TO_TVB, MANY, PARTS, configured

from tvb_batch.models.paths import Storage
from tvb_batch.models.spec.simulation import simulation
from tvb_batch.models.tvb.input_store import Inputs
from tvb_batch.worker.bounded_cache import BoundedCache
from tvb_batch.worker.engines import WORTH_COMPILING, choose, compiled, reference
from tvb_batch.worker.job.simulator import build_simulator


@pytest.fixture(scope="session")
def kernels(request: pytest.FixtureRequest) -> Path:
    """Kernels are kept from one run of the tests to the next: compiling one takes seconds."""
    return Path(request.config.cache.mkdir("kernels"))


def assert_equal_to_tvb(case: Case, cache: Path, chunk_steps: int, **changes: Any) -> str:
    """Run a case with the engine that is chosen and in TVB; gives the engine's name."""
    ours, theirs = configured(case, **changes), configured(case, **changes)
    engine = choose(ours, "auto", cache, MANY)

    chunks = list(engine.stream(ours, chunk_steps))

    with np.errstate(all="ignore"):
        expected = theirs.run()
    for index, (time, data) in enumerate(expected):
        found = [chunk.samples[index] for chunk in chunks if chunk.samples[index] is not None]
        np.testing.assert_array_equal(np.concatenate([sample.time for sample in found]), time)
        np.testing.assert_array_equal(np.concatenate([sample.data for sample in found]), data)
    np.testing.assert_array_equal(ours.current_state, theirs.current_state)
    np.testing.assert_array_equal(ours.history.buffer, theirs.history.buffer)
    assert ours.current_step == theirs.current_step
    noise = getattr(ours.integrator, "noise", None)
    if noise is not None:
        for mine, tvbs in zip(
            noise.random_stream.get_state(), theirs.integrator.noise.random_stream.get_state(), strict=True
        ):
            np.testing.assert_array_equal(mine, tvbs)
    return engine.name


@pytest.mark.parametrize("case", PARTS, ids=str)
def test_every_part_has_tvbs_bits(case, kernels) -> None:
    name = assert_equal_to_tvb(case, kernels, 25)

    assert name == (reference.NAME if case.name in LEFT_TO_TVB else compiled.NAME)


@pytest.mark.parametrize("name", LEFT_TO_TVB)
def test_the_documentation_says_what_is_left_to_tvb_and_why(name, kernels) -> None:
    case = next(case for case in CASES if case.name == name)

    engine = choose(configured(case), "auto", kernels, MANY)

    assert engine.name == reference.NAME
    assert LEFT_TO_TVB[name] in engine.reason


@pytest.mark.parametrize("chunk_steps", [1, 7, 2000])
def test_the_size_of_a_chunk_changes_nothing(kernels, chunk_steps) -> None:
    case = next(case for case in CASES if case.name == "several monitors")

    assert assert_equal_to_tvb(case, kernels, chunk_steps) == compiled.NAME


# --------------------------------------------------------------------------------------------------------- choosing


def simulator(tmp_path: Path, **changes: Any) -> Any:
    return build_simulator(simulation({**SHORT, **changes}), Inputs(Storage(tmp_path)))


def test_the_reference_is_taken_where_it_is_asked_for(tmp_path, kernels) -> None:
    assert choose(simulator(tmp_path), "reference", kernels, MANY).reason == "asked for"


def test_few_steps_are_not_worth_compiling_for(tmp_path) -> None:
    engine = choose(simulator(tmp_path), "auto", tmp_path / "kernels", WORTH_COMPILING // 40 - 1)

    assert (engine.name, "not worth compiling" in engine.reason) == (reference.NAME, True)
    assert not (tmp_path / "kernels").exists()


def test_a_step_of_a_surface_counts_as_many(kernels) -> None:
    case = next(case for case in CASES if case.name == "surface, all monitors")
    made = configured(case)
    steps = reference.count_steps(made)

    assert choose(made, "auto", kernels, WORTH_COMPILING // (17 * steps)).name == reference.NAME
    assert choose(made, "auto", kernels, WORTH_COMPILING // (15 * steps)).name == compiled.NAME


def test_what_cannot_be_compiled_says_why_and_is_left_as_it_was(tmp_path, kernels) -> None:
    made = simulator(tmp_path, integrator={"class": "VODE", "dt": 0.5})
    before = made.current_state.copy()

    engine = choose(made, "auto", kernels, MANY)

    assert engine.name == reference.NAME
    assert "cannot compile" in engine.reason
    np.testing.assert_array_equal(made.current_state, before)
    assert made.current_step == simulator(tmp_path).current_step


def test_a_model_of_ones_own_is_compiled_or_left_to_tvb_and_never_wrong(kernels) -> None:
    from tvb.simulator.models import Generic2dOscillator

    class Odd(Generic2dOscillator):
        def dfun(self, state, coupling, local_coupling=0.0):
            return np.sort(super().dfun(state, coupling, local_coupling), axis=0)

    assert_equal_to_tvb(Case("odd", {"model": Odd}), kernels, 25)


def test_kernels_are_kept_for_the_next_process(tmp_path, kernels) -> None:
    choose(simulator(tmp_path), "auto", kernels, MANY)

    assert list(kernels.glob("kernel_*.py"))
    assert list(kernels.rglob("*.kept"))


def test_steps_are_compared_again_for_other_monitors_and_now_and_then(tmp_path, kernels, monkeypatch) -> None:
    compared = []
    compare = compiled.find_difference
    monkeypatch.setattr(compiled, "find_difference", lambda *given: compared.append(given[-1]) or compare(*given))
    monkeypatch.setattr(compiled, "_TRUSTED", BoundedCache(2))

    for a in range(compiled.AGAIN_EVERY + 1):
        choose(simulator(tmp_path, coupling={"class": "Linear", "a": 0.01 * a}), "auto", kernels, MANY)
    first, again = compiled.CHECKED_STEPS, compiled.CHECKED_AGAIN
    assert compared == [first, again]

    choose(simulator(tmp_path, monitors=[{"class": "GlobalAverage", "period": 1.0}]), "auto", kernels, MANY)
    assert compared == [first, again, first]
