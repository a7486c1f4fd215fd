"""From a SimulationSpec to a configured TVB Simulator. Called by `worker.run`; writes nothing."""

from typing import Any

import numpy as np

from models.spec import SimulationSpec
from models.traits import build


def build_simulator(spec: SimulationSpec, connectivity: Any) -> Any:
    """A configured `tvb.simulator.simulator.Simulator` that differs from a script's in nothing.

    The spec's seed goes to the noise's `noise_seed`, and to NumPy's global generator, from which TVB draws the initial
    conditions of a simulation without noise.

    Parameters
    ----------
    connectivity : a TVB Connectivity nobody else uses; the simulation sets its `speed` and delays

    Raises
    ------
    Exception
        Whatever TVB raises where values do not fit each other; it has no common base.
    """
    from tvb.simulator.simulator import Simulator

    np.random.seed(spec.seed)  # noqa: NPY002 - TVB draws from the global generator
    # Simulator.conduction_speed alone changes nothing in tvb-library 2.10: the delays come from connectivity.speed.
    connectivity.speed = np.array([spec.conduction_speed])
    simulator = Simulator(
        connectivity=connectivity,
        conduction_speed=spec.conduction_speed,
        model=build("model", spec.model),
        coupling=build("coupling", spec.coupling),
        integrator=_integrator(spec),
        monitors=[build("monitor", monitor) for monitor in spec.monitors],
        simulation_length=spec.simulation_length,
    )
    return simulator.configure()


def _integrator(spec: SimulationSpec) -> Any:
    integrator = build("integrator", spec.integrator)
    noise = getattr(integrator, "noise", None)
    if noise is not None:
        noise.noise_seed = spec.seed
        # The stream was seeded when the noise was made.
        noise.reset_random_stream()
    return integrator
