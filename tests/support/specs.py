"""The simulation that tests of specs change."""

from typing import Any

BASE: dict[str, Any] = {
    "model": {"class": "JansenRit", "mu": 0.0},
    "coupling": {"class": "SigmoidalJansenRit", "a": 10.0},
    "integrator": {"class": "HeunStochastic", "dt": 0.5, "noise": {"class": "Additive", "nsig": [0.1]}},
    "monitors": [{"class": "TemporalAverage", "period": 1.0}],
    "simulation_length": 20.0,
}


def changed(**changes: Any) -> dict[str, Any]:
    return {**BASE, **changes}
