"""Input files are stored once by their content and checked; nothing outside `inputs/` is read."""

import bz2
import hashlib
import shutil
import zipfile
from importlib.resources import files
from pathlib import Path

import h5py
import numpy as np
import pytest
from scipy import sparse

from tvb_batch.models.errors import InputError
from tvb_batch.models.paths import Storage
from tvb_batch.models.spec.sections import complete
from tvb_batch.models.tvb.input_files import check_file
from tvb_batch.models.tvb.input_store import Inputs
from tvb_batch.models.tvb.traits import build
from tvb_batch.worker.h5.content_gid import content_gid

DATA = Path(str(files("tvb_data")))


@pytest.fixture
def storage(tmp_path) -> Storage:
    storage = Storage(tmp_path / "data")
    storage.inputs.mkdir(parents=True)
    return storage


@pytest.fixture
def inputs(storage) -> Inputs:
    return Inputs(storage)


def configured(section, inputs, role="connectivity"):
    made = build(role, complete(role, section, role), inputs)
    made.configure()
    return made


def test_a_file_is_kept_once_by_its_content(inputs, storage, tmp_path) -> None:
    for name in ("one.zip", "two.zip"):
        shutil.copy(DATA / "connectivity" / "connectivity_76.zip", tmp_path / name)

    first, second = inputs.keep(tmp_path / "one.zip"), inputs.keep(tmp_path / "two.zip")

    digest = hashlib.sha256((tmp_path / "one.zip").read_bytes()).hexdigest()
    assert first == second == f"inputs/{digest}.zip"
    assert [path.name for path in storage.inputs.iterdir()] == [f"{digest}.zip"]


def test_suffixes_of_two_parts_are_kept(inputs) -> None:
    kept = inputs.keep(DATA / "sensors" / "meg_151.txt.bz2")

    assert kept.endswith(".txt.bz2")
    assert configured({"class": "SensorsMEG", "from_file": kept}, inputs, "sensors").number_of_sensors == 151


@pytest.mark.parametrize(
    "array", [np.arange(5.0), np.array([[1, 2], [3, 4]]), np.array([np.nan, np.inf]), np.array(["ä"])]
)
def test_an_array_comes_back_from_its_content(inputs, array) -> None:
    first, second = inputs.keep_array(array), inputs.keep_array(array.copy())

    assert first == second
    np.testing.assert_array_equal(np.load(inputs.path(first)), array)


def test_a_sparse_matrix_is_sent_exactly(inputs) -> None:
    matrix = sparse.random(50, 50, 0.1, format="csr", rng=np.random.default_rng(1))

    kept = inputs.keep_sparse(matrix)

    section = {"class": "LocalConnectivity", "matrix": {"from_file": kept}}
    made = build("local_connectivity", complete("local_connectivity", section, "x"), inputs)
    assert kept == inputs.keep_sparse(matrix.copy())
    assert (made.matrix != matrix).nnz == 0


def test_the_same_content_has_the_same_gid_under_any_name(inputs) -> None:
    kept = inputs.keep(DATA / "connectivity" / "connectivity_76.zip")

    by_name, by_content = configured("connectivity_76.zip", inputs), configured(kept, inputs)

    assert content_gid(by_name) == content_gid(by_content)
    assert content_gid(configured("connectivity_68.zip", inputs)) != content_gid(by_name)


@pytest.mark.parametrize(
    "name", ["../x.zip", "/etc/passwd.zip", "outputs/x.zip", "inputs/../../x.zip", "inputs/../x.zip"]
)
def test_nothing_outside_the_inputs_is_read(inputs, storage, name: str) -> None:
    shutil.copy(DATA / "connectivity" / "connectivity_76.zip", storage.root / "x.zip")

    with pytest.raises(InputError, match="outside the storage's inputs"):
        build("connectivity", {"class": "Connectivity", "from_file": name}, inputs)


def test_a_link_out_of_the_inputs_is_not_followed(inputs, storage, tmp_path) -> None:
    shutil.copy(DATA / "connectivity" / "connectivity_76.zip", tmp_path / "secret.zip")
    (storage.inputs / "link.zip").symlink_to(tmp_path / "secret.zip")

    with pytest.raises(InputError, match="outside the storage's inputs"):
        inputs.path("inputs/link.zip")


def test_a_missing_input_says_what_to_do(inputs) -> None:
    with pytest.raises(InputError, match="no such file; submit the spec again"):
        inputs.path("inputs/gone.zip")


# ---------------------------------------------------------------------------------------------------- damaged files


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.zip", b"", "not a complete zip"),
        ("a.zip", b"PK\x03\x04 broken", "not a complete zip"),
        ("a.npz", b"no zip at all", "not a complete zip"),
        ("a.h5", b"PK\x03\x04", "not an HDF5 file"),
        ("a.npy", b"1 2 3", "not a NumPy array"),
        ("a.txt", b"", "an empty file"),
    ],
)
def test_a_damaged_file_is_refused_before_it_is_kept(inputs, storage, tmp_path, name, content, words) -> None:
    path = tmp_path / name
    path.write_bytes(content)

    with pytest.raises(InputError, match=words) as caught:
        inputs.keep(path)

    assert "\n" not in str(caught.value)
    assert list(storage.inputs.iterdir()) == []


def test_a_zip_with_a_flipped_byte_is_reported(tmp_path) -> None:
    content = bytearray((DATA / "connectivity" / "connectivity_76.zip").read_bytes())
    content[len(content) // 2] ^= 255
    (tmp_path / "a.zip").write_bytes(content)

    with pytest.raises(InputError, match=r"damaged|not a complete zip"):
        check_file(tmp_path / "a.zip")


def test_a_zip_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("tvb_batch.models.tvb.input_files.MOST_UNPACKED", 1000)
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("weights.txt", b"0" * 100_000)

    with pytest.raises(InputError, match="when unpacked"):
        check_file(tmp_path / "bomb.zip")


@pytest.mark.parametrize(
    ("role", "name", "content"),
    [
        ("connectivity", "a.zip", None),
        ("connectivity", "a.txt", b"1 2 3"),
        ("surface", "a.zip", None),
        ("region_mapping", "a.txt", b"one two"),
        ("sensors", "a.txt", b"A 1 2"),
        ("sensors", "a.txt.bz2", bz2.compress(b"A 1 2")),
        ("projection", "a.npy", b"\x93NUMPY\x01\x00 broken"),
        ("projection", "a.mat", b"MATLAB broken"),
        ("connectivity", "a.h5", b"\x89HDF\r\n\x1a\n broken"),
        ("local_connectivity", "a.npz", None),
    ],
)
def test_a_file_that_tvb_cannot_read_gives_one_line(inputs, storage, tmp_path, role, name, content) -> None:
    path = tmp_path / name
    if content is None:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("readme.txt", "nothing here")
    else:
        path.write_bytes(content)
    # As if an older version had stored it.
    kept = storage.input(hashlib.sha256(path.read_bytes()).hexdigest(), name.removeprefix("a"))
    shutil.copy(path, kept)
    choices = {"sensors": "SensorsEEG", "projection": "ProjectionSurfaceEEG", "surface": "CorticalSurface"}
    section = {"from_file": f"inputs/{kept.name}", **({"class": choices[role]} if role in choices else {})}

    with pytest.raises(InputError, match=rf"inputs/{kept.name}: .*; expected a") as caught:
        build(role, complete(role, section, role), inputs)

    assert "\n" not in str(caught.value)


# -------------------------------------------------------------------------------------------------- H5 files of TVB


def test_a_connectivity_comes_back_from_an_h5_file(inputs, tmp_path) -> None:
    from datetime import UTC, datetime

    from tvb_batch.worker.h5.datatypes import write_datatype

    made = configured("connectivity_66.zip", inputs)
    write_datatype(tmp_path / "Connectivity.h5", made, datetime.now(UTC), subject="s")

    again = configured(inputs.keep(tmp_path / "Connectivity.h5"), inputs)

    assert content_gid(again) == content_gid(made)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("role", "section"),
    [
        ("surface", {"class": "CorticalSurface", "from_file": "cortex_16384.zip"}),
        ("sensors", {"class": "SensorsEEG", "from_file": "eeg_brainstorm_65.txt"}),
        ("sensors", {"class": "SensorsMEG", "from_file": "meg_brainstorm_276.txt"}),
        ("sensors", {"class": "SensorsInternal", "from_file": "seeg_588.txt"}),
    ],
)
def test_other_datatypes_come_back_from_h5_files(inputs, tmp_path, role, section) -> None:
    from datetime import UTC, datetime

    from tvb_batch.worker.h5.datatypes import write_datatype

    made = configured(section, inputs, role)
    write_datatype(tmp_path / "x.h5", made, datetime.now(UTC), subject="s")

    again = configured({**section, "from_file": inputs.keep(tmp_path / "x.h5")}, inputs, role)

    for name in ("vertices", "triangles", "labels", "locations", "orientations"):
        np.testing.assert_array_equal(getattr(again, name, None), getattr(made, name, None))


def test_a_local_connectivity_comes_back_from_an_h5_file(inputs, tmp_path) -> None:
    made = build("local_connectivity", complete("local_connectivity", "local_connectivity_16384.mat", "x"), inputs)
    matrix = made.matrix.tocsc()
    with h5py.File(tmp_path / "x.h5", "w") as file:
        for part in ("data", "indices", "indptr"):
            file[f"matrix{part}"] = getattr(matrix, part)
        file["matrix"] = [0.0]
        file["matrix"].attrs["TVB_format"] = "csc"

    section = complete("local_connectivity", inputs.keep(tmp_path / "x.h5"), "x")

    assert (build("local_connectivity", section, inputs).matrix != matrix).nnz == 0


def test_an_h5_file_of_another_datatype_is_refused(inputs, tmp_path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["vertices"] = [[0.0]]

    with pytest.raises(InputError, match="no dataset"):
        configured(inputs.keep(tmp_path / "x.h5"), inputs)


# ------------------------------------------------------------------------------------------------ bits that have flipped


def test_an_input_whose_content_is_not_its_name_is_not_read(inputs, storage) -> None:
    name = inputs.keep_array(np.linspace(0, 1, 76))
    path = inputs.path(name)
    flip_one_bit(path)

    with pytest.raises(InputError, match=r"content has changed since it was submitted; submit the spec again"):
        inputs.path(name)


def test_keeping_a_file_again_repairs_a_damaged_one(inputs, tmp_path) -> None:
    np.save(tmp_path / "w.npy", np.linspace(0, 1, 76))
    name = inputs.keep(tmp_path / "w.npy")
    path = inputs.path(name)
    flip_one_bit(path)

    assert inputs.keep(tmp_path / "w.npy") == name
    assert inputs.path(name).read_bytes() == (tmp_path / "w.npy").read_bytes()


def test_an_input_is_compared_once_a_process(inputs, monkeypatch) -> None:
    name = inputs.keep_array(np.linspace(0, 1, 76))
    inputs.path(name)
    monkeypatch.setattr(hashlib, "file_digest", None)

    assert inputs.path(name).is_file()


def flip_one_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-3] ^= 8
    path.write_bytes(content)


# ------------------------------------------------------------------------------- files that hold more, or less, than is said


SECRET = np.arange(5776.0).reshape(76, 76)


def external(file: h5py.File, secret: Path) -> None:
    file.create_dataset("weights", (76, 76), "u1", external=[(str(secret.with_suffix(".txt")), 0, 5776)])


def external_link(file: h5py.File, secret: Path) -> None:
    file["weights"] = h5py.ExternalLink(str(secret), "x")


def virtual(file: h5py.File, secret: Path) -> None:
    layout = h5py.VirtualLayout((76, 76), "f8")
    layout[:] = h5py.VirtualSource(str(secret), "x", shape=(76, 76))
    file.create_virtual_dataset("weights", layout)


def soft_link(file: h5py.File, secret: Path) -> None:
    file["y"] = SECRET
    file["weights"] = h5py.SoftLink("/y")


def linked_group(file: h5py.File, secret: Path) -> None:
    file["weights"] = SECRET
    file.create_group("a/b")["c"] = h5py.ExternalLink(str(secret), "/")


def circle(file: h5py.File, secret: Path) -> None:
    file["weights"] = SECRET
    file["a/b"] = file["/"]


def huge(file: h5py.File, secret: Path) -> None:
    file.create_dataset("weights", (10**6, 10**6), "f8", chunks=(1000, 1000), compression="gzip")


def foreign_filter(file: h5py.File, secret: Path) -> None:
    layout = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    layout.set_chunk((76, 76))
    layout.set_filter(32015, h5py.h5z.FLAG_OPTIONAL)
    h5py.h5d.create(file.id, b"weights", h5py.h5t.NATIVE_DOUBLE, h5py.h5s.create_simple((76, 76)), layout)


@pytest.mark.slow
@pytest.mark.parametrize(
    "how", [external, external_link, virtual, soft_link, linked_group, circle, huge, foreign_filter]
)
def test_an_h5_file_that_names_other_files_is_refused(inputs, storage, tmp_path, how) -> None:
    from tvb_batch.worker.tools.gui_check import faults

    hostile, secret = tmp_path / "mine.h5", tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["x"] = SECRET
    secret.with_suffix(".txt").write_bytes(b"secret" * 1000)
    with h5py.File(hostile, "w") as file:
        how(file, secret)
        file["tract_lengths"], file["centres"] = SECRET, np.zeros((76, 3))
    kept = storage.input(hashlib.sha256(hostile.read_bytes()).hexdigest(), ".h5")

    with pytest.raises(InputError) as at_submission:
        inputs.keep(hostile)
    shutil.copy(hostile, kept)
    with pytest.raises(InputError) as in_worker:
        configured(f"inputs/{kept.name}", inputs)

    for caught in (at_submission, in_worker):
        assert "the file itself" in str(caught.value) or "expected a complete h5" in str(caught.value)
        assert "\n" not in str(caught.value)
    assert "not a readable H5 file" in faults(hostile)[0]


def test_a_link_in_an_h5_file_is_found_by_every_reader(tmp_path) -> None:
    from tvb_batch.models.errors import OutputError
    from tvb_batch.submit.api.time_series import TimeSeries
    from tvb_batch.worker.h5.gui.members import read_member
    from tvb_batch.worker.h5.tvb1.tvb1_convert import read_source
    from tvb_batch.worker.tools.rerun import _opened

    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["x"] = SECRET
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["data"] = h5py.ExternalLink("secret.h5", "x")

    for read in (_opened, read_source, read_member, lambda path: TimeSeries(path).shape):
        with pytest.raises((InputError, OutputError), match="link"):
            read(tmp_path / "a.h5")


def npy(header: bytes, content: bytes) -> bytes:
    header = header.ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + content


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        (
            "a.npy",
            npy(b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }", b"0" * 80),
            "of which the file holds 80",
        ),
        ("a.npy", npy(b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", b"cos\nsystem\n"), "Python objects"),
        ("a.npy", npy(b"{'descr': '<f8', 'fortran_order': False, 'shape': (-1,), }", b"0" * 80), "NumPy array|80"),
        ("a.txt.bz2", bz2.compress(b"0" * 1_000_000), "when unpacked"),
        ("a.txt.bz2", bz2.compress(b"1 2 3")[:-4], "not a complete bz2"),
        ("a.mat", b"MATLAB 7.3 MAT-file, Platform".ljust(512) + b"\x89HDF\r\n\x1a\n", "save it with -v7"),
    ],
    ids=["huge npy", "pickle", "negative", "bz2 bomb", "cut bz2", "HDF5 in mat"],
)
def test_a_file_that_is_not_what_it_claims_is_refused(inputs, tmp_path, monkeypatch, name, content, words) -> None:
    monkeypatch.setattr("tvb_batch.models.tvb.input_files.MOST_UNPACKED", 100_000)
    (tmp_path / name).write_bytes(content)

    with pytest.raises(InputError, match=words) as caught:
        inputs.keep(tmp_path / name)

    assert "\n" not in str(caught.value)


def test_a_matlab_file_that_unpacks_to_too_much_is_refused(inputs, tmp_path, monkeypatch) -> None:
    from scipy.io import savemat

    monkeypatch.setattr("tvb_batch.models.tvb.input_files.MOST_UNPACKED", 100_000)
    savemat(tmp_path / "a.mat", {"small": np.zeros(100)}, do_compression=True)
    inputs.keep(tmp_path / "a.mat")
    savemat(tmp_path / "a.mat", {"small": np.zeros(100), "large": np.zeros(1_000_000)}, do_compression=True)

    with pytest.raises(InputError, match="when unpacked"):
        inputs.keep(tmp_path / "a.mat")


def test_a_member_of_a_zip_is_looked_into(inputs, tmp_path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("data.npy", npy(b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", b"cos\nsystem\n"))

    with pytest.raises(InputError, match="Python objects"):
        inputs.keep(tmp_path / "a.npz")


def no_values(file: h5py.File) -> None:
    file["weights"] = h5py.Empty("f8")


def more_than_can_be_counted(file: h5py.File) -> None:
    file.create_dataset("weights", (2**40, 2**40), "f8", chunks=(64, 64))


def large_chunk(file: h5py.File) -> None:
    """Write a file of 32 kB with a chunk of 32 MiB."""
    made = file.create_dataset("weights", (4, 4), "f8", maxshape=(None, None), chunks=(2048, 2048), compression="gzip")
    made[:] = 1.0


def labels_in_rows(file: h5py.File) -> None:
    file["weights"] = np.ones((4, 4))
    file["region_labels"] = np.array([[b"a", b"b"], [b"c", b"d"]])


def label_with_nul(file: h5py.File) -> None:
    file["weights"] = np.ones((2, 2))
    file["region_labels"] = np.array([b"a\0b", b"c"])


@pytest.mark.parametrize(
    ("how", "words"),
    [
        (no_values, "without values"),
        (more_than_can_be_counted, "claim"),
        (large_chunk, "claim"),
        (labels_in_rows, "2 x 2 labels"),
        (label_with_nul, "holds a control character"),
    ],
)
def test_an_h5_file_that_no_worker_can_read_is_refused_at_submit(tmp_path, monkeypatch, how, words) -> None:
    from tvb_batch.models.errors import SpecError
    from tvb_batch.models.spec.sweep import sweep
    from tvb_batch.models.tvb import input_files
    from tvb_batch.submit.intake.files import locate, look

    monkeypatch.setattr(input_files, "MOST_UNPACKED", 16 * 2**20)
    with h5py.File(tmp_path / "mine.h5", "w") as file:
        how(file)
        size = 2 if how is label_with_nul else 4
        file["centres"], file["tract_lengths"] = np.ones((size, 3)), np.ones((size, size))
        if "region_labels" not in file:
            file["region_labels"] = np.array([b"a", b"b", b"c", b"d"])
    spec = {
        "name": "a", "connectivity": "./mine.h5", "model": "Generic2dOscillator", "integrator": "EulerDeterministic",
        "monitors": ["Raw"], "simulation_length": 1.0,
    }  # fmt: skip

    with pytest.raises(SpecError, match=words):
        look(locate(sweep(spec), tmp_path))


@pytest.mark.parametrize("target", ["another input", "itself", "elsewhere"])
def test_a_link_in_the_place_of_an_input_is_not_read(inputs, storage, tmp_path, target) -> None:
    from tvb_batch.models.errors import OutputError

    name, other = inputs.keep_array(np.ones(3)), inputs.keep_array(np.zeros(3))
    places = {"another input": storage.root / other, "itself": storage.root / name, "elsewhere": tmp_path / "x.npy"}
    np.save(tmp_path / "x.npy", np.ones(3))
    (storage.root / name).unlink()
    (storage.root / name).symlink_to(places[target])

    for read in (inputs.path, inputs.reserve) if target != "another input" else (inputs.path,):
        with pytest.raises((InputError, OutputError), match=name):
            read(name)
