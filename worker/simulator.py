"""From a SimulationSpec to a configured TVB Simulator. Called by `worker.run`; writes nothing."""

from typing import Any

import numpy as np

from models.errors import InputError
from models.inputs import Inputs
from models.readers import read_array
from models.spec import SimulationSpec
from models.traits import build, fill_references


def build_simulator(spec: SimulationSpec, inputs: Inputs) -> Any:
    """A configured `tvb.simulator.simulator.Simulator` that differs from a script's in nothing.

    The spec's seed goes to the noise's `noise_seed`, and to NumPy's global generator, from which TVB draws the initial
    conditions of a simulation without noise.

    Raises
    ------
    InputError
        A file cannot be read, or two of them do not fit each other.
    Exception
        Whatever TVB raises where values do not fit each other; it has no common base.
    """
    from tvb.simulator.simulator import Simulator

    np.random.seed(spec.seed)  # noqa: NPY002 - TVB draws from the global generator
    connectivity = build("connectivity", spec.connectivity, inputs)
    if "speed" not in spec.connectivity:
        # Simulator.conduction_speed alone changes nothing in tvb-library 2.10: the delays come from connectivity.speed.
        connectivity.speed = np.array([spec.conduction_speed])
    connectivity.configure()
    cortex = None if spec.surface is None else build("cortex", spec.surface, inputs)
    simulator = Simulator(
        connectivity=connectivity,
        conduction_speed=spec.conduction_speed,
        model=build("model", spec.model, inputs),
        coupling=build("coupling", spec.coupling, inputs),
        surface=cortex,
        stimulus=None if spec.stimulus is None else build("stimulus", spec.stimulus, inputs),
        integrator=_integrator(spec, inputs),
        monitors=[build("monitor", monitor, inputs) for monitor in spec.monitors],
        simulation_length=spec.simulation_length,
    )
    _fill(simulator)
    if cortex is not None:
        _check_mapping(cortex.region_mapping_data, connectivity)
        # Its counts are what `coupling_strength` is compared with, and what the file of the surface tells.
        cortex.surface.configure()
    if spec.initial_conditions is not None:
        given = spec.initial_conditions
        values = read_array(inputs, given["from_file"]) if isinstance(given, dict) else given
        simulator.initial_conditions = np.array(values, dtype=float)
    return simulator.configure()


def _integrator(spec: SimulationSpec, inputs: Inputs) -> Any:
    integrator = build("integrator", spec.integrator, inputs)
    noise = getattr(integrator, "noise", None)
    if noise is not None:
        noise.noise_seed = spec.seed
        # The stream was seeded when the noise was made.
        noise.reset_random_stream()
    return integrator


def _fill(simulator: Any) -> None:
    cortex = simulator.surface
    own = {"connectivity": simulator.connectivity}
    if cortex is not None:
        own |= {"surface": cortex.surface, "region_mapping": cortex.region_mapping_data}
    for part in (cortex, simulator.stimulus, *simulator.monitors):
        if part is not None:
            fill_references(part, own)


def _check_mapping(mapping: Any, connectivity: Any) -> None:
    """TVB itself fails much later, or maps vertices to other regions than meant."""
    regions, found = connectivity.number_of_regions, mapping.array_data
    if found.min() < 0 or found.max() >= regions:
        absent = int(found.min() if found.min() < 0 else found.max())
        raise InputError(
            f"surface.region_mapping_data: names region {absent}; expected 0 to {regions - 1}, the regions of the "
            "connectivity"
        )
    vertices = len(mapping.surface.vertices)
    if len(found) != vertices:
        raise InputError(
            f"surface.region_mapping_data: {len(found)} vertices; expected {vertices}, those of the surface"
        )
