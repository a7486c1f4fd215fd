"""The ZIP that shows up in the GUI as simulations it ran itself, each in the history, or all as one exploration.

Called where the storage is mounted. The root of the ZIP holds what the series refer to, and each folder one operation.
Every file gets a gid of its own for this ZIP, so that importing another ZIP of the same jobs cannot break what is
there; and the creation dates rise from file to file, because the GUI imports by date.
"""

import json
import math
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import h5py

from models.errors import OutputError, SpecError, TvbBatchError
from models.inputs import Inputs
from models.paths import part
from models.settings import load_settings
from models.spec import SimulationSpec, simulation, to_json
from models.traits import build
from worker.bundle import REFERENCES, Member, in_order, read_member
from worker.gids import content_gid
from worker.gui_ranges import burst_ranges, range_json
from worker.h5.datatypes import file_prefix, references, write_datatype
from worker.h5.tvb2 import PROVENANCE, write_attributes
from worker.h5.view_models import (
    Burst,
    ViewModel,
    check_gui_classes,
    metrics_record,
    simulation_record,
    write_burst,
    write_measure,
    write_view_model,
)
from worker.log import results_only
from worker.simulator import build_simulator
from worker.tasks import import_tvb

#: The GUI's Discrete viewer takes no more.
MOST_POINTS = 512


@dataclass(frozen=True)
class Point:
    """One finished simulation."""

    #: As `SimulationSpec.canonical` gives it.
    spec: Mapping[str, Any]
    #: Files of its time series, in the order of the monitors; metrics are those of the first.
    outputs: tuple[Path, ...]
    #: Files of what the time series refer to.
    datatypes: tuple[Path, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    #: Its place in the sweep, by the name of the parameter, such as `coupling.a`.
    swept: Mapping[str, float] = field(default_factory=dict)
    #: What the Simulation History calls it.
    name: str = "simulation"


@dataclass(frozen=True)
class _Group:
    """What all operations of an exploration say of it."""

    axes: dict[str, list[float]]
    ranges: list[str]
    simulations: UUID = field(default_factory=uuid4)
    metrics: UUID = field(default_factory=uuid4)

    def attributes(self, point: Point, gid: UUID) -> dict[str, object]:
        place = {name: float(point.swept[name]) for name in self.axes}
        return {"operation_group_gid": gid, "ranges": self.ranges, "range_values": place}


def write_simulations(points: Sequence[Point], target: Path, inputs: Inputs) -> Path:
    """Write a ZIP that puts each simulation into the Simulation History, with its parameters and series.

    Parameters
    ----------
    inputs : where the files are that the specs name
    target : appears whole or not at all, and is replaced when it is there

    Raises
    ------
    SpecError
        There is nothing to write, or a simulation has a part that the GUI has no view model of.
    InputError
        A file that a spec names cannot be read.
    OutputError
        A file is damaged, refers to what is not there, or the disk refused the ZIP.
    """
    specs = _specs(points)
    with _archive(points, target) as archive:
        shared = _Shared(inputs, archive)
        for number, (point, spec) in enumerate(zip(points, specs, strict=True), start=1):
            burst = _Operation(archive, str(number), uuid4())
            simulator, outputs = shared.add(point, spec)
            burst.add_simulation(spec, simulator, outputs, {})
            burst.add_burst(point.name, (), outputs)
    return target


def write_pse(points: Sequence[Point], target: Path, inputs: Inputs, name: str = "exploration") -> Path:
    """Write a ZIP that the GUI takes as one parameter space exploration, with the viewers of its metrics.

    Parameters
    ----------
    points : one or two swept parameters, the same and the same metrics in each
    name : what the Simulation History calls it

    Raises
    ------
    SpecError
        The points make no exploration that the GUI can show, or see `write_simulations`.
    InputError, OutputError
        As `write_simulations`.
    """
    specs = _specs(points)
    group = _group(points)
    with _archive(points, target) as archive:
        shared, burst = _Shared(inputs, archive), uuid4()
        series: list[UUID] = []
        for number, (point, spec) in enumerate(zip(points, specs, strict=True), start=1):
            operation = _Operation(archive, str(number), burst)
            simulator, outputs = shared.add(point, spec)
            gids = operation.add_simulation(spec, simulator, outputs, group.attributes(point, group.simulations))
            series.append(gids[0])
            if number == 1:
                operation.add_burst(name, burst_ranges(spec, group.axes), outputs)
        # The metrics' operations come after all the simulations', as the GUI asks.
        for number, (point, gid) in enumerate(zip(points, series, strict=True), start=len(points) + 1):
            operation = _Operation(archive, str(number), burst)
            operation.add_metrics(point, gid, group.attributes(point, group.metrics))
    return target


def _specs(points: Sequence[Point]) -> list[SimulationSpec]:
    if not points:
        raise SpecError("points", "none", "at least one finished simulation")
    specs = [simulation(point.spec) for point in points]
    for point, spec in zip(points, specs, strict=True):
        check_gui_classes(spec)
        if not point.outputs:
            raise SpecError(point.name, "no time series", "the files of its outputs")
    return specs


def _group(points: Sequence[Point]) -> _Group:
    """The exploration that the points make, once it was found to be one that the GUI shows."""
    names = list(points[0].swept)
    if not 1 <= len(names) <= 2:
        hint = "fix the others, one bundle for each of their values"
        raise SpecError("swept", f"{len(names)} parameters", "1 or 2, as many as the GUI's viewers have axes", hint)
    if len(points) > MOST_POINTS:
        hint = "leave some out, or make a bundle for each value of one parameter"
        raise SpecError("points", str(len(points)), f"at most {MOST_POINTS}, as many as the GUI shows", hint)
    if not points[0].metrics:
        raise SpecError("metrics", "none", "at least one, the same in each point: without them the viewers are empty")
    places: set[tuple[float, ...]] = set()
    for point in points:
        if set(point.swept) != set(names):
            raise SpecError(point.name, f"swept {', '.join(point.swept) or 'nothing'}", ", ".join(names))
        if set(point.metrics) != set(points[0].metrics):
            found = f"metrics {', '.join(point.metrics) or 'none'}"
            raise SpecError(point.name, found, f"{', '.join(points[0].metrics)}, as the first point has")
        place = tuple(float(point.swept[name]) for name in names)
        if not all(map(math.isfinite, place)):
            raise SpecError(point.name, f"swept to {place}", "finite numbers")
        if place in places:
            where = ", ".join(f"{name}={value:g}" for name, value in zip(names, place, strict=True))
            raise SpecError(point.name, f"a second point at {where}", "one point at each place")
        places.add(place)
    axes = {name: [float(point.swept[name]) for point in points] for name in names}
    return _Group(axes, [range_json(name, values) for name, values in axes.items()])


class _Archive:
    """The ZIP on its way: gives gids and dates, and holds one file at a time beside it."""

    def __init__(self, archive: zipfile.ZipFile, directory: Path, first: datetime) -> None:
        self._archive, self.directory, self._date = archive, directory, first
        self._gids: dict[UUID, UUID] = {}

    def gid_of(self, old: UUID) -> UUID:
        """The gid in this ZIP of a datatype that several files refer to."""
        return self._gids.setdefault(old, uuid4())

    def date(self) -> datetime:
        """A date after all that were given before."""
        self._date += timedelta(microseconds=1)
        return self._date

    def add(self, name: str, write: Callable[[h5py.File], None]) -> None:
        """Write a new file into the ZIP."""
        path = self.directory / "new.h5"
        with h5py.File(path, "w") as file:
            write(file)
        self._archive.write(path, name)
        path.unlink()

    def add_copy(self, member: Member, folder: str, gid: UUID, extra: Mapping[str, object]) -> None:
        """Copy a file into the ZIP, with its new gid and those of what it refers to."""
        copy = self.directory / "copy.h5"
        shutil.copyfile(member.path, copy)
        with h5py.File(copy, "r+") as file:
            # The member's own date, where it keeps the order.
            self._date = max(self._date, member.created - timedelta(microseconds=1))
            renamed = {
                name.removeprefix("TVB_"): self.gid_of(UUID(str(file.attrs[name])))
                for name in REFERENCES
                if name in file.attrs
            }
            write_attributes(file, {**renamed, **extra, "gid": gid, "create_date": self.date()})
            if PROVENANCE in file:
                file[PROVENANCE].attrs["output"] = UUID(member.gid).hex
        prefix = member.path.stem.rpartition("_")[0]
        self._archive.write(copy, f"{folder}{prefix}_{gid.hex}.h5")
        copy.unlink()


@contextmanager
def _archive(points: Sequence[Point], target: Path) -> Iterator[_Archive]:
    unfinished = part(target)
    first = min(read_member(path).created for point in points for path in (*point.outputs, *point.datatypes))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # Beside the target: series may be larger than what a machine has for its temporary files.
        # Not compressed: noisy float64 shrinks by a tenth at forty times the cost.
        with (
            tempfile.TemporaryDirectory(dir=target.parent, prefix=".bundle-") as directory,
            zipfile.ZipFile(unfinished, "w", zipfile.ZIP_STORED) as archive,
        ):
            yield _Archive(archive, Path(directory), first)
        unfinished.replace(target)
    except OSError as exc:
        raise OutputError(f"{target}: cannot be written ({exc.strerror or exc})") from exc
    finally:
        unfinished.unlink(missing_ok=True)


class _Shared:
    """What the operations refer to, once each at the root of the ZIP."""

    def __init__(self, inputs: Inputs, archive: _Archive) -> None:
        self._inputs, self._archive = inputs, archive
        self._added: set[str] = set()
        self._built: tuple[str, Any] = ("", None)

    def add(self, point: Point, spec: SimulationSpec) -> tuple[Any, list[Member]]:
        """The point's simulator and outputs, when all that they refer to is in the ZIP."""
        simulator = self._simulator(spec)
        members = {member.gid: member for member in map(read_member, dict.fromkeys(point.datatypes))}
        outputs = [read_member(path) for path in point.outputs]
        with tempfile.TemporaryDirectory(dir=self._archive.directory) as directory:
            for datatype in references(simulator):
                if datatype.gid.urn not in members:
                    path = Path(directory) / f"{file_prefix(datatype)}_{datatype.gid.hex}.h5"
                    write_datatype(path, datatype, outputs[0].created, subject="John Doe")
                    members[datatype.gid.urn] = read_member(path)
            own = {output.gid for output in outputs}
            for member in in_order([*members.values(), *outputs]):
                if member.gid not in own | self._added:
                    self._added.add(member.gid)
                    self._archive.add_copy(member, "", self._archive.gid_of(UUID(member.gid)), {})
        return simulator, outputs

    def _simulator(self, spec: SimulationSpec) -> Any:
        """The simulator of a point; its large parts are those of the point before, where the specs agree in them."""
        large = [spec.connectivity, spec.surface, spec.stimulus, spec.monitors, spec.initial_conditions]
        key = to_json([*large, spec.integrator["dt"], spec.model["class"], spec.model.get("variables_of_interest")])
        if key != self._built[0]:
            simulator = build_simulator(spec, self._inputs)
            for datatype in references(simulator):
                datatype.gid = content_gid(datatype)
            self._built = (key, simulator)
        simulator = self._built[1]
        # As the spec says, and not as a simulation changes them: it spreads parameters over vertices.
        simulator.model = build("model", spec.model, self._inputs)
        simulator.coupling = build("coupling", spec.coupling, self._inputs)
        simulator.integrator = build("integrator", spec.integrator, self._inputs)
        noise = getattr(simulator.integrator, "noise", None)
        if noise is not None:
            noise.noise_seed = spec.seed
        return simulator


class _Operation:
    """One folder of the ZIP."""

    def __init__(self, archive: _Archive, folder: str, burst: UUID) -> None:
        self._archive, self._folder, self._burst = archive, f"{folder}/", burst
        self._main: UUID | None = None

    def add_simulation(
        self, spec: SimulationSpec, simulator: Any, outputs: Sequence[Member], group: Mapping[str, object]
    ) -> list[UUID]:
        """The record of a simulation and its series; gives the series' gids."""
        main, *others = simulation_record(spec, simulator, self._archive.gid_of)
        self._main = main.gid
        self._add_view_model(main, {"parent_burst": self._burst, "state": "INTERMEDIATE", **group})
        for model in others:
            self._add_view_model(model, {})
        gids = [uuid4() for _ in outputs]
        for output, gid in zip(outputs, gids, strict=True):
            self._archive.add_copy(output, self._folder, gid, {"parent_burst": self._burst})
        return gids

    def add_burst(self, name: str, ranges: tuple[str, ...], outputs: Sequence[Member]) -> None:
        """The entry in the history; its times are those that the series know."""
        assert self._main is not None, "the simulation comes first"
        dates = [output.created for output in outputs]
        finished = max(
            datetime.fromtimestamp(output.path.stat().st_mtime, UTC).replace(tzinfo=None) for output in outputs
        )
        burst = Burst(self._burst, _gui_name(name), min(dates), max(finished, *dates), self._main, ranges)
        file_name = f"{self._folder}BurstConfiguration_{burst.gid.hex}.h5"
        self._archive.add(file_name, lambda file: write_burst(file, burst))

    def add_metrics(self, point: Point, series: UUID, group: Mapping[str, object]) -> None:
        """The metrics of a point, and the record of the operation that made them."""
        self._add_view_model(
            metrics_record(point.metrics, series), {"parent_burst": self._burst, "state": "INTERMEDIATE", **group}
        )
        gid, subject = uuid4(), str(point.spec.get("subject", ""))
        self._archive.add(
            f"{self._folder}DatatypeMeasure_{gid.hex}.h5",
            lambda file: write_measure(
                file, gid, point.metrics, series, self._archive.date(), subject=subject, burst=self._burst
            ),
        )

    def _add_view_model(self, model: ViewModel, extra: Mapping[str, object]) -> None:
        self._archive.add(
            f"{self._folder}{model.file_name}", lambda file: write_view_model(file, model, self._archive.date(), extra)
        )


def _gui_name(name: str) -> str:
    """A name as the GUI takes one: letters, digits, space, point, dash and underscore, all ASCII."""
    return "".join(letter if letter.isascii() and (letter.isalnum() or letter in " ._-") else "_" for letter in name)


def main() -> int:
    """Write the ZIP that standard input describes: kind, name, target and points; gives the exit code."""
    wanted = json.load(sys.stdin)
    inputs = Inputs(load_settings().storage)
    points = [
        Point(
            spec=point["spec"], outputs=tuple(map(Path, point["outputs"])),
            datatypes=tuple(map(Path, point["datatypes"])), metrics=point["metrics"], swept=point["swept"],
            name=point["name"],
        )
        for point in wanted["points"]
    ]  # fmt: skip
    with results_only():
        import_tvb()
        try:
            if wanted["kind"] == "pse":
                write_pse(points, Path(wanted["target"]), inputs, wanted["name"])
            else:
                write_simulations(points, Path(wanted["target"]), inputs)
        except TvbBatchError as exc:
            print(exc, file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
