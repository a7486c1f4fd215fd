"""From a SimulationSpec to a configured TVB Simulator. Called by `worker.run`; writes nothing."""

import json
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from models.errors import ConfigureError, InputError, TvbBatchError
from models.inputs import Inputs
from models.readers import read_array
from models.spec import SimulationSpec
from models.traits import build, fill_references

#: Connectivities of the last simulations, as nobody changes them: by their section, speed and time step.
_CONNECTIVITIES: OrderedDict[str, Any] = OrderedDict()
_MOST = 4


def build_simulator(spec: SimulationSpec, inputs: Inputs, kernels: Path | None = None) -> Any:
    """A configured `tvb.simulator.simulator.Simulator` that differs from a script's in nothing.

    The spec's seed goes to the noise's `noise_seed`, and to NumPy's global generator, from which TVB draws the initial
    conditions of a simulation without noise.

    Parameters
    ----------
    kernels : the directory of compiled kernels; with them it is configured in less time

    Raises
    ------
    InputError
        A file cannot be read, or two of them do not fit each other.
    ConfigureError
        TVB refused a part of it.
    """
    parts: dict[str, Any] = {}
    try:
        return _build(spec, inputs, parts, kernels)
    except TvbBatchError:
        raise
    except Exception as exc:
        # What TVB raises has no common base, and does not say which of several monitors it means.
        place = _place(exc, parts)
        reason = " ".join(str(exc).split()) or "no word"
        raise ConfigureError(f"{place}: TVB refuses it ({type(exc).__name__}: {reason})") from exc


def _build(spec: SimulationSpec, inputs: Inputs, parts: dict[str, Any], kernels: Path | None) -> Any:
    """The Simulator; notes in `parts` what it is made of, by the place in the spec."""
    from tvb.simulator.simulator import Simulator

    np.random.seed(spec.seed)  # noqa: NPY002 - TVB draws from the global generator
    parts["connectivity"] = connectivity = _connectivity(spec, inputs)
    for name, role, section in (
        ("surface", "cortex", spec.surface), ("model", "model", spec.model), ("coupling", "coupling", spec.coupling),
        ("stimulus", "stimulus", spec.stimulus),
    ):  # fmt: skip
        parts[name] = None if section is None else build(role, section, inputs)
    parts["integrator"] = _integrator(spec, inputs)
    parts["integrator.noise"] = getattr(parts["integrator"], "noise", None)
    for index, monitor in enumerate(spec.monitors):
        parts[f"monitors[{index}]"] = build("monitor", monitor, inputs)
    cortex = parts["surface"]
    simulator = Simulator(
        connectivity=connectivity,
        conduction_speed=float(spec.conduction_speed),
        model=parts["model"],
        coupling=parts["coupling"],
        surface=cortex,
        stimulus=parts["stimulus"],
        integrator=parts["integrator"],
        monitors=[parts[f"monitors[{index}]"] for index in range(len(spec.monitors))],
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
    if kernels is None:
        return simulator.configure()
    # They need Numba, which takes a second to import.
    from worker.engines.initial import configure
    from worker.engines.kernels import load_primitives

    return configure(simulator, load_primitives(kernels))


def _connectivity(spec: SimulationSpec, inputs: Inputs) -> Any:
    """The configured connectivity, of an earlier simulation where that has the same delays."""
    key = json.dumps([spec.connectivity, spec.conduction_speed, spec.integrator["dt"]], sort_keys=True)
    if key not in _CONNECTIVITIES:
        connectivity = build("connectivity", spec.connectivity, inputs)
        if "speed" not in spec.connectivity:
            # Simulator.conduction_speed alone changes nothing in tvb-library 2.10: the delays come from
            # connectivity.speed.
            connectivity.speed = np.array([float(spec.conduction_speed)])
        connectivity.configure()
        _CONNECTIVITIES[key] = connectivity
        if len(_CONNECTIVITIES) > _MOST:
            _CONNECTIVITIES.popitem(last=False)
    return _CONNECTIVITIES[key]


def _integrator(spec: SimulationSpec, inputs: Inputs) -> Any:
    integrator = build("integrator", spec.integrator, inputs)
    noise = getattr(integrator, "noise", None)
    if noise is not None:
        noise.noise_seed = spec.seed
        # The stream was seeded when the noise was made.
        noise.reset_random_stream()
    return integrator


def _place(exc: BaseException, parts: Mapping[str, Any]) -> str:
    """Where in the spec the part is in whose code a fault was raised."""
    place, traceback = "spec", exc.__traceback__
    while traceback is not None:
        here = traceback.tb_frame.f_locals.get("self")
        place = next((name for name, part in parts.items() if part is not None and part is here), place)
        traceback = traceback.tb_next
    return place


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
