"""The real TVB GUI imports every datatype of a simulation in one ZIP: each is stored, and every viewer opens."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
from conftest import gui_verdicts
from tvb_objects import OBJECTS

from tvb_batch.worker.h5.datatypes import file_prefix, write_datatype
from tvb_batch.worker.h5.formats import LABELS_ORDERING
from tvb_batch.worker.h5.gui.write import write_data
from tvb_batch.worker.h5.tvb2 import Header
from tvb_batch.worker.h5.verify import verify, verify_datatype
from tvb_batch.worker.h5.writer import TimeSeriesWriter

pytestmark = [pytest.mark.gui, pytest.mark.xdist_group("gui-datatypes")]

CREATED = datetime(2026, 1, 2, tzinfo=UTC)

CARRIED = (
    "connectivity", "cortex", "region_mapping", "local_connectivity", "eeg_cap", "eeg_sensors", "meg_sensors_276",
    "seeg_sensors", "eeg_projection", "meg_projection", "white_matter_cortex", "seeg_projection", "region_stimulus",
    "surface_stimulus", "face", "two_halves", "barely_large_surface",
)  # fmt: skip

#: Each kind of time series, what it refers to, and its number of nodes.
SERIES = {
    "TimeSeries": ({}, 1),
    "TimeSeriesRegion": ({"connectivity": "connectivity", "region_mapping": "region_mapping"}, 76),
    "TimeSeriesSurface": ({"surface": "cortex"}, 16384),
    "TimeSeriesEEG": ({"sensors": "eeg_sensors"}, 65),
    "TimeSeriesMEG": ({"sensors": "meg_sensors_276"}, 276),
    "TimeSeriesSEEG": ({"sensors": "seeg_sensors"}, 588),
}

_SERIES_VIEWERS = {"Animated Time Series Visualizer", "Time Series Visualizer (SVG/d3)"}
_3D_AND_2D = "Brain Activity Viewer in 3D and 2D"

#: The viewers that the GUI offers for each kind; it has none for projections and stimuli.
OFFERED = {
    "ConnectivityIndex": {"Connectivity Edge Bundle View", "Connectivity Visualizer"},
    "SurfaceIndex": {"Surface Visualizer"},
    "RegionMappingIndex": {"Region Mapping Visualizer"},
    "LocalConnectivityIndex": {"Local Connectivity Visualizer"},
    "SensorsIndex": {"Sensor Visualizer"},
    "ProjectionMatrixIndex": set(),
    "StimuliRegionIndex": set(),
    "StimuliSurfaceIndex": set(),
    "TimeSeriesIndex": {"Animated Time Series Visualizer"},
    "TimeSeriesRegionIndex": {*_SERIES_VIEWERS, "Brain Activity Visualizer", _3D_AND_2D},
    "TimeSeriesSurfaceIndex": {*_SERIES_VIEWERS, "Brain Activity Visualizer"},
    "TimeSeriesEEGIndex": {*_SERIES_VIEWERS, _3D_AND_2D},
    "TimeSeriesMEGIndex": {*_SERIES_VIEWERS, _3D_AND_2D},
    "TimeSeriesSEEGIndex": {*_SERIES_VIEWERS, _3D_AND_2D},
}


def write_series(directory: Path, datatype: str) -> Path:
    names, nodes = SERIES[datatype]
    gid, ordering = uuid4(), LABELS_ORDERING[datatype]
    header = Header(
        gid=gid, datatype=datatype, title=datatype, sample_period=1.0, start_time=0.0, labels_ordering=ordering,
        labels_dimensions={ordering[1]: ["V", "W"]}, subject="S 1", created=CREATED,
        **{"connectivity": None, **{name: OBJECTS[which]().gid for name, which in names.items()}},
    )  # fmt: skip
    path = directory / f"{datatype}_{gid.hex}.h5"
    writer = TimeSeriesWriter(path, header, (2, nodes, 1), {})
    writer.append(np.arange(1.0, 41.0), np.random.default_rng(3).normal(size=(40, 2, nodes, 1)))
    writer.close()
    verify(path, gid)
    return path


@pytest.fixture(scope="module")
def verdict(tmp_path_factory: pytest.TempPathFactory) -> dict:
    """Return the GUI's verdict on one ZIP with all datatypes."""
    directory, home = tmp_path_factory.mktemp("datatypes"), tmp_path_factory.mktemp("tvb-home")
    files = [write_series(directory, datatype) for datatype in SERIES]
    for number, name in enumerate(CARRIED):
        instance = OBJECTS[name]()
        path = directory / f"{file_prefix(instance)}_{instance.gid.hex}.h5"
        write_datatype(path, instance, CREATED + timedelta(seconds=number), subject="S 1")
        verify_datatype(path, instance.gid)
        files.append(path)
    bundle = write_data(files, directory / "bundle.zip")

    return gui_verdicts([bundle], home)[0]


def test_every_datatype_is_stored_with_its_class(verdict) -> None:
    assert verdict["error"] == ""
    stored = {datatype["gid"]: datatype for datatype in verdict["stored"]}
    carried = {OBJECTS[name]().gid.hex: f"{file_prefix(OBJECTS[name]())}Index" for name in CARRIED}
    assert {gid: stored[gid]["class"] for gid in carried} == carried
    series = sorted(stored[gid]["class"] for gid in set(stored) - set(carried))
    assert series == sorted(f"{datatype}Index" for datatype in SERIES)


def test_the_series_refer_to_the_imported_datatypes(verdict) -> None:
    for datatype in verdict["stored"]:
        name = datatype["class"].removesuffix("Index")
        if name not in SERIES:
            continue
        _, nodes = SERIES[name]
        assert [datatype[f"data_length_{n}d"] for n in (1, 2, 3, 4)] == ["40", "2", str(nodes), "1"]
        assert tuple(json.loads(datatype["labels_ordering"])) == LABELS_ORDERING[name]
        assert datatype["time_series_type"] == name
        if name == "TimeSeriesRegion":
            assert datatype["fk_connectivity_gid"] == OBJECTS["connectivity"]().gid.hex


def test_all_expected_viewers_are_offered_and_open(verdict) -> None:
    classes = {datatype["gid"]: datatype["class"] for datatype in verdict["stored"]}

    for gid, viewers in verdict["viewers"].items():
        assert set(viewers) == OFFERED[classes[gid]], classes[gid]
        assert {name: fault for name, fault in viewers.items() if fault} == {}, classes[gid]
    assert len(verdict["viewers"]) == len(CARRIED) + len(SERIES)
