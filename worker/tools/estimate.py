"""Estimates the cost of a sweep: builds its first simulation and runs it for a moment.

`python -m tvb_batch.worker.tools.estimate` answers an `EstimateCost`; `tvb-batch submit --check` starts it.
"""

import resource
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any, TextIO

from tvb_batch.models.errors import ConfigureError
from tvb_batch.models.paths import Storage
from tvb_batch.models.settings import load_settings
from tvb_batch.models.spec.simulation import SimulationSpec, simulation
from tvb_batch.models.tvb.input_store import Inputs
from tvb_batch.models.worker_protocol import Estimate, EstimateCost
from tvb_batch.worker.engines import reference
from tvb_batch.worker.job.simulator import build_simulator
from tvb_batch.worker.program import run_program
from tvb_batch.worker.tvb_import import import_tvb

#: How long the simulation runs for the estimate. Seconds.
TRIAL = 2.0


def estimate(spec: SimulationSpec) -> Estimate:
    """Estimate the cost of running `spec`. Input files are read from their current paths.

    Raises
    ------
    InputError, ConfigureError
        The simulation cannot be built or run; the message is TVB's.
    """
    with tempfile.TemporaryDirectory() as directory:
        inputs = Inputs(Storage(Path(directory)))
        kept = spec.with_files(lambda _, file: inputs.keep(Path(file)))
        started = time.perf_counter()
        simulator = build_simulator(kept, inputs)
        building = time.perf_counter() - started
        try:
            step = _seconds_per_step(simulator)
        except Exception as exc:
            # TVB's exceptions have no common base class, and need the name of their class.
            reason = f"{type(exc).__name__}: {' '.join(str(exc).split())}"
            raise ConfigureError(f"spec: TVB cannot run a step ({reason}); check the shapes") from exc
    steps = reference.count_steps(simulator)
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    unit = 1024 if sys.platform == "linux" else 1
    return Estimate(building + steps * step, kilobytes * unit, _disk(simulator, steps))


def _seconds_per_step(simulator: Any) -> float:
    """Return the seconds for one step after the first chunk, which also pays for setup."""
    times = [time.perf_counter()]
    steps = [0]
    for chunk in reference.stream(simulator, 20):
        times.append(time.perf_counter())
        steps.append(chunk.step)
        if times[-1] - times[0] > TRIAL:
            break
    chunks = [
        (later - earlier) / (b - a) for (earlier, later), (a, b) in zip(pairwise(times), pairwise(steps), strict=True)
    ]
    chunks = chunks[1:] or chunks
    return sorted(chunks)[len(chunks) // 2]


def _disk(simulator: Any, steps: int) -> int:
    nodes, modes = simulator.number_of_nodes, simulator.model.number_of_modes
    total = 0
    for monitor in simulator.monitors:
        samples = steps // max(1, monitor.istep)
        space = len(monitor.sensors.labels) if hasattr(monitor, "sensors") else nodes
        if type(monitor).__name__ == "GlobalAverage":
            space = 1
        total += samples * 8 * (1 + len(monitor.voi) * space * modes)
    return total


def answer(request: EstimateCost, results: TextIO) -> None:
    """Estimate the cost of the spec in a request."""
    import_tvb()
    print(estimate(simulation(request.spec)).to_json(), file=results)


if __name__ == "__main__":
    load_settings()
    sys.exit(run_program(EstimateCost, answer))
