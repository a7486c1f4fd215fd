"""Checkpoints: complete, atomic, and only for the same program and machine."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from tvb_cases import CASES, Case
from tvb_runs import MANY, PARTS, configured

from tvb_batch.models.errors import OutputError
from tvb_batch.worker.engines import choose, reference, simulator_state
from tvb_batch.worker.engines.simulator_state import Snapshot
from tvb_batch.worker.job import checkpoint
from tvb_batch.worker.job.checkpoint import Checkpoint, SavedSeries

HERE = {"format": "1", "numpy": "2"}
NAME = "checkpoint_1.npz"


def interrupted(case: Case, cache: Path, directory: Path, engine: str, at: int) -> tuple[list, object]:
    """Save a run after a chunk and continue it with another simulator; return its chunks and that simulator."""
    first = configured(case)
    stream = choose(first, engine, cache, MANY).stream(first, at)
    chunks = [next(stream)]
    while chunks[-1].step < at:
        chunks.append(next(stream))
    assert simulator_state.unsaved(first) is None
    checkpoint.save_checkpoint(
        directory / NAME, HERE, Checkpoint(chunks[-1].step, 1.0, (), simulator_state.take(first))
    )

    second = configured(case)
    choice = choose(second, engine, cache, MANY)
    [(_, saved)] = checkpoint.find_checkpoints(directory, HERE)
    simulator_state.put_back(second, saved.snapshot)
    return chunks + list(choice.stream(second, 1000, saved.step)), second


def assert_goes_on_as_tvb(case: Case, cache: Path, directory: Path, engine: str, at: int) -> None:
    chunks, ours = interrupted(case, cache, directory, engine, at)

    theirs = configured(case)
    [*_, last] = whole = list(reference.stream(theirs, 1000))
    assert chunks[-1].step == last.step
    for index in range(len(theirs.monitors)):
        for name in ("time", "data"):
            mine, tvbs = (
                [getattr(chunk.samples[index], name) for chunk in run if chunk.samples[index] is not None]
                for run in (chunks, whole)
            )
            np.testing.assert_array_equal(np.concatenate(mine), np.concatenate(tvbs))
    assert simulator_state.first_difference(simulator_state.take(theirs), simulator_state.take(ours)) is None


@pytest.mark.parametrize("case", [case for case in CASES if not case.is_slow], ids=str)
def test_a_saved_simulation_continues_with_tvbs_bits(case, kernels, tmp_path) -> None:
    assert_goes_on_as_tvb(case, kernels, tmp_path, "reference", 23)


@pytest.mark.parametrize("case", [case for case in PARTS if not case.is_slow], ids=str)
def test_a_saved_simulation_continues_in_the_chosen_engine(case, kernels, tmp_path) -> None:
    assert_goes_on_as_tvb(case, kernels, tmp_path, "auto", 29)


@pytest.mark.parametrize("engine", ["reference", "auto"])
def test_a_saved_surface_simulation_continues_with_tvbs_bits(engine, kernels, tmp_path) -> None:
    case = next(case for case in CASES if case.is_slow)

    assert_goes_on_as_tvb(case, kernels, tmp_path, engine, 8)


def test_one_engine_continues_where_another_stopped(kernels, tmp_path) -> None:
    case = next(case for case in CASES if case.name == "several monitors")
    first, second, theirs = configured(case), configured(case), configured(case)
    choose(second, "auto", kernels, MANY)
    chunk = next(choose(first, "auto", kernels, MANY).stream(first, 8))

    simulator_state.put_back(second, simulator_state.take(first))
    list(reference.stream(second, 1000, chunk.step))
    list(reference.stream(theirs, 1000))

    assert simulator_state.first_difference(simulator_state.take(theirs), simulator_state.take(second)) is None


def test_a_users_class_whose_state_cannot_be_saved_is_reported(kernels) -> None:
    from tvb.simulator.monitors import TemporalAverage

    class Remembering(TemporalAverage):
        def config_for_sim(self, simulator):
            super().config_for_sim(simulator)
            self.seen = []

    case = Case("own", {"monitors": lambda: [Remembering(period=1.0)]})

    assert simulator_state.unsaved(configured(case)) == "monitors[0].seen of Remembering is a list"


# ---------------------------------------------------------------------------------------------------------- the file


def a_checkpoint(step: int = 7) -> Checkpoint:
    values = {"a": np.arange(6.0).reshape(2, 3), "b": (1, "MT", np.arange(3, dtype=np.uint32)), "c": None,
              "d": {"e": 0.1, "f": np.zeros(0)}, "g": float("nan")}  # fmt: skip
    return Checkpoint(step, 1.5, (None, SavedSeries("x.h5.part", 3, 2**63, (1, 2, 3))), Snapshot(values))


def test_a_saved_checkpoint_is_found(tmp_path) -> None:
    checkpoint.save_checkpoint(tmp_path / NAME, HERE, a_checkpoint())

    [(path, found)] = checkpoint.find_checkpoints(tmp_path, HERE)

    assert path == tmp_path / NAME
    assert (found.step, found.seconds, found.series) == (7, 1.5, a_checkpoint().series)
    np.testing.assert_equal(found.snapshot.values, a_checkpoint().snapshot.values)
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


def test_the_most_advanced_checkpoint_comes_first(tmp_path) -> None:
    for step in (3, 10, 2):
        checkpoint.save_checkpoint(tmp_path / f"checkpoint_{step}.npz", HERE, a_checkpoint(step))

    assert [found.step for _, found in checkpoint.find_checkpoints(tmp_path, HERE)] == [10, 3, 2]


@pytest.mark.parametrize("name", ["format", "numpy", "parameters_hash"])
def test_a_checkpoint_of_another_simulation_is_ignored(tmp_path, name) -> None:
    checkpoint.save_checkpoint(tmp_path / NAME, {**HERE, name: "other"}, a_checkpoint())

    assert list(checkpoint.find_checkpoints(tmp_path, HERE)) == []


@pytest.mark.parametrize("at", [0, 40, 300, -40, -1])
def test_a_checkpoint_with_a_flipped_bit_is_ignored(tmp_path, at) -> None:
    checkpoint.save_checkpoint(tmp_path / NAME, HERE, a_checkpoint())
    content = bytearray((tmp_path / NAME).read_bytes())
    content[at] ^= 4
    (tmp_path / NAME).write_bytes(content)

    assert list(checkpoint.find_checkpoints(tmp_path, HERE)) == []


@pytest.mark.parametrize("length", [0, 10, 500, -1])
def test_a_truncated_checkpoint_is_ignored(tmp_path, length) -> None:
    checkpoint.save_checkpoint(tmp_path / NAME, HERE, a_checkpoint())
    (tmp_path / NAME).write_bytes((tmp_path / NAME).read_bytes()[:length])

    assert list(checkpoint.find_checkpoints(tmp_path, HERE)) == []


def test_a_checkpoint_holds_no_code(tmp_path) -> None:
    with pytest.raises(ValueError, match="objects"):
        checkpoint.save_checkpoint(tmp_path / NAME, HERE, Checkpoint(1, 0, (), Snapshot({"a": np.array([object()])})))


def test_a_failed_save_keeps_the_previous_checkpoint(tmp_path) -> None:
    checkpoint.save_checkpoint(tmp_path / NAME, HERE, a_checkpoint(3))
    (tmp_path / f"{NAME}.part").mkdir()

    with pytest.raises(OutputError):
        checkpoint.save_checkpoint(tmp_path / NAME, HERE, a_checkpoint(4))

    assert [found.step for _, found in checkpoint.find_checkpoints(tmp_path, HERE)] == [3]


def test_a_checkpoint_records_the_processors_features(tmp_path) -> None:
    import subprocess
    import sys

    program = "import json; from tvb_batch.worker.job.checkpoint import fingerprint; print(json.dumps(fingerprint('h', {'numpy': '2'})))"
    here, elsewhere = (
        json.loads(subprocess.run([sys.executable, "-c", program], env={**os.environ, **changes}, capture_output=True,
                                  text=True, check=True, cwd=Path(__file__).parent.parent.parent.parent).stdout)
        for changes in ({}, {"NPY_DISABLE_CPU_FEATURES": "AVX2 FMA3 X86_V3 X86_V4 AVX512F"})
    )  # fmt: skip

    assert here == checkpoint.fingerprint("h", {"numpy": "2"})
    if "x86_64" in here["machine"]:
        assert here["machine"] != elsewhere["machine"]
