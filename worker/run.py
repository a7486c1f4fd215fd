"""One job from claim to finish, without Celery: claim, build, simulate, write, verify, finish.

Called by `worker.tasks`, and by tests in their own process. It lets every fault through: who called decides between
retry and ERROR. A job that ends without finishing leaves no file behind.
"""

import json
import platform
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

from models.catalogue import Catalogue, Claim, OutputRecord
from models.errors import CanceledError, TvbBatchError
from models.inputs import Inputs
from models.paths import Storage, part
from models.settings import Settings
from models.spec import SimulationSpec, simulation
from worker import __version__
from worker.engines import choose, reference
from worker.gids import content_gid
from worker.h5.datatypes import file_prefix, references, write_datatype
from worker.h5.formats import LABELS_ORDERING
from worker.h5.tvb1 import as_tvb1, write_connectivity
from worker.h5.tvb2 import Header
from worker.h5.verify import publish, sha256, verify
from worker.h5.writer import TimeSeriesWriter
from worker.metrics import compute
from worker.series import Series, series_of
from worker.simulator import build_simulator

#: Rows are written no more often than this while a job runs. Seconds.
HEARTBEAT_EVERY = 1.0

#: Larger input files are not copied into every result; they are found again by their sha256. Bytes.
MOST_EMBEDDED = 2**20

#: Libraries whose version can change a result.
_LIBRARIES = ("tvb-library", "tvb-data", "numpy", "scipy", "numba", "h5py")


class StoppedError(TvbBatchError):
    """This worker was told to stop; the job goes back to PENDING and nothing is held against it."""


def versions() -> dict[str, str]:
    """The versions that decide what a simulation returns."""
    found = {name: version(name) for name in _LIBRARIES}
    return {"tvb-batch": __version__, "python": platform.python_version(), **found}


def run_job(
    catalogue: Catalogue, settings: Settings, claim: Claim, *, should_stop: Callable[[], bool] = lambda: False
) -> list[OutputRecord]:
    """Run a claimed job and finish its row.

    Parameters
    ----------
    should_stop : asked between two chunks; True gives the job up

    Raises
    ------
    CanceledError, StoppedError, LeaseLostError
        The job was taken away between two chunks.
    TvbBatchError
        The fault, in words for a person.
    """
    spec = simulation(json.loads(claim.spec_json))
    simulator = build_simulator(spec, Inputs(settings.storage))
    # Should an engine have taken its worker with it, TVB's own loop is tried next.
    wanted = spec.engine if claim.attempt == 1 else "reference"
    engine = choose(simulator, wanted, settings.cache_dir / "kernels", claim.size)
    pulse = _Pulse(catalogue, claim, timedelta(seconds=settings.lease), should_stop)
    outputs = _Outputs(settings.storage, claim, spec, simulator, engine.name)
    with outputs:
        total = reference.count_steps(simulator)
        for chunk in engine.stream(simulator, reference.choose_chunk_steps(simulator, settings.chunk_bytes)):
            outputs.append(chunk.samples)
            pulse.beat(chunk.step / total)
        records = outputs.publish()
        catalogue.finish(claim, records, engine=engine.name, engine_reason=engine.reason, versions=versions())
        outputs.keep()
    return records


class _Pulse:
    """Tells the catalogue now and then that the job lives, and hears what it has to say."""

    def __init__(self, catalogue: Catalogue, claim: Claim, lease: timedelta, should_stop: Callable[[], bool]) -> None:
        self._catalogue, self._claim, self._lease, self._should_stop = catalogue, claim, lease, should_stop
        self._last = time.monotonic()

    def beat(self, progress: float) -> None:
        if self._should_stop():
            raise StoppedError("the worker was told to stop")
        if time.monotonic() - self._last < HEARTBEAT_EVERY:
            return
        self._last = time.monotonic()
        if self._catalogue.heartbeat(self._claim, progress, self._lease):
            raise CanceledError("canceled while it ran")


@dataclass
class _Output:
    """One monitor's file on its way."""

    gid: UUID
    monitor: str
    header: Header
    #: Files of what the series refers to, written before the simulation starts: what cannot be written costs nothing.
    refers_to: tuple[str, ...]
    final: Path
    #: How many are expected.
    samples: int
    writer: TimeSeriesWriter | None = None


class _Outputs:
    """The files of one job. Left without `keep`, nothing of them stays."""

    def __init__(self, storage: Storage, claim: Claim, spec: SimulationSpec, simulator: Any, engine: str) -> None:
        self._storage, self._claim, self._simulator, self._format = storage, claim, simulator, spec.format
        self._provenance = provenance(claim, spec, engine)
        self._inputs = embedded(spec, Inputs(storage))
        self._stack = ExitStack()
        for datatype in references(simulator):
            datatype.gid = content_gid(datatype)
        self._outputs = [self._plan(index, monitor, spec) for index, monitor in enumerate(simulator.monitors)]

    def __enter__(self) -> "_Outputs":
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    def append(self, samples: Iterable[reference.Samples | None]) -> None:
        for output, sample in zip(self._outputs, samples, strict=True):
            if sample is None:
                continue
            if output.writer is None:
                output.writer = self._open(output, sample.data.shape[1:])
            output.writer.append(sample.time, sample.data)

    def publish(self) -> list[OutputRecord]:
        """Annotate, close, verify and rename every file."""
        return [self._publish(output) for output in self._outputs]

    def keep(self) -> None:
        """The row names these files now; what earlier attempts left goes.

        A zombie still writing there loses nothing but a file that no row would ever name.
        """
        self._stack.pop_all()
        named = {output.final for output in self._outputs}
        for path in self._outputs[0].final.parent.iterdir():
            if path not in named:
                _remove(path)

    def _plan(self, index: int, monitor: Any, spec: SimulationSpec) -> _Output:
        # The gid depends on the attempt: a worker that lost its lease can never replace the winner's file.
        gid = uuid5(self._claim.gid, f"{self._claim.attempt}/{index}")
        name, series = type(monitor).__name__, series_of(self._simulator, monitor)
        header = Header(
            gid=gid,
            datatype=series.datatype,
            title=spec.title or f"{'Regions' if series.datatype == 'TimeSeriesRegion' else ''} {name}".strip(),
            sample_period=float(monitor.period),
            start_time=0.0,
            labels_ordering=LABELS_ORDERING[series.datatype],
            labels_dimensions=series.labels_dimensions,
            **{attribute: datatype.gid for attribute, datatype in series.references.items()},
            subject=spec.subject,
            user_tags=spec.user_tags,
            created=datetime.now(UTC),
        )
        final = self._storage.output(self._claim.sweep, self._claim.gid, series.datatype, gid)
        samples = reference.count_steps(self._simulator) // max(1, monitor.istep)
        return _Output(gid, name, header, self._write_references(series), final, samples)

    def _open(self, output: _Output, sample_shape: tuple[int, ...]) -> TimeSeriesWriter:
        unfinished = part(output.final)
        self._stack.callback(_remove, unfinished)
        provenance = {**self._provenance, "monitor": str(self._outputs.index(output))}
        writer = TimeSeriesWriter(unfinished, output.header, sample_shape, provenance, output.samples, self._inputs)
        self._stack.callback(writer.abort)
        return writer

    def _write_references(self, series: Series) -> tuple[str, ...]:
        """The files of what the series refers to, what they refer to themselves first."""
        datatypes = (*series.references.values(), *series.companions)
        named = [part for datatype in datatypes for part in (*references(datatype), datatype)]
        paths = []
        for datatype in named:
            if self._format == "tvb1" and file_prefix(datatype) != "Connectivity":
                continue  # TVB 1's files refer to nothing else.
            path = self._storage.datatype(file_prefix(datatype), datatype.gid)
            write_datatype(path, datatype, datetime.now(UTC), subject="John Doe")
            if self._format == "tvb1":
                path = write_connectivity(path, self._storage.tvb1_datatype("Connectivity", datatype.gid))
            paths.append(self._storage.relative(path))
        return tuple(dict.fromkeys(paths))

    def _publish(self, output: _Output) -> OutputRecord:
        assert output.writer is not None, "the spec checks that every monitor samples at least once"
        output.writer.close()
        unfinished = part(output.final)
        verified, metrics = verify(unfinished, output.gid), compute(unfinished)
        if self._format == "tvb1":
            self._stack.callback(_remove, part(unfinished))
            unfinished = as_tvb1(unfinished)
            verified = replace(verified, bytes=unfinished.stat().st_size, sha256=sha256(unfinished))
        self._stack.callback(_remove, output.final)
        publish(unfinished, output.final)
        return OutputRecord(
            gid=output.gid,
            monitor=output.monitor,
            datatype=output.header.datatype,
            path=self._storage.relative(output.final),
            format=self._format,
            bytes=verified.bytes,
            sha256=verified.sha256,
            shape=verified.shape,
            is_nan=verified.is_nan,
            metrics=metrics,
            refers_to=output.refers_to,
        )


def _remove(path: Path) -> None:
    """Remove what may be there; the fault that made us clean up is the one to tell."""
    with suppress(OSError):
        path.unlink()


def embedded(spec: SimulationSpec, inputs: Inputs) -> dict[str, bytes]:
    """The small files that the simulation was fed with, so that a result can be run again from its file alone."""
    paths = {name: inputs.path(name) for name in spec.files()}
    return {name: path.read_bytes() for name, path in paths.items() if path.stat().st_size <= MOST_EMBEDDED}


def provenance(claim: Claim, spec: SimulationSpec, engine: str) -> Mapping[str, str]:
    """What a file says of where it comes from; enough to run the job again from the file alone."""
    return {
        "spec": spec.canonical_json(),
        "parameters_hash": spec.parameters_hash(),
        "seed": str(spec.seed),
        "sweep": str(claim.sweep),
        "job": str(claim.gid),
        "attempt": str(claim.attempt),
        "engine": engine,
        "versions": json.dumps(versions(), sort_keys=True),
        "host": platform.node(),
        "machine": platform.machine(),
    }
