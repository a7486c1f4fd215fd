"""Simulators as in scripts: every model, coupling, integrator, noise and monitor of TVB, and their parts.

Plain TVB; only the list of classes is imported from this program.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from tvb_batch.models.tvb.components import components


@dataclass(frozen=True)
class Case:
    """One Simulator, made when needed."""

    name: str
    #: Keyword arguments of the Simulator that differ from the usual ones, each made by a call.
    parts: dict[str, Callable[[], Any]]
    #: Roles and classes that the case covers.
    covers: frozenset[tuple[str, str]] = frozenset()
    #: A surface simulation of several seconds.
    is_slow: bool = False
    changes: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name


def simulator_of(case: Case) -> Any:
    """Return the Simulator of a case, not configured."""
    if isinstance(case, SurfaceCase):
        return _surface_simulator(case)
    from tvb.datatypes.connectivity import Connectivity
    from tvb.simulator.simulator import Simulator

    values: dict[str, Any] = {
        "connectivity": Connectivity.from_file(),
        "model": _model("Generic2dOscillator"),
        "coupling": _coupling("Linear", a=np.array([0.01])),
        "integrator": _integrator("HeunStochastic"),
        "monitors": [_monitor("TemporalAverage", period=1.0)],
        "simulation_length": 30.0,
    }
    values |= {name: make() for name, make in case.parts.items()}
    values |= case.changes
    if "stimulus" in values:
        values["stimulus"].connectivity = values["connectivity"]
    return Simulator(**values)


def _model(name: str, **values: Any) -> Any:
    from tvb.simulator import models

    return getattr(models, name)(**values)


def _coupling(name: str, **values: Any) -> Any:
    from tvb.simulator import coupling

    return getattr(coupling, name)(**values)


def _noise(name: str = "Additive", **values: Any) -> Any:
    from tvb.simulator import noise

    return getattr(noise, name)(**{"nsig": np.array([0.001]), **values})


def _integrator(name: str, make_noise: Callable[[], Any] = _noise, **values: Any) -> Any:
    from tvb.simulator import integrators

    cls = getattr(integrators, name)
    if hasattr(cls, "noise"):
        values["noise"] = make_noise()
    return cls(**{"dt": 0.5, **values})


def _monitor(name: str, **values: Any) -> Any:
    from tvb.simulator import monitors

    return getattr(monitors, name)(**values)


def _equation(name: str, **parameters: float) -> Any:
    from tvb.datatypes import equations

    made = getattr(equations, name)()
    made.parameters.update(parameters)
    return made


def _projection_monitor(name: str, *, is_surface: bool = False, **values: Any) -> Any:
    from tvb.datatypes import projections, region_mapping, sensors

    found = {
        "EEG": ("SensorsEEG", "eeg_brainstorm_65.txt", "ProjectionSurfaceEEG", "projection_eeg_65_surface_16k.npy"),
        "MEG": ("SensorsMEG", "meg_brainstorm_276.txt", "ProjectionSurfaceMEG", "projection_meg_276_surface_16k.npy"),
        "iEEG": ("SensorsInternal", "seeg_588.txt", "", ""),
    }[name]
    values["sensors"] = getattr(sensors, found[0]).from_file(found[1])
    if found[2]:
        values["projection"] = getattr(projections, found[2]).from_file(found[3])
    values["region_mapping"] = region_mapping.RegionMapping.from_file()
    return _monitor(name, **{"period": 2.0, **values})


# ------------------------------------------------------------------------------------------------- the single parts


def _models() -> Iterator[Case]:
    # With the usual step, half of the models soon give only NaN, which would equal each other.
    for name in components("model"):
        dt = 0.001 if name == "CoombesByrne" else 0.01
        parts = {"model": partial(_model, name), "integrator": partial(_integrator, "HeunStochastic", dt=dt)}
        yield Case(f"model {name}", parts, frozenset({("model", name)}), changes={"simulation_length": 5.0})


def _couplings() -> Iterator[Case]:
    wants = {"SigmoidalJansenRit": "JansenRit", "Kuramoto": "Kuramoto", "PreSigmoidal": "JansenRit"}
    for name in components("coupling"):
        parts = {"coupling": partial(_coupling, name), "model": partial(_model, wants.get(name, "Generic2dOscillator"))}
        yield Case(f"coupling {name}", parts, frozenset({("coupling", name)}))


def _integrators() -> Iterator[Case]:
    for name in components("integrator"):
        yield Case(f"integrator {name}", {"integrator": partial(_integrator, name)}, frozenset({("integrator", name)}))


def _noises() -> Iterator[Case]:
    kinds: dict[str, Callable[[], Any]] = {
        "Additive white": partial(_noise, noise_seed=7),
        "Additive coloured": partial(_noise, ntau=5.0),
        "Additive of each variable": partial(_noise, nsig=np.array([0.001, 0.002])),
        "Additive of each node": partial(_noise, nsig=np.linspace(0.0, 0.01, 76)),
        "Additive of each variable and node": partial(_noise, nsig=np.linspace(0.0, 0.01, 152).reshape(2, 76)),
        "Multiplicative": lambda: _noise("Multiplicative", b=_equation("Linear", a=2.0)),
        "Multiplicative coloured": lambda: _noise("Multiplicative", ntau=2.0, b=_equation("Linear", b=1.0)),
    }
    for name, make in kinds.items():
        for integrator in ("HeunStochastic", "EulerStochastic"):
            if (name, integrator) == ("Additive of each node", "HeunStochastic"):
                continue  # TVB itself fails: its Heun wants the shape of the state.
            parts = {"integrator": partial(_integrator, integrator, make)}
            yield Case(f"noise {name}, {integrator}", parts, frozenset({("noise", name.split()[0])}))


def _monitors() -> Iterator[Case]:
    made: dict[str, Callable[[], Any]] = {
        "Raw": partial(_monitor, "Raw"),
        "RawVoi": partial(_monitor, "RawVoi"),
        "RawVoi of one": partial(_monitor, "RawVoi", variables_of_interest=np.array([0])),
        "SubSample": partial(_monitor, "SubSample", period=2.0),
        "TemporalAverage": partial(_monitor, "TemporalAverage", period=1.5, variables_of_interest=np.array([0])),
        "GlobalAverage": partial(_monitor, "GlobalAverage", period=1.0),
        "SpatialAverage": partial(_monitor, "SpatialAverage", period=1.0),
        "SpatialAverage by hemisphere": lambda: _monitor(
            "SpatialAverage", period=1.0, default_mask=_mask("HEMISPHERES")
        ),
        "SpatialAverage by mask": partial(_monitor, "SpatialAverage", period=1.0, spatial_mask=np.arange(76) % 3),
        "AfferentCoupling": partial(_monitor, "AfferentCoupling"),
        "AfferentCoupling of one": partial(_monitor, "AfferentCoupling", variables_of_interest=np.array([0])),
        "AfferentCouplingTemporalAverage": partial(_monitor, "AfferentCouplingTemporalAverage", period=2.0),
        "EEG": partial(_projection_monitor, "EEG"),
        "EEG of a reference": partial(_projection_monitor, "EEG", reference="Cz"),
        "EEG of the average": partial(_projection_monitor, "EEG", reference="average"),
        "EEG with noise": lambda: _projection_monitor("EEG", obsnoise=_noise(nsig=np.array([2.0]), noise_seed=5)),
        "EEG with coloured noise": lambda: _projection_monitor("EEG", obsnoise=_noise(nsig=np.array([2.0]), ntau=3.0)),
        "EEG without noise": partial(_projection_monitor, "EEG", obsnoise=None),
        "MEG": partial(_projection_monitor, "MEG"),
        "iEEG": partial(_projection_monitor, "iEEG", sigma=0.5),
    }
    for name, make in made.items():
        yield Case(
            f"monitor {name}", {"monitors": lambda make=make: [make()]}, frozenset({("monitor", name.split()[0])})
        )
    for kernel in components("monitor")["Bold"].attributes["hrf_kernel"].choices:
        make = partial(_bold, kernel)
        covers = frozenset({("monitor", "Bold"), ("equation", kernel)})
        yield Case(f"monitor Bold {kernel}", {"monitors": make}, covers, changes={"simulation_length": 60.0})


def _bold(kernel: str) -> list[Any]:
    from tvb.datatypes import equations

    return [_monitor("Bold", period=20.0, hrf_length=1000.0, hrf_kernel=getattr(equations, kernel)())]


def _mask(name: str) -> Any:
    from tvb.simulator.monitors import DefaultMasks

    return DefaultMasks[name]


# ---------------------------------------------------------------------------------------------- what goes with them


def _stimulus(temporal: str, **parameters: float) -> Any:
    from tvb.datatypes.patterns import StimuliRegion

    weight = np.zeros(76)
    weight[[3, 40]] = (0.5, 1.5)
    return StimuliRegion(temporal=_equation(temporal, **parameters), weight=weight)


def _ranged(**ranges: Any) -> Any:
    model = _model("Generic2dOscillator")
    # TVB's scripts change the range of one model in this way; the range of the class must not change.
    vars(model)["state_variable_range"] = {name: np.array(ends) for name, ends in ranges.items()}
    return model


def _bounded(**boundaries: Any) -> Any:
    model = _model("Generic2dOscillator")
    model.state_variable_boundaries = {name: np.array(ends) for name, ends in boundaries.items()}
    return model


def _stimulated(variable: int) -> Any:
    model = _model("Generic2dOscillator")
    model.stvar = np.array([variable])
    return model


def _connectivity(speed: float = 3.0, **changes: Any) -> Any:
    from tvb.datatypes.connectivity import Connectivity

    made = Connectivity.from_file("connectivity_66.zip")
    made.speed = np.array([speed])
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def _random_connectivity(regions: int) -> Any:
    from tvb.datatypes.connectivity import Connectivity

    random = np.random.default_rng(1)
    return Connectivity(
        weights=random.random((regions, regions)),
        tract_lengths=random.random((regions, regions)) * 100,
        centres=random.random((regions, 3)),
        region_labels=np.array([f"r{index}" for index in range(regions)]),
    )


def _history(steps: int) -> Any:
    return np.random.default_rng(2).random((steps, 2, 76, 1))


def _features() -> Iterator[Case]:
    wide = np.linspace(-2.0, -1.5, 76)
    both = ("V", "W")
    clamp = {
        "clamped_state_variable_indices": np.array([1]),
        "clamped_state_variable_values": np.full((1, 76, 1), 0.5),
    }
    parts: dict[str, dict[str, Callable[[], Any]]] = {
        "variables_of_interest": {"model": partial(_model, "Generic2dOscillator", variables_of_interest=both)},
        "one value for each region": {"model": partial(_model, "Generic2dOscillator", a=wide)},
        "state_variable_range": {"model": partial(_ranged, V=[0.1, 0.2], W=[-1.0, -0.5])},
        "state_variable_boundaries": {"model": partial(_bounded, V=[-1.0, np.inf], W=[-0.5, 0.5])},
        "a variable that is held": {"integrator": partial(_integrator, "HeunDeterministic", **clamp)},
        "short initial_conditions": {"initial_conditions": partial(_history, 3)},
        "long initial_conditions": {"initial_conditions": partial(_history, 200)},
        "speed": {"connectivity": partial(_connectivity, 0.7)},
        "a connectivity of arrays": {"connectivity": partial(_random_connectivity, 5)},
        "a large connectivity": {"connectivity": partial(_random_connectivity, 40)},
        "stimulated variable": {"model": partial(_stimulated, 1), "stimulus": partial(_stimulus, "Linear")},
        "several monitors": {
            "monitors": lambda: [
                _monitor("Raw"), _monitor("TemporalAverage", period=1.0), _monitor("SubSample", period=7.0),
                _monitor("GlobalAverage", period=2.5),
            ]
        },
    }  # fmt: skip
    for name, made in parts.items():
        yield Case(name, made)
    for temporal in components("stimulus")["StimuliRegion"].attributes["temporal"].choices:
        make = partial(_stimulus, temporal, **({"onset": 5.0} if temporal in ("PulseTrain", "Alpha") else {}))
        covers = frozenset({("stimulus", "StimuliRegion"), ("equation", temporal), ("equation", "DiscreteEquation")})
        yield Case(f"stimulus {temporal}", {"stimulus": make}, covers)


# ---------------------------------------------------------------------------------------------------------- surfaces


def _cortex(strength: Any = None, *, is_computed: bool = False) -> Any:
    from tvb.datatypes.cortex import Cortex
    from tvb.datatypes.local_connectivity import LocalConnectivity

    made = Cortex.from_file(local_connectivity_file=None if is_computed else "local_connectivity_16384.mat")
    if is_computed:
        surface = made.region_mapping_data.surface
        made.local_connectivity = LocalConnectivity(
            surface=surface, cutoff=3.0, equation=_equation("Gaussian", sigma=2.0)
        )
    made.coupling_strength = np.array([0.001]) if strength is None else strength
    return made


def _surface_stimulus(spatial: str, cortex: Any) -> Any:
    from tvb.datatypes.patterns import StimuliSurface

    return StimuliSurface(
        surface=cortex.surface,
        spatial=_equation(spatial),
        temporal=_equation("PulseTrain", onset=1.0),
        focal_points_triangles=np.array([100, 2000]),
    )


def _surface_simulator(case: "SurfaceCase") -> Any:
    base = simulator_of(Case(case.name, {}))
    cortex = _cortex(case.strength, is_computed=case.is_computed)
    cortex.region_mapping_data.connectivity = base.connectivity
    cortex.surface.configure()
    base.surface = cortex
    base.simulation_length = 5.0
    base.monitors = case.monitors()
    if case.stimulus is not None:
        base.stimulus = case.stimulus(cortex)
    return base


@dataclass(frozen=True)
class SurfaceCase(Case):
    """A Simulator on TVB's cortex of 16384 vertices."""

    strength: Any = None
    is_computed: bool = False
    stimulus: Callable[[Any], Any] | None = None
    monitors: Callable[[], list[Any]] = lambda: [_monitor("TemporalAverage", period=1.0)]


def _surface_monitors() -> list[Any]:
    names = ("TemporalAverage", "SubSample", "GlobalAverage", "SpatialAverage", "AfferentCouplingTemporalAverage")
    return [
        _monitor("Raw"), *[_monitor(name, period=1.0) for name in names],
        _monitor("BoldRegionROI", period=4.0, hrf_length=1000.0),
        *[_projection_monitor(name) for name in ("EEG", "MEG")],
    ]  # fmt: skip


def _surfaces() -> Iterator[Case]:
    cortex = ("cortex", "Cortex")
    yield SurfaceCase(
        "surface, all monitors", {}, frozenset({cortex, ("monitor", "BoldRegionROI")}), True, monitors=_surface_monitors
    )
    yield SurfaceCase(
        "surface, strength of each vertex", {}, frozenset({cortex}), True, strength=np.linspace(0, 0.01, 16384)
    )
    yield SurfaceCase("surface, local connectivity computed", {}, frozenset({cortex}), True, is_computed=True)
    yield SurfaceCase("surface, stimulated regions", {}, frozenset({cortex}), True, stimulus=_region_stimulus)
    for spatial in components("stimulus")["StimuliSurface"].attributes["spatial"].choices:
        covers = frozenset({cortex, ("stimulus", "StimuliSurface"), ("equation", spatial)})
        yield SurfaceCase(
            f"surface, stimulus {spatial}", {}, covers, True, stimulus=partial(_surface_stimulus, spatial)
        )


def _region_stimulus(cortex: Any) -> Any:
    made = _stimulus("PulseTrain", onset=1.0)
    made.connectivity = cortex.region_mapping_data.connectivity
    return made


CASES: list[Case] = [
    *_models(), *_couplings(), *_integrators(), *_noises(), *_monitors(), *_features(), *_surfaces(),
]  # fmt: skip


def wanted() -> set[tuple[str, str]]:
    """Return the roles and classes of a simulation; equations where they are used."""
    found = {
        (role, name) for role in ("model", "coupling", "integrator", "noise", "monitor") for name in components(role)
    }
    found |= {("stimulus", name) for name in components("stimulus")} | {("cortex", "Cortex")}
    used = (
        components("monitor")["Bold"].attributes["hrf_kernel"],
        components("stimulus")["StimuliRegion"].attributes["temporal"],
        components("stimulus")["StimuliSurface"].attributes["spatial"],
    )
    return found | {("equation", name) for attribute in used for name in attribute.choices}
