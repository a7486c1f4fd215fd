"""Surface simulations in the compiled engine beside TVB's own loop: the same bits, on a cortex of few vertices."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from engine_cases import MODELS, NOISES, Case, assert_same_run, of_model, run_chunks, watch

from tvb_batch.worker.engines import choose, compiled, simulator_state

#: More than two tiles, and no multiple of eight.
VERTICES = 611
STEPS = 300


def cortex(*, many: int = 12, strength: Any = 0.02, regions: int = 76, form: str = "csc") -> Callable[[Any], Any]:
    """Makes cortices of vertices in a row.

    Parameters
    ----------
    many : neighbours of a vertex, about
    strength : TVB's `coupling_strength`
    regions : those with vertices; the others become nodes of their own
    form : of SciPy's sparse matrix
    """

    def make(connectivity: Any) -> Any:
        from tvb.datatypes.cortex import Cortex
        from tvb.datatypes.local_connectivity import LocalConnectivity
        from tvb.datatypes.region_mapping import RegionMapping
        from tvb.datatypes.surfaces import CorticalSurface

        rng = np.random.default_rng(11)
        vertices = rng.normal(size=(VERTICES, 3))
        first = np.arange(VERTICES - 2)
        surface = CorticalSurface(vertices=vertices, triangles=np.stack([first, first + 1, first + 2], axis=1))
        surface.configure()
        region = np.concatenate([np.arange(regions), rng.integers(0, regions, VERTICES - regions)])
        matrix = scipy.sparse.random(VERTICES, VERTICES, density=many / VERTICES, format=form, random_state=3)
        return Cortex(
            region_mapping_data=RegionMapping(array_data=region, connectivity=connectivity, surface=surface),
            local_connectivity=LocalConnectivity(surface=surface, matrix=matrix),
            coupling_strength=np.atleast_1d(np.asarray(strength, dtype=np.float64)),
        )

    return make


def on_regions(connectivity: Any, _cortex: Any) -> Any:
    from tvb.datatypes.equations import PulseTrain
    from tvb.datatypes.patterns import StimuliRegion

    train = PulseTrain(parameters={"onset": 3.0, "T": 9.0, "tau": 2.0, "amp": 0.5})
    return StimuliRegion(temporal=train, connectivity=connectivity, weight=np.linspace(0.0, 1.0, 76))


def sensors(name: str) -> Callable[[], list[Any]]:
    """A monitor of sensors whose projection fits the vertices."""

    def make() -> list[Any]:
        from tvb.datatypes import projections
        from tvb.simulator import monitors

        monitor = getattr(monitors, name).from_file(period=1.0)
        kind = getattr(projections, f"ProjectionSurface{name}")
        data = np.random.default_rng(2).normal(size=(monitor.sensors.number_of_sensors, VERTICES))
        monitor.projection = kind(projection_data=data, sensors=monitor.sensors)
        return [monitor]

    return make


def on_a_cortex(**changes: Any) -> Case:
    return Case(**{"surface": cortex(), "steps": STEPS, **changes})


CASES: dict[str, Case] = {f"model {_name}": on_a_cortex(**of_model(_name, VERTICES, 0.01)) for _name in MODELS}
for _name in ("Scaling", "HyperbolicTangent", "Sigmoidal", "Difference", "Kuramoto"):
    CASES[f"coupling {_name}"] = on_a_cortex(coupling=_name)
for _name in ("EulerDeterministic", "EulerStochastic", "HeunDeterministic", "RungeKutta4thOrderDeterministic"):
    CASES[f"integrator {_name}"] = on_a_cortex(integrator=_name)
for _name, _make in NOISES.items():
    # TVB fails when coloured noise meets a surface.
    if "coloured" not in _name:
        CASES[f"noise {_name}"] = on_a_cortex(integrator="HeunStochastic", noise=_make)
for _name, _monitors in {
    "all that average": watch(
        ("TemporalAverage", {"period": 1.3}), ("SubSample", {"period": 0.7}), ("GlobalAverage", {"period": 0.5}),
        ("SpatialAverage", {"period": 0.5}), ("Bold", {"period": 10.0, "hrf_length": 100.0}),
    ),
    "what enters": watch(("AfferentCoupling", {}), ("AfferentCouplingTemporalAverage", {"period": 1.0})),
    **{name: sensors(name) for name in ("EEG", "MEG")},
}.items():  # fmt: skip
    CASES[f"monitor {_name}"] = on_a_cortex(monitors=_monitors)
CASES["stimulus of regions"] = on_a_cortex(stimulus=on_regions)
CASES["no neighbours"] = on_a_cortex(surface=cortex(many=0))
CASES["many neighbours"] = on_a_cortex(surface=cortex(many=90), model="Epileptor")
CASES["rows first"] = on_a_cortex(surface=cortex(form="csr"))
CASES["strength of each vertex"] = on_a_cortex(surface=cortex(strength=np.linspace(0.0, 0.1, VERTICES)))
CASES["regions without vertices"] = on_a_cortex(surface=cortex(regions=70))
CASES["parameters for each vertex"] = on_a_cortex(model_parameters={"I": np.linspace(0.0, 1.0, VERTICES)})
CASES["three modes, each edge"] = on_a_cortex(model="ReducedSetFitzHughNagumo", coupling="Difference", dt=0.01)
CASES["no delays"] = on_a_cortex(speed=1e9)


@pytest.mark.parametrize("name", CASES)
def test_a_compiled_surface_is_tvbs_surface_bit_for_bit(name: str, kernels: Path, record_property: Any) -> None:
    case = CASES[name]
    tvb, own = case.configure(), case.configure()
    with np.errstate(all="ignore"):
        expected = tvb.run()

    choice = choose(own, "auto", kernels, 10**6)
    found = run_chunks(choice, own, 110)

    assert (choice.name, choice.reason) == (compiled.NAME, "")
    assert_same_run(found, own, expected, tvb)
    record_property("engine", (f"surface, {name}", choice.name))


def test_tvb_goes_on_with_a_surface_after_any_chunk(kernels: Path) -> None:
    case = on_a_cortex(integrator="HeunStochastic", monitors=watch(("Bold", {"period": 1.0, "hrf_length": 10.0})))
    tvb, own = case.configure(), case.configure()

    done = next(chunk.step for chunk in choose(own, "auto", kernels, 10**6).stream(own, 33))
    tvb.run(n_steps=done)
    expected = tvb.run(n_steps=50)
    found = own.run(n_steps=50)

    assert_same_run(found, own, expected, tvb)


def test_asking_about_a_surface_leaves_it_as_it_was(kernels: Path) -> None:
    own = on_a_cortex(integrator="HeunStochastic").configure()
    before = simulator_state.take(own)

    choose(own, "auto", kernels, 10**6)

    assert simulator_state.first_difference(before, simulator_state.take(own)) is None
