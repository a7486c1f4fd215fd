"""The real TVB GUI imports this program's files into an empty project and launches every viewer it offers."""

import json
import shutil
import zipfile
from datetime import timedelta
from pathlib import Path

import h5py
import pytest
from conftest import SHORT, gui_verdicts

from tvb_batch.models.catalogue import Catalogue
from tvb_batch.models.settings import Settings, load_settings
from tvb_batch.models.spec.simulation import SimulationSpec
from tvb_batch.models.spec.sweep import SweepSpec
from tvb_batch.worker.h5.gui.write import write_data
from tvb_batch.worker.job.run import run_job

pytestmark = [pytest.mark.gui, pytest.mark.xdist_group("gui")]

#: Attributes whose loss must fail the import, one of each kind. (Data_version is asked for in single files only.)
NEEDED = [
    "title",
    "gid",
    "create_date",
    "written_by",
    "is_nan",
    "user_tag_5",
    "labels_ordering",
    "sample_period",
    "connectivity",
]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bundle of two jobs with two monitors each, made as by a user; each file has another compression."""
    settings = load_settings(data_dir=tmp_path_factory.mktemp("gui"))
    catalogue = Catalogue.open(settings.database, create=True)
    monitors = [{"class": "TemporalAverage", "period": 1.0}, {"class": "GlobalAverage", "period": 1.0}]
    base = SimulationSpec.model_validate(
        {**SHORT, "model": {"class": "Generic2dOscillator", "variables_of_interest": ["V", "W"]}, "monitors": monitors,
         "title": "a title", "subject": "S 1", "user_tags": ["ein Tag: ä"]}
    )  # fmt: skip
    sweep = catalogue.add_sweep(SweepSpec(name="gui", base=base, plan={"coupling.a": [0.01, 0.02]}))
    files = [
        path
        for job, compression in zip(catalogue.jobs(sweep=sweep.gid), ("gzip", "lzf"), strict=True)
        for path in run(settings.model_copy(update={"compression": compression}), catalogue, job.gid)
    ]
    catalogue.dispose()
    return write_data(list(dict.fromkeys(files)), settings.data_dir / "bundle.zip")


def run(settings: Settings, catalogue: Catalogue, gid) -> list[Path]:
    outputs = run_job(catalogue, settings, catalogue.claim(gid, "test", timedelta(seconds=60)))
    return [settings.storage.absolute(path) for output in outputs for path in (*output.refers_to, output.path)]


@pytest.fixture(scope="module")
def verdicts(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict]:
    """Return the GUI's verdict on the bundle and on copies that each lack one thing, from one GUI process."""
    directory = tmp_path_factory.mktemp("damaged")
    damaged = {name: without(bundle, name, directory) for name in NEEDED}
    # The complete bundle again at the end: a failure must come from the missing part, not from earlier imports.
    files = {"whole": bundle} | damaged | {"whole again": bundle}
    home = tmp_path_factory.mktemp("tvb-home")

    return dict(zip(files, gui_verdicts(list(files.values()), home), strict=True))


def without(bundle: Path, name: str, directory: Path) -> Path:
    """Return a copy of the bundle whose region time series lack one attribute."""
    folder = directory / name
    with zipfile.ZipFile(bundle) as archive:
        archive.extractall(folder)
    for path in folder.glob("TimeSeriesRegion_*.h5"):
        with h5py.File(path, "r+") as file:
            del file.attrs[f"TVB_{name}"]
    return Path(shutil.make_archive(str(directory / name), "zip", folder))


@pytest.mark.parametrize("when", ["whole", "whole again"])
def test_the_bundle_is_stored_with_its_datatypes(verdicts, when: str) -> None:
    verdict = verdicts[when]

    assert verdict["error"] == ""
    stored = sorted(datatype["class"] for datatype in verdict["stored"])
    assert stored == ["ConnectivityIndex"] + ["TimeSeriesIndex"] * 2 + ["TimeSeriesRegionIndex"] * 2


def test_the_stored_attributes_are_the_written_ones(verdicts) -> None:
    stored = verdicts["whole"]["stored"]
    [connectivity] = [datatype for datatype in stored if datatype["class"] == "ConnectivityIndex"]
    series = [datatype for datatype in stored if datatype["class"] == "TimeSeriesRegionIndex"]
    plain = [datatype for datatype in stored if datatype["class"] == "TimeSeriesIndex"]

    assert (connectivity["number_of_regions"], connectivity["number_of_connections"]) == ("76", "1560")
    for datatype in series:
        assert datatype["fk_connectivity_gid"] == connectivity["gid"]
        assert [datatype[f"data_length_{n}d"] for n in (1, 2, 3, 4)] == ["20", "2", "76", "1"]
        assert json.loads(datatype["labels_ordering"]) == ["Time", "State Variable", "Region", "Mode"]
        assert json.loads(datatype["labels_dimensions"]) == {"State Variable": ["V", "W"]}
        assert (datatype["sample_period"], datatype["sample_period_unit"]) == ("1.0", "ms")
        assert (datatype["title"], datatype["subject"], datatype["user_tag_1"]) == ("a title", "S 1", "ein Tag: ä")
        assert (datatype["state"], datatype["time_series_type"]) == ("RAW_DATA", "TimeSeriesRegion")
    for datatype in plain:
        assert [datatype[f"data_length_{n}d"] for n in (1, 2, 3, 4)] == ["20", "2", "1", "1"]
        assert json.loads(datatype["labels_ordering"]) == ["Time", "State Variable", "Space", "Mode"]


def test_every_viewer_that_is_offered_opens(verdicts) -> None:
    viewers = verdicts["whole"]["viewers"]

    offered = {name for of_one in viewers.values() for name in of_one}
    assert offered >= {
        "Animated Time Series Visualizer", "Time Series Visualizer (SVG/d3)", "Connectivity Visualizer",
        "Connectivity Edge Bundle View",
    }  # fmt: skip
    assert all(of_one for of_one in viewers.values())
    assert {(name, fault) for of_one in viewers.values() for name, fault in of_one.items() if fault} == set()


@pytest.mark.parametrize("name", NEEDED)
def test_the_import_fails_without_an_attribute(verdicts, name: str) -> None:
    verdict = verdicts[name]

    stored = [datatype["class"] for datatype in verdict["stored"]]
    assert verdict["error"] != ""
    assert "TimeSeriesRegionIndex" not in stored
