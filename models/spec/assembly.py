"""Builds a TVB Simulator, not configured, from a SimulationSpec. Imports TVB inside its functions.

Called by `worker.job.simulator`, which configures it, and by `submit.api.from_simulator`, which compares it with a
script's simulator. `models.tvb.traits` builds each section, and `models.tvb.input_store` reads the files.
"""

from typing import Any

import numpy as np

from tvb_batch.models.errors import InputError
from tvb_batch.models.spec.random_streams import restore
from tvb_batch.models.spec.simulation import SimulationSpec
from tvb_batch.models.tvb.input_store import Inputs
from tvb_batch.models.tvb.traits import build, fill_references

#: The parts of a simulation, by their place in the spec.
Parts = dict[str, Any]


def build_connectivity(spec: SimulationSpec, inputs: Inputs) -> Any:
    """Return the connectivity, not configured, with the conduction speed of the spec."""
    connectivity = build("connectivity", spec.connectivity, inputs)
    if "speed" not in spec.connectivity:
        # Simulator.conduction_speed alone changes nothing in tvb-library 2.10: the delays come from
        # connectivity.speed.
        connectivity.speed = np.array([float(spec.conduction_speed)])
    return connectivity


def assemble(spec: SimulationSpec, inputs: Inputs, parts: Parts) -> Any:
    """Return the Simulator with its random streams, and NumPy's, seeded as in the spec.

    Parameters
    ----------
    parts : may already have a `connectivity`; the other parts of the simulation are added

    Raises
    ------
    InputError
        A file cannot be read, or two files do not match.
    """
    from tvb.simulator.simulator import Simulator

    np.random.seed(spec.seed)  # noqa: NPY002 - TVB draws from the global generator
    if "connectivity" not in parts:
        parts["connectivity"] = build_connectivity(spec, inputs)
    for name, role, section in (
        ("surface", "cortex", spec.surface), ("model", "model", spec.model), ("coupling", "coupling", spec.coupling),
        ("stimulus", "stimulus", spec.stimulus),
    ):  # fmt: skip
        parts[name] = None if section is None else build(role, section, inputs)
    parts["integrator"] = build("integrator", spec.integrator, inputs)
    parts["integrator.noise"] = getattr(parts["integrator"], "noise", None)
    _seed(spec, inputs, parts["integrator.noise"])
    for index, monitor in enumerate(spec.monitors):
        parts[f"monitors[{index}]"] = build("monitor", monitor, inputs)
    simulator = Simulator(
        connectivity=parts["connectivity"],
        conduction_speed=float(spec.conduction_speed),
        model=parts["model"],
        coupling=parts["coupling"],
        surface=parts["surface"],
        stimulus=parts["stimulus"],
        integrator=parts["integrator"],
        monitors=[parts[f"monitors[{index}]"] for index in range(len(spec.monitors))],
        simulation_length=spec.simulation_length,
    )
    _fill(simulator)
    if spec.initial_conditions is not None:
        given = spec.initial_conditions
        values = inputs.read_array(given["from_file"]) if isinstance(given, dict) else given
        simulator.initial_conditions = np.array(values, dtype=float)
    return simulator


def _seed(spec: SimulationSpec, inputs: Inputs, noise: Any) -> None:
    """Seed the noise's stream as in the spec; without noise, NumPy's global one, which TVB uses."""
    if noise is not None:
        noise.noise_seed = spec.seed
        # The stream was seeded when the noise object was created.
        noise.reset_random_stream()
    if spec.random_state is not None:
        stream = np.random.mtrand._rand if noise is None else noise.random_stream
        name = spec.random_state["from_file"]
        restore(stream, inputs.read_array(name), name)


def _fill(simulator: Any) -> None:
    cortex = simulator.surface
    own = {"connectivity": simulator.connectivity}
    if cortex is not None:
        own |= {"surface": cortex.surface, "region_mapping": cortex.region_mapping_data}
    parts = [("cortex", cortex), ("stimulus", simulator.stimulus)]
    for role, part in [*parts, *(("monitor", monitor) for monitor in simulator.monitors)]:
        if part is not None:
            fill_references(role, part, own)
    if cortex is not None:
        _check_mapping(cortex.region_mapping_data, simulator.connectivity)
        # `coupling_strength` is compared with its numbers, and the file of the surface contains them.
        cortex.surface.configure()


def _check_mapping(mapping: Any, connectivity: Any) -> None:
    """Check the region mapping: TVB would fail much later, or map vertices to wrong regions."""
    regions, found = len(connectivity.weights), mapping.array_data
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
