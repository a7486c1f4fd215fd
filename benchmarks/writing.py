"""Cost of writing a result file by compression, with the real output of the seed simulation.

python -m benchmarks.writing      a plain file against `np.save` and the simulation's steps, other files against it

`TVB_BATCH_COMPRESSION` offers `lzf` and `gzip`. The others are for comparison; blosc needs hdf5plugin, also for
reading, so TVB's GUI cannot read it.
"""

import importlib.util
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from benchmarks.engine import SEED
from benchmarks.table import SIZE, TIME, Row, in_turns, show, timed
from tvb_batch.models.paths import Storage
from tvb_batch.models.spec.simulation import simulation
from tvb_batch.models.tvb.input_store import Inputs
from tvb_batch.worker.engines import choose, reference
from tvb_batch.worker.h5.compress import FILTERS as OFFERED
from tvb_batch.worker.h5.writer import CHUNK_BYTES
from tvb_batch.worker.job.simulator import build_simulator

FILTERS: dict[str, dict[str, Any]] = {
    **{name: dict(options) for name, options in OFFERED.items()},
    "lzf, no shuffle": {"compression": "lzf"},
    "gzip 4": {"compression": "gzip", "compression_opts": 4, "shuffle": True},
    "gzip 4, no shuffle": {"compression": "gzip", "compression_opts": 4},
}
if importlib.util.find_spec("hdf5plugin"):
    import hdf5plugin  # type: ignore[import-not-found, unused-ignore]

    FILTERS["blosc lz4"] = dict(hdf5plugin.Blosc(cname="lz4"))
    FILTERS["blosc zstd"] = dict(hdf5plugin.Blosc(cname="zstd"))


def simulate(directory: Path) -> tuple[float, NDArray[np.float64]]:
    """Return the milliseconds of the steps of the seed simulation, and its output."""
    spec = simulation({**SEED, "simulation_length": 1000.0})
    simulator = build_simulator(spec, Inputs(Storage(directory)))
    engine = choose(simulator, "auto", directory / "kernels", 10**6)
    started = time.perf_counter()
    chunks = list(engine.stream(simulator, reference.MOST_STEPS))
    spent = 1000 * (time.perf_counter() - started)
    return spent, np.concatenate([chunk.samples[0].data for chunk in chunks if chunk.samples[0] is not None])


def write(path: Path, data: NDArray[np.float64], options: dict[str, Any]) -> None:
    """Write one file with one dataset."""
    frame = data[0].nbytes
    with h5py.File(path, "w") as file:
        file.create_dataset("data", data=data, chunks=(max(1, CHUNK_BYTES // frame), *data.shape[1:]), **options)


def rows() -> Iterator[Row]:
    """Yield two rows for the plain file, and two for each compression: time and size."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        plain, file = directory / "plain.h5", directory / "file.h5"
        _, data = simulate(directory)  # Compiles.
        size = f"{data.nbytes / 1e6:.1f} MB of data"
        write_plain = partial(timed, write, plain, data, {})
        turns = in_turns(write_plain, partial(timed, np.save, directory / "data.npy", data))
        yield Row("writing", "plain H5", "np.save", "ms", *turns, TIME, size)
        turns = in_turns(write_plain, lambda: simulate(directory)[0])
        yield Row("writing", "plain H5", "the steps of its simulation", "ms", *turns, TIME, size)
        for name, options in FILTERS.items():
            turns = in_turns(partial(timed, write, file, data, options), write_plain)
            yield Row("writing", name, "plain H5", "ms", *turns, TIME)
            own, size_of_plain = ([path.stat().st_size / 1e6] for path in (file, plain))
            yield Row("writing", name, "plain H5", "MB", own, size_of_plain, SIZE)


if __name__ == "__main__":
    show(rows())
