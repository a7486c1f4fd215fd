"""Files that a spec names: found beside it, looked into, and kept by their content."""

import shutil
import zipfile
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from conftest import SHORT

from models.errors import SpecError
from models.sweep import sweep
from submit.files import keep, locate

DATA = Path(str(files("tvb_data")))


@pytest.fixture
def folder(tmp_path) -> Path:
    """A person's directory with a connectivity, a surface and a mapping."""
    shutil.copy(DATA / "connectivity" / "connectivity_66.zip", tmp_path / "c66.zip")
    shutil.copy(DATA / "surfaceData" / "scalp_1082.zip", tmp_path / "surface.zip")
    np.savetxt(tmp_path / "mapping.txt", np.arange(1082) % 66, fmt="%d")
    return tmp_path


def surface(mapping: str) -> dict:
    return {"region_mapping_data": {"from_file": mapping, "surface": "./surface.zip"}}


def test_every_file_becomes_absolute_and_then_content(folder, settings) -> None:
    spec = sweep({**SHORT, "connectivity": "./c66.zip", "surface": surface("./mapping.txt")})

    located = locate(spec, folder)
    kept = keep(located, settings.storage)

    assert sorted(located.base.files()) == sorted(
        str(folder / name) for name in ("c66.zip", "surface.zip", "mapping.txt")
    )
    assert all(name.startswith("inputs/") for name in kept.base.files())
    assert len(list(settings.storage.inputs.iterdir())) == 3
    assert keep(kept, settings.storage) == kept


def test_swept_files_are_kept_too(folder, settings) -> None:
    spec = sweep({**SHORT, "sweep": {"connectivity": ["./c66.zip", "connectivity_76.zip"]}})

    kept = keep(locate(spec, folder), settings.storage)

    own, known = kept.plan["grid"]["connectivity"]
    assert own["from_file"].startswith("inputs/")
    assert known["from_file"] == "connectivity_76.zip"


@pytest.mark.parametrize(
    ("changes", "path", "words"),
    [
        ({"connectivity": "./none.zip"}, "connectivity.from_file", "a file that is there"),
        ({"connectivity": "./broken.zip"}, "connectivity.from_file", "no whole zip"),
        ({"connectivity": "./surface.zip"}, "connectivity.from_file", "without weights"),
        (
            {"connectivity": "./c66.zip", "model": {"class": "Generic2dOscillator", "a": [1.0] * 76}},
            "model.a",
            "66 regions",
        ),
        (
            {"connectivity": "./c66.zip", "surface": surface("./absent.txt")},
            "surface.region_mapping_data.from_file",
            "region 66",
        ),
        (
            {"connectivity": "./c66.zip", "surface": surface("./words.txt")},
            "surface.region_mapping_data.from_file",
            "words.txt",
        ),
        (
            {"connectivity": "connectivity_66.zip", "surface": surface("regionMapping_16k_76.txt")},
            "surface.region_mapping_data.from_file",
            "region 75; expected 0 to 65",
        ),
        ({"sweep": {"connectivity": ["./none.zip"]}}, "sweep.grid.connectivity[0].from_file", "a file that is there"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_queued(folder, changes, path, words) -> None:
    (folder / "broken.zip").write_bytes(b"PK")
    (folder / "absent.txt").write_text("0\n66\n")
    (folder / "words.txt").write_text("one\ntwo\n")

    with pytest.raises(SpecError) as caught:
        locate(sweep({**SHORT, **changes}), folder)

    assert caught.value.path == path
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_weights_of_any_name_are_counted(folder, tmp_path) -> None:
    with zipfile.ZipFile(tmp_path / "own.zip", "w") as archive:
        archive.writestr("folder/my_weights_5.txt", "# comment\n" + "0 1 2 3 4\n" * 5 + "\n")

    with pytest.raises(SpecError, match="5 regions"):
        locate(
            sweep({**SHORT, "connectivity": "./own.zip", "model": {"class": "Generic2dOscillator", "a": [1.0] * 4}}),
            tmp_path,
        )
