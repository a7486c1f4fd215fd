"""A flipped bit in a datatype's file is found if it changes the content, and a job repairs the file."""

import os
import random
from datetime import UTC, datetime
from uuid import UUID

import h5py
import pytest
from runs import ran
from tvb_objects import OBJECTS

from tvb_batch.models.worker_protocol import NOTE, CompareFile
from tvb_batch.submit.operate.audit import audit
from tvb_batch.worker.h5 import seal
from tvb_batch.worker.h5.datatypes import file_prefix, write_datatype
from tvb_batch.worker.h5.tvb1.tvb1_convert import write_connectivity
from tvb_batch.worker.tools.file_check import record_faults
from tvb_batch.worker.tools.gui_check import faults

#: Number of bits of each file to flip, one at a time.
FLIPS = 60
KINDS = (
    "connectivity", "white_matter", "region_mapping", "other_local_connectivity", "eeg_sensors", "layered_projection",
    "region_stimulus", "tvb1",
)  # fmt: skip


def written(directory, name: str):
    """Return the file of a datatype, named by its content."""
    instance = OBJECTS["connectivity" if name == "tvb1" else name]()
    path = directory / f"{file_prefix(instance)}_{instance.gid.hex}.h5"
    write_datatype(path, instance, datetime.now(UTC), subject="s")
    if name == "tvb1":
        (directory / "tvb1").mkdir(exist_ok=True)
        return write_connectivity(path, directory / "tvb1" / path.name)
    return path


def place_of(dataset: h5py.Dataset) -> int | None:
    """Return the place of a dataset's first byte in the file."""
    if dataset.chunks:
        return dataset.id.get_chunk_info(0).byte_offset if dataset.id.get_num_chunks() else None
    return dataset.id.get_offset()


def caught(path) -> bool:
    return any(not fault.startswith(NOTE) for fault in record_faults(CompareFile(path, "x")))


def flip(path, place: int, bit: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1 << bit
    path.write_bytes(content)


@pytest.mark.parametrize("name", KINDS)
def test_a_flipped_bit_anywhere_is_found(tmp_path, name: str) -> None:
    path = written(tmp_path, name)
    whole, chance = path.read_bytes(), random.Random(name)
    assert list(record_faults(CompareFile(path, "x"))) == []

    # All bytes except the text of the last line, without which the file counts as unchecked.
    for place in [*chance.sample(range(len(whole) - seal._LENGTH), FLIPS), len(whole) - 1, len(whole) - 60]:
        flip(path, place, chance.randrange(8))
        assert caught(path), place
        path.write_bytes(whole)


@pytest.mark.parametrize("name", KINDS)
def test_hdf5_ignores_the_seal_and_writing_removes_it(tmp_path, name: str) -> None:
    path = written(tmp_path, name)
    assert faults(path) == []

    with h5py.File(path, "r+") as file:
        file.attrs["TVB_user_tag_5"] = "changed"

    assert seal.is_as_sealed(path) is None


def test_a_swapped_datatype_file_is_found(tmp_path) -> None:
    one, other = written(tmp_path, "connectivity"), tmp_path / f"Connectivity_{UUID(int=7).hex}.h5"
    other.write_bytes(one.read_bytes())

    assert not caught(one)
    assert caught(other)


def test_a_file_without_seal_is_read_and_reported_as_unchecked(settings, catalogue, made) -> None:
    [path] = (settings.data_dir / "datatypes").glob("*.h5")
    unseal(path)

    found = audit(catalogue, settings)

    assert found.faults == []
    assert [note.split(":")[1] for note in found.notes] == [f" datatypes/{path.name}"]
    ran(settings, catalogue, "b", sweep={"coupling.a": [0.03]})
    assert audit(catalogue, settings).notes == []


def test_a_job_replaces_a_damaged_file_under_its_readers(settings, catalogue, made) -> None:
    [path] = (settings.data_dir / "datatypes").glob("*.h5")
    with h5py.File(path) as file:
        place = place_of(file["tract_lengths"])
    reader = os.open(path, os.O_RDONLY)
    flip(path, place + 40, 3)
    damaged = path.read_bytes()
    assert len(audit(catalogue, settings).faults) == 1

    ran(settings, catalogue, "b", sweep={"coupling.a": [0.03]})

    assert audit(catalogue, settings).faults == []
    assert os.pread(reader, len(damaged), 0) == damaged
    os.close(reader)


def test_a_damaged_connectivity_of_tvb1_is_replaced(settings, catalogue) -> None:
    ran(settings, catalogue, "a", format="tvb1")
    [path] = (settings.data_dir / "datatypes" / "tvb1").glob("*.h5")
    with h5py.File(path) as file:
        flip(path, place_of(file["weights"]) + 40, 3)
    assert len(audit(catalogue, settings).faults) == 1

    ran(settings, catalogue, "b", format="tvb1", sweep={"coupling.a": [0.03]})

    assert audit(catalogue, settings).faults == []


def test_an_unchanged_datatype_is_read_once_per_process(tmp_path, monkeypatch) -> None:
    instance = OBJECTS["connectivity"]()
    path = tmp_path / f"Connectivity_{instance.gid.hex}.h5"
    for _ in range(2):
        write_datatype(path, instance, datetime.now(UTC), subject="s")
    monkeypatch.setattr(seal, "_digest", None)

    write_datatype(path, instance, datetime.now(UTC), subject="s")


def unseal(path) -> None:
    path.write_bytes(path.read_bytes()[: -seal._LENGTH])
