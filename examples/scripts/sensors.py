"""EEG, MEG and SEEG of one region simulation."""

import numpy as np
from tvb.datatypes.connectivity import Connectivity
from tvb.datatypes.projections import ProjectionSurfaceEEG, ProjectionSurfaceMEG
from tvb.datatypes.region_mapping import RegionMapping
from tvb.datatypes.sensors import SensorsEEG, SensorsInternal, SensorsMEG
from tvb.simulator import coupling, integrators, models, monitors, noise, simulator

from tvb_batch import submit

mapping = RegionMapping.from_file("regionMapping_16k_76.txt")
eeg = monitors.EEG(
    sensors=SensorsEEG.from_file("eeg_brainstorm_65.txt"),
    projection=ProjectionSurfaceEEG.from_file("projection_eeg_65_surface_16k.npy"),
    region_mapping=mapping,
    period=1e3 / 512,
)
meg = monitors.MEG(
    sensors=SensorsMEG.from_file("meg_brainstorm_276.txt"),
    projection=ProjectionSurfaceMEG.from_file("projection_meg_276_surface_16k.npy"),
    region_mapping=mapping,
    period=1e3 / 512,
)
seeg = monitors.iEEG(sensors=SensorsInternal.from_file("seeg_588.txt"), region_mapping=mapping, period=1e3 / 512)

simulation = simulator.Simulator(
    model=models.JansenRit(mu=np.array([0.09])),
    connectivity=Connectivity.from_file(),
    coupling=coupling.SigmoidalJansenRit(a=np.array([10.0])),
    integrator=integrators.HeunStochastic(dt=0.25, noise=noise.Additive(nsig=np.array([0, 0, 0, 0.0005, 0, 0]))),
    monitors=(eeg, meg, seeg),
    simulation_length=100.0,
).configure()

sweep = submit(simulation, name="sensors")
