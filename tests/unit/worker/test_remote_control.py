"""Celery's tools ask a worker: commands that change nothing are answered, all others refused."""

import base64
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from conftest import wait_until
from fault_system import BRIEF, System, Warm, system
from servers import Redis

from tvb_batch.models.queue import make_app
from tvb_batch.submit.operate.local_workers import environment
from tvb_batch.worker import remote_control

ROOT = Path(__file__).parent.parent.parent.parent
SECRET = "s3cretword"
ASKER, TICKET = str(uuid4()), str(uuid4())


def message(**changes: Any) -> dict[str, Any]:
    """Return a command as Celery sends it."""
    asked = {
        "method": "ping", "arguments": {}, "destination": None, "pattern": None, "matcher": None, "ticket": TICKET,
        "reply_to": {"exchange": "reply.celery.pidbox", "routing_key": ASKER}, **changes,
    }  # fmt: skip
    return {"body": base64.b64encode(json.dumps(asked).encode()).decode(), "headers": {"clock": 10**30}}


def body_of(made: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(base64.b64decode(made["body"]))
    return found


# -------------------------------------------------------------------------------------------------- what is kept


def test_only_name_receivers_and_answer_address_of_a_command_are_kept() -> None:
    given = message(destination=["a@b"], arguments={"n": 5}, callbacks=[{"task": "os.system"}])

    made = remote_control.plain_command(given)

    reply = {"exchange": "reply.celery.pidbox", "routing_key": ASKER}
    assert body_of(made) == {"method": "ping", "destination": ["a@b"], "reply_to": reply, "ticket": TICKET}
    assert made["headers"] == {}


BAD: list[Any] = [
    None, 5, [], {}, {"body": 5}, {"body": "%%%"}, {"body": ""}, {"body": base64.b64encode(b"[" * 5000).decode()},
    message(method="os.system"), message(method=["ping"]), message(method=None), message(destination="all"),
    message(destination=[5]), message(pattern="(a+)+$", matcher="pcre"), message(reply_to="celery"),
    message(reply_to={"exchange": "", "routing_key": "tvb-batch"}), message(ticket="x" * 10),
    message(reply_to={"exchange": "reply.celery.pidbox", "routing_key": "../tvb-batch"}), message(ticket=None),
    message(reply_to={"exchange": "other", "routing_key": ASKER}), message(destination=["x" * 20_000]),
]  # fmt: skip


@pytest.mark.parametrize("bad", BAD, ids=range(len(BAD)))
def test_an_invalid_command_is_dropped(bad: object) -> None:
    with pytest.raises(ValueError, match="not a Celery command"):
        remote_control.plain_command(bad)


# ----------------------------------------------------------------------------------------------------- a worker


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory, warm: Warm) -> Iterator[System]:
    redis = Redis(tmp_path_factory.mktemp("redis"), lines=f"requirepass {SECRET}")
    redis.start()
    url = f"redis+socket://:{SECRET}@{redis.socket}"
    try:
        with system(tmp_path_factory.mktemp("remote"), redis, warm, broker_url=url) as found:
            found.start()
            found.wait(found.submit(1, BRIEF))
            yield found
    finally:
        redis.kill()


def name_of(here: System) -> str:
    return f"tvb-batch-{here.workers[0].pid}@{socket.gethostname()}"


def celery(here: System, *arguments: str) -> str:
    """Return the output of Celery's own command."""
    command = [
        sys.executable,
        "-m",
        "celery",
        "-A",
        "tvb_batch.worker",
        *arguments,
        "-d",
        name_of(here),
        "--timeout",
        "30",
    ]
    env = {**os.environ, **environment(here.settings)}
    done = subprocess.run(command, capture_output=True, text=True, env=env, cwd=ROOT, timeout=120)
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


@pytest.mark.slow
def test_celery_and_flower_get_answers_without_secrets(here) -> None:
    app = make_app(here.settings)
    inspect = app.control.inspect([name_of(here)], timeout=30)

    assert "pong" in celery(here, "inspect", "ping")
    # As Flower asks, with Kombu's own transport.
    answers = {method: getattr(inspect, method)() for method in sorted(remote_control.ANSWERED - {"ping"})}
    app.close()

    assert all(list(answer) == [name_of(here)] for answer in answers.values()), answers
    assert SECRET not in str(answers)
    assert "tvb_batch.run_job" in str(answers["registered"])


@pytest.mark.slow
@pytest.mark.parametrize(
    "command", ["shutdown", "pool_shrink", "rate_limit", "add_consumer", "cancel_consumer", "revoke", "conf", "report"]
)
def test_commands_that_control_a_worker_or_show_its_settings_are_refused(here, command: str) -> None:
    app = make_app(here.settings)

    asked: dict[str, Any] = {"arguments": {"n": 1, "queue": "tvb-batch"}, "destination": [name_of(here)]}
    (answer,) = app.control.broadcast(command, **asked, reply=True, timeout=30)

    app.close()
    assert "refused" in str(answer)
    assert here.workers[0].lives()


@pytest.mark.slow
def test_a_worker_survives_any_command(here) -> None:
    client = here.queue
    texts = ["garbage", "", "null", "5", "[" * 100_000, '{"__type__": "datetime", "__value__": 5}']
    bad = [json.dumps({"body": "x", "properties": {}, "headers": {}}), *(json.dumps(one) for one in BAD)]
    for text in (*texts, *bad):
        client.publish("/0.celery.pidbox", text)
    client.set("_kombu.binding.reply.celery.pidbox", "of another type")

    assert "pong" in celery(here, "inspect", "ping")
    here.wait(here.submit(1, BRIEF))
    client.close()

    assert here.workers[0].lives()
    assert here.tracebacks() == []


@pytest.mark.slow
def test_unread_answers_expire(here) -> None:
    client, app = here.queue, make_app(here.settings)
    command = {**message(), "content-type": "application/json", "content-encoding": "utf-8", "properties": {}}
    client.publish("/0.celery.pidbox", json.dumps(command))

    queue = f"{ASKER}.reply.celery.pidbox"
    wait_until(lambda: client.exists(queue))

    # The answer is pushed first, and its queue expires a moment later.
    assert 0 < wait_until(lambda: max(client.ttl(queue), 0)) <= remote_control.ANSWER_KEPT
    app.close()
    client.close()
