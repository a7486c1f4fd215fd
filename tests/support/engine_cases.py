"""Simulators for the tests of the engines, and what it takes to call two runs equal."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tvb_batch.worker.engines import Choice, simulator_state

#: Steps of every comparison with TVB's own loop.
STEPS = 2000


@dataclass(frozen=True)
class Case:
    """A simulator to be configured, in TVB's names."""

    model: str = "Generic2dOscillator"
    coupling: str = "Linear"
    integrator: str = "HeunDeterministic"
    noise: Callable[[], Any] | None = None
    monitors: Callable[[], list[Any]] | None = None
    model_parameters: dict[str, Any] = field(default_factory=dict)
    coupling_parameters: dict[str, Any] = field(default_factory=dict)
    #: Made for a connectivity, and a stimulus for the surface too where there is one.
    surface: Callable[[Any], Any] | None = None
    stimulus: Callable[..., Any] | None = None
    #: (1, state variables, nodes, modes); TVB draws it from the model's ranges where there is none.
    initial_conditions: Any = None
    connectivity: str = "connectivity_76.zip"
    speed: float = 3.0
    dt: float = 0.1
    steps: int = STEPS

    def configure(self) -> Any:
        """A configured simulator; each call gives the same."""
        from tvb.datatypes.connectivity import Connectivity
        from tvb.simulator import coupling, integrators, models, monitors, noise, simulator

        np.random.seed(5)  # noqa: NPY002 - TVB draws from the global generator
        connectivity = Connectivity.from_file(self.connectivity)
        connectivity.speed = np.array([self.speed])
        own: dict[str, Any] = {"dt": self.dt}
        if "Stochastic" in self.integrator:
            own["noise"] = self.noise() if self.noise else noise.Additive(nsig=np.array([1e-4]))
        places = [connectivity]
        extra: dict[str, Any] = {}
        if self.surface:
            places.append(self.surface(connectivity))
            extra["surface"] = places[1]
        if self.stimulus:
            extra["stimulus"] = self.stimulus(*places)
        if self.initial_conditions is not None:
            extra["initial_conditions"] = self.initial_conditions
        return simulator.Simulator(
            model=getattr(models, self.model)(**self.model_parameters),
            connectivity=connectivity,
            coupling=getattr(coupling, self.coupling)(**self.coupling_parameters),
            integrator=getattr(integrators, self.integrator)(**own),
            monitors=self.monitors() if self.monitors else [monitors.Raw()],
            simulation_length=self.steps * self.dt,
            **extra,
        ).configure()


def run_chunks(choice: Choice, simulator: Any, chunk_steps: int) -> list[tuple[Any, Any]]:
    """Times and data of each monitor, all chunks together."""
    chunks = list(choice.stream(simulator, chunk_steps))
    found = []
    for number in range(len(simulator.monitors)):
        samples = [chunk.samples[number] for chunk in chunks if chunk.samples[number] is not None]
        time = np.concatenate([sample.time for sample in samples]) if samples else np.zeros(0)
        data = np.concatenate([sample.data for sample in samples]) if samples else np.zeros(0)
        found.append((time, data))
    return found


def assert_same_run(
    found: list[tuple[Any, Any]], simulator: Any, expected: list[tuple[Any, Any]], tvb: Any, *, is_finite: bool = True
) -> None:
    """Samples, state, history, noise and stocks are the same bits, and numbers: a NaN would equal any other."""
    assert np.isfinite(tvb.current_state).all() == is_finite
    for (time, data), (tvb_time, tvb_data) in zip(found, expected, strict=True):
        np.testing.assert_array_equal(time, tvb_time)
        np.testing.assert_array_equal(data, tvb_data)
    assert simulator_state.first_difference(simulator_state.take(tvb), simulator_state.take(simulator)) is None
