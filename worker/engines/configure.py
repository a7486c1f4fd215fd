"""TVB's `Simulator.configure` with the same numbers in less time. Called by `worker.job.simulator`.

TVB spends most of the time on random numbers that it does not use: it draws every state variable at every step of the
longest delay, and keeps the coupling variables and one state. Here the other numbers are skipped. Simulations on one
network share the parts of the history that depend only on the network.
"""

from collections.abc import Hashable
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tvb_batch.models.spec.random_streams import is_mt19937
from tvb_batch.worker.bounded_cache import BoundedCache
from tvb_batch.worker.engines.runtime.random_state import MT19937State, draws_uniforms

#: Histories of the last networks, before anything was in them.
_EMPTY: BoundedCache[Hashable, Any] = BoundedCache(4)


def configure(simulator: Any, primitives: ModuleType) -> Any:
    """Configure a simulator as `simulator.configure()` would, and return it; TVB itself may configure it again."""
    own = {
        "_configure_history": partial(_configure_history, simulator, primitives),
        # What TVB says of memory goes to a log that nobody reads.
        "_guesstimate_memory_requirement": lambda: None,
        "_census_memory_requirement": lambda: None,
    }
    vars(simulator).update(own)
    try:
        return simulator.configure()
    finally:
        for name in own:
            del vars(simulator)[name]


def _configure_history(simulator: Any, primitives: ModuleType, initial_conditions: Any = None) -> None:
    stream = _stream_of(simulator, primitives)
    given = simulator.initial_conditions if initial_conditions is None else initial_conditions
    if stream is None or given is not None or simulator.surface is not None or not _is_plain(simulator):
        type(simulator)._configure_history(simulator, initial_conditions)
        return
    first, histories = _draw(simulator, MT19937State(primitives, stream), stream, primitives)
    simulator.current_state = first
    simulator.history = _empty_history(simulator)
    for place, variable in enumerate(simulator.model.cvar):
        simulator.history.buffer[:, place] = histories[int(variable)]


def _stream_of(simulator: Any, primitives: ModuleType) -> Any:
    """Return the stream from which TVB draws initial conditions, or None if the primitives cannot draw from it."""
    noise = getattr(simulator.integrator, "noise", None)
    # Without noise TVB draws from NumPy's global stream.
    stream = np.random.uniform.__self__ if noise is None else noise.random_stream  # type: ignore[attr-defined]
    return stream if is_mt19937(stream) and draws_uniforms(primitives) else None


def _is_plain(simulator: Any) -> bool:
    """Return whether TVB only draws numbers and keeps them within boundaries."""
    from tvb.simulator.models.base import Model

    model, kind = simulator.model, type(simulator.model)
    if kind.initial is not Model.initial or kind.initial_for_simulator is not Model.initial_for_simulator:
        return False
    ranges = (model.state_variable_range[name] for name in model.state_variables)
    if not all(np.shape(ends) == (2,) and np.isfinite(ends[1] - ends[0]) for ends in ranges):
        return False
    return simulator.integrator.clamped_state_variable_values is None and simulator.current_step == 0


def _draw(
    simulator: Any, generator: MT19937State, stream: Any, primitives: ModuleType
) -> tuple[NDArray[np.float64], dict[int, NDArray[np.float64]]]:
    """Draw the first state, (variables, nodes, modes), and each coupling variable's history, (times, nodes, modes)."""
    times, _, nodes, modes = simulator.good_history_shape
    model, integrator = simulator.model, simulator.integrator
    kept = {int(variable) for variable in model.cvar}
    drawn: list[NDArray[np.float64]] = []
    for variable, name in enumerate(model.state_variables):
        low, high = map(float, model.state_variable_range[name])
        values = np.empty((times if variable in kept else 1, nodes, modes))
        primitives.fill_uniforms(generator.key, generator.words, generator.used, low, high - low, values.reshape(-1))
        primitives.skip_uniforms(generator.key, generator.words, generator.used, (times - len(values)) * nodes * modes)
        drawn.append(values)
    generator.put_back(stream)
    if integrator.state_variable_boundaries is not None:
        integrator.bound_state(drawn)
    return np.array([values[0] for values in drawn]), {variable: drawn[variable] for variable in kept}


def _empty_history(simulator: Any) -> Any:
    """Return TVB's history for the simulator's network, with nothing in it yet."""
    from tvb.simulator.history import SparseHistory

    network, model = simulator.connectivity, simulator.model
    arrays = (network.weights, network.idelays, np.asarray(model.cvar))
    key = (model.number_of_modes, *((array.dtype.str, array.shape, array.tobytes()) for array in arrays))
    history = _EMPTY.get(key)
    if history is None:
        history = SparseHistory(network.weights, network.idelays, model.cvar, model.number_of_modes)
        _EMPTY.put(key, history)
    return _copy(history)


def _copy(history: Any) -> Any:
    """Return a copy with its own writable arrays; TVB keeps them in descriptors of the class."""
    from tvb.simulator.descriptors import Final
    from tvb.simulator.descriptors import NDArray as Described

    made = object.__new__(type(history))
    for cls in type(history).__mro__:
        for descriptor in vars(cls).values():
            if not isinstance(descriptor, Described | Final):
                continue
            known = descriptor.instance_state.get(history)
            if isinstance(descriptor, Described) and known is not None and not descriptor.read_only:
                known = Described.State(known.array.copy(), known.initialized)
            if known is not None:
                descriptor.instance_state[made] = known
    return made
