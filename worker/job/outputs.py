"""Writes, checks and publishes the output files of one job, and continues the files of an earlier attempt.

The name of a file depends on the claim's token, so two workers never write to the same file. Data of an earlier attempt
are copied; its file is never continued in place.
"""

import json
import os
import platform
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import structlog

from tvb_batch.models.catalogue import Claim, OutputRecord
from tvb_batch.models.errors import OutputError
from tvb_batch.models.paths import Storage, part
from tvb_batch.models.settings import Compression
from tvb_batch.models.spec.simulation import SimulationSpec
from tvb_batch.models.spec.titles import fill
from tvb_batch.models.spec.transient import Transient, transient_of
from tvb_batch.models.tvb.input_store import Inputs
from tvb_batch.worker.engines import reference
from tvb_batch.worker.h5.compress import compress
from tvb_batch.worker.h5.content_gid import content_gid
from tvb_batch.worker.h5.datatypes import file_prefix, write_datatype
from tvb_batch.worker.h5.formats import LABELS_ORDERING
from tvb_batch.worker.h5.tvb1.tvb1_convert import as_tvb1, write_connectivity
from tvb_batch.worker.h5.tvb2 import Header
from tvb_batch.worker.h5.verify import publish, sha256, verified, verify
from tvb_batch.worker.h5.writer import DamagedError, TimeSeriesWriter
from tvb_batch.worker.job.checkpoint import SavedSeries
from tvb_batch.worker.job.metrics import compute
from tvb_batch.worker.job.series import MonitorSeries, series_of
from tvb_batch.worker.job.versions import versions

log = structlog.get_logger()

#: Larger input files are not copied into results; they are found by their sha256. Bytes.
MOST_EMBEDDED = 2**20


@dataclass
class _Output:
    """The file of one monitor, while it is being written."""

    gid: UUID
    monitor: str
    header: Header
    #: Files of the datatypes that the series refers to; written before the simulation, so that errors are found early.
    refers_to: tuple[str, ...]
    final: Path
    #: The path while it is being written.
    unfinished: Path
    #: Expected number of samples.
    samples: int
    #: The part that its metrics leave out.
    transient: Transient
    writer: TimeSeriesWriter | None = None


class Outputs:
    """The output files of one job."""

    def __init__(self, storage: Storage, claim: Claim, spec: SimulationSpec, simulator: Any, engine: str) -> None:
        self._storage, self._claim, self._simulator, self._format = storage, claim, simulator, spec.format
        self.directory = storage.job_directory(claim.sweep, claim.gid)
        self._provenance = _provenance(claim, spec, engine)
        self._inputs = _embedded(spec, Inputs(storage))
        series = [series_of(simulator, monitor) for monitor in simulator.monitors]
        for datatype in {id(datatype): datatype for one in series for datatype in one.datatypes}.values():
            datatype.gid = content_gid(datatype)
        self._outputs = [self._plan(index, one, spec) for index, one in enumerate(series)]

    def append(self, samples: Iterable[reference.Samples | None]) -> None:
        """Append a chunk to each file."""
        for output, sample in zip(self._outputs, samples, strict=True):
            if sample is None:
                continue
            if output.writer is None:
                output.writer = self._open(output, sample.data.shape[1:])
            output.writer.append(sample.time, sample.data)

    def flush(self) -> tuple[SavedSeries | None, ...]:
        """Write all files to the disk; return for each what a later attempt can continue."""
        saved: list[SavedSeries | None] = []
        for output in self._outputs:
            if output.writer is None:
                saved.append(None)
                continue
            samples, checksum = output.writer.flush()
            saved.append(SavedSeries(output.unfinished.name, samples, checksum, output.writer.sample_shape))
        return tuple(saved)

    def take_over(self, series: Sequence[SavedSeries | None], between: Callable[[], object]) -> None:
        """Start with the data of an earlier attempt.

        Parameters
        ----------
        between : called after each block

        Raises
        ------
        DamagedError
            The data are missing or have changed; nothing was copied.
        """
        try:
            for output, one in zip(self._outputs, series, strict=True):
                if one is not None:
                    output.writer = self._open(output, one.shape)
                    output.writer.copy(self._path_of(one), one.samples, one.checksum, between)
        except DamagedError:
            self.abort()
            raise

    def files_of(self, series: Sequence[SavedSeries | None]) -> set[Path]:
        """Return the files that a checkpoint needs."""
        return {self._path_of(one) for one in series if one is not None}

    def _path_of(self, series: SavedSeries) -> Path:
        # The earlier attempt may have renamed it to its final name.
        path = self.directory / series.name
        final = path.with_name(path.name.removesuffix(".part"))
        return final if final.exists() and not path.exists() else path

    def unfinished(self) -> set[Path]:
        """Return the paths of the unfinished files."""
        return {output.unfinished for output in self._outputs}

    def publish(self, compression: Compression = "none") -> list[OutputRecord]:
        """Annotate, close, verify and rename every file."""
        return [self._publish(output, compression) for output in self._outputs]

    def remove_other_files(self) -> None:
        """Remove all other files of the job, after the row names these.

        A worker that has lost the job may still write there; it loses a file that no row would ever name.
        """
        remove(present(self.directory), keep={output.final for output in self._outputs})

    def abort(self, keep: Collection[Path] = ()) -> None:
        """Close and remove all files except those in `keep`; rename published files back to their unfinished names."""
        for output in self._outputs:
            unfinished = output.unfinished
            if output.writer is not None:
                output.writer.abort()
                output.writer = None
            # A file converted for TVB 1 is not kept: its source still exists.
            if unfinished in keep and output.final.exists() and not unfinished.exists():
                with suppress(OSError):
                    output.final.replace(unfinished)
            _remove(output.final)
            _remove(part(unfinished))
            if unfinished not in keep:
                _remove(unfinished)

    def _plan(self, index: int, series: MonitorSeries, spec: SimulationSpec) -> _Output:
        # The gid depends on the claim, so a worker that lost its lease cannot replace the file of the next one.
        gid, monitor = uuid5(self._claim.token, str(index)), self._simulator.monitors[index]
        name = type(monitor).__name__
        header = Header(
            gid=gid,
            datatype=series.datatype,
            title=(spec.title and fill(spec.title, spec.words()))
            or f"{'Regions' if series.datatype == 'TimeSeriesRegion' else ''} {name}".strip(),
            sample_period=float(monitor.period),
            start_time=0.0,
            labels_ordering=LABELS_ORDERING[series.datatype],
            labels_dimensions=series.labels_dimensions,
            **{attribute: datatype.gid for attribute, datatype in series.references.items()},
            subject=spec.subject,
            user_tags=spec.user_tags,
            operation_tag=spec.operation_tag,
            created=datetime.now(UTC),
        )
        final = self._storage.output(self._claim.sweep, self._claim.gid, series.datatype, gid)
        first, every = int(self._simulator.current_step), max(1, int(monitor.istep))
        samples = (first + reference.count_steps(self._simulator)) // every - first // every
        transient = transient_of(samples, header.sample_period, spec.transient, spec.monitors[index])
        return _Output(gid, name, header, self._write_references(series), final, part(final), samples, transient)

    def _open(self, output: _Output, sample_shape: tuple[int, ...]) -> TimeSeriesWriter:
        path, header = output.unfinished, output.header
        own = {"monitor": str(self._outputs.index(output)), "transient": repr(_left_out(output))}
        provenance = {**self._provenance, **own}
        return TimeSeriesWriter(path, header, sample_shape, provenance, output.samples, self._inputs)

    def _write_references(self, series: MonitorSeries) -> tuple[str, ...]:
        """Write the datatypes that a series refers to, each after its own references; return their paths."""
        paths = []
        for datatype in (*series.datatypes, *series.companions):
            if self._format == "tvb1" and file_prefix(datatype) != "Connectivity":
                continue  # TVB 1's files refer only to a Connectivity.
            path = self._storage.datatype(file_prefix(datatype), datatype.gid)
            write_datatype(path, datatype, datetime.now(UTC), subject="John Doe")
            if self._format == "tvb1":
                path = write_connectivity(path, self._storage.tvb1_datatype("Connectivity", datatype.gid))
            paths.append(self._storage.relative(path))
        return tuple(dict.fromkeys(paths))

    def _publish(self, output: _Output, compression: Compression) -> OutputRecord:
        assert output.writer is not None, "the spec checks that every monitor samples at least once"
        unfinished, samples = output.unfinished, output.writer.close()
        with verified(unfinished, output.gid, samples) as found:
            measured = compute(found.numbers, output.header.sample_period, output.transient, is_nan=found.is_nan)
        if self._format == "tvb1":
            unfinished = as_tvb1(unfinished)
            _compress(unfinished, compression)
            found = replace(found, bytes=unfinished.stat().st_size, sha256=sha256(unfinished))
        elif compression != "none":
            _compress(unfinished, compression)
            found = verify(unfinished, output.gid)
        publish(unfinished, output.final)
        return OutputRecord(
            gid=output.gid,
            monitor=output.monitor,
            datatype=output.header.datatype,
            path=self._storage.relative(output.final),
            format=self._format,
            bytes=found.bytes,
            sha256=found.sha256,
            shape=found.shape,
            is_nan=found.is_nan,
            transient=_left_out(output),
            metrics=measured.values,
            missing=measured.missing,
            refers_to=output.refers_to,
        )


def _left_out(output: _Output) -> float:
    """Return the length of the transient that the metrics leave out, ms."""
    return output.transient.samples * output.header.sample_period


def present(directory: Path) -> list[Path]:
    """Return the files in a job's directory.

    Call it before checking that the job is still this worker's. Then the list has no file of another worker: if this
    process freezes after the check, files that another attempt writes later are not in it.
    """
    with suppress(OSError):
        return list(directory.iterdir())
    return []


def remove(paths: Iterable[Path], keep: Collection[Path] = ()) -> None:
    """Remove files of a job, except those in `keep`."""
    for path in paths:
        if path not in keep:
            _remove(path)


def _remove(path: Path) -> None:
    """Remove a file if it exists; ignore errors, because an earlier error matters more."""
    with suppress(OSError):
        # HDF5 keeps a file open that it cannot write; truncating it frees the disk space.
        if path.suffix == ".part":
            os.truncate(path, 0)
        path.unlink()


def _compress(path: Path, compression: Compression) -> None:
    """Compress a complete file; if that fails, keep it uncompressed."""
    try:
        compress(path, compression)
    except OutputError as exc:
        log.warning("compression_skipped", reason=str(exc))


def _embedded(spec: SimulationSpec, inputs: Inputs) -> dict[str, bytes]:
    """Return the small input files of the simulation by name, so that the result file is enough to repeat it."""
    paths = {name: inputs.path(name) for name in spec.files()}
    return {name: path.read_bytes() for name, path in paths.items() if path.stat().st_size <= MOST_EMBEDDED}


def _provenance(claim: Claim, spec: SimulationSpec, engine: str) -> Mapping[str, str]:
    """Return the origin of a file, as texts: enough to repeat the job from the file alone."""
    return {
        "spec": spec.canonical_json(),
        "parameters_hash": spec.parameters_hash(),
        "seed": str(spec.seed),
        "sweep": str(claim.sweep),
        "job": str(claim.gid),
        "attempt": str(claim.attempt),
        "engine": engine,
        "versions": json.dumps(versions(spec), sort_keys=True),
        "host": platform.node(),
        "machine": platform.machine(),
    }
