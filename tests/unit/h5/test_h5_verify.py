"""Damaged files are found, each by its key."""

from datetime import UTC, datetime
from uuid import uuid4

import h5py
import numpy as np
import pytest
from h5_files import write

from tvb_batch.models.errors import OutputError
from tvb_batch.worker.h5 import verify as module
from tvb_batch.worker.h5.formats import REQUIRED, REQUIRED_TIME_SERIES
from tvb_batch.worker.h5.verify import portions, publish, sha256, verified, verify, verify_datatype

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


@pytest.mark.parametrize("wrong", ["1.0", [0.0], np.bytes_(b"0.0")], ids=str)
def test_statistics_of_another_type_are_named(series, wrong) -> None:
    path, gid = series
    damage(path, lambda file: file["data"].attrs.__setitem__("TVB_Minimum", wrong))

    with pytest.raises(OutputError, match=r"data@TVB_Minimum: .*, expected 0\.0"):
        verify(path, gid)


def test_a_series_may_be_longer_than_what_is_read_at_once(tmp_path, monkeypatch) -> None:
    data = np.random.default_rng(0).normal(size=(900, 2, 7, 1))
    head = write(tmp_path / "x.h5", data)
    short = verify(tmp_path / "x.h5", head.gid)
    monkeypatch.setattr(module, "WHOLE", 2000)
    monkeypatch.setattr(module, "BLOCK", 2000)

    with verified(tmp_path / "x.h5", head.gid) as found:
        assert found == short
        assert isinstance(short.numbers, np.ndarray)
        assert isinstance(found.numbers, h5py.Dataset)
        np.testing.assert_array_equal(found.numbers[()], data)
        blocks = [data[rows] for rows in portions(found.numbers)]
    np.testing.assert_array_equal(np.concatenate(blocks), data)
    assert len(blocks) > 1


@pytest.mark.parametrize("first", [3, 250, 499])
def test_times_that_do_not_increase_are_found_anywhere(tmp_path, monkeypatch, first: int) -> None:
    head = write(tmp_path / "x.h5", np.ones((500, 1, 1, 1)))
    monkeypatch.setattr(module, "WHOLE", 2000)
    monkeypatch.setattr(module, "BLOCK", 2000)  # 250 times

    def change(file: h5py.File) -> None:
        times = file["time"][()]
        times[first] = times[first - 1]
        attributes = {"TVB_Maximum": times.max(), "TVB_Mean": times.mean()}
        replaced("time", times, **attributes)(file)

    damage(tmp_path / "x.h5", change)

    with pytest.raises(OutputError, match="time: not strictly increasing"):
        verify(tmp_path / "x.h5", head.gid)


@pytest.mark.parametrize(("frames", "rows"), [(10, 50), (7, 56), (60, 58), (None, 58)])
def test_a_file_is_read_in_whole_chunks_where_they_are_small(tmp_path, monkeypatch, frames, rows: int) -> None:
    monkeypatch.setattr(module, "BLOCK", 58 * 8 * 6)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        dataset = file.create_dataset("data", (200, 2, 3), "f8", chunks=frames and (frames, 2, 3))

        found = list(portions(dataset))

    assert {part.stop - part.start for part in found} == {rows}
    assert [part.start for part in found] == list(range(0, 200, rows))


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


def test_a_file_that_is_not_there_gives_one_line(tmp_path) -> None:
    with pytest.raises(OutputError, match=r"gone\.h5") as caught:
        verify(tmp_path / "gone.h5", uuid4())

    assert "\n" not in str(caught.value)


def test_publishing_renames_the_file_and_keeps_its_checksum(series, tmp_path) -> None:
    path, gid = series
    before = verify(path, gid)

    publish(path, tmp_path / "final.h5")

    assert not path.exists()
    assert verify(tmp_path / "final.h5", gid) == before
    assert sha256(tmp_path / "final.h5") == before.sha256


def test_publishing_into_a_missing_directory_gives_one_line(series, tmp_path) -> None:
    path, _ = series

    with pytest.raises(OutputError, match="cannot be renamed"):
        publish(path, tmp_path / "gone" / "final.h5")

    assert path.exists()
