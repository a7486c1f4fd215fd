"""The BOLD signal of a region simulation, with coloured noise."""

import numpy as np
from tvb.datatypes import equations
from tvb.datatypes.connectivity import Connectivity
from tvb.simulator import coupling, integrators, models, monitors, noise, simulator

from tvb_batch import submit

simulation = simulator.Simulator(
    model=models.ReducedWongWang(),
    connectivity=Connectivity.from_file("connectivity_66.zip"),
    coupling=coupling.Scaling(a=np.array([0.02])),
    integrator=integrators.EulerStochastic(dt=1.0, noise=noise.Additive(nsig=np.array([1e-5]), ntau=2.0)),
    monitors=(monitors.Bold(period=500.0, hrf_kernel=equations.Gamma()), monitors.TemporalAverage(period=10.0)),
    simulation_length=2000.0,
).configure()

sweep = submit(simulation, name="bold")
