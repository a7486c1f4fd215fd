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

#: How a line of an answer begins that is no fault.
NOTE = "note: "

#: `data` is the time series alone; `simulations` puts each job into the GUI's Simulation History; `pse` makes a
#: parameter space exploration; `project` is imported as a project of its own.
BundleKind = Literal["data", "simulations", "pse", "project"]


class WorkerModule(StrEnum):
    """The modules of the worker that run as programs, as `python -m` takes them."""

    WRITE_BUNDLE = "tvb_batch.worker.h5.gui.write"
    WRITE_TVB1_BUNDLE = "tvb_batch.worker.h5.tvb1.tvb1_zip"
    CONVERT_TO_TVB1 = "tvb_batch.worker.h5.tvb1.tvb1_convert"
    CHECK_FILES = "tvb_batch.worker.h5.validation.check"
    COMPARE_FILES = "tvb_batch.worker.tools.file_check"
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
            The text is no JSON, or a field is missing or has another type.
        """
        return TypeAdapter(cls).validate_python(json.loads(text))


class Request(Message):
    """A message to a program of the worker."""

    #: The program that answers it.
    module: ClassVar[WorkerModule]


@dataclass(frozen=True)
class BundlePoint:
    """One finished simulation, as a bundle holds it."""

    #: As `SimulationSpec.canonical` gives it.
    spec: Mapping[str, Any]
    #: Files of its time series, in the order of the monitors; the metrics are those of the first.
    outputs: tuple[Path, ...]
    #: Files of what the time series refer to.
    datatypes: tuple[Path, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    #: What the metrics leave out at the beginning, ms; None where it is not known.
    start_point: float | None = None
    #: Its place in the sweep, by the name of the parameter, such as `coupling.a`.
    swept: Mapping[str, float] = field(default_factory=dict)
    #: What the Simulation History calls it.
    name: str = "simulation"


@dataclass(frozen=True)
class WriteBundle(Request):
    """Write one ZIP for the GUI. The answer is a line after each point, or after each file of kind `data`."""

    module = WorkerModule.WRITE_BUNDLE

    kind: BundleKind
    #: What the GUI calls the exploration or the project.
    name: str
    target: Path
    #: What is written: files where the kind is `data`, points where it is another.
    files: tuple[Path, ...] = ()
    points: tuple[BundlePoint, ...] = ()
    #: Gids of datatypes that the GUI's project holds already, by role: connectivity, region_mapping, surface, sensors.
    links: Mapping[str, UUID] = field(default_factory=dict)
    #: Keep the gids of the files; otherwise the ZIP has new ones.
    stable_gids: bool = False


@dataclass(frozen=True)
class WriteTvb1Bundle(Request):
    """Write files of either format into one ZIP for TVB 1.4 to 1.5."""

    module = WorkerModule.WRITE_TVB1_BUNDLE

    files: tuple[Path, ...]
    target: Path
    #: Of the datatypes that the TVB 1 project holds.
    connectivity_gid: UUID | None = None
    region_mapping_gid: UUID | None = None


@dataclass(frozen=True)
class ConvertToTvb1(Request):
    """Write one file as TVB 1.4 to 1.5 reads it."""

    module = WorkerModule.CONVERT_TO_TVB1

    source: Path
    target: Path
    #: Of the datatypes that the TVB 1 project holds.
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
    #: What a fault calls it.
    name: str
    bytes: int | None = None
    sha256: str | None = None
    #: A file that specs name, of any format; others are H5 files that the GUI imports.
    is_input: bool = False


@dataclass(frozen=True)
class EstimateCost(Request):
    """Run a simulation for a moment, and estimate what all of it costs. The answer is an `Estimate`."""

    module = WorkerModule.ESTIMATE

    #: As `SimulationSpec.canonical` gives it.
    spec: Mapping[str, Any]


@dataclass(frozen=True)
class Estimate(Message):
    """What one job costs on this machine."""

    seconds: float
    #: Peak of the whole process, TVB included.
    memory_bytes: int
    disk_bytes: int


@dataclass(frozen=True)
class Rerun(Request):
    """Run the simulation of a result file again. The answer is a `RerunResult`."""

    module = WorkerModule.RERUN

    path: Path


@dataclass
class RerunResult(Message):
    """How the new data compares with the file's."""

    samples: int = 0
    #: How many of them differ in a bit; NaN is equal to NaN.
    different: int = 0
    #: Where the first difference is. ms
    first_ms: float | None = None
    largest_difference: float = 0.0
    #: What differs between then and now, as `name: then, now`.
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
