"""The ZIP for the GUI: complete and in order, or absent."""

import io
import subprocess
import sys
import zipfile
from datetime import UTC, datetime
from uuid import uuid4

import h5py
import numpy as np
import pytest
from h5_files import write
from tvb_objects import OBJECTS

from tvb_batch.models.errors import OutputError
from tvb_batch.models.worker_protocol import WriteBundle
from tvb_batch.worker.h5.datatypes import file_prefix, references, write_datatype
from tvb_batch.worker.h5.gui.archive import Linking
from tvb_batch.worker.h5.gui.write import FRESH, write_data

#: Objects with every kind of reference.
ORDERED = (
    "connectivity", "cortex", "region_mapping", "local_connectivity", "eeg_sensors", "usable_sensors", "eeg_projection",
    "white_matter_cortex", "brain_skull", "skull_skin", "skin_air", "layered_projection", "region_stimulus",
    "surface_stimulus",
)  # fmt: skip

LONG_AGO, LATER = datetime(2020, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def connectivity(tmp_path):
    from tvb.datatypes.connectivity import Connectivity

    found = Connectivity.from_file("connectivity_76.zip")
    found.configure()
    path = tmp_path / f"Connectivity_{found.gid.hex}.h5"
    write_datatype(path, found, LATER, subject="s")
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

    bundle = write_data([*files, path], tmp_path / "b.zip")

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

    write_data([path, one], tmp_path / "b.zip")

    assert one.read_bytes() == before


def test_a_reference_that_is_missing_is_refused(tmp_path) -> None:
    one = series(tmp_path, uuid4())

    with pytest.raises(OutputError, match="not among the files"):
        write_data([one], tmp_path / "b.zip")

    assert not list(tmp_path.glob("b.zip*"))


@pytest.mark.slow
def test_each_file_comes_after_its_references(tmp_path) -> None:
    objects = [make() for name, make in OBJECTS.items() if name in ORDERED]
    files = [tmp_path / f"{file_prefix(instance)}_{instance.gid.hex}.h5" for instance in objects]
    for path, instance in zip(files, objects, strict=True):
        write_datatype(path, instance, LATER, subject="s")
    mapping = OBJECTS["region_mapping"]()
    one = tmp_path / f"TimeSeriesRegion_{uuid4().hex}.h5"
    write(
        one, np.ones((3, 1, 76, 1)), connectivity=mapping.connectivity.gid, region_mapping=mapping.gid, created=LONG_AGO
    )

    # The most dependent files first, which is the worst order.
    bundle = write_data([one, *reversed(files)], tmp_path / "b.zip")

    with zipfile.ZipFile(bundle) as archive:
        names = archive.namelist()
    position = {path.name: names.index(path.name) for path in [one, *files]}
    for path, instance in zip(files, objects, strict=True):
        for other in references(instance):
            assert position[f"{file_prefix(other)}_{other.gid.hex}.h5"] < position[path.name]
    assert position[one.name] > position[f"RegionMapping_{mapping.gid.hex}.h5"]
    found = dates(bundle, tmp_path)
    assert found == sorted(set(found))


def test_files_that_refer_to_each_other_in_a_circle_are_refused(tmp_path) -> None:
    gids = [uuid4(), uuid4()]
    files = [tmp_path / "a.h5", tmp_path / "b.h5"]
    for path, gid, other in zip(files, gids, reversed(gids), strict=True):
        write(path, np.ones((3, 1, 76, 1)), gid=gid, connectivity=other)

    with pytest.raises(OutputError, match=r"a\.h5 .*b\.h5.*refer to each other in a circle"):
        write_data(files, tmp_path / "b.zip")


def test_a_file_that_occurs_twice_is_refused(tmp_path, connectivity) -> None:
    path, gid = connectivity
    one = series(tmp_path, gid)

    with pytest.raises(OutputError, match="twice"):
        write_data([path, one, one], tmp_path / "b.zip")


def test_a_damaged_file_is_named(tmp_path, connectivity) -> None:
    path, _ = connectivity
    (tmp_path / "bad.h5").write_bytes(b"no")

    with pytest.raises(OutputError, match=r"bad\.h5"):
        write_data([path, tmp_path / "bad.h5"], tmp_path / "b.zip")


def test_an_old_bundle_stays_when_the_new_one_fails(tmp_path, connectivity) -> None:
    path, _ = connectivity
    write_data([path], tmp_path / "b.zip")
    before = (tmp_path / "b.zip").read_bytes()

    with pytest.raises(OutputError):
        write_data([path, series(tmp_path, uuid4())], tmp_path / "b.zip")

    assert (tmp_path / "b.zip").read_bytes() == before


@pytest.mark.slow
def test_the_program_reports_an_error_in_one_line(tmp_path) -> None:
    wanted = WriteBundle("data", "b", tmp_path / "b.zip", files=(tmp_path / "gone.h5",))

    done = subprocess.run(
        [sys.executable, "-m", wanted.module], input=wanted.to_json(), capture_output=True, text=True, timeout=60
    )

    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert "gone.h5" in done.stderr


def attributes(bundle, prefix: str) -> dict[str, str]:
    with zipfile.ZipFile(bundle) as archive:
        [name] = [name for name in archive.namelist() if name.rpartition("/")[2].startswith(prefix)]
        with h5py.File(io.BytesIO(archive.read(name))) as file:
            return {key.removeprefix("TVB_"): value for key, value in file.attrs.items()}


@pytest.mark.slow
def test_each_zip_has_new_gids_unless_they_are_kept(tmp_path, connectivity) -> None:
    path, gid = connectivity
    one = series(tmp_path, gid)
    fresh, again, kept = (
        write_data([path, one], tmp_path / f"{name}.zip", linking)
        for name, linking in {"a": FRESH, "b": FRESH, "c": Linking(is_stable=True)}.items()
    )

    gids = {attributes(bundle, "TimeSeriesRegion_")["gid"] for bundle in (fresh, again, kept)}
    assert len(gids) == 3
    assert attributes(kept, "TimeSeriesRegion_")["connectivity"] == gid.urn
    for bundle in (fresh, again, kept):
        assert attributes(bundle, "TimeSeriesRegion_")["connectivity"] == attributes(bundle, "Connectivity_")["gid"]


@pytest.mark.slow
def test_regions_that_tvb_data_knows_have_their_mapping(tmp_path, connectivity) -> None:
    path, gid = connectivity

    bundle = write_data([path, series(tmp_path, gid)], tmp_path / "b.zip", FRESH)

    mapping = attributes(bundle, "RegionMapping_")
    assert attributes(bundle, "TimeSeriesRegion_")["region_mapping"] == mapping["gid"]
    assert mapping["connectivity"] == attributes(bundle, "Connectivity_")["gid"]
    assert mapping["surface"] == attributes(bundle, "Surface_")["gid"]


def test_unknown_regions_have_no_mapping(tmp_path, connectivity) -> None:
    path, gid = connectivity
    with h5py.File(path, "r+") as file:
        file["centres"][0, 0] += 100.0

    bundle = write_data([path, series(tmp_path, gid)], tmp_path / "b.zip", FRESH)

    assert "region_mapping" not in attributes(bundle, "TimeSeriesRegion_")


def test_datatypes_of_the_project_are_referred_to_and_not_copied(tmp_path, connectivity) -> None:
    path, gid = connectivity
    links = {name: uuid4() for name in ("connectivity", "region_mapping")}

    bundle = write_data([path, series(tmp_path, gid)], tmp_path / "b.zip", Linking(links=links))

    with zipfile.ZipFile(bundle) as archive:
        assert len(archive.namelist()) == 1
    found = attributes(bundle, "TimeSeriesRegion_")
    assert {name: found[name] for name in links} == {name: gid.urn for name, gid in links.items()}


def test_one_gid_does_not_stand_for_two_connectivities(tmp_path) -> None:
    paths = []
    for name in ("connectivity", "other_connectivity"):
        found = OBJECTS[name]()
        paths.append(tmp_path / f"Connectivity_{found.gid.hex}.h5")
        write_datatype(paths[-1], found, LATER, subject="s")

    with pytest.raises(OutputError, match="a second Connectivity"):
        write_data(paths, tmp_path / "b.zip", Linking(links={"connectivity": uuid4()}))


def test_the_gid_of_a_surface_stands_for_the_cortex_and_not_for_the_eeg_cap(tmp_path, connectivity) -> None:
    path, gid = connectivity
    cap = OBJECTS["eeg_cap"]()
    cap_path = tmp_path / f"Surface_{cap.gid.hex}.h5"
    write_datatype(cap_path, cap, LATER, subject="s")
    held = uuid4()

    bundle = write_data([path, cap_path, series(tmp_path, gid)], tmp_path / "b.zip", Linking(links={"surface": held}))

    assert attributes(bundle, "Surface_")["surface_type"] == "EEG Cap"
    assert attributes(bundle, "RegionMapping_")["surface"] == held.urn


def test_a_mean_over_the_regions_has_no_mapping(tmp_path, connectivity) -> None:
    path, gid = connectivity
    one = tmp_path / f"TimeSeriesRegion_{uuid4().hex}.h5"
    write(one, np.ones((3, 1, 1, 1)), connectivity=gid, created=LATER)

    bundle = write_data([path, one], tmp_path / "b.zip", FRESH)

    assert "region_mapping" not in attributes(bundle, "TimeSeriesRegion_")


def test_the_mapping_to_192_regions_is_left_out_because_no_surface_fits(tmp_path) -> None:
    from tvb.datatypes.connectivity import Connectivity

    found = Connectivity.from_file("connectivity_192.zip")
    found.configure()
    path = tmp_path / f"Connectivity_{found.gid.hex}.h5"
    write_datatype(path, found, LATER, subject="s")
    one = tmp_path / f"TimeSeriesRegion_{uuid4().hex}.h5"
    write(one, np.ones((3, 1, 192, 1)), connectivity=found.gid, created=LATER)

    with zipfile.ZipFile(write_data([path, one], tmp_path / "b.zip", FRESH)) as archive:
        assert len(archive.namelist()) == 2


@pytest.mark.slow
def test_two_connectivities_of_the_same_regions_have_a_mapping_each(tmp_path) -> None:
    from tvb.datatypes.connectivity import Connectivity

    files = []
    for factor in (1.0, 0.5):
        found = Connectivity.from_file("connectivity_76.zip")
        found.weights = found.weights * factor
        found.configure()
        files.append(tmp_path / f"Connectivity_{found.gid.hex}.h5")
        write_datatype(files[-1], found, LATER, subject="s")
        files.append(series(tmp_path, found.gid))

    with zipfile.ZipFile(write_data(files, tmp_path / "b.zip", FRESH)) as archive:
        archive.extractall(tmp_path / "out")
    found = [dict(h5py.File(path).attrs) for path in (tmp_path / "out").iterdir()]
    mappings = {one["TVB_gid"]: one["TVB_connectivity"] for one in found if "RegionMapping" in one["TVB_written_by"]}
    of_series = [one for one in found if "TimeSeries" in one["TVB_written_by"]]
    assert len(mappings) == 2
    assert all(mappings[one["TVB_region_mapping"]] == one["TVB_connectivity"] for one in of_series)
