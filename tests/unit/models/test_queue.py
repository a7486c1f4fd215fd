"""The content of Redis, and messages that are lost or repeated."""

import base64
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import uuid4

import pytest
from conftest import SHORT, wait_until

import tvb_batch.models.queue
from tvb_batch.models.errors import BrokerError
from tvb_batch.models.queue import QUEUE, check_broker, make_app, publish_jobs, send, take_turn, waiting
from tvb_batch.models.spec.simulation import SimulationSpec
from tvb_batch.models.spec.sweep import SweepSpec


def add(catalogue, jobs: int):
    base = SimulationSpec.model_validate(SHORT)
    return catalogue.add_sweep(SweepSpec(name="q", base=base, plan={"coupling.a": [float(n) for n in range(jobs)]}))


def flush(app) -> None:
    with app.connection_for_write() as connection:
        connection.default_channel.client.flushall()


def test_only_a_window_of_messages_is_kept_in_redis(settings, catalogue) -> None:
    app = make_app(settings)
    add(catalogue, 25)

    assert publish_jobs(catalogue, app, window=10) == 10
    assert publish_jobs(catalogue, app, window=10) == 0
    assert waiting(app) == 10
    flush(app)
    assert publish_jobs(catalogue, app, window=10) == 10
    flush(app)
    assert publish_jobs(catalogue, app, window=10) == 5


@pytest.fixture
def halfway(monkeypatch) -> Iterator[tuple[threading.Event, threading.Event]]:
    """Pause the first process that fills the queue before it sends, until it may continue."""
    is_there, may_go = threading.Event(), threading.Event()
    real = tvb_batch.models.queue.send

    def paused(*arguments) -> None:
        if not is_there.is_set():
            is_there.set()
            assert may_go.wait(60)
        real(*arguments)

    monkeypatch.setattr(tvb_batch.models.queue, "send", paused)
    yield is_there, may_go
    may_go.set()


def messages(app) -> list[str]:
    """Return the jobs named in messages."""
    with app.connection_for_write() as connection:
        found = connection.default_channel.client.lrange(QUEUE, 0, -1)
    return [json.loads(base64.b64decode(json.loads(one)["body"]))[0][0] for one in found]


def test_one_worker_at_a_time_fills_the_queue(settings, catalogue, halfway) -> None:
    app, (is_there, may_go) = make_app(settings), halfway
    add(catalogue, 250)
    with ThreadPoolExecutor(20) as others:
        filler = others.submit(publish_jobs, catalogue, app, window=10)
        assert is_there.wait(60)

        # The queue is empty yet.
        assert list(others.map(lambda _: publish_jobs(catalogue, make_app(settings), window=10), range(19))) == [0] * 19
        may_go.set()

        assert filler.result(60) == 10
    assert len(set(messages(app))) == len(messages(app)) == 10
    flush_queue(app)
    assert publish_jobs(catalogue, app, window=10) == 10


def flush_queue(app) -> None:
    with app.connection_for_write() as connection:
        connection.default_channel.client.delete(QUEUE)


def test_a_dead_filler_is_replaced_and_no_job_is_sent_twice(settings, catalogue, halfway, monkeypatch) -> None:
    monkeypatch.setattr("tvb_batch.models.queue.FILLER_LEASE", 0.2)
    app, (is_there, may_go) = make_app(settings), halfway
    add(catalogue, 25)
    with ThreadPoolExecutor(1) as frozen:
        filler = frozen.submit(publish_jobs, catalogue, app, window=10)
        assert is_there.wait(60)
        wait_until(lambda: publish_jobs(catalogue, app, window=10) == 10)
        # The end of the first process does not release the lock of the second.
        monkeypatch.setattr("tvb_batch.models.queue.FILLER_LEASE", 3600.0)
        with tvb_batch.models.queue._filling(app) as is_ours:
            assert is_ours
            may_go.set()
            assert filler.result(60) == 10
            assert publish_jobs(catalogue, app, window=100) == 0

    assert len(set(messages(app))) == len(messages(app)) == 20
    assert publish_jobs(catalogue, app, window=100) == 5


@pytest.mark.parametrize("lasts", [None, 3_600_000], ids=["for ever", "after the clock was set back"])
def test_a_key_that_expires_too_late_does_not_stop_the_workers(settings, catalogue, lasts: int | None) -> None:
    app = make_app(settings)
    add(catalogue, 3)
    with app.connection_for_write() as connection:
        client = connection.default_channel.client
        for key in (tvb_batch.models.queue._LOOK, tvb_batch.models.queue._FILLER):
            client.set(key, "dead", px=lasts)

    assert [take_turn(app, 60), take_turn(app, 60), take_turn(app, 60)] == [False, True, False]
    assert [publish_jobs(catalogue, app), publish_jobs(catalogue, app)] == [0, 3]


def test_jobs_chosen_by_two_processes_are_sent_by_one(settings, catalogue) -> None:
    add(catalogue, 5)
    chosen = catalogue.unpublished(3)

    assert catalogue.mark_published(chosen) == chosen
    assert (
        catalogue.mark_published([*chosen, *catalogue.unpublished(1)])
        == catalogue.mark_published([]) + [job.gid for job in catalogue.jobs(limit=5) if job.gid not in chosen][:1]
    )


def test_messages_that_redis_does_not_take_are_sent_later(settings, catalogue, monkeypatch) -> None:
    app = make_app(settings)
    add(catalogue, 3)

    def away(*_) -> None:
        raise BrokerError("away")

    with monkeypatch.context() as patched:
        patched.setattr(tvb_batch.models.queue, "send", away)
        with pytest.raises(BrokerError, match="away"):
            publish_jobs(catalogue, app)

    assert {job.published_at for job in catalogue.jobs()} == {None}
    assert publish_jobs(catalogue, app) == 3


def test_a_lost_message_is_sent_again_only_when_the_queue_is_empty(settings, catalogue, monkeypatch) -> None:
    app = make_app(settings)
    add(catalogue, 3)
    publish_jobs(catalogue, app)
    monkeypatch.setattr("tvb_batch.models.queue.LOST_AFTER", timedelta(0))

    assert publish_jobs(catalogue, app) == 0
    flush(app)
    assert publish_jobs(catalogue, app) == 3


def test_a_message_just_sent_is_not_taken_for_lost(settings, catalogue) -> None:
    app = make_app(settings)
    add(catalogue, 3)
    publish_jobs(catalogue, app)
    flush(app)

    assert publish_jobs(catalogue, app) == 0


@pytest.mark.slow
def test_a_broker_that_is_not_there_gives_one_line_without_the_password(settings) -> None:
    gone = settings.model_copy(update={"broker_url": type(settings.broker_url)("redis://:secret@127.0.0.1:1/0")})

    for call in (lambda: check_broker(gone), lambda: waiting(make_app(gone)), lambda: send(make_app(gone), [uuid4()])):
        with pytest.raises(BrokerError) as caught:
            call()
        assert "secret" not in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_broker_that_answers_passes(settings) -> None:
    check_broker(settings)


@pytest.mark.parametrize("url", ["", "nonsense", "http://127.0.0.1:1", "redis://127.0.0.1:notaport/0"])
def test_an_invalid_url_gives_one_line(settings, url: str) -> None:
    with pytest.raises(BrokerError, match="TVB_BATCH_BROKER_URL"):
        check_broker(settings.model_copy(update={"broker_url": type(settings.broker_url)(url)}))


def test_a_worker_takes_json_and_nothing_else(settings) -> None:
    conf = make_app(settings).conf

    assert conf.accept_content == ["json"]
    assert conf.result_backend is None
    assert conf.task_acks_late is False
