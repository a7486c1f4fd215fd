"""Files equal TVB 2's in every attribute, and are complete although they were streamed."""

import errno
import json
from uuid import UUID

import h5py
import numpy as np
import pytest
from h5_files import damage, header, write
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tvb_batch.models.errors import OutputError, StorageError
from tvb_batch.worker.h5.formats import LABELS_ORDERING
from tvb_batch.worker.h5.tvb2 import ArrayStatistics, encode, read_attribute, write_attribute, write_attributes
from tvb_batch.worker.h5.verify import verified, verify
from tvb_batch.worker.h5.writer import TimeSeriesWriter, has_lost_files

#: Name and HDF5 type of every attribute of a file that tvb-framework 2.10 wrote itself.
TVB_ROOT = {
    "TVB_Data_version": "int64", "TVB_connectivity": "str", "TVB_create_date": "str", "TVB_gid": "str", "TVB_invalid": "str",
    "TVB_is_nan": "str", "TVB_labels_dimensions": "str", "TVB_labels_ordering": "str", "TVB_operation_tag": "str",
    "TVB_sample_period": "float64", "TVB_sample_period_unit": "str", "TVB_start_time": "float64", "TVB_state": "str",
    "TVB_subject": "str", "TVB_title": "str", "TVB_visible": "str", "TVB_written_by": "str",
    **{f"TVB_user_tag_{n}": "str" for n in range(1, 6)},
}  # fmt: skip


def types_of(place) -> dict[str, str]:
    return {name: type(value).__name__ for name, value in place.attrs.items()}


def test_the_root_attributes_are_those_of_tvbs_own_file(tmp_path) -> None:
    head = write(tmp_path / "x.h5", np.ones((40, 2, 76, 1)))

    with h5py.File(tmp_path / "x.h5") as file:
        found = types_of(file)
        values = dict(file.attrs)
        kinds = {name: file.attrs.get_id(name).dtype for name, kind in found.items() if kind == "str"}
    assert found == {**TVB_ROOT, "TVB_nr_dimensions": "int64", "TVB_sample_rate": "float64"}
    assert all(h5py.check_string_dtype(kind).length is None for kind in kinds.values()), "variable length"
    assert all(h5py.check_string_dtype(kind).encoding == "utf-8" for kind in kinds.values())
    assert values["TVB_gid"] == head.gid.urn
    assert values["TVB_connectivity"] == f"urn:uuid:{UUID(int=5)}"
    assert values["TVB_create_date"] == "2026-01-02,03-04-05.000006"
    assert (values["TVB_visible"], values["TVB_invalid"], values["TVB_is_nan"]) == (
        "bool:True",
        "bool:False",
        "bool:False",
    )
    assert json.loads(values["TVB_labels_ordering"]) == ["Time", "State Variable", "Region", "Mode"]
    assert json.loads(values["TVB_labels_dimensions"]) == {"State Variable": ["y0", "y1"]}
    assert (values["TVB_Data_version"], values["TVB_nr_dimensions"], values["TVB_sample_rate"]) == (5, 4, 4000.0)
    assert values["TVB_written_by"] == "tvb.adapters.datatypes.h5.time_series_h5.TimeSeriesRegionH5"


def test_an_absent_reference_is_left_out(tmp_path) -> None:
    write(tmp_path / "x.h5", np.ones((4, 1, 1, 1)), datatype="TimeSeries", connectivity=None)

    with h5py.File(tmp_path / "x.h5") as file:
        assert "TVB_connectivity" not in file.attrs
        assert file.attrs["TVB_written_by"].endswith(".TimeSeriesH5")


@pytest.mark.parametrize(
    ("datatype", "reference"),
    [
        ("TimeSeriesSurface", "surface"),
        ("TimeSeriesEEG", "sensors"),
        ("TimeSeriesMEG", "sensors"),
        ("TimeSeriesSEEG", "sensors"),
    ],
)
def test_each_kind_of_series_names_its_class_and_references(tmp_path, datatype: str, reference: str) -> None:
    gid = UUID(int=7)

    head = write(tmp_path / "x.h5", np.ones((4, 1, 3, 1)), datatype=datatype, connectivity=None,
                 labels_ordering=LABELS_ORDERING[datatype], **{reference: gid})  # fmt: skip

    with h5py.File(tmp_path / "x.h5") as file:
        assert file.attrs["TVB_written_by"] == f"tvb.adapters.datatypes.h5.time_series_h5.{datatype}H5"
        assert file.attrs[f"TVB_{reference}"] == gid.urn
        assert "TVB_connectivity" not in file.attrs
    assert verify(tmp_path / "x.h5", head.gid).shape == (4, 1, 3, 1)


@pytest.mark.parametrize("datatype", LABELS_ORDERING)
def test_the_dimensions_are_called_as_tvb_calls_them(datatype: str) -> None:
    from tvb.datatypes import time_series

    assert LABELS_ORDERING[datatype] == tuple(getattr(time_series, datatype).labels_ordering.default)


def test_a_region_series_may_name_its_region_mapping(tmp_path) -> None:
    write(tmp_path / "x.h5", np.ones((4, 1, 3, 1)), region_mapping=UUID(int=8))

    with h5py.File(tmp_path / "x.h5") as file:
        assert file.attrs["TVB_region_mapping"] == UUID(int=8).urn


def test_provenance_has_its_own_group(tmp_path) -> None:
    writer = TimeSeriesWriter(tmp_path / "x.h5", header(), (1, 1, 1), {"spec": "x" * 100_000})
    writer.append(np.array([1.0]), np.ones((1, 1, 1, 1)))
    writer.close()

    with h5py.File(tmp_path / "x.h5") as file:
        assert file["tvb_batch"].attrs["spec"] == "x" * 100_000


values = st.floats(-1e6, 1e6) | st.sampled_from([np.nan, np.inf, -np.inf])


@given(
    hnp.arrays(
        np.float64, st.tuples(st.integers(1, 12), st.integers(1, 2), st.integers(1, 3), st.just(1)), elements=values
    ),
    st.integers(1, 5),
)
@settings(max_examples=40, deadline=None)
def test_statistics_do_not_depend_on_the_chunks(tmp_path_factory, data, chunks) -> None:
    path = tmp_path_factory.mktemp("h5") / "x.h5"

    head = write(path, data, chunks=chunks)

    with h5py.File(path) as file, np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(file["data"][()], data)
        found = file["data"].attrs
        np.testing.assert_equal(found["TVB_Minimum"], data.min())
        np.testing.assert_equal(found["TVB_Maximum"], data.max())
        np.testing.assert_allclose(found["TVB_Mean"], data.mean(), rtol=1e-9, atol=1e-6)
        assert found["TVB_IsFinite"] == f"bool:{bool(np.isfinite(data).all())}"
        assert found["TVB_HasComplex"] == "bool:False"
        assert file.attrs["TVB_is_nan"] == f"bool:{bool(np.isnan(data).any())}"
    verified = verify(path, head.gid)
    assert (verified.shape, verified.is_nan) == (data.shape, bool(np.isnan(data).any()))


@pytest.mark.parametrize("times", [[2.0, 1.0], [1.0, 1.0], [np.nan, 1.0], [0.5]])
def test_times_that_do_not_rise_are_refused(tmp_path, times) -> None:
    writer = TimeSeriesWriter(tmp_path / "x.h5", header(), (1, 1, 1), {})
    writer.append(np.array([0.5]), np.zeros((1, 1, 1, 1)))

    with pytest.raises(OutputError, match="increasing"):
        writer.append(np.array(times), np.zeros((len(times), 1, 1, 1)))
    writer.abort()


def test_a_chunk_of_another_shape_is_refused(tmp_path) -> None:
    writer = TimeSeriesWriter(tmp_path / "x.h5", header(), (1, 76, 1), {})

    with pytest.raises(OutputError, match="expected"):
        writer.append(np.array([1.0]), np.zeros((1, 1, 75, 1)))
    writer.abort()


def test_a_series_without_a_sample_is_refused(tmp_path) -> None:
    with pytest.raises(OutputError, match="no sample"):
        TimeSeriesWriter(tmp_path / "x.h5", header(), (1, 1, 1), {}).close()


def test_a_place_that_cannot_be_written_gives_one_line(tmp_path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(OutputError, match=r"x\.h5: cannot be written") as caught:
        TimeSeriesWriter(tmp_path / "file" / "x.h5", header(), (1, 1, 1), {})

    assert "\n" not in str(caught.value)
    assert caught.value.retryable


def test_a_refused_allocation_leaves_no_open_file(tmp_path, monkeypatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    monkeypatch.setattr("tvb_batch.worker.h5.writer.reserve", refuse)

    with pytest.raises(StorageError, match=r"x\.h5: cannot be written .*quota"):
        write(tmp_path / "x.h5", np.ones((4, 1, 1, 1)))

    assert not has_lost_files()
    monkeypatch.undo()
    write(tmp_path / "x.h5", np.ones((4, 1, 1, 1)))


def test_space_is_allocated_before_the_first_sample(tmp_path) -> None:
    writer = TimeSeriesWriter(tmp_path / "x.h5", header(), (2, 76, 1), {}, samples=20_000)

    claimed = (tmp_path / "x.h5").stat().st_blocks * 512

    writer.abort()
    assert claimed >= 20_000 * 8 * (2 * 76 + 1)


@pytest.mark.parametrize(("planned", "written"), [(1000, 1000), (1000, 700), (700, 1000), (None, 1000)])
def test_the_writer_returns_the_places_of_samples_only(tmp_path, planned, written: int) -> None:
    path, data = tmp_path / "x.h5", np.random.default_rng(0).normal(size=(written, 2, 76, 1))
    head, time = header(), 0.25 * np.arange(written) + 0.125
    writer = TimeSeriesWriter(path, head, (2, 76, 1), {"spec": "x" * 900}, planned)
    for first in range(0, written, 130):
        writer.append(time[first : first + 130], data[first : first + 130])

    places = writer.close()

    content = path.read_bytes()
    held = b"".join(content[start:end] for start, end in places)
    assert held.startswith(data.tobytes()[: 431 * data[0].nbytes])
    assert time.tobytes()[:1000] in held
    assert b"GCOL" not in held
    # Samples that were planned but not written leave a hole.
    assert len(content) - len(held) < 100_000 or planned > written
    with verified(path, head.gid, places) as found:
        np.testing.assert_array_equal(found.numbers[()], data)
    damage(path, 8, 0)
    with pytest.raises(OutputError, match="string heap is damaged"), verified(path, head.gid, places):
        pass


@pytest.mark.parametrize(
    "value", ["", "text", "ä" * 9, "x" * 100_000, np.float64(np.nan), np.float64(-1.5), np.int64(-7)]
)
def test_an_attribute_is_read_as_it_was_written(tmp_path, value) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        write_attribute(file, "name", value)
        found, by_h5py = read_attribute(file, "name"), file.attrs["name"]

    np.testing.assert_equal(found, value)
    np.testing.assert_equal(by_h5py, value)
    assert type(found) is type(by_h5py) is type(value)


@pytest.mark.parametrize(
    "value",
    [[1.0, 2.0], [1.0], ["a", "b"], ["a"], np.bytes_(b"x" * 16), np.float32(0.5), np.int8(3), True, h5py.Empty("f8")],
    ids=str,
)
def test_an_attribute_that_we_do_not_write_is_read_as_h5py_reads_it(tmp_path, value) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.attrs["name"] = value
        found, by_h5py = read_attribute(file, "name"), file.attrs["name"]

    assert type(found) is type(by_h5py)
    np.testing.assert_equal(found, by_h5py)


def test_attributes_replace_earlier_ones(tmp_path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        write_attributes(file, {"gid": UUID(int=1), "kept": 1})
        write_attributes(file, {"gid": UUID(int=2), "absent": None})

        assert dict(file.attrs) == {"TVB_gid": UUID(int=2).urn, "TVB_kept": 1}


def test_a_short_series_has_small_chunks(tmp_path) -> None:
    writer = TimeSeriesWriter(tmp_path / "x.h5", header(), (1, 1, 1), {}, samples=20)
    writer.append(np.arange(1.0, 21.0), np.zeros((20, 1, 1, 1)))
    writer.close()

    assert (tmp_path / "x.h5").stat().st_size < 50_000


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "bool:True"),
        (np.bool_(False), "bool:False"),
        ({"a": [1]}, '{"a": [1]}'),
        ((), "[]"),
        ("ä", "ä"),
        (UUID(int=1), UUID(int=1).urn),
    ],
)
def test_values_are_encoded_as_tvb_encodes_them(value, text: str) -> None:
    assert encode(value) == text


def test_statistics_of_nothing_are_finite() -> None:
    assert np.isfinite(ArrayStatistics().attributes()["TVB_Mean"])
