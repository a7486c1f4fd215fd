"""Datatypes of a simulation are written as tvb-framework writes them; those that its GUI cannot read are refused."""

import importlib.util
import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from uuid import uuid4

import h5py
import numpy as np
import pytest
import scipy.sparse
from conftest import JUDGE
from hypothesis import given, settings
from hypothesis import strategies as st
from tvb.datatypes import equations
from tvb.datatypes.local_connectivity import LocalConnectivity
from tvb.datatypes.patterns import StimuliRegion, StimuliSurface
from tvb.datatypes.projections import ProjectionSurfaceEEG
from tvb.datatypes.region_mapping import RegionMapping
from tvb.datatypes.sensors import Sensors, SensorsEEG
from tvb.datatypes.surfaces import CorticalSurface
from tvb_objects import OBJECTS, ONE_OF_EACH

from tvb_batch.models.errors import InputError, OutputError
from tvb_batch.worker.h5.datatypes import file_prefix, references, write_datatype
from tvb_batch.worker.h5.formats import FORMATS, REQUIRED
from tvb_batch.worker.h5.slices import OVERLAP, STEP, slice_surface
from tvb_batch.worker.h5.verify import verify_datatype
from tvb_batch.worker.tools.gui_check import faults

pytestmark = pytest.mark.xdist_group("datatypes")

CREATED = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)


def write(directory: Path, instance) -> Path:
    path = directory / f"{file_prefix(instance)}_{instance.gid.hex}.h5"
    write_datatype(path, instance, CREATED, subject="John Doe")
    return path


# --------------------------------------------------------------------------------------- compared with tvb-framework


@pytest.fixture(scope="module")
def tvbs_own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory of files written by tvb-framework."""
    if importlib.util.find_spec("tvb.core") is None:
        reason = "tvb-framework is not installed: pip install tvb-batch[gui-test]"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    home, directory = tmp_path_factory.mktemp("tvb-home"), tmp_path_factory.mktemp("own")
    script = JUDGE.with_name("tvb_writer.py")
    done = subprocess.run(
        [sys.executable, str(script), str(home), str(directory)], capture_output=True, text=True, timeout=300, cwd=home
    )
    [verdict] = [line for line in done.stdout.splitlines() if line.startswith("VERDICT ")] or [done.stderr[-3000:]]
    assert json.loads(verdict.removeprefix("VERDICT ")) == dict.fromkeys(OBJECTS, "")
    return directory


def described(place) -> dict[str, tuple]:
    """Return the name, HDF5 type and value of every attribute."""
    return {name: (str(place.attrs.get_id(name).dtype), place.attrs.get_id(name).shape, value)
            for name, value in place.attrs.items()}  # fmt: skip


@pytest.mark.gui
@pytest.mark.parametrize("name", OBJECTS)
def test_a_file_is_what_tvb_framework_writes_of_the_same_object(tvbs_own, tmp_path, name: str) -> None:
    path = write(tmp_path, OBJECTS[name]())

    with h5py.File(path) as ours, h5py.File(tvbs_own / f"{name}.h5") as own:
        assert sorted(ours) == sorted(own)
        for place in ("/", *own):
            found, expected = described(ours[place]), described(own[place])
            assert sorted(found) == sorted(expected), place
            for attribute in set(found) - {"TVB_create_date"}:
                pair = (found[attribute][2], expected[attribute][2])
                assert found[attribute][:2] == expected[attribute][:2], (place, attribute)
                if attribute == "TVB_Mean" and not isinstance(pair[0], str):
                    # Sums in another order: a mean near zero differs by the rounding of large values.
                    extent = max(abs(found["TVB_Minimum"][2]), abs(found["TVB_Maximum"][2]))
                    np.testing.assert_allclose(*pair, rtol=1e-12, atol=1e-13 * extent + 1e-15)
                else:
                    np.testing.assert_equal(*pair, err_msg=f"{place} {attribute}")
        for dataset in set(own) - {"matrix"}:
            assert (ours[dataset].dtype, ours[dataset].maxshape) == (own[dataset].dtype, own[dataset].maxshape)
            np.testing.assert_array_equal(ours[dataset][()], own[dataset][()], err_msg=dataset)


@pytest.mark.gui
@pytest.mark.parametrize("name", OBJECTS)
def test_what_tvb_framework_writes_has_no_fault(tvbs_own, name: str) -> None:
    assert faults(tvbs_own / f"{name}.h5") == []


def test_the_files_carry_the_date_and_the_subject_they_were_given(tmp_path) -> None:
    path = tmp_path / "x.h5"

    write_datatype(path, OBJECTS["white_matter"](), CREATED, subject="S 1")

    with h5py.File(path) as file:
        assert file.attrs["TVB_create_date"] == "2026-01-02,03-04-05.000006"
        assert file.attrs["TVB_subject"] == "S 1"
    assert list(tmp_path.iterdir()) == [path]


# -------------------------------------------------------------------------------------------------------- the objects


def test_labels_are_written_as_the_nearest_ascii(tmp_path) -> None:
    sensors = SensorsEEG(labels=np.array(["Fz", "Ö1", "Ã\x961"]), locations=np.zeros((3, 3)))

    with h5py.File(write(tmp_path, sensors)) as file:
        assert list(file["labels"]) == [b"Fz", b"O1", b"O1"]
    assert list(sensors.labels) == ["Fz", "Ö1", "Ã\x961"]


def test_a_connectivity_holds_the_figures_of_tvbs_own_file(tmp_path) -> None:
    connectivity = OBJECTS["connectivity"]()

    path = write(tmp_path, connectivity)

    assert path.name == f"Connectivity_{connectivity.gid.hex}.h5"
    with h5py.File(path) as file:
        assert (file.attrs["TVB_number_of_regions"], file.attrs["TVB_number_of_connections"]) == (76, 1560)
        assert file.attrs["TVB_saved_selection"] == "[]"
        assert file["region_labels"][0] == b"rA1"
        weights = file["weights"].attrs
        assert (weights["TVB_Minimum"], weights["TVB_Maximum"]) == (0.0, 3.0)
        assert weights["TVB_Mean"] == pytest.approx(0.5174594290367901)
        assert type(file["cortical"].attrs["TVB_Minimum"]).__name__ in ("bool", "bool_")


def test_a_surface_that_was_only_read_is_configured_and_counts_from_zero(tmp_path) -> None:
    surface = CorticalSurface.from_file()

    path = write(tmp_path, surface)

    with h5py.File(path) as file:
        assert (file.attrs["TVB_number_of_vertices"], file.attrs["TVB_number_of_triangles"]) == (16384, 32760)
        assert file.attrs["TVB_zero_based_triangles"] == "bool:True"
        assert file.attrs["TVB_edge_max_length"] == pytest.approx(7.756718245437372)
        assert file["triangle_normals"].shape == (32760, 3)


def test_the_zeros_a_simulation_appends_to_a_local_connectivity_are_left_out(tmp_path) -> None:
    surface = OBJECTS["white_matter_cortex"]()
    matrix = scipy.sparse.csc_matrix(np.arange(144.0).reshape(12, 12))
    padded = scipy.sparse.vstack([scipy.sparse.hstack([matrix, np.zeros((12, 2))]), np.zeros((2, 14))])
    local = LocalConnectivity(surface=surface, matrix=padded)

    path = write(tmp_path, local)

    with h5py.File(path) as file:
        assert file["matrix"].attrs["TVB_Shape"] == "(12, 12)"
        arrays = tuple(file[f"matrix{part}"][()] for part in ("data", "indices", "indptr"))
        stored = scipy.sparse.csr_matrix(arrays, shape=(12, 12))
    np.testing.assert_array_equal(stored.toarray(), matrix.toarray())


def test_an_empty_local_connectivity_is_all_zeros(tmp_path) -> None:
    local = LocalConnectivity(surface=OBJECTS["white_matter_cortex"](), matrix=scipy.sparse.csr_matrix((12, 12)))

    path = write(tmp_path, local)

    with h5py.File(path) as file:
        assert [file["matrix"].attrs[f"TVB_{name}"] for name in ("Minimum", "Maximum", "Mean")] == [0.0, 0.0, 0.0]


def test_a_stimulus_without_a_focal_point_is_written(tmp_path) -> None:
    stimulus = StimuliSurface(
        surface=OBJECTS["cortex"](), focal_points_triangles=np.array([], int), spatial=equations.Gaussian(),
        temporal=equations.PulseTrain(),
    )  # fmt: skip

    path = write(tmp_path, stimulus)

    with h5py.File(path) as file:
        assert (file["focal_points_surface"].shape, file["focal_points_surface"].dtype) == ((0,), np.int64)


def test_numpy_numbers_in_an_equation_become_json(tmp_path) -> None:
    temporal = equations.PulseTrain()
    temporal.parameters.update({"T": np.int64(42), "tau": np.float32(0.5), "amp": np.array([1.0])})
    stimulus = StimuliRegion(connectivity=OBJECTS["connectivity"](), weight=np.zeros(76), temporal=temporal)

    path = write(tmp_path, stimulus)

    with h5py.File(path) as file:
        found = json.loads(file.attrs["TVB_temporal"])
    assert found["type"] == "PulseTrain"
    assert {name: found["parameters"][name] for name in ("T", "tau", "amp")} == {"T": 42, "tau": 0.5, "amp": [1.0]}


def test_a_class_derived_from_tvbs_is_written_as_it(tmp_path) -> None:
    class MySurface(CorticalSurface):
        pass

    original = OBJECTS["white_matter_cortex"]()

    path = write(tmp_path, MySurface(vertices=original.vertices, triangles=original.triangles))

    assert path.name.startswith("Surface_")
    with h5py.File(path) as file:
        assert file.attrs["TVB_surface_type"] == "Cortical Surface"


# ------------------------------------------------------------------------------------------------ slices of a surface


@given(st.integers(0, 60_000), st.integers(1, 130_000), st.booleans(), st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_slices_cover_the_surface_and_can_be_drawn(right, left, in_halves, seed) -> None:
    vertices = left + right
    corner = np.random.default_rng(seed).integers(0, vertices, 500)
    triangles = np.stack([corner, np.minimum(corner + 1, vertices - 1), np.minimum(corner + 300, vertices - 1)], 1)

    slices, cut = slice_surface(triangles, vertices, right if in_halves else None)

    assert slices[0]["vertices"]["start_idx"] == 0
    assert slices[len(slices) - 1]["vertices"]["end_idx"] == vertices
    if len(slices) == 1 and not in_halves:
        assert not len(cut)
        return
    restored = []
    for part in slices.values():
        first, end = part["vertices"].values()
        mine = cut[part["triangles"]["start_idx"] : part["triangles"]["end_idx"]]
        assert end - first <= STEP + OVERLAP < 2**16
        assert not len(mine) or (mine.min() >= 0 and mine.max() < end - first)
        restored.extend((mine + first).tolist())
    crosses = (triangles.min(1) < left) & (triangles.max(1) >= left) & in_halves
    assert sorted(restored) == sorted(triangles[~crosses].tolist())


# --------------------------------------------------------------------------------------------------------- references


def test_what_is_referred_to_comes_before_what_refers_to_it() -> None:
    mapping = OBJECTS["region_mapping"]()

    assert references(mapping) == (mapping.connectivity, mapping.surface)
    assert set(references(OBJECTS["eeg_projection"]())) == {OBJECTS["cortex"](), OBJECTS["eeg_sensors"]()}
    assert len(references(OBJECTS["layered_projection"]())) == 5
    assert references(OBJECTS["cortex"]()) == ()


def test_a_simulator_refers_to_all_that_its_parts_refer_to() -> None:
    from tvb.datatypes.cortex import Cortex
    from tvb.simulator import monitors, simulator

    mapping, local, stimulus = (
        OBJECTS[name]() for name in ("region_mapping", "local_connectivity", "surface_stimulus")
    )
    projection = OBJECTS["eeg_projection"]()
    eeg = monitors.EEG(projection=projection, sensors=projection.sensors, region_mapping=mapping)
    sim = simulator.Simulator(
        connectivity=OBJECTS["connectivity"](), monitors=[eeg], stimulus=stimulus,
        surface=Cortex(region_mapping_data=mapping, local_connectivity=local),
    )  # fmt: skip

    found = references(sim)

    gids = [instance.gid for instance in found]
    everything = (mapping.connectivity, mapping.surface, mapping, local, stimulus, projection, projection.sensors)
    assert set(gids) == {instance.gid for instance in everything}
    assert len(gids) == len(set(gids))
    for instance in found:
        for other in references(instance):
            assert gids.index(other.gid) < gids.index(instance.gid)


# -------------------------------------------------------------------------------------------------- what cannot be read


@pytest.mark.parametrize(
    ("instance", "words"),
    [
        (RegionMapping.from_file(), "RegionMapping .*: connectivity is not set"),
        (ProjectionSurfaceEEG(projection_data=np.ones((1, 1))), "sources is not set"),
        (ProjectionSurfaceEEG(), "projection_data is not set"),
        (ProjectionSurfaceEEG(projection_data=np.ones((1, 1)), sources=CorticalSurface()), "sensors is not set"),
        (Sensors(labels=np.array(["a"]), locations=np.zeros((1, 3))), "sensors_type is not set"),
        (CorticalSurface(), "vertices is not set"),
        (LocalConnectivity(), "matrix is not set"),
        (equations.Gaussian(), "Gaussian: the GUI cannot import this object; expected one of Connectivity, "),
        (SimpleNamespace(gid=uuid4()), "SimpleNamespace: the GUI cannot import this object"),
    ],
    ids=range(9),
)
def test_what_the_gui_cannot_read_is_refused_in_one_line(tmp_path, instance, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        write_datatype(tmp_path / "x.h5", instance, CREATED, subject="s")

    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_an_equation_of_the_users_own_is_refused(tmp_path) -> None:
    class Mine(equations.PulseTrain):
        pass

    stimulus = StimuliRegion(connectivity=OBJECTS["connectivity"](), weight=np.zeros(76), temporal=Mine())

    with pytest.raises(InputError, match="the GUI has no equation Mine"):
        write_datatype(tmp_path / "x.h5", stimulus, CREATED, subject="s")

    assert not list(tmp_path.iterdir())


# ---------------------------------------------------------------------------------------------------------- the file


def test_an_existing_datatype_is_not_changed(tmp_path) -> None:
    path = write(tmp_path, OBJECTS["white_matter"]())
    before = path.stat().st_mtime_ns

    write_datatype(path, OBJECTS["white_matter"](), datetime.now(UTC), subject="another")

    assert path.stat().st_mtime_ns == before


def test_another_object_under_the_same_name_is_noticed(tmp_path) -> None:
    path = write(tmp_path, OBJECTS["white_matter"]())

    with pytest.raises(OutputError, match="TVB_gid"):
        write_datatype(path, OBJECTS["eeg_cap"](), CREATED, subject="s")


def test_a_place_that_cannot_be_written_gives_one_line(tmp_path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(OutputError, match="cannot be written") as caught:
        write_datatype(tmp_path / "file" / "x.h5", OBJECTS["white_matter"](), CREATED, subject="s")

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("datatype", ONE_OF_EACH)
def test_verify_names_everything_that_is_missing(tmp_path, datatype: str) -> None:
    instance = OBJECTS[ONE_OF_EACH[datatype]]()
    path = write(tmp_path, instance)
    whole, wanted = path.read_bytes(), FORMATS[datatype]

    for name in REQUIRED + wanted.attributes + wanted.references:
        path.write_bytes(whole)
        with h5py.File(path, "r+") as file:
            del file.attrs[f"TVB_{name}"]
        with pytest.raises(OutputError, match=f"{path.name}::TVB_{name}: missing"):
            verify_datatype(path, instance.gid)
    for name in wanted.datasets:
        path.write_bytes(whole)
        with h5py.File(path, "r+") as file:
            del file[name]
        with pytest.raises(OutputError, match=f"{path.name}::{name}: missing"):
            verify_datatype(path, instance.gid)


@pytest.mark.parametrize("datatype", [name for name in ONE_OF_EACH if FORMATS[name].references])
@pytest.mark.parametrize(
    "wrong", ["", "69bb6814-f39c-4aac-bdc0-eac4ff9f88f8", "urn:uuid:69BB6814-F39C-4AAC-BDC0-EAC4FF9F88F8"]
)
def test_a_reference_that_is_no_urn_is_named(tmp_path, datatype: str, wrong: str) -> None:
    instance = OBJECTS[ONE_OF_EACH[datatype]]()
    path = write(tmp_path, instance)

    for name in FORMATS[datatype].references + FORMATS[datatype].optional_references:
        with h5py.File(path, "r+") as file:
            right = file.attrs[f"TVB_{name}"]
            file.attrs[f"TVB_{name}"] = wrong
        with pytest.raises(OutputError, match=f"TVB_{name}: .*expected urn:uuid:"):
            verify_datatype(path, instance.gid)
        with h5py.File(path, "r+") as file:
            file.attrs[f"TVB_{name}"] = right


def test_statistics_that_are_not_the_datas_are_named(tmp_path) -> None:
    instance = OBJECTS["white_matter"]()
    path = write(tmp_path, instance)
    with h5py.File(path, "r+") as file:
        file["vertices"][0, 0] = 1e6

    with pytest.raises(OutputError, match="vertices@TVB_Maximum"):
        verify_datatype(path, instance.gid)


def test_a_file_of_an_unknown_class_is_named(tmp_path) -> None:
    instance = OBJECTS["white_matter"]()
    path = write(tmp_path, instance)
    with h5py.File(path, "r+") as file:
        file.attrs["TVB_written_by"] = "tvb.adapters.datatypes.h5.surface_h5.Surface"

    with pytest.raises(OutputError, match=r"TVB_written_by: .*expected one of"):
        verify_datatype(path, instance.gid)
