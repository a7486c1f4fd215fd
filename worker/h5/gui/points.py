"""One finished simulation, as a bundle takes it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


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
    #: What the metrics leave out at the beginning, ms; None where it is not known.
    start_point: float | None = None
    #: Its place in the sweep, by the name of the parameter, such as `coupling.a`.
    swept: Mapping[str, float] = field(default_factory=dict)
    #: What the Simulation History calls it.
    name: str = "simulation"
