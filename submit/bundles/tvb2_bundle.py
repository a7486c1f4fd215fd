"""The ZIPs for the TVB 2 GUI: selects the jobs. A worker process reads and writes the H5 files, one ZIP at a time."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from uuid import UUID

from tvb_batch.models.catalogue import Catalogue
from tvb_batch.models.catalogue.status import Status
from tvb_batch.models.catalogue.submission import as_columns
from tvb_batch.models.catalogue.tables import Job, Output, Sweep
from tvb_batch.models.errors import NotFoundError, OutputError
from tvb_batch.models.paths import Storage
from tvb_batch.models.settings import Settings
from tvb_batch.models.spec.simulation import simulation
from tvb_batch.models.worker_protocol import BundleKind, BundlePoint, WriteBundle
from tvb_batch.submit.bundles.axes import Exploration, explorations
from tvb_batch.submit.operate.processes import run_worker


@dataclass(frozen=True)
class Wanted:
    """The options of a bundle."""

    #: None chooses by the jobs.
    kind: BundleKind | None = None
    #: A filter of jobs, as in `list --where`.
    where: str | None = None
    #: For an exploration: one or two swept parameters.
    axes: tuple[str, ...] = ()
    #: For an exploration: values of other swept parameters.
    at: Mapping[str, str] = field(default_factory=dict)
    #: Gids of datatypes already in the GUI's project: connectivity, region_mapping, surface, sensors.
    links: Mapping[str, UUID] = field(default_factory=dict)
    #: Keep the gids of the files. By default each ZIP has new ones, so that a second import cannot damage the first.
    stable_gids: bool = False


@dataclass(frozen=True)
class Bundle:
    """One ZIP that was written."""

    path: Path
    kind: BundleKind
    jobs: int
    #: Which part of the request; empty if there is only one.
    label: str = ""
    #: What a second run in the GUI does otherwise, and for how many of the simulations.
    notes: Mapping[str, int] = field(default_factory=dict)


def make_bundles(
    catalogue: Catalogue, found: Sequence[Job | Sweep], settings: Settings, target: Path, wanted: Wanted | None = None,
    on_progress: Callable[[int, int], object] = lambda done, jobs: None,
) -> list[Bundle]:  # fmt: skip
    """Write finished results of jobs and sweeps, and all they refer to, into one ZIP, or several if needed.

    Parameters
    ----------
    target : the ZIP; if there are several, each has its number in its name
    on_progress : called with the number of finished jobs and of all jobs

    Raises
    ------
    NotFoundError
        None of the jobs is FINISHED.
    SpecError
        They are not an exploration, or the axes must be given.
    OutputError, WorkerProcessError
        A file is not on this machine, or a ZIP could not be written.
    """
    wanted = wanted or Wanted()
    jobs = _finished(catalogue, found, wanted.where)
    kind = wanted.kind or _suits(found, jobs)
    parts = [Exploration((), jobs)]
    if kind == "pse" or (kind == "project" and _swept_numbers(jobs)):
        parts = explorations(jobs, wanted.axes, wanted.at)
    written, total = 0, sum(len(part.jobs) for part in parts)
    made = []
    for place, part in enumerate(parts, start=1):
        path = target if len(parts) == 1 else target.with_stem(f"{target.stem}-{place}")
        done, notes = 0, Counter[str]()

        def count(line: str, before: int = written, most: int = len(part.jobs), notes: Counter[str] = notes) -> None:
            nonlocal done
            word, _, text = line.strip().partition(" ")
            if word == "note":
                notes[text] += 1
                return
            done = min(done + 1, most)
            on_progress(before + done, total)

        request = _request(catalogue, settings.storage, kind, part, path, wanted)
        run_worker(settings, request, on_line=count)
        written += len(part.jobs)
        made.append(Bundle(path, kind, len(part.jobs), part.label, dict(notes)))
    return made


def _suits(found: Sequence[Job | Sweep], jobs: Sequence[Job]) -> BundleKind:
    """Return pse for a sweep over one or two numbers only, otherwise simulations."""
    is_sweep = len(found) == 1 and isinstance(found[0], Sweep) and len(jobs) > 1
    names = {name for job in jobs for name in job.parameters}
    is_plain = names == set(_swept_numbers(jobs)) and not any(job.repeat for job in jobs)
    return "pse" if is_sweep and is_plain and 1 <= len(names) <= 2 else "simulations"


def _swept_numbers(jobs: Sequence[Job]) -> list[str]:
    names = dict.fromkeys(name for job in jobs for name in job.parameters)
    return [name for name in names if all(as_columns(job.parameters.get(name))[0] is not None for job in jobs)]


def _request(
    catalogue: Catalogue, storage: Storage, kind: BundleKind, part: Exploration, path: Path, wanted: Wanted
) -> WriteBundle:  # fmt: skip
    """Return the request for one ZIP."""
    request = WriteBundle(
        kind, f"{part.jobs[0].sweep.name} {part.label}".strip(), path,
        links=wanted.links, stable_gids=wanted.stable_gids,
    )  # fmt: skip
    if kind == "data":
        return replace(request, files=tuple(_files(catalogue, part.jobs, storage)))
    metrics = catalogue.metrics([job.gid for job in part.jobs])
    points = (_point(catalogue, job, storage, part.axes, metrics[job.gid]) for job in part.jobs)
    return replace(request, points=tuple(points))


def _finished(catalogue: Catalogue, found: Sequence[Job | Sweep], where: str | None) -> list[Job]:
    jobs: list[Job] = []
    for one in found:
        if isinstance(one, Sweep):
            jobs += catalogue.jobs(sweep=one.gid, status=Status.FINISHED, where=where, limit=one.size)
        elif one.status == Status.FINISHED:
            # Without a filter, the job itself; with one, the job if it matches.
            fitting = catalogue.jobs(sweep=one.sweep.gid, where=where, limit=one.sweep.size) if where else [one]
            jobs += [job for job in fitting if job.gid == one.gid]
    if not jobs:
        match = f" and matches `{where}`" if where else ""
        fault = f"nothing to bundle: none of these jobs is finished{match}"
        raise NotFoundError(f"{fault}; `tvb-batch list` shows their status")
    return list({job.gid: job for job in jobs}.values())


def _point(
    catalogue: Catalogue, job: Job, storage: Storage, axes: Sequence[str], metrics: Mapping[str, float]
) -> BundlePoint:  # fmt: skip
    outputs = _checked(catalogue.outputs([job.gid]))
    spec = simulation(job.sweep.base).with_parameters({**job.parameters, "seed": job.seed})
    references = dict.fromkeys(path for one in outputs for path in one.refers_to)
    return BundlePoint(
        spec=spec.canonical(),
        outputs=tuple(_there(storage, output.path) for output in outputs),
        datatypes=tuple(_there(storage, path) for path in references),
        metrics={name: value for name, value in metrics.items() if "." not in name},
        start_point=outputs[0].transient,
        swept=_place(job, axes),
        name=f"{job.sweep.name} {job.number}",
    )


def _place(job: Job, axes: Sequence[str]) -> dict[str, float]:
    """Return the job's value of each axis; an axis is a swept parameter whose values are numbers in every job."""
    values = {name: as_columns(job.parameters[name])[0] for name in axes}
    return {name: value for name, value in values.items() if value is not None}


def _files(catalogue: Catalogue, jobs: Sequence[Job], storage: Storage) -> list[Path]:
    """Return the files of results, the datatypes that they refer to first."""
    outputs = _checked(catalogue.outputs([job.gid for job in jobs]))
    references = [path for output in outputs for path in output.refers_to]
    return [_there(storage, path) for path in dict.fromkeys(references + [output.path for output in outputs])]


def _checked(outputs: list[Output]) -> list[Output]:
    for output in outputs:
        if output.format == "tvb1":
            raise OutputError(f"{output.path}: written for TVB 1; bundle it with --format tvb1")
    return outputs


def _there(storage: Storage, relative: str) -> Path:
    path = storage.absolute(relative)
    if not path.is_file():
        raise OutputError(
            f"{path}: no such file; run `tvb-batch bundle` where the workers' data directory is mounted "
            "(TVB_BATCH_DATA_DIR)"
        )
    return path
