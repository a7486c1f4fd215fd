"""Lists of jobs and sweeps as a table, JSON and CSV."""

import csv
import io
import json
from datetime import timedelta
from uuid import uuid4

import pytest
from conftest import SHORT
from rich.console import Console

from tvb_batch.models.catalogue import OutputRecord
from tvb_batch.models.spec.sweep import sweep
from tvb_batch.submit.present.listing import Listing, list_jobs, list_sweeps

LEASE = timedelta(seconds=60)


@pytest.fixture
def filled(catalogue):
    models = [{"class": "Kuramoto", "omega": 2.0}, {"class": "Generic2dOscillator"}]
    found = catalogue.add_sweep(sweep({**SHORT, "name": "l", "sweep": {"coupling.a": [0.1, 0.2], "model": models}}))
    first, second, *_ = catalogue.jobs(sweep=found.gid)
    output = OutputRecord(
        uuid4(), "Raw", "TimeSeriesRegion", "outputs/x.h5", "tvb2", 1, "0" * 64, (1, 1, 1, 1), is_nan=True,
        metrics={"mean": 0.5},
    )  # fmt: skip
    catalogue.finish(catalogue.claim(first.gid, "w", LEASE), [output], engine="reference", versions={})
    claim = catalogue.claim(second.gid, "w", LEASE)
    catalogue.fail(claim, "OutputError", "disk [red]full\nreally", retryable=False, max_attempts=1)
    return catalogue, found


def shown(listing: Listing, width: int = 120) -> str:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(listing.as_table())
    return console.export_text()


def test_columns_are_fields_parameters_and_metrics(filled) -> None:
    catalogue, found = filled
    columns = (
        "number",
        "status",
        "coupling.a",
        "model.class",
        "model.omega",
        "conduction_speed",
        "mean",
        "is_nan",
        "error",
    )

    listing = list_jobs(catalogue, catalogue.jobs(sweep=found.gid), columns, "json")

    assert [tuple(row.values()) for row in listing.rows] == [
        (0, "FINISHED", 0.1, "Kuramoto", 2.0, 3.0, 0.5, True, None),
        (1, "ERROR", 0.1, "Generic2dOscillator", None, 3.0, None, False, "disk [red]full\nreally"),
        (2, "PENDING", 0.2, "Kuramoto", 2.0, 3.0, None, False, None),
        (3, "PENDING", 0.2, "Generic2dOscillator", None, 3.0, None, False, None),
    ]


def test_a_table_is_readable_and_shows_texts_as_they_are(filled) -> None:
    catalogue, found = filled
    jobs = catalogue.jobs(sweep=found.gid)

    table = shown(list_jobs(catalogue, jobs, ("gid", "progress", "error", "duration", "created", "is_nan"), "table"))
    usual = shown(list_jobs(catalogue, jobs, (), "table"))

    assert jobs[0].gid.hex[:8] in table
    assert "100%" in table
    assert "disk [red]full really" in table
    assert "coupling.a=0.1 model=Kuramoto(omega=2)" in usual
    # Nothing is cut in a narrow terminal.
    narrow = "".join(shown(list_jobs(catalogue, jobs, (), "table"), 40).split())
    assert "".join(str(jobs[3].parameters["coupling.a"]).split()) in narrow


def test_a_csv_file_is_valid_and_complete(filled) -> None:
    catalogue, found = filled

    rows = list(csv.DictReader(io.StringIO(list_jobs(catalogue, catalogue.jobs(sweep=found.gid), (), "csv").as_csv())))

    assert [row["status"] for row in rows] == ["FINISHED", "ERROR", "PENDING", "PENDING"]
    assert [row["mean"] for row in rows] == ["0.5", "", "", ""]
    assert rows[1]["error"] == "disk [red]full\nreally"
    assert rows[0]["model"] == "Kuramoto(omega=2)"
    assert "monitors[0].mean" not in rows[0]


def test_json_is_what_a_program_reads(filled, capsys) -> None:
    catalogue, found = filled

    list_jobs(catalogue, catalogue.jobs(sweep=found.gid), (), "json").print("json")

    first = json.loads(capsys.readouterr().out)[0]
    assert (first["status"], first["parameters"]["coupling.a"], first["metrics"]["mean"]) == ("FINISHED", 0.1, 0.5)


def test_sweeps_are_listed_in_every_form(filled, capsys) -> None:
    catalogue, found = filled
    summaries = catalogue.sweeps()

    table = shown(list_sweeps(summaries, "table"))
    [row] = csv.DictReader(io.StringIO(list_sweeps(summaries, "csv").as_csv()))
    list_sweeps(summaries, "json").print("json")

    assert "1 finished, 2 pending, 1 failed" in table
    assert (row["sweep"], row["jobs"], row["PENDING"]) == (str(found.gid), "4", "2")
    assert json.loads(capsys.readouterr().out)[0]["counts"] == {"FINISHED": 1, "ERROR": 1, "PENDING": 2}


def test_an_empty_list_is_valid_in_every_form(capsys) -> None:
    Listing((), []).print("json")
    Listing(("a", "b"), []).print("csv")

    assert capsys.readouterr().out == "[]\na,b\n"
