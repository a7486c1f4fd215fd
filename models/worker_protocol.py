"""Requests of the client to the worker's code, and its answers: one dataclass for each, the same on both sides.

What needs TVB or writes H5 files runs in a process of its own. `submit.operate.processes` starts it and sends the
request, one line of JSON on standard input; `worker.program` reads it. Imports neither TVB nor h5py.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, is_dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar, Literal, Self
from uuid import UUID

from pydantic import TypeAdapter

#: Prefix of a line that is a note and not a fault.
NOTE = "note: "

#: `data` is the time series alone; `simulations` puts each job into the GUI's Simulation History; `pse` makes a
#: parameter space exploration; `project` is imported as a project of its own.
BundleKind = Literal["data", "simulations", "pse", "project"]


class WorkerModule(StrEnum):
    """The modules of the worker that run as programs, as `python -m` takes them."""

    WRITE_BUNDLE = "tvb_batch.worker.h5.gui.write"
    WRITE_TVB1_BUNDLE = "tvb_batch.worker.h5.tvb1.tvb1_zip"
    CONVERT_TO_TVB1 = "tvb_batch.worker.h5.tvb1.tvb1_convert"
    CHECK_FILES = "tvb_batch.worker.tools.gui_check"
    COMPARE_FILES = "tvb_batch.worker.tools.file_check"
    DUMP_KERNEL = "tvb_batch.worker.tools.dump_kernel"
    ESTIMATE = "tvb_batch.worker.tools.estimate"
    RERUN = "tvb_batch.worker.tools.rerun"


class Message:
    """A dataclass that crosses the border between two processes as one line of JSON."""

    def to_json(self) -> str:
        """Return the fields as one line of JSON; NaN and infinity stay what they are."""
        return json.dumps(self, default=_plain)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the message that `to_json` wrote.

        Raises
        ------
        ValueError
            The text is not JSON, or a field is missing or has another type.
        """
        return TypeAdapter(cls).validate_python(json.loads(text))


class Request(Message):
    """A message to a program of the worker."""

    #: The module of the program that answers it.
    module: ClassVar[WorkerModule]


@dataclass(frozen=True)
class BundlePoint:
    """One finished simulation, as a bundle holds it."""

    #: As returned by `SimulationSpec.canonical`.
    spec: Mapping[str, Any]
    #: Files of its time series, in the order of the monitors; the metrics are those of the first.
    outputs: tuple[Path, ...]
    #: Files of the datatypes that the time series refer to.
    datatypes: tuple[Path, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    #: The part at the start that the metrics leave out, ms; None if it is not known.
    start_point: float | None = None
    #: Its place in the sweep, by the name of the parameter, such as `coupling.a`.
    swept: Mapping[str, float] = field(default_factory=dict)
    #: Its name in the Simulation History.
    name: str = "simulation"


@dataclass(frozen=True)
class WriteBundle(Request):
    """Write one ZIP for the GUI. The answer is a line after each point, or after each file of kind `data`."""

    module = WorkerModule.WRITE_BUNDLE

    kind: BundleKind
    #: The name of the exploration or project in the GUI.
    name: str
    target: Path
    #: Files for the kind `data`, points for all other kinds.
    files: tuple[Path, ...] = ()
    points: tuple[BundlePoint, ...] = ()
    #: Gids of datatypes already in the GUI's project, by role: connectivity, region_mapping, surface, sensors.
    links: Mapping[str, UUID] = field(default_factory=dict)
    #: Keep the gids of the files; otherwise the ZIP has new ones.
    stable_gids: bool = False


@dataclass(frozen=True)
class WriteTvb1Bundle(Request):
    """Write files of either format into one ZIP for TVB 1.4 to 1.5."""

    module = WorkerModule.WRITE_TVB1_BUNDLE

    files: tuple[Path, ...]
    target: Path
    #: The gid of the datatype in the TVB 1 project.
    connectivity_gid: UUID | None = None
    region_mapping_gid: UUID | None = None


@dataclass(frozen=True)
class ConvertToTvb1(Request):
    """Write one file as TVB 1.4 to 1.5 reads it."""

    module = WorkerModule.CONVERT_TO_TVB1

    source: Path
    target: Path
    #: The gid of the datatype in the TVB 1 project.
    connectivity_gid: UUID | None = None
    region_mapping_gid: UUID | None = None


@dataclass(frozen=True)
class CheckFiles(Request):
    """Check files and ZIPs against what the GUI asks of them. The answer is one fault a line."""

    module = WorkerModule.CHECK_FILES

    paths: tuple[Path, ...]


@dataclass(frozen=True)
class CompareFile(Request):
    """Compare a file with its row in the catalogue. The answer is one fault or note (`NOTE`) a line."""

    module = WorkerModule.COMPARE_FILES

    path: Path
    #: The name of the file in messages.
    name: str
    bytes: int | None = None
    sha256: str | None = None
    #: Whether it is an input of specs, in any format; other files are H5 files for the GUI.
    is_input: bool = False


@dataclass(frozen=True)
class EstimateCost(Request):
    """Run a simulation for a moment, and estimate what all of it costs. The answer is an `Estimate`."""

    module = WorkerModule.ESTIMATE

    #: As returned by `SimulationSpec.canonical`.
    spec: Mapping[str, Any]


@dataclass(frozen=True)
class Estimate(Message):
    """What one job costs on this machine."""

    seconds: float
    #: Peak of the whole process, including TVB.
    memory_bytes: int
    disk_bytes: int


@dataclass(frozen=True)
class DumpKernel(Request):
    """Print the graph of one step of a simulation and the source of its kernel. The answer is this text."""

    module = WorkerModule.DUMP_KERNEL

    #: As `SimulationSpec.canonical` gives it.
    spec: Mapping[str, Any]


@dataclass(frozen=True)
class Rerun(Request):
    """Run the simulation of a result file again. The answer is a `RerunResult`."""

    module = WorkerModule.RERUN

    path: Path


@dataclass
class RerunResult(Message):
    """How the new data compares with the file's."""

    samples: int = 0
    #: Number of samples that differ in a bit; NaN equals NaN.
    different: int = 0
    #: Time of the first difference, ms.
    first_ms: float | None = None
    largest_difference: float = 0.0
    #: Versions and machines that differ, as `name: then, now`.
    circumstances: tuple[str, ...] = ()


def _plain(value: object) -> object:
    """Return what JSON has a form for."""
    if is_dataclass(value):
        return vars(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Path | UUID):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON")
