"""A result runs again from its file alone, and differences of the data are explained."""

import json
import shutil
from datetime import timedelta
from importlib.resources import files

import h5py
import numpy as np
import pytest
from conftest import SHORT

from tvb_batch.models.errors import InputError
from tvb_batch.models.settings import load_settings
from tvb_batch.models.spec.sweep import sweep
from tvb_batch.submit.intake.files import keep
from tvb_batch.worker.job.run import run_job
from tvb_batch.worker.tools.rerun import rerun


def result(settings, catalogue, monitor: int = 0, **changes):
    """Return the file of a finished job."""
    spec = keep(sweep({**SHORT, **changes}), settings.storage)
    made = catalogue.add_sweep(spec, reuse=False)
    claim = catalogue.claim(catalogue.jobs(sweep=made.gid)[0].gid, "w", timedelta(seconds=60))
    return settings.storage.absolute(run_job(catalogue, settings, claim)[monitor].path)


@pytest.fixture
def elsewhere(tmp_path):
    """Return settings of another machine without the job."""
    return load_settings(data_dir=tmp_path / "elsewhere")


MONITORS = [{"class": "TemporalAverage", "period": 1.0}, {"class": "Raw"}, {"class": "GlobalAverage", "period": 2.0}]


@pytest.mark.parametrize(("monitor", "samples"), [(0, 20), (1, 40), (2, 10)])
def test_the_same_simulation_gives_the_same_bits(settings, catalogue, elsewhere, monitor, samples) -> None:
    path = result(settings, catalogue, monitor, monitors=MONITORS)

    found = rerun(path, elsewhere)

    assert (found.samples, found.different, found.circumstances) == (samples, 0, ())


def test_a_small_input_file_is_embedded_in_the_result(settings, catalogue, elsewhere, tmp_path) -> None:
    shutil.copy(str(files("tvb_data") / "connectivity" / "connectivity_66.zip"), tmp_path / "mine.zip")
    path = result(settings, catalogue, connectivity=str(tmp_path / "mine.zip"))
    (tmp_path / "mine.zip").unlink()
    shutil.rmtree(settings.storage.inputs)

    assert rerun(path, elsewhere).different == 0


def test_a_large_input_file_is_looked_up_by_its_content(settings, catalogue, elsewhere, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("tvb_batch.worker.job.outputs.MOST_EMBEDDED", 10)
    shutil.copy(str(files("tvb_data") / "connectivity" / "connectivity_66.zip"), tmp_path / "mine.zip")
    path = result(settings, catalogue, connectivity=str(tmp_path / "mine.zip"))

    assert rerun(path, settings).different == 0
    with pytest.raises(InputError, match="no such file"):
        rerun(path, elsewhere)
    [kept] = settings.storage.inputs.iterdir()
    kept.write_bytes(kept.read_bytes() + b"x")
    with pytest.raises(InputError, match="its content has changed"):
        rerun(path, settings)


def test_a_difference_is_reported_with_its_time_and_what_has_changed(settings, catalogue, elsewhere) -> None:
    path = result(settings, catalogue)
    with h5py.File(path, "r+") as file:
        file["data"][7, 0, 3, 0] += 0.5
        then = json.loads(file["tvb_batch"].attrs["versions"]) | {"numpy": "1.0.0"}
        file["tvb_batch"].attrs["versions"] = json.dumps(then)
        file["tvb_batch"].attrs["host"] = "other"

    found = rerun(path, elsewhere)

    assert (found.samples, found.different, found.first_ms) == (20, 1, 7.5)
    assert found.largest_difference == pytest.approx(0.5)
    assert found.circumstances[0].startswith("numpy: 1.0.0, now ")
    assert found.circumstances[1].startswith("host: other, now ")


def test_nan_is_equal_to_nan(settings, catalogue, elsewhere) -> None:
    diverging = {"class": "Generic2dOscillator", "d": 1e6}

    path = result(settings, catalogue, model=diverging)

    with h5py.File(path) as file:
        assert np.isnan(file["data"][()]).any()
    assert rerun(path, elsewhere).different == 0


def test_a_file_cut_short_differs(settings, catalogue, elsewhere) -> None:
    path = result(settings, catalogue)
    with h5py.File(path, "r+") as file:
        for name in ("data", "time"):
            file[name].resize(15, axis=0)

    assert rerun(path, elsewhere).different >= 5


def test_other_files_are_refused_in_one_line(tmp_path, elsewhere) -> None:
    (tmp_path / "text.h5").write_text("no")
    with h5py.File(tmp_path / "bare.h5", "w") as file:
        file["data"] = [1.0]

    for name, words in (
        ("text.h5", "not a readable H5 file"),
        ("bare.h5", "no provenance"),
        ("gone.h5", "not a readable"),
    ):
        with pytest.raises(InputError, match=words) as caught:
            rerun(tmp_path / name, elsewhere)
        assert "\n" not in str(caught.value)
