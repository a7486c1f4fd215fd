"""One job in this process: TVB's numbers, and complete files or none."""

import dataclasses
import errno
import json
import tracemalloc
from datetime import timedelta
from pathlib import Path

import h5py
import numpy as np
import pytest
from conftest import EXAMPLES
from runs import claimed

from tvb_batch.models.catalogue.status import Status
from tvb_batch.models.errors import CanceledError, InputError, LeaseLostError, OutputError, SpecError
from tvb_batch.models.spec.simulation import SimulationSpec
from tvb_batch.submit.intake.spec_file import load_spec_file
from tvb_batch.worker.h5.verify import sha256
from tvb_batch.worker.job.heartbeat import StoppedError
from tvb_batch.worker.job.run import run_job

LEASE = timedelta(seconds=60)


def seed_simulation_in_tvb(seed: int):
    """Run the seed simulation as a script does, without this program."""
    from tvb.datatypes.connectivity import Connectivity
    from tvb.simulator import coupling, integrators, models, monitors, noise, simulator

    jansen_rit = models.JansenRit(mu=np.array([0.0]), v0=np.array([6.0]))
    sigma = np.zeros(6)
    sigma[3] = (jansen_rit.a[0] * jansen_rit.A[0] * (jansen_rit.p_max[0] - jansen_rit.p_min[0]) * 0.5) ** 2 / 2.0
    return simulator.Simulator(
        model=jansen_rit,
        connectivity=Connectivity.from_file(),
        coupling=coupling.SigmoidalJansenRit(a=np.array([10.0])),
        integrator=integrators.HeunStochastic(dt=2**-4, noise=noise.Additive(nsig=sigma, noise_seed=seed)),
        monitors=[monitors.TemporalAverage(period=2**-2)],
        simulation_length=1000.0,
    ).configure()


def test_the_seed_simulation_equals_tvbs_own_run_bit_for_bit(settings, catalogue) -> None:
    spec = load_spec_file(str(EXAMPLES / "jansen_rit.yaml"))
    [(time, data)] = seed_simulation_in_tvb(spec.base.seed).run()

    sweep = catalogue.add_sweep(spec, reuse=False)
    claim = catalogue.claim(catalogue.jobs(sweep=sweep.gid)[0].gid, "test", LEASE)
    [output] = run_job(catalogue, settings, claim)

    with h5py.File(settings.storage.absolute(output.path)) as file:
        assert file["data"].shape == (4000, *data.shape[1:])
        np.testing.assert_array_equal(file["data"][()], data)
        np.testing.assert_array_equal(file["time"][()], time)


@pytest.mark.parametrize("chunk_bytes", [1, 100_000])
def test_the_size_of_a_chunk_changes_no_bit(settings, catalogue, chunk_bytes: int) -> None:
    monitors = [
        {"class": "Raw"},
        {"class": "TemporalAverage", "period": 3.5},
        {"class": "GlobalAverage", "period": 2.0},
        {"class": "SubSample", "period": 5.0},
        {"class": "Bold", "period": 500.0},
    ]
    changes = {"monitors": monitors, "simulation_length": 1000.0, "integrator": {"class": "HeunStochastic", "dt": 0.5}}

    whole = run_job(catalogue, settings, claimed(catalogue, **changes))
    chunked_settings = settings.model_copy(update={"chunk_bytes": chunk_bytes})
    chunked = run_job(catalogue, chunked_settings, claimed(catalogue, **changes))

    assert [output.datatype for output in whole] == ["TimeSeriesRegion"] * 2 + ["TimeSeries"] + ["TimeSeriesRegion"] * 2
    for one, other in zip(whole, chunked, strict=True):
        with (
            h5py.File(settings.storage.absolute(one.path)) as a,
            h5py.File(settings.storage.absolute(other.path)) as b,
        ):
            np.testing.assert_array_equal(a["data"][()], b["data"][()])
            np.testing.assert_array_equal(a["time"][()], b["time"][()])


@pytest.mark.parametrize("compression", ["lzf", "gzip"])
@pytest.mark.parametrize("format_", ["tvb1", "tvb2"])
def test_a_compressed_file_holds_the_same_in_less(settings, catalogue, compression: str, format_: str) -> None:
    changes = {"format": format_, "simulation_length": 1000.0}
    smaller = settings.model_copy(update={"compression": compression})

    [plain] = run_job(catalogue, settings, claimed(catalogue, **changes))
    [compressed] = run_job(catalogue, smaller, claimed(catalogue, **changes))

    path = settings.storage.absolute(compressed.path)
    assert (path.stat().st_size, sha256(path)) == (compressed.bytes, compressed.sha256)
    assert compressed.bytes < plain.bytes
    with h5py.File(path) as a, h5py.File(settings.storage.absolute(plain.path)) as b:
        assert {a[name].compression for name in ("data", "time")} == {compression}
        for name in ("data", "time"):
            np.testing.assert_array_equal(a[name][()], b[name][()])
            assert dict(a[name].attrs) == dict(b[name].attrs)
    assert len(list(path.parent.iterdir())) == 1


def test_a_file_that_cannot_be_compressed_is_kept_as_it_is(settings, catalogue, monkeypatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("tvb_batch.worker.h5.compress.check_room", refuse)

    [output] = run_job(catalogue, settings.model_copy(update={"compression": "gzip"}), claimed(catalogue))

    with h5py.File(settings.storage.absolute(output.path)) as file:
        assert file["data"].compression is None


def test_a_simulation_without_noise_is_repeated_exactly(settings, catalogue) -> None:
    changes = {"integrator": {"class": "HeunDeterministic", "dt": 0.5}, "seed": 7}

    [first] = run_job(catalogue, settings, claimed(catalogue, **changes))
    np.random.random(1000)  # noqa: NPY002 - TVB draws initial conditions from here
    [second] = run_job(catalogue, settings, claimed(catalogue, **changes))

    with (
        h5py.File(settings.storage.absolute(first.path)) as a,
        h5py.File(settings.storage.absolute(second.path)) as b,
    ):
        np.testing.assert_array_equal(a["data"][()], b["data"][()])


def test_conduction_speed_reaches_the_delays(settings, catalogue) -> None:
    def data(speed: float) -> np.ndarray:
        [output] = run_job(
            catalogue, settings, claimed(catalogue, conduction_speed=speed, coupling={"class": "Linear", "a": 0.1},
                                         simulation_length=60.0)
        )  # fmt: skip
        with h5py.File(settings.storage.absolute(output.path)) as file:
            return file["data"][()]

    assert not np.array_equal(data(3.0), data(30.0))


def test_the_row_and_the_file_say_what_was_run(settings, catalogue) -> None:
    claim = claimed(catalogue, seed=7, subject="S1", title="a title", user_tags=["tag"])

    [output] = run_job(catalogue, settings, claim)

    job = catalogue.find_job(str(claim.gid))
    assert (job.status, job.progress, job.engine) == (Status.FINISHED, 1.0, "reference")
    assert job.versions["tvb-library"].startswith("2.10")
    with h5py.File(settings.storage.absolute(output.path)) as file:
        provenance = dict(file["tvb_batch"].attrs)
        assert (file.attrs["TVB_subject"], file.attrs["TVB_title"]) == ("S1", "a title")
        assert file.attrs["TVB_user_tag_1"] == "tag"
        assert json.loads(file.attrs["TVB_labels_dimensions"]) == {"State Variable": ["V"]}
    assert SimulationSpec.model_validate_json(provenance["spec"]).parameters_hash() == job.parameters_hash
    assert provenance["seed"] == "7"
    assert json.loads(provenance["versions"]) == job.versions


def test_a_result_with_nan_is_a_result(settings, catalogue) -> None:
    changes = {
        "model": {"class": "Generic2dOscillator", "tau": 1e6},
        "integrator": {"class": "EulerDeterministic", "dt": 0.5},
    }

    with np.errstate(all="ignore"):
        [output] = run_job(catalogue, settings, claimed(catalogue, **changes))

    assert output.is_nan


@pytest.mark.parametrize(
    ("end", "fault"),
    [
        (lambda catalogue, claim: catalogue.cancel(job=claim.gid), CanceledError),
        (lambda catalogue, claim: catalogue.release(claim), LeaseLostError),
    ],
)
def test_a_job_taken_away_leaves_no_file(settings, catalogue, monkeypatch, end, fault) -> None:
    monkeypatch.setattr("tvb_batch.worker.job.heartbeat.HEARTBEAT_EVERY", 0.0)
    claim = claimed(catalogue, simulation_length=5000.0)
    end(catalogue, claim)

    with pytest.raises(fault):
        run_job(catalogue, settings, claim)

    assert files(settings) == []


def test_a_stopping_worker_leaves_a_checkpoint(settings, catalogue) -> None:
    claim = claimed(catalogue, simulation_length=5000.0)

    with pytest.raises(StoppedError):
        run_job(catalogue, settings, claim, should_stop=lambda: True)

    assert sorted(path.suffix for path in files(settings)) == [".npz", ".part"]


def test_a_job_lost_before_its_finish_leaves_no_file(settings, catalogue) -> None:
    claim = claimed(catalogue)
    catalogue.release(claim)

    with pytest.raises(LeaseLostError):
        run_job(catalogue, settings, claim)

    assert files(settings) == []


@pytest.mark.parametrize("path", ["/etc/passwd.zip", "inputs/../catalogue.sqlite", "inputs/../x.zip", "../outside.zip"])
def test_a_path_outside_the_inputs_is_refused(settings, catalogue, path: str) -> None:
    claim = claimed(catalogue)
    base = {**claim.shared.base, "connectivity": {"from_file": path}}
    forged = dataclasses.replace(claim, shared=dataclasses.replace(claim.shared, base=base))

    with pytest.raises((InputError, OutputError, SpecError)):
        run_job(catalogue, settings, forged)


def test_an_output_directory_that_cannot_be_written_gives_one_line(settings, catalogue) -> None:
    (settings.storage.root / "outputs").write_text("a file in the way")

    with pytest.raises(OutputError, match="outputs"):
        run_job(catalogue, settings, claimed(catalogue))


#: Enough steps to be worth compiling.
LONG = {"simulation_length": 6000.0, "monitors": [{"class": "TemporalAverage", "period": 100.0}, {"class": "Raw"}]}


def test_the_compiled_engine_writes_the_bits_of_tvbs_own_loop(settings, catalogue) -> None:
    fast, slow = claimed(catalogue, **LONG), claimed(catalogue, **LONG, engine="reference")

    ours, tvbs = (run_job(catalogue, settings, claim) for claim in (fast, slow))

    for mine, theirs in zip(ours, tvbs, strict=True):
        with (
            h5py.File(settings.storage.absolute(mine.path)) as a,
            h5py.File(settings.storage.absolute(theirs.path)) as b,
        ):
            np.testing.assert_array_equal(a["data"][()], b["data"][()])
            np.testing.assert_array_equal(a["time"][()], b["time"][()])
            assert (a["tvb_batch"].attrs["engine"], b["tvb_batch"].attrs["engine"]) == ("compiled", "reference")
    jobs = [catalogue.find_job(str(claim.gid)) for claim in (fast, slow)]
    assert [(job.engine, job.engine_reason) for job in jobs] == [("compiled", None), ("reference", "asked for")]
    assert jobs[0].parameters_hash == jobs[1].parameters_hash


def test_a_job_that_lost_its_worker_runs_in_tvbs_own_loop(settings, catalogue) -> None:
    claim = dataclasses.replace(claimed(catalogue, **LONG), attempt=2)

    run_job(catalogue, settings, claim)

    assert catalogue.find_job(str(claim.gid)).engine == "reference"


def files(settings) -> list[Path]:
    return [path for path in (settings.storage.root / "outputs").rglob("*") if path.is_file()]


def test_memory_is_bounded_by_the_chunk_and_not_by_the_simulation(settings, catalogue, monkeypatch) -> None:
    monkeypatch.setattr("tvb_batch.worker.h5.verify.BLOCK", 200_000)
    # This buffer is bounded too, above the output of this simulation.
    monkeypatch.setattr("tvb_batch.worker.h5.verify.WHOLE", 200_000)
    monkeypatch.setattr("tvb_batch.worker.job.metrics.WINDOW", 200_000)
    monkeypatch.setattr("tvb_batch.worker.job.metrics.CHUNK", 200_000)
    small_chunks = settings.model_copy(update={"chunk_bytes": 200_000})

    def peak(simulation_length: float) -> int:
        changes = {"monitors": [{"class": "Raw"}], "engine": "reference", "simulation_length": simulation_length}
        claim = claimed(catalogue, **changes)
        tracemalloc.start()
        [output] = run_job(catalogue, small_chunks, claim)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert output.shape[0] == simulation_length / 0.5
        return peak

    peak(500.0)  # Warm up first.
    short, long = peak(500.0), peak(5000.0)

    # Ten times the output, 11 MB more of it.
    assert long < short + 1_000_000
