"""What a person does with a bundle in the real TVB GUI: export the project and import it again, run a copy again."""

import io
import zipfile
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import h5py
import numpy as np
import pytest
from conftest import JUDGE as GUI_JUDGE
from conftest import SHORT, gui_verdicts
from test_gui_bundle import PLAN, files_of, run_sweep, without_axes

from tvb_batch.models.settings import Settings, load_settings
from tvb_batch.models.tvb.input_store import Inputs
from tvb_batch.models.worker_protocol import BundlePoint
from tvb_batch.worker.h5.gui.archive import Linking
from tvb_batch.worker.h5.gui.repeat import LATER
from tvb_batch.worker.h5.gui.write import FRESH, write_data, write_project, write_pse, write_simulations
from tvb_batch.worker.h5.tvb2 import DATE_FORMAT
from tvb_batch.worker.h5.view_model_formats import REQUIRED_BY_VIEW_MODEL
from tvb_batch.worker.tools.gui_check import faults

pytestmark = [pytest.mark.gui, pytest.mark.xdist_group("gui-loop")]

JUDGE = GUI_JUDGE.with_name("gui_loop_judge.py")


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return load_settings(data_dir=tmp_path_factory.mktemp("gui-loop"))


@pytest.fixture(scope="module")
def inputs(settings: Settings) -> Inputs:
    return Inputs(settings.storage)


@pytest.fixture(scope="module")
def points(settings: Settings) -> list[BundlePoint]:
    """Four jobs of a sweep of two parameters, run as a worker runs them."""
    return run_sweep(settings, SHORT, PLAN)


@pytest.fixture(scope="module")
def exported(points, inputs: Inputs, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    """For each kind of bundle: the project after the import, and after one and two exports and imports."""
    folder, home = tmp_path_factory.mktemp("bundles"), tmp_path_factory.mktemp("tvb-home")
    plain = [without_axes(point) for point in points[:2]]
    data = write_data(files_of(points[:1]), folder / "data.zip", FRESH)
    files = {
        "simulations": write_simulations(plain, folder / "simulations.zip", inputs),
        "single": write_simulations(plain[:1], folder / "single.zip", inputs),
        "pse": write_pse(points, folder / "pse.zip", inputs, "my sweep"),
        "project": write_project(points, folder / "project.zip", inputs, "my project"),
        "single project": write_project(plain[:1], folder / "one_project.zip", inputs, "one job"),
        "data": data,
    }
    wishes = [Path(f"export:{path}") for path in files.values()]
    return dict(zip(files, gui_verdicts(wishes, home, JUDGE), strict=True))


@pytest.mark.parametrize("kind", ["simulations", "single", "pse", "project", "single project", "data"])
def test_a_project_that_the_gui_exports_is_imported_again_complete(exported, kind: str) -> None:
    first, *later = exported[kind]

    assert first["error"] == ""
    assert [one["error"] for one in later] == ["", ""]
    for one in later:
        assert one["stored"] == first["stored"]
        assert one["groups"] == first["groups"]
        assert one["failed"] == []
        assert [entry["page"] for entry in one["bursts"]] == [""] * len(first["bursts"])
        assert [entry["simulator"] for entry in one["bursts"]] == [entry["simulator"] for entry in first["bursts"]]


# ----------------------------------------------------------------------------------------------------- run a copy again


def without_projection(name: str, sensors: str) -> dict[str, Any]:
    """A monitor with TVB's analytic gain."""
    mapping = {"from_file": "regionMapping_16k_76.txt", "surface": {"from_file": "cortex_16384.zip"}}
    return {"class": name, "period": 2.0, "sensors": sensors, "region_mapping": mapping}


def deterministic(dt: float = 0.5) -> dict[str, Any]:
    return {"integrator": {"class": "HeunDeterministic", "dt": dt}, "seed": 7}


FHN = {"model": {"class": "ReducedSetFitzHughNagumo"}, "coupling": {"class": "Linear", "a": 1e-4}}
NOISE = SHORT["integrator"]
#: What each simulation has besides SHORT and the seed 42, and how much later it starts in the GUI, ms.
EQUAL: dict[str, tuple[dict[str, Any], float]] = {
    "noise": ({}, 0.0),
    "coloured noise": ({"integrator": {**NOISE, "noise": {**NOISE["noise"], "ntau": 3.0}}}, 0.0),
    "noise, one step of initial conditions": ({"initial_conditions": np.full((1, 2, 76, 1), 0.1).tolist()}, 0.0),
    "three modes": ({**FHN, "integrator": {**NOISE, "dt": 0.01}}, 0.0),
    "iEEG without projection": ({"monitors": [without_projection("iEEG", "seeg_588.txt")]}, 0.0),
    "EEG without projection": ({"monitors": [without_projection("EEG", "eeg_brainstorm_65.txt")]}, 0.0),
    "MEG without projection": ({"monitors": [without_projection("MEG", "meg_brainstorm_276.txt")]}, 0.0),
    # The longest delay is 51 ms; the monitors of the third one sample together every 6 ms.
    "no noise": (deterministic(), 51.0),
    "no noise, one step of initial conditions": (
        {**deterministic(), "initial_conditions": np.full((1, 2, 76, 1), 0.1).tolist()},
        51.0,
    ),
    "no noise, several monitors": (
        {
            **deterministic(),
            "monitors": [
                {"class": "TemporalAverage", "period": 1.0},
                {"class": "SubSample", "period": 1.5},
                {"class": "GlobalAverage", "period": 2.0},
            ],
        },
        54.0,
    ),
}
#: Simulations that the GUI cannot repeat, and what the bundle says of each.
OTHER: dict[str, tuple[dict[str, Any], str]] = {
    "seed 7": ({"seed": 7}, "its noise has the seed 42"),
    "speed": ({"conduction_speed": 6.0}, "its conduction speed is always 3 mm/ms"),
    "no observation noise": (
        {"monitors": [{**without_projection("EEG", "eeg_brainstorm_65.txt"), "obsnoise": None}]},
        "its EEG has observation noise",
    ),
}


@pytest.fixture(scope="module")
def again(settings, inputs, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Any, BundlePoint, list[str]]]:
    """By case, what the GUI makes of a bundle and of a second run there; our own results; what the bundle says."""
    folder, home = tmp_path_factory.mktemp("bundles"), tmp_path_factory.mktemp("tvb-home")
    cases = {**{name: case[0] for name, case in {**EQUAL, **OTHER}.items()}, "NaN": {**FHN, "simulation_length": 60.0}}
    points = {name: run_sweep(settings, {**SHORT, "seed": 42, **base}, {})[0] for name, base in cases.items()}
    notes: dict[str, list[str]] = {name: [] for name in points}
    files = []
    for name, point in points.items():
        target = folder / f"{len(files)}.zip"
        files.append(write_simulations([without_axes(point)], target, inputs, on_progress=notes[name].extend))
    assert [fault for file in files for fault in faults(file)] == []
    found = gui_verdicts([Path(f"run:{file}") for file in files], home, JUDGE)
    assert [verdict["error"] for verdict in found] == [""] * len(found)
    assert [len(verdict["runs"]) for verdict in found] == [1] * len(found)
    return {name: (verdict["runs"][0], points[name], notes[name]) for name, verdict in zip(points, found, strict=True)}


def series(run: Any, point: BundlePoint) -> Iterator[tuple[Any, Any]]:
    """Our time and data of each monitor, and the GUI's."""
    assert run["error"] == ""
    # Both are in the order of the spec, ours by the monitors' numbers.
    for ours, theirs in zip(point.outputs, run["series"], strict=True):
        with h5py.File(ours) as one, h5py.File(theirs["path"]) as other:
            yield (one["time"][()], one["data"][()]), (other["time"][()], other["data"][()])


@pytest.mark.parametrize("case", EQUAL)
def test_a_simulation_that_runs_again_in_the_gui_gives_our_bits(again, case: str) -> None:
    run, point, notes = again[case]
    later = EQUAL[case][1]

    for (time, data), (time_in_gui, data_in_gui) in series(run, point):
        np.testing.assert_array_equal(data_in_gui, data)
        np.testing.assert_allclose(time_in_gui - time, later, atol=1e-9)
    assert notes == ([LATER] if later else [])


@pytest.mark.parametrize("case", OTHER)
def test_a_bundle_says_why_a_second_run_in_the_gui_gives_other_results(again, case: str) -> None:
    run, point, [note] = again[case]

    assert all(not np.array_equal(ours[1], theirs[1]) for ours, theirs in series(run, point))
    assert note.startswith("a second run in the GUI gives other results: ")
    assert OTHER[case][1] in note


def test_a_bundle_says_that_the_gui_stops_at_nan(again) -> None:
    run, _, notes = again["NaN"]

    assert "NaN values were generated" in run["error"]
    assert notes == ["a second run in the GUI ends with an error: the GUI stops at NaN, which the results have"]


def test_the_table_of_required_attributes_is_that_of_the_gui(tmp_path) -> None:
    [found] = gui_verdicts([Path("required")], tmp_path, JUDGE)

    # Classes that a bundle never holds: the bases of others.
    bases = {"tvb.core.entities.file.simulator.view_model.ProjectionViewModel", "tvb.simulator.coupling.SparseCoupling"}
    assert {path: names for path, names in found.items() if path not in bases} == REQUIRED_BY_VIEW_MODEL


# ---------------------------------------------------------------------------------------------------- order of operations


def dates(bundle: Path, name: str) -> list[datetime]:
    """The dates of the files in a bundle whose names hold `name`."""
    with zipfile.ZipFile(bundle) as archive:
        members = [archive.read(one) for one in archive.namelist() if name in one]
    found = []
    for member in members:
        with h5py.File(io.BytesIO(member)) as file:
            found.append(datetime.strptime(str(file.attrs["TVB_create_date"]), DATE_FORMAT))
    return found


def test_shared_datatypes_have_an_operation_before_that_of_the_first_simulation(points, inputs, tmp_path) -> None:
    bundle = write_simulations([without_axes(one) for one in points], tmp_path / "b.zip", inputs)

    [shared], simulations = dates(bundle, "datatypes/TVBImporterModel"), dates(bundle, "SimulatorAdapterModel")
    assert shared < min(simulations)
    assert simulations == sorted(set(simulations))
    # Before whatever the GUI computes from them, in any time zone.
    assert max(simulations) < datetime.now() - timedelta(hours=23)
    assert faults(bundle) == []


def test_simulations_that_refer_to_data_of_the_project_are_dated_after_it(points, inputs, tmp_path) -> None:
    uploaded = datetime.now()
    links = {name: uuid4() for name in ("connectivity", "region_mapping")}

    bundle = write_simulations([without_axes(points[0])], tmp_path / "b.zip", inputs, Linking(links=links))

    assert dates(bundle, "datatypes/") == []
    assert min(dates(bundle, "SimulatorAdapterModel")) > uploaded
