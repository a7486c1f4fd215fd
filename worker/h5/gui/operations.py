"""Writes one folder of the ZIP for each operation of the GUI: one with the shared datatypes, and the simulations."""

import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from tvb_batch.models.spec.simulation import SimulationSpec, to_json
from tvb_batch.models.tvb.h5_guard import open_h5
from tvb_batch.models.tvb.input_store import Inputs
from tvb_batch.models.tvb.traits import build
from tvb_batch.models.worker_protocol import BundlePoint
from tvb_batch.worker.h5.content_gid import content_gid
from tvb_batch.worker.h5.datatypes import file_prefix, references, write_datatype
from tvb_batch.worker.h5.gui.archive import SHARED, SHARED_DATE, Archive
from tvb_batch.worker.h5.gui.mapping import add_datatype
from tvb_batch.worker.h5.gui.members import Member, in_import_order, read_member
from tvb_batch.worker.h5.gui.projections import add_projections
from tvb_batch.worker.h5.gui.repeat import LATER, UNSEEDED, differences, drawn_history, is_stochastic
from tvb_batch.worker.h5.gui.view_models import (
    Burst,
    ViewModel,
    import_record,
    metrics_record,
    simulation_record,
    write_burst,
    write_measure,
    write_view_model,
)
from tvb_batch.worker.job.simulator import build_simulator


class SharedDatatypes:
    """The datatypes that operations refer to, each once, in an operation of their own.

    Without a record of their own, the GUI gives them one with the date of the upload. A project that the GUI exports
    then has them after the simulations, and cannot be imported again.
    """

    def __init__(self, inputs: Inputs, archive: Archive) -> None:
        self._inputs, self._archive = inputs, archive
        archive.shared_folder = SHARED
        self._has_record = False
        self._added: set[str] = set()
        self._built: tuple[str, Any] = ("", None)
        #: The initial conditions in the spec of `_built`.
        self._given: Any = None
        #: The key of the last drawn history, the history, and the step before the first.
        self._drawn: tuple[str, Any, int] = ("", None, 0)

    def add(self, point: BundlePoint, spec: SimulationSpec) -> tuple[Any, list[Member]]:
        """Add the datatypes of a point to the ZIP; return its simulator and its outputs."""
        simulator = self._simulator(spec)
        simulator.initial_conditions = self._given
        members = {member.gid: member for member in map(read_member, dict.fromkeys(point.datatypes))}
        outputs = [read_member(path) for path in point.outputs]
        with tempfile.TemporaryDirectory(dir=self._archive.directory) as directory:
            for datatype in references(simulator):
                if datatype.gid.urn not in members:
                    path = Path(directory) / f"{file_prefix(datatype)}_{datatype.gid.hex}.h5"
                    write_datatype(path, datatype, outputs[0].created, subject="John Doe")
                    members[datatype.gid.urn] = read_member(path)
            own = {output.gid for output in outputs}
            for member in in_import_order([*members.values(), *outputs]):
                if member.gid not in own | self._added:
                    self._added.add(member.gid)
                    add_datatype(self._archive, member)
        if self._archive.holds_datatypes and not self._has_record:
            self._has_record = True
            record = import_record()
            self._archive.add(
                f"{SHARED}{record.file_name}", lambda file: write_view_model(file, record, SHARED_DATE, {})
            )
        return simulator, outputs

    def start(self, point: BundlePoint, spec: SimulationSpec, simulator: Any) -> list[str]:
        """Give the simulator the start of the point's simulation; return why a second run in the GUI differs."""
        notes = differences(spec, simulator, is_nan=any(_is_nan(path) for path in point.outputs))
        given = simulator.initial_conditions
        if is_stochastic(simulator) or (given is not None and len(given) >= simulator.connectivity.horizon):
            return notes
        if spec.surface is not None:
            return [*notes, UNSEEDED]
        drawn = [spec.model, spec.integrator, spec.conduction_speed, spec.seed, spec.random_state]
        key = to_json([*_large(spec), *drawn])
        if key != self._drawn[0]:
            built = build_simulator(spec, self._inputs)
            self._drawn = (key, drawn_history(built), int(built.current_step))
        _, history, first = self._drawn
        if history is None:
            return [*notes, UNSEEDED]
        simulator.initial_conditions = history
        return notes if len(history) - 1 == first else [*notes, LATER]

    def _simulator(self, spec: SimulationSpec) -> Any:
        """Return the simulator of a point; it shares large parts with the previous point if their specs agree."""
        key = to_json(
            [*_large(spec), spec.integrator["dt"], spec.model["class"], spec.model.get("variables_of_interest")]
        )
        if key != self._built[0]:
            simulator = build_simulator(spec, self._inputs)
            add_projections(simulator)
            for datatype in references(simulator):
                datatype.gid = content_gid(datatype)
            self._built, self._given = (key, simulator), simulator.initial_conditions
        simulator = self._built[1]
        # As in the spec: a simulation changes parameters, for example to one value for each vertex.
        simulator.model = build("model", spec.model, self._inputs)
        simulator.coupling = build("coupling", spec.coupling, self._inputs)
        simulator.integrator = build("integrator", spec.integrator, self._inputs)
        noise = getattr(simulator.integrator, "noise", None)
        if noise is not None:
            noise.noise_seed = spec.seed
        return simulator


def _large(spec: SimulationSpec) -> list[Any]:
    """Return the parts of a spec that are costly to build."""
    return [spec.connectivity, spec.surface, spec.stimulus, spec.monitors, spec.initial_conditions]


def _is_nan(path: Path) -> bool:
    with open_h5(path) as file:
        return str(file.attrs["TVB_is_nan"]) == "bool:True"


class Operation:
    """One folder of the ZIP."""

    def __init__(self, archive: Archive, folder: str, burst: UUID) -> None:
        self._archive, self._folder, self._burst = archive, f"{folder}/", burst
        self._main: UUID | None = None

    def add_simulation(
        self, spec: SimulationSpec, simulator: Any, outputs: Sequence[Member], group: Mapping[str, object]
    ) -> list[UUID]:
        """Write the record of a simulation and its series; return the gids of the series."""
        main, *others = simulation_record(spec, simulator, self._archive.gid_of)
        self._main = main.gid
        self._add_view_model(main, {"parent_burst": self._burst, "state": "INTERMEDIATE", **group})
        for model in others:
            self._add_view_model(model, {})
        # A series that two jobs share is written twice.
        gids = [UUID(output.gid) if self._archive.linking.is_stable else uuid4() for output in outputs]
        for output, gid in zip(outputs, gids, strict=True):
            self._archive.add_copy(output, self._folder, gid, {"parent_burst": self._burst})
        return gids

    def add_burst(self, name: str, ranges: tuple[str, ...], outputs: Sequence[Member]) -> None:
        """Write the entry of the Simulation History, with the times from the series."""
        assert self._main is not None, "the simulation comes first"
        dates = [output.created for output in outputs]
        finished = max(
            datetime.fromtimestamp(output.path.stat().st_mtime, UTC).replace(tzinfo=None) for output in outputs
        )
        burst = Burst(self._burst, _gui_name(name), min(dates), max(finished, *dates), self._main, ranges)
        file_name = f"{self._folder}BurstConfiguration_{burst.gid.hex}.h5"
        self._archive.add(file_name, lambda file: write_burst(file, burst))

    def add_metrics(self, point: BundlePoint, series: UUID, group: Mapping[str, object]) -> None:
        """Write the metrics of a point and the record of the operation that computed them."""
        record = metrics_record(point.metrics, series, point.start_point)
        self._add_view_model(record, {"parent_burst": self._burst, "state": "INTERMEDIATE", **group})
        gid, subject = uuid4(), str(point.spec.get("subject", ""))
        self._archive.add(
            f"{self._folder}DatatypeMeasure_{gid.hex}.h5",
            lambda file: write_measure(
                file, gid, point.metrics, series, self._archive.date(), subject=subject, burst=self._burst
            ),
        )

    def _add_view_model(self, model: ViewModel, extra: Mapping[str, object]) -> None:
        created = self._archive.operation_date()
        self._archive.add(
            f"{self._folder}{model.file_name}", lambda file: write_view_model(file, model, created, extra)
        )


def _gui_name(name: str) -> str:
    """Return a name that the GUI accepts: ASCII letters, digits, space, point, dash and underscore."""
    return "".join(letter if letter.isascii() and (letter.isalnum() or letter in " ._-") else "_" for letter in name)
