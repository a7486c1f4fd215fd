"""Reads Redis messages for a worker: those that name a job and commands (`worker.remote_control`), nothing else.

Kombu and Celery trust everybody who writes to the queue. A text that is not JSON ends the whole worker, and headers may
ask for callbacks, delays and time limits. So every message is checked before they see it. A message without a job's gid
is dropped with a log line. Any other message is built anew from the gid alone.
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

#: Characters of a refused message that are logged.
_TOLD = 80
#: Maximum size of a message; this program's have about 700 characters.
_LONGEST_BODY = 4096
#: Pause before the next command to a Redis that refuses. Seconds.
ASK_AGAIN = 1.0
#: Exceptions from parsing texts of other programs.
_UNREADABLE = (ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError)


def install() -> None:
    """Make Kombu use this transport for Redis in this process."""
    for name in ("redis", "rediss", "redis+socket"):
        transport.TRANSPORT_ALIASES[name] = "tvb_batch.worker.transport:Transport"


def gid_of(message: object) -> str:
    """Return the gid of the job named in a raw message.

    Raises
    ------
    ValueError
        It is not a message of this program; the message says why.
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


def plain_message(gid: str, queue: str) -> dict[str, Any]:
    """Return a new message that starts a job; only the gid comes from outside."""
    # Each message gets a new id, so that repeated messages differ.
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
    """A channel that survives texts that are not JSON, and a Redis that refuses commands.

    Redis refuses if its disk or memory is full, if it became a replica, if rights were changed, or if another program
    uses the name of the queue. Kombu treats this as an error of the program and ends the worker.
    """

    #: No command is sent before this time.
    _again_at = 0.0

    def _queue_bind(self, exchange: str, routing_key: str, pattern: str, queue: str) -> None:
        """Record the readers of remote commands. Job queues need no entry in Redis: their messages name them."""
        if self.typeof(exchange).type == "fanout":
            self._fanout_queues[queue] = (exchange, routing_key)

    def maybe_refresh_binding_expiry(self) -> None:
        """Do nothing: Redis has no entries for the queues of this program."""

    def _size(self, queue: str) -> int:
        """Return 0. Kombu asks when it declares a queue, and does not use the number."""
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
            # Another Redis may have this address now.
            self.client.connection.disconnect()
            return True
        except _UNREADABLE as exc:
            log.warning("message_dropped", reason=f"not JSON: {str(exc)[:_TOLD]}")
            return True
        _TROUBLE.is_over()
        return found

    def _receive(self) -> Any:
        """Read remote commands; continue without them if Redis does not allow them."""
        try:
            return super()._receive()
        except ResponseError as exc:
            log.warning("remote_commands_unavailable", reason=str(exc)[:_TOLD])
        except _UNREADABLE as exc:
            log.warning("message_dropped", reason=f"not a command: {str(exc)[:_TOLD]}")
        return True

    def _handle_message(self, client: Any, response: Any) -> Any:
        """Keep only what `remote_control.plain_command` reads; raise ValueError for a text that is not JSON."""
        payload = super()._handle_message(client, response)
        if isinstance(payload["data"], bytes | str):
            payload["data"] = json.dumps({"body": json.loads(payload["data"])["body"]})
        return payload

    def _lookup(self, exchange: str, routing_key: str, default: str | None = None) -> list[str]:
        """Return the queue for an answer to a command. Redis has a table for it, but it may name any queue."""
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
    """The Redis transport with a check of each message."""

    Channel = Channel

    def establish_connection(self) -> Any:
        """Connect to Redis. If Redis refuses the first command, wait as if it did not answer."""
        try:
            return super().establish_connection()
        except ResponseError as exc:
            raise ConnectionError(str(exc)) from exc

    def _deliver(self, message: object, queue: str) -> None:
        if remote_control.is_answer(queue):
            # An answer to this process's own command: `celery inspect`.
            super()._deliver(message, queue)
            return
        try:
            made = (
                remote_control.plain_command(message)
                if remote_control.is_command(queue)
                else plain_message(gid_of(message), queue)
            )
        except ValueError as exc:
            log.warning("message_dropped", reason=str(exc))
            return
        super()._deliver(made, queue)


class _Trouble:
    """Logs once when Redis begins to refuse commands and why, and once when it recovers."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._said: object = None

    def begins(self, exc: Exception) -> None:
        # Compare only the first word: the rest may hold changing numbers.
        """Log the refusal, if its reason is new."""
        kind = (type(exc), str(exc).split(" ")[0])
        if kind != self._said:
            log.warning("redis_refuses", reason=str(exc), doing="asks again every second")
        self._since, self._said = self._since or time.monotonic(), kind

    def is_over(self) -> None:
        """Log that Redis answers again, after a refusal."""
        if self._since is not None:
            log.warning("redis_recovered", seconds=round(time.monotonic() - self._since, 1))
            self._since = self._said = None


_TROUBLE = _Trouble()
