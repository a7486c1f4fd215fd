"""Simulations and sweeps: what is accepted, what is refused, and that one simulation has one text."""

import json
import math

import pytest
from conftest import SHORT
from hypothesis import given
from hypothesis import strategies as st

from models.components import components
from models.errors import SpecError
from models.spec import SimulationSpec, SweepSpec, simulation, sweep, warnings

numbers = st.floats(-1e6, 1e6, allow_nan=False)


def spec(**changes) -> SimulationSpec:
    return simulation({**SHORT, **changes})


@given(a=numbers, mu=numbers, seed=st.integers(0, 2**32 - 1), nsig=st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_the_canonical_text_gives_the_same_spec(a: float, mu: float, seed: int, nsig: list[float]) -> None:
    noise = {"class": "Additive", "nsig": nsig}
    one = spec(
        model={"class": "JansenRit", "mu": mu},
        coupling={"class": "SigmoidalJansenRit", "a": a},
        integrator={"class": "HeunStochastic", "dt": 0.5, "noise": noise},
        seed=seed,
    )

    again = SimulationSpec.model_validate_json(one.canonical_json())

    assert again == one
    assert again.canonical_json() == one.canonical_json()
    assert again.parameters_hash() == one.parameters_hash()


def test_writing_a_default_out_changes_nothing() -> None:
    short, long = spec(model={"class": "JansenRit"}), spec(model={"class": "JansenRit", "A": 3.25, "v0": [5.52]})

    assert short.parameters_hash() == long.parameters_hash()
    assert short.canonical_json() == long.canonical_json()


def test_annotation_is_no_part_of_the_hash() -> None:
    assert spec(title="x", subject="y", user_tags=["z"]).parameters_hash() == spec().parameters_hash()


@pytest.mark.parametrize(
    "changes",
    [{"seed": 43}, {"simulation_length": 21.0}, {"conduction_speed": 4.0}, {"coupling": {"class": "Linear", "a": 0.1}},
     {"connectivity": "connectivity_68.zip"}, {"model": "JansenRit"}, {"monitors": ["Raw"]}],
    ids=str,
)  # fmt: skip
def test_what_decides_the_data_decides_the_hash(changes) -> None:
    assert spec(**changes).parameters_hash() != spec().parameters_hash()


@pytest.mark.parametrize("role", ["model", "coupling", "integrator", "noise", "monitor"])
def test_every_class_is_accepted_by_its_name_alone(role: str) -> None:
    refused = []
    for name in components(role):
        integrator = {"class": "EulerStochastic", "dt": 0.1, "noise": {"class": name}}
        given_ = {"noise": {"integrator": integrator}, "monitor": {"monitors": [name], "simulation_length": 3000.0}}
        try:
            spec(**given_.get(role, {role: name}))
        except SpecError as exc:
            refused.append((name, str(exc)))

    assert {name for name, _ in refused} <= {
        "EEG",
        "MEG",
        "iEEG",
        "RawVoi",
        "AfferentCoupling",
        "AfferentCouplingTemporalAverage",
    }
    assert all("cannot be named" in text or "no default" in text for _, text in refused)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "JansenRitt"}, "model.class: 'JansenRitt'; expected the name of a TVB model; did you mean 'JansenRit'?"),
        ({"model": {"class": "JansenRit", "v00": 1}}, "model.v00: an unknown name; expected a parameter of JansenRit; did you mean 'v0'?"),
        ({"model": {"mu": 1}}, "model: no `class`; expected the name of a TVB model"),
        ({"model": 3}, "model: 3; expected a mapping with a `class`"),
        ({"model": {"class": "JansenRit", "v0": "six"}}, "model.v0: 'six'; expected a number or a list of numbers"),
        ({"model": {"class": "JansenRit", "v0": [1, "six"]}}, "model.v0[1]: 'six'"),
        ({"model": {"class": "JansenRit", "v0": [[1, 2], [3]]}}, "model.v0: rows of different lengths"),
        ({"model": {"class": "JansenRit", "v0": math.nan}}, "model.v0: nan; expected a finite number"),
        ({"model": {"class": "JansenRit", "v0": True}}, "model.v0: True"),
        ({"model": {"class": "JansenRit", "variables_of_interest": ["y9"]}}, "model.variables_of_interest: 'y9'; expected one of y0"),
        ({"simulation_length": -1.0}, "simulation_length: -1.0; expected"),
        ({"simulation_length": "1 s"}, "simulation_length: '1 s'"),
        ({"simulation_length": math.inf}, "simulation_length: inf"),
        ({"simulation_length": 0.1}, "simulation_length: 0.1 ms; expected at least integrator.dt, 0.5 ms"),
        ({"conduction_speed": 0.0}, "conduction_speed: 0.0"),
        ({"seed": -1}, "seed: -1"),
        ({"seed": 1.5}, "seed: 1.5"),
        ({"connectivity": "nowhere.zip"}, "connectivity: 'nowhere.zip'; expected a connectivity of tvb-data"),
        ({"connectivity": 3}, "connectivity: 3"),
        ({"monitors": []}, "monitors: []; expected a list of at least one monitor"),
        ({"monitors": [{"class": "TemporalAverage", "period": 0.1}]}, "monitors[0].period: 0.1 ms; expected at least integrator.dt, 0.5 ms"),
        ({"monitors": [{"class": "TemporalAverage", "period": 30.0}]}, "monitors[0].period: 30 ms; expected at most simulation_length"),
        ({"monitors": ["EEG"]}, "monitors[0]: EEG, which needs"),
        ({"integrator": {"class": "HeunDeterministic", "noise": {"class": "Additive"}}}, "such as HeunStochastic"),
        ({"integrator": {"class": "HeunDeterministic", "dt": 0.0}}, "integrator.dt: 0.0; expected a positive number"),
        ({"integrator": {"class": "HeunStochastic", "dt": 0.5, "noise": {"class": "Additive", "noise_seed": 1}}, "seed": 2}, "seed: 2; expected 1"),
        ({"user_tags": list("abcdef")}, "user_tags"),
    ],
    ids=lambda value: str(value)[:40],
)  # fmt: skip
def test_a_fault_says_where_what_and_what_to_do(changes, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        spec(**changes)

    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_noise_seed_is_another_name_of_seed() -> None:
    noise = {"class": "Additive", "nsig": [0.001], "noise_seed": 7}

    assert spec(integrator={"class": "HeunStochastic", "dt": 0.5, "noise": noise}) == spec(seed=7)


def test_values_outside_the_declared_domain_are_warned_of() -> None:
    [warning] = warnings(spec(model={"class": "JansenRit", "A": 1e9}))

    assert warning.startswith("model.A: 1e+09 is outside TVB's declared range 2.6 to 9.75")
    assert warnings(spec()) == []


def test_parameters_are_found_by_their_dotted_names() -> None:
    found = spec(model={"class": "JansenRit"}).parameters()

    assert found["model.class"] == "JansenRit"
    assert found["model.v0"] == 5.52
    assert found["integrator.noise.nsig"] == 0.001
    assert found["monitors[0].period"] == 1.0


# ----------------------------------------------------------------------------------------------------------- sweeps


def swept(**axes) -> SweepSpec:
    return sweep({**SHORT, "name": "s", "sweep": {name.replace("__", "."): values for name, values in axes.items()}})


@given(st.lists(st.integers(1, 4), min_size=0, max_size=3))
def test_a_grid_has_the_product_of_its_axes(lengths: list[int]) -> None:
    names = ["coupling.a", "coupling.b", "model.tau"]
    one = sweep(
        {**SHORT, "sweep": {name: [1.0 + n for n in range(k)] for name, k in zip(names, lengths, strict=False)}}
    )

    points = list(one.points())

    assert len(points) == one.size == math.prod(lengths)
    assert [number for number, _, _ in points] == list(range(one.size))
    assert len({json.dumps(parameters) for _, parameters, _ in points}) == one.size


def test_the_last_axis_varies_fastest_and_both_ends_are_in() -> None:
    one = swept(coupling__a=[1.0, 2.0], model__tau={"start": 0.0, "stop": 1.0, "num": 3})

    assert [tuple(parameters.values()) for _, parameters, _ in one.points()] == [
        (1.0, 0.0), (1.0, 0.5), (1.0, 1.0), (2.0, 0.0), (2.0, 0.5), (2.0, 1.0),
    ]  # fmt: skip


def test_each_point_has_its_own_seed_that_depends_on_its_number_alone() -> None:
    few, many = swept(coupling__a=[1.0, 2.0]), swept(coupling__a=[5.0, 6.0, 7.0])

    seeds = [seed for _, _, seed in many.points()]
    assert [seed for _, _, seed in few.points()] == seeds[:2]
    assert len(set(seeds)) == 3


def test_a_single_simulation_keeps_its_seed() -> None:
    assert [seed for _, _, seed in swept().points()] == [42]


@pytest.mark.parametrize("name", ["seed", "integrator__noise__noise_seed"])
def test_seeds_can_be_swept(name: str) -> None:
    one = swept(**{name: [1, 2]})

    assert [(parameters, seed) for _, parameters, seed in one.points()] == [({"seed": 1}, 1), ({"seed": 2}, 2)]


def test_a_point_is_the_base_with_its_parameters() -> None:
    one = swept(coupling__a=[0.5])
    [(_, parameters, seed)] = one.points()

    assert one.simulation(parameters, seed) == spec(coupling={"class": "Linear", "a": 0.5}, seed=seed)


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ({"coupling.aa": [1.0]}, "sweep.coupling.aa: no parameter 'aa'; expected a parameter of the simulation; did you mean 'a'?"),
        ({"coupling.a": []}, "sweep.coupling.a: an empty list"),
        ({"coupling.a": [1.0, "x"]}, "sweep.coupling.a[1]: 'x'; expected a number"),
        ({"coupling.a": 3.0}, "sweep.coupling.a: 3.0; expected a list of values, or {start, stop, num}"),
        ({"coupling.a": {"start": 0, "stop": 1}}, "sweep.coupling.a: start, stop; expected start, stop and num"),
        ({"coupling.a": {"start": 0, "stop": 1, "num": 0}}, "sweep.coupling.a.num: 0"),
        ({"coupling.a": {"start": "a", "stop": 1, "num": 2}}, "sweep.coupling.a.start: 'a'; expected a number"),
        ({"coupling.a": {"start": 0, "stop": 1, "num": 10**5}, "coupling.b": {"start": 0, "stop": 1, "num": 10**4}}, "a grid of 1,000,000,000 points"),
        ({"monitors[0].period": [0.1]}, "monitors[0].period"),
        ({"monitors[5].period": [1.0]}, "no parameter 5"),
        ({"model.class": ["JansenRit"]}, "a sweep over classes is not possible yet"),
        ({"__class__.x": [1]}, "no parameter '__class__'"),
        ({"model.a b": [1]}, "no parameter's name"),
        ("coupling.a", "sweep: 'coupling.a'; expected a mapping"),
    ],
    ids=lambda value: str(value)[:40],
)  # fmt: skip
def test_a_bad_axis_is_one_line(axes, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        sweep({**SHORT, "sweep": axes})

    assert message in str(caught.value)


@pytest.mark.parametrize("missing", ["model", "integrator", "monitors", "simulation_length"])
def test_what_a_spec_needs_is_named(missing: str) -> None:
    with pytest.raises(SpecError, match=f"no `{missing}`"):
        sweep({name: value for name, value in SHORT.items() if name != missing})


def test_an_unknown_key_is_hinted_at() -> None:
    with pytest.raises(SpecError, match="did you mean 'monitors'"):
        sweep({**SHORT, "monitor": []})
