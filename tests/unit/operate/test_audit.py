"""Rows, files and checksums are compared in both directions: each difference is named, with advice."""

import os
from datetime import timedelta
from importlib.resources import files
from uuid import uuid4

import h5py
import pytest
from commands import assert_refused
from conftest import SHORT
from runs import ran

from tvb_batch.models.spec.sweep import sweep
from tvb_batch.models.worker_protocol import CompareFile
from tvb_batch.submit.intake.files import keep
from tvb_batch.submit.operate.audit import audit
from tvb_batch.worker.tools.file_check import record_faults


def first_file(settings, catalogue, made):
    job = catalogue.jobs(sweep=made.gid)[0]
    [output] = catalogue.outputs([job.gid])
    return job, settings.storage.absolute(output.path)


def flip(path) -> None:
    """Change a byte of the data but not its statistics."""
    content = bytearray(path.read_bytes())
    with h5py.File(path) as file:
        offset = file["data"].id.get_chunk_info(0).byte_offset
    content[offset + 3] ^= 1
    path.write_bytes(content)


def cut(path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def change_text(path) -> None:
    with h5py.File(path, "r+") as file:
        file.attrs["TVB_title"] = "b"


@pytest.mark.slow
def test_rows_and_files_agree(settings, catalogue, made) -> None:
    [job, _] = catalogue.jobs(sweep=made.gid)
    ran(settings, catalogue, "b", format="tvb1")
    ran(settings, catalogue, "c", connectivity=str(files("tvb_data") / "connectivity" / "connectivity_66.zip"))

    of_sweep, of_job, of_all = (
        audit(catalogue, settings, made),
        audit(catalogue, settings, job),
        audit(catalogue, settings),
    )

    assert (of_sweep.faults, of_job.faults, of_all.faults) == ([], [], [])
    assert (of_sweep.files, of_job.files) == (3, 2)
    assert of_all.repairs == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda path: path.unlink(), "missing"),
        (cut, "bytes, expected"),
        (flip, "its content has changed"),
        (change_text, "expected"),
    ],
    ids=["missing", "cut", "flipped", "text"],
)
def test_a_damaged_file_is_named_with_its_job_to_repair(settings, catalogue, made, damage, words: str) -> None:
    job, path = first_file(settings, catalogue, made)
    damage(path)

    found = audit(catalogue, settings, made)

    relative = settings.storage.relative(path)
    assert found.faults
    assert all(fault.startswith(f"{relative}:") for fault in found.faults)
    assert words in found.faults[0]
    assert len(found.repairs) == 1
    assert job.gid.hex[:8] in found.repairs[0]
    assert "1 job (" in found.repairs[0]
    assert audit(catalogue, settings, catalogue.jobs(sweep=made.gid)[1]).faults == []


@pytest.mark.slow
def test_a_missing_connectivity_is_a_fault_of_every_job_that_refers_to_it(settings, catalogue, made) -> None:
    [connectivity] = (settings.data_dir / "datatypes").glob("*.h5")
    connectivity.unlink()

    found = audit(catalogue, settings, made)

    assert found.faults == [f"datatypes/{connectivity.name}: missing"]
    assert "2 jobs (" in found.repairs[0]
    assert "datatypes/" in found.repairs[1]


@pytest.mark.slow
def test_a_missing_input_file_is_named_with_all(settings, catalogue) -> None:
    ran(settings, catalogue, "c", connectivity=str(files("tvb_data") / "connectivity" / "connectivity_66.zip"))
    [kept] = (settings.data_dir / "inputs").iterdir()
    kept.unlink()

    found = audit(catalogue, settings)

    assert found.faults == [f"inputs/{kept.name}: missing, and a spec names it"]
    assert "submit" in found.repairs[0]


@pytest.mark.slow
@pytest.mark.parametrize("what", ["job", "sweep", "all"])
def test_a_flipped_bit_of_an_input_is_found(settings, catalogue, what: str) -> None:
    path = str(files("tvb_data") / "connectivity" / "connectivity_66.zip")
    made = ran(settings, catalogue, "c", connectivity=path)
    [kept] = (settings.data_dir / "inputs").iterdir()
    content = bytearray(kept.read_bytes())
    content[1000] ^= 4
    kept.write_bytes(content)
    target = {"job": catalogue.jobs(sweep=made.gid)[0], "sweep": made, "all": None}[what]

    found = audit(catalogue, settings, target)

    assert len(found.faults) == 1
    assert found.faults[0].startswith(f"inputs/{kept.name}: sha256 ")
    assert "submit specs" in found.repairs[0]
    keep(sweep({**SHORT, "name": "c", "connectivity": path}), settings.storage)
    assert audit(catalogue, settings, target).faults == []


@pytest.mark.slow
def test_files_that_no_row_names_are_listed_with_all_alone(settings, catalogue, made) -> None:
    _, path = first_file(settings, catalogue, made)
    strays = [
        path.with_name("x.h5.part"),
        settings.storage.input("0" * 64, ".zip"),
        settings.storage.datatype("Z", made.gid),
    ]
    for stray in strays:
        stray.parent.mkdir(exist_ok=True)
        stray.write_text("no")
        os.utime(stray, (0, 0))

    found = audit(catalogue, settings)

    assert set(found.faults) == {f"{settings.storage.relative(stray)}: no row names it" for stray in strays}
    assert "3 files" in found.repairs[0]
    assert audit(catalogue, settings, made).faults == []


def test_files_of_a_running_job_are_not_a_fault(settings, catalogue) -> None:
    sleeping = catalogue.add_sweep(sweep({**SHORT, "name": "r"}), reuse=False)
    [job] = catalogue.jobs(sweep=sleeping.gid)
    claim = catalogue.claim(job.gid, "w", timedelta(seconds=60))
    directory = settings.storage.job_directory(sleeping.gid, job.gid)
    directory.mkdir(parents=True)
    (directory / "x.h5.part").write_text("half")
    connectivity = settings.data_dir / "datatypes" / f"Connectivity_{'0' * 32}.h5"
    connectivity.parent.mkdir()
    connectivity.write_text("half")

    assert audit(catalogue, settings).faults == []
    catalogue.canceled(claim)
    assert len(audit(catalogue, settings).faults) == 2


def test_a_finished_job_without_rows_of_files_is_named(settings, catalogue) -> None:
    empty = catalogue.add_sweep(sweep({**SHORT, "name": "e"}), reuse=False)
    [job] = catalogue.jobs(sweep=empty.gid)
    catalogue.finish(catalogue.claim(job.gid, "w", timedelta(seconds=60)), [], engine="reference", versions={})

    found = audit(catalogue, settings, empty)

    assert found.faults == [f"job {job.gid.hex[:8]}: FINISHED, but no row names its files"]


@pytest.mark.slow
def test_a_job_that_shares_files_is_checked_by_them(settings, catalogue, made) -> None:
    _, path = first_file(settings, catalogue, made)
    shared = catalogue.add_sweep(sweep({**SHORT, "name": "s", "sweep": {"coupling.a": [0.01, 0.02]}}))
    path.unlink()

    found = audit(catalogue, settings, shared)

    assert {job.status for job in catalogue.jobs(sweep=shared.gid)} == {"FINISHED"}
    assert found.faults == [f"{settings.storage.relative(path)}: missing"]


def test_a_directory_in_the_place_of_a_file_is_a_fault(tmp_path) -> None:
    assert list(record_faults(CompareFile(tmp_path, "x", bytes=tmp_path.stat().st_size, sha256="0"))) != []


@pytest.mark.slow
def test_the_command_line_names_faults_and_ends_with_1(tvb_batch, settings, catalogue, made) -> None:
    _, path = first_file(settings, catalogue, made)

    whole = [tvb_batch("verify", "a"), tvb_batch("verify", "--all"), tvb_batch("verify", "a", str(path))]
    cut(path)
    damaged = [tvb_batch("verify", "a"), tvb_batch("verify", "--all")]

    assert [result.stdout for result in whole] == [f"{count} files OK\n" for count in (3, 3, 4)]
    assert [result.exit_code for result in (*whole, *damaged)] == [0, 0, 0, 1, 1]
    for result in damaged:
        assert f"{settings.storage.relative(path)}: " in result.stdout
        assert "Repair: 1 job" in result.stdout
    assert_refused(tvb_batch("verify", uuid4().hex), "no sweep or job")
    for arguments in ((), ("a", "--all")):
        wrong = tvb_batch("verify", *arguments)
        assert (wrong.exit_code, "--all" in wrong.stderr) == (2, True)


@pytest.mark.slow
def test_a_link_to_another_valid_file_is_no_file_of_its_name(settings, catalogue) -> None:
    shipped = files("tvb_data") / "connectivity" / "connectivity_66.zip"
    ran(settings, catalogue, "a")
    ran(settings, catalogue, "b", connectivity=str(shipped))
    one, other = sorted((settings.data_dir / "datatypes").glob("Connectivity_*.h5"))
    one.unlink()
    one.symlink_to(other)

    assert [fault.partition(":")[0] for fault in audit(catalogue, settings).faults] == [f"datatypes/{one.name}"]
