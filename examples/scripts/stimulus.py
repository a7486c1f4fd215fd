"""A pulse train into two regions."""

import numpy as np
from tvb.datatypes import equations, patterns
from tvb.datatypes.connectivity import Connectivity
from tvb.simulator import coupling, integrators, models, monitors, simulator

from tvb_batch import submit

connectivity = Connectivity.from_file()
connectivity.configure()
pulses = equations.PulseTrain()
pulses.parameters["onset"] = 20.0
pulses.parameters["T"] = 30.0
pulses.parameters["tau"] = 5.0
weight = np.zeros(connectivity.number_of_regions)
weight[[0, 7]] = np.array([2.0**-2, 2.0**-3])
stimulus = patterns.StimuliRegion(temporal=pulses, connectivity=connectivity, weight=weight)

simulation = simulator.Simulator(
    model=models.Generic2dOscillator(),
    connectivity=connectivity,
    coupling=coupling.Linear(a=np.array([2**-9])),
    integrator=integrators.HeunDeterministic(dt=2**-4),
    monitors=(monitors.TemporalAverage(period=1.0),),
    stimulus=stimulus,
    simulation_length=80.0,
).configure()

sweep = submit(simulation, name="stimulus")
