"""A region simulation and a sweep of it: TVB's own script, with `submit` in place of `simulator.run()`."""

import numpy as np
from tvb.datatypes.connectivity import Connectivity
from tvb.simulator import coupling, integrators, models, monitors, simulator

from tvb_batch import submit

simulation = simulator.Simulator(
    model=models.Generic2dOscillator(a=np.array([1.7402])),
    connectivity=Connectivity.from_file(),
    coupling=coupling.Linear(a=np.array([0.0154])),
    integrator=integrators.HeunDeterministic(dt=2**-4),
    monitors=(monitors.Raw(), monitors.TemporalAverage(period=1.0)),
    simulation_length=50.0,
).configure()

sweep = submit(simulation, grid={"coupling.a": np.linspace(0.0, 0.03, 4)}, name="region")
