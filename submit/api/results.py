"""Sweeps and jobs for scripts and notebooks. They read the catalogue at every call."""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from tvb_batch.models.catalogue import Catalogue
from tvb_batch.models.catalogue.status import Status
from tvb_batch.models.catalogue.tables import Job as JobRow
from tvb_batch.models.catalogue.tables import Sweep as SweepRow
from tvb_batch.models.errors import NotFoundError
from tvb_batch.models.settings import Settings
from tvb_batch.models.worker_protocol import BundleKind
from tvb_batch.submit.api.time_series import TimeSeries, node_labels
from tvb_batch.submit.bundles.tvb2_bundle import Wanted, make_bundles
from tvb_batch.submit.present import serialize
from tvb_batch.submit.present.describe import describe_plan
from tvb_batch.submit.present.formatting import counts_text, duration, parameters_text, ran_for, short_metrics
from tvb_batch.submit.present.html import as_table
from tvb_batch.submit.present.live import watch
from tvb_batch.submit.present.remarks import left_out, remarks
from tvb_batch.submit.present.stats import default_metric, points_of

if TYPE_CHECKING:
    import pandas as pd

    from tvb_batch.submit.present.plots import Picture

#: Number of jobs read at once.
_PAGE = 1000

__all__ = ["Job", "Sweep", "TimeSeries", "node_labels"]


class Job:
    """One simulation of a sweep."""

    def __init__(self, row: JobRow, catalogue: Catalogue, settings: Settings) -> None:
        self._row, self._catalogue, self._settings = row, catalogue, settings

    @property
    def gid(self) -> UUID:
        """The gid of the job."""
        return self._row.gid

    @property
    def parameters(self) -> dict[str, Any]:
        """The swept parameters."""
        return dict(self._row.parameters)

    @property
    def seed(self) -> int:
        """The noise_seed."""
        return self._row.seed

    @property
    def status(self) -> Status:
        """The status when the job was read."""
        return self._row.status

    @property
    def error(self) -> str | None:
        """The message of the last error."""
        return self._row.error

    def time_series(self, monitor: int | str = 0) -> TimeSeries:
        """Return the output of a monitor, by its position in the simulator's list or by its class.

        Raises
        ------
        NotFoundError
            The job has not finished, or there is no such monitor.
        """
        outputs = self._catalogue.outputs([self.gid])
        if isinstance(monitor, str):
            outputs, index = [output for output in outputs if output.monitor == monitor], 0
        else:
            index = monitor
        if not -len(outputs) <= index < len(outputs):
            status = self.status.word
            raise NotFoundError(f"job {serialize.short(self.gid)} ({status}): no output of monitor {monitor!r}")
        storage, found = self._settings.storage, outputs[index]
        return TimeSeries(storage.absolute(found.path), [storage.absolute(path) for path in found.refers_to])

    def plot(
        self, monitor: int | str = 0, path: Path | str | None = None, *, transient: float | None = None
    ) -> "Picture":
        """Plot time series, spectrum and functional connectivity of one monitor; write it to `path`, if given.

        Parameters
        ----------
        transient : part at the start that spectrum and connectivity leave out, ms; by default as for the metrics

        Raises
        ------
        NotFoundError
            There is no such output.
        SpecError
            The transient leaves nothing of the series.
        """
        with self.time_series(monitor) as series:
            words = f"{self._row.sweep.name} {serialize.short(self.gid)}  {parameters_text(self._row)}".strip()
            return series.plot(path, title=words, transient=transient)

    @property
    def metrics(self) -> dict[str, float]:
        """Return the metrics, such as KuramotoIndex; those of the second monitor as `monitors[1].KuramotoIndex`."""
        return self._catalogue.metrics([self.gid])[self.gid]

    @property
    def missing_metrics(self) -> dict[str, str]:
        """Return why metrics are missing, by name."""
        return self._catalogue.missing_metrics([self.gid])[self.gid]

    def as_dict(self) -> dict[str, Any]:
        """Return everything that the catalogue knows about the job."""
        return serialize.job_as_dict(self._row)

    def __repr__(self) -> str:
        return f"<Job {serialize.short(self.gid)} {self.status.word} {self.parameters}>"

    def _repr_html_(self) -> str:
        seconds, missing = ran_for(self._row), self.missing_metrics
        values = {
            "status": self.status.word, **{name: serialize.number(value) for name, value in self.parameters.items()},
            "ran": duration(seconds) if seconds is not None else "", "error": self.error or "",
            **{name: f"{value:.6g}" for name, value in short_metrics(self.metrics).items()},
            **{name: f"none: {reason}" for name, reason in missing.items()},
            "left out of metrics": left_out(self._catalogue.outputs([self.gid])),
        }  # fmt: skip
        return as_table(f"job {serialize.short(self.gid)} of {self._row.sweep.name}", values)


class Sweep:
    """One submission. At the end of a `with` block, its own workers are stopped."""

    def __init__(
        self, row: SweepRow, catalogue: Catalogue, settings: Settings, *, local: ExitStack | None = None,
        check: Callable[[], str | None] = lambda: None,
    ) -> None:  # fmt: skip
        self._row, self._catalogue, self._settings = row, catalogue, settings
        self._local, self._check = local, check

    @property
    def gid(self) -> UUID:
        """The gid of the sweep."""
        return self._row.gid

    @property
    def name(self) -> str:
        """The name of the sweep."""
        return self._row.name

    def __len__(self) -> int:
        return self._row.size

    def counts(self) -> dict[str, int]:
        """Return the number of jobs by status."""
        return {str(status): count for status, count in self._catalogue.counts(self.gid).items()}

    def wait(self) -> "Sweep":
        """Show progress until every job has ended, then stop the sweep's own workers; return the sweep.

        Failed jobs are shown and raise no exception; `jobs(status="failed")` returns them.
        """
        try:
            counts = watch(self._catalogue, self._row, on_tick=self._check)
        finally:
            self.close()
        if counts[Status.ERROR]:
            failed = self.jobs(status="ERROR")
            print(f"{serialize.jobs_word(len(failed))} failed, the first: {failed[0].error}")
        for line in remarks(self._catalogue, self._row):
            print(line)
        return self

    def jobs(self, status: str | None = None, where: str | None = None) -> list[Job]:
        """Return the jobs in the order of the sweep.

        Parameters
        ----------
        status : pending, running, finished, failed or canceled; or TVB's name, such as ERROR
        where : such as `coupling.a >= 5 and KuramotoIndex > 0.8`; see `docs/filters.md`
        """
        return [Job(row, self._catalogue, self._settings) for row in self._rows(status, where)]

    def dataframe(self) -> "pd.DataFrame":
        """Return a DataFrame with one row a job: number, gid, status, seed, error, parameters, metrics and more."""
        try:
            import pandas as pd
        except ImportError as exc:
            raise NotFoundError("a table of jobs needs pandas: pip install 'tvb-batch[notebook]'") from exc
        jobs = list(self._rows(None, None))
        metrics = self._catalogue.metrics([job.gid for job in jobs])
        return pd.DataFrame([{**_as_table_row(job), **short_metrics(metrics[job.gid])} for job in jobs]).set_index(
            "number"
        )

    def plot(
        self, metric: str | None = None, *, over: Sequence[str] | None = None, path: Path | str | None = None
    ) -> "Picture":
        """Plot a metric over one swept parameter as a line, over two as a heat map; write it to `path`, if given.

        Parameters
        ----------
        metric : such as KuramotoIndex (the default if it exists), or `duration`, in seconds
        over : one or two swept parameters, by default the first that vary; the others are averaged

        Raises
        ------
        NotFoundError
            No job has the metric, or the sweep does not vary one of `over`.
        """
        from tvb_batch.submit.present.plot_sweep import draw_sweep
        from tvb_batch.submit.present.plots import save_picture

        metric = metric or default_metric(self._catalogue, self.gid)
        points = points_of(self._catalogue, self._row, metric)
        picture = draw_sweep(points, metric, over, f"{self.name}  {serialize.short(self.gid)}")
        if path is not None:
            save_picture(picture, Path(path))
        return picture

    def bundle(
        self, target: Path | str | None = None, kind: BundleKind | None = None, axes: Sequence[str] = ()
    ) -> list[Path]:  # fmt: skip
        """Make ZIPs of the finished results for the TVB GUI; one, unless an exploration needs several.

        Parameters
        ----------
        kind : data, simulations, pse or project; by default chosen by the sweep
        axes : two swept parameters, for an exploration of more than two
        """
        path = Path(target) if target else self._settings.storage.bundle(self.name)
        wanted = Wanted(kind, axes=tuple(axes))
        made = make_bundles(self._catalogue, [self._row], self._settings, path.absolute(), wanted)
        return [bundle.path for bundle in made]

    def cancel(self) -> int:
        """Cancel pending and running jobs; return how many."""
        return self._catalogue.cancel(sweep=self.gid)

    def retry(self) -> int:
        """Set failed and canceled jobs to pending; return how many. User modules are used as they are here now."""
        return self._catalogue.retry(sweep=self.gid, note=warnings.warn)

    def close(self) -> None:
        """Stop the workers that `submit` started; running jobs become pending."""
        if self._local is not None:
            self._local.close()

    def __enter__(self) -> "Sweep":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        counts = ", ".join(f"{count} {Status(status).word}" for status, count in self.counts().items())
        return f"<Sweep {self.name!r} {serialize.short(self.gid)}: {counts}>"

    def _repr_html_(self) -> str:
        counts = self._catalogue.counts(self.gid)
        lines = describe_plan(self._catalogue.plan(self.gid))
        varied = {line.partition(":")[0]: line.partition(":")[2].strip() for line in lines}
        return as_table(f"sweep {self.name} ({serialize.short(self.gid)})", {"jobs": counts_text(counts), **varied})

    def _rows(self, status: str | None, where: str | None) -> Iterator[JobRow]:
        filters: Mapping[str, Any] = {
            "sweep": self.gid,
            "status": Status.parse(status) if status else None,
            "where": where,
        }
        for offset in range(0, self._row.size, _PAGE):
            page = self._catalogue.jobs(**filters, limit=_PAGE, offset=offset)
            yield from page
            if len(page) < _PAGE:
                return


def _as_table_row(row: JobRow) -> dict[str, Any]:
    known = serialize.job_as_dict(row)
    kept = {name: known[name] for name in ("number", "gid", "status", "seed", "seconds", "error")}
    parameters = {
        name: serialize.number(value) if isinstance(value, dict | list) else value
        for name, value in row.parameters.items()
    }
    return {**kept, "repeat": row.repeat, **parameters}
