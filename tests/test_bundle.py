"""The ZIP for the GUI: complete, in order, whole or not at all."""

import subprocess
import sys
import zipfile
from datetime import UTC, datetime
from uuid import uuid4

import h5py
import numpy as np
import pytest
from test_h5_writer import write

from models.errors import OutputError
from models.paths import Storage
from worker.bundle import write_bundle
from worker.h5.writer import write_connectivity
from worker.inputs import load_connectivity

LONG_AGO, LATER = datetime(2020, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def connectivity(tmp_path):
    found = load_connectivity("connectivity_76.zip", Storage(tmp_path))
    path = tmp_path / f"Connectivity_{found.gid.hex}.h5"
    write_connectivity(path, found, found.gid, LATER, subject="s")
    return path, found.gid


def series(tmp_path, connectivity, created=LATER):
    path = tmp_path / f"TimeSeriesRegion_{uuid4().hex}.h5"
    write(path, np.ones((3, 1, 76, 1)), connectivity=connectivity, created=created)
    return path


def dates(bundle, tmp_path) -> list[str]:
    with zipfile.ZipFile(bundle) as archive:
        archive.extractall(tmp_path / "out")
        names = archive.namelist()
    found = []
    for name in names:
        with h5py.File(tmp_path / "out" / name) as file:
            found.append(str(file.attrs["TVB_create_date"]))
    return found


@pytest.mark.parametrize("created", [LONG_AGO, LATER])
def test_dates_rise_in_the_order_of_dependency_even_where_the_files_do_not(tmp_path, connectivity, created) -> None:
    path, gid = connectivity
    files = [series(tmp_path, gid, created) for _ in range(3)]

    bundle = write_bundle([*files, path], tmp_path / "b.zip")

    with zipfile.ZipFile(bundle) as archive:
        assert archive.namelist()[0] == path.name
        assert archive.testzip() is None
    found = dates(bundle, tmp_path)
    assert found == sorted(set(found))
    assert len(found) == 4


def test_the_files_themselves_stay_as_they_are(tmp_path, connectivity) -> None:
    path, gid = connectivity
    one = series(tmp_path, gid, LONG_AGO)
    before = one.read_bytes()

    write_bundle([path, one], tmp_path / "b.zip")

    assert one.read_bytes() == before


def test_a_reference_that_is_missing_is_refused(tmp_path) -> None:
    one = series(tmp_path, uuid4())

    with pytest.raises(OutputError, match="not among the files"):
        write_bundle([one], tmp_path / "b.zip")

    assert not list(tmp_path.glob("b.zip*"))


def test_a_file_in_twice_is_refused(tmp_path, connectivity) -> None:
    path, gid = connectivity
    one = series(tmp_path, gid)

    with pytest.raises(OutputError, match="twice"):
        write_bundle([path, one, one], tmp_path / "b.zip")


def test_a_damaged_file_is_named(tmp_path, connectivity) -> None:
    path, _ = connectivity
    (tmp_path / "bad.h5").write_bytes(b"no")

    with pytest.raises(OutputError, match=r"bad\.h5"):
        write_bundle([path, tmp_path / "bad.h5"], tmp_path / "b.zip")


def test_an_old_bundle_stays_when_the_new_one_fails(tmp_path, connectivity) -> None:
    path, _ = connectivity
    write_bundle([path], tmp_path / "b.zip")
    before = (tmp_path / "b.zip").read_bytes()

    with pytest.raises(OutputError):
        write_bundle([path, series(tmp_path, uuid4())], tmp_path / "b.zip")

    assert (tmp_path / "b.zip").read_bytes() == before


def test_as_a_program_it_says_in_one_line_what_is_wrong(tmp_path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "worker.bundle", str(tmp_path / "b.zip")],
        input=str(tmp_path / "gone.h5"), capture_output=True, text=True, timeout=60,
    )  # fmt: skip

    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert "gone.h5" in done.stderr
