"""The real TVB GUI imports bundles of simulations and explorations: history, groups, viewers, values."""

from datetime import timedelta
from pathlib import Path

import h5py
import pytest
from conftest import JUDGE as GUI_JUDGE
from conftest import SHORT, gui_verdicts

from tvb_batch.models.catalogue import Catalogue
from tvb_batch.models.settings import Settings, load_settings
from tvb_batch.models.spec.simulation import SimulationSpec
from tvb_batch.models.spec.sweep import SweepSpec
from tvb_batch.models.tvb.input_store import Inputs
from tvb_batch.models.worker_protocol import BundlePoint
from tvb_batch.worker.h5.gui.write import FRESH, write_data, write_project, write_pse, write_simulations
from tvb_batch.worker.job.run import run_job

pytestmark = pytest.mark.xdist_group("gui-bundle")

JUDGE = GUI_JUDGE.with_name("gui_bundle_judge.py")
PLAN = {"coupling.a": [0.01, 0.02], "model.tau": [1.0, 1.5]}


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return load_settings(data_dir=tmp_path_factory.mktemp("gui-bundle"))


@pytest.fixture(scope="module")
def points(settings: Settings) -> list[BundlePoint]:
    """Return four jobs of a sweep of two parameters, run as by a worker."""
    return run_sweep(settings, {**SHORT, "subject": "S 1"}, PLAN)


def run_sweep(settings: Settings, base: dict, plan: dict) -> list[BundlePoint]:
    catalogue = Catalogue.open(settings.database, create=True)
    try:
        sweep = catalogue.add_sweep(SweepSpec(name="s", base=SimulationSpec.model_validate(base), plan=plan))
        return [point(settings, catalogue, job, list(plan)) for job in catalogue.jobs(sweep=sweep.gid)]
    finally:
        catalogue.dispose()


def point(settings: Settings, catalogue: Catalogue, job, names: list[str]) -> BundlePoint:
    claim = catalogue.claim(job.gid, "test", timedelta(seconds=60))
    records = run_job(catalogue, settings, claim)
    spec = claim.spec
    outputs = tuple(settings.storage.absolute(record.path) for record in records)
    datatypes = tuple(dict.fromkeys(settings.storage.absolute(path) for one in records for path in one.refers_to))
    with h5py.File(outputs[0]) as file:
        metrics = {"GlobalVariance": float(file["data"][()].var()), "mean": float(file["data"][()].mean())}
    swept = {name: float(spec.parameters()[name]) for name in names}
    return BundlePoint(
        spec.canonical(), outputs, datatypes, metrics, swept=swept, name=f"job {job.gid.hex[:8]}",
        start_point=records[0].transient,
    )  # fmt: skip


@pytest.fixture(scope="module")
def inputs(settings: Settings) -> Inputs:
    return Inputs(settings.storage)


def files_of(points: list[BundlePoint]) -> list[Path]:
    return list(dict.fromkeys(path for point in points for path in (*point.datatypes, *point.outputs)))


def without_axes(point: BundlePoint) -> BundlePoint:
    return BundlePoint(**{**vars(point), "swept": {}})


@pytest.fixture(scope="module")
def verdicts(points, inputs, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict]:
    """Return the GUI's verdict on each kind of bundle, from one GUI process."""
    folder, home = tmp_path_factory.mktemp("bundles"), tmp_path_factory.mktemp("tvb-home")
    one_axis = [point for point in points if point.swept["model.tau"] == 1.0]
    one_axis = [
        BundlePoint(**{**vars(point), "swept": {"coupling.a": point.swept["coupling.a"]}}) for point in one_axis
    ]
    pse = write_pse(points, folder / "pse.zip", inputs, "my sweep")
    again = write_pse(points, folder / "again.zip", inputs, "my sweep again")
    files = {
        "pse": str(pse),
        "one axis": str(write_pse(one_axis, folder / "one.zip", inputs)),
        "simulations": str(write_simulations(points, folder / "simulations.zip", inputs)),
        "single": str(write_simulations(points[:1], folder / "single.zip", inputs)),
        "twice": f"{pse}:{again}",
        "data": str(write_data(files_of(points), folder / "data.zip", FRESH)),
        "project": str(write_project(points, folder / "project.zip", inputs, "my project")),
        "single project": str(write_project([without_axes(points[0])], folder / "one_project.zip", inputs, "one job")),
    }
    return dict(zip(files, gui_verdicts([*map(Path, files.values())], home, JUDGE), strict=True))


#: The datatypes added to every connectivity of tvb-data.
KNOWN = {"ConnectivityIndex": 1, "SurfaceIndex": 1, "RegionMappingIndex": 1}
STORED = {
    "pse": {"TimeSeriesRegionIndex": 4, "DatatypeMeasureIndex": 4, "DataTypeGroup": 2},
    "one axis": {"TimeSeriesRegionIndex": 2, "DatatypeMeasureIndex": 2, "DataTypeGroup": 2},
    "simulations": {"TimeSeriesRegionIndex": 4},
    "single": {"TimeSeriesRegionIndex": 1},
    "data": {"TimeSeriesRegionIndex": 4},
    "project": {"TimeSeriesRegionIndex": 4, "DatatypeMeasureIndex": 4, "DataTypeGroup": 2},
    "single project": {"TimeSeriesRegionIndex": 1},
}


@pytest.mark.gui
@pytest.mark.parametrize("kind", STORED)
def test_every_datatype_is_stored(verdicts, kind: str) -> None:
    verdict = verdicts[kind]

    assert verdict["error"] == ""
    assert {name: verdict["stored"].count(name) for name in verdict["stored"]} == {**KNOWN, **STORED[kind]}


@pytest.mark.gui
@pytest.mark.parametrize("kind", STORED)
def test_every_viewer_that_is_offered_for_a_series_opens_the_brain_viewer_too(verdicts, kind: str) -> None:
    viewers = verdicts[kind]["viewers"]

    assert {name: fault for name, fault in viewers.items() if fault} == {}
    assert any("Brain" in name for name in viewers), viewers
    assert len(viewers) >= 3


def metrics_group(verdict: dict, number: int = 0) -> dict:
    return [group for group in verdict["groups"] if group["discrete"]["metrics"]][number]


@pytest.mark.gui
@pytest.mark.parametrize(("kind", "ranges", "results"), [("pse", 2, 4), ("one axis", 1, 2), ("project", 2, 4)])
def test_an_exploration_is_a_group_with_its_viewers(verdicts, kind: str, ranges: int, results: int) -> None:
    groups = verdicts[kind]["groups"]

    assert len(groups) == 2
    for group in groups:
        assert (group["results"], group["operations"], len(group["ranges"])) == (results, results, ranges)
        assert {name: fault for name, fault in group["viewers"].items() if fault} == {}
    assert set(metrics_group(verdicts[kind])["viewers"]) >= {"Discrete Parameter Space Exploration"}


@pytest.mark.gui
@pytest.mark.parametrize("kind", ["pse", "project"])
def test_the_record_of_metrics_holds_the_transient(verdicts, points, kind: str) -> None:
    made = [one["start_point"] for one in verdicts[kind]["operations"] if "start_point" in one]

    assert made == [point.start_point for point in points] == [15.0] * 4


@pytest.mark.gui
@pytest.mark.parametrize("kind", ["pse", "project"])
def test_discrete_and_isocline_have_the_metrics_of_each_point(verdicts, points, kind: str) -> None:
    group = metrics_group(verdicts[kind])

    places = {tuple(point.swept[name] for name in PLAN): point.metrics for point in points}
    found = {tuple(map(float, place.split(","))): values for place, values in group["discrete"]["places"].items()}
    assert found.keys() == places.keys()
    for place, metrics in places.items():
        assert {name: found[place][name] for name in metrics} == pytest.approx(metrics)
    isocline = group["isocline"]
    for name in points[0].metrics:
        for row, a in enumerate(isocline["x"]):
            for column, tau in enumerate(isocline["y"]):
                assert isocline["matrices"][name][row][column] == pytest.approx(places[a, tau][name])


@pytest.mark.gui
@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("pse", ["my sweep"]), ("project", ["my project"]), ("simulations", None), ("single", None),
        ("single project", None),
    ],
)  # fmt: skip
def test_the_history_loads_with_the_parameters_of_each_simulation(verdicts, points, kind: str, names) -> None:
    bursts = verdicts[kind]["bursts"]

    shown = points if kind == "simulations" else points[:1]
    assert [burst["name"] for burst in bursts] == (names or [point.name for point in shown])
    for burst, point in zip(bursts, shown, strict=True):
        assert (burst["page"], burst["status"]) == ("", "finished")
        simulator = burst["simulator"]
        assert simulator["coupling"]["a"] == pytest.approx([point.swept["coupling.a"]])
        assert simulator["model"]["tau"] == pytest.approx([point.swept["model.tau"]])
        assert simulator["simulation_length"] == SHORT["simulation_length"]
        assert simulator["integrator"]["dt"] == SHORT["integrator"]["dt"]
        assert simulator["monitors"][0]["class"] == "TemporalAverageViewModel"
        assert burst["is_exploration"] == (kind in ("pse", "project"))


@pytest.mark.gui
def test_data_alone_brings_no_history(verdicts) -> None:
    assert (verdicts["data"]["bursts"], verdicts["data"]["groups"]) == ([], [])


@pytest.mark.gui
def test_a_second_import_leaves_the_first_as_it_was(verdicts) -> None:
    twice = verdicts["twice"]

    assert twice["error"] == ""
    assert len(twice["groups"]) == 4
    for number in (0, 1):
        assert metrics_group(twice, number)["isocline"] == metrics_group(verdicts["pse"])["isocline"]
        assert (
            metrics_group(twice, number)["discrete"]["places"] == metrics_group(verdicts["pse"])["discrete"]["places"]
        )


@pytest.mark.gui
@pytest.mark.parametrize(("kind", "name"), [("project", "my project"), ("single project", "one job")])
def test_a_project_is_imported_as_a_new_project(verdicts, kind: str, name: str) -> None:
    assert verdicts[kind]["project"] == name
