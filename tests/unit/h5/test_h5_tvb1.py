"""Files for TVB 1.4 to 1.5.x: readable by the rules of TVB 1.5.8, complete or absent, and checked by key."""

import json
import re
import shutil
import tracemalloc
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4
from xml.dom import minidom

import h5py
import numpy as np
import pytest
from h5_files import write
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tvb_objects import OBJECTS

from tvb_batch.models.errors import InputError, OutputError
from tvb_batch.models.tvb.array_rules import as_ascii
from tvb_batch.worker.h5 import verify
from tvb_batch.worker.h5.datatypes import write_datatype
from tvb_batch.worker.h5.region_mapping import write_mapping
from tvb_batch.worker.h5.tvb1.tvb1_convert import convert
from tvb_batch.worker.h5.tvb1.tvb1_faults import tvb1_faults
from tvb_batch.worker.h5.tvb1.tvb1_format import OPERATION_FIELDS, REQUIRED
from tvb_batch.worker.h5.tvb1.tvb1_zip import convert_bundle
from tvb_batch.worker.h5.tvb1.tvb1_zip_check import faults, is_tvb1
from tvb_batch.worker.tools import gui_check

FIFTH = UUID(int=5)
CREATED = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
EARLIER = datetime(2020, 1, 1, tzinfo=UTC)

#: Attributes of the notebook's files, and the statistics of a dataset.
ATTRIBUTES = {
    "Connectivity", "Create_date", "Data_version", "Gid", "Has_surface_mapping", "Has_volume_mapping", "Invalid", "Is_nan",
    "Labels_dimensions", "Labels_ordering", "Length_1d", "Length_2d", "Length_3d", "Length_4d", "Module", "Nr_dimensions",
    "Sample_period", "Sample_period_unit", "Sample_rate", "Start_time", "State", "Subject", "Title", "Type", "User_tag_1",
    "User_tag_2", "User_tag_3", "User_tag_4", "User_tag_5", "Visible",
}  # fmt: skip
STATISTICS = {"TVB_Minimum", "TVB_Maximum", "TVB_Mean"}

#: Fields that TVB 1 stores as JSON; it reads all others unchanged.
OF_JSON = {
    "Title": str, "Sample_period": float, "Sample_rate": float, "Start_time": float, "Sample_period_unit": str,
    "Nr_dimensions": int, "Length_1d": int, "Length_2d": int, "Length_3d": int, "Length_4d": int, "Labels_ordering": list,
    "Labels_dimensions": dict, "Has_surface_mapping": bool, "Has_volume_mapping": bool, "Number_of_regions": int,
    "Number_of_connections": int, "Undirected": int, "Saved_selection": list,
}  # fmt: skip


def understood(path) -> dict[str, object]:
    """Return the root attributes as TVB 1.5.8 reads them: prefixes, then JSON for the fields of its traits."""
    found: dict[str, object] = {}
    with h5py.File(path) as file:
        for key, value in file.attrs.items():
            name = key.removeprefix("TVB_")
            if isinstance(value, str):
                kind = h5py.check_string_dtype(file.attrs.get_id(key).dtype)
                assert (kind.encoding, kind.length) == ("ascii", None), key
                assert value.isascii()
                if value.startswith("bool:"):
                    value = value[5:].lower() in ("yes", "true", "t", "1")
                elif value.startswith("datetime:"):
                    value = datetime.strptime(value[9:], "%Y-%m-%d %H:%M:%S.%f")
            if name in OF_JSON:
                value = json.loads(value)
                assert type(value) is OF_JSON[name], key
            found[name] = value
    return found


def region_series(path, samples=7, *, connectivity=FIFTH, **changes):
    data = np.random.default_rng(1).normal(size=(samples, 2, 76, 1))
    return data, write(path, data, connectivity=connectivity, created=CREATED, **changes)


@pytest.fixture
def connectivity(tmp_path):
    found = OBJECTS["connectivity"]()
    path = tmp_path / f"Connectivity_{found.gid.hex}.h5"
    write_datatype(path, found, CREATED, subject="John Doe")
    return path, found


def names(directory) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def faults_of(path) -> list[str]:
    with h5py.File(path) as file:
        return list(tvb1_faults(file))


# -------------------------------------------------------------------------------------------------------- single files


def test_a_region_series_carries_what_tvb_1_reads(tmp_path) -> None:
    data, head = region_series(tmp_path / "x.h5", title="Ängste", user_tags=("ä", "b"), subject="Müller")

    path = convert(tmp_path / "x.h5", tmp_path / "y.h5")

    found = understood(path)
    assert set(found) == ATTRIBUTES
    assert found == {
        "Type": "TimeSeriesRegion", "Module": "tvb.datatypes.time_series", "Data_version": 4, "Gid": str(head.gid),
        "Connectivity": str(UUID(int=5)), "State": "RAW_DATA", "Subject": "Muller", "Title": "Ängste",
        "Create_date": datetime(2026, 1, 2, 3, 4, 5, 6), "Visible": True, "Invalid": False, "Is_nan": False,
        "Labels_ordering": ["Time", "State Variable", "Region", "Mode"], "Labels_dimensions": {"State Variable": ["y0", "y1"]},
        "Sample_period": 0.25, "Sample_rate": 4.0, "Sample_period_unit": "ms", "Start_time": 0.0, "Nr_dimensions": 4,
        "Length_1d": 7, "Length_2d": 2, "Length_3d": 76, "Length_4d": 1, "Has_surface_mapping": False,
        "Has_volume_mapping": False, "User_tag_1": "a", "User_tag_2": "b", "User_tag_3": "", "User_tag_4": "", "User_tag_5": "",
    }  # fmt: skip
    with h5py.File(path) as file:
        assert file.attrs["TVB_Title"] == '"\\u00c4ngste"'
        assert np.issubdtype(file.attrs["TVB_Data_version"].dtype, np.integer)
        np.testing.assert_array_equal(file["data"][()], data)
        for name in ("data", "time"):
            assert set(file[name].attrs) == STATISTICS
            values = file[name][()]
            statistics = [file[name].attrs[f"TVB_{key}"] for key in ("Minimum", "Maximum", "Mean")]
            assert statistics == pytest.approx([values.min(), values.max(), values.mean()])
        assert file["tvb_batch"].attrs["spec"] == "{}"


def test_the_encoding_is_that_of_tvb_1s_own_files(tmp_path) -> None:
    region_series(tmp_path / "x.h5")

    convert(tmp_path / "x.h5", tmp_path / "y.h5")

    with h5py.File(tmp_path / "y.h5") as file:
        texts = {
            name: file.attrs[f"TVB_{name}"]
            for name in ("Create_date", "Sample_period_unit", "Sample_rate", "Length_1d")
        }
        flags = {
            name: file.attrs[f"TVB_{name}"] for name in ("Visible", "Invalid", "Has_surface_mapping", "Start_time")
        }
    assert texts == {
        "Create_date": "datetime:2026-01-02 03:04:05.000006", "Sample_period_unit": '"ms"', "Sample_rate": "4.0", "Length_1d": "7",
    }  # fmt: skip
    assert flags == {
        "Visible": "bool:True",
        "Invalid": "bool:False",
        "Has_surface_mapping": "false",
        "Start_time": "0.0",
    }


def test_gids_of_a_project_are_referred_to(tmp_path) -> None:
    region_series(tmp_path / "x.h5")
    connectivity, mapping = uuid4(), uuid4()

    convert(tmp_path / "x.h5", tmp_path / "y.h5", connectivity_gid=connectivity, region_mapping_gid=mapping)

    found = understood(tmp_path / "y.h5")
    assert set(found) == ATTRIBUTES | {"Region_mapping"}
    assert (found["Connectivity"], found["Region_mapping"]) == (str(connectivity), str(mapping))
    assert found["Has_surface_mapping"] is True


def test_the_sources_region_mapping_is_not_named_because_tvb_1_would_refuse_it(tmp_path) -> None:
    region_series(tmp_path / "x.h5", region_mapping=UUID(int=9))

    convert(tmp_path / "x.h5", tmp_path / "y.h5")

    assert "Region_mapping" not in understood(tmp_path / "y.h5")


def test_a_plain_series_refers_to_nothing(tmp_path) -> None:
    write(tmp_path / "x.h5", np.ones((3, 2, 1, 1)), datatype="TimeSeries", connectivity=None)

    convert(tmp_path / "x.h5", tmp_path / "y.h5", connectivity_gid=uuid4(), region_mapping_gid=uuid4())

    found = understood(tmp_path / "y.h5")
    assert found["Type"] == "TimeSeries"
    assert set(found) == ATTRIBUTES - {"Connectivity"}


def test_a_connectivity_keeps_its_arrays(connectivity, tmp_path) -> None:
    source, expected = connectivity

    convert(source, tmp_path / "y.h5")

    found = understood(tmp_path / "y.h5")
    assert (found["Type"], found["Module"]) == ("Connectivity", "tvb.datatypes.connectivity")
    assert (found["Gid"], found["Data_version"]) == (str(expected.gid), 4)
    counts = expected.number_of_regions, expected.number_of_connections, 0, []
    assert (
        tuple(found[k] for k in ("Number_of_regions", "Number_of_connections", "Undirected", "Saved_selection"))
        == counts
    )
    with h5py.File(tmp_path / "y.h5") as file:
        for name in ("weights", "tract_lengths", "centres", "orientations", "areas", "cortical", "hemispheres"):
            np.testing.assert_array_equal(file[name][()], getattr(expected, name))
            assert set(file[name].attrs) == STATISTICS
        assert file["region_labels"].dtype.kind == "S"
        assert [label.decode() for label in file["region_labels"]] == expected.region_labels.tolist()


@given(
    hnp.arrays(np.float64, st.tuples(st.integers(1, 9), st.integers(1, 2), st.integers(1, 3), st.just(1)),
               elements=st.floats(-1e6, 1e6) | st.sampled_from([np.nan, np.inf])),
    st.integers(1, 3), st.text(max_size=9), st.floats(1e-3, 1e4),
)  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_a_series_does_not_depend_on_the_blocks(tmp_path_factory, data, frames, text, period) -> None:
    directory = tmp_path_factory.mktemp("h5")
    text = text.replace("\0", "")  # HDF5's texts end at a zero byte.
    labels = {"State Variable": [text]}
    write(directory / "x.h5", data, title=text, subject=text, sample_period=period, labels_dimensions=labels)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verify, "BLOCK", frames * 8 * int(np.prod(data.shape[1:])))
        convert(directory / "x.h5", directory / "y.h5")

    found = understood(directory / "y.h5")
    assert (found["Title"], found["Sample_period"], found["Labels_dimensions"]) == (text, period, labels)
    assert found["Is_nan"] == bool(np.isnan(data).any())
    with h5py.File(directory / "y.h5") as file:
        np.testing.assert_array_equal(file["data"][()], data)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Müller", "Muller"),
        ("日", "?"),
        ("", ""),
        ("a b", "a b"),
        ("é́", "e"),
        ("Größe", "Grosse"),
        ("GrÃ¶Ã\x9fe", "Grosse"),
    ],
)
def test_texts_become_the_nearest_ascii(text: str, expected: str) -> None:
    assert as_ascii(text) == expected


def test_memory_is_bounded_by_the_block(tmp_path) -> None:
    write(tmp_path / "x.h5", np.random.default_rng(1).normal(size=(20_000, 2, 76, 1)), chunks=50)
    convert(tmp_path / "x.h5", tmp_path / "y.h5")

    tracemalloc.start()
    convert(tmp_path / "x.h5", tmp_path / "y.h5")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert (tmp_path / "y.h5").stat().st_size > 24e6
    assert peak < 5e6


# --------------------------------------------------------------------------------------------------- what goes wrong


def damage(path, change) -> None:
    with h5py.File(path, "r+") as file:
        change(file)


@pytest.mark.parametrize(
    "name",
    [
        "written_by",
        "gid",
        "create_date",
        "connectivity",
        "sample_period",
        "state",
        "user_tag_5",
        "title",
        "labels_ordering",
    ],
)
def test_a_source_without_an_attribute_is_named_and_leaves_nothing(tmp_path, name: str) -> None:
    region_series(tmp_path / "x.h5")
    damage(tmp_path / "x.h5", lambda file: file.attrs.__delitem__(f"TVB_{name}"))

    with pytest.raises(OutputError, match=f"x.h5::TVB_{name}: missing"):
        convert(tmp_path / "x.h5", tmp_path / "y.h5")

    assert names(tmp_path) == ["x.h5"]


@pytest.mark.parametrize(
    ("name", "value"), [("gid", "x"), ("create_date", "2020"), ("sample_period", "often"), ("labels_ordering", "[")]
)
def test_a_source_with_a_wrong_attribute_is_named(tmp_path, name: str, value: str) -> None:
    region_series(tmp_path / "x.h5")
    damage(tmp_path / "x.h5", lambda file: file.attrs.__setitem__(f"TVB_{name}", value))

    with pytest.raises(OutputError, match=f"x.h5::TVB_{name}: .* cannot be read"):
        convert(tmp_path / "x.h5", tmp_path / "y.h5")

    assert names(tmp_path) == ["x.h5"]


def test_a_series_whose_data_tvb_1_cannot_show_is_refused(tmp_path) -> None:
    region_series(tmp_path / "x.h5")
    damage(tmp_path / "x.h5", lambda file: (file.__delitem__("data"), file.__setitem__("data", np.zeros((7, 2)))))

    with pytest.raises(OutputError, match="data: shape"):
        convert(tmp_path / "x.h5", tmp_path / "y.h5")

    assert names(tmp_path) == ["x.h5"]


def test_datatypes_that_tvb_1_lacks_are_refused(tmp_path) -> None:
    write(tmp_path / "x.h5", np.ones((3, 2, 5, 1)), datatype="TimeSeriesSurface", connectivity=None, surface=uuid4())

    with pytest.raises(
        InputError,
        match="cannot convert TimeSeriesSurface to TVB 1; expected one of Connectivity, CorticalSurface, RegionMapping, TimeSeries",
    ):
        convert(tmp_path / "x.h5", tmp_path / "y.h5")


@pytest.mark.parametrize("content", [None, b"no"])
def test_a_source_that_cannot_be_opened_gives_one_line(tmp_path, content) -> None:
    if content is not None:
        (tmp_path / "x.h5").write_bytes(content)

    with pytest.raises(OutputError, match=r"x\.h5: not a readable H5 file") as caught:
        convert(tmp_path / "x.h5", tmp_path / "y.h5")

    assert "\n" not in str(caught.value)


def test_a_target_that_cannot_be_written_gives_one_line(tmp_path) -> None:
    region_series(tmp_path / "x.h5")
    (tmp_path / "file").write_text("")

    with pytest.raises(OutputError, match="cannot be written") as caught:
        convert(tmp_path / "x.h5", tmp_path / "file" / "y.h5")

    assert "\n" not in str(caught.value)


def test_an_old_file_stays_when_the_new_one_fails(tmp_path) -> None:
    region_series(tmp_path / "x.h5")
    convert(tmp_path / "x.h5", tmp_path / "y.h5")
    before = (tmp_path / "y.h5").read_bytes()
    damage(tmp_path / "x.h5", lambda file: file.attrs.__delitem__("TVB_title"))

    with pytest.raises(OutputError):
        convert(tmp_path / "x.h5", tmp_path / "y.h5")

    assert (tmp_path / "y.h5").read_bytes() == before


# ----------------------------------------------------------------------------------------------------------- the check


@pytest.fixture(scope="module")
def converted(tmp_path_factory) -> dict[str, Path]:
    """Return a converted file of each datatype."""
    folder = tmp_path_factory.mktemp("tvb1")
    found = OBJECTS["connectivity"]()
    write_datatype(folder / "c.h5", found, CREATED, subject="John Doe")
    region_series(folder / "r.h5")
    write(folder / "t.h5", np.ones((3, 2, 1, 1)), datatype="TimeSeries", connectivity=None)
    written = write_mapping(folder / "c.h5", found.gid, CREATED, folder)
    assert written is not None
    sources = {
        "TimeSeriesRegion": folder / "r.h5", "TimeSeries": folder / "t.h5", "Connectivity": folder / "c.h5",
        "CorticalSurface": written.surface, "RegionMapping": written.mapping,
    }  # fmt: skip
    return {name: convert(source, folder / f"{name}.h5") for name, source in sources.items()}


@pytest.fixture
def files(tmp_path, converted) -> dict[str, Path]:
    """Return copies of them, which a test may change."""
    return {name: Path(shutil.copyfile(path, tmp_path / f"{name}.h5")) for name, path in converted.items()}


def test_written_files_have_no_faults(files) -> None:
    assert {name: faults_of(path) for name, path in files.items()} == {name: [] for name in REQUIRED}


@pytest.mark.parametrize(
    ("datatype", "name"), [(datatype, name) for datatype, names in REQUIRED.items() for name in names]
)
def test_a_missing_attribute_is_named(files, datatype: str, name: str) -> None:
    damage(files[datatype], lambda file: file.attrs.__delitem__(f"TVB_{name}"))

    assert faults_of(files[datatype]) == [f"TVB_{name}: missing"]


@pytest.mark.parametrize("name", sorted((ATTRIBUTES | {"Region_mapping"}) - {"Data_version"}))
def test_a_text_of_h5pys_own_kind_is_named(files, name: str) -> None:
    path = files["TimeSeriesRegion"]
    damage(path, lambda file: file.attrs.__setitem__(f"TVB_{name}", str(file.attrs.get(f"TVB_{name}", ""))))

    assert faults_of(path) == [f"TVB_{name}: a UTF-8 text, expected an ASCII one"]


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("Data_version", 5, "5, expected the number 4"),
        ("Data_version", b"4", "of type text, expected the number 4"),
        ("Data_version", [4], r"an array of shape \(1,\)"),
        ("Type", b"Surface", "'Surface', expected one of 'Connectivity'"),
        ("Module", b"tvb.datatypes.connectivity", "expected 'tvb.datatypes.time_series' for a TimeSeriesRegion"),
        ("Gid", b"urn:uuid:00000000-0000-0000-0000-000000000005", "a gid with dashes"),
        ("Connectivity", b"", "a gid with dashes"),
        ("Region_mapping", b"none", "or nothing"),
        ("State", b"raw", "RAW_DATA"),
        ("Create_date", b"2026-01-02 03:04:05.000006", "a date such as datetime:"),
        ("Create_date", b"datetime:2026-01-02 03:04:05", "a date such as datetime:"),
        ("Visible", b"True", "expected one of 'bool:True'"),
        ("Title", b"unquoted", "in quotation marks"),
        ("Sample_period_unit", b"ms", "in quotation marks"),
        ("Sample_period", b"0.0", "above 0"),
        ("Sample_period", 0.25, "expected an ASCII text"),
        ("Start_time", b"soon", "JSON of a number"),
        ("Labels_ordering", b"{}", "a JSON list"),
        ("Labels_dimensions", b"[]", "a JSON dict"),
        ("Length_1d", b"7.0", "JSON of a count"),
        ("Length_1d", b"8", "'8', but the data has 7"),
        ("Nr_dimensions", b"3", "but the data has 4"),
        ("Has_surface_mapping", b"bool:False", '"true" or "false"'),
    ],
)  # fmt: skip
def test_a_wrong_value_is_named(files, name: str, value, words: str) -> None:
    path = files["TimeSeriesRegion"]
    damage(
        path,
        lambda file: file.attrs.__setitem__(f"TVB_{name}", np.bytes_(value) if isinstance(value, bytes) else value),
    )

    [fault] = faults_of(path)

    assert fault.startswith(f"TVB_{name}: ")
    assert re.search(words, fault), fault


def test_bytes_of_a_fixed_length_are_right_too(files) -> None:
    path = files["TimeSeriesRegion"]
    damage(path, lambda file: file.attrs.__setitem__("TVB_Title", np.bytes_(b'"t"')))

    assert faults_of(path) == []


def replaced(name: str, values):
    def change(file: h5py.File) -> None:
        kept = dict(file[name].attrs)
        del file[name]
        file[name] = values
        file[name].attrs.update(kept)

    return change


@pytest.mark.parametrize(
    ("datatype", "change", "fault"),
    [
        ("TimeSeries", lambda file: file.__delitem__("data"), "data: missing"),
        ("TimeSeries", lambda file: file.__delitem__("time"), "time: missing"),
        ("TimeSeries", replaced("data", np.ones((3, 2))), "data: shape (3, 2), expected four dimensions and at least one sample"),
        ("TimeSeries", replaced("time", np.ones(2) * 0.375), "time: shape (2,), expected (3,)"),
        ("TimeSeries", lambda file: file["data"].attrs.__delitem__("TVB_Minimum"), "data@TVB_Minimum: missing"),
        ("TimeSeries", lambda file: file["data"].attrs.__setitem__("TVB_Maximum", 7.0), "data@TVB_Maximum: 7.0, expected 1.0"),
        ("Connectivity", lambda file: file.__delitem__("weights"), "weights: missing"),
        ("Connectivity", lambda file: file.__delitem__("centres"), "centres: missing"),
        ("Connectivity", lambda file: file["weights"].attrs.__delitem__("TVB_Mean"), "weights@TVB_Mean: missing"),
        ("Connectivity", replaced("region_labels", np.array([b"a"])), "region_labels: shape (1,), expected (76,)"),
        ("Connectivity", lambda file: file.attrs.__setitem__("TVB_Number_of_regions", np.bytes_("75")), "TVB_Number_of_regions: '75', but the data has 76"),
    ],
    ids=range(11),
)  # fmt: skip
def test_wrong_content_is_named(files, datatype: str, change, fault: str) -> None:
    damage(files[datatype], change)

    assert fault in faults_of(files[datatype])


# ------------------------------------------------------------------------------------------------------------- the ZIP


def members_of(bundle, directory) -> dict[str, dict[str, object]]:
    with zipfile.ZipFile(bundle) as archive:
        assert archive.testzip() is None
        archive.extractall(directory)
        return {name: understood(directory / name) for name in archive.namelist() if name.endswith(".h5")}


def test_the_zip_is_one_operation_with_rising_dates(tmp_path, connectivity) -> None:
    path, found = connectivity
    heads = [region_series(tmp_path / f"{n}.h5", connectivity=found.gid)[1] for n in range(3)]
    write(tmp_path / "t.h5", np.ones((3, 2, 1, 1)), datatype="TimeSeries", connectivity=None, created=EARLIER)

    bundle = convert_bundle([*(tmp_path / f"{n}.h5" for n in range(3)), tmp_path / "t.h5", path], tmp_path / "b.zip")

    members = members_of(bundle, tmp_path / "out")
    assert next(iter(members)) == f"Operation_1/Connectivity_{found.gid}.h5"
    assert {f"Operation_1/TimeSeriesRegion_{head.gid}.h5" for head in heads} < set(members)
    dates = [member["Create_date"] for member in members.values()]
    assert dates == sorted(set(dates))
    assert all(faults_of(tmp_path / "out" / name) == [] for name in members)
    assert not list(tmp_path.glob(".tvb1-*"))


def test_the_operation_file_holds_what_tvb_1_asks_of_it(tmp_path) -> None:
    region_series(tmp_path / "x.h5")

    bundle = convert_bundle([tmp_path / "x.h5"], tmp_path / "b.zip", connectivity_gid=UUID(int=5))

    with zipfile.ZipFile(bundle) as archive:
        root = minidom.parseString(archive.read("Operation_1/Operation.xml").decode("ascii")).documentElement
    fields = {node.nodeName: "".join(child.data for child in node.childNodes).strip()
              for node in root.childNodes if node.nodeType == node.ELEMENT_NODE}  # fmt: skip
    assert set(fields) == set(OPERATION_FIELDS)
    assert (root.nodeName, root.getAttribute("Data_version")) == ("tvb_data", "4")
    assert json.loads(fields["fk_from_algo"]) == {
        "module": "tvb.adapters.uploaders.tvb_importer",
        "classname": "TVBImporter",
    }
    for name in ("create_date", "start_date", "completion_date"):
        assert datetime.strptime(fields[name], "%Y-%m-%d,%H-%M-%S.%f") == CREATED.replace(tzinfo=None)
    assert (fields["status"], fields["visible"]) == ("5-FINISHED", "True")
    assert "fk_operation_group" not in fields


def test_a_zip_for_a_known_connectivity_carries_none(tmp_path, connectivity) -> None:
    path, found = connectivity
    region_series(tmp_path / "x.h5", connectivity=found.gid)
    known, mapping = uuid4(), uuid4()

    bundle = convert_bundle(
        [path, tmp_path / "x.h5"], tmp_path / "b.zip", connectivity_gid=known, region_mapping_gid=mapping
    )

    [member] = members_of(bundle, tmp_path / "out").values()
    assert (member["Connectivity"], member["Region_mapping"]) == (str(known), str(mapping))


@pytest.mark.parametrize(
    ("sources", "known", "error", "words"),
    [
        (["x.h5"], None, OutputError, "not among the files"),
        (["x.h5", "x.h5"], UUID(int=1), OutputError, "twice"),
        ([], None, InputError, "nothing to put"),
        (["bad.h5"], None, OutputError, "bad.h5: not a readable"),
        (["x.h5", "s.h5"], UUID(int=1), InputError, "cannot convert TimeSeriesSurface to TVB 1"),
    ],
)
def test_a_zip_that_tvb_1_would_refuse_is_not_written(tmp_path, sources, known, error, words: str) -> None:
    region_series(tmp_path / "x.h5")
    (tmp_path / "bad.h5").write_bytes(b"no")
    write(tmp_path / "s.h5", np.ones((3, 2, 5, 1)), datatype="TimeSeriesSurface", connectivity=None, surface=uuid4())

    with pytest.raises(error, match=words):
        convert_bundle([tmp_path / name for name in sources], tmp_path / "b.zip", connectivity_gid=known)

    assert not list(tmp_path.glob("b.zip*"))


def test_a_zip_whose_member_fails_leaves_nothing(tmp_path) -> None:
    region_series(tmp_path / "x.h5")
    damage(tmp_path / "x.h5", lambda file: file.attrs.__delitem__("TVB_title"))

    with pytest.raises(OutputError, match="TVB_title: missing"):
        convert_bundle([tmp_path / "x.h5"], tmp_path / "b.zip", connectivity_gid=uuid4())

    assert names(tmp_path) == ["x.h5"]


# --------------------------------------------------------------------------------------------------- the ZIP's check


@pytest.fixture
def bundle(tmp_path, connectivity):
    path, found = connectivity
    region_series(tmp_path / "x.h5", connectivity=found.gid)
    return convert_bundle([path, tmp_path / "x.h5"], tmp_path / "b.zip")


def rewritten(bundle, change) -> None:
    """Write the ZIP again with the result of `change` for its members (name to bytes)."""
    with zipfile.ZipFile(bundle) as archive:
        members = change({name: archive.read(name) for name in archive.namelist()})
    with zipfile.ZipFile(bundle, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def without(part: str):
    return lambda members: {name: content for name, content in members.items() if part not in name}


def in_operation(old: bytes, new: bytes):
    return lambda members: {n: c.replace(old, new) if n.endswith("xml") else c for n, c in members.items()}


def renamed(field: str):
    return lambda members: {
        n: re.sub(f"(</?){field}\\b".encode(), rb"\1other", c) if n.endswith("xml") else c for n, c in members.items()
    }


def in_member(kind: str, change, directory):
    """Change the H5 file of one datatype."""

    def changed(members):
        [name] = [name for name in members if f"/{kind}_" in name]
        path = directory / "changed.h5"
        path.write_bytes(members[name])
        damage(path, change)
        return {**members, name: path.read_bytes()}

    return changed


def test_converted_files_have_no_faults(files, bundle, tmp_path) -> None:
    assert [faults(path) for path in (*files.values(), bundle)] == [[]] * (len(files) + 1)
    assert all(is_tvb1(path) for path in (*files.values(), bundle))
    assert not is_tvb1(tmp_path / "x.h5")
    rewritten(bundle, without("Connectivity_"))
    assert gui_check.faults(bundle) == faults(bundle) != []
    assert not is_tvb1(tmp_path / "gone.h5")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (without("Operation.xml"), "Operation_1/Operation.xml: missing"),
        (without("Connectivity_"), "TimeSeriesRegion_.*h5::TVB_Connectivity: .* is not in the ZIP"),
        (without(".h5"), "b.zip: no H5 file in it"),
        (lambda members: {n.removeprefix("Operation_1/"): c for n, c in members.items()}, "beside the folders"),
        (in_operation(b"tvb_data", b"tvb data"), "Operation.xml::not readable XML"),
        (in_operation(b"<tvb_data", b'<!DOCTYPE a [<!ENTITY b "c">]><tvb_data'), "it declares entities"),
        (in_operation(b"2026-01-02,", b"2026-01-02 "), "create_date: '2026-01-02 03-04-05.000006', expected a date"),
        (in_operation(b'"classname"', b'"class"'), "fk_from_algo: .*expected JSON with module and classname"),
        (in_operation(b'{"module"', b'"module"'), "fk_from_algo: .*expected JSON with module and classname"),
        *((renamed(name), f"Operation.xml::{name}: missing") for name in OPERATION_FIELDS),
    ],
    ids=range(9 + len(OPERATION_FIELDS)),
)  # fmt: skip
def test_a_zip_that_lacks_something_is_named(bundle, change, words: str) -> None:
    rewritten(bundle, change)

    assert any(re.search(words, fault) for fault in faults(bundle)), faults(bundle)


@pytest.mark.parametrize(
    ("kind", "name", "value", "words"),
    [
        ("TimeSeriesRegion", "Create_date", b"datetime:2026-01-02 03:04:05.000006", "TimeSeriesRegion_.*::TVB_Create_date: .*expected after"),
        ("TimeSeriesRegion", "Create_date", b"datetime:2020-01-02 03:04:05.000006", "TimeSeriesRegion_.*::TVB_Create_date: .*expected after"),
        ("TimeSeriesRegion", "Create_date", b"2020", "TimeSeriesRegion_.*::TVB_Create_date: no date"),
        ("Connectivity", "Create_date", b"2020", "Connectivity_.*::TVB_Create_date: no date"),
        ("TimeSeriesRegion", "Connectivity", b"00000000-0000-0000-0000-000000000001", "TVB_Connectivity: .*1 is not in the ZIP"),
        ("TimeSeriesRegion", "Region_mapping", b"00000000-0000-0000-0000-000000000001", "TVB_Region_mapping: .*1 is not in the ZIP"),
        ("Connectivity", "State", b"?", "Connectivity_.*::TVB_State: "),
    ],
    ids=range(7),
)  # fmt: skip
def test_a_member_that_does_not_fit_is_named(bundle, tmp_path, kind: str, name: str, value: bytes, words: str) -> None:
    rewritten(bundle, in_member(kind, lambda file: file.attrs.__setitem__(f"TVB_{name}", np.bytes_(value)), tmp_path))

    assert any(re.search(words, fault) for fault in faults(bundle)), faults(bundle)


def test_two_members_of_one_gid_are_named(bundle) -> None:
    rewritten(
        bundle,
        lambda members: {
            **members,
            **{n.replace("Region_", "Region_copy_"): c for n, c in members.items() if "Region_" in n},
        },
    )

    [fault] = faults(bundle)

    assert re.search(r"TimeSeriesRegion_copy_.*::TVB_Gid: .* is that of Operation_1/TimeSeriesRegion_", fault)


def test_a_reference_to_what_the_project_holds_is_right(tmp_path) -> None:
    region_series(tmp_path / "x.h5")
    known, mapping = uuid4(), uuid4()
    bundle = convert_bundle([tmp_path / "x.h5"], tmp_path / "b.zip", connectivity_gid=known, region_mapping_gid=mapping)

    assert len(faults(bundle)) == 2
    assert faults(bundle, existing={known, mapping}) == []


def test_a_changed_byte_fails_the_checksum(bundle) -> None:
    content = bytearray(bundle.read_bytes())
    content[len(content) // 2] ^= 0xFF
    bundle.write_bytes(content)

    assert any("damaged (Bad CRC-32" in fault for fault in faults(bundle))


@pytest.mark.parametrize("keep", [0, 1, 4, 100, 5000])
def test_a_truncated_file_is_one_fault(files, bundle, keep: int) -> None:
    for path in (files["TimeSeries"], bundle):
        path.write_bytes(path.read_bytes()[:keep])

        [fault] = faults(path)

        assert fault.startswith(f"{path}: not a readable")


def test_a_missing_file_is_one_fault(tmp_path) -> None:
    assert faults(tmp_path / "gone.zip") == [f"{tmp_path / 'gone.zip'}: cannot be read (No such file or directory)"]


@pytest.mark.parametrize("seed", range(20))
def test_damaged_bytes_are_a_fault_and_never_an_exception(files, bundle, tmp_path, seed: int) -> None:
    # Fixed seeds: on a few damaged files HDF5 itself never returns.
    generator = np.random.default_rng(seed)
    for source in (*files.values(), bundle):
        content = bytearray(source.read_bytes())
        for place in generator.integers(0, min(len(content), 12_000), 5):
            content[place] ^= int(generator.integers(1, 256))
        path = tmp_path / f"damaged{source.suffix}"
        path.write_bytes(content)

        found = faults(path)

        assert all(fault.startswith(str(path)) and "\n" not in fault for fault in found)
