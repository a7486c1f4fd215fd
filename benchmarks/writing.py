"""What a result file costs to write, by its compression: the real output of the seed simulation.

python -m benchmarks.writing      the baseline is the uncompressed dataset

`lzf` and `gzip` are what `TVB_BATCH_COMPRESSION` offers. The others are here to compare; blosc where hdf5plugin is
installed, without which nobody can read such a file, the GUI neither.
"""

import importlib.util
import logging
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

import worker  # noqa: F401 - pins the threads
from benchmarks.engine import SEED
from models.inputs import Inputs
from models.paths import Storage
from models.spec import simulation
from worker.engines import choose, reference
from worker.h5.compress import FILTERS as OFFERED
from worker.h5.writer import CHUNK_BYTES
from worker.simulator import build_simulator

TURNS = 5
FILTERS: dict[str, dict[str, Any]] = {
    "none": {},
    **OFFERED,
    "lzf, no shuffle": {"compression": "lzf"},
    "gzip 4": {"compression": "gzip", "compression_opts": 4, "shuffle": True},
    "gzip 4, no shuffle": {"compression": "gzip", "compression_opts": 4},
}
if importlib.util.find_spec("hdf5plugin"):
    import hdf5plugin

    FILTERS["blosc lz4"] = dict(hdf5plugin.Blosc(cname="lz4"))
    FILTERS["blosc zstd"] = dict(hdf5plugin.Blosc(cname="zstd"))


def simulate(directory: Path) -> tuple[NDArray[np.float64], float]:
    """The output of the seed simulation, and the seconds that the engine took."""
    spec = simulation({**SEED, "simulation_length": 1000.0})
    simulator = build_simulator(spec, Inputs(Storage(directory)))
    engine = choose(simulator, "auto", directory / "kernels", 10**6)
    started = time.perf_counter()
    chunks = list(engine.stream(simulator, reference.MOST_STEPS))
    seconds = time.perf_counter() - started
    return np.concatenate([chunk.samples[0].data for chunk in chunks if chunk.samples[0] is not None]), seconds


def write(path: Path, data: NDArray[np.float64], options: dict[str, Any]) -> None:
    """One file with one dataset."""
    frame = data[0].nbytes
    with h5py.File(path, "w") as file:
        file.create_dataset("data", data=data, chunks=(max(1, CHUNK_BYTES // frame), *data.shape[1:]), **options)


def median(do: Callable[[], None]) -> float:
    times = []
    for _ in range(TURNS):
        started = time.perf_counter()
        do()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def main() -> None:
    """Print the table."""
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as directory:
        data, simulated = simulate(Path(directory))
        print(f"{data.nbytes / 1e6:.1f} MB; simulating them took {simulated:.3f} s; medians of {TURNS}")
        print(f"{'compression':<20}{'ms':>8}{'time':>8}{'MB':>8}{'size':>8}{'of simulation':>15}")
        baseline: tuple[float, int] | None = None
        for name, options in FILTERS.items():
            path = Path(directory) / "file.h5"
            seconds = median(lambda path=path, options=options: write(path, data, options))  # type: ignore[misc]
            size = path.stat().st_size
            baseline = baseline or (seconds, size)
            print(
                f"{name:<20}{1000 * seconds:>8.1f}{seconds / baseline[0]:>7.1f}x{size / 1e6:>8.2f}"
                f"{size / baseline[1]:>8.2f}{seconds / simulated:>15.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
