"""Saves, finds and checks checkpoints, from which another process can continue a simulation.

A checkpoint is one `.npz` file beside the unfinished output files of its job. It holds the state of the simulator and,
for each output file, its name, the number of samples and their checksum. Its last bytes are the sha256 of the rest. It
holds no code. A checkpoint leads to the same bits whoever wrote it, even a worker that had lost the job.
"""

import hashlib
import json
import platform
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import structlog
from numpy.typing import NDArray

from tvb_batch.models.own_code.sources import OF_METRICS
from tvb_batch.models.paths import CHECKPOINT, part
from tvb_batch.worker.engines.simulator_state import Snapshot
from tvb_batch.worker.h5.verify import as_output_error, sync

log = structlog.get_logger()

#: Version of the layout.
FORMAT = 1

_DIGEST_BYTES = hashlib.sha256().digest_size
_HEAD = "checkpoint"


@dataclass(frozen=True)
class SavedSeries:
    """The part of an unfinished file that a checkpoint needs."""

    #: The file's name in the job's directory.
    name: str
    samples: int
    checksum: int
    #: (state variables, nodes, modes)
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Checkpoint:
    """The progress and the state of a simulation."""

    #: Steps done.
    step: int
    #: Wall time of all attempts, seconds.
    seconds: float
    #: One for each monitor; None before its first sample.
    series: tuple[SavedSeries | None, ...]
    snapshot: Snapshot


def fingerprint(parameters_hash: str, versions: Mapping[str, str]) -> dict[str, str]:
    """Return what must be equal to continue with the same bits: job, program versions and machine."""
    return {
        "format": str(FORMAT),
        "parameters_hash": parameters_hash,
        "machine": f"{platform.machine()} {' '.join(_features())} {' '.join(platform.libc_ver())}",
        # Metrics are computed after the simulation, so their sources do not matter.
        **{name: text for name, text in versions.items() if not name.startswith(OF_METRICS)},
    }


def save_checkpoint(path: Path, made_for: Mapping[str, str], checkpoint: Checkpoint) -> None:
    """Write a checkpoint atomically; it replaces an earlier one at `path`.

    Raises
    ------
    OutputError
        It cannot be written; an earlier checkpoint is unchanged.
    """
    arrays: dict[str, NDArray[Any]] = {}
    head = {
        "made_for": dict(made_for),
        "step": checkpoint.step,
        "seconds": checkpoint.seconds,
        "series": [series and asdict(series) for series in checkpoint.series],
        "values": _encode(checkpoint.snapshot.values, arrays),
    }
    unfinished = part(path)
    with as_output_error(path, ""):
        with unfinished.open("wb") as file:
            content: Any = {_HEAD: np.frombuffer(json.dumps(head).encode(), np.uint8), **arrays}
            np.savez(file, **content)
        with unfinished.open("r+b") as file:
            digest = hashlib.file_digest(file, "sha256").digest()
            file.seek(0, 2)
            file.write(digest)
        sync(unfinished)
        unfinished.replace(path)
        sync(path.parent)


def find_checkpoints(directory: Path, made_for: Mapping[str, str]) -> Iterator[tuple[Path, Checkpoint]]:
    """Yield the usable checkpoints in a job's directory, the most advanced first; log why others are ignored."""
    found = []
    for path in directory.glob(f"{CHECKPOINT}*.npz"):
        try:
            head = _read_head(path)
        except (OSError, ValueError, KeyError) as exc:
            log.warning("checkpoint_ignored", checkpoint=path.name, reason=f"damaged ({exc})")
            continue
        if other := _difference(head["made_for"], made_for):
            log.warning("checkpoint_ignored", checkpoint=path.name, reason=other)
            continue
        found.append((int(head["step"]), path))
    for _, path in sorted(found, reverse=True):
        try:
            yield path, _load(path)
        except (OSError, ValueError, KeyError, TypeError) as exc:
            log.warning("checkpoint_ignored", checkpoint=path.name, reason=f"damaged ({exc})")


def _read_head(path: Path) -> dict[str, Any]:
    """Return the header of a checkpoint after verifying its checksum."""
    with path.open("rb") as file:
        left = path.stat().st_size - _DIGEST_BYTES
        digest = hashlib.sha256()
        while left > 0 and (block := file.read(min(left, 2**20))):
            digest.update(block)
            left -= len(block)
        if left or file.read() != digest.digest():
            raise ValueError("its checksum is wrong")
    with np.load(path, allow_pickle=False) as content:
        head = json.loads(content[_HEAD].tobytes())
    if not isinstance(head, dict):
        raise ValueError("it has no header")
    return head


def _load(path: Path) -> Checkpoint:
    with np.load(path, allow_pickle=False) as content:
        head = json.loads(content[_HEAD].tobytes())
        values = _decode(head["values"], content)
    series = [one and SavedSeries(**{**one, "shape": tuple(one["shape"])}) for one in head["series"]]
    return Checkpoint(int(head["step"]), float(head["seconds"]), tuple(series), Snapshot(values))


def _difference(one: Mapping[str, str], other: Mapping[str, str]) -> str | None:
    for name in {**one, **other}:
        if one.get(name) != other.get(name):
            return f"made with another {name}: {str(one.get(name))[:80]}, here {str(other.get(name))[:80]}"
    return None


def _features() -> list[str]:
    """Return the SIMD extensions of the processor, as NumPy reports them: results depend on them in the last bits."""
    configuration: Any = np.show_config(mode="dicts")
    found = configuration["SIMD Extensions"]
    return sorted([*found.get("baseline", ()), *found.get("found", ())])


def _encode(value: Any, arrays: dict[str, NDArray[Any]]) -> Any:
    """Return a value as JSON; move its arrays to `arrays`, and refer to them by name."""
    if isinstance(value, np.ndarray):
        if value.dtype.hasobject:
            raise ValueError("an array of objects cannot be saved")
        name = f"array_{len(arrays)}"
        arrays[name] = value
        return {"array": name}
    if isinstance(value, tuple):
        return {"tuple": [_encode(item, arrays) for item in value]}
    if isinstance(value, dict):
        return {"dict": {name: _encode(item, arrays) for name, item in value.items()}}
    if isinstance(value, np.generic):
        return value.item()
    return value


def _decode(value: Any, arrays: Mapping[str, NDArray[Any]]) -> Any:
    if not isinstance(value, dict):
        return value
    [(kind, content)] = value.items()
    if kind == "array":
        return arrays[content]
    if kind == "tuple":
        return tuple(_decode(item, arrays) for item in content)
    return {name: _decode(item, arrays) for name, item in content.items()}
