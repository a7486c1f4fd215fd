"""Attributes that cannot be sent to a worker are refused at submit by name; every plain class of TVB can be sent."""

import importlib
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from simulators import small

from tvb_batch.models.errors import SpecError
from tvb_batch.models.tvb.components import components
from tvb_batch.models.tvb.input_store import Inputs
from tvb_batch.submit.api.from_simulator import describe_object, describe_simulator
from tvb_batch.worker.engines import reference
from tvb_batch.worker.job.simulator import build_simulator


@pytest.fixture
def inputs(settings) -> Inputs:
    return Inputs(settings.storage)


def network(**changes: Any) -> Any:
    from tvb.datatypes.connectivity import Connectivity

    weights = np.random.default_rng(1).random((6, 6))
    values = {
        "weights": weights, "tract_lengths": weights * 50.0, "centres": np.zeros((6, 3)), "areas": np.ones(6),
        "region_labels": np.array([f"R{index}" for index in range(6)]), "orientations": np.ones((6, 3)),
        "cortical": np.ones(6, dtype=bool), "hemispheres": np.ones(6, dtype=bool),
    }  # fmt: skip
    return Connectivity(**{**values, **changes})


def tiny(**changes: Any) -> Any:
    return small(**{"connectivity": network(), **changes})


def of(role: str, name: str) -> Any:
    return getattr(importlib.import_module(components(role)[name].module), name)()


def data_of(spec: Any, inputs: Inputs) -> list[np.ndarray]:
    """Return the data of each monitor, computed as by a worker."""
    simulator = build_simulator(spec, inputs)
    found: list[list[np.ndarray]] = [[] for _ in spec.monitors]
    for chunk in reference.stream(simulator, 1000):
        for series, samples in zip(found, chunk.samples, strict=True):
            if samples is not None:
                series.append(samples.data)
    return [np.concatenate(series) for series in found]


def assert_carried(simulator: Any, inputs: Inputs) -> None:
    """Check that its jobs compute the same bits as its own run."""
    spec = describe_simulator(simulator, inputs)
    own = simulator if simulator.history is not None else simulator.configure()
    expected = [data for time, data in own.run() if len(time)]
    assert len(expected) == len(spec.monitors)
    for one, other in zip(data_of(spec, inputs), expected, strict=True):
        assert np.isfinite(other).all()
        np.testing.assert_array_equal(one, other)


# ----------------------------------------------------------------------------------------------------- what is refused


def patched_dfun() -> Any:
    made = tiny()
    old = made.model.dfun
    made.model.dfun = types.MethodType(lambda self, x, c, lc=0.0: 0.5 * old(x, c, lc), made.model)
    return made


def patched(path: str, value: Any) -> Callable[[], Any]:
    def make() -> Any:
        made = tiny()
        *way, name = path.split(".")
        place = made
        for step in way:
            place = place[int(step)] if step.isdecimal() else getattr(place, step)
        setattr(place, name, value)
        return made

    return make


REFUSED = {
    "a method of the model": (patched_dfun, r"model\.dfun: a method that was replaced"),
    "a lambda": (patched("model.dfun", lambda *_: 0.0), r"model\.dfun: a method"),
    "an unknown attribute": (patched("model.G", 2.5), r"model\.G: 2\.5, which Generic2dOscillator does not declare"),
    "an array": (patched("model.W", np.ones(9)), r"model\.W: an array of shape \(9,\)"),
    "a count": (patched("model._nvar", 5), r"model\._nvar: 5, set on this"),
    "modes": (patched("model.number_of_modes", 2), r"model\.number_of_modes: 2"),
    "a coupling": (patched("coupling.pre", lambda x_i, x_j: x_j), r"coupling\.pre: a method"),
    "an integrator": (patched("integrator.scheme", lambda *_: 0.0), r"integrator\.scheme: a method"),
    "a noise": (patched("integrator.noise.gfun", lambda _: 0.0), r"integrator\.noise\.gfun: a method"),
    "a monitor": (patched("monitors.1._config_vois", lambda _: None), r"monitors\[1\]\._config_vois: a method"),
    "a monitor's sample": (patched("monitors.0.sample", lambda *_: None), r"monitors\[0\]\.sample: a method"),
    "a connectivity": (patched("connectivity.set_idelays", lambda _: None), r"connectivity\.set_idelays: a method"),
    "the loop": (patched("_loop_update_history", lambda *_: None), r"simulator\._loop_update_history: a method"),
    "a switch": (patched("use_numba", False), r"simulator\.use_numba: False, which Simulator does not declare"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("is_configured", [False, True], ids=["new", "configured"])
def test_an_undeclared_attribute_is_refused_by_name(inputs, name, is_configured) -> None:
    make, words = REFUSED[name]
    made = make()
    if is_configured:
        # First, because TVB itself may fail with the new attribute.
        clean = tiny().configure()
        for part in ("model", "coupling", "integrator", "connectivity"):
            own = {
                key: value for key, value in vars(getattr(made, part)).items() if key not in vars(getattr(clean, part))
            }
            vars(getattr(clean, part)).update(own)
        vars(clean.integrator.noise).update(
            {
                key: value
                for key, value in vars(made.integrator.noise).items()
                if key not in vars(clean.integrator.noise)
            }
        )
        for one, other in zip(clean.monitors, made.monitors, strict=True):
            vars(one).update({key: value for key, value in vars(other).items() if key not in vars(one)})
        vars(clean).update({key: value for key, value in vars(made).items() if key not in vars(clean)})
        made = clean

    with pytest.raises(SpecError, match=words) as caught:
        describe_simulator(made, inputs)

    assert "TVB_BATCH_MODULES" in str(caught.value)


@pytest.mark.parametrize(
    ("module", "owner", "name", "value"),
    [
        ("tvb.simulator.models.oscillator", "Generic2dOscillator", "dfun", lambda *_: 0.0),
        ("tvb.simulator.models.oscillator", "Generic2dOscillator", "initial", lambda *_: 0.0),
        ("tvb.simulator.models.oscillator", "Generic2dOscillator", "_nvar", 3),
        ("tvb.simulator.models.base", "Model", "initial", lambda *_: 0.0),
        ("tvb.simulator.monitors", "Monitor", "_config_vois", lambda *_: None),
        ("tvb.simulator.coupling", "Linear", "post", lambda *_: 0.0),
        ("tvb.simulator.integrators", "HeunStochastic", "scheme", lambda *_: 0.0),
        ("tvb.simulator.noise", "Noise", "white", lambda *_: 0.0),
        ("tvb.simulator.simulator", "Simulator", "_loop_update_stimulus", lambda *_: None),
        ("tvb.simulator.history", "SparseHistory", "query", lambda *_: None),
        ("tvb.simulator.models.oscillator", None, "_numba_dfun_g2d", lambda *_: None),
    ],
)
def test_changes_of_tvbs_classes_and_modules_are_refused(inputs, monkeypatch, module, owner, name, value) -> None:
    made = tiny()
    place = importlib.import_module(module)
    monkeypatch.setattr(getattr(place, owner) if owner else place, name, value, raising=False)

    with pytest.raises(SpecError, match=rf"{module}\.{f'{owner}.' if owner else ''}{name}: "):
        describe_simulator(made, inputs)


def test_a_simulator_of_another_class_is_refused(inputs) -> None:
    from tvb.simulator.simulator import Simulator

    class Uncoupled(Simulator):
        def _loop_compute_node_coupling(self, step):
            return 0.0 * super()._loop_compute_node_coupling(step)

    made = tiny()
    with pytest.raises(SpecError, match="simulator: Uncoupled, a subclass of Simulator with its own _loop_compute"):
        describe_simulator(Uncoupled(**{name: getattr(made, name) for name in ("connectivity", "model")}), inputs)


def test_swept_objects_are_checked_too(inputs) -> None:
    model = of("model", "JansenRit")
    assert describe_object(model, "grid.model[0]", inputs)["class"] == "JansenRit"

    model.dfun = types.MethodType(lambda *_: 0.0, model)

    with pytest.raises(SpecError, match=r"grid\.model\[0\]\.dfun: a method"):
        describe_object(model, "grid.model[0]", inputs)


def test_a_speed_that_tvb_ignores_is_reported(inputs) -> None:
    made = tiny(conduction_speed=5.0)

    with pytest.warns(UserWarning, match=r"TVB ignores simulator\.conduction_speed, 5"):
        spec = describe_simulator(made, inputs)

    assert spec.conduction_speed == 3.0


# ----------------------------------------------------------------------------------------------------- what is carried

NEED_MORE = {"EEG", "MEG", "iEEG", "BoldRegionROI", "AfferentCouplingTemporalAverage", "ProgressLogger"}
PARTS = [
    (role, name)
    for role in ("model", "coupling", "integrator", "monitor")
    for name in components(role)
    if name not in NEED_MORE and name not in ("PreSigmoidal", "SigmoidalJansenRit")
]


def with_part(role: str, name: str) -> Any:
    from tvb.simulator import integrators, monitors, noise

    if role == "model":
        heun = integrators.HeunStochastic(dt=0.01, noise=noise.Additive(nsig=np.array([1e-9])))
        made = [monitors.TemporalAverage(period=0.5)]
        return tiny(model=of(role, name), integrator=heun, monitors=made, simulation_length=1.0)
    if name.startswith("Bold"):
        return tiny(monitors=[of(role, name)], integrator=integrators.EulerDeterministic(dt=1.0), simulation_length=2e3)
    if role == "monitor":
        return tiny(monitors=[of(role, name)])
    changes = {"coupling": of(role, name)} if role == "coupling" else {"integrator": of(role, name)}
    return tiny(simulation_length=2.0, **changes)


@pytest.mark.parametrize(("role", "name"), PARTS)
@pytest.mark.filterwarnings("ignore:the TVB simulator has run")
@pytest.mark.filterwarnings("ignore:numbers were drawn")
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_every_class_is_sent_new_configured_and_after_a_run(inputs, role, name) -> None:
    made = with_part(role, name)

    new = describe_simulator(made, inputs)
    made.configure()
    configured = describe_simulator(made, inputs)
    made.run()
    ran = describe_simulator(made, inputs)

    assert new.model == configured.model == ran.model
    assert new.monitors == configured.monitors == ran.monitors
    assert new.integrator == configured.integrator == ran.integrator


def stimulated() -> Any:
    from tvb.datatypes.equations import PulseTrain
    from tvb.datatypes.patterns import StimuliRegion

    parameters = {"onset": 2.0, "T": 5.0, "tau": 2.0, "amp": 1.0}
    made = tiny()
    made.stimulus = StimuliRegion(
        temporal=PulseTrain(parameters=parameters), connectivity=made.connectivity, weight=np.ones(6)
    )
    # As in scripts that plot it first.
    made.stimulus.configure_space()
    made.stimulus.configure_time(np.arange(0.0, 100.0, 0.25).reshape((1, -1)))
    return made


def logged(place: int) -> Any:
    from tvb.simulator.monitors import ProgressLogger

    made = tiny()
    made.monitors.insert(place, ProgressLogger(period=10.0))
    return made


def ranged() -> Any:
    made = tiny()
    # TVB returns its default object itself: a change in place would reach other tests.
    ranges = {**made.model.state_variable_range, "V": np.array([-0.5, 0.5])}
    vars(made.model)["state_variable_range"] = ranges
    return made


def speedless() -> Any:
    made = tiny()
    made.connectivity.speed = np.array([np.inf])
    return made


def scaled() -> Any:
    made = tiny()
    made.connectivity.configure()
    made.connectivity.weights = made.connectivity.scaled_weights(mode="region")
    return made


def whole_numbers() -> Any:
    from tvb.simulator import coupling, integrators, monitors, noise

    heun = integrators.HeunStochastic(dt=1, noise=noise.Additive(nsig=np.array([1e-3])))
    return tiny(
        integrator=heun, coupling=coupling.Linear(a=np.array([1])), monitors=(monitors.TemporalAverage(period=np.int64(2)),),
        simulation_length=np.float32(20),
    )  # fmt: skip


CARRIED = {
    "a drawn stimulus": stimulated,
    "a progress logger last": lambda: logged(2),
    "a progress logger first": lambda: logged(0),
    "ranges": ranged,
    "no delays": speedless,
    "scaled weights": scaled,
    "whole numbers": whole_numbers,
    "an attribute of the class's own value": patched("model._nvar", 2),
}


@pytest.mark.parametrize("name", CARRIED)
@pytest.mark.filterwarnings("ignore:monitors. ProgressLogger")
def test_common_idioms_of_scripts_are_sent(inputs, name) -> None:
    assert_carried(CARRIED[name](), inputs)


@pytest.mark.filterwarnings("ignore:monitors. ProgressLogger")
@pytest.mark.parametrize("name", ["a drawn stimulus", "a progress logger last", "no delays"])
def test_common_idioms_after_configure_are_sent(inputs, name) -> None:
    assert_carried(CARRIED[name]().configure(), inputs)


def test_the_scripts_simulator_is_not_changed(inputs) -> None:
    made = stimulated().configure()
    before = {name: id(value) for name, value in vars(made).items()}
    state = made.current_state.copy()

    describe_simulator(made, inputs)

    assert {name: id(value) for name, value in vars(made).items()} == before
    np.testing.assert_array_equal(made.current_state, state)
