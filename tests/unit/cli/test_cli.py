"""The command line: wrong input gives one clear line and exit code 2, and leaves nothing behind."""

import json
import os
import re
import sqlite3
import subprocess
import sys
import zipfile
from datetime import timedelta
from uuid import uuid4

import click
import h5py
import pytest
from click.shell_completion import ShellComplete
from commands import assert_refused, spec_file
from conftest import EXAMPLES, SHORT

from tvb_batch.models.catalogue import Catalogue
from tvb_batch.models.spec.sweep import sweep
from tvb_batch.submit.cli import main
from tvb_batch.submit.cli.group import SECTIONS
from tvb_batch.worker.job.run import run_job

NOWHERE = "redis://:secret@127.0.0.1:1/0"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model": {"class": "JansenRitt"}}, ["model", "JansenRitt", "did you mean", "JansenRit"]),
        ({"model": {"class": "JansenRit", "v00": 1.0}}, ["model.v00", "did you mean", "v0"]),
        ({"model": {"class": "JansenRit", "v0": "six"}}, ["model.v0", "six", "number"]),
        ({"simulation_length": -1.0}, ["simulation_length", "-1"]),
        ({"monitors": [{"class": "TemporalAverage", "period": 0.1}]}, ["monitors[0].period", "0.1", "dt"]),
        ({"connectivity": "no_such.zip"}, ["connectivity", "no_such.zip"]),
        ({"connectivity": "./no_such.zip"}, ["connectivity", "no_such.zip"]),
        ({"sweep": {"coupling.aa": [1.0]}}, ["coupling.aa", "did you mean"]),
        ({"sweep": {"coupling.a": {"start": 0, "stop": 1, "num": 10**9}}}, ["sweep", "1,000,000,000 points"]),
        ({"sweep": {"coupling.a": [1.0], "where": "open('x')"}}, ["sweep.where", "cannot be used"]),
        ({"sweep": {"list": "none.csv"}}, ["sweep.list", "none.csv"]),
        ({"model": {"class": "Generic2dOscillator", "a": [1.0] * 75}}, ["model.a", "75 values", "76 regions"]),
        ({"model": {"class": "Generic2dOscillator", "a": 1e999}}, ["model.a", "a finite number"]),
        ({"monitors": [{"class": "EEG", "sensors": "eeg_66.txt"}]}, ["monitors[0].sensors", "eeg_66.txt"]),
        (
            {"connectivity": {"from_file": "connectivity_76.zip", "weights": {"from_file": "/x/y"}}},
            ["connectivity.weights.from_file"],
        ),
        ({"surface": {"region_mapping_data": "regionMapping_16k_76.txt"}}, ["surface.region_mapping_data.surface"]),
    ],
    ids=lambda value: str(value)[:30],
)
@pytest.mark.parametrize("command", ["run", "submit"])
def test_a_bad_spec_gives_one_line_and_leaves_nothing(tvb_batch, tmp_path, command, changes, words) -> None:
    result = tvb_batch(command, spec_file(tmp_path, **changes))

    assert_refused(result, "spec.json:", *words)
    assert not (tmp_path / "data").exists()


def test_a_missing_spec_file_gives_one_line(tvb_batch) -> None:
    assert_refused(tvb_batch("submit", "nowhere.yaml"), "nowhere.yaml")


def test_an_unreachable_redis_gives_one_line_without_the_password(tvb_batch, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("TVB_BATCH_BROKER_URL", NOWHERE)

    result = tvb_batch("submit", spec_file(tmp_path))

    assert_refused(result, "127.0.0.1:1", "Redis")
    assert "secret" not in result.output
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("command", ["run", "submit"])
def test_an_output_directory_that_cannot_be_written_gives_one_line(tvb_batch, tmp_path, command) -> None:
    (tmp_path / "data").write_text("a file in the way")

    assert_refused(tvb_batch(command, spec_file(tmp_path)), "data directory", "TVB_BATCH_DATA_DIR")


@pytest.mark.parametrize("command", [["run"], ["submit"], ["list"]])
def test_a_database_of_a_newer_revision_gives_one_line(tvb_batch, tmp_path, command) -> None:
    (tmp_path / "data").mkdir()
    database = tmp_path / "data" / "catalogue.sqlite"
    Catalogue.open(f"sqlite:///{database}", create=True).dispose()
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'from_the_future'")
    connection.close()

    result = tvb_batch(*command, *([spec_file(tmp_path)] if command != ["list"] else []))

    assert_refused(result, "from_the_future")


def test_an_unreachable_database_gives_one_line_without_the_password(tvb_batch, monkeypatch) -> None:
    monkeypatch.setenv("TVB_BATCH_DATABASE_URL", "postgresql://user:secret@127.0.0.1:1/tvb")

    result = tvb_batch("list")

    assert_refused(result, "127.0.0.1")
    assert "secret" not in result.output


def test_a_bad_setting_names_its_variable(tvb_batch, monkeypatch) -> None:
    monkeypatch.setenv("TVB_BATCH_LEASE", "soon")

    assert_refused(tvb_batch("list"), "TVB_BATCH_LEASE", "soon")


@pytest.mark.parametrize("command", ["show", "watch", "cancel", "retry", "bundle"])
def test_an_unknown_key_gives_one_line(tvb_batch, command) -> None:
    assert_refused(tvb_batch(command, "no_such_sweep"), "no_such_sweep")


def test_a_bad_condition_gives_one_line(tvb_batch) -> None:
    assert_refused(tvb_batch("list", "--where", "coupling.a ~ 3"), "coupling.a ▸~ 3")


def test_jobs_are_found_sorted_and_shown_by_the_columns_that_are_asked_for(tvb_batch, tmp_path) -> None:
    tvb_batch("submit", spec_file(tmp_path, name="columns", sweep={"coupling.a": [0.1, 0.3, 0.2]}))
    columns = ["--columns", "number,coupling.a,status", "--sort", "-coupling.a"]

    listed = tvb_batch("list", *columns, "--csv", "--where", "coupling.a > 0.1 and status = pending")
    table = tvb_batch("list", "columns", *columns)
    few = tvb_batch("list", *columns, "--limit", "1")
    typo = tvb_batch("list", "--where", "couplin.a > 0")

    assert listed.stdout == "number,coupling.a,status\n1,0.3,PENDING\n2,0.2,PENDING\n"
    assert [line.split() for line in table.stdout.splitlines()][1] == ["1", "0.3", "pending"]
    assert "1 of 3 jobs; --limit shows more" in few.stderr
    assert typo.exit_code == 0
    assert "no job has a parameter, metric or field 'couplin.a'" in typo.stderr
    assert "No jobs match." in typo.stdout
    for wrong in (["--where", "a = 1; b"], ["--sort", "a b"], ["--columns", "a,,b"]):
        assert_refused(tvb_batch("list", *wrong), "filter at character")


@pytest.mark.slow
def test_everything_that_lists_prints_json_and_csv(tvb_batch, tmp_path) -> None:
    tvb_batch("submit", spec_file(tmp_path, name="forms", sweep={"coupling.a": [0.1, 0.2]}))

    for command in (["list"], ["sweeps"], ["stats", "forms"], ["workers"], ["stats", "forms", "--by", "coupling.a"]):
        if "--by" in command:
            assert_refused(tvb_batch(*command), "no finished job of sweep forms")
            continue
        assert isinstance(json.loads(tvb_batch(*command, "--json").stdout), list)
        assert "," in tvb_batch(*command, "--csv").stdout.splitlines()[0]
        assert tvb_batch(*command).exit_code == 0


@pytest.mark.slow
def test_finished_results_are_measured_and_drawn(tvb_batch, settings, catalogue, tmp_path) -> None:
    made = catalogue.add_sweep(sweep({**SHORT, "name": "drawn", "sweep": {"coupling.a": [0.01, 0.02]}}))
    for job in catalogue.jobs(sweep=made.gid):
        run_job(catalogue, settings, catalogue.claim(job.gid, "w", timedelta(seconds=60)))

    for key, name in (("drawn", "sweep.png"), (job.gid.hex[:12], "job.svg")):
        assert tvb_batch("plot", key, "-o", str(tmp_path / name)).stdout == f"{tmp_path / name}\n"
        assert (tmp_path / name).stat().st_size > 1000
    measured = tvb_batch("stats", "drawn")
    by = tvb_batch("stats", "drawn", "--by", "coupling.a", "--metric", "GlobalVariance", "--json")

    assert measured.stdout.startswith("drawn: 2 jobs, 2 finished\n")
    assert "GlobalVariance" in measured.stdout
    assert [row["coupling.a"] for row in json.loads(by.stdout)] == ["0.01", "0.02"]
    assert_refused(tvb_batch("plot", "drawn", "-o", "x.txt"), "x.txt", ".png")
    assert_refused(tvb_batch("plot", "drawn", "--metric", "Global", "-o", "x.png"), "did you mean 'GlobalVariance'")
    assert_refused(tvb_batch("plot", "drawn", "--over", "a", "-o", "x.png"), "does not vary it")
    for key, option, value, kind in (
        ("drawn", "--transient", "5", "sweep"), ("drawn", "--monitor", "0", "sweep"),
        (job.gid.hex, "--metric", "mean", "job"), (job.gid.hex, "--over", "a", "job"),
    ):  # fmt: skip
        refused = tvb_batch("plot", key, option, value, "-o", "x.png")
        assert (
            refused.exit_code,
            f"{option}: only for a" in refused.stderr and f"{key} is a {kind}" in refused.stderr,
        ) == (2, True)
    assert tvb_batch("plot", job.gid.hex, "--transient", "5", "-o", str(tmp_path / "c.png")).exit_code == 0
    assert_refused(
        tvb_batch("plot", job.gid.hex, "--transient", "20", "-o", "x.png"), "transient: 20 ms", "series, 20 ms"
    )


def test_a_watch_ends_with_1_when_jobs_failed(tvb_batch, catalogue) -> None:
    made = catalogue.add_sweep(sweep({**SHORT, "name": "failed"}))
    claim = catalogue.claim(catalogue.jobs(sweep=made.gid)[0].gid, "w", timedelta(seconds=60))
    catalogue.fail(claim, "OutputError", "disk full", retryable=False, max_attempts=1)

    watched, nothing = tvb_batch("watch", "failed"), tvb_batch("watch")

    assert (watched.exit_code, nothing.exit_code) == (1, 0)
    assert "disk full" in watched.stdout
    assert "No pending jobs are left" in nothing.stdout


def test_help_goes_by_headings_and_leaves_no_command_out(tvb_batch) -> None:
    said = tvb_batch("--help").stdout

    for heading in (*SECTIONS, "Operate"):
        assert f"\n{heading}:\n" in said
    for name in main.commands:
        assert re.search(rf"^  {name} +\w", said, re.MULTILINE), name
    assert max(map(len, said.splitlines())) <= 120
    assert {name for names in SECTIONS.values() for name in names} <= set(main.commands)


def test_the_shell_completes_commands_options_and_sweeps(tvb_batch, tmp_path) -> None:
    tvb_batch("submit", spec_file(tmp_path, name="long_name"))

    def completed(*words: str) -> list[str]:
        complete = ShellComplete(main, {}, "tvb-batch", "_TVB_BATCH_COMPLETE")
        return [item.value for item in complete.get_completions(list(words[:-1]), words[-1])]

    assert completed("st") == ["stats"]
    assert completed("show", "lo") == ["long_name"]
    assert [value.upper() for value in completed("list", "--status", "P")] == ["PENDING"]
    assert completed("list", "--co") == ["--columns"]


def test_submit_list_show_cancel_retry_go_together(tvb_batch, tmp_path) -> None:
    submitted = tvb_batch("submit", spec_file(tmp_path, name="together", sweep={"coupling.a": [0.1, 0.2, 0.3]}))
    assert submitted.exit_code == 0, submitted.output
    assert "Submitted 3 jobs" in submitted.stdout

    listed = json.loads(tvb_batch("list", "--json", "--where", "coupling.a >= 0.2").stdout)
    assert sorted(job["parameters"]["coupling.a"] for job in listed) == [0.2, 0.3]

    assert "Canceled 1 job." in tvb_batch("cancel", listed[0]["gid"]).stdout
    assert "Canceled 2 jobs." in tvb_batch("cancel", "together").stdout
    assert {job["status"] for job in json.loads(tvb_batch("list", "together", "--json").stdout)} == {"CANCELED"}
    assert "3 jobs pending again" in tvb_batch("retry", "together").stdout

    shown = json.loads(tvb_batch("show", "together", "--json").stdout)
    assert shown["counts"] == {"PENDING": 3}
    assert "together" in tvb_batch("sweeps").stdout
    assert "coupling.a=0.2" in tvb_batch("list").stdout
    assert "nothing to bundle" in tvb_batch("bundle", "together").stderr


def test_requeue_sends_lost_messages_again(tvb_batch, settings, tmp_path) -> None:
    tvb_batch("submit", spec_file(tmp_path, name="lost"))

    assert "sent 0 jobs" in tvb_batch("requeue").stdout


def test_a_dry_run_says_what_would_be_queued_and_writes_nothing(tvb_batch, tmp_path) -> None:
    result = tvb_batch("submit", "--dry-run", str(EXAMPLES / "sweep.yaml"))

    assert result.exit_code == 0, result.output
    assert "6 jobs" in result.stdout
    assert "coupling.a" in result.stdout
    assert not (tmp_path / "data").exists()


@pytest.mark.slow
def test_a_check_builds_the_first_simulation_and_estimates_the_sweep(tvb_batch, tmp_path) -> None:
    # TVB's readers log missing parts of this connectivity to standard output.
    spec = spec_file(tmp_path, connectivity="connectivity_66.zip", sweep={"coupling.a": [0.1, 0.2]})

    result = tvb_batch("submit", "--check", spec)

    assert result.exit_code == 0, result.output
    assert "One job takes about" in result.stdout
    assert "2 jobs:" in result.stdout
    assert "of disk" in result.stdout
    assert not (tmp_path / "data").exists()


@pytest.mark.slow
def test_a_check_reports_in_one_line_what_tvb_refuses(tvb_batch, tmp_path) -> None:
    # Not many single indices.
    mask = {"class": "SpatialAverage", "period": 1.0, "spatial_mask": [0] * 75 + [2]}

    assert_refused(tvb_batch("submit", "--check", spec_file(tmp_path, monitors=[mask])), "monitors[0]: TVB refuses it")


@pytest.mark.slow
def test_the_kernel_of_the_first_simulation_is_printed_and_nothing_is_queued(tvb_batch, tmp_path) -> None:
    result = tvb_batch("submit", "--dump-kernel", spec_file(tmp_path, sweep={"coupling.a": [0.1, 0.2]}))

    assert result.exit_code == 0, result.output
    assert "{ lambda s0:f64[]" in result.stdout
    assert "\ndef advance(n, " in result.stdout
    assert not (tmp_path / "data").exists()


@pytest.mark.slow
def test_a_simulation_without_a_kernel_says_why(tvb_batch, tmp_path) -> None:
    spec = spec_file(tmp_path, coupling="PreSigmoidal")

    assert_refused(tvb_batch("submit", "--dump-kernel", spec), "TVB's own loop runs it", "PreSigmoidal sums in a way")


def test_points_are_read_from_a_csv_file_beside_the_spec(tvb_batch, tmp_path) -> None:
    (tmp_path / "points.csv").write_text("coupling.a,model.class\n0.1,Kuramoto\n0.2,Generic2dOscillator\n")

    submitted = tvb_batch("submit", spec_file(tmp_path, name="csv", sweep={"list": "points.csv"}))

    assert submitted.exit_code == 0, submitted.output
    listed = json.loads(tvb_batch("list", "csv", "--json").stdout)
    assert [job["parameters"] for job in listed] == [
        {"coupling.a": 0.1, "model.class": "Kuramoto"}, {"coupling.a": 0.2, "model.class": "Generic2dOscillator"},
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["coupling.a,model.tau\n0.1\n", "coupling.a\n0.1,0.2\n", "coupling.a\n", "\xff"])
def test_an_invalid_csv_file_gives_one_line(tvb_batch, tmp_path, text) -> None:
    (tmp_path / "points.csv").write_bytes(text.encode("latin-1"))

    assert_refused(tvb_batch("submit", spec_file(tmp_path, sweep={"list": "points.csv"})), "sweep.list")


def test_tvbs_classes_are_described_and_a_spec_is_made(tvb_batch, tmp_path) -> None:
    described, made = tvb_batch("describe", "JansenRit"), tvb_batch("new", "--model", "JansenRit")

    assert "Maximum amplitude of EPSP" in described.stdout
    assert "JansenRit" in tvb_batch("describe").stdout
    (tmp_path / "spec.yaml").write_text(made.stdout)
    assert "jansen_rit: 1 job" in tvb_batch("submit", "--dry-run", str(tmp_path / "spec.yaml")).stdout
    assert json.loads(tvb_batch("schema").stdout)["required"]
    assert_refused(tvb_batch("describe", "JansenRitt"), "did you mean 'JansenRit'")
    assert_refused(tvb_batch("new", "--model", "JansenRitt"), "did you mean 'JansenRit'")


@pytest.mark.parametrize("example", [*EXAMPLES.glob("*.*"), *EXAMPLES.glob("scripts/*.py")], ids=lambda path: path.name)
def test_new_prints_each_example_by_its_name(tvb_batch, example) -> None:
    assert tvb_batch("new", "--example", example.stem).stdout == example.read_text()
    assert tvb_batch("new", "--example", example.name).stdout == example.read_text()


@pytest.mark.parametrize("name", ["swep", "../pyproject.toml", "", "*", "scripts"])
def test_new_refuses_an_unknown_example_and_lists_all(tvb_batch, name) -> None:
    assert_refused(tvb_batch("new", "--example", name), "bold.py, jansen_rit.yaml, notebook.ipynb, region.py")


def test_new_refuses_a_model_and_an_example_together(tvb_batch) -> None:
    result = tvb_batch("new", "--model", "JansenRit", "--example", "sweep")

    assert (result.exit_code, result.stdout) == (2, "")
    assert "--model and --example" in result.stderr


@pytest.mark.slow
def test_files_are_verified_and_their_faults_named(tvb_batch, settings, catalogue, tmp_path) -> None:
    made = catalogue.add_sweep(sweep({**SHORT, "name": "v"}))
    claim = catalogue.claim(catalogue.jobs(sweep=made.gid)[0].gid, "w", timedelta(seconds=60))
    path = settings.storage.absolute(run_job(catalogue, settings, claim)[0].path)

    whole = tvb_batch("verify", str(path))
    with h5py.File(path, "r+") as file:
        del file.attrs["TVB_title"]
    damaged = tvb_batch("verify", str(path))

    assert (whole.exit_code, whole.stdout) == (0, "1 file OK\n")
    assert damaged.exit_code == 1
    assert f"{path.name}::TVB_title" in damaged.stdout


@pytest.mark.slow
def test_results_are_bundled_for_the_gui_and_converted_for_tvb_1(tvb_batch, settings, catalogue, tmp_path) -> None:
    made = catalogue.add_sweep(sweep({**SHORT, "name": "b", "seed": 7, "sweep": {"coupling.a": [0.01, 0.02]}}))
    for job in catalogue.jobs(sweep=made.gid):
        records = run_job(catalogue, settings, catalogue.claim(job.gid, "w", timedelta(seconds=60)))
    one, connectivity = records[0], uuid4()

    for kind, members in (("data", 3), ("simulations", 10), ("pse", 10)):
        target = tmp_path / f"{kind}.zip"
        bundled = tvb_batch("bundle", "b", "--as", kind, "-o", str(target))
        assert bundled.exit_code == 0, bundled.output
        note = "Note (2 of 2 simulations): a second run in the GUI gives other results: its noise has the seed 42"
        assert (note in bundled.stdout) == (kind != "data")
        with zipfile.ZipFile(target) as archive:
            assert len(archive.namelist()) >= members
        assert tvb_batch("verify", str(target)).stdout == "1 file OK\n"
    job = str(catalogue.jobs(sweep=made.gid)[0].gid)
    assert_refused(
        tvb_batch("bundle", job, "--where", "coupling.a > 1"), "nothing to bundle", "matches `coupling.a > 1`"
    )
    source, target = settings.storage.absolute(one.path), tmp_path / "one.h5"
    converted = tvb_batch("convert", str(source), str(target), "--connectivity-gid", str(connectivity))

    assert converted.exit_code == 0, converted.output
    with h5py.File(target) as file:
        assert file.attrs["TVB_Connectivity"].strip('"') == str(connectivity)
    assert_refused(tvb_batch("convert", str(tmp_path / "none.h5"), str(target)), "none.h5")


@pytest.mark.slow
def test_a_file_that_cannot_be_run_again_gives_one_line(tvb_batch, tmp_path) -> None:
    (tmp_path / "x.h5").write_text("no")

    assert_refused(tvb_batch("rerun", str(tmp_path / "x.h5")), "not a readable H5 file")


@pytest.mark.slow
def test_a_spec_is_read_from_standard_input(tmp_path, broker_url) -> None:
    spec = json.dumps({"name": "piped", **SHORT})
    env = {**os.environ, "TVB_BATCH_DATA_DIR": str(tmp_path)}

    done = subprocess.run(
        [sys.executable, "-m", "tvb_batch.submit", "submit", "--dry-run", "-"],
        input=spec,
        env=env,
        capture_output=True,
        text=True,
        timeout=30,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("piped: 1 job")


def commands(group: click.Group, prefix: tuple[str, ...] = ()):
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, (*prefix, name))
        else:
            yield (*prefix, name)


@pytest.mark.parametrize("path", list(commands(main)), ids=" ".join)
def test_every_command_has_help_with_an_example(tvb_batch, path) -> None:
    result = tvb_batch(*path, "--help")

    assert result.exit_code == 0
    assert "Example:" in result.stdout
    assert " ".join(path) in result.stdout.split("Example:")[1]
