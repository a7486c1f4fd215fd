"""Compiles or loads the parts that all kernels share, before the first job. Called by `worker.tasks`."""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np

from tvb_batch.worker.engines import choose
from tvb_batch.worker.engines.codegen.kernel_cache import load_primitives
from tvb_batch.worker.engines.configure import configure

#: How long a worker waits for another one of this host that compiles; it takes 15 s. Seconds.
PATIENCE = 120.0
#: Coupling and steps that bring every form of the shared loop: sums of sources in both precisions, and of edges.
_COUPLINGS = ("Linear", "SigmoidalJansenRit", "Difference")


def warm(cache: Path) -> list[str]:
    """Compile what no worker of this host has compiled yet, and load it into this process.

    If several workers start at once, one compiles; the others wait, and load what it has compiled.

    Parameters
    ----------
    cache : the directory of compiled kernels, made when missing

    Returns
    -------
    the engine that ran each of the small simulations
    """
    with _alone(cache):
        return [_run(coupling, cache) for coupling in _COUPLINGS]


def _run(coupling: str, cache: Path) -> str:
    simulator = configure(_small(coupling), load_primitives(cache))
    engine = choose(simulator, "auto", cache, 10**6)
    for _ in engine.stream(simulator, 16):
        pass
    return engine.name


def _small(coupling: str) -> Any:
    """Return a simulator of two nodes and a few steps with noise, not configured yet."""
    from tvb.datatypes.connectivity import Connectivity
    from tvb.simulator import coupling as couplings
    from tvb.simulator import integrators, models, monitors, noise, simulator

    network = Connectivity(
        weights=np.array([[0.0, 1.0], [1.0, 0.0]]),
        tract_lengths=np.array([[0.0, 40.0], [40.0, 0.0]]),
        region_labels=np.array(["a", "b"]),
        centres=np.zeros((2, 3)),
    )
    network.configure()
    model = models.JansenRit() if coupling == "SigmoidalJansenRit" else models.Generic2dOscillator()
    return simulator.Simulator(
        model=model,
        connectivity=network,
        coupling=getattr(couplings, coupling)(),
        integrator=integrators.HeunStochastic(dt=0.5, noise=noise.Additive(nsig=np.array([1e-3]))),
        monitors=[monitors.TemporalAverage(period=1.0)],
        simulation_length=16.0,
    )


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Hold the lock of this host's warmup; continue without it if it cannot be had in time."""
    with suppress(OSError):
        directory.mkdir(parents=True, exist_ok=True)
    try:
        file = (directory / ".warmup").open("w")
    except OSError:
        yield
        return
    with file:
        # The system takes the lock back from a process that ends, however it ends.
        _wait_for(file)
        yield


def _wait_for(file: IO[str]) -> bool:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.1)
        except OSError:
            return False  # A file system without locks.
        else:
            return True
    return False
