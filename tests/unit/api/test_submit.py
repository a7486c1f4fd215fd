"""`submit(simulator)` from a script: TVB's examples give TVB's numbers, and what cannot be sent is refused."""

import os
import shutil
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import EXAMPLES
from simulators import small

import tvb_batch as client
from tvb_batch.models.errors import BrokerError, NotFoundError, OutputError, SpecError

SCRIPTS = sorted((EXAMPLES / "scripts").glob("*.py"))


def test_tvbs_own_examples_give_tvbs_own_numbers(configured, catalogue, start_worker) -> None:
    start_worker(2)
    made: dict[str, dict[str, Any]] = {}
    for script in SCRIPTS:
        # TVB draws initial conditions of simulations without noise from NumPy's global generator.
        np.random.seed(42)  # noqa: NPY002 - as a script does
        made[script.stem] = {}
        exec(compile(script.read_text(), script, "exec"), made[script.stem])

    for names in made.values():
        names["sweep"].wait()

    for name, names in made.items():
        sweep, simulation = names["sweep"], names["simulation"]
        assert sweep.counts() == {"FINISHED": len(sweep)}, name
        if len(sweep) > 1:
            continue  # Each point has other parameters, which test_a_sweep... tests.
        for index, (time, data) in enumerate(simulation.run()):
            with sweep.jobs()[0].time_series(index) as series:
                np.testing.assert_array_equal(series.time, time)
                np.testing.assert_array_equal(series.data[()], data)


def test_a_sweep_of_a_script_gives_the_numbers_of_each_point(tmp_path) -> None:
    couplings = np.array([0.01, 0.02])

    with client.submit(small(), grid={"coupling.a": couplings}, name="two", workers=2, data_dir=tmp_path) as sweep:
        sweep.wait()

    jobs = sweep.jobs(status="FINISHED")
    assert [job.parameters["coupling.a"] for job in jobs] == [0.01, 0.02]
    for job in jobs:
        script = small()
        script.coupling.a = np.array([job.parameters["coupling.a"]])
        script.integrator.noise.noise_seed = job.seed
        script.integrator.noise.reset_random_stream()
        [(_, expected), _] = script.configure().run()
        np.testing.assert_array_equal(job.time_series().data[()], expected)


def test_results_are_a_table_and_series(tmp_path) -> None:
    sweep = client.submit(
        small(), grid={"coupling.a": [0.01, 0.02]}, repeats=2, name="t", title="my title", workers=2, data_dir=tmp_path
    ).wait()

    table = sweep.dataframe()
    series = sweep.jobs(where="coupling.a > 0.015")[0].time_series("GlobalAverage")

    assert table["coupling.a"].tolist() == [0.01, 0.01, 0.02, 0.02]
    assert table["repeat"].tolist() == [0, 1, 0, 1]
    assert table["GlobalVariance"].tolist() == [job.metrics["GlobalVariance"] for job in sweep.jobs()]
    assert (table["monitors[1].mean"] == [job.metrics["monitors[1].mean"] for job in sweep.jobs()]).all()
    assert table["seed"].nunique() == 4
    assert set(table["status"]) == {"FINISHED"}
    assert series.shape == (10, 1, 1, 1)
    assert series.attributes["title"] == "my title"
    assert series.spec["coupling"]["a"] == [0.02]
    assert "my title" in repr(series)
    [bundle] = sweep.bundle(tmp_path / "b.zip")
    assert bundle.is_file()
    assert repr(client.find("t", tmp_path)) == repr(sweep)
    assert repr(client.find(str(sweep.jobs()[0].gid), tmp_path)) == repr(sweep.jobs()[0])
    with pytest.raises(NotFoundError, match="no output of monitor 'Raw'"):
        sweep.jobs()[0].time_series("Raw")


def test_what_was_run_before_is_not_run_again_when_a_sweep_is_extended(tmp_path) -> None:
    grid = {"coupling.a": [0.01, 0.02]}
    client.submit(small(), grid=grid, name="first", workers=2, data_dir=tmp_path).wait()

    more = client.submit(small(), grid={"coupling.a": [0.03, 0.02, 0.01]}, name="more", workers=2, data_dir=tmp_path)

    assert more.counts() == {"FINISHED": 2, "PENDING": 1}
    more.wait()
    assert more.counts() == {"FINISHED": 3}
    shapes = [job.time_series().shape for job in more.jobs()]
    assert shapes == [(20, 1, 76, 1)] * 3


def test_workers_that_submit_started_end_with_the_wait(tmp_path) -> None:
    sweep = client.submit(small(), name="one", workers=1, data_dir=tmp_path)

    sweep.wait()

    log = next((tmp_path / "logs").iterdir())
    assert log.name == f"worker-{os.getpid()}.log"
    assert not any(str(tmp_path) in _command(pid) for pid in Path("/proc").glob("[0-9]*"))


def _command(process: Path) -> str:
    try:
        return (process / "environ").read_text(errors="replace")
    except OSError:
        return ""


# ------------------------------------------------------------------------------------------------------ other plans


def without_delays() -> Any:
    from tvb.datatypes.connectivity import Connectivity

    connectivity = Connectivity.from_file()
    connectivity.speed = np.array([np.inf])
    return small(connectivity=connectivity)


def with_a_progress_logger() -> Any:
    from tvb.simulator import monitors

    recording = [monitors.TemporalAverage(period=1.0), monitors.GlobalAverage(period=2.0)]
    return small(monitors=(monitors.ProgressLogger(period=10.0), *recording))


@pytest.mark.parametrize("make", [without_delays, with_a_progress_logger])
@pytest.mark.filterwarnings("ignore:monitors. ProgressLogger:UserWarning")
def test_idioms_of_public_scripts_give_tvbs_own_numbers(tmp_path, make) -> None:
    np.random.seed(42)  # noqa: NPY002 - TVB draws initial conditions from NumPy's global generator
    expected = [result for result in make().configure().run() if len(result[0])]

    with client.submit(make(), workers=1, data_dir=tmp_path) as sweep:
        sweep.wait()
        [job] = sweep.jobs()

    assert len(expected) == 2
    for index, (time, data) in enumerate(expected):
        series = job.time_series(index)
        assert np.isfinite(data).all()
        assert data.std() > 0.0
        assert np.array_equal(series.data[:], data)
        assert np.array_equal(series.time, time)


SEVERAL_STIMULI = """
import numpy as np
from tvb.basic.neotraits.api import Attr, NArray
from tvb.datatypes import connectivity, equations, patterns


class MultiStimuliRegion(patterns.StimuliRegion):
    connectivity = Attr(connectivity.Connectivity, required=False)
    temporal = Attr(field_type=equations.TemporalApplicableEquation, required=False)
    weight = NArray(required=False)

    def __init__(self, *stimuli):
        super().__init__()
        self.stimuli = stimuli

    def configure_space(self, *args, **keywords):
        for one in self.stimuli:
            one.configure_space(*args, **keywords)

    def configure_time(self, *args, **keywords):
        for one in self.stimuli:
            one.configure_time(*args, **keywords)

    def __call__(self, *args, **keywords):
        return np.array([one(*args, **keywords) for one in self.stimuli]).sum(axis=0)


class Forgetful(patterns.StimuliRegion):
    def __init__(self, *stimuli):
        super().__init__()
        self._kept = stimuli
"""


def of_two_stimuli(connectivity: Any) -> list[Any]:
    from tvb.datatypes.equations import PulseTrain
    from tvb.datatypes.patterns import StimuliRegion

    made = []
    for region, onset in ((3, 5.0), (40, 8.0)):
        weight = np.zeros(76)
        weight[region] = 0.1 * region
        pulse = PulseTrain(parameters={"onset": onset, "T": 10.0, "tau": 2.0, "amp": 1.0})
        made.append(StimuliRegion(temporal=pulse, connectivity=connectivity, weight=weight))
    return made


def test_a_stimulus_made_of_stimuli_gives_tvbs_own_numbers(tmp_path, monkeypatch) -> None:
    (tmp_path / "several_stimuli.py").write_text(SEVERAL_STIMULI)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("TVB_BATCH_MODULES", "several_stimuli")
    from several_stimuli import Forgetful, MultiStimuliRegion
    from tvb.datatypes.connectivity import Connectivity

    def make(cls: Any = MultiStimuliRegion) -> Any:
        connectivity = Connectivity.from_file()
        return small(connectivity=connectivity, stimulus=cls(*of_two_stimuli(connectivity)))

    np.random.seed(42)  # noqa: NPY002 - TVB draws initial conditions from NumPy's global generator
    [(_, expected), _] = make().configure().run()
    np.random.seed(42)  # noqa: NPY002
    [(_, without), _] = small().configure().run()
    with client.submit(make(), workers=1, data_dir=tmp_path) as sweep:
        [job] = sweep.wait().jobs()

    assert np.isfinite(expected).all()
    assert not np.array_equal(expected, without)
    assert np.array_equal(job.time_series(0).data[:], expected)
    with pytest.raises(SpecError, match=r"stimulus.stimuli: no attribute 'stimuli' of several_stimuli.Forgetful"):
        client.submit(make(Forgetful), workers=1, data_dir=tmp_path)


def test_a_progress_logger_is_left_out_with_a_note(configured) -> None:
    from tvb.simulator import monitors

    from tvb_batch.models.tvb.input_store import Inputs
    from tvb_batch.submit.api.from_simulator import describe_simulator

    with pytest.warns(UserWarning, match="ProgressLogger only prints, and is left out"):
        spec = describe_simulator(with_a_progress_logger(), Inputs(configured.storage))
    assert [monitor["class"] for monitor in spec.monitors] == ["TemporalAverage", "GlobalAverage"]
    with pytest.raises(SpecError, match="monitors: nothing but a ProgressLogger"):
        describe_simulator(small(monitors=[monitors.ProgressLogger()]), Inputs(configured.storage))


def test_numbers_of_numpy_are_taken_for_pythons(configured, catalogue, start_worker) -> None:
    start_worker(1)

    sweep = client.submit(
        small(), random={"coupling.a": [0.0, 0.1]}, grid={"conduction_speed": (np.float32(4.0), np.inf)},
        seed=np.int64(5), repeats=np.int8(2), samples=np.uint16(1), common_random_numbers=np.bool_(True),
    )  # fmt: skip

    assert sweep.wait().counts() == {"FINISHED": 4}
    assert [job.parameters["conduction_speed"] for job in sweep.jobs()] == [4.0, 4.0, "inf", "inf"]


@pytest.mark.parametrize("values", [0.1, np.array(0.1), "0.1", None])
def test_a_value_that_is_no_list_is_refused(configured, values) -> None:
    with pytest.raises(SpecError, match=r"sweep.grid.coupling.a: .*; expected a list of values"):
        client.submit(small(), grid={"coupling.a": values})


@pytest.mark.parametrize("key", ["grid", "zip", "random", "sobol", "lhs", "points"])
@pytest.mark.parametrize(
    "given", [["coupling.a"], "coupling.a", 5, Path("points.csv"), np.array([(1.0,)], dtype=[("a", "f8")])]
)
def test_a_plan_of_another_form_is_refused_by_its_name(configured, key, given) -> None:
    with pytest.raises(SpecError, match=r"sweep.(list|grid|zip|random|sobol|lhs): .*; expected a (mapping|list) of"):
        client.submit(small(), samples=2 if key in ("random", "sobol", "lhs") else None, **{key: given})


@pytest.mark.parametrize("key", ["workers", "user_tags"])
@pytest.mark.parametrize("given", ["pilot", 0, -1, 1.5, True])
def test_an_option_of_another_form_is_refused_by_its_name(configured, key, given) -> None:
    with pytest.raises(SpecError, match=f"{key}: .*; expected a"):
        client.submit(small(), **{key: given})


def test_paths_and_numpys_arrays_are_taken_at_any_depth(configured, catalogue, tmp_path) -> None:
    import pandas as pd

    shutil.copy(files("tvb_data") / "connectivity" / "connectivity_66.zip", tmp_path / "mine.zip")
    section = {"class": "Connectivity", "from_file": tmp_path / "mine.zip"}
    table = pd.DataFrame({"model": [{"class": "Generic2dOscillator", "tau": np.array([1.0]), "a": np.float32(0.5)}]})

    swept = client.submit(small(), points=table, grid={"connectivity": [tmp_path / "mine.zip", section]})

    connectivities = [job.parameters["connectivity"]["file_name"] for job in swept.jobs()]
    assert connectivities == [str(tmp_path / "mine.zip")] * 2
    assert [(job.parameters["model"]["tau"], job.parameters["model"]["a"]) for job in swept.jobs()] == [
        ([1.0], [0.5])
    ] * 2


def test_a_data_frame_with_a_column_twice_is_refused(configured) -> None:
    import pandas as pd

    with pytest.raises(SpecError, match=r"more than one column coupling\.a"):
        client.submit(small(), points=pd.DataFrame([[1.0, 2.0]], columns=["coupling.a", "coupling.a"]))


def test_points_come_from_a_data_frame(configured) -> None:
    import pandas as pd

    table = pd.DataFrame({"coupling.a": [0.1, 0.2], "model.tau": [1.0, 2.0]})

    sweep = client.submit(small(), points=table, name="table")

    assert [job.parameters for job in sweep.jobs()] == [
        {"coupling.a": 0.1, "model.tau": 1.0}, {"coupling.a": 0.2, "model.tau": 2.0},
    ]  # fmt: skip


def test_a_transient_of_a_script_is_that_of_a_spec(configured, catalogue) -> None:
    for given in (5, 5.0, np.int64(5), np.float32(5.0)):
        client.submit(small(), name="cut", transient=given)
    client.submit(small(), name="uncut", reuse=False)

    assert [summary.sweep.base["transient"] for summary in catalogue.sweeps()] == [None, 5.0, 5.0, 5.0, 5.0]
    assert len({job.parameters_hash for job in catalogue.jobs()}) == 1


def test_objects_of_tvb_are_values_of_a_sweep(configured) -> None:
    from tvb.datatypes.connectivity import Connectivity
    from tvb.simulator import models, monitors

    grid = {
        "model": [models.JansenRit(mu=np.array([0.1])), models.Kuramoto()],
        "connectivity": [Connectivity.from_file("connectivity_66.zip")],
        "monitors": [[monitors.Raw()], [monitors.TemporalAverage(period=2.0)]],
    }

    sweep = client.submit(small(), grid=grid, name="objects")

    assert len(sweep) == 4
    assert [job.parameters["model"]["class"] for job in sweep.jobs()] == ["JansenRit"] * 2 + ["Kuramoto"] * 2
    assert len(sweep.jobs(where="model.class = JansenRit")) == 2


def test_objects_and_files_are_looked_into_before_anything_is_queued(
    configured, catalogue, tmp_path, monkeypatch
) -> None:
    good, bad = small().connectivity, small().connectivity
    bad.weights[1, 2] = np.nan

    with pytest.raises(SpecError) as caught:
        client.submit(small(), grid={"connectivity": [good, bad]})

    assert caught.value.path == "sweep.connectivity[1]"
    assert "weights: NaN in row 2, column 3" in caught.value.found
    negative = small().connectivity
    negative.weights = -negative.weights
    with pytest.warns(UserWarning, match="connectivity: weights holds negative weights"):
        sweep = client.submit(small(connectivity=negative))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SpecError, match=r"none\.zip'; expected a file that is there"):
        client.submit(small(), grid={"connectivity": ["./none.zip"]})
    assert catalogue.count() == len(sweep) == 1


def test_a_path_of_a_script_is_relative_to_its_working_folder(configured, tmp_path, monkeypatch) -> None:
    shutil.copy(str(files("tvb_data") / "connectivity" / "connectivity_66.zip"), tmp_path / "MINE.ZIP")
    monkeypatch.chdir(tmp_path)

    sweep = client.submit(small(), grid={"connectivity": ["./MINE.ZIP", "connectivity_76.zip"]})

    assert list(sweep.dataframe()["connectivity"]) == ["MINE.ZIP", "connectivity_76.zip"]
    own = sweep.jobs()[0].parameters["connectivity"]["from_file"]
    assert (configured.storage.root / own).is_file()


@pytest.mark.parametrize("sampler", ["random", "sobol", "lhs"])
def test_samples_are_drawn_and_conditions_hold(configured, sampler) -> None:
    box = {"coupling.a": [0.0, 1.0], "model.b": [-10.0, 0.0]}

    sweep = client.submit(small(), samples=32, where="coupling.a > 0.5", name=sampler, **{sampler: box})

    assert 5 < len(sweep) < 27
    assert all(job.parameters["coupling.a"] > 0.5 for job in sweep.jobs())


# ---------------------------------------------------------------------------------------------- what cannot cross


def test_a_class_that_workers_cannot_import_is_refused_with_the_reason(configured) -> None:
    from tvb.simulator import models

    class Mine(models.Generic2dOscillator):
        pass

    with pytest.raises(SpecError, match=r"Mine: a class defined in .*TVB_BATCH_MODULES"):
        client.submit(small(model=Mine()), name="mine")


def test_a_class_of_a_module_that_is_not_allowed_is_refused_with_the_setting(configured, tmp_path, monkeypatch) -> None:
    (tmp_path / "not_allowed.py").write_text("from tvb.simulator.models import Kuramoto\nclass Mine(Kuramoto): pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    import not_allowed

    with pytest.raises(SpecError, match="name the module 'not_allowed' in TVB_BATCH_MODULES"):
        client.submit(small(model=not_allowed.Mine()), name="mine")


def test_a_model_of_an_allowed_module_is_run_by_the_workers(tmp_path, monkeypatch) -> None:
    (tmp_path / "my_models.py").write_text(
        "import numpy as np\n"
        "from tvb.basic.neotraits.api import NArray\n"
        "from tvb.simulator.models import Generic2dOscillator\n\n\n"
        "class Damped(Generic2dOscillator):\n"
        "    damping = NArray(default=np.array([0.5]))\n\n"
        "    def dfun(self, state, coupling, local_coupling=0.0):\n"
        "        return super().dfun(state, coupling, local_coupling) - self.damping * state\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.setenv("TVB_BATCH_MODULES", "my_models")
    import my_models

    sweep = client.submit(
        small(model=my_models.Damped()), grid={"model.damping": [0.1, 0.9]}, name="own", workers=1,
        data_dir=tmp_path / "data", common_random_numbers=True,
    ).wait()  # fmt: skip

    assert sweep.counts() == {"FINISHED": 2}, [job.error for job in sweep.jobs()]
    for job in sweep.jobs():
        [(_, expected), _] = (
            small(model=my_models.Damped(damping=np.array([job.parameters["model.damping"]]))).configure().run()
        )
        np.testing.assert_array_equal(job.time_series().data[()], expected)


def test_without_redis_the_message_names_the_alternative(settings, monkeypatch) -> None:
    monkeypatch.setenv("TVB_BATCH_BROKER_URL", "redis://127.0.0.1:1/0")
    monkeypatch.setenv("TVB_BATCH_DATA_DIR", str(settings.data_dir))

    with pytest.raises(BrokerError, match="workers=4"):
        client.submit(small(), name="x")


@pytest.mark.parametrize(
    ("changes", "plan", "words"),
    [
        ({}, {"grid": {"coupling.aa": [1.0]}}, "did you mean 'a'"),
        ({}, {"grid": {"coupling.a": np.array([np.nan])}}, "a finite number"),
        ({}, {"points": [{"model.zeta": 1}]}, "no parameter 'zeta'"),
        ({"connectivity": None}, {}, "connectivity"),
        ({}, {"transient": 20.0}, "transient: 20 ms; expected less than simulation_length, 20 ms"),
        ({}, {"transient": "5"}, "transient: '5'; expected a number"),
        ({}, {"transient": np.nan}, "transient: nan; expected a finite number"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_queued(configured, catalogue, changes, plan, words) -> None:
    simulator = small()
    for name, value in changes.items():
        vars(simulator)[name] = value

    with pytest.raises(SpecError, match=words):
        client.submit(simulator, name="x", **plan)

    assert catalogue.sweeps() == []


def test_something_else_than_a_simulator_is_refused(configured) -> None:
    with pytest.raises(SpecError, match=r"tvb\.simulator\.simulator\.Simulator"):
        client.submit("JansenRit", name="x")


def test_a_missing_file_is_reported(configured, tmp_path) -> None:
    from tvb_batch.submit.api.results import TimeSeries

    with pytest.raises(OutputError, match="is the data directory mounted"):
        TimeSeries(tmp_path / "gone.h5").shape  # noqa: B018


def test_a_swept_connectivity_with_a_speed_of_its_own_is_not_run_at_another(configured) -> None:
    from tvb.datatypes.connectivity import Connectivity

    networks = [Connectivity.from_file() for _ in range(3)]
    for network, speed in zip(networks, (3.0, 30.0, np.inf), strict=True):
        network.speed = np.array([speed])

    for wrong in networks[1:]:
        with pytest.raises(SpecError, match=r"sweep\.connectivity\.speed: .*sweep conduction_speed together"):
            client.submit(small(), grid={"connectivity": [networks[0], wrong]}, name="x")

    together = {"connectivity": networks, "conduction_speed": [3.0, 30.0, np.inf]}
    jobs = client.submit(small(), zip=together, name="x").jobs()
    assert [job.parameters["conduction_speed"] for job in jobs] == [3.0, 30.0, "inf"]
