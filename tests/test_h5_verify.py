"""Damaged files are caught, each by its key."""

from datetime import UTC, datetime
from uuid import uuid4

import h5py
import numpy as np
import pytest
from test_h5_writer import write

from models.errors import OutputError
from worker.h5.formats import REQUIRED, REQUIRED_TIME_SERIES
from worker.h5.verify import publish, sha256, verify, verify_datatype

NOW = datetime.now(UTC)


@pytest.fixture
def series(tmp_path):
    path = tmp_path / "x.h5"
    head = write(path, np.arange(24.0).reshape(6, 2, 2, 1))
    return path, head.gid


def damage(path, change) -> None:
    with h5py.File(path, "r+") as file:
        change(file)


def replaced(name: str, values, **attributes):
    def change(file: h5py.File) -> None:
        kept = dict(file[name].attrs)
        del file[name]
        file[name] = values
        file[name].attrs.update({**kept, **attributes})

    return change


@pytest.mark.parametrize("name", REQUIRED + REQUIRED_TIME_SERIES)
def test_a_missing_attribute_is_named(series, name: str) -> None:
    path, gid = series
    damage(path, lambda file: file.attrs.__delitem__(f"TVB_{name}"))

    with pytest.raises(OutputError, match=f"x.h5::TVB_{name}: missing"):
        verify(path, gid)


@pytest.mark.parametrize("name", ["Minimum", "Maximum", "Mean", "IsFinite", "HasComplex"])
@pytest.mark.parametrize("dataset", ["data", "time"])
def test_missing_or_wrong_statistics_are_named(series, dataset: str, name: str) -> None:
    path, gid = series
    wrong = "bool:Maybe" if name in ("IsFinite", "HasComplex") else 1e9
    damage(path, lambda file: file[dataset].attrs.__setitem__(f"TVB_{name}", wrong))
    with pytest.raises(OutputError, match=f"{dataset}@TVB_{name}: .*, expected"):
        verify(path, gid)

    damage(path, lambda file: file[dataset].attrs.__delitem__(f"TVB_{name}"))
    with pytest.raises(OutputError, match=f"{dataset}@TVB_{name}: missing"):
        verify(path, gid)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda file: file.__delitem__("data"), "data: missing"),
        (lambda file: file.__delitem__("time"), "time: missing"),
        (replaced("data", np.zeros((6, 2, 2))), "four dimensions"),
        (replaced("data", np.zeros((0, 2, 2, 1))), "at least one sample"),
        (replaced("time", np.zeros(5)), "time: shape"),
        (replaced("time", np.full(6, 1.0), TVB_Minimum=1.0, TVB_Maximum=1.0, TVB_Mean=1.0), "not strictly increasing"),
        (lambda file: file.attrs.__setitem__("TVB_is_nan", "bool:True"), "TVB_is_nan"),
        (lambda file: file.attrs.__setitem__("TVB_Data_version", 4), "expected 5"),
        (lambda file: file["data"].__setitem__((3, 1, 1, 0), 77.0), "data@TVB_Maximum"),
    ],
    ids=range(9),
)
def test_wrong_content_is_named(series, change, words: str) -> None:
    path, gid = series
    damage(path, change)

    with pytest.raises(OutputError, match=words):
        verify(path, gid)


def test_another_gid_is_refused(series) -> None:
    path, gid = series
    assert verify_datatype(path, gid) is None

    for check in (verify, verify_datatype):
        with pytest.raises(OutputError, match="TVB_gid"):
            check(path, uuid4())


@pytest.mark.parametrize("keep", [0, 100, 3000])
def test_a_truncated_file_is_refused(series, keep: int) -> None:
    path, gid = series
    path.write_bytes(path.read_bytes()[:keep])

    with pytest.raises(OutputError, match=r"x\.h5"):
        verify(path, gid)


def test_a_file_that_is_not_there_is_one_line(tmp_path) -> None:
    with pytest.raises(OutputError, match=r"gone\.h5") as caught:
        verify(tmp_path / "gone.h5", uuid4())

    assert "\n" not in str(caught.value)


def test_publishing_renames_and_the_sum_stays(series, tmp_path) -> None:
    path, gid = series
    before = verify(path, gid)

    publish(path, tmp_path / "final.h5")

    assert not path.exists()
    assert verify(tmp_path / "final.h5", gid) == before
    assert sha256(tmp_path / "final.h5") == before.sha256


def test_publishing_into_nowhere_is_one_line(series, tmp_path) -> None:
    path, _ = series

    with pytest.raises(OutputError, match="cannot be named"):
        publish(path, tmp_path / "gone" / "final.h5")

    assert path.exists()
