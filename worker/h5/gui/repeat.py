"""What a second run in the GUI needs to give the same results, and why it gives others. Imports no TVB.

The GUI runs a copy of an imported simulation from its view models. These hold neither the state of a random stream nor
the speed of a connectivity.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tvb_batch.models.spec.simulation import SimulationSpec

#: The seed of every noise in the GUI: TVB seeds the stream before it sets `noise_seed`.
GUI_SEED = 42
#: The speed of every connectivity in the GUI, mm/ms. TVB's files of connectivities hold none.
GUI_SPEED = 3.0
#: The largest initial conditions in a view model, bytes.
MOST_BYTES = 16 * 2**20

OTHERS = "a second run in the GUI gives other results: "
UNSEEDED = f"{OTHERS}it draws the initial history again, without a seed"
LATER = "a second run in the GUI gives the same values, but the times start later: they include the initial history"


def drawn_history(simulator: Any) -> NDArray[np.float64] | None:
    """Return initial conditions that start a region simulation without noise where this one starts.

    TVB's GUI draws them from NumPy's generator, which it does not seed. Only the state before the first step and the
    coupling variables before it are used; the rest is 0. TVB counts steps from the length of the initial conditions, so
    the length keeps the samples of the monitors at the same steps.

    Parameters
    ----------
    simulator : configured, and not yet run

    Returns
    -------
    float64 (time, state variables, nodes, modes), the horizon or longer; None if they are too large or vertices differ
    """
    if simulator.surface is not None:
        return None
    buffer, state, model = simulator.history.buffer, simulator.current_state, simulator.model
    horizon, first = len(buffer), int(simulator.current_step)
    every = math.lcm(*(_steps(monitor) for monitor in simulator.monitors))
    last = first + max(0, math.ceil((horizon - 1 - first) / every)) * every
    if (last + 1) * state.nbytes > MOST_BYTES:
        return None
    found = np.zeros((last + 1, *state.shape))
    recent = found[-horizon:]
    recent[:, model.cvar] = np.roll(buffer, last - first, axis=0)
    recent[last % horizon] = state
    return found


def _steps(monitor: Any) -> int:
    """Return after how many steps a monitor repeats what it does."""
    found = [getattr(monitor, name, None) for name in ("istep", "_interim_istep", "_period_in_steps")]
    return math.lcm(*(int(steps) for steps in found if steps))


def differences(spec: SimulationSpec, simulator: Any, *, is_nan: bool) -> list[str]:
    """Return why a second run in the GUI gives other results, one sentence for each reason.

    Parameters
    ----------
    simulator : configured
    is_nan : the series have NaN
    """
    found = []
    if is_nan:
        found.append("a second run in the GUI ends with an error: the GUI stops at NaN, which the results have")
    if is_stochastic(simulator) and spec.seed != GUI_SEED:
        found.append(f"{OTHERS}its noise has the seed {GUI_SEED}, not that of the simulation")
    if spec.random_state is not None:
        found.append(f"{OTHERS}it has no `random_state`")
    speed = np.asarray(spec.connectivity.get("speed", spec.conduction_speed))
    if simulator.connectivity.tract_lengths.any() and not (speed == GUI_SPEED).all():
        found.append(f"{OTHERS}its conduction speed is always {GUI_SPEED:g} mm/ms")
    for monitor in simulator.monitors:
        if "obsnoise" in type(monitor).declarative_attrs:
            noise, name = monitor.obsnoise, type(monitor).__name__
            if noise is None:
                found.append(f"{OTHERS}its {name} has observation noise")
            elif noise.noise_seed != GUI_SEED:
                found.append(f"{OTHERS}the observation noise of its {name} has the seed {GUI_SEED}")
    return found


def is_stochastic(simulator: Any) -> bool:
    """Return whether the simulation has noise, and draws its start from the noise's generator."""
    return getattr(simulator.integrator, "noise", None) is not None
