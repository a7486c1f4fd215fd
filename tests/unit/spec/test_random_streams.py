"""A job of a script has the random numbers of the script's own run, for every way to seed its streams."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from simulators import small

import tvb_batch as client
from tvb_batch.models.errors import InputError, SpecError
from tvb_batch.models.spec.random_streams import as_array, descends, is_mt19937, origin, restore, rewound, seed_of
from tvb_batch.models.tvb.input_store import Inputs
from tvb_batch.submit.api.from_simulator import describe_simulator
from tvb_batch.submit.api.noise_stream import Seeds

SEEDS = [0, 3, 42, 2**32 - 1]


@pytest.fixture
def inputs(settings) -> Inputs:
    return Inputs(settings.storage)


@pytest.fixture(autouse=True)
def own_global_stream():
    state = np.random.get_state()  # noqa: NPY002 - TVB's
    np.random.mtrand._rand.set_state(np.random.RandomState([1, 2, 3]).get_state())  # As if it was not seeded.
    yield
    np.random.set_state(state)  # noqa: NPY002


# ---------------------------------------------------------------------------------------------------- streams as data


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("drawn", [1, 311, 312, 313, 624, 10_000])
def test_a_stream_is_taken_back_to_its_seed(seed, drawn) -> None:
    stream = np.random.RandomState(seed)
    fresh = as_array(stream)

    stream.uniform(size=drawn)

    assert (seed_of(np.random.RandomState(seed)), seed_of(stream)) == (seed, None)
    assert origin(stream, 100) == seed
    assert descends(stream, seed, 2 * drawn)
    assert not descends(stream, seed + 1 if seed < 42 else 7, 2 * drawn)
    np.testing.assert_array_equal(rewound(stream, 2 * drawn), fresh)


@pytest.mark.parametrize("drawn", [1, 312, 5_000])
def test_a_stream_is_taken_back_into_its_middle(drawn) -> None:
    stream, other = np.random.RandomState([5, 6]), np.random.RandomState(0)
    stream.normal(size=1_001)
    expected = np.random.RandomState(0)
    expected.set_state(stream.get_state())

    stream.uniform(size=drawn)
    restore(other, rewound(stream, 2 * drawn), "x")

    np.testing.assert_array_equal(other.normal(size=999), expected.normal(size=999))


def test_a_stream_without_a_seed_has_no_origin() -> None:
    assert origin(np.random.RandomState([1, 2]), 50) is None
    assert not is_mt19937(np.random.RandomState(np.random.PCG64(1)))


@pytest.mark.parametrize("state", [np.zeros(3), np.zeros(628), np.full(628, 2**31, np.uint32)])
def test_an_array_that_is_no_state_is_refused(state) -> None:
    with pytest.raises(InputError, match="the state of a stream"):
        restore(np.random.RandomState(0), state, "inputs/x.npy")


# --------------------------------------------------------------------------------------------- a script's own numbers


def noisy(**changes: Any) -> Any:
    from tvb.simulator import integrators, noise

    made = noise.Additive(nsig=np.array([0.001]), **changes)
    return small(integrator=integrators.HeunStochastic(dt=0.5, noise=made))


def seeded() -> Any:
    made = noisy()
    made.integrator.noise.random_stream.seed(10)
    return made


def seeded_late() -> Any:
    made = noisy()
    made.integrator.noise.noise_seed = 7
    return made


def drawn_from() -> Any:
    made = noisy(random_stream=np.random.RandomState([1, 2, 3]))
    made.integrator.noise.random_stream.normal(size=77)
    return made


def silent(**changes: Any) -> Any:
    from tvb.simulator import integrators

    return small(integrator=integrators.HeunDeterministic(dt=0.5), **changes)


def silent_seeded() -> Any:
    np.random.seed(3)  # noqa: NPY002
    return silent()


def silent_configured() -> Any:
    np.random.seed(3)  # noqa: NPY002
    np.random.uniform(size=100)  # noqa: NPY002
    return silent().configure()


FORMS: dict[str, Callable[[], Any]] = {
    "noise_seed": lambda: noisy(noise_seed=7),
    "random_stream": lambda: noisy(random_stream=np.random.RandomState(7)),
    "array_seed": lambda: noisy(random_stream=np.random.RandomState([7, 8])),
    "seeded": seeded,
    "seeded_late": seeded_late,
    "drawn_from": drawn_from,
    "coloured": lambda: noisy(ntau=2.0, random_stream=np.random.RandomState(7)),
    "configured": lambda: noisy(random_stream=np.random.RandomState([7, 8])).configure(),
    "configured_seeded": lambda: seeded().configure(),
    "configured_coloured": lambda: noisy(ntau=2.0, noise_seed=7).configure(),
    "silent_seeded": silent_seeded,
    "silent_configured": silent_configured,
    "silent_unseeded_configured": lambda: silent().configure(),
}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:TVB ignores")
def test_jobs_have_the_numbers_of_the_scripts_own_run(configured, catalogue, start_worker) -> None:
    start_worker(1)
    sweeps, expected = {}, {}
    for name, make in FORMS.items():
        script = make()
        state = np.random.get_state()  # noqa: NPY002
        sweeps[name] = client.submit(script, name=name, reuse=False)
        np.testing.assert_array_equal(state[1], np.random.get_state()[1], name)  # noqa: NPY002
        expected[name] = (script if script.history is not None else script.configure()).run()

    for name, sweep in sweeps.items():
        assert sweep.wait().counts() == {"FINISHED": 1}, name
        for index, (time, data) in enumerate(expected[name]):
            with sweep.jobs()[0].time_series(index) as series:
                assert np.isfinite(data).all()
                np.testing.assert_array_equal(series.time, time, name)
                np.testing.assert_array_equal(series.data[()], data, name)


def test_a_seed_is_carried_as_a_seed_and_another_stream_as_its_state(inputs) -> None:
    made = {name: describe_simulator(FORMS[name](), inputs) for name in ("random_stream", "seeded", "drawn_from")}

    assert [made[name].seed for name in ("random_stream", "seeded")] == [7, 10]
    assert [one.random_state is None for one in made.values()] == [True, True, False]
    assert made["drawn_from"].random_state["from_file"] in made["drawn_from"].files()
    assert made["drawn_from"].parameters_hash() != describe_simulator(noisy(), inputs).parameters_hash()


def test_a_simulator_that_has_run_begins_again_with_its_seed(inputs) -> None:
    script = seeded().configure()
    script.run()

    assert describe_simulator(script, inputs).seed == 10


def test_the_seed_given_to_submit_counts(inputs) -> None:
    for script in (noisy(), drawn_from(), silent(), silent_configured()):
        spec = describe_simulator(script, inputs, Seeds(given=5))

        assert (spec.seed, spec.random_state) == (5, None)


def test_a_noise_seed_that_tvb_ignores_is_reported(inputs) -> None:
    with pytest.warns(UserWarning, match=r"TVB ignores integrator\.noise\.noise_seed, 7"):
        assert describe_simulator(seeded_late(), inputs).seed == 42


def test_other_initial_conditions_than_in_the_script_are_reported(inputs) -> None:
    np.random.seed(3)  # noqa: NPY002
    np.random.uniform(size=10)  # noqa: NPY002

    with pytest.warns(UserWarning, match="TVB initial conditions are drawn with seed 42"):
        describe_simulator(silent(), inputs)


def test_other_initial_conditions_without_noise_are_reported(inputs) -> None:
    script = silent().configure()
    script.run()

    with pytest.warns(UserWarning, match="the TVB simulator has run"):
        describe_simulator(script, inputs)


@pytest.mark.parametrize("plan", [{"grid": {"coupling.a": [0.1, 0.2]}}, {"repeats": 2}])
def test_a_stream_that_has_no_seed_makes_no_sweep(configured, plan) -> None:
    with pytest.raises(SpecError, match=r"random_stream.*reset_random_stream"):
        client.submit(drawn_from(), name="x", **plan)

    assert len(client.submit(drawn_from(), name="x", seed=3, **plan)) == 2


def test_points_with_common_random_numbers_share_a_stream(configured) -> None:
    sweep = client.submit(
        drawn_from(), grid={"coupling.a": [0.1, 0.2]}, common_random_numbers=True, name="x", reuse=False
    )

    assert len({job.seed for job in sweep.jobs()}) == 1
    assert all(sweep.jobs()[0].seed == job.seed for job in sweep.jobs())


def test_a_stream_of_another_kind_is_refused(inputs) -> None:
    with pytest.raises(SpecError, match=r"random_stream.*not NumPy's Mersenne Twister.*noise_seed"):
        describe_simulator(noisy(random_stream=np.random.RandomState(np.random.PCG64(1))), inputs)


def change(simulator: Any, name: str) -> None:
    if name == "current_state":
        simulator.current_state[:] = 0.0
    elif name == "history":
        simulator.history.buffer[:] = 0.0
    elif name == "weights":
        simulator.connectivity.weights = simulator.connectivity.weights * 2
    elif name == "stream":
        simulator.integrator.noise.random_stream.uniform(size=3)
    else:
        simulator.connectivity.speed = np.array([30.0])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["current_state", "history", "weights", "stream", "speed"])
def test_what_was_changed_after_configure_is_refused(inputs, name) -> None:
    script = noisy().configure()

    change(script, name)

    with pytest.raises(SpecError, match="cannot be reproduced"):
        describe_simulator(script, inputs)
