"""What a worker takes from Redis: a message that names a job, a question (`worker.remote_control`), and nothing else.

Kombu and Celery trust whoever writes to the queue: a text that is no JSON ends the whole worker, and headers may ask
for callbacks, delays and time limits. So every message is looked at before either sees it. What names no job is dropped
with a log line; what does is made anew from the job's gid alone.
"""

import base64
import binascii
import json
import time
from queue import Empty
from typing import Any
from uuid import UUID, uuid4

import structlog
from kombu import transport
from kombu.transport import redis
from redis.exceptions import ConnectionError, RedisError, ResponseError

from tvb_batch.models.queue import RUN_JOB
from tvb_batch.worker import remote_control

log = structlog.get_logger()

#: Letters of a refused message that are told.
_TOLD = 80
#: A message of ours has some 700.
_LONGEST_BODY = 4096
#: How long a Redis that refuses is left alone. Seconds.
ASK_AGAIN = 1.0
#: What becomes of reading texts that others have written.
_UNREADABLE = (ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError)


def install() -> None:
    """Redis' messages come through here from now on, in this process."""
    for name in ("redis", "rediss", "redis+socket"):
        transport.TRANSPORT_ALIASES[name] = "tvb_batch.worker.transport:Transport"


def gid_of(message: object) -> str:
    """The gid of the job that a raw message names.

    Raises
    ------
    ValueError
        It is no message of ours; says why.
    """
    if not isinstance(message, dict) or not isinstance(message.get("headers"), dict):
        raise ValueError("not a Celery message")
    task = message["headers"].get("task")
    if task != RUN_JOB:
        raise ValueError(f"unknown task: {str(task)[:_TOLD]!r}")
    try:
        body = message["body"]
        if not isinstance(body, str) or len(body) > _LONGEST_BODY:
            raise ValueError
        (gid,), keywords, _ = json.loads(base64.b64decode(body, validate=True))
        if keywords or not isinstance(gid, str):
            raise ValueError
        return str(UUID(gid))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, binascii.Error):
        raise ValueError("it has no job gid") from None


def plain(gid: str, queue: str) -> dict[str, Any]:
    """The message that starts a job: nothing in it comes from outside but the gid."""
    # Repeated messages are told apart by their own ids.
    tag = str(uuid4())
    body = json.dumps([[gid], {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}])
    return {
        "body": base64.b64encode(body.encode()).decode(),
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "headers": {"lang": "py", "task": RUN_JOB, "id": tag, "root_id": tag, "argsrepr": gid, "kwargsrepr": ""},
        "properties": {
            "body_encoding": "base64", "correlation_id": tag, "delivery_mode": 2, "delivery_tag": tag, "priority": 0,
            "delivery_info": {"exchange": "", "routing_key": queue},
        },
    }  # fmt: skip


class Channel(redis.Channel):  # type: ignore[misc]
    """A channel that outlives texts that are no JSON, and a Redis that answers and refuses.

    Redis refuses when its disk or memory is full, when it became a replica, when its rights were changed, or when
    another program has put something else where the queue is. Kombu takes that for a fault of the program, which ends
    the worker.
    """

    #: Nothing is asked for before this time.
    _again_at = 0.0

    def _queue_bind(self, exchange: str, routing_key: str, pattern: str, queue: str) -> None:
        """Note who reads remote commands. Queues of ours are named by their messages: nothing has to be in Redis."""
        if self.typeof(exchange).type == "fanout":
            self._fanout_queues[queue] = (exchange, routing_key)

    def maybe_refresh_binding_expiry(self) -> None:
        """Nothing of ours is there to be refreshed."""

    def _size(self, queue: str) -> int:
        """Asked when a queue is declared, for a number that nobody reads."""
        return 0

    def _brpop_start(self, *arguments: Any, **options: Any) -> None:
        if time.monotonic() >= self._again_at:
            super()._brpop_start(*arguments, **options)

    def _brpop_read(self, **options: Any) -> Any:
        try:
            found = super()._brpop_read(**options)
        except Empty:
            _TROUBLE.is_over()
            raise
        except ResponseError as exc:
            _TROUBLE.begins(exc)
            self._again_at = time.monotonic() + ASK_AGAIN
            # Another Redis may have taken over its address.
            self.client.connection.disconnect()
            return True
        except _UNREADABLE as exc:
            log.warning("message_dropped", reason=f"not JSON: {str(exc)[:_TOLD]}")
            return True
        _TROUBLE.is_over()
        return found

    def _receive(self) -> Any:
        """Remote commands; a worker that may not have them goes on without."""
        try:
            return super()._receive()
        except ResponseError as exc:
            log.warning("remote_commands_unavailable", reason=str(exc)[:_TOLD])
        except _UNREADABLE as exc:
            log.warning("message_dropped", reason=f"not a command: {str(exc)[:_TOLD]}")
        return True

    def _handle_message(self, client: Any, response: Any) -> Any:
        """Of what others have published, the part that `remote_control.plain` reads; nothing when it is no JSON."""
        payload = super()._handle_message(client, response)
        if isinstance(payload["data"], bytes | str):
            payload["data"] = json.dumps({"body": json.loads(payload["data"])["body"]})
        return payload

    def _lookup(self, exchange: str, routing_key: str, default: str | None = None) -> list[str]:
        """Where an answer to a remote command goes: Redis' own table may name any place."""
        return (
            [remote_control.answers_of(routing_key)] if exchange == remote_control.ANSWERS else [default or routing_key]
        )

    def _put(self, queue: str, message: Any, **options: Any) -> None:
        if not remote_control.is_answer(queue):
            super()._put(queue, message, **options)
            return
        try:
            with self.conn_or_acquire() as client:
                client.lpush(queue, json.dumps(message))
                client.expire(queue, remote_control.ANSWER_KEPT)
        except (RedisError, OSError) as exc:
            log.warning("answer_not_sent", reason=str(exc)[:_TOLD])


class Transport(redis.Transport):  # type: ignore[misc]
    """Redis, with a look at each message."""

    Channel = Channel

    def establish_connection(self) -> Any:
        """A connection; whoever may not even say hello waits as if nobody answered."""
        try:
            return super().establish_connection()
        except ResponseError as exc:
            raise ConnectionError(str(exc)) from exc

    def _deliver(self, message: object, queue: str) -> None:
        if remote_control.is_answer(queue):
            # This process asked for it: `celery inspect`.
            super()._deliver(message, queue)
            return
        try:
            made = remote_control.plain(message) if remote_control.is_command(queue) else plain(gid_of(message), queue)
        except ValueError as exc:
            log.warning("message_dropped", reason=str(exc))
            return
        super()._deliver(made, queue)


class _Trouble:
    """Says when Redis begins to refuse, why, and when it is over; each once."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._said: object = None

    def begins(self, exc: Exception) -> None:
        # What is told may hold numbers that change.
        kind = (type(exc), str(exc).split(" ")[0])
        if kind != self._said:
            log.warning("redis_refuses", reason=str(exc), doing="asks again every second")
        self._since, self._said = self._since or time.monotonic(), kind

    def is_over(self) -> None:
        if self._since is not None:
            log.warning("redis_recovered", seconds=round(time.monotonic() - self._since, 1))
            self._since = self._said = None


_TROUBLE = _Trouble()
