"""Speed of the compiled engine compared with TVB's `sim.run()`, measured in turns in one process.

python -m benchmarks.engine [PART...]      cases whose names contain a part; without parts, all cases

The ratio counts only the run and, as `with checks`, also the choice of the engine. Kernels are warm, as for all jobs of
a sweep except the first. Every turn also compares the outputs bit for bit. Kernels come from the cache of this host's
workers, so a second call takes some minutes at most.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from benchmarks.table import FASTER, TURNS, TVB, Row, number, show
from tvb_batch.models.catalogue import Catalogue
from tvb_batch.models.paths import Storage
from tvb_batch.models.settings import load_settings
from tvb_batch.models.spec.simulation import simulation
from tvb_batch.models.spec.sweep import SweepSpec
from tvb_batch.models.tvb.components import components
from tvb_batch.models.tvb.input_store import Inputs
from tvb_batch.worker.engines import choose, reference
from tvb_batch.worker.job.run import run_job
from tvb_batch.worker.job.simulator import build_simulator

#: Steps of a case, of one of many regions, of a surface, and of a whole job.
STEPS, FEW_STEPS, SURFACE_STEPS, JOB_STEPS = 1_500, 500, 400, 16_000
SURFACE, JOB, JOB_BASELINE = "surface", "whole job", "TVB's configure, run and np.save"

SEED: dict[str, Any] = {
    "model": {"class": "JansenRit", "mu": 0.0, "v0": 6.0},
    "coupling": {"class": "SigmoidalJansenRit", "a": 10.0},
    "integrator": {
        "class": "HeunStochastic", "dt": 0.0625, "noise": {"class": "Additive", "nsig": [0, 0, 0, 0.000528125, 0, 0]},
    },
    "monitors": [{"class": "TemporalAverage", "period": 0.25}],
}  # fmt: skip
_PLAIN = {"coupling": "Linear", "integrator": {"class": "HeunDeterministic", "dt": 0.1}}
#: Models that leave their range with that step, and one that is short enough.
STIFF = {
    "CoombesByrne": 0.02,
    "DumontGutkin": 0.01,
    "GastSchmidtKnosche_SF": 0.01,
    "KIonEx": 0.01,
    "MontbrioPazoRoxin": 0.01,
    "ReducedSetFitzHughNagumo": 0.01,
    "ReducedSetHindmarshRose": 0.01,
    "SupHopf": 0.01,
}
#: The same for initial conditions: lowest and highest of each state variable.
STARTS = {
    "CoombesByrne": ((0.3, -0.5, 0.0, 0.0), (1.0, 0.5, 0.5, 0.5)),
    # In a part of its own ranges no potassium is left outside.
    "KIonEx": ((0.0, -90.0, 0.0, -10.0, -20.0), (1.0, 10.0, 1.0, -8.0, -5.0)),
}


def start_of(model: str, nodes: int) -> NDArray[np.float64] | None:
    """Return initial conditions, (1, state variables, nodes, 1), for a model whose own ranges are too wide."""
    if model not in STARTS:
        return None
    lowest, highest = STARTS[model]
    drawn = np.random.default_rng(0).uniform(lowest, highest, (nodes, len(lowest)))
    return drawn.T[np.newaxis, :, :, np.newaxis]


def _of_model(name: str) -> dict[str, Any]:
    own: dict[str, Any] = {**SEED, **_PLAIN, "model": name}
    if name in STIFF:
        own["integrator"] = {"class": "HeunDeterministic", "dt": STIFF[name]}
    if (start := start_of(name, 76)) is not None:
        own["initial_conditions"] = start.tolist()
    return own


_G2D = {**SEED, **_PLAIN, "model": "Generic2dOscillator"}
_CORTEX = {
    "region_mapping_data": {"from_file": "regionMapping_16k_76.txt", "surface": "cortex_16384.zip"},
    "local_connectivity": "local_connectivity_16384.mat", "coupling_strength": 0.00001,
}  # fmt: skip
_NOISY = {"class": "HeunStochastic", "dt": 0.0625, "noise": {"class": "Additive", "nsig": [0.0001]}}
CASES: dict[str, dict[str, Any]] = {
    "seed simulation": SEED,
    **{f"model {name}": _of_model(name) for name in components("model")},
    **{
        f"coupling {name}": {**_G2D, "coupling": name}
        for name in ("Difference", "HyperbolicTangent", "Kuramoto", "Scaling", "Sigmoidal")
    },
    "integrator EulerStochastic": {**_G2D, "integrator": {"class": "EulerStochastic", "dt": 0.1}},
    "integrator RungeKutta4thOrder": {**_G2D, "integrator": {"class": "RungeKutta4thOrderDeterministic", "dt": 0.1}},
    **{
        f"monitor {name}": {**_G2D, "monitors": [{"class": name, **more}]}
        for name, more in {
            "Raw": {}, "SubSample": {"period": 1.0}, "GlobalAverage": {"period": 1.0},
            "SpatialAverage": {"period": 1.0}, "Bold": {"period": 50.0}, "AfferentCoupling": {},
        }.items()
    },
    "192 regions": {**SEED, "connectivity": "connectivity_192.zip"},
    **{
        f"{SURFACE} {name}": {**SEED, "model": name, "coupling": coupling, "surface": _CORTEX, "integrator": _NOISY}
        for name, coupling in (
            ("Epileptor", "Difference"), ("Generic2dOscillator", "Linear"), ("JansenRit", "SigmoidalJansenRit"),
        )
    },
}  # fmt: skip


def measure(case: Mapping[str, Any], inputs: Inputs, kernels: Path) -> tuple[float, float, float, str]:
    """Return the milliseconds of TVB, of the engine and of its choice, and the engine's name."""
    spec = simulation({**case, "simulation_length": _steps(case) * _dt(case)})
    ours, theirs = build_simulator(spec, inputs), build_simulator(spec, inputs)
    started = time.perf_counter()
    engine = choose(ours, "auto", kernels, 10**6)
    chosen = time.perf_counter()
    chunks = list(engine.stream(ours, reference.MOST_STEPS))
    ended = time.perf_counter()
    [(_, data)] = theirs.run()
    tvb = time.perf_counter() - ended
    found = np.concatenate([chunk.samples[0].data for chunk in chunks if chunk.samples[0] is not None])
    assert np.isfinite(data).all(), "the model left its range"
    assert np.array_equal(found, data), "the bits differ"
    return 1000 * tvb, 1000 * (ended - chosen), 1000 * (chosen - started), engine.name


def job_measure(directory: Path) -> Callable[[Inputs, Path], tuple[float, float, float, str]]:
    """Return a `measure` that runs the next job of a sweep as a warm worker does: claim to finish, with H5 and metrics.

    Its baseline is TVB's configure, run and `np.save`.
    """
    settings = load_settings(data_dir=directory)
    catalogue = Catalogue.open(settings.database, create=True)
    base = simulation({**SEED, "simulation_length": JOB_STEPS * _dt(SEED)})
    plan = {"model.mu": [0.01 * turn for turn in range(TURNS + 1)]}
    sweep = catalogue.add_sweep(SweepSpec(name="warm", base=base, plan=plan), reuse=False)
    turns = count()

    def measure_next(inputs: Inputs, kernels: Path) -> tuple[float, float, float, str]:
        turn = next(turns)
        job = catalogue.jobs(sweep=sweep.gid)[turn]
        started = time.perf_counter()
        claim = catalogue.claim(job.gid, "benchmark", timedelta(seconds=600))
        assert claim is not None
        [output] = run_job(catalogue, settings, claim)
        ended = time.perf_counter()
        [(_, data)] = build_simulator(claim.spec, inputs).run()
        np.save(directory / "data.npy", data)
        tvb = time.perf_counter() - ended
        with h5py.File(settings.storage.absolute(output.path)) as file:
            assert np.array_equal(file["data"][()], data), "the bits differ"
        return 1000 * tvb, 1000 * (ended - started), 0.0, str(catalogue.jobs(sweep=sweep.gid)[turn].engine)

    return measure_next


def _dt(case: Mapping[str, Any]) -> float:
    return float(case["integrator"]["dt"])


def _steps(case: Mapping[str, Any]) -> int:
    if case is SEED:
        return JOB_STEPS // 4
    return SURFACE_STEPS if "surface" in case else FEW_STEPS if "connectivity" in case else STEPS


def rows(*parts: str) -> Iterator[Row]:
    """Yield a row for each case, and one for all region simulations together."""
    kernels = load_settings().cache_dir / "kernels"
    regions = []
    with tempfile.TemporaryDirectory() as directory:
        inputs = Inputs(Storage(Path(directory)))
        for name in (*CASES, JOB):
            if parts and not any(part in name for part in parts):
                continue
            run = job_measure(Path(directory)) if name == JOB else partial(measure, CASES[name])
            run(inputs, kernels)  # Compiles.
            turns = [run(inputs, kernels) for _ in range(TURNS)]
            tvb, ours, checks, engines = zip(*turns, strict=True)
            whole = statistics.median(a / (b + c) for a, b, c in zip(tvb, ours, checks, strict=True))
            baseline = JOB_BASELINE if name == JOB else TVB
            note = f"{engines[0]}, {number(whole)} with checks"
            row = Row("engine", name, baseline, "ms", ours, tvb, FASTER, note)
            yield row
            if name != JOB and not name.startswith(SURFACE):
                regions.append(row)
    if len(regions) > 1:
        worst = min(regions, key=lambda row: row.ratio)
        all_ours = [turn for row in regions for turn in row.turns]
        all_tvb = [turn for row in regions for turn in row.baseline_turns]
        note = f"{number(worst.ratio)} in the worst, {worst.measured}"
        yield Row("engine", f"all {len(regions)} cases of regions", TVB, "ms", all_ours, all_tvb, FASTER, note)


if __name__ == "__main__":
    show(rows(*sys.argv[1:]))
