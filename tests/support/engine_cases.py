"""Simulators for the tests of the engines, and what it takes to call two runs equal."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.engine import STIFF, start_of
from tvb_batch.models.tvb.components import components
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


MODELS = tuple(components("model"))


def additive(**keywords: Any) -> Callable[[], Any]:
    def make() -> Any:
        from tvb.simulator.noise import Additive

        return Additive(**keywords)

    return make


def multiplicative(equation: str | None = None, **keywords: Any) -> Callable[[], Any]:
    def make() -> Any:
        from tvb.datatypes.equations import TemporalApplicableEquation
        from tvb.simulator.noise import Multiplicative

        own = {"b": TemporalApplicableEquation(equation=equation, parameters={"a": 0.5, "b": 1.0})} if equation else {}
        return Multiplicative(nsig=np.array([1e-3]), **own, **keywords)

    return make


def watch(*wanted: tuple[str, dict[str, Any]]) -> Callable[[], list[Any]]:
    def make() -> list[Any]:
        from tvb.simulator import monitors

        return [getattr(monitors, name)(**keywords) for name, keywords in wanted]

    return make


def pulse(connectivity: Any) -> Any:
    from tvb.datatypes.equations import PulseTrain
    from tvb.datatypes.patterns import StimuliRegion

    train = PulseTrain(parameters={"onset": 20.0, "T": 50.0, "tau": 10.0, "amp": 0.5})
    return StimuliRegion(temporal=train, connectivity=connectivity, weight=np.linspace(0.0, 1.0, 76))


NOISES = {
    "additive": additive(nsig=np.array([1e-3])),
    "additive for each variable": additive(nsig=np.array([1e-3, 0.0])),
    "additive for each node": additive(nsig=np.linspace(0, 1e-3, 2 * 76).reshape(2, 76)),
    "coloured": additive(nsig=np.array([1e-3]), ntau=5.0),
    "multiplicative": multiplicative(),
    "multiplicative with an equation": multiplicative("a*var*var + b"),
    "multiplicative and coloured": multiplicative(ntau=3.0),
}


def of_model(name: str, nodes: int = 76, dt: float = 0.1) -> dict[str, Any]:
    """What a case of a model takes to stay within numbers."""
    return {
        "model": name,
        "coupling": "SigmoidalJansenRit" if name == "JansenRit" else "Linear",
        "integrator": "HeunStochastic",
        "initial_conditions": start_of(name, nodes),
        "dt": min(dt, STIFF.get(name, dt)),
    }
