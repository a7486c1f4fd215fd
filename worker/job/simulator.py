"""Builds a configured TVB Simulator from a SimulationSpec. Writes nothing."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tvb_batch.models.errors import ConfigureError, TvbBatchError
from tvb_batch.models.spec.assembly import assemble, build_connectivity
from tvb_batch.models.spec.simulation import SimulationSpec
from tvb_batch.models.tvb.input_store import Inputs
from tvb_batch.worker.bounded_cache import BoundedCache

#: Connectivities of the last simulations, which do not change them; by section, speed and time step.
_CONNECTIVITIES: BoundedCache[str, Any] = BoundedCache(4)


def build_simulator(spec: SimulationSpec, inputs: Inputs, kernels: Path | None = None) -> Any:
    """Return a configured `tvb.simulator.simulator.Simulator`, equal to one built in a script.

    The spec's seed sets the noise's `noise_seed` and NumPy's global generator. TVB draws the initial conditions of a
    simulation without noise from the latter.

    Parameters
    ----------
    kernels : the directory of compiled kernels, which make configuring faster

    Raises
    ------
    InputError
        A file cannot be read, or two files do not match.
    ConfigureError
        TVB refused a part of the spec.
    """
    parts: dict[str, Any] = {}
    try:
        return _build(spec, inputs, parts, kernels)
    except TvbBatchError:
        raise
    except Exception as exc:
        # TVB's exceptions have no common base class and do not name the monitor.
        place = _place(exc, parts)
        reason = " ".join(str(exc).split()) or "no word"
        raise ConfigureError(f"{place}: TVB refuses it ({type(exc).__name__}: {reason})") from exc


def _build(spec: SimulationSpec, inputs: Inputs, parts: dict[str, Any], kernels: Path | None) -> Any:
    """Return the Simulator; add its parts to `parts`, by their place in the spec."""
    parts["connectivity"] = _connectivity(spec, inputs)
    simulator = assemble(spec, inputs, parts)
    if kernels is None:
        return simulator.configure()
    # Kernels need Numba, which takes a second to import.
    from tvb_batch.worker.engines.codegen.kernel_cache import load_primitives
    from tvb_batch.worker.engines.configure import configure

    return configure(simulator, load_primitives(kernels))


def _connectivity(spec: SimulationSpec, inputs: Inputs) -> Any:
    """Return the configured connectivity, reused from an earlier simulation with the same delays."""
    key = json.dumps([spec.connectivity, spec.conduction_speed, spec.integrator["dt"]], sort_keys=True)
    connectivity = _CONNECTIVITIES.get(key)
    if connectivity is None:
        connectivity = build_connectivity(spec, inputs)
        connectivity.configure()
        _CONNECTIVITIES.put(key, connectivity)
    return connectivity


def _place(exc: BaseException, parts: Mapping[str, Any]) -> str:
    """Return the place in the spec of the object whose code raised the error."""
    place, traceback = "spec", exc.__traceback__
    while traceback is not None:
        here = traceback.tb_frame.f_locals.get("self")
        place = next((name for name, part in parts.items() if part is not None and part is here), place)
        traceback = traceback.tb_next
    return place
