"""Connectivity zips of users are read as TVB reads them, with messages if TVB fails or leaves out a part."""

import bz2
import io
import logging
import warnings
import zipfile
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse
from scipy.io import savemat
from specs import NO_INPUTS
from tvb.datatypes.connectivity import Connectivity

from tvb_batch.models.paths import Storage
from tvb_batch.models.tvb.array_rules import check_arrays
from tvb_batch.models.tvb.components import data_files, find_component
from tvb_batch.models.tvb.datatype_files import read_contents
from tvb_batch.models.tvb.file_readers import UnreadableError
from tvb_batch.models.tvb.input_store import Inputs
from tvb_batch.models.tvb.traits import build

DATA = Path(str(files("tvb_data")))
COMPONENT = find_component("connectivity", "Connectivity", "")
ATTRIBUTES = (
    "weights", "tract_lengths", "centres", "region_labels", "orientations", "cortical", "hemispheres", "areas",
)  # fmt: skip

REGIONS = 4
WEIGHTS = np.round(np.random.default_rng(1).random((REGIONS, REGIONS)), 6)


def table(array, separator=" ") -> str:
    return "".join(separator.join(f"{value:g}" for value in row) + "\n" for row in np.atleast_2d(array))


def centres(labels=("R0", "R1", "R2", "R3")) -> str:
    return "".join(f"{label} 1 2 {index}\n" for index, label in enumerate(labels))


def npy(array) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def column(*words) -> str:
    return "".join(f"{word}\n" for word in words)


BASE = {"weights.txt": table(WEIGHTS), "tract_lengths.txt": table(WEIGHTS * 100), "centres.txt": centres()}


def write(path: Path, changes: dict, folder: str = "") -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in {**BASE, **changes}.items():
            if content is not None:
                archive.writestr(folder + name, content)
    return path


def tvbs(path: Path) -> Connectivity:
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(action="ignore"):
            return Connectivity.from_file(str(path))
    finally:
        logging.disable(logging.NOTSET)


def assert_as_tvb(path: Path) -> list[str]:
    """Check that arrays and dtypes equal TVB's; return the notes."""
    found, expected = read_contents(COMPONENT, path), tvbs(path)
    for name in ATTRIBUTES:
        ours, theirs = found.arrays.get(name), getattr(expected, name)
        if theirs is None:
            assert ours is None
            continue
        np.testing.assert_array_equal(ours.astype(theirs.dtype), theirs, strict=True)
    return [*found.notes, *check_arrays("connectivity", found)]


@pytest.mark.parametrize("name", data_files("connectivity"))
def test_files_of_tvb_data_are_read_as_tvb_reads_them_without_warnings(name: str) -> None:
    assert assert_as_tvb(DATA / "connectivity" / name) == []


def test_the_comparison_finds_differences(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("test_datatype_files.tvbs", lambda path: Connectivity.from_file("connectivity_66.zip"))

    with pytest.raises(AssertionError):
        assert_as_tvb(DATA / "connectivity" / "connectivity_68.zip")


@pytest.mark.parametrize(
    ("changes", "folder", "note"),
    [
        ({}, "", ""),
        ({}, "a folder/deep/", ""),
        ({name: content.replace("\n", "\r\n") for name, content in BASE.items()}, "", ""),
        ({name: content.replace(" ", "\t") for name, content in BASE.items()}, "", ""),
        ({"weights.txt": "# made by a pipeline\n" + BASE["weights.txt"]}, "", ""),
        ({"centres.txt": None, "centers.txt": centres()}, "", ""),
        ({"weights.txt": None, "weights.npy": npy(WEIGHTS.astype("f4"))}, "", ""),
        ({"weights.txt": None, "weights.npy": npy((WEIGHTS * 9).astype(int))}, "", ""),
        ({"weights.txt": None, "weights.txt.bz2": bz2.compress(BASE["weights.txt"].encode())}, "", ""),
        ({"tract_lengths.txt": ""}, "", ""),
        ({"hemispheres.txt": column(1, 1, 0, 0), "cortical.txt": column(1, 1, 1, 0)}, "", ""),
        ({"hemispheres.txt": "1 1 0 0\n"}, "", ""),
        ({"info.txt": "about", "README.md": "about", "LICENSE": "free"}, "", ""),
        ({"centres.txt": centres(["Größe", "b", "c", "d"])}, "", "labels such as 'Größe' become 'Grosse'"),
        ({"centres.txt": centres(["Größe", "b", "c", "d"]).encode("latin-1")}, "", "'Größe' become 'Grosse'"),
        (
            {"centres.txt": None, "centres.txt.bz2": bz2.compress(centres(["Größe", "b", "c", "d"]).encode())},
            "", "labels such as 'Größe' become 'Grosse'",
        ),
        ({"hemispheres.txt": column(*"RRLL")}, "", "hemispheres.txt holds 'R'; TVB reads only 0 and 1"),
        ({"hemispheres.txt": column("1.000e+00", 1, 1, 1)}, "", "hemispheres.txt holds '1.000e+00'"),
        ({"cortical.txt": column("1.0", "1.0", "0.0", "1.0")}, "", "cortical.txt holds '1.0'"),
        ({"cortical.txt": column("True", "True", "True", "False")}, "x/", "x/cortical.txt holds 'True'"),
        ({"cortical.txt": "1,1,0,0\n"}, "", "cortical.txt holds '1,1,0,0'"),
        ({"cortical.txt": column(2, 0, 1, 1)}, "", "cortical.txt holds '2'; TVB takes every number but 0 as 1"),
        ({"cortical.txt": ""}, "", "cortical.txt is empty"),
        ({"cortical.csv": column(1, 1, 1, 1)}, "", "cortical.csv: TVB reads .txt"),
        ({"areas.mat": b"x"}, "", "areas.mat: TVB does not read MATLAB files"),
        ({"areas.txt": column("1,5", 1, 1, 1)}, "", "areas.txt: contains commas"),
        ({"average_orientations.txt": column("x y z", "1 0 0")}, "", "average_orientations.txt: could not convert"),
        ({"area.txt": column(1, 1, 1, 1)}, "", "TVB ignores area.txt (it reads areas.txt)"),
        ({"hemisphere.txt": column(1, 1, 0, 0)}, "", "hemisphere.txt (it reads hemispheres.txt)"),
        ({"orientation.txt": table(np.eye(4, 3))}, "", "orientation.txt (it reads average_orientations.txt)"),
        ({"Cortical.txt": column(1, 1, 1, 1)}, "", "Cortical.txt (it reads cortical.txt)"),
        ({"weights_log.txt": table(WEIGHTS)}, "", "weights_log.txt (it reads weights.txt, the first name"),
        ({"subcortical.txt": column(0, 0, 0, 1)}, "", "TVB takes subcortical.txt for cortical"),
        ({"parcels.nii.gz": b"x"}, "", "TVB ignores parcels.nii.gz"),
        ({"__MACOSX/._weights.txt": b"x", ".DS_Store": b"x"}, "", "2 files of macOS or Windows"),
        ({"centres.txt": centres(["A", "A", "c", "d"])}, "", "the label 'A' stands 2 times"),
        ({"weights.txt": table(-WEIGHTS)}, "", "holds negative weights; TVB runs them as inhibition"),
        ({"weights.txt": table(WEIGHTS * 0)}, "", "only zeros"),
        ({"centres.txt": centres(["L 1", "L 2", "R 1", "R 2"])}, "", "centres.txt has more than `label x y z`"),
        ({"centres.txt": centres().replace("\n", " None\n")}, "", ""),
        ({"centres.txt": centres(["a", "b", "c", "d 7"])}, "", "more than `label x y z` in a line"),
        ({"areas.txt": column("nan", 1, 1, 1)}, "", "areas.txt holds NaN"),
        ({"centres.txt": centres().replace(" 1 2 ", " nan 2 ")}, "", "centres.txt holds NaN"),
    ],
)  # fmt: skip
def test_files_are_read_as_tvb_reads_them_with_notes_on_ignored_parts(tmp_path, changes, folder, note) -> None:
    notes = assert_as_tvb(write(tmp_path / "mine.zip", changes, folder))

    assert note in " | ".join(notes)
    assert bool(notes) == bool(note)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"weights.txt": None}, "no member 'weights'"),
        ({"weights.txt": None, "WEIGHTS.TXT": table(WEIGHTS)}, "only WEIGHTS.TXT (TVB's names are lower case)"),
        ({"tract_lengths.txt": None}, "no member 'tract_lengths'"),
        ({"centres.txt": None}, "no member 'centres'"),
        ({"weights.txt": None, "weights.csv": table(WEIGHTS, ",")}, "weights.csv: TVB reads .txt"),
        ({"weights.txt": None, "weights": table(WEIGHTS)}, "weights: TVB reads .txt"),
        ({"weights.txt": None, "weights.TXT": table(WEIGHTS)}, "weights.TXT: TVB reads .txt"),
        ({"weights.txt": None, "weights.h5": b"x"}, "weights.h5: TVB reads .txt"),
        ({"weights.txt": None, "weights.mat": b"x"}, "weights.mat: TVB does not read MATLAB files"),
        ({"weights.txt": None, "w/weights.txt.bz2": bz2.compress(b"1")}, "TVB does not unpack .bz2 in a folder"),
        ({"cortical.txt.bz2": None, "w/cortical.txt.bz2": bz2.compress(b"1\n" * 4)}, "not unpack .bz2 in a folder"),
        ({"weights.txt": table(WEIGHTS, ",")}, "weights.txt: contains commas"),
        ({"weights.txt": table(WEIGHTS, ";").replace(".", ",")}, "separated by semicolons"),
        ({"weights.txt": "a b c d\n" + table(WEIGHTS)}, "could not convert string 'a'"),
        ({"weights.txt": table(WEIGHTS).encode("utf-16")}, "begins with UTF-16"),
        ({"weights.txt": table(WEIGHTS) + "1 2\n"}, "weights.txt"),
        ({"weights.txt": table(WEIGHTS[:3])}, "weights.txt: 3 x 4"),
        ({"weights.txt": "0\n", "tract_lengths.txt": "0\n", "centres.txt": "A 1 2 3\n"}, "weights.txt: one value"),
        ({"weights.txt": table(np.where(WEIGHTS[0, 2] == WEIGHTS, np.nan, WEIGHTS))}, "weights.txt: NaN in row 1"),
        ({"weights.txt": table(np.where(WEIGHTS[2, 1] == WEIGHTS, np.inf, WEIGHTS))}, "infinity in row 3, column 2"),
        ({"tract_lengths.txt": table(np.full((4, 4), np.nan))}, "tract_lengths.txt: NaN in row 1, column 1, and 15"),
        ({"tract_lengths.txt": table(-WEIGHTS)}, "tract_lengths.txt: -"),
        ({"tract_lengths.txt": table(np.full((4, 4), np.inf))}, "tract_lengths.txt: infinity"),
        ({"tract_lengths.txt": table(WEIGHTS[:3, :3])}, "tract_lengths.txt: 3 x 3"),
        ({"centres.txt": centres(["A", "B", "C"])}, "centres.txt: 3 x 3"),
        ({"centres.txt": table(np.ones((4, 3)))}, "centres.txt: invalid column index 3"),
        ({"centres.txt": centres(["Left A", "B", "C", "D"])}, "could not convert string 'A'"),
        ({"centres.txt": centres(["A" * 129, "B", "C", "D"])}, "a label of 129 characters"),
        ({"centres.txt": None, "centres.npy": npy(np.ones((4, 3)))}, "centres.npy: 12 values"),
        ({"tract_lengths.txt": "", "centres.txt": centres().replace(" 1 2 ", " nan 2 ")}, "centres.txt: NaN"),
        ({"hemispheres.txt": column(1, 0)}, "hemispheres.txt: 2 values"),
        ({"cortical.npy": npy(np.ones(4))}, "cortical.npy: numbers of type float64"),
        ({"average_orientations.txt": table(np.eye(3))}, "average_orientations.txt: 3 x 3"),
        ({"a._": "x", "weights.txt": None, "c/._weights.txt": b"\0\5\x16\7", "c/weights.txt": table(WEIGHTS)}, "macOS"),
    ],
)  # fmt: skip
def test_files_that_tvb_fails_on_or_misreads_are_errors(tmp_path, changes, words) -> None:
    path = write(tmp_path / "mine.zip", changes)

    with pytest.raises(UnreadableError) as caught:
        check_arrays("connectivity", read_contents(COMPONENT, path))

    assert words in caught.value.found
    assert "\n" not in caught.value.found


@pytest.mark.parametrize(
    ("changes", "folder", "hint"),
    [
        ({"tract_lengths.txt": None, "lengths.txt": BASE["tract_lengths.txt"]}, "", "the zip has lengths.txt"),
        ({"weights.txt": None, "sc.csv": "1,2"}, "", "the zip has sc.csv"),
        ({"centres.txt": table(np.ones((4, 3)))}, "", "each line is: label x y z"),
        ({"weights.txt": None, "tract_lengths.txt": None}, "my_weights/", "TVB takes my_weights/centres.txt for weights"),
        ({"weights.txt": None, "WEIGHTS.TXT": table(WEIGHTS)}, "", ""),
    ],
)  # fmt: skip
def test_an_unreadable_zip_is_reported_with_advice(tmp_path, changes, folder, hint) -> None:
    path = write(tmp_path / "mine.zip", changes, folder)

    with pytest.raises(UnreadableError) as caught:
        check_arrays("connectivity", read_contents(COMPONENT, path))

    assert hint in caught.value.hint
    assert bool(hint) == bool(caught.value.hint)


@pytest.mark.parametrize("member", ["weights.txt", "centres.txt"])
def test_a_byte_order_mark_is_taken_from_the_copy_that_workers_read(tmp_path, member) -> None:
    path = write(tmp_path / "mine.zip", {member: b"\xef\xbb\xbf" + BASE[member].encode()})
    storage = Storage(tmp_path / "data")

    kept = Inputs(storage).keep(path)

    expected = tvbs(write(tmp_path / "plain.zip", {}))
    made = Inputs(storage).read_datatype(Connectivity, COMPONENT, kept)
    for name in ATTRIBUTES:
        np.testing.assert_array_equal(getattr(made, name), getattr(expected, name), strict=True)
    assert Inputs(storage).keep(path) == kept
    assert f"{member} begins with a byte order mark" in read_contents(COMPONENT, path).notes[0]


@pytest.mark.parametrize(("name", "suffix"), [("UPPER.ZIP", ".zip"), ("Mixed.Zip", ".zip")])
def test_suffixes_in_capitals_are_kept_in_small_letters(tmp_path, name, suffix) -> None:
    inputs = Inputs(Storage(tmp_path / "data"))

    kept = inputs.keep(write(tmp_path / name, {}))

    assert kept.endswith(suffix)
    np.testing.assert_array_equal(build("connectivity", {"class": "Connectivity", "from_file": kept}, inputs).weights,
                                  WEIGHTS)  # fmt: skip


# --------------------------------------------------------------------------------------------------- other datatypes

ROLES = {
    "surface": ("surfaceData", "CorticalSurface"), "region_mapping": ("regionMapping", "RegionMapping"),
    "sensors": ("sensors", None), "projection": ("projectionMatrix", None),
    "local_connectivity": ("local_connectivity", "LocalConnectivity"),
}  # fmt: skip
CASES = [(role, name) for role in ROLES for name in data_files(role)]


def component_of(role: str, name: str):
    known = {"eeg": "EEG", "meg": "MEG", "seeg": "Internal"}
    if role == "sensors":
        return find_component(role, f"Sensors{known[name.split('_')[0]]}", "")
    if role == "projection":
        return find_component(role, f"ProjectionSurface{'MEG' if 'meg' in name else 'EEG'}", "")
    return find_component(role, ROLES[role][1], "")


@pytest.mark.parametrize(("role", "name"), CASES)
def test_other_files_of_tvb_data_are_read_as_tvb_reads_them(role, name) -> None:
    component = component_of(role, name)

    found = read_contents(component, DATA / ROLES[role][0] / name)

    with warnings.catch_warnings(action="ignore"):  # One has an empty member.
        made = build(role, {"class": component.name, "from_file": name}, NO_INPUTS)
    assert found.arrays
    for attribute, array in found.arrays.items():
        theirs = getattr(made, attribute)
        if sparse.issparse(theirs):
            assert (theirs != array).nnz == 0
            continue
        np.testing.assert_array_equal(array.astype(theirs.dtype), theirs, strict=True)
    check_arrays(role, found)


@pytest.mark.parametrize(
    ("role", "name", "content", "words"),
    [
        ("surface", "s.zip", {"vertices.txt": table(np.eye(3))}, "no member 'normals.txt'"),
        ("surface", "s.zip", {"vertices.txt": table(np.eye(3)), "normals.txt": table(np.eye(3)),
                              "triangles.txt": "1 2 3\n1 2 3\n"}, "triangles.txt: vertex 3"),
        ("surface", "s.zip", {"vertices.txt": table(np.eye(3) * np.nan), "normals.txt": table(np.eye(3)),
                              "triangles.txt": "0 1 2\n0 1 2\n"}, "vertices.txt: NaN"),
        ("region_mapping", "m.txt", b"0.0\n1.0\n", "could not convert"),
        ("region_mapping", "m.txt", b"0\n-1\n", "region -1"),
        ("region_mapping", "m.npy", npy(np.array([0.0, 1.0])), "numbers of type float64"),
        ("region_mapping", "m.csv", b"0\n1\n", "a csv file, where TVB reads .txt"),
        ("sensors", "eeg.txt", b"A 1 2 3\nB 1 nan 3\n", "locations: NaN in row 2, column 2"),
        ("sensors", "eeg.txt", b"A 1 2\nB 1 2\n", "invalid column index 3"),
        ("sensors", "meg.txt", b"A 1 2 3\nB 1 2 3\n", "invalid column index 4"),
        ("projection", "eeg.mat", {"Other": np.eye(2)}, "variables Other"),
        ("projection", "meg.mat", {"ProjectionMatrix": np.eye(2)}, "variables ProjectionMatrix"),
        ("projection", "eeg.npy", npy(np.ones(3)), "projection_data: 3"),
        ("local_connectivity", "l.mat", {"LocalCoupling": np.eye(2)}, "a full LocalCoupling"),
        ("local_connectivity", "l.npz", None, "a matrix with NaN"),
        ("connectivity", "c.mat", {"SC": np.eye(2)}, "a mat file, not a zip"),
        ("connectivity", "c.npz", "arrays", "a npz file, not a zip"),
        ("connectivity", "c.npy", npy(WEIGHTS), "a npy file, not a zip"),
        ("connectivity", "c.txt", b"1 2\n3 4\n", "a txt file, not a zip"),
    ],
)  # fmt: skip
def test_other_files_that_cannot_be_used_are_errors(tmp_path, role, name, content, words) -> None:
    path = tmp_path / name
    if name.endswith(".zip"):
        with zipfile.ZipFile(path, "w") as archive:
            for member, text in content.items():
                archive.writestr(member, text)
    elif name.endswith(".mat"):
        savemat(path, content)
    elif name == "l.npz":
        sparse.save_npz(path, sparse.csr_matrix(np.array([[np.nan, 1.0], [0.0, 1.0]])))
    elif content == "arrays":
        np.savez(path, weights=WEIGHTS, centres=np.ones((4, 4)))
    else:
        path.write_bytes(content)
    component = COMPONENT if role == "connectivity" else component_of(role, name.replace(".", "_", 1))

    with pytest.raises(UnreadableError) as caught:
        check_arrays(role, read_contents(component, path))

    assert words in caught.value.found


def test_a_matlab_7_3_file_says_how_to_save_it(tmp_path) -> None:
    (tmp_path / "eeg.mat").write_bytes(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(600, b" "))

    with pytest.raises(UnreadableError) as caught:
        read_contents(component_of("projection", "eeg"), tmp_path / "eeg.mat")

    assert "MATLAB 7.3" in caught.value.found
    assert "-v7" in caught.value.expected
