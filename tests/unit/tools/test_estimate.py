"""The cost of a sweep, estimated from its first simulation; TVB's errors appear before anything is queued."""

import shutil
from importlib.resources import files

import pytest
from conftest import SHORT

from tvb_batch.models.errors import TvbBatchError
from tvb_batch.models.spec.simulation import simulation
from tvb_batch.worker.tools.estimate import estimate


def test_disk_and_time_grow_with_the_simulation() -> None:
    short = estimate(simulation({**SHORT, "simulation_length": 100.0}))
    long = estimate(simulation({**SHORT, "simulation_length": 100_000.0}))

    assert short.disk_bytes == 100 * 77 * 8
    assert long.disk_bytes == 1000 * short.disk_bytes
    assert long.seconds > short.seconds > 0
    assert short.memory_bytes > 50_000_000


def test_every_monitor_counts(tmp_path) -> None:
    monitors = [{"class": "GlobalAverage", "period": 1.0}, {"class": "EEG", "period": 1.0, "sensors": "eeg_brainstorm_65.txt",
                 "projection": "projection_eeg_65_surface_16k.npy", "region_mapping": "regionMapping_16k_76.txt"}]  # fmt: skip

    assert estimate(simulation({**SHORT, "monitors": monitors})).disk_bytes == 20 * 8 * (2 + 66)


def test_files_are_read_where_they_are_and_not_kept(tmp_path) -> None:
    shutil.copy(str(files("tvb_data") / "connectivity" / "connectivity_66.zip"), tmp_path / "mine.zip")

    found = estimate(simulation({**SHORT, "connectivity": str(tmp_path / "mine.zip")}))

    assert found.disk_bytes == 20 * 67 * 8
    assert [path.name for path in tmp_path.iterdir()] == ["mine.zip"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"monitors": [{"class": "EEG", "period": 1.0, "sensors": "eeg_brainstorm_65.txt"}]},
            "monitors[0]: TVB refuses it (Exception: Please specify a region mapping",
        ),
        (
            {"monitors": ["Raw", {"class": "SpatialAverage", "period": 1.0, "spatial_mask": [0, 1]}]},
            "monitors[1]: TVB refuses it",
        ),
        (
            {"coupling": "PreSigmoidal", "model": "Generic2dOscillator"},
            "spec: TVB cannot run a step (IndexError",
        ),
    ],
)
def test_a_simulation_that_tvb_refuses_gives_one_line(changes, words) -> None:
    with pytest.raises(TvbBatchError) as caught:
        estimate(simulation({**SHORT, **changes}))

    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
