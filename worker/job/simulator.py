"""From a SimulationSpec to a configured TVB Simulator. Called by `worker.job.run`; writes nothing."""

import json
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tvb_batch.models.errors import ConfigureError, TvbBatchError
from tvb_batch.models.spec.simulation import SimulationSpec
from tvb_batch.models.tvb.assembly import assemble, build_connectivity
from tvb_batch.models.tvb.input_store import Inputs

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
    parts["connectivity"] = _connectivity(spec, inputs)
    simulator = assemble(spec, inputs, parts)
    if kernels is None:
        return simulator.configure()
    # They need Numba, which takes a second to import.
    from tvb_batch.worker.engines.codegen.kernel_cache import load_primitives
    from tvb_batch.worker.engines.configure import configure

    return configure(simulator, load_primitives(kernels))


def _connectivity(spec: SimulationSpec, inputs: Inputs) -> Any:
    """The configured connectivity, of an earlier simulation where that has the same delays."""
    key = json.dumps([spec.connectivity, spec.conduction_speed, spec.integrator["dt"]], sort_keys=True)
    if key not in _CONNECTIVITIES:
        connectivity = build_connectivity(spec, inputs)
        connectivity.configure()
        _CONNECTIVITIES[key] = connectivity
        if len(_CONNECTIVITIES) > _MOST:
            _CONNECTIVITIES.popitem(last=False)
    return _CONNECTIVITIES[key]


def _place(exc: BaseException, parts: Mapping[str, Any]) -> str:
    """Where in the spec the part is in whose code a fault was raised."""
    place, traceback = "spec", exc.__traceback__
    while traceback is not None:
        here = traceback.tb_frame.f_locals.get("self")
        place = next((name for name, part in parts.items() if part is not None and part is here), place)
        traceback = traceback.tb_next
    return place
