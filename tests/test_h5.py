"""Files in HDF5 that HDF5 itself would never come back from."""

import h5py
import pytest

from models.errors import OutputError
from models.h5 import open_h5
from worker.h5.check import faults
from worker.h5.verify import verify_datatype


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "Connectivity.h5"
    with h5py.File(path, "w") as file:
        file.attrs.update({"TVB_gid": "urn:uuid:0", "TVB_subject": "ä" * 30})
        file["texts"] = ["one", "two"]
    return path


def damage(path, first: int, length: int) -> None:
    """Give the free room of the heap another length."""
    content = bytearray(path.read_bytes())
    place = content.index(b"GCOL") + 16
    while content[place : place + 2] != b"\0\0":
        place += 16 + -(-int.from_bytes(content[place + 8 : place + 16], "little") // 8) * 8
    content[place + first : place + 16] = length.to_bytes(16 - first, "little")
    path.write_bytes(content)


def test_a_whole_file_opens(path) -> None:
    with open_h5(path) as file:
        assert file.attrs["TVB_subject"] == "ä" * 30
        assert list(file["texts"].asstr()) == ["one", "two"]


@pytest.mark.parametrize("length", [0, 15])
def test_a_heap_without_end_is_a_fault_and_no_hang(path, length: int) -> None:
    # After a length of 15 the next one is read where there is nothing but zeros.
    damage(path, 8, length)

    with pytest.raises(OSError, match="heap of texts is damaged"):
        open_h5(path)
    assert faults(path) == [f"{path}: no readable H5 file (a heap of texts is damaged)"]
    with pytest.raises(OutputError, match="heap of texts is damaged"):
        verify_datatype(path, None)


def test_what_is_no_hdf5_is_said_by_h5py(tmp_path) -> None:
    (tmp_path / "x.h5").write_bytes(b"")

    with pytest.raises(OSError, match=r"(?i)unable to"):
        open_h5(tmp_path / "x.h5")
