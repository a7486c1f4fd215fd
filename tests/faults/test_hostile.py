"""Secrets that must not be shown, and texts, names and requests from attackers."""

import json
import os
import socket
import threading
import time
from contextlib import ExitStack
from types import SimpleNamespace

import httpx
import pytest
import uvicorn
from commands import assert_refused
from web_cases import TOKEN, fill, served

from tvb_batch.models.catalogue.filter_language import MOST_KEYS
from tvb_batch.models.errors import BrokerError, CatalogueError, OutputError, SpecError, TvbBatchError
from tvb_batch.models.masking import masked, remember, without_password
from tvb_batch.models.paths import Storage
from tvb_batch.models.queue import QUEUE, announce, announced, make_app
from tvb_batch.models.spec.expressions import Expression, ExpressionError
from tvb_batch.submit.intake import spec_file
from tvb_batch.submit.intake.spec_file import read_table
from tvb_batch.submit.operate.doctor import worker_findings
from tvb_batch.submit.web import connections
from tvb_batch.submit.web.app import make_web

pytestmark = pytest.mark.xdist_group("web")

ESCAPE = "\x1b]0;owned\x07\x1b[2J"

# --------------------------------------------------------------------------------------------------------- secrets

DATABASES = [
    "postgresql://127.0.0.1:1/db?user=tvb&password=s3cretword",
    "postgresql:/tvb:s3cretword@127.0.0.1/db",
    "postgresql://tvb:s3cret/word@127.0.0.1/db",
    "postgresql://tvb:s3cret@word@127.0.0.1:1/db",
    "postgresql://tvb:s3cretword@127.0.0.1:x/db",
    "nonsense s3cretword",
    "postgresql://tvb@127.0.0.1:1/db?passfile=/x&options=-c%20s3cretword",
    "postgresql://tvb:s3cretword@127.0.0.1:99999/db",
    "postgresql://tvb:s3cret%77ord@127.0.0.1:1/db",
    "postgresql://127.0.0.1:1/db?s3cretword=s3cretword",
    "mysql://tvb:s3cretword@127.0.0.1/x",
    "postgresql://[s3cretword/db",
]
BROKERS = [
    "redis://:s3cretword@127.0.0.1:1/0",
    "redis://127.0.0.1:1/0?password=s3cretword",
    "redis://:s3cret/word@127.0.0.1:1/0",
    "redis://tvb:s3cret#word@127.0.0.1:1/0",
    "redis:/:s3cretword@127.0.0.1",
    "redis+socket:///nope?password=s3cretword",
    "rediss://tvb:s3cretword@127.0.0.1:1/0?ssl_cert_reqs=s3cretword",
    "redis://127.0.0.1:1/s3cretword",
    "redis://127.0.0.1:1/0?virtual_host=s3cretword",
    "redis://127.0.0.1:s3cretword/0",
    "redis://[s3cretword",
    "s3cretword",
]


@pytest.mark.parametrize("url", DATABASES)
def test_no_form_of_a_databases_url_shows_its_password(tvb_batch, monkeypatch, url: str) -> None:
    monkeypatch.setenv("TVB_BATCH_DATABASE_URL", url)
    monkeypatch.setattr("tvb_batch.models.catalogue.database.TRIES", 1)

    listed, looked = tvb_batch("list"), tvb_batch("doctor")

    assert_refused(listed, "atabase" if "atabase" in listed.stderr else "DATABASE_URL")
    for said in (listed.stdout + listed.stderr, looked.stdout + looked.stderr):
        assert "s3cret" not in said.replace("nonsense", "")


@pytest.mark.parametrize("url", BROKERS)
def test_no_form_of_a_brokers_url_shows_its_password(tvb_batch, monkeypatch, url: str) -> None:
    monkeypatch.setenv("TVB_BATCH_BROKER_URL", url)

    looked, sent, worker = tvb_batch("doctor"), tvb_batch("requeue"), tvb_batch("worker")

    assert looked.exit_code == 1
    for refused in (sent, worker):
        assert_refused(refused, "TVB_BATCH_BROKER_URL")
    assert "s3cret" not in looked.output + sent.output + worker.output


@pytest.mark.parametrize(
    "url", [url for url in (*DATABASES, *BROKERS) if "s3cretword" in url and "/s3cretword" not in url]
)
def test_a_password_is_masked_in_messages_of_libraries(url: str) -> None:
    remember(url)

    said = without_password(url)
    assert "s3cret" not in said
    if not said.startswith("(not"):
        assert "***" in masked("could not log in with 's3cretword'")
        assert "s3cretword" not in str(TvbBatchError("no: s3cretword"))


def test_a_valid_url_is_shown_without_its_password() -> None:
    assert without_password("redis://tvb:s3cretword@host:6379/0") == "redis://host:6379/0"
    assert without_password("redis://[::1]:6379/0") == "redis://[::1]:6379/0"
    assert without_password("postgresql://u:p%40w@h/db?sslmode=require") == "postgresql://h/db"


# -------------------------------------------------------------------------------------------------- texts of others

FORGED = [
    b"no json", b"[]", b"7", b"null", b'{"versions": 5}', b'{"versions": {"numpy": 5}}', b"{}", b"[" * 20000, b"\xff\xfe",
    json.dumps({"versions": {"x": "y" * 100_000}}).encode(),
]  # fmt: skip


def test_forged_facts_of_workers_neither_stop_doctor_nor_reach_the_terminal(settings, catalogue) -> None:
    app = make_app(settings)
    announce(app, "host:1", {"versions": {"tvb-batch": "1"}, "time": 0})
    announce(app, "host:2", {"versions": {"numpy": f"1{ESCAPE}"}, "time": 0})
    with app.connection_for_write() as connection:
        client = connection.default_channel.client
        for number, value in enumerate(FORGED):
            client.set(f"{QUEUE}.worker.forged:{number}", value)
        client.set(f"{QUEUE}.worker.{ESCAPE}".encode(), b'{"versions": {}}')
        client.set(f"{QUEUE}.worker.".encode() + b"\xff\xfe", b'{"versions": {}}')
        client.rpush(f"{QUEUE}.worker.list:1", "x")

    assert sorted(announced(app)) == ["host:1", "host:2"]
    said = "".join(finding.check + finding.found + finding.advice for finding in worker_findings(settings))

    assert "2 live" in said
    assert "\x1b" not in said
    assert "\x07" not in said


def test_an_error_of_a_job_holds_no_control_characters(settings, catalogue) -> None:
    from datetime import timedelta

    from conftest import SHORT

    from tvb_batch.models.spec.sweep import sweep
    from tvb_batch.worker.outcomes import _fail

    [job] = catalogue.jobs(sweep=catalogue.add_sweep(sweep({**SHORT, "name": "a"})).gid)
    claim = catalogue.claim(job.gid, "w", timedelta(seconds=60))

    _fail(SimpleNamespace(catalogue=catalogue, settings=settings), claim, RuntimeError(f"broke {ESCAPE}\nTraceback"))

    error = catalogue.find_job(str(job.gid)).error
    assert error.isprintable()
    assert "broke" in error


# --------------------------------------------------------------------------------------------------------- places


@pytest.mark.parametrize(
    "name", ["catalogue.sqlite", "outputs/../catalogue.sqlite", ".", "", "logs/worker-1.log", "redis/x", "outputs/link"]
)
def test_a_row_names_only_results_datatypes_and_inputs(tmp_path, name: str) -> None:
    storage = Storage(tmp_path / "data")
    (storage.root / "outputs").mkdir(parents=True)
    storage.catalogue.write_text("secret")
    (storage.root / "outputs" / "link").symlink_to(storage.catalogue)

    with pytest.raises(OutputError, match="not a directory for results"):
        storage.absolute(name)


@pytest.mark.parametrize("name", ["../../x", "a/../../x", "..", "/etc/x", "", ".hidden", "a\0b", "x" * 5000, "-o x"])
def test_a_bundle_stays_in_its_folder_for_any_name_of_a_sweep(tmp_path, name: str) -> None:
    storage = Storage(tmp_path)

    path = storage.bundle(name)

    assert path.resolve().parent == (tmp_path / "bundles").resolve()
    assert path.suffix == ".zip"
    assert not path.name.startswith(".")
    assert len(path.name) < 255


# ---------------------------------------------------------------------------------------------------- conditions, lists


@pytest.mark.parametrize(
    "text",
    [
        "'%999999999d' % 5", "'a'*999999*999999", "9**9**9", "10**400 > 1", "b * 999999999", "'a' + 'b' == 'ab'",
        "1" + "0" * 40 + " > 1", " * ".join(["9" * 25] * 60) + " > 1", "a * 'x'", "[1] * 9999999",
    ],
)  # fmt: skip
def test_a_condition_computes_only_with_numbers_of_bounded_size(text: str) -> None:
    with pytest.raises(ExpressionError):
        Expression.parse(text).holds({"a": 3, "b": [1, 2]})


def test_ordinary_conditions_hold() -> None:
    values = {"a": 3, "b": 2.5, "c.class": "Linear", "d": [4]}

    for text in (
        "a * b + 1 > 8",
        "a % 2 == 1",
        "c.class == 'Linear'",
        "d / 2 == 2",
        "max(a, b) - abs(-1) == 2",
        "-a < 0",
    ):
        assert Expression.parse(text).holds(values), text


def test_a_list_of_points_is_a_regular_file_of_a_bounded_size(tmp_path, monkeypatch) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "link.csv").symlink_to("/dev/zero")
    for name in ("pipe.csv", "link.csv", "."):
        with pytest.raises(SpecError, match="no regular file"):
            read_table(tmp_path / name)
    (tmp_path / "a.csv").write_text("coupling.a\n1\n2\n")
    assert read_table(tmp_path / "a.csv") == [{"coupling.a": 1}, {"coupling.a": 2}]
    monkeypatch.setattr(spec_file, "MOST_TABLE", 10)
    with pytest.raises(SpecError, match="a table of at most"):
        read_table(tmp_path / "a.csv")


def test_too_many_names_to_sort_by_are_refused(tvb_batch, catalogue) -> None:
    keys = [f"coupling.a{number}" for number in range(65)]

    assert_refused(tvb_batch("list", "--sort", ",".join(keys)), "65 names to sort by", f"at most {MOST_KEYS}")


# -------------------------------------------------------------------------------------------------------------- web


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    catalogue, settings = fill(tmp_path_factory.mktemp("hostile"))
    yield catalogue, settings
    catalogue.dispose()


@pytest.fixture(scope="module")
def address(filled):
    with served(*filled) as address:
        yield address


def ask(address: str, request: bytes) -> bytes:
    """Return the server's answer to these bytes."""
    host, port = address.removeprefix("http://").rstrip("/").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(request)
        answer = b""
        while block := connection.recv(65536):
            answer += block
    return answer


@pytest.mark.parametrize(
    "host",
    [
        b"[", b"]", b"127.0.0.1:x", b"a@127.0.0.1", b"127.0.0.1/static/", b"127.0.0.1?x", b"127.0.0.1#x", b"", b"[::1", b"\xff",
        b"127.0.0.1/login", b"127.0.0.1\\x", b"127.0.0.1, evil", b"127.0.0.1\r\nHost: evil", b"127.0.0.1:123456",
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", [b"/", b"/jobs", b"/workers", b"//evil/", b"/static/../jobs"])
def test_an_invalid_host_header_is_refused_on_every_page(address, host: bytes, path: bytes) -> None:
    answer = ask(address, b"GET " + path + b" HTTP/1.1\r\nHost: " + host + b"\r\nConnection: close\r\n\r\n")

    assert answer.split()[1] == b"400"
    assert b"Traceback" not in answer
    assert b"csrf" not in answer


@pytest.mark.parametrize("host", [b"127.0.0.1/static/", b"127.0.0.1/login?"])
def test_access_is_decided_by_the_requested_path(address, host: bytes) -> None:
    answer = ask(address, b"GET /jobs HTTP/1.1\r\nHost: " + host + b"\r\nConnection: close\r\n\r\n")

    assert answer.split()[1] in (b"400", b"403")


@pytest.mark.parametrize("origin", ["http://[", "null", "", "http://evil", "http://127.0.0.1:1", "://", "http://[::1"])
def test_an_invalid_origin_changes_nothing(address, filled, origin: str) -> None:
    catalogue, _ = filled
    with httpx.Client(base_url=address) as client:
        client.get("/", params={"token": TOKEN})
        page = client.get("/").text
        token = page.split('name="csrf" value="')[1].split('"')[0] if 'name="csrf"' in page else ""
        gid = next(summary.sweep.gid for summary in catalogue.sweeps() if summary.sweep.name == "waiting")
        answer = client.post(
            "/act", data={"csrf": token, "action": "cancel", "key": str(gid)}, headers={"Origin": origin}
        )

    assert answer.status_code == 403
    assert catalogue.counts(gid) == {"PENDING": 1}


@pytest.mark.parametrize("token", ["%ff", "%00", "\u0441", "%ud800"])
def test_an_invalid_token_is_refused(address, token: str) -> None:
    with httpx.Client(base_url=address) as client:
        assert client.get(f"/?token={token}").status_code == 403


def test_the_catalogue_cannot_be_downloaded(address, filled) -> None:
    from sqlalchemy import text

    catalogue, _ = filled
    [output, *_] = catalogue.outputs([job.gid for job in catalogue.jobs() if job.status == "FINISHED"])
    with catalogue._engine.begin() as connection:
        connection.execute(text("UPDATE output SET path = 'catalogue.sqlite' WHERE id = :id"), {"id": output.id})
    with httpx.Client(base_url=address) as client:
        client.get("/", params={"token": TOKEN})
        answer = client.get(f"/outputs/{output.gid}/file")
    with catalogue._engine.begin() as connection:
        connection.execute(
            text("UPDATE output SET path = :path WHERE id = :id"), {"id": output.id, "path": output.path}
        )

    assert answer.status_code == 400
    assert b"SQLite format" not in answer.content


def test_a_connection_without_a_request_in_time_is_closed(filled, monkeypatch) -> None:
    catalogue, settings = filled
    monkeypatch.setattr(connections, "PATIENCE", 1.0)
    app = make_web(catalogue, settings, TOKEN, frozenset({"127.0.0.1"}))
    config = uvicorn.Config(app, log_level="error", http=connections.ImpatientProtocol, timeout_keep_alive=60)
    server, listener = uvicorn.Server(config), socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    port = listener.getsockname()[1]
    beginnings = [
        b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ",
        b"POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\ntoken=",
        b"GET /login HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nGET / HTTP/1.1\r\nX",
    ]  # fmt: skip
    with ExitStack() as stack:
        held = [stack.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in beginnings]
        for connection, beginning in zip(held, beginnings, strict=True):
            connection.sendall(beginning)
            connection.settimeout(0.2)
        is_open, deadline = set(range(len(held))), time.monotonic() + 30
        while is_open and time.monotonic() < deadline:
            for number in list(is_open):
                try:
                    held[number].sendall(b"x")  # Single bytes do not extend the time limit.
                    if not held[number].recv(65536):
                        is_open.discard(number)
                except TimeoutError:
                    continue
                except OSError:
                    is_open.discard(number)
    server.should_exit = True
    thread.join(20)
    listener.close()

    assert is_open == set()


def test_errors_have_the_right_class() -> None:
    with pytest.raises(BrokerError):
        make_app(_settings_with_broker("redis://:a/b@h"))
    from tvb_batch.models.catalogue.database import connect

    with pytest.raises(CatalogueError):
        connect("postgresql://a:b/c@h/d")


def _settings_with_broker(url: str):
    from tvb_batch.models.settings import load_settings

    return load_settings(broker_url=url)
