"""Access to the broker, the content of messages, and places where secrets must not be shown; with a real Redis."""

import base64
import contextlib
import json
import os
import select
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from commands import sweep_spec
from conftest import wait_until

from tvb_batch.models.catalogue.status import Status
from tvb_batch.models.errors import BrokerError, SettingsError
from tvb_batch.models.queue import QUEUE, RUN_JOB, announced, broker_facts, check_broker, listening, make_app
from tvb_batch.models.settings import Settings, load_settings
from tvb_batch.submit.intake.enqueue import enqueue
from tvb_batch.submit.operate.local_workers import redis_server
from tvb_batch.worker.transport import gid_of, plain_message

SECRET = "s3cretword"
#: The rights of Redis users in the Compose file.
STACK = yaml.safe_load((Path(__file__).parent.parent.parent / "docker-compose.yml").read_text())["services"]["redis"][
    "command"
]
ACL = "\n".join(line.strip() for line in STACK[0].splitlines() if line.strip().startswith("user "))
ACL = ACL.replace("$$REDISCLI_AUTH", SECRET)
GID = "5345bcfe-ae86-44f1-be56-e7c7f0f3120b"


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Start a Redis over TCP with one user and a password; return its port."""
    port = free_port()
    lines = f'bind 127.0.0.1\nport {port}\nsave ""\n{ACL}\n'
    process = subprocess.Popen([redis_server(), "-"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    assert process.stdin is not None
    process.stdin.write(lines.encode())
    process.stdin.close()
    url = f"redis://tvb:{SECRET}@127.0.0.1:{port}/0"
    wait_until(lambda: answers(load_settings(broker_url=url)), seconds=20, every=0.2)
    yield port
    process.terminate()
    process.wait()


def answers(settings: Settings) -> bool:
    try:
        check_broker(settings)
    except BrokerError:
        return False
    return True


# ------------------------------------------------------------------------------------------------- passwords, TLS


@pytest.mark.parametrize("who", ["", "tvb:wrong@", ":wrong@", "nobody:wrong@", f"default:{SECRET}@", "default:@"])
def test_a_wrong_password_is_refused_in_one_line_without_it(port: int, who: str) -> None:
    with pytest.raises(BrokerError) as caught:
        check_broker(load_settings(broker_url=f"redis://{who}127.0.0.1:{port}/0"))

    assert "wrong" not in str(caught.value)
    assert SECRET not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_jobs_run_with_a_broker_password_that_is_shown_nowhere(
    port, settings, catalogue, start_worker, tmp_path
) -> None:
    url = f"redis://tvb:{SECRET}@127.0.0.1:{port}/0"
    private = settings.model_copy(update={"broker_url": type(settings.broker_url)(url)})
    worker = start_worker(1, private)
    sweep = enqueue(catalogue, make_app(private), sweep_spec("secret", 1), settings.storage)
    wait_until(lambda: catalogue.counts(sweep.gid).get(Status.FINISHED) == 1)

    commands = b"".join(path.read_bytes() for path in map(Path, command_lines()) if path.exists())
    files = [path for path in tmp_path.rglob("*") if path.is_file()]

    assert worker.poll() is None
    assert SECRET.encode() not in commands
    assert [path.name for path in files if SECRET.encode() in path.read_bytes()] == []


def command_lines() -> list[str]:
    return [str(path) for path in Path("/proc").glob("[0-9]*/cmdline") if path.parent.name != str(os.getpid())]


@pytest.fixture
def tls(port: int, tmp_path: Path) -> Iterator[tuple[int, Path]]:
    """Start TLS in front of Redis, whose binary has none; return the port and the certificate."""
    if not shutil.which("openssl"):
        pytest.skip("openssl makes the certificate")
    key, certificate = tmp_path / "key.pem", tmp_path / "ca.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-keyout", str(key)]
    subprocess.run([*make, "-out", str(certificate), *subject], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=serve, args=(listener, context, port), daemon=True).start()
    yield listener.getsockname()[1], certificate
    listener.close()


def serve(listener: socket.socket, context: ssl.SSLContext, port: int) -> None:
    with contextlib.suppress(OSError):
        while True:
            plain_socket, _ = listener.accept()
            threading.Thread(target=forward, args=(plain_socket, context, port), daemon=True).start()


def forward(accepted: socket.socket, context: ssl.SSLContext, port: int) -> None:
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.suppress(OSError))
        client = stack.enter_context(context.wrap_socket(stack.enter_context(accepted), server_side=True))
        redis = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
        while True:
            ready = [client] if client.pending() else select.select([client, redis], [], [])[0]
            for source, target in ((client, redis), (redis, client)):
                if source in ready:
                    data = source.recv(65536)
                    if not data:
                        return
                    target.sendall(data)


def test_tls_is_used_and_the_certificate_checked(tls: tuple[int, Path]) -> None:
    port, certificate = tls
    url = f"rediss://tvb:{SECRET}@localhost:{port}/0"

    check_broker(load_settings(broker_url=url, broker_ca_file=certificate))

    with pytest.raises(BrokerError, match=r"(?i)certificate"):
        check_broker(load_settings(broker_url=url))
    with pytest.raises(BrokerError):
        check_broker(load_settings(broker_url=url.replace("rediss:", "redis:")))


def test_a_worker_runs_jobs_over_tls_with_the_rights_of_the_compose_file(
    tls, settings, catalogue, start_worker
) -> None:
    port, certificate = tls
    url = f"rediss://tvb:{SECRET}@localhost:{port}/0"
    private = settings.model_copy(update={"broker_url": type(settings.broker_url)(url), "broker_ca_file": certificate})
    app = make_app(private, client_name=None)

    worker = start_worker(1, private)
    sweep = enqueue(catalogue, app, sweep_spec("tls", 2), settings.storage)
    wait_until(lambda: catalogue.counts(sweep.gid).get(Status.FINISHED) == 2)

    assert worker.poll() is None
    # The commands of `doctor`, `watch` and the metrics are allowed too.
    wait_until(lambda: len(announced(app)) == 1)
    assert len(listening(app)) == 1
    assert broker_facts(app).policy == "noeviction"


# ---------------------------------------------------------------------------------------------------------- secrets


def test_a_secret_may_come_from_a_file(monkeypatch, tmp_path: Path) -> None:
    (tmp_path / "url").write_text(f"redis://:{SECRET}@host/0\n")
    monkeypatch.setenv("TVB_BATCH_BROKER_URL_FILE", str(tmp_path / "url"))

    assert load_settings().broker == f"redis://:{SECRET}@host/0"
    monkeypatch.setenv("TVB_BATCH_BROKER_URL", "redis://other/0")
    with pytest.raises(SettingsError, match="both set"):
        load_settings()


def test_a_secret_file_that_is_missing_is_named(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TVB_BATCH_DATABASE_URL_FILE", str(tmp_path / "none"))

    with pytest.raises(SettingsError, match="TVB_BATCH_DATABASE_URL_FILE"):
        load_settings()


# --------------------------------------------------------------------------------------------------------- messages


def message(body: bytes = b"[[]]", **headers: object) -> dict[str, object]:
    return {"body": base64.b64encode(body).decode(), "headers": {"task": RUN_JOB, "id": "x", **headers}}


BAD = [
    None, 5, [], {}, {"headers": 3}, {"headers": {}}, message(b"no json"), message(b"[[1,2],{},{}]"),
    message(f'[["{GID}"],{{"path":"/etc/passwd"}},{{}}]'.encode()), message(b'[["../../etc"],{},{}]'),
    message(f'[["{GID}"],{{}},{{}}]'.encode(), task="os.system"), message(b"[" * 4000), message(b"1" * 10**6),
    {"headers": {"task": RUN_JOB}, "body": "%%%"}, {"headers": {"task": [RUN_JOB]}, "body": "e30="},
]  # fmt: skip


@pytest.mark.parametrize("bad", BAD, ids=range(len(BAD)))
def test_a_message_that_names_no_job_is_refused(bad: object) -> None:
    with pytest.raises(ValueError, match=r"has no job gid|unknown task|not a Celery message"):
        gid_of(bad)


def test_only_the_gid_of_a_message_is_kept() -> None:
    embed = '{"callbacks": [{"task": "os.system", "args": ["true"]}], "chain": [1]}'
    given = message(f'[["{GID}"], {{}}, {embed}]'.encode(), eta="never", timelimit=[1, 1], reply_to="me")

    made = plain_message(gid_of(given), QUEUE)

    assert gid_of(made) == GID
    assert "os.system" not in base64.b64decode(made["body"]).decode()
    assert not {"eta", "timelimit", "reply_to"} & set(made["headers"])


def test_a_worker_survives_any_message_in_the_queue(settings, catalogue, start_worker, tmp_path) -> None:
    app = make_app(settings)
    with app.connection_for_write() as connection:
        client = connection.default_channel.client
        for text in ("garbage", b"\xff\xfe", "null", "[" * 100_000, *(json.dumps(bad) for bad in BAD)):
            client.lpush(QUEUE, text)
    app.send_task("os.system", args=["true"])

    worker = start_worker()
    sweep = enqueue(catalogue, app, sweep_spec("after", 1), settings.storage)
    wait_until(lambda: catalogue.counts(sweep.gid).get(Status.FINISHED) == 1)

    said = (tmp_path / "worker-0.log").read_text()
    assert worker.poll() is None
    assert said.count("message_dropped") >= len(BAD) + 5
    assert "Traceback" not in said
