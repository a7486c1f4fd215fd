"""HDF5 files on which HDF5 itself would never return."""

import h5py
import pytest
from h5_files import damage

from tvb_batch.models.errors import OutputError
from tvb_batch.models.tvb.h5_guard import open_h5
from tvb_batch.worker.h5.verify import verify_datatype
from tvb_batch.worker.tools.gui_check import faults


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "Connectivity.h5"
    with h5py.File(path, "w") as file:
        file.attrs.update({"TVB_gid": "urn:uuid:0", "TVB_subject": "ä" * 30})
        file["texts"] = ["one", "two"]
    return path


def test_a_whole_file_opens(path) -> None:
    with open_h5(path) as file:
        assert file.attrs["TVB_subject"] == "ä" * 30
        assert list(file["texts"].asstr()) == ["one", "two"]


@pytest.mark.parametrize("length", [0, 15])
def test_a_heap_without_end_is_a_fault_and_no_hang(path, length: int) -> None:
    # After a length of 15, the next length is read from zeros.
    damage(path, 8, length)

    with pytest.raises(OSError, match="string heap is damaged"):
        open_h5(path)
    assert faults(path) == [f"{path}: not a readable H5 file (a string heap is damaged)"]
    with pytest.raises(OutputError, match="string heap is damaged"):
        verify_datatype(path, None)


def test_a_damaged_heap_is_found_where_parts_of_the_file_need_no_search(path) -> None:
    size, heap = path.stat().st_size, path.read_bytes().index(b"GCOL")
    damage(path, 8, 0)

    for apart_from in ([(0, heap)], [(heap + 8, size)], [(heap + 8, size), (0, 8), (4, heap - 3)], [(size, 2 * size)]):
        with pytest.raises(OSError, match="string heap is damaged"):
            open_h5(path, apart_from)
    open_h5(path, [(0, size)]).close()


def test_a_long_heap_is_walked_to_its_end(path) -> None:
    # A heap as HDF5 makes it for long texts: 20,000 bytes of objects, then free space.
    objects = b"".join((1 + n).to_bytes(8, "little") + (984).to_bytes(8, "little") + b"x" * 984 for n in range(20))
    heap = b"GCOL\1\0\0\0" + (16 + len(objects) + 64).to_bytes(8, "little") + objects + bytes(8)
    whole = path.read_bytes()

    path.write_bytes(whole + heap + (64).to_bytes(8, "little") + bytes(48))
    open_h5(path).close()
    path.write_bytes(whole + heap + bytes(56))
    with pytest.raises(OSError, match="string heap is damaged"):
        open_h5(path)


def test_h5py_reports_a_file_that_is_not_hdf5(tmp_path) -> None:
    (tmp_path / "x.h5").write_bytes(b"")

    with pytest.raises(OSError, match=r"(?i)unable to"):
        open_h5(tmp_path / "x.h5")
