"""The simulation that tests of specs change."""

from pathlib import Path
from typing import Any

from tvb_batch.models.paths import Storage
from tvb_batch.models.tvb.input_store import Inputs

#: For sections without stored files.
NO_INPUTS = Inputs(Storage(Path("/nonexistent")))

BASE: dict[str, Any] = {
    "model": {"class": "JansenRit", "mu": 0.0},
    "coupling": {"class": "SigmoidalJansenRit", "a": 10.0},
    "integrator": {"class": "HeunStochastic", "dt": 0.5, "noise": {"class": "Additive", "nsig": [0.1]}},
    "monitors": [{"class": "TemporalAverage", "period": 1.0}],
    "simulation_length": 20.0,
}


def changed(**changes: Any) -> dict[str, Any]:
    return {**BASE, **changes}
