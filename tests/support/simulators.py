"""Simulators as a script configures them."""

from typing import Any

import numpy as np


def small(**changes: Any) -> Any:
    """Return a Simulator whose run takes a tenth of a second."""
    from tvb.datatypes.connectivity import Connectivity
    from tvb.simulator import coupling, integrators, models, monitors, noise, simulator

    values = {
        "model": models.Generic2dOscillator(),
        "connectivity": Connectivity.from_file(),
        "coupling": coupling.Linear(a=np.array([0.01])),
        "integrator": integrators.HeunStochastic(dt=0.5, noise=noise.Additive(nsig=np.array([0.001]))),
        "monitors": [monitors.TemporalAverage(period=1.0), monitors.GlobalAverage(period=2.0)],
        "simulation_length": 20.0,
        **changes,
    }
    return simulator.Simulator(**values)
