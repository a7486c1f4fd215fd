"""The output of a monitor for scripts and notebooks. The file is opened at the first access and read slice by slice."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tvb_batch.models.errors import NotFoundError, OutputError, SpecError
from tvb_batch.models.spec.transient import transient_of
from tvb_batch.models.tvb.h5_guard import check_contained, open_h5
from tvb_batch.submit.present.formatting import size
from tvb_batch.submit.present.html import as_table

if TYPE_CHECKING:
    import h5py
    import xarray as xr
    from numpy.typing import NDArray

    from tvb_batch.submit.present.plots import Picture


class TimeSeries:
    """The output of one monitor. The file is opened at the first access; only what you ask for is read."""

    def __init__(self, path: Path, refers_to: Sequence[Path] = ()) -> None:
        #: The H5 file.
        self.path = path
        #: Files of datatypes that it refers to, such as its connectivity.
        self.refers_to = refers_to
        self._file: h5py.File | None = None

    @property
    def data(self) -> "h5py.Dataset":
        """The data, (time, state variable, node, mode), float64; only the slice that you take is read."""
        return self._open()["data"]

    @property
    def time(self) -> "NDArray[Any]":
        """The times, (time,), in ms."""
        times: NDArray[Any] = self._open()["time"][()]
        return times

    @property
    def times(self) -> "h5py.Dataset":
        """The times, (time,), in ms, as a dataset that is read when sliced."""
        return self._open()["time"]

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of `data`."""
        return tuple(self.data.shape)

    @property
    def attributes(self) -> dict[str, Any]:
        """The attributes of the file, such as title, sample_period (ms) and labels_dimensions."""
        found = {name.removeprefix("TVB_"): value for name, value in self._open().attrs.items()}
        texts = ["labels_ordering", "labels_dimensions"]
        if "Type" in found:
            # Format tvb1 has capitalized names and stores more values as JSON.
            found = {name[0].lower() + name[1:]: value for name, value in found.items()}
            texts += ["title", "sample_period", "sample_period_unit", "sample_rate", "start_time"]
        return found | {name: json.loads(found[name]) for name in texts if name in found}

    @property
    def region_labels(self) -> list[str]:
        """The labels of the regions; empty if the nodes are not regions of a connectivity."""
        if "Region" not in self.attributes.get("labels_ordering", ()):
            return []
        found = (node_labels(path) for path in self.refers_to if path.name.startswith("Connectivity_"))
        return next(found, [])

    @property
    def spec(self) -> dict[str, Any]:
        """The complete simulation."""
        spec: dict[str, Any] = json.loads(self._open()["tvb_batch"].attrs["spec"])
        return spec

    def to_xarray(self) -> "xr.DataArray":
        """Return an xarray DataArray with labels, read when needed; needs the extra `notebook`."""
        try:
            from tvb_batch.submit.api.xarray_export import as_data_array
        except ImportError as exc:
            raise NotFoundError("a labelled array needs xarray: pip install 'tvb-batch[notebook]'") from exc
        return as_data_array(self.data, self.time, self.attributes, self.region_labels)

    def left_out(self, transient: float | None = None) -> int:
        """Return the number of first samples that metrics, spectrum and functional connectivity leave out.

        Parameters
        ----------
        transient : ms; by default as in the simulation, or by the rule in `docs/spec.md`

        Raises
        ------
        SpecError
            It leaves nothing of the series.
        """
        samples, period = self.shape[0], float(self.attributes["sample_period"])
        if transient is not None and not 0 <= transient < samples * period:
            expected = f"from 0 on, and less than the series, {samples * period:g} ms"
            raise SpecError("transient", f"{transient:g} ms", expected)
        spec, monitor = self.spec, int(self._open()["tvb_batch"].attrs["monitor"])
        given = spec.get("transient") if transient is None else float(transient)
        return transient_of(samples, period, given, spec["monitors"][monitor]).samples

    def plot(self, path: Path | str | None = None, *, title: str = "", transient: float | None = None) -> "Picture":
        """Plot the first state variable with spectrum and functional connectivity; write it to `path`, if given.

        Parameters
        ----------
        transient : part at the start that the latter two leave out, ms; see `left_out`
        """
        from tvb_batch.submit.present.plot_series import draw_series
        from tvb_batch.submit.present.plots import save_picture

        picture = draw_series(self, title or str(self.attributes["title"]), self.left_out(transient))
        if path is not None:
            save_picture(picture, Path(path))
        return picture

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> "TimeSeries":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<TimeSeries {self.attributes['title']!r} {self.shape} {self.path.name}>"

    def _repr_html_(self) -> str:
        return as_table(
            str(self.attributes["title"]),
            {
                "shape": " x ".join(map(str, self.shape)) + " (time, state variable, node, mode)",
                "every": f"{float(self.attributes['sample_period']):g} ms",
                "size": size(self.path.stat().st_size), "file": self.path.name,
            },
        )  # fmt: skip

    def _open(self) -> "h5py.File":
        if self._file is None:
            self._file = _opened(self.path)
        return self._file


def _opened(path: Path) -> "h5py.File":
    import h5py

    try:
        file = h5py.File(path, "r")
        check_contained(file)
        return file
    except OSError as exc:
        reason = str(exc).splitlines()[0]
        raise OutputError(f"{path}: cannot be read here ({reason}); is the data directory mounted?") from exc


def node_labels(path: Path) -> list[str]:
    """Return the labels of regions or sensors in a datatype's file; empty if it has none or is not here."""
    try:
        with open_h5(path) as file:
            names: Any = next((file[key].asstr()[()] for key in ("region_labels", "labels") if key in file), [])
    except OSError:
        return []
    return [str(name) for name in names]
