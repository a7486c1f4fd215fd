"""What a worker takes from Redis: a message that names a job, and nothing else.

Kombu and Celery trust whoever writes to the queue: a text that is no JSON ends the whole worker, and headers may ask
for callbacks, delays and time limits. So every message is looked at before either sees it. What names no job is dropped
with a log line; what does is made anew from the job's gid alone.
"""

import base64
import binascii
import json
from typing import Any
from uuid import UUID, uuid4

import structlog
from kombu import transport
from kombu.transport import redis

from models.queue import RUN_JOB

log = structlog.get_logger()

#: Letters of a refused message that are told.
_TOLD = 80
#: A message of ours has some 700.
_LONGEST_BODY = 4096


def install() -> None:
    """Redis' messages come through here from now on, in this process."""
    for name in ("redis", "rediss", "redis+socket"):
        transport.TRANSPORT_ALIASES[name] = "worker.transport:Transport"


def gid_of(message: object) -> str:
    """The gid of the job that a raw message names.

    Raises
    ------
    ValueError
        It is no message of ours; says why.
    """
    if not isinstance(message, dict) or not isinstance(message.get("headers"), dict):
        raise ValueError("no message of Celery's")
    task = message["headers"].get("task")
    if task != RUN_JOB:
        raise ValueError(f"no task of ours: {str(task)[:_TOLD]!r}")
    try:
        body = message["body"]
        if not isinstance(body, str) or len(body) > _LONGEST_BODY:
            raise ValueError
        (gid,), keywords, _ = json.loads(base64.b64decode(body, validate=True))
        if keywords or not isinstance(gid, str):
            raise ValueError
        return str(UUID(gid))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, binascii.Error):
        raise ValueError("it names no job") from None


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
    """A channel that outlives texts that are no JSON."""

    def _brpop_read(self, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as exc:
            log.warning("message_dropped", reason=f"not JSON: {str(exc)[:_TOLD]}")
            return True


class Transport(redis.Transport):  # type: ignore[misc]
    """Redis, with a look at each message."""

    Channel = Channel

    def _deliver(self, message: object, queue: str) -> None:
        try:
            gid = gid_of(message)
        except ValueError as exc:
            log.warning("message_dropped", reason=str(exc))
            return
        super()._deliver(plain(gid, queue), queue)
