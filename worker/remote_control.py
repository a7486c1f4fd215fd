"""Answers questions of Celery's own tools: `celery -A tvb_batch.worker inspect ping` and Flower.

Everybody who can write to Redis can send commands, but must not control a worker. So a worker answers only commands
that change nothing, and refuses all others. It builds each command anew from its name, its receivers and the address
for the answer; the arguments of a command are dropped.
"""

import base64
import json
from typing import Any
from uuid import UUID, uuid4

import structlog
from celery.worker.control import Panel

log = structlog.get_logger()

#: The allowed commands. Not the configuration: it contains addresses, and later settings may be secret.
ANSWERED = frozenset({"ping", "stats", "active", "active_queues", "registered", "reserved", "scheduled", "revoked"})
REFUSED = "refused: Redis users must not control workers; allowed are " + ", ".join(sorted(ANSWERED))

#: Celery's names of the exchanges for commands and answers.
COMMANDS, ANSWERS = "celery.pidbox", "reply.celery.pidbox"
#: An unread answer expires after this time. Seconds.
ANSWER_KEPT = 10

_LONGEST_BODY = 16_384


def install() -> None:
    """Make this process refuse all commands that are not in `ANSWERED`."""
    for name in Panel.data:
        if name not in ANSWERED:
            Panel.data[name] = _refuse
    stats = Panel.data["stats"]

    def stats_without_broker(state: Any) -> Any:
        """Return Celery's statistics without the broker's address, which may hold a password."""
        return {name: value for name, value in stats(state).items() if name != "broker"}

    Panel.data["stats"] = stats_without_broker


def _refuse(_: Any, **__: Any) -> dict[str, str]:
    return {"error": REFUSED}


def is_command(queue: str) -> bool:
    """Return whether commands arrive in this queue."""
    return queue.endswith(f".{COMMANDS}") and not is_answer(queue)


def is_answer(queue: str) -> bool:
    """Return whether answers are sent to this queue."""
    return queue.endswith(f".{ANSWERS}")


def answers_of(asker: str) -> str:
    """Return the queue for answers to the sender of a command."""
    return f"{asker}.{ANSWERS}"


def plain_command(message: object) -> dict[str, Any]:
    """Return a new message with the same command: only its name and gids are kept.

    Raises
    ------
    ValueError
        It is not a command, or Celery does not have it; the message says why.
    """
    try:
        body = message["body"]  # type: ignore[index]
        if not isinstance(body, str) or len(body) > _LONGEST_BODY:
            raise ValueError
        asked = json.loads(base64.b64decode(body, validate=True))
        command: dict[str, Any] = {"method": _name(asked["method"]), "destination": _workers(asked.get("destination"))}
        if asked.get("pattern"):
            raise ValueError
        if asked.get("reply_to"):
            if asked["reply_to"]["exchange"] != ANSWERS:
                raise ValueError
            command["reply_to"] = {"exchange": ANSWERS, "routing_key": str(UUID(asked["reply_to"]["routing_key"]))}
            command["ticket"] = str(UUID(asked["ticket"]))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise ValueError("not a Celery command") from None
    if command["method"] not in ANSWERED:
        log.warning("command_refused", method=command["method"])
    tag = str(uuid4())
    return {
        "body": base64.b64encode(json.dumps(command).encode()).decode(),
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "headers": {},
        "properties": {
            "body_encoding": "base64", "delivery_mode": 1, "delivery_tag": tag, "priority": 0,
            "delivery_info": {"exchange": COMMANDS, "routing_key": ""},
        },
    }  # fmt: skip


def _name(method: object) -> str:
    if not isinstance(method, str) or method not in Panel.data:
        raise ValueError
    return method


def _workers(named: object) -> list[str] | None:
    if named is None:
        return None
    if not isinstance(named, list) or not all(isinstance(one, str) for one in named):
        raise ValueError
    return named
