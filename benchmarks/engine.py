"""How many times faster the compiled engine steps than TVB's `sim.run()`, measured in turns in one process.

python -m benchmarks.engine [CASE...]      five turns of each case; prints a table of medians

The ratio counts the run alone and, as `with checks`, the choice of the engine too; kernels are warm, as they are for
all jobs of a sweep but the first. Every turn also compares the two outputs bit for bit.
"""

import logging
import os
import statistics
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np

from models.inputs import Inputs
from models.paths import Storage
from models.spec import SimulationSpec, simulation
from worker.engines import choose, reference
from worker.simulator import build_simulator

TURNS = 5

SEED: dict[str, Any] = {
    "model": {"class": "JansenRit", "mu": 0.0, "v0": 6.0},
    "coupling": {"class": "SigmoidalJansenRit", "a": 10.0},
    "integrator": {
        "class": "HeunStochastic", "dt": 0.0625, "noise": {"class": "Additive", "nsig": [0, 0, 0, 0.000528125, 0, 0]},
    },
    "monitors": [{"class": "TemporalAverage", "period": 0.25}],
    "simulation_length": 1000.0,
}  # fmt: skip
_PLAIN = {"coupling": "Linear", "integrator": {"class": "HeunDeterministic", "dt": 0.1}, "simulation_length": 500.0}
_FAST = {**_PLAIN, "integrator": {"class": "HeunDeterministic", "dt": 0.01}, "simulation_length": 50.0}
#: These leave their range with the usual step.
_STIFF = ("DumontGutkin", "MontbrioPazoRoxin", "ReducedSetHindmarshRose", "KIonEx")
MODELS = (
    *("CoombesByrne", "CoombesByrne2D", "DecoBalancedExcInh", "DumontGutkin", "Epileptor", "Epileptor2D"),
    *("EpileptorCodim3", "EpileptorCodim3SlowMod", "EpileptorRestingState", "GastSchmidtKnosche_SD"),
    *("GastSchmidtKnosche_SF", "Generic2dOscillator", "Hopfield", "KIonEx", "Kuramoto", "LarterBreakspear", "Linear"),
    *("MontbrioPazoRoxin", "ReducedSetFitzHughNagumo", "ReducedSetHindmarshRose", "ReducedWongWang"),
    *("ReducedWongWangExcInh", "SupHopf", "WilsonCowan", "ZerlautAdaptationFirstOrder"),
    *("ZerlautAdaptationSecondOrder", "ZetterbergJansen"),
)
_G2D = {**SEED, **_PLAIN, "model": "Generic2dOscillator"}
CASES: dict[str, dict[str, Any]] = {
    "seed simulation": SEED,
    **{f"model {name}": {**SEED, **(_FAST if name in _STIFF else _PLAIN), "model": name} for name in MODELS},
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
            "SpatialAverage": {"period": 1.0}, "Bold": {"period": 100.0},
        }.items()
    },
    "192 regions": {**SEED, "connectivity": "connectivity_192.zip", "simulation_length": 300.0},
}  # fmt: skip


def measure(spec: SimulationSpec, inputs: Inputs, kernels: Path) -> tuple[float, float, float, str]:
    """Seconds of TVB, of the engine, and of its choice; and its name."""
    ours, theirs = build_simulator(spec, inputs), build_simulator(spec, inputs)
    started = time.perf_counter()
    engine = choose(ours, "auto", kernels, 10**6)
    chosen = time.perf_counter()
    chunks = list(engine.stream(ours, reference.MOST_STEPS))
    ended = time.perf_counter()
    [(_, data)] = theirs.run()
    tvb = time.perf_counter() - ended
    found = np.concatenate([chunk.samples[0].data for chunk in chunks if chunk.samples[0] is not None])
    assert np.array_equal(found, data, equal_nan=True), "the bits differ"
    return tvb, ended - chosen, chosen - started, engine.name


def main() -> None:
    """Print the table."""
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    wanted = sys.argv[1:] or list(CASES)
    print(
        f"{'case':<36}{'engine':<10}{'TVB s':>8}{'ours s':>9}{'ratio':>8}{'with checks':>13}   ({TURNS} turns, medians)"
    )
    with tempfile.TemporaryDirectory() as directory:
        inputs, kernels = Inputs(Storage(Path(directory))), Path(directory) / "kernels"
        ratios = []
        for name in wanted:
            spec = simulation(CASES[name])
            measure(spec, inputs, kernels)  # Compiles.
            turns = [measure(spec, inputs, kernels) for _ in range(TURNS)]
            tvb, run = (statistics.median(turn[column] for turn in turns) for column in range(2))
            ratio = statistics.median(turn[0] / turn[1] for turn in turns)
            whole = statistics.median(turn[0] / (turn[1] + turn[2]) for turn in turns)
            print(f"{name:<36}{turns[0][3]:<10}{tvb:>8.2f}{run:>9.3f}{ratio:>7.1f}x{whole:>12.1f}x", flush=True)
            ratios.append(ratio)
        print(f"{len(ratios)} cases: worst {min(ratios):.1f}x, median {statistics.median(ratios):.1f}x")


if __name__ == "__main__":
    main()
