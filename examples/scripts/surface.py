"""A surface simulation on TVB's cortex of 16384 vertices."""

import numpy as np
from tvb.datatypes.connectivity import Connectivity
from tvb.datatypes.cortex import Cortex
from tvb.simulator import coupling, integrators, models, monitors, noise, simulator

from tvb_batch import submit

connectivity = Connectivity.from_file()
cortex = Cortex.from_file(local_connectivity_file="local_connectivity_16384.mat")
cortex.region_mapping_data.connectivity = connectivity
cortex.coupling_strength = np.array([2**-10])

simulation = simulator.Simulator(
    model=models.Generic2dOscillator(),
    connectivity=connectivity,
    coupling=coupling.Linear(a=np.array([2**-9])),
    integrator=integrators.HeunStochastic(dt=2**-4, noise=noise.Additive(nsig=np.array([2**-11]))),
    monitors=(monitors.TemporalAverage(period=2**-2), monitors.SpatialAverage(period=2**-2)),
    surface=cortex,
    simulation_length=5.0,
).configure()

sweep = submit(simulation, name="surface")
