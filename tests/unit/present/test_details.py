"""The page of a job and of a sweep in a terminal."""

from datetime import timedelta

import pytest
from conftest import SHORT

from tvb_batch.models.spec.sweep import sweep
from tvb_batch.submit.present import details
from tvb_batch.worker.job.run import run_job

LEASE = timedelta(seconds=60)


@pytest.fixture
def ran(catalogue, settings):
    made = catalogue.add_sweep(sweep({**SHORT, "name": "d", "sweep": {"coupling.a": [0.02, 0.03, 0.04]}}))
    first, second, third = catalogue.jobs(sweep=made.gid)
    run_job(catalogue, settings, catalogue.claim(first.gid, "w", LEASE))
    claim = catalogue.claim(second.gid, "w", LEASE)
    catalogue.fail(claim, "OutputError", "disk [red]full\nreally", retryable=False, max_attempts=1)
    return made, [first.gid, second.gid, third.gid]


def page(catalogue, settings, capsys, gid) -> str:
    details.print_job(catalogue, catalogue.find_job(str(gid)), settings.storage)
    return capsys.readouterr().out


@pytest.mark.slow
def test_a_finished_job_begins_with_its_own_and_ends_with_the_rest(catalogue, settings, capsys, ran) -> None:
    _, gids = ran

    said = page(catalogue, settings, capsys, gids[0])

    sections = ["swept parameters", "times", "metrics", "files", "next", "parameters of the sweep"]
    assert [section for section in sections if section in said] == sections
    assert sorted(said.index(section) for section in sections) == [said.index(section) for section in sections]
    own = said[said.index("swept parameters") : said.index("times")]
    assert "coupling.a  0.02  (base 0.00390625)" in own
    [output] = catalogue.outputs([gids[0]])
    # On one line, to be copied.
    assert f"  {settings.storage.absolute(output.path)}\n" in said
    assert f"tvb-batch rerun {settings.storage.absolute(output.path)}" in said
    assert "coupling.a" not in said[said.index("parameters of the sweep") :]
    assert "model.tau" in said[said.index("parameters of the sweep") :]


def test_a_failed_job_shows_the_error_a_hint_and_the_next_step(catalogue, settings, capsys, ran) -> None:
    _, gids = ran

    said = page(catalogue, settings, capsys, gids[1])

    assert "OutputError: disk [red]full really" in said
    assert f"hint: {details.HINTS['OutputError']}" in said
    assert f"tvb-batch retry {gids[1].hex[:8]}" in said


def test_a_pending_job_shows_no_results(catalogue, settings, capsys, ran) -> None:
    _, gids = ran

    said = page(catalogue, settings, capsys, gids[2])

    assert "pending" in said
    for section in ("files", "error", "next", "metrics"):
        assert f"\n{section}\n" not in said


def test_a_reused_job_says_so(catalogue, settings, capsys, ran) -> None:
    again = catalogue.add_sweep(sweep({**SHORT, "name": "again", "sweep": {"coupling.a": [0.02]}}))

    said = page(catalogue, settings, capsys, catalogue.jobs(sweep=again.gid)[0].gid)

    assert "shares the files" in said
    assert "TimeSeriesRegion" in said


def test_a_sweep_shows_what_varies_and_the_next_step(catalogue, capsys, ran) -> None:
    made, _ = ran

    details.print_sweep(catalogue, made)

    said = capsys.readouterr().out
    assert "3 jobs: 1 finished, 1 pending, 1 failed" in said
    assert "coupling.a: 3 values, 0.02, 0.03, 0.04" in said
    assert f"tvb-batch retry {made.gid.hex[:8]}" in said
