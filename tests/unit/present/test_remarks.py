"""Missing metrics with reasons, and results with NaN: in the catalogue, on every page, and after a run."""

import csv
import io
import json
from datetime import timedelta
from importlib.metadata import version

import httpx
import pytest
from catalogues import add, output
from click.testing import CliRunner
from conftest import SHORT
from web_cases import TOKEN, served

from tvb_batch.models.catalogue import Lacking
from tvb_batch.models.catalogue.status import Status
from tvb_batch.models.errors import NOT_FINITE, NotFoundError
from tvb_batch.models.settings import Settings
from tvb_batch.models.spec.sweep import sweep
from tvb_batch.submit.api.results import Job, Sweep
from tvb_batch.submit.cli import main
from tvb_batch.submit.present import details, live, serialize
from tvb_batch.submit.present.remarks import count_lacking, lacking_lines, left_out, remarks
from tvb_batch.submit.present.stats import points_of
from tvb_batch.worker.job.run import run_job

LEASE = timedelta(seconds=60)
LIBRARY = {"tvb-library": version("tvb-library")}
ONE, TWO = "it needs two state variables", "1 sample is left"


@pytest.fixture
def catalogue(each_catalogue):
    return each_catalogue


@pytest.fixture
def filled(catalogue):
    """Return five jobs: one with the metric, three without it for two reasons, and one that diverged."""
    found = add(catalogue, 5, "r")
    outputs = [
        [output(metrics={"m": 0.5}, transient=500.0)],
        [output(missing={"m": ONE}, transient=500.0), output(missing={"m": TWO})],
        [output(missing={"m": ONE, "n": ONE})],
        [output(missing={"m": TWO})],
        [output(missing={"m": NOT_FINITE, "n": NOT_FINITE}, is_nan=True)],
    ]
    for job, records in zip(catalogue.jobs(sweep=found.gid), outputs, strict=True):
        catalogue.finish(catalogue.claim(job.gid, "w", LEASE), records, engine="e", versions=LIBRARY)
    return catalogue, found


# ---------------------------------------------------------------------------------------------------- the catalogue


def test_a_missing_metric_is_missing_for_filters_orders_and_statistics(filled) -> None:
    catalogue, found = filled

    def numbers(**asked) -> list[int]:
        return [job.number for job in catalogue.jobs(sweep=found.gid, **asked)]

    assert numbers(where="m > -1e300") == [0]
    assert numbers(where="m is nan") == [1, 2, 3, 4]
    assert numbers(where="m != 3 or not m < 9") == [0, 1, 2, 3, 4]
    assert numbers(sort="-m") == numbers(sort="m") == [0, 1, 2, 3, 4]
    spread = catalogue.spreads(found.gid)
    assert ({*spread}, spread["m"].count) == ({"m"}, 1)
    assert [point.value for point in catalogue.points(found.gid, "m")] == [0.5, None, None, None, None]
    assert catalogue.unknown(["m", "n"]) == ["n"]


def test_reasons_are_shown_by_job_and_counted_by_sweep_also_for_shared_files(filled) -> None:
    catalogue, found = filled
    again = add(catalogue, 5, "again")

    for one in (found, again):
        gids = [job.gid for job in catalogue.jobs(sweep=one.gid, status=Status.FINISHED)]
        assert list(catalogue.missing_metrics(gids).values()) == [
            {}, {"m": ONE, "monitors[1].m": TWO}, {"m": ONE, "n": ONE}, {"m": TWO}, {"m": NOT_FINITE, "n": NOT_FINITE},
        ]  # fmt: skip
        # Of equally frequent reasons, the last one in alphabetical order.
        assert catalogue.lacking(one.gid) == [
            Lacking("m", 4, ONE, others=2), Lacking("monitors[1].m", 1, TWO), Lacking("n", 2, NOT_FINITE, others=1),
        ]  # fmt: skip
    assert (catalogue.why_missing("m"), catalogue.why_missing("nobody")) == (NOT_FINITE, None)
    assert catalogue.why_missing('"%_\\') is None


# ------------------------------------------------------------------------------------------------------- the words


def test_one_line_names_all_metrics_with_the_same_reason() -> None:
    found = [Lacking("a", 12, ONE), Lacking("b", 1, TWO), Lacking("c", 12, ONE), Lacking("d", 2000, "x", others=2)]

    assert lacking_lines(found) == [
        "12 results lack a, c: it needs two state variables",
        "1 result lacks b: 1 sample is left",
        "2,000 results lack d: x (and 2 other reasons)",
    ]


def test_some_results_are_counted_as_the_catalogue_counts_all() -> None:
    missing = [{"m": ONE}, {"m": TWO, "n": TWO}, {"m": ONE}, {}]

    assert count_lacking(missing, ["m", "x"]) == [Lacking("m", 3, ONE, others=1)]
    assert count_lacking([], ["m"]) == []


def test_the_transient_is_shown_for_each_monitor_that_differs() -> None:
    class Row:
        def __init__(self, transient):
            self.transient = transient

    for values, words in (
        ([500.0], "500 ms"),
        ([2.5, 2.5], "2.5 ms"),
        ([500.0, 2e4], "500 ms, 20000 ms"),
        ([None], ""),
    ):
        assert left_out([Row(value) for value in values]) == words


def test_after_a_run_each_fact_is_a_line(filled, settings, capsys) -> None:
    catalogue, found = filled
    short = found.gid.hex[:8]

    lines = remarks(catalogue, found)

    assert lines[0] == f"1 of 5 results holds NaN or infinity: tvb-batch list {short} --where is_nan"
    assert f"4 results lack m: {ONE} (and 2 other reasons)" in lines
    serialize.print_end(catalogue, found, live.watch(catalogue, found), settings.storage)
    said = capsys.readouterr().out
    assert all(f"  {line}\n" in said for line in lines)
    other = add(catalogue, 1, "other", coupling="Difference")
    seen = live.follow(catalogue, None, on_tick=lambda: catalogue.cancel(sweep=other.gid) and None)
    assert [one.gid for one in seen.all] == [other.gid]
    serialize.print_end(catalogue, None, seen.counts, settings.storage, [found, other])
    assert f"r ({short}): {lines[0]}\n" in capsys.readouterr().out
    Sweep(found, catalogue, settings).wait()
    assert "\n".join(lines) in capsys.readouterr().out


def test_a_metric_that_no_job_has_is_refused_with_the_reason(filled) -> None:
    catalogue, found = filled

    with pytest.raises(NotFoundError, match=f"n: no finished job of sweep r has such a metric; ({ONE}|{NOT_FINITE})"):
        points_of(catalogue, found, "n")


# ------------------------------------------------------------------------------------------------- pages of real jobs


@pytest.fixture
def ran(tmp_path, monkeypatch):
    """Return a sweep of two real jobs, one of which diverges, in the data directory of the commands."""
    from tvb_batch.models.catalogue import Catalogue

    settings = Settings(data_dir=tmp_path / "data")
    settings.data_dir.mkdir()
    monkeypatch.setenv("TVB_BATCH_DATA_DIR", str(settings.data_dir))
    monkeypatch.setenv("COLUMNS", "300")
    found = Catalogue.open(settings.database, create=True)
    integrator = {"class": "EulerDeterministic", "dt": 0.5}
    spec = {**SHORT, "name": "r", "integrator": integrator, "sweep": {"model.tau": [1.0, 1e6]}}
    made = found.add_sweep(sweep(spec))
    for job in found.jobs(sweep=made.gid):
        run_job(found, settings, found.claim(job.gid, "w", LEASE))
    yield found, made, settings
    found.dispose()


def call(*arguments: str):
    return CliRunner().invoke(main, list(arguments), catch_exceptions=False)


KURAMOTO = "it needs two state variables, and one is recorded (variables_of_interest)"
SPECTRUM = "5 of 20 samples are left after the transient; a spectrum needs 8"


@pytest.mark.slow
def test_a_list_shows_why_metrics_are_missing_in_every_form(ran) -> None:
    _, made, _ = ran
    short = made.gid.hex[:8]

    table = call("list", short, "--columns", "number,mean,KuramotoIndex")
    filtered = call("list", short, "--where", "dominant_frequency > 1")
    unknown = call("list", "--sort", "KuramotoIndex")
    every = json.loads(call("list", short, "--json").stdout)
    rows = list(csv.DictReader(io.StringIO(call("list", short, "--csv").stdout)))

    assert f"2 results lack KuramotoIndex: {KURAMOTO}" in table.stderr
    assert f"1 result lacks mean: {NOT_FINITE}" in table.stderr
    assert filtered.stdout == "No jobs match.\n"
    assert "2 results lack dominant_frequency: " in filtered.stderr
    assert f"no job has a parameter, metric or field 'KuramotoIndex': {KURAMOTO}" in unknown.stderr
    assert every[0]["missing_metrics"] == {"KuramotoIndex": KURAMOTO, "dominant_frequency": SPECTRUM}
    assert [json.loads(row["missing_metrics"]) for row in rows] == [one["missing_metrics"] for one in every]
    assert "1 of 2 results holds NaN or infinity" in call("stats", short).stderr


def test_the_page_of_a_job_shows_it_in_terminal_json_notebook_and_browser(ran, capsys) -> None:
    catalogue_, made, settings = ran
    good, bad = catalogue_.jobs(sweep=made.gid)

    details.print_job(catalogue_, good, settings.storage)
    said = capsys.readouterr().out
    data = serialize.details(catalogue_, good, settings.storage)
    one = Job(good, catalogue_, settings)

    assert f"KuramotoIndex         none: {KURAMOTO}" in said
    assert "\nmetrics leave out the first 15 ms\n" in said
    assert (data["missing_metrics"]["KuramotoIndex"], data["outputs"][0]["transient"]) == (KURAMOTO, 15.0)
    assert one.missing_metrics == {"KuramotoIndex": KURAMOTO, "dominant_frequency": SPECTRUM}
    assert KURAMOTO in one._repr_html_()
    assert "15 ms" in one._repr_html_()
    with served(catalogue_, settings) as address, httpx.Client(base_url=address) as browser:
        browser.get("/", params={"token": TOKEN})
        page = browser.get(f"/jobs/{good.gid}").text
        assert f"none: {KURAMOTO}" in page
        assert "Metrics leave out the first 15 ms" in page
        assert 'class="transient"' in page
        assert f"none: {NOT_FINITE}" in browser.get(f"/compare?a={good.gid}&b={bad.gid}").text
        jobs = browser.get("/jobs").text
        assert f'title="{NOT_FINITE}">none<' in jobs
        assert f"2 results lack KuramotoIndex: {KURAMOTO}" in jobs
        assert f"/sweeps/{made.gid}/remarks" in browser.get(f"/sweeps/{made.gid}").text
        facts = browser.get(f"/sweeps/{made.gid}/remarks").text
        assert "1 of 2 results holds NaN or infinity" in facts
        assert f"/jobs?sweep={made.gid}&amp;where=is_nan" in facts


def test_a_transient_that_is_given_is_left_out_of_kuramoto_too_and_the_page_says_so(ran, capsys) -> None:
    catalogue, _, settings = ran
    both = {"model": {"class": "Generic2dOscillator", "variables_of_interest": ["V", "W"]}}
    for changes, words in (
        ({}, "metrics leave out the first 15 ms; KuramotoIndex leaves out nothing, as in TVB"),
        ({"transient": 4.0}, "metrics leave out the first 4 ms"),
    ):
        made = catalogue.add_sweep(sweep({**SHORT, **both, **changes}))
        [job] = catalogue.jobs(sweep=made.gid)
        run_job(catalogue, settings, catalogue.claim(job.gid, "w", LEASE))
        details.print_job(catalogue, catalogue.find_job(str(job.gid)), settings.storage)
        assert f"\n{words}\n" in capsys.readouterr().out


@pytest.mark.slow
def test_a_run_ends_with_what_to_know(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("TVB_BATCH_DATA_DIR", str(tmp_path / "data"))
    spec = {**SHORT, "name": "r", "integrator": {"class": "EulerDeterministic", "dt": 0.5}}
    (tmp_path / "spec.json").write_text(json.dumps({**spec, "sweep": {"model.tau": [1.0, 1e6]}}))

    done = call("run", str(tmp_path / "spec.json"), "-w", "1")

    assert done.exit_code == 0, done.output
    assert "1 of 2 results holds NaN or infinity: tvb-batch list " in done.stdout
    assert f"2 results lack KuramotoIndex: {KURAMOTO}" in done.stdout
