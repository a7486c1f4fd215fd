"""Writes the ZIP that a client asks for. It runs where the storage is mounted.

`python -m tvb_batch.worker.h5.gui.write` answers a `WriteBundle`. It prints a line for each point that is written, to
show the progress.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TextIO
from uuid import UUID, uuid4
from xml.sax.saxutils import escape

from tvb_batch.models.errors import SpecError
from tvb_batch.models.settings import load_settings
from tvb_batch.models.spec.simulation import SimulationSpec, simulation
from tvb_batch.models.tvb.input_store import Inputs
from tvb_batch.models.worker_protocol import BundlePoint, WriteBundle
from tvb_batch.worker.h5.gui.archive import Archive, Linking, open_archive
from tvb_batch.worker.h5.gui.exploration import group_of
from tvb_batch.worker.h5.gui.mapping import add_datatype
from tvb_batch.worker.h5.gui.members import in_import_order, read_member
from tvb_batch.worker.h5.gui.operations import Operation, SharedDatatypes
from tvb_batch.worker.h5.gui.ranges import burst_ranges
from tvb_batch.worker.h5.gui.view_models import check_gui_classes
from tvb_batch.worker.program import run_program
from tvb_batch.worker.tvb_import import import_tvb

#: Keep the gids of the files and add nothing.
AS_THEY_ARE = Linking(is_stable=True, adds_mappings=False)
#: New gids, different in each ZIP.
FRESH = Linking()
#: TVB 2's version of a project.
PROJECT_VERSION = 3

_PROJECT = """<?xml version="1.0" ?>
<tvb_data Data_version="5">
\t<name>{name}</name>
\t<description>{description}</description>
\t<gid>{gid}</gid>
\t<version>{version}</version>
</tvb_data>
"""

#: Called after each point or file, with why a second run in the GUI gives other results.
OnProgress = Callable[[Sequence[str]], object]


def write_data(
    files: Sequence[Path], target: Path, linking: Linking = AS_THEY_ARE, on_progress: OnProgress = lambda notes: None
) -> Path:  # fmt: skip
    """Write the files into one ZIP in a flat folder, each after its references; return `target`.

    Parameters
    ----------
    target : appears complete or not at all, and replaces an existing file
    on_progress : called after each file

    Raises
    ------
    OutputError
        A file is damaged or occurs twice, a datatype is missing, or the ZIP cannot be written.
    """
    members = in_import_order([read_member(path) for path in files])
    with open_archive(files, target, linking) as archive:
        for member in members:
            add_datatype(archive, member)
            on_progress(())
    return target


def write_simulations(
    points: Sequence[BundlePoint], target: Path, inputs: Inputs, linking: Linking = FRESH,
    on_progress: OnProgress = lambda notes: None,
) -> Path:  # fmt: skip
    """Write a ZIP that adds each simulation to the Simulation History, with its parameters and series.

    Parameters
    ----------
    inputs : the storage of the files that the specs name
    target : appears complete or not at all, and replaces an existing file
    on_progress : called after each point

    Raises
    ------
    SpecError
        There is nothing to write, or the GUI has no view model for a part of a simulation.
    InputError
        A file that a spec names cannot be read.
    OutputError
        A file is damaged, refers to a missing datatype, or the ZIP cannot be written.
    """
    with _opened(points, target, linking) as (archive, specs):
        _add_simulations(archive, points, specs, inputs, on_progress)
    return target


def write_pse(
    points: Sequence[BundlePoint], target: Path, inputs: Inputs, name: str = "exploration", linking: Linking = FRESH,
    on_progress: OnProgress = lambda notes: None,
) -> Path:  # fmt: skip
    """Write a ZIP that the GUI imports as one parameter space exploration, with its metrics.

    Parameters
    ----------
    points : one or two swept parameters, and the same parameters and metrics in each point
    name : the name in the Simulation History

    Raises
    ------
    SpecError
        The GUI cannot show the points as an exploration, or see `write_simulations`.
    InputError, OutputError
        As in `write_simulations`.
    """
    with _opened(points, target, linking) as (archive, specs):
        _add_exploration(archive, points, specs, inputs, name, on_progress)
    return target


def write_project(
    points: Sequence[BundlePoint], target: Path, inputs: Inputs, name: str, linking: Linking = FRESH,
    on_progress: OnProgress = lambda notes: None,
) -> Path:  # fmt: skip
    """Write a ZIP that the GUI imports as a new project, with an exploration if the points form one.

    Raises
    ------
    SpecError, InputError, OutputError
        As in `write_simulations`.
    """
    with _opened(points, target, linking) as (archive, specs):
        archive.add_text("Project.xml", project_xml(name))
        if points[0].swept:
            _add_exploration(archive, points, specs, inputs, name, on_progress)
        else:
            _add_simulations(archive, points, specs, inputs, on_progress)
    return target


def project_xml(name: str) -> str:
    """Return the record of a project with this name."""
    words = {"name": escape(name), "description": "Made by tvb-batch", "gid": uuid4(), "version": PROJECT_VERSION}
    return _PROJECT.format(**words)


@contextmanager
def _opened(
    points: Sequence[BundlePoint], target: Path, linking: Linking
) -> Iterator[tuple[Archive, list[SimulationSpec]]]:
    if not points:
        raise SpecError("points", "none", "at least one finished simulation")
    specs = [simulation(point.spec) for point in points]
    for point, spec in zip(points, specs, strict=True):
        check_gui_classes(spec)
        if not point.outputs:
            raise SpecError(point.name, "no time series", "the files of its outputs")
    files = list(dict.fromkeys(chain.from_iterable((*point.outputs, *point.datatypes) for point in points)))
    with open_archive(files, target, linking) as archive:
        yield archive, specs


def _add_simulations(
    archive: Archive, points: Sequence[BundlePoint], specs: Sequence[SimulationSpec], inputs: Inputs,
    on_progress: OnProgress,
) -> None:  # fmt: skip
    shared = SharedDatatypes(inputs, archive)
    for number, (point, spec) in enumerate(zip(points, specs, strict=True), start=1):
        operation = Operation(archive, str(number), uuid4())
        simulator, outputs = shared.add(point, spec)
        notes = shared.start(point, spec, simulator)
        operation.add_simulation(spec, simulator, outputs, {})
        operation.add_burst(point.name, (), outputs)
        on_progress(notes)


def _add_exploration(
    archive: Archive, points: Sequence[BundlePoint], specs: Sequence[SimulationSpec], inputs: Inputs, name: str,
    on_progress: OnProgress,
) -> None:  # fmt: skip
    group = group_of(points)
    shared, burst = SharedDatatypes(inputs, archive), uuid4()
    series: list[UUID] = []
    notes: list[str] = []
    for number, (point, spec) in enumerate(zip(points, specs, strict=True), start=1):
        operation = Operation(archive, str(number), burst)
        simulator, outputs = shared.add(point, spec)
        # The GUI runs an exploration again from the view models of its first simulation.
        if number == 1:
            notes = shared.start(point, spec, simulator)
        gids = operation.add_simulation(spec, simulator, outputs, group.attributes(point, group.simulations))
        series.append(gids[0])
        if number == 1:
            operation.add_burst(name, burst_ranges(spec, group.axes), outputs)
        on_progress(notes)
    # The operations of metrics come after those of all simulations, as the GUI requires.
    for number, (point, gid) in enumerate(zip(points, series, strict=True), start=len(points) + 1):
        operation = Operation(archive, str(number), burst)
        operation.add_metrics(point, gid, group.attributes(point, group.metrics))


def answer(request: WriteBundle, results: TextIO) -> None:
    """Write the ZIP that a client asks for; print a line to `results` for each point or file that is written."""
    import_tvb()
    linking = Linking(request.stable_gids, dict(request.links))
    target, points, inputs = request.target, request.points, Inputs(load_settings().storage)

    def on_progress(notes: Sequence[str]) -> None:
        """Print a line for each note, and one for the point or file that is written."""
        for note in notes:
            print(f"note {note}", file=results)
        print("written", file=results, flush=True)

    match request.kind:
        case "data":
            write_data(request.files, target, linking, on_progress)
        case "simulations":
            write_simulations(points, target, inputs, linking, on_progress)
        case "pse":
            write_pse(points, target, inputs, request.name, linking, on_progress)
        case "project":
            write_project(points, target, inputs, request.name, linking, on_progress)


if __name__ == "__main__":
    sys.exit(run_program(WriteBundle, answer))
