"""`tvb-batch doctor` on correct and on broken installations."""

import json
import subprocess
from pathlib import Path

import pytest
from commands import run_tvb_batch
from conftest import wait_until

from tvb_batch.models.queue import announce, announced, make_app
from tvb_batch.submit.operate.doctor import (
    broker_findings,
    database_findings,
    examine,
    storage_findings,
    worker_findings,
)
from tvb_batch.worker.job.versions import versions


def problems(findings) -> dict[str, str]:
    return {finding.check: finding.advice for finding in findings if not finding.is_fine}


@pytest.mark.slow
def test_a_whole_installation_is_fine_and_its_worker_is_known(settings, catalogue, start_worker) -> None:
    start_worker()
    wait_until(lambda: announced(make_app(settings)))

    done = run_tvb_batch("doctor", "--json", settings=settings)

    assert done.returncode == 0, done.stdout + done.stderr
    found = {finding["check"]: finding for finding in json.loads(done.stdout)}
    assert set(found) >= {"storage", "rename", "fsync", "locks", "space", "database", "broker", "workers"}
    assert "1 live" in found["workers"]["found"]
    assert list(settings.data_dir.glob(".doctor*")) == []


@pytest.mark.slow
def test_without_a_worker_it_says_what_to_start(settings, catalogue) -> None:
    done = run_tvb_batch("doctor", settings=settings)

    assert done.returncode == 1
    assert "PROBLEM workers: no worker" in done.stdout
    assert "do: start some with `tvb-batch worker`" in done.stdout


def test_workers_with_other_libraries_are_named(settings, catalogue) -> None:
    app = make_app(settings)
    announce(app, "a:1", {"versions": {**versions(), "source mine": "12"}, "time": 0})
    announce(app, "b:2", {"versions": {**versions(), "source mine": "34", "numpy": "1.0"}, "time": 0})

    library, own = [finding for finding in worker_findings(settings) if finding.check == "versions"]

    assert "numpy: 1.0 on b:2" in library.found
    assert "constraints.txt" in library.advice
    assert own.found == "source mine: 12 on a:1; 34 on b:2"
    assert "put the same modules on all hosts" in own.advice


def test_a_database_without_tables_and_an_unreachable_one_are_problems(settings, tmp_path) -> None:
    away = settings.model_copy(update={"database_url": type(settings.database_url)(f"sqlite:///{tmp_path}/no/where")})

    assert "db upgrade" in problems(database_findings(settings))["database"]
    assert "start it" in problems(database_findings(away))["database"]


@pytest.mark.slow
def test_an_unreachable_broker_is_one_problem(settings, catalogue) -> None:
    gone = settings.model_copy(update={"broker_url": type(settings.broker_url)("redis://:secret@127.0.0.1:1/0")})

    found = [finding for finding in examine(gone) if not finding.is_fine]

    assert [finding.check for finding in found] == ["broker"]
    assert "secret" not in str(found)


def test_a_redis_that_may_forget_is_a_problem(settings) -> None:
    with make_app(settings).connection_for_write() as connection:
        client = connection.default_channel.client
        client.config_set("maxmemory-policy", "allkeys-lru")
        try:
            found = problems(broker_findings(settings))
        finally:
            client.config_set("maxmemory-policy", "noeviction")

    assert "noeviction" in found["broker's memory"]


def test_a_file_in_place_of_the_data_directory_is_a_problem(settings) -> None:
    settings.data_dir.rmdir()
    settings.data_dir.write_text("a file")

    assert set(problems(storage_findings(settings))) == {"storage"}


def test_a_full_file_system_is_a_problem(settings) -> None:
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(settings.data_dir)]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("only root may mount a small file system")
    try:
        assert set(problems(storage_findings(settings))) == {"space"}
    finally:
        subprocess.run(["umount", str(Path(settings.data_dir))], check=True)
