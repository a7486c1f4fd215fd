"""What is in Redis, and what becomes of messages that are lost or repeated."""

from datetime import timedelta
from uuid import uuid4

import pytest
from conftest import SHORT

from models.errors import BrokerError
from models.queue import check_broker, make_app, publish, send, waiting
from models.spec import SimulationSpec
from models.sweep import SweepSpec


def add(catalogue, jobs: int):
    base = SimulationSpec.model_validate(SHORT)
    return catalogue.add_sweep(SweepSpec(name="q", base=base, plan={"coupling.a": [float(n) for n in range(jobs)]}))


def flush(app) -> None:
    with app.connection_for_write() as connection:
        connection.default_channel.client.flushall()


def test_only_a_window_of_messages_is_kept_in_redis(settings, catalogue) -> None:
    app = make_app(settings)
    add(catalogue, 25)

    assert publish(catalogue, app, window=10) == 10
    assert publish(catalogue, app, window=10) == 0
    assert waiting(app) == 10
    flush(app)
    assert publish(catalogue, app, window=10) == 10
    flush(app)
    assert publish(catalogue, app, window=10) == 5


def test_a_lost_message_is_sent_again_only_when_the_queue_is_empty(settings, catalogue, monkeypatch) -> None:
    app = make_app(settings)
    add(catalogue, 3)
    publish(catalogue, app)
    monkeypatch.setattr("models.queue.LOST_AFTER", timedelta(0))

    assert publish(catalogue, app) == 0
    flush(app)
    assert publish(catalogue, app) == 3


def test_a_message_just_sent_is_not_taken_for_lost(settings, catalogue) -> None:
    app = make_app(settings)
    add(catalogue, 3)
    publish(catalogue, app)
    flush(app)

    assert publish(catalogue, app) == 0


def test_a_broker_that_is_not_there_is_one_line_without_the_password(settings) -> None:
    gone = settings.model_copy(update={"broker_url": type(settings.broker_url)("redis://:secret@127.0.0.1:1/0")})

    for call in (lambda: check_broker(gone), lambda: waiting(make_app(gone)), lambda: send(make_app(gone), [uuid4()])):
        with pytest.raises(BrokerError) as caught:
            call()
        assert "secret" not in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_broker_that_answers_passes(settings) -> None:
    check_broker(settings)


@pytest.mark.parametrize("url", ["", "nonsense", "http://127.0.0.1:1", "redis://127.0.0.1:notaport/0"])
def test_a_url_that_is_none_is_one_line(settings, url: str) -> None:
    with pytest.raises(BrokerError, match="TVB_BATCH_BROKER_URL"):
        check_broker(settings.model_copy(update={"broker_url": type(settings.broker_url)(url)}))


def test_a_worker_takes_json_and_nothing_else(settings) -> None:
    conf = make_app(settings).conf

    assert conf.accept_content == ["json"]
    assert conf.result_backend is None
    assert conf.task_acks_late is False
