"""What the real TVB GUI makes of bundles of simulations and of explorations: history, groups, viewers, values."""

import json
from datetime import timedelta
from pathlib import Path

import h5py
import pytest
from conftest import SHORT, gui_verdicts

from models.catalogue import Catalogue
from models.inputs import Inputs
from models.settings import Settings, load_settings
from models.spec import SimulationSpec
from models.sweep import SweepSpec
from worker.gui_bundle import Point, write_pse, write_simulations
from worker.run import run_job

pytestmark = pytest.mark.xdist_group("gui-bundle")

JUDGE = Path(__file__).with_name("gui_bundle_judge.py")
PLAN = {"coupling.a": [0.01, 0.02], "model.tau": [1.0, 1.5]}


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return load_settings(data_dir=tmp_path_factory.mktemp("gui-bundle"))


@pytest.fixture(scope="module")
def points(settings: Settings) -> list[Point]:
    """Four jobs of a sweep of two parameters, run as a worker runs them."""
    return run_sweep(settings, {**SHORT, "subject": "S 1"}, PLAN)


def run_sweep(settings: Settings, base: dict, plan: dict) -> list[Point]:
    catalogue = Catalogue.open(settings.database, create=True)
    try:
        sweep = catalogue.add_sweep(SweepSpec(name="s", base=SimulationSpec.model_validate(base), plan=plan))
        return [point(settings, catalogue, job, list(plan)) for job in catalogue.jobs(sweep=sweep.gid)]
    finally:
        catalogue.dispose()


def point(settings: Settings, catalogue: Catalogue, job, names: list[str]) -> Point:
    claim = catalogue.claim(job.gid, "test", timedelta(seconds=60))
    records = run_job(catalogue, settings, claim)
    spec = SimulationSpec.model_validate_json(claim.spec_json)
    outputs = tuple(settings.storage.absolute(record.path) for record in records)
    datatypes = tuple(dict.fromkeys(settings.storage.absolute(path) for one in records for path in one.refers_to))
    with h5py.File(outputs[0]) as file:
        metrics = {"GlobalVariance": float(file["data"][()].var()), "mean": float(file["data"][()].mean())}
    swept = {name: float(spec.parameters()[name]) for name in names}
    return Point(spec.canonical(), outputs, datatypes, metrics, swept, f"job {job.gid.hex[:8]}")


@pytest.fixture(scope="module")
def inputs(settings: Settings) -> Inputs:
    return Inputs(settings.storage)


@pytest.fixture(scope="module")
def verdicts(points, inputs, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict]:
    """The GUI's verdict on each kind of bundle, one GUI process for all."""
    folder, home = tmp_path_factory.mktemp("bundles"), tmp_path_factory.mktemp("tvb-home")
    one_axis = [point for point in points if point.swept["model.tau"] == 1.0]
    one_axis = [Point(**{**vars(point), "swept": {"coupling.a": point.swept["coupling.a"]}}) for point in one_axis]
    pse = write_pse(points, folder / "pse.zip", inputs, "my sweep")
    again = write_pse(points, folder / "again.zip", inputs, "my sweep again")
    files = {
        "pse": str(pse),
        "one axis": str(write_pse(one_axis, folder / "one.zip", inputs)),
        "simulations": str(write_simulations(points, folder / "simulations.zip", inputs)),
        "single": str(write_simulations(points[:1], folder / "single.zip", inputs)),
        "twice": f"{pse}:{again}",
    }
    return dict(zip(files, gui_verdicts([*map(Path, files.values())], home, JUDGE), strict=True))


@pytest.mark.gui
@pytest.mark.parametrize(
    ("kind", "stored"),
    [
        ("pse", {"ConnectivityIndex": 1, "TimeSeriesRegionIndex": 4, "DatatypeMeasureIndex": 4, "DataTypeGroup": 2}),
        (
            "one axis",
            {"ConnectivityIndex": 1, "TimeSeriesRegionIndex": 2, "DatatypeMeasureIndex": 2, "DataTypeGroup": 2},
        ),
        ("simulations", {"ConnectivityIndex": 1, "TimeSeriesRegionIndex": 4}),
        ("single", {"ConnectivityIndex": 1, "TimeSeriesRegionIndex": 1}),
    ],
)
def test_every_datatype_is_stored(verdicts, kind: str, stored: dict[str, int]) -> None:
    verdict = verdicts[kind]

    print(json.dumps(verdict, indent=1))
    assert verdict["error"] == ""
    assert {name: verdict["stored"].count(name) for name in verdict["stored"]} == stored
