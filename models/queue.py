"""The Celery app of both sides, its task names, and the function that publishes jobs.

A message only says that a job waits; the row decides. A message holds the gid of a job and nothing else. If it is lost,
late or repeated, only time is lost. Redis holds a limited number of messages. All other jobs wait as PENDING rows and
are published when the queue becomes short.
"""

import json
import os
import platform
import re
import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import redis
from celery import Celery
from kombu import Connection, Queue
from kombu.exceptions import OperationalError

from tvb_batch.models.catalogue import Catalogue
from tvb_batch.models.errors import BrokerError, CatalogueError, one_line
from tvb_batch.models.masking import NO_URL, is_url, remember, without_password
from tvb_batch.models.settings import Settings

QUEUE = "tvb-batch"
#: By the name of a sweep's queue in the catalogue. Workers serve both by default.
QUEUES = {"short": QUEUE, "long": f"{QUEUE}.long"}
RUN_JOB = "tvb_batch.run_job"

#: Maximum number of messages in Redis. 1,000 jobs of 10 ms keep four workers busy until the reconciler's next turn.
WINDOW = 1000
#: A PENDING row whose message is older than this while the queue is empty has lost its message: a worker that takes
#: a message claims its row within milliseconds.
LOST_AFTER = timedelta(seconds=10)
#: If a process that fills the queue dies, another one may fill it after this time. Seconds.
FILLER_LEASE = 10.0
#: A worker that has not announced itself for this time is not counted. Seconds.
ANNOUNCED_FOR = 60

#: Keys in Redis: the lock for filling the queues, and the turn of a worker.
_FILLER, _LOOK = f"{QUEUE}.filler", f"{QUEUE}.look"

#: Prefix of the name of a worker's connection.
_WORKER = "tvb-batch-worker@"


def make_app(settings: Settings, *, client_name: str | None = None) -> Celery:
    """Return the Celery app of one process for the broker in `settings`; it is not connected yet.

    Parameters
    ----------
    client_name : the name of this process in Redis; see `worker_client_name`

    Raises
    ------
    BrokerError
        The URL is invalid.
    """
    _check_url(settings.broker)
    app = Celery("tvb_batch", broker=settings.broker, set_as_current=False)
    if urlsplit(settings.broker).scheme == "rediss":
        # Verify the server's certificate: without this, TLS does not protect against a man in the middle.
        checked = {"ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_check_hostname": True}
        ca_file = settings.broker_ca_file
        app.conf.broker_use_ssl = {**checked, "ssl_ca_certs": str(ca_file)} if ca_file else checked
    app.conf.update(
        # JSON only: a message can never carry code.
        task_serializer="json",
        accept_content=["json"],
        # The row holds the outcome; a result backend would store it twice.
        task_ignore_result=True,
        result_backend=None,
        task_store_errors_even_if_ignored=False,
        task_default_queue=QUEUE,
        task_queues=[Queue(name) for name in QUEUES.values()],
        # Acknowledged before the job starts. Late acknowledgement makes Redis deliver a long simulation again after
        # `visibility_timeout`; a job whose worker died is found by its lease instead.
        task_acks_late=False,
        # One message per process, no prefetch: a message prefetched by a busy worker would not reach an idle one.
        worker_prefetch_multiplier=1,
        worker_disable_prefetch=True,
        # A worker waits for Redis without limit, at its start and later.
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        # Running jobs continue without Redis.
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_transport_options={
            # A lost connection to Redis is noticed within seconds.
            "socket_timeout": 30,
            "socket_connect_timeout": 5,
            "socket_keepalive": True,
            "health_check_interval": 30,
            # Names the connection for Redis; see `listening`.
            "client_name": client_name,
            # Redis keeps no copy of unacknowledged messages: the rows are enough.
            "ack_emulation": False,
        },
        # No task events: rows replace them. Remote control is set in `worker.app`.
        worker_send_task_events=False,
        worker_enable_remote_control=False,
        # Replace a process that uses too much memory. Celery counts in KB.
        worker_max_tasks_per_child=settings.max_tasks_per_child or None,
        worker_max_memory_per_child=settings.max_memory_per_child // 1024 or None,
        # This program configures logging; Celery would replace the root logger's handlers.
        worker_hijack_root_logger=False,
        enable_utc=True,
        timezone="UTC",
    )
    return app


#: The number of a database, or the path of a socket.
_REDIS = re.compile(r"rediss?://[^/?]+(?:/\d*)?(?:\?|$)|redis\+socket://(?:[^/?@]*@)?/")


def _check_url(url: str) -> None:
    """Check that Celery can parse the URL; otherwise it would fail later and show the URL."""
    if not is_url(url) or not _REDIS.match(url):
        raise BrokerError(f"TVB_BATCH_BROKER_URL: not a Redis URL {NO_URL}, such as redis://user:password@host:6379/0")
    remember(url)
    try:
        Connection(url)
    except (TypeError, ValueError, KeyError) as exc:
        where = f"TVB_BATCH_BROKER_URL {without_password(url)}"
        raise BrokerError(f"{where}: cannot be used ({exc}); expected redis://user:password@host:6379/0") from exc


def check_broker(settings: Settings) -> None:
    """Check that the broker answers.

    Raises
    ------
    BrokerError
        It does not; the message has the address without the password.
    """
    app = make_app(settings)
    try:
        with app.connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, interval_start=0.2, timeout=5)
    except redis.ResponseError as exc:
        raise BrokerError(f"TVB_BATCH_BROKER_URL {without_password(settings.broker)}: Redis refuses ({exc})") from exc
    except (OperationalError, OSError, redis.RedisError, ValueError, KeyError) as exc:
        if _has_answered(exc):
            raise BrokerError(
                f"TVB_BATCH_BROKER_URL {without_password(settings.broker)}: Redis refuses ({one_line(str(exc))})"
            ) from exc
        reason = str(exc).splitlines()[0] if str(exc) else type(exc).__name__
        raise BrokerError(
            f"TVB_BATCH_BROKER_URL {without_password(settings.broker)}: Redis does not answer ({reason}); "
            "start one, correct the URL, or use `tvb-batch run`, which starts its own"
        ) from exc


def _has_answered(exc: BaseException | None) -> bool:
    """Return whether Redis itself has refused, for example a wrong password."""
    refusals = (redis.ResponseError, redis.AuthenticationError, redis.exceptions.AuthorizationError)
    return exc is not None and (isinstance(exc, refusals) or _has_answered(exc.__cause__))


@contextmanager
def _client(app: Celery) -> Iterator[Any]:
    """Return a cached connection to Redis; every error becomes a BrokerError."""
    try:
        with app.connection_or_acquire() as connection:
            yield connection.default_channel.client
    except redis.ResponseError as exc:
        raise BrokerError(f"Redis refuses ({exc})") from exc
    except (OperationalError, OSError, redis.RedisError) as exc:
        raise BrokerError(f"Redis does not answer ({exc})") from exc


def worker_client_name() -> str:
    """Return the client name of this process as a worker in Redis."""
    return f"{_WORKER}{re.sub(r'[^!-~]', '_', platform.node())}:{os.getpid()}"


def listening(app: Celery) -> list[str]:
    """Return the workers connected to Redis, by host and number of their main process.

    Raises
    ------
    BrokerError
        Redis does not answer.
    """
    with _client(app) as client:
        clients = client.client_list()
    names = {str(one.get("name", "")) for one in clients}
    workers = (name.removeprefix(_WORKER) for name in names if name.startswith(_WORKER))
    return sorted(name for name in workers if _NAME.fullmatch(name))


def send(app: Celery, gids: Sequence[UUID], queue: str = QUEUE) -> None:
    """Send one message for each job.

    Raises
    ------
    BrokerError
        Redis did not accept all messages. The sent ones do no harm: `claim` ignores jobs that are not PENDING.
    """
    try:
        with app.producer_or_acquire() as producer:
            for gid in gids:
                app.send_task(RUN_JOB, args=[str(gid)], producer=producer, queue=queue)
    except (OperationalError, OSError, redis.RedisError) as exc:
        raise BrokerError(f"Redis did not take the messages ({exc})") from exc


def waiting(app: Celery, queue: str = QUEUE) -> int:
    """Return the number of messages in a queue of Redis.

    Raises
    ------
    BrokerError
        Redis does not answer.
    """
    with _client(app) as client:
        return int(client.llen(queue))


def announce(app: Celery, worker: str, facts: Mapping[str, Any]) -> None:
    """Record in Redis that a worker lives, with facts for `tvb-batch doctor`; it expires if not repeated.

    Raises
    ------
    BrokerError
        Redis does not answer.
    """
    with _client(app) as client:
        client.set(f"{QUEUE}.worker.{worker}", json.dumps(facts), ex=ANNOUNCED_FOR)


def announced(app: Celery) -> dict[str, dict[str, Any]]:
    """Return the facts of living workers, by worker.

    Entries in another form, written by other programs, are left out.

    Raises
    ------
    BrokerError
        Redis does not answer.
    """
    prefix = f"{QUEUE}.worker."
    with _client(app) as client:
        keys = sorted(client.scan_iter(match=f"{prefix}*"))
        values = client.mget(keys) if keys else []
    found = {}
    for key, value in zip(keys, values, strict=True):
        worker = key.decode(errors="replace").removeprefix(prefix)
        facts = _facts(value)
        if facts is not None and _NAME.fullmatch(worker):
            found[worker] = facts
    return found


#: Host and process id.
_NAME = re.compile(r"[\w.:@-]{1,255}", re.ASCII)
#: Maximum length of one worker's facts, in characters.
_MOST_FACTS = 64 * 1024


def _facts(value: bytes | None) -> dict[str, Any] | None:
    """Parse what `announce` has written; None for anything else."""
    if value is None or len(value) > _MOST_FACTS:
        return None
    try:
        facts = json.loads(value)
    except (ValueError, RecursionError):
        return None
    versions = facts.get("versions") if isinstance(facts, dict) else None
    if not isinstance(versions, dict) or not all(isinstance(text, str) for text in versions.values()):
        return None
    return {**facts, "versions": {one_line(name): one_line(text) for name, text in versions.items()}}


def take_turn(app: Celery, seconds: float) -> bool:
    """Return whether it is the caller's turn to look for work: one of all callers per interval.

    Raises
    ------
    BrokerError
        Redis does not answer.
    """
    with _client(app) as client:
        return _taken(client, _LOOK, "taken", seconds)


def publish_jobs(catalogue: Catalogue, app: Celery, *, window: int = WINDOW) -> int:
    """Fill the queue with PENDING jobs and return how many were sent; 0 while another process does so.

    It is called after a submission, by `requeue`, and by one worker once a second. Jobs never published come first.
    Rows published some time ago are sent again only if the queue is empty, because then their messages are lost.

    Raises
    ------
    BrokerError
        Redis does not answer, or did not accept the messages.
    """
    with _filling(app) as is_ours:
        return sum(_top_up(catalogue, app, queue, window) for queue in QUEUES) if is_ours else 0


@contextmanager
def _filling(app: Celery) -> Iterator[bool]:
    """Return whether only the caller may fill the queues, until the end of the block."""
    token = uuid4().hex
    with _client(app) as client:
        is_ours = _taken(client, _FILLER, token, FILLER_LEASE)
    try:
        yield is_ours
    finally:
        if is_ours:
            # Without Redis, the key expires by itself.
            with suppress(BrokerError), _client(app) as client:
                if client.get(_FILLER) == token.encode():
                    client.delete(_FILLER)


def _taken(client: Any, key: str, value: str, seconds: float) -> bool:
    """Return whether the caller created this key, which blocks others for this time."""
    milliseconds = round(1000 * seconds)
    if client.set(key, value, nx=True, px=milliseconds):
        return True
    left = client.pttl(key)
    if left == -1 or left > milliseconds:
        # The key would stay too long: Redis' clock was set back, or another program has set it.
        client.delete(key)
    return False


def _top_up(catalogue: Catalogue, app: Celery, queue: str, window: int) -> int:
    queued = waiting(app, QUEUES[queue])
    gids: list[UUID] = []
    if queued < window // 2 or queued == 0:
        gids = catalogue.mark_published(catalogue.unpublished(window - queued, queue=queue))
    if not gids and queued == 0:
        lost = catalogue.unpublished(window, older_than=LOST_AFTER, queue=queue)
        gids = catalogue.mark_published(lost, older_than=LOST_AFTER)
    # Mark first, send second: if two processes fill the queue, each sends other jobs.
    # After a crash between the two, the messages count as lost.
    try:
        if gids:
            send(app, gids, QUEUES[queue])
    except BrokerError:
        with suppress(CatalogueError):
            catalogue.unpublish(gids)
        raise
    return len(gids)


@dataclass(frozen=True)
class BrokerFacts:
    """Facts about Redis."""

    #: How far its clock is ahead of this host's. Seconds.
    clock_ahead: float
    #: Its eviction policy; None if the user may not ask.
    policy: str | None
    #: Used part of its memory limit, 0 to 1; 0 without a limit.
    memory: float
    #: Why messages cannot be sent and received; None if they can.
    refusal: str | None


def broker_facts(app: Celery) -> BrokerFacts:
    """Return Redis' clock, memory, and whether it does what workers and clients need.

    Raises
    ------
    BrokerError
        Redis does not answer.
    """
    with _client(app) as client:
        start = time.time()
        seconds, microseconds = client.time()
        ahead = seconds + microseconds / 1e6 - (start + time.time()) / 2
        try:
            found = client.info("memory")
        except redis.ResponseError:
            found = {}
        bound = int(found.get("maxmemory", 0))
        memory = int(found.get("used_memory", 0)) / bound if bound else 0.0
        policy = found.get("maxmemory_policy")
        return BrokerFacts(ahead, None if policy is None else str(policy), memory, _refusal(client))


def _refusal(client: Any) -> str | None:
    """Return why Redis refuses, found with a test list; empty if it does not."""
    name = f"{QUEUE}.trial.{uuid4()}"
    try:
        client.lpush(name, "")
        client.expire(name, 60)
        client.brpop([name], timeout=1)
    except redis.ResponseError as exc:
        return str(exc)
    return None
