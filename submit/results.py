"""Sweeps, jobs and time series as a script or a notebook has them. Made by `submit.script`.

They read the catalogue anew at every question; a time series is read from its file, slice by slice.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from models.catalogue import Catalogue
from models.errors import NotFoundError, OutputError
from models.settings import Settings
from models.status import Status
from models.tables import Job as JobRow
from models.tables import Sweep as SweepRow
from submit import view
from submit.bundle import make_bundle
from submit.live import watch
from submit.stats import default_metric, points_of
from submit.words import parameters, short_metrics

if TYPE_CHECKING:
    import h5py
    import pandas as pd
    import xarray as xr
    from numpy.typing import NDArray

    from submit.picture import Picture

#: Jobs read at once.
_PAGE = 1000


class TimeSeries:
    """One monitor's output. Opens its file at the first look, and reads what is asked for."""

    def __init__(self, path: Path) -> None:
        #: The H5 file.
        self.path = path
        self._file: h5py.File | None = None

    @property
    def data(self) -> "h5py.Dataset":
        """(time, state variable, node, mode) float64; slice it, and only the slice is read."""
        return self._open()["data"]

    @property
    def time(self) -> "NDArray[Any]":
        """(time,) ms"""
        times: NDArray[Any] = self._open()["time"][()]
        return times

    @property
    def times(self) -> "h5py.Dataset":
        """(time,) ms, as `time`, but read only where it is sliced."""
        return self._open()["time"]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of `data`."""
        return tuple(self.data.shape)

    @property
    def attributes(self) -> dict[str, Any]:
        """What the file says of itself, such as title, sample_period (ms) and labels_dimensions."""
        found = {name.removeprefix("TVB_"): value for name, value in self._open().attrs.items()}
        texts = ["labels_ordering", "labels_dimensions"]
        if "Type" in found:
            # Format tvb1 capitalizes the names, and has more of the values as JSON.
            found = {name[0].lower() + name[1:]: value for name, value in found.items()}
            texts += ["title", "sample_period", "sample_period_unit", "sample_rate", "start_time"]
        return found | {name: json.loads(found[name]) for name in texts if name in found}

    @property
    def spec(self) -> dict[str, Any]:
        """The simulation that made it, complete."""
        spec: dict[str, Any] = json.loads(self._open()["tvb_batch"].attrs["spec"])
        return spec

    def to_xarray(self) -> "xr.DataArray":
        """As xarray's DataArray with its labels, just as lazy; needs the extra `notebook`."""
        try:
            from submit.labelled import as_data_array
        except ImportError as exc:
            raise NotFoundError("a labelled array needs xarray: pip install 'tvb-batch[notebook]'") from exc
        return as_data_array(self.data, self.time, self.attributes)

    def plot(self, path: Path | str | None = None, *, title: str = "") -> "Picture":
        """Time series, spectrum and connectivity of the first state variable; written to `path`, if given."""
        from submit.picture import save
        from submit.plot_series import draw_series

        picture = draw_series(self, title or str(self.attributes["title"]))
        if path is not None:
            save(picture, Path(path))
        return picture

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> "TimeSeries":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<TimeSeries {self.attributes['title']!r} {self.shape} {self.path.name}>"

    def _open(self) -> "h5py.File":
        if self._file is None:
            import h5py

            try:
                self._file = h5py.File(self.path, "r")
            except OSError as exc:
                reason = str(exc).splitlines()[0]
                raise OutputError(
                    f"{self.path}: cannot be read here ({reason}); is the data directory mounted?"
                ) from exc
        return self._file


def node_labels(path: Path) -> list[str]:
    """The names of the regions or sensors in a datatype's file; none when it holds neither, or is not here."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            names: Any = next((file[key].asstr()[()] for key in ("region_labels", "labels") if key in file), [])
    except OSError:
        return []
    return [str(name) for name in names]


class Job:
    """One simulation of a sweep."""

    def __init__(self, row: JobRow, catalogue: Catalogue, settings: Settings) -> None:
        self._row, self._catalogue, self._settings = row, catalogue, settings

    @property
    def gid(self) -> UUID:
        """Its name in the catalogue."""
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
        """As it was when the job was asked for."""
        return self._row.status

    @property
    def error(self) -> str | None:
        """The last fault, in words."""
        return self._row.error

    def time_series(self, monitor: int | str = 0) -> TimeSeries:
        """The output of a monitor, by its place in the simulator's list or by its class.

        Raises
        ------
        NotFoundError
            The job has none: it has not finished, or there is no such monitor.
        """
        outputs = self._catalogue.outputs([self.gid])
        if isinstance(monitor, str):
            outputs, index = [output for output in outputs if output.monitor == monitor], 0
        else:
            index = monitor
        if not -len(outputs) <= index < len(outputs):
            raise NotFoundError(f"job {view.short(self.gid)} ({self.status}): no output of monitor {monitor!r}")
        return TimeSeries(self._settings.storage.absolute(outputs[index].path))

    def plot(self, monitor: int | str = 0, path: Path | str | None = None) -> "Picture":
        """Time series, spectrum and functional connectivity of one monitor; written to `path`, if given.

        Raises
        ------
        NotFoundError
            There is no such output.
        """
        with self.time_series(monitor) as series:
            words = f"{self._row.sweep.name} {view.short(self.gid)}  {parameters(self._row)}".strip()
            return series.plot(path, title=words)

    @property
    def metrics(self) -> dict[str, float]:
        """Numbers of its series, such as KuramotoIndex; those of the second monitor as `monitors[1].KuramotoIndex`."""
        return self._catalogue.metrics([self.gid])[self.gid]

    def as_dict(self) -> dict[str, Any]:
        """Everything the catalogue says of it."""
        return view.job_as_dict(self._row)

    def __repr__(self) -> str:
        return f"<Job {view.short(self.gid)} {self.status} {self.parameters}>"


class Sweep:
    """One submission. Leaving it, as a context, ends the workers it started, if any."""

    def __init__(
        self, row: SweepRow, catalogue: Catalogue, settings: Settings, *, local: ExitStack | None = None,
        check: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        self._row, self._catalogue, self._settings = row, catalogue, settings
        self._local, self._check = local, check

    @property
    def gid(self) -> UUID:
        """Its name in the catalogue."""
        return self._row.gid

    @property
    def name(self) -> str:
        """Its name among people."""
        return self._row.name

    def __len__(self) -> int:
        return self._row.size

    def counts(self) -> dict[str, int]:
        """How many jobs are in which state."""
        return {str(status): count for status, count in self._catalogue.counts(self.gid).items()}

    def wait(self) -> "Sweep":
        """Show progress until every job has ended, and end the workers that `submit` started; gives the sweep.

        Failed jobs are told, not raised: `jobs(status="ERROR")` has them.
        """
        try:
            counts = watch(self._catalogue, self._row, on_tick=self._check)
        finally:
            self.close()
        if counts[Status.ERROR]:
            failed = self.jobs(status="ERROR")
            print(f"{view.jobs_word(len(failed))} failed, the first: {failed[0].error}")
        return self

    def jobs(self, status: str | None = None, where: str | None = None) -> list[Job]:
        """The jobs, in the order of the sweep.

        Parameters
        ----------
        status : PENDING, STARTED, FINISHED, ERROR or CANCELED
        where : such as `coupling.a >= 5 and KuramotoIndex > 0.8`; see `docs/filters.md`
        """
        return [Job(row, self._catalogue, self._settings) for row in self._rows(status, where)]

    def dataframe(self) -> "pd.DataFrame":
        """A row for each job: number, gid, status, seed, repeat, seconds, error, each parameter and each metric."""
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
        """A metric over what was swept: a line over one parameter, a heat map over two; written to `path`, if given.

        Parameters
        ----------
        metric : such as KuramotoIndex (where there is one, the default), or `duration`, in seconds
        over : one or two swept parameters, by default the first that vary; the mean is taken over the others

        Raises
        ------
        NotFoundError
            No job has the metric, or the sweep does not vary one of `over`.
        """
        from submit.picture import save
        from submit.plot_sweep import draw_sweep

        metric = metric or default_metric(self._catalogue, self.gid)
        points = points_of(self._catalogue, self._row, metric)
        picture = draw_sweep(points, metric, over, f"{self.name}  {view.short(self.gid)}")
        if path is not None:
            save(picture, Path(path))
        return picture

    def bundle(self, target: Path | str | None = None) -> Path:
        """A ZIP of the finished results, to upload in the TVB GUI; see `tvb-batch bundle`."""
        path = Path(target) if target else self._settings.storage.bundle(self.name)
        return make_bundle(self._catalogue, [self._row], self._settings, path.absolute())

    def cancel(self) -> int:
        """Cancel what is waiting or running; gives how many jobs."""
        return self._catalogue.cancel(sweep=self.gid)

    def retry(self) -> int:
        """Let failed and canceled jobs wait again; gives how many."""
        return self._catalogue.retry(sweep=self.gid)

    def close(self) -> None:
        """End the workers that `submit` started; running jobs are given back, and wait."""
        if self._local is not None:
            self._local.close()

    def __enter__(self) -> "Sweep":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        counts = ", ".join(f"{count} {status}" for status, count in self.counts().items())
        return f"<Sweep {self.name!r} {view.short(self.gid)}: {counts}>"

    def _rows(self, status: str | None, where: str | None) -> Iterator[JobRow]:
        filters: Mapping[str, Any] = {
            "sweep": self.gid,
            "status": Status(status.upper()) if status else None,
            "where": where,
        }
        for offset in range(0, self._row.size, _PAGE):
            page = self._catalogue.jobs(**filters, limit=_PAGE, offset=offset)
            yield from page
            if len(page) < _PAGE:
                return


def _as_table_row(row: JobRow) -> dict[str, Any]:
    known = view.job_as_dict(row)
    kept = {name: known[name] for name in ("number", "gid", "status", "seed", "seconds", "error")}
    parameters = {
        name: view.number(value) if isinstance(value, dict | list) else value for name, value in row.parameters.items()
    }
    return {**kept, "repeat": row.repeat, **parameters}
