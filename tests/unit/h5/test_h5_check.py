"""Every fault of a file or ZIP is named by file and key, and a correct file has none."""

import subprocess
import sys
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import h5py
import numpy as np
import pytest
from h5_files import write
from tvb_objects import OBJECTS, ONE_OF_EACH

from tvb_batch.models.errors import InputError
from tvb_batch.models.tvb.input_store import check_file
from tvb_batch.models.worker_protocol import CheckFiles
from tvb_batch.worker.h5.datatypes import file_prefix, write_datatype
from tvb_batch.worker.h5.formats import FORMATS, LABELS_ORDERING, REQUIRED
from tvb_batch.worker.h5.gui.view_models import ViewModel, import_record, write_measure, write_view_model
from tvb_batch.worker.h5.gui.write import write_data
from tvb_batch.worker.h5.tvb2 import common, write_attributes
from tvb_batch.worker.h5.validation.rules import ATTRIBUTES, RECORDS
from tvb_batch.worker.tools.gui_check import faults

CREATED = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)


def make(datatype: str, path: Path) -> Path:
    """Write a correct file of any datatype."""
    if datatype in LABELS_ORDERING:
        ordering, wanted = LABELS_ORDERING[datatype], FORMATS[datatype]
        gids = dict.fromkeys(wanted.references + wanted.optional_references, UUID(int=5))
        data = np.random.default_rng(0).normal(size=(9, 2, 5, 1))
        labels = {"labels_ordering": ordering, "labels_dimensions": {ordering[1]: ["V", "W"]}}
        write(path, data, datatype=datatype, **{"connectivity": None, **gids, **labels})
    elif datatype == "DatatypeMeasure":
        with h5py.File(path, "w") as file:
            write_measure(file, UUID(int=1), {"std": 1.5}, UUID(int=2), CREATED, subject="s", burst=UUID(int=3))
    else:
        write_datatype(path, OBJECTS[ONE_OF_EACH[datatype]](), CREATED, subject="s")
    return path


def damage(path: Path, change) -> None:
    with h5py.File(path, "r+") as file:
        change(file)


def with_attribute(name: str, value):
    return lambda file: file.attrs.__setitem__(f"TVB_{name}", value)


def replaced(name: str, values):
    """Replace the content and keep the old statistics."""

    def change(file: h5py.File) -> None:
        kept = dict(file[name].attrs)
        del file[name]
        file[name] = values
        file[name].attrs.update(kept)

    return change


# -------------------------------------------------------------------------------------------------- what has no fault


@pytest.mark.parametrize("name", [name for name in OBJECTS if "large" not in name])
def test_written_objects_have_no_faults(tmp_path, name: str) -> None:
    write_datatype(tmp_path / "x.h5", OBJECTS[name](), CREATED, subject="s")

    assert faults(tmp_path / "x.h5") == []


@pytest.mark.parametrize("datatype", LABELS_ORDERING)
def test_a_time_series_has_no_fault(tmp_path, datatype: str) -> None:
    assert faults(make(datatype, tmp_path / "x.h5")) == []


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_diverged_series_is_not_a_fault(tmp_path, value: float) -> None:
    write(tmp_path / "x.h5", np.array([1.0, value] * 4).reshape(4, 2, 1, 1))

    assert faults(tmp_path / "x.h5") == []


# ----------------------------------------------------------------------------------------------------------- one file


@pytest.mark.parametrize("datatype", FORMATS)
def test_everything_that_is_dropped_is_named(tmp_path, datatype: str) -> None:
    path = make(datatype, tmp_path / "x.h5")
    whole, wanted = path.read_bytes(), FORMATS[datatype]
    names = set(REQUIRED + wanted.attributes + wanted.references)

    def change(file: h5py.File) -> None:
        for key in names - {"written_by"}:
            del file.attrs[f"TVB_{key}"]
        for key in wanted.datasets:
            del file[key]

    damage(path, change)
    expected = [f"TVB_{name}" for name in names - {"written_by"}] + list(wanted.datasets)
    assert sorted(faults(path)) == sorted(f"{path}::{key}: missing" for key in expected)

    path.write_bytes(whole)
    damage(path, lambda file: file.attrs.__delitem__("TVB_written_by"))
    assert faults(path) == [f"{path}::TVB_written_by: missing"]


def test_all_faults_are_named_at_once(tmp_path) -> None:
    path = make("TimeSeriesRegion", tmp_path / "x.h5")

    def change(file: h5py.File) -> None:
        del file.attrs["TVB_title"], file["time"]
        file.attrs["TVB_visible"] = "yes"
        file["data"].attrs["TVB_Mean"] = "a lot"

    damage(path, change)

    found = faults(path)
    assert [line.removeprefix(f"{path}::").split(":")[0] for line in found] == [
        "TVB_title", "TVB_visible", "time", "data@TVB_Mean",
    ]  # fmt: skip


#: A wrong value for each attribute.
NEVER = [np.bytes_(b"bool:True"), np.array([1.0, 2.0]), h5py.Empty("f8")]


def wrong_values(value) -> list[object]:
    """Return values with another encoding."""
    if isinstance(value, np.integer):
        return [np.float64(value), str(value), np.int64(-1)]
    if isinstance(value, np.floating):
        return [np.int64(value), str(value), np.float64("nan")]
    if value.startswith("bool:"):
        return [np.bool_(True), "false", "True", "", np.int64(1)]
    if value.startswith("urn:uuid:"):
        return ["", value.removeprefix("urn:uuid:"), value.replace("-", ""), value.upper(), "urn:uuid:nobody"]
    if value.startswith("2026-"):
        return ["", "2026-01-02T03:04:05.000006", "2026-01-02,03-04-05", "2026-13-02,03-04-05.000006", np.float64(3)]
    if value[:1] in "{[" and value:
        return ["", value[:-1], "7", '"x"', value.replace('"', "'") if '"' in value else "nothing"]
    return [np.int64(3), np.bool_(True)]


@pytest.mark.parametrize("datatype", FORMATS)
def test_every_wrong_encoding_is_named(tmp_path, datatype: str) -> None:
    path = make(datatype, tmp_path / "x.h5")
    with h5py.File(path) as file:
        written = {name: value for name, value in file.attrs.items() if name.removeprefix("TVB_") in ATTRIBUTES}
        assert set(file.attrs) - set(written) == {"TVB_written_by"}
    wrong = {name: [*wrong_values(value), *NEVER] for name, value in written.items()}

    for number in range(max(map(len, wrong.values()))):
        tried = {name: values[number % len(values)] for name, values in wrong.items()}
        damage(path, lambda file, tried=tried: [file.attrs.__setitem__(name, value) for name, value in tried.items()])
        found = {line.removeprefix(f"{path}::").split(": ")[0] for line in faults(path)}
        assert found >= set(tried), {name: tried[name] for name in set(tried) - found}
    for value in ("x", *NEVER):
        damage(path, with_attribute("written_by", value))
        assert any(line.startswith(f"{path}::TVB_written_by: ") for line in faults(path))


STATISTICS = ("TVB_Minimum", "TVB_Maximum", "TVB_Mean", "TVB_IsFinite", "TVB_HasComplex")


def spoil(attributes, wrong) -> None:
    """Change or remove every statistic."""
    for name in STATISTICS:
        del attributes[name]
        if wrong is not None:
            attributes[name] = wrong


@pytest.mark.parametrize("datatype", FORMATS)
def test_wrong_types_shapes_and_statistics_are_named(tmp_path, datatype: str) -> None:
    path = make(datatype, tmp_path / "x.h5")
    whole, names = path.read_bytes(), FORMATS[datatype].datasets

    for content in (np.array([b"x"]), np.zeros((2, 1, 1, 1, 1)), np.zeros((2, 1, 1, 1, 1), int)):
        path.write_bytes(whole)
        for name in names:
            damage(path, replaced(name, content))
        found = {line.removeprefix(f"{path}::").split(":")[0].split("@")[0] for line in faults(path)}
        assert found >= set(names)
    with_statistics = [name for name in names if not name.startswith("matrix")]
    for wrong in (None, "x", 1e9, np.bytes_(b""), np.array([1.0, 2.0])):
        path.write_bytes(whole)
        for name in with_statistics:
            damage(path, lambda file, name=name, wrong=wrong: spoil(file[name].attrs, wrong))
        found = {line.removeprefix(f"{path}::").split(": ")[0] for line in faults(path)}
        assert found >= {f"{name}@{of}" for name in with_statistics for of in STATISTICS}


def as_group(name: str):
    def change(file: h5py.File) -> None:
        del file[name]
        file.create_group(name)

    return change


@pytest.mark.parametrize(
    ("datatype", "change", "words"),
    [
        ("TimeSeries", with_attribute("Data_version", 4), "TVB_Data_version: np.int64(4), expected the integer 5"),
        ("TimeSeries", with_attribute("written_by", "tvb.X"), "TVB_written_by: 'tvb.X', expected the class"),
        ("TimeSeries", with_attribute("state", "DONE"), "TVB_state: 'DONE', expected one of 'RAW_DATA', 'INTERMEDIATE'"),
        ("TimeSeries", with_attribute("sample_period", 0.0), "TVB_sample_period: np.float64(0.0), expected a"),
        ("TimeSeries", with_attribute("sample_period_unit", "minutes"), "TVB_sample_period_unit: 'minutes'"),
        ("TimeSeries", with_attribute("sample_rate", 3.0), "TVB_sample_rate: 3.0 Hz, expected 4000.0"),
        ("TimeSeries", with_attribute("is_nan", "bool:True"), "TVB_is_nan: bool:True, but the data says otherwise"),
        ("TimeSeries", with_attribute("labels_ordering", '["a", "b"]'), "TVB_labels_ordering"),
        ("TimeSeries", with_attribute("labels_dimensions", '{"State Variable": ["V"]}'), "1 labels of 'State Variable', expected 2"),
        ("TimeSeries", with_attribute("labels_dimensions", '{"Regions": ["V"]}'), "'Regions', expected one of ['Time'"),
        ("TimeSeries", with_attribute("labels_dimensions", '{"Time": "V"}'), "list of names for each dimension"),
        ("TimeSeries", lambda file: file["data"].__setitem__((3, 1, 1, 0), 77.0), "data@TVB_Maximum"),
        ("TimeSeries", replaced("data", np.zeros((9, 2, 5))), "data: shape (9, 2, 5), expected 4 dimensions"),
        ("TimeSeries", replaced("time", np.zeros(8)), "data: shape (9, 2, 5, 1), expected 8 (samples) where 9 is"),
        ("TimeSeries", replaced("time", np.zeros(9)), "time: not strictly increasing"),
        ("TimeSeries", as_group("data"), "data: a group, expected a dataset"),
        ("Connectivity", with_attribute("number_of_regions", 75), "weights: shape (76, 76), expected 75"),
        ("Connectivity", with_attribute("number_of_connections", 3), "TVB_number_of_connections: 3, expected 1560"),
        ("Connectivity", with_attribute("saved_selection", "[76]"), "TVB_saved_selection: 76, expected"),
        ("Connectivity", replaced("hemispheres", np.zeros(76, int)), "hemispheres: type int64, expected booleans"),
        ("Connectivity", replaced("region_labels", np.array([b"x"] * 76)), "region_labels: type |S1, expected texts"),
        ("Connectivity", lambda file: file["region_labels"].__setitem__(4, "Ö"), "region_labels[4]: b'\\xc3\\x96', expected ASCII"),
        ("Surface", lambda file: file["triangles"].__setitem__((0, 0), 10**6), "triangles: vertices 1 to 1000000"),
        ("Surface", with_attribute("split_slices", "{}"), "TVB_split_slices: slices [], expected 1"),
        ("Surface", with_attribute("split_slices", '{"0": {}}'), "TVB_split_slices: slice 0 without vertices"),
        ("Surface", with_attribute("surface_type", "Cortex"), "TVB_surface_type: 'Cortex', expected one of"),
        ("RegionMapping", replaced("array_data", np.zeros(16384)), "array_data: type float64, expected signed integers"),
        ("RegionMapping", lambda file: file["array_data"].__setitem__(0, -1), "array_data: expected the number of a region"),
        ("LocalConnectivity", lambda file: file["matrixindices"].__setitem__(0, -1), "matrixindices: -1 to"),
        ("LocalConnectivity", lambda file: file["matrixindptr"].__setitem__(0, 1), "matrixindptr: expected"),
        ("LocalConnectivity", lambda file: file["matrix"].attrs.__delitem__("TVB_Maximum"), "matrix@TVB_Maximum: missing"),
        ("LocalConnectivity", lambda file: file["matrix"].attrs.__setitem__("TVB_dtype", "<f4"), "matrix@TVB_dtype: '<f4'"),
        ("LocalConnectivity", lambda file: file["matrix"].attrs.__setitem__("TVB_format", "coo"), "matrix@TVB_format: 'coo'"),
        ("LocalConnectivity", lambda file: file["matrix"].attrs.__setitem__("TVB_Shape", "(3,)"), "matrix@TVB_Shape: '(3,)'"),
        ("Sensors", with_attribute("sensors_type", "ECG"), "TVB_sensors_type: 'ECG'"),
        ("Sensors", with_attribute("has_orientation", "bool:True"), "orientations: missing"),
        ("ProjectionMatrix", with_attribute("projection_type", "EEG"), "TVB_projection_type: 'EEG'"),
        ("StimuliRegion", with_attribute("temporal", '{"type": "PulseTrain"}'), "TVB_temporal:"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_contradictions_are_named(tmp_path, datatype: str, change, words: str) -> None:
    path = make(datatype, tmp_path / "x.h5")
    damage(path, change)

    found = faults(path)

    assert any(words in line for line in found), found
    assert all(line.startswith(f"{path}::") and "\n" not in line for line in found)


def test_a_truncated_file_is_one_fault_wherever_it_ends(tmp_path) -> None:
    path = make("TimeSeriesRegion", tmp_path / "x.h5")
    whole = path.read_bytes()

    for length in [0, 1, 8, 100, len(whole) // 2, len(whole) - 1]:
        path.write_bytes(whole[:length])
        [fault] = faults(path)
        assert fault.startswith(f"{path}: not a readable H5 file (")


def test_bytes_that_changed_never_raise(tmp_path) -> None:
    path = make("TimeSeriesRegion", tmp_path / "x.h5")
    whole, rng = path.read_bytes(), np.random.default_rng(0)

    for _ in range(60):
        changed = bytearray(whole)
        for place in rng.integers(0, len(whole), 20):
            changed[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(bytes(changed))
        assert all(line.startswith(str(path)) for line in faults(path))


def test_a_file_that_cannot_be_opened_is_a_fault(tmp_path) -> None:
    assert faults(tmp_path / "gone.h5") == [f"{tmp_path}/gone.h5: cannot be read (No such file or directory)"]
    assert faults(tmp_path) == [f"{tmp_path}: cannot be read (Is a directory)"]


@pytest.mark.parametrize("name", ["projection", "sensors", "region_mapping", "sigma", "period"])
def test_what_the_gui_requires_of_a_view_model_is_missing(tmp_path, name: str) -> None:
    attributes = {
        **dict.fromkeys(("projection", "sensors", "region_mapping"), UUID(int=1)), "sigma": 1.0, "period": 1.0,
        "is_metric_operation": False,
    }  # fmt: skip
    record = ViewModel("tvb.core.entities.file.simulator.view_model.iEEGViewModel", uuid4(), attributes)
    with h5py.File(tmp_path / record.file_name, "w") as file:
        write_view_model(file, record, CREATED, {})
    assert faults(tmp_path / record.file_name) == []

    damage(tmp_path / record.file_name, lambda file: file.attrs.__delitem__(f"TVB_{name}"))

    assert faults(tmp_path / record.file_name) == [
        f"{tmp_path}/{record.file_name}::{name}: missing; iEEGViewModel requires it"
    ]


# -------------------------------------------------------------------------------------------------------------- a ZIP


@pytest.fixture
def members(tmp_path) -> list[Path]:
    """Write a connectivity, a surface, a mapping, and a time series that refers to all three."""
    (tmp_path / "in").mkdir()
    mapping = OBJECTS["region_mapping"]()
    found = []
    for hours, instance in enumerate([mapping.connectivity, mapping.surface, mapping]):
        found.append(tmp_path / "in" / f"{file_prefix(instance)}_{instance.gid.hex}.h5")
        write_datatype(found[-1], instance, CREATED + timedelta(hours=hours), subject="s")
    gid = uuid4()
    found.append(tmp_path / "in" / f"TimeSeriesRegion_{gid.hex}.h5")
    write(
        found[-1], np.ones((3, 2, 76, 1)), gid=gid, connectivity=mapping.connectivity.gid, region_mapping=mapping.gid,
        created=CREATED + timedelta(hours=9),
    )  # fmt: skip
    return found


def packed(path: Path, members: list[Path], compression: int = zipfile.ZIP_STORED, folder: str = "") -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for member in members:
            archive.write(member, folder + member.name)
    return path


def test_a_bundle_has_no_fault(tmp_path, members) -> None:
    assert faults(write_data(members, tmp_path / "b.zip")) == []


def test_a_compressed_zip_with_other_files_in_it_has_no_fault(tmp_path, members) -> None:
    (tmp_path / "README.txt").write_text("hello")

    assert faults(packed(tmp_path / "b.zip", [*members, tmp_path / "README.txt"], zipfile.ZIP_DEFLATED)) == []


@pytest.mark.parametrize(("left_out", "name"), [(0, "connectivity"), (1, "surface"), (2, "region_mapping")])
def test_a_reference_that_is_not_in_the_zip_is_named(tmp_path, members, left_out: int, name: str) -> None:
    gone = members.pop(left_out)

    found = faults(packed(tmp_path / "b.zip", members))

    gid = UUID(gone.stem.split("_")[1]).urn
    expected = (
        f"{tmp_path}/b.zip/{members[-1 if left_out != 1 else 1].name}::TVB_{name}: {gid}, which is not in the ZIP"
    )
    assert expected in found


@pytest.mark.parametrize("later", [timedelta(0), timedelta(microseconds=1), timedelta(days=9)])
def test_a_date_that_does_not_rise_is_named(tmp_path, members, later: timedelta) -> None:
    with h5py.File(members[-1]) as file:
        date = datetime.strptime(file.attrs["TVB_create_date"], "%Y-%m-%d,%H-%M-%S.%f")
    damage(members[0], with_attribute("create_date", (date + later).strftime("%Y-%m-%d,%H-%M-%S.%f")))

    found = faults(packed(tmp_path / "b.zip", members))

    assert len(found) == 2  # The mapping refers to the connectivity, too.
    assert all("::TVB_create_date: " in line and members[0].name in line for line in found)


def test_folders_are_imported_in_order_for_any_dates(tmp_path, members) -> None:
    damage(members[0], with_attribute("create_date", "2030-01-01,00-00-00.000000"))
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        for number, member in enumerate(members):
            archive.write(member, f"{number}/{member.name}")

    assert faults(tmp_path / "b.zip") == []


def test_an_operation_that_is_older_than_the_one_it_takes_data_from_is_named(tmp_path, members) -> None:
    record = import_record()
    for folder, created in (("data", CREATED), ("later", CREATED)):
        (tmp_path / folder).mkdir()
        with h5py.File(tmp_path / folder / record.file_name, "w") as file:
            write_view_model(file, record, created, {"gid": uuid4()})
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        for folder, member in zip(("data", "data", "later", "later"), members, strict=True):
            archive.write(member, f"{folder}/{member.name}")
        for folder in ("data", "later"):
            archive.write(tmp_path / folder / record.file_name, f"{folder}/{record.file_name}")

    found = faults(tmp_path / "b.zip")

    assert len(found) >= 1
    assert all(line.startswith(f"{tmp_path}/b.zip/later/{record.file_name}::TVB_create_date: ") for line in found)
    assert "expected later than 2026-01-02,03-04-05.000006 of data/TVBImporterModel_" in found[0]


def test_a_members_own_faults_are_named_by_the_zip_and_the_member(tmp_path, members) -> None:
    damage(members[0], lambda file: file.attrs.__delitem__("TVB_subject"))
    members[1].write_bytes(members[1].read_bytes()[:5000])

    found = faults(packed(tmp_path / "b.zip", members))

    assert f"{tmp_path}/b.zip/{members[0].name}::TVB_subject: missing" in found
    assert any(line.startswith(f"{tmp_path}/b.zip/{members[1].name}: not a readable H5 file") for line in found)


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_wrong_checksum_is_named(tmp_path, members, compression: int) -> None:
    path = packed(tmp_path / "b.zip", members, compression)
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        start = archive.infolist()[1].header_offset
    content[start + 3000] ^= 255
    path.write_bytes(bytes(content))

    assert any(line.startswith(f"{path}/{members[1].name}: cannot be unpacked (") for line in faults(path))


def test_a_truncated_zip_is_one_fault(tmp_path, members) -> None:
    path = packed(tmp_path / "b.zip", members)
    whole = path.read_bytes()

    for length in (2, 100, len(whole) - 1):
        path.write_bytes(whole[:length])
        [fault] = faults(path)
        assert fault.startswith(f"{path}: not a readable ZIP (")


def test_a_zip_of_an_unknown_version_is_one_fault(tmp_path, members) -> None:
    path = tmp_path / "b.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.h5", b"")
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\1\2") + 6] = 255
    path.write_bytes(content)

    assert faults(path) == [f"{path}: not a readable ZIP (zip file version 25.5)"]


def test_a_line_break_in_a_members_name_breaks_no_line(tmp_path) -> None:
    path = tmp_path / "connectivity.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a\nb.h5", b"x" * 99)
    content = bytearray(path.read_bytes())
    content[content.index(b"xxx")] = 0
    path.write_bytes(content)

    assert faults(path)[0] == f"{path}/a\\nb.h5: cannot be unpacked (Bad CRC-32 for file 'a\\nb.h5')"
    with pytest.raises(InputError) as caught:
        check_file(path)
    assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_names_that_the_gui_ignores_or_confuses_are_named(tmp_path, members) -> None:
    path = packed(tmp_path / "b.zip", [members[0], members[0]])
    again = tmp_path / "again.h5"
    again.write_bytes(members[0].read_bytes())
    with zipfile.ZipFile(path, "a") as archive:
        archive.write(again, "again.h5")
        archive.write(again, "x.hdf5")

    found = faults(path)

    gid = UUID(members[0].stem.split("_")[1]).urn
    assert found == [
        f"{path}/{members[0].name}: occurs twice, expected once",
        f"{path}/x.hdf5: ignored by the GUI; expected a name that ends in .h5",
        f"{path}/again.h5::TVB_gid: {gid}, which {members[0].name} has, too",
    ]


def test_a_zip_without_an_h5_file_is_a_fault(tmp_path) -> None:
    assert faults(packed(tmp_path / "b.zip", [])) == [f"{tmp_path}/b.zip: no H5 file in it, expected at least one"]


def test_the_records_of_an_operation_are_checked_too(tmp_path, members) -> None:
    """Written as in `simulation_operation` and `metric_operation` of TVB 2.10."""
    gids = {name: uuid4() for name in (*RECORDS, "DatatypeMeasure")}
    series = UUID(members[-1].stem.split("_")[1])
    values = {
        "ViewModel": {"type": "tvb.X", "conduction_speed": 3.0, "spatial": "any name may be a model's"},
        "BurstConfiguration": {
            "name": "b", "status": "finished", "error_message": "None", "start_time": CREATED, "finish_time": CREATED,
            "simulator": gids["ViewModel"],
        },
        "DatatypeMeasure": {"metrics": {"GlobalVariance": 1.0}, "analyzed_datatype": series},
    }  # fmt: skip
    for kind, record in values.items():
        path = tmp_path / "in" / f"{kind}_{gids[kind].hex}.h5"
        members.append(path)
        with h5py.File(path, "w") as file:
            said = common("TimeSeries", gids[kind], CREATED + timedelta(days=2), subject="")
            write_attributes(file, {**said, "written_by": {**FORMATS, **RECORDS}[kind].written_by, **record})
            if kind == "BurstConfiguration":
                del file.attrs["TVB_create_date"]
    assert faults(packed(tmp_path / "b.zip", members)) == []

    damage(members[-2], with_attribute("finish_time", "now"))
    damage(members[-1], with_attribute("analyzed_datatype", uuid4().urn))
    damage(members[-3], lambda file: file.attrs.__delitem__("TVB_type"))

    found = faults(packed(tmp_path / "b.zip", members))
    assert [line.split("::")[1].split(":")[0] for line in found] == [
        "TVB_type", "TVB_finish_time", "TVB_analyzed_datatype",
    ]  # fmt: skip


def test_as_a_program_it_prints_one_fault_a_line(tmp_path) -> None:
    good, bad = make("TimeSeries", tmp_path / "good.h5"), make("TimeSeries", tmp_path / "bad.h5")
    damage(bad, lambda file: file.attrs.__delitem__("TVB_title"))

    def check(*paths: Path) -> tuple[int, str, str]:
        request = CheckFiles(paths)
        command = [sys.executable, "-m", request.module]
        done = subprocess.run(command, input=request.to_json(), capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout, done.stderr

    assert check(good) == (0, "", "")
    assert check(good, bad) == (1, f"{bad}::TVB_title: missing\n", "")
