"""The live view: it ends with the last job, shows failures, and knows its speed."""

import sys
import threading
import time
from dataclasses import replace
from datetime import timedelta

import pytest
from conftest import SHORT
from rich.console import Console
from sqlalchemy import text

from tvb_batch.models.catalogue.status import Status
from tvb_batch.models.spec.sweep import sweep
from tvb_batch.submit.present import live, live_views
from tvb_batch.submit.present.listing import waiting_lines

LEASE = timedelta(seconds=60)


@pytest.fixture
def filled(catalogue):
    found = catalogue.add_sweep(sweep({**SHORT, "name": "v", "sweep": {"coupling.a": [0.1, 0.2, 0.3]}}))
    jobs = catalogue.jobs(sweep=found.gid)
    catalogue.finish(catalogue.claim(jobs[0].gid, "w", LEASE), [], engine="reference", versions={})
    claim = catalogue.claim(jobs[1].gid, "w", LEASE)
    catalogue.fail(claim, "OutputError", "disk full [red]", retryable=False, max_attempts=3)
    return catalogue, found


def test_the_watch_ends_with_the_last_job_and_shows_failures(filled, capsys) -> None:
    catalogue, found = filled
    looks = []

    def cancel_the_rest() -> None:
        looks.append(1)
        catalogue.cancel(sweep=found.gid)

    counts = live.watch(catalogue, found, on_tick=cancel_the_rest)

    assert counts == {Status.FINISHED: 1, Status.ERROR: 1, Status.CANCELED: 1, Status.PENDING: 0, Status.STARTED: 0}
    assert len(looks) == 1
    said = capsys.readouterr().err
    assert "coupling.a=0.2: disk full [red]" in said
    assert "1 finished, 1 pending, 1 failed" in said


def test_everything_that_is_left_is_watched_and_what_comes_later(filled, capsys) -> None:
    catalogue, _ = filled
    looks = []

    def tick() -> None:
        looks.append(1)
        if len(looks) == 1:
            catalogue.add_sweep(sweep({**SHORT, "name": "later"}))
        else:
            for summary in catalogue.sweeps():
                catalogue.cancel(sweep=summary.sweep.gid)

    counts = live.watch(catalogue, None, on_tick=tick)

    assert counts[Status.CANCELED] == 2
    assert [summary.sweep.name for summary in catalogue.sweeps(unfinished=True)] == []
    assert "later: 1 canceled" in capsys.readouterr().err
    assert live.watch(catalogue, None) == dict.fromkeys(Status, 0)


def test_what_ends_the_watch_leaves_the_jobs_and_another_watch_begins(filled) -> None:
    catalogue, found = filled

    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        live.watch(catalogue, found, on_tick=stop)

    assert catalogue.counts(found.gid)[Status.PENDING] == 1
    threading.Timer(0.2, lambda: catalogue.cancel(sweep=found.gid)).start()
    assert live.watch(catalogue, found)[Status.CANCELED] == 1


@pytest.mark.slow
def test_the_watch_waits_for_the_database_and_says_so(filled, capsys) -> None:
    catalogue, found = filled
    looks = []

    def execute(statement: str) -> None:
        with catalogue._engine.begin() as connection:
            connection.execute(text(statement))

    def tick() -> None:
        looks.append(1)
        if len(looks) == 1:
            execute("ALTER TABLE job RENAME TO away")
        elif len(looks) == 3:
            execute("ALTER TABLE away RENAME TO job")
            catalogue.cancel(sweep=found.gid)

    assert live.watch(catalogue, found, on_tick=tick)[Status.CANCELED] == 1
    assert len(looks) == 3
    said = capsys.readouterr().err
    assert said.count("progress unknown, trying again: database") == 1
    assert "no such table: job" in said


def test_a_terminal_shows_bars_running_jobs_and_their_workers(filled) -> None:
    catalogue, found = filled
    claim = catalogue.claim(catalogue.jobs(sweep=found.gid)[2].gid, "host:77", LEASE)
    catalogue.heartbeat(claim, 0.4, LEASE)

    seen = live._look(catalogue, [found], live._Pace())
    console = Console(width=100, record=True)
    console.print(live_views.render(seen, 100, 30))

    shown = console.export_text()
    assert "2/3" in shown
    assert "1 running  1 failed" in shown
    assert "40%" in shown
    assert "coupling.a=0.3" in shown
    assert "host:77" in shown
    assert max(map(len, shown.splitlines())) <= 100


def test_a_small_terminal_is_not_overfilled(catalogue) -> None:
    made = [
        catalogue.add_sweep(sweep({**SHORT, "name": f"s{n}", "seed": n, "sweep": {"coupling.a": [0.1, 0.2]}}))
        for n in range(9)
    ]
    for one in made:
        for job in catalogue.jobs(sweep=one.gid):
            catalogue.claim(job.gid, "w", LEASE)

    console = Console(width=60, height=12, record=True)
    console.print(live_views.render(live._look(catalogue, made, live._Pace()), 60, 12))

    shown = console.export_text().splitlines()
    assert len(shown) <= 12
    assert max(map(len, shown)) <= 60
    assert any("more" in line for line in shown)


def test_a_terminal_is_drawn_and_left_clean(filled, capsys) -> None:
    catalogue, found = filled
    console = Console(stderr=True, force_terminal=True, width=80)

    with live_views._Terminal(console) as view:
        view.show(live._look(catalogue, [found], live._Pace()))
        view.fail(catalogue.jobs(sweep=found.gid, status=Status.ERROR)[0])

    said = capsys.readouterr().err
    assert "disk full [red]" in said
    assert "2/3" in said


def test_a_rate_and_the_time_left_are_known_after_a_while() -> None:
    pace = live._Pace()

    rates = [pace.rate(float(second), 2.0 * second) for second in range(100)]

    assert rates[0] is None
    assert rates[5] == rates[99] == 2.0
    assert len(pace.seen) <= live.PACE + 1
    assert pace.rate(101.0, 0.0) is None  # Jobs returned to pending, so the rate is unknown.


@pytest.mark.parametrize(
    ("rate", "words"), [(2.5, "2.5 jobs/s, 4.0 s left"), (0.05, "3.0 jobs/min, 3.3 min left"), (None, "")]
)
def test_the_rate_has_a_suitable_unit(filled, rate, words: str) -> None:
    _, found = filled
    counts = dict.fromkeys(Status, 0) | {Status.PENDING: 10}

    assert live_views.LiveState([(found, counts)], [], {}, rate).pace() == words


def test_without_a_terminal_lines_are_few(filled, capsys) -> None:
    catalogue, found = filled
    console = Console(stderr=True)
    view, begin = live_views._Plain(console), time.monotonic()

    for job in catalogue.jobs(sweep=found.gid, status=Status.PENDING):
        catalogue.claim(job.gid, "w", LEASE)
    for _ in range(50):
        view.show(live._look(catalogue, [found], live._Pace()))

    assert time.monotonic() - begin < live_views.PLAIN_EVERY
    assert capsys.readouterr().err.splitlines() == ["v: 1 finished, 1 running, 1 failed"]


def test_a_notebook_replaces_one_output(filled, monkeypatch) -> None:
    catalogue, found = filled
    shown = []

    class Handle:
        def update(self, page) -> None:
            shown.append(page.data)

    # Without a kernel IPython shows nothing; its argument is what a browser would show.
    monkeypatch.setattr("IPython.display.display", lambda page, display_id: shown.append(page.data) or Handle())
    monkeypatch.setitem(sys.modules, "ipykernel", sys)

    live.watch(catalogue, found, on_tick=lambda: catalogue.cancel(sweep=found.gid) and None)

    assert "<progress value='0.6667'" in shown[0]
    assert "1 pending" in shown[0]
    assert "1 canceled" in shown[-1]
    assert "disk full [red]" in shown[-1]


def test_the_reason_for_waiting_is_shown_once_and_again_after_it_was_gone(filled, capsys) -> None:
    catalogue, found = filled
    job = catalogue.jobs(sweep=found.gid)[2].gid
    view = live_views._Plain(Console(stderr=True))

    def show(*, waits: bool) -> None:
        claim = catalogue.claim(job, "w", LEASE)
        if waits:
            catalogue.wait(claim, "StorageError", "no space [left]", timedelta(0))
        for _ in range(2):
            view.show(live._look(catalogue, [found], live._Pace()))
        if not waits:
            catalogue.release(claim)

    counts = []
    for waits in (True, False, True):
        show(waits=waits)
        counts.append(capsys.readouterr().err.count("1 job pending again: no space [left]"))

    assert counts == [1, 0, 1]


def test_a_terminal_a_notebook_and_a_list_show_why_jobs_wait(filled) -> None:
    catalogue, found = filled
    job = catalogue.jobs(sweep=found.gid)[2].gid
    catalogue.wait(catalogue.claim(job, "w", LEASE), "StorageError", "no space <left>", timedelta(seconds=50))

    seen = replace(live._look(catalogue, [found], live._Pace()), trouble="database: disk is full")
    console = Console(width=100, record=True)
    console.print(live_views.render(seen, 100, 30))

    shown, page = console.export_text(), live_views.as_html(seen)
    (line,) = waiting_lines(catalogue.jobs(sweep=found.gid))
    for words in (shown, line):
        assert "1 job pending again for " in words
        assert "no space <left>" in words
    assert "no space &lt;left&gt;" in page
    assert "workers report: database: disk is full" in shown
    assert "workers report: database: disk is full" in page
