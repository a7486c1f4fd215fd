"""Repeats the simulation of a result from the provenance in its file, and compares the data bit for bit.

`python -m tvb_batch.worker.tools.rerun` answers a `Rerun`; `tvb-batch rerun` starts it. It writes nothing.
"""

import hashlib
import json
import platform
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

import h5py
import numpy as np

from tvb_batch.models.errors import InputError, one_line
from tvb_batch.models.own_code.sources import OF_METRICS, modules_of
from tvb_batch.models.paths import Storage
from tvb_batch.models.settings import Settings, load_settings
from tvb_batch.models.spec.simulation import SimulationSpec, simulation
from tvb_batch.models.tvb.h5_guard import open_h5
from tvb_batch.models.tvb.input_store import Inputs
from tvb_batch.models.worker_protocol import Rerun, RerunResult
from tvb_batch.worker.engines import reference
from tvb_batch.worker.h5.tvb2 import PROVENANCE
from tvb_batch.worker.job.own_modules import import_all
from tvb_batch.worker.job.simulator import build_simulator
from tvb_batch.worker.job.versions import versions
from tvb_batch.worker.program import run_program
from tvb_batch.worker.tvb_import import import_tvb


def rerun(path: Path, settings: Settings) -> RerunResult:
    """Run the simulation of a result file again and compare the data.

    Raises
    ------
    InputError
        The file has no provenance, or an input is neither in it nor in the data directory.
    SourceError
        A module with one of its classes cannot be imported.
    """
    with _opened(path) as file, tempfile.TemporaryDirectory() as directory:
        provenance = file[PROVENANCE]
        values = json.loads(str(provenance.attrs["spec"]))
        import_all(settings.cache_dir, modules_of(values))
        spec = simulation(values)
        storage = Storage(Path(directory))
        for name in spec.files():
            _restore(name, provenance, storage, settings.storage)
        simulator = build_simulator(spec, Inputs(storage))
        monitor = int(provenance.attrs["monitor"])
        result = RerunResult(circumstances=_circumstances(provenance, spec))
        for chunk in reference.stream(simulator, reference.choose_chunk_steps(simulator, settings.chunk_bytes)):
            samples = chunk.samples[monitor]
            if samples is not None:
                _compare(result, file, samples)
        missing = abs(len(file["time"]) - result.samples)
        result.different += missing
    return result


def _opened(path: Path) -> h5py.File:
    try:
        file = open_h5(path)
    except OSError as exc:
        raise InputError(f"{path}: not a readable H5 file ({str(exc).splitlines()[0]})") from exc
    needed = ("spec", "versions", "monitor")
    if PROVENANCE not in file or any(name not in file[PROVENANCE].attrs for name in needed) or "data" not in file:
        file.close()
        raise InputError(f"{path}: no provenance under /{PROVENANCE}; expected a file that a tvb-batch worker wrote")
    return file


def _restore(name: str, provenance: h5py.Group, storage: Storage, kept: Storage) -> None:
    """Write an input where the simulation looks for it, after checking its content against its name."""
    content = provenance[name][()].tobytes() if name in provenance else Inputs(kept).path(name).read_bytes()
    target = storage.absolute(name)
    if hashlib.sha256(content).hexdigest() != target.name.split(".")[0]:
        raise InputError(f"{name}: not the input file of the simulation; its content has changed")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)


def _compare(result: RerunResult, file: h5py.File, samples: reference.Samples) -> None:
    start, stop = result.samples, result.samples + len(samples.time)
    result.samples = stop
    known = file["data"][start:stop]
    if known.shape != samples.data.shape:
        result.different += len(samples.time)
        return
    with np.errstate(all="ignore"):
        gaps = np.abs(known - samples.data)
    is_same = (known == samples.data) | (np.isnan(known) & np.isnan(samples.data))
    is_same &= (file["time"][start:stop] == samples.time)[:, None, None, None]
    rows = ~is_same.all(axis=(1, 2, 3))
    if rows.any():
        result.different += int(rows.sum())
        if result.first_ms is None:
            result.first_ms = float(samples.time[rows.argmax()])
        finite = gaps[np.isfinite(gaps)]
        result.largest_difference = max(result.largest_difference, float(finite.max()) if finite.size else 0.0)


def _circumstances(provenance: h5py.Group, spec: SimulationSpec) -> tuple[str, ...]:
    then: Mapping[str, Any] = json.loads(str(provenance.attrs["versions"]))
    now = versions(spec)
    # Metrics are not part of the data.
    names = [name for name in {**then, **now} if not name.startswith(OF_METRICS)]
    found = [f"{name}: {then.get(name)}, now {now.get(name)}" for name in names if then.get(name) != now.get(name)]
    if (machine := str(provenance.attrs.get("machine", ""))) != platform.machine():
        found.append(f"machine: {machine}, now {platform.machine()}")
    if (host := str(provenance.attrs.get("host", ""))) != platform.node():
        found.append(f"host: {host}, now {platform.node()}")
    return tuple(map(one_line, found))


def answer(request: Rerun, results: TextIO) -> None:
    """Repeat the simulation of the file in a request."""
    import_tvb()
    print(rerun(request.path, load_settings()).to_json(), file=results)


if __name__ == "__main__":
    sys.exit(run_program(Rerun, answer))
