"""The end of a sweep, and the data of a job and a sweep."""

import json
from datetime import timedelta

import pytest
from conftest import SHORT

from tvb_batch.models.catalogue.status import Status
from tvb_batch.models.spec.sweep import sweep
from tvb_batch.submit.present import serialize


@pytest.fixture
def filled(catalogue):
    found = catalogue.add_sweep(sweep({**SHORT, "name": "v", "sweep": {"coupling.a": [0.1, 0.2, 0.3]}}))
    jobs = catalogue.jobs(sweep=found.gid)
    catalogue.finish(catalogue.claim(jobs[0].gid, "w", timedelta(seconds=9)), [], engine="reference", versions={})
    claim = catalogue.claim(jobs[1].gid, "w", timedelta(seconds=9))
    catalogue.fail(claim, "OutputError", "disk full [red]", retryable=False, max_attempts=3)
    return catalogue, found


def test_the_end_says_where_things_are_and_what_to_do_next(filled, capsys, settings) -> None:
    catalogue, found = filled

    serialize.print_end(
        catalogue, found, catalogue.counts(found.gid) | {Status.CANCELED: 0, Status.STARTED: 0}, settings.storage
    )

    said = capsys.readouterr().out
    assert str(settings.data_dir) in said
    assert f"tvb-batch bundle {found.gid.hex[:8]} -o v.zip" in said
    assert f"tvb-batch retry {found.gid.hex[:8]}" in said


def test_a_job_and_a_sweep_are_serialized(filled, settings) -> None:
    catalogue, found = filled
    job = catalogue.jobs(sweep=found.gid)[1]

    one = json.loads(json.dumps(serialize.details(catalogue, job, settings.storage)))
    all_ = json.loads(json.dumps(serialize.details(catalogue, found, settings.storage)))

    assert (one["status"], one["error"], one["parameters"]) == ("ERROR", "disk full [red]", {"coupling.a": 0.2})
    assert (one["metrics"], one["outputs"]) == ({}, [])
    assert all_["counts"] == {"FINISHED": 1, "ERROR": 1, "PENDING": 1}
    assert all_["simulation"]["model"]["class"] == "Generic2dOscillator"
