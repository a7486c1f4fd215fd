"""What a person does with a bundle in the real TVB GUI: export the project and import it again, run a copy again."""

import io
import zipfile
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


#: What each simulation has besides SHORT.
AGAIN: dict[str, dict[str, Any]] = {
    "seed 42": {},
    "iEEG without projection": {"monitors": [without_projection("iEEG", "seeg_588.txt")]},
    "EEG without projection": {"monitors": [without_projection("EEG", "eeg_brainstorm_65.txt")]},
    "MEG without projection": {"monitors": [without_projection("MEG", "meg_brainstorm_276.txt")]},
}


@pytest.fixture(scope="module")
def again(settings, inputs, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[str, BundlePoint]]:
    """By case, what the GUI makes of the bundle and of a second run there; and our own results."""
    folder, home = tmp_path_factory.mktemp("bundles"), tmp_path_factory.mktemp("tvb-home")
    points = {name: run_sweep(settings, {**SHORT, "seed": 42, **base}, {})[0] for name, base in AGAIN.items()}
    files = [
        write_simulations([without_axes(point)], folder / f"{number}.zip", inputs)
        for number, point in enumerate(points.values())
    ]
    assert [fault for file in files for fault in faults(file)] == []
    found = gui_verdicts([Path(f"run:{file}") for file in files], home, JUDGE)
    return dict(zip(points, found, strict=True)), points


@pytest.mark.parametrize("case", AGAIN)
def test_a_simulation_that_runs_again_in_the_gui_gives_our_bits(again, case: str) -> None:
    verdicts, points = again

    assert verdicts[case]["error"] == ""
    [found] = verdicts[case]["runs"]
    assert found["error"] == ""
    for ours, theirs in zip(points[case].outputs, found["series"], strict=True):
        with h5py.File(ours) as one, h5py.File(theirs["path"]) as other:
            np.testing.assert_array_equal(other["data"][()], one["data"][()])
            np.testing.assert_array_equal(other["time"][()], one["time"][()])


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
