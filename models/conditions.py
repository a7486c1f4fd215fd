"""One comparison of a parameter with a value, as `list --where` takes it: `coupling.a >= 5`."""

import re
from dataclasses import dataclass
from typing import Literal, cast

from models.errors import TvbBatchError

Operator = Literal["=", "!=", "<", "<=", ">", ">="]

_FORM = re.compile(r"\s*([A-Za-z_][\w.\[\]]*)\s*(==|=|!=|<=|<|>=|>)\s*(.+?)\s*")


class ConditionError(TvbBatchError, ValueError):
    """A condition that says nothing."""


@dataclass(frozen=True)
class Condition:
    """`name operator value`; text is compared for equality only."""

    name: str
    operator: Operator
    value: float | str

    @classmethod
    def parse(cls, text: str) -> "Condition":
        """The condition that `text` writes.

        Raises
        ------
        ConditionError
            It writes none.
        """
        match = _FORM.fullmatch(text)
        if match is None:
            raise ConditionError(f"condition {text!r}: expected NAME OPERATOR VALUE, such as `coupling.a >= 5`")
        name, operator, raw = match.groups()
        value = _value(raw)
        operator = "=" if operator == "==" else operator
        if isinstance(value, str) and operator not in ("=", "!="):
            raise ConditionError(f"condition {text!r}: {raw} is no number; expected one after {operator}")
        return cls(name, cast("Operator", operator), value)


def _value(raw: str) -> float | str:
    if len(raw) > 1 and raw[0] == raw[-1] and raw[0] in "'\"":
        return raw[1:-1]
    try:
        return float(raw)
    except ValueError:
        return raw


def as_columns(value: object) -> tuple[float | None, str | None]:
    """A parameter's value as rows hold it: a number or a text.

    An array of one element is its element, as in TVB, where a parameter `a: 5` is an array.
    """
    if isinstance(value, list | tuple) and len(value) == 1:
        value = value[0]
    if isinstance(value, bool):
        return None, str(value).lower()
    if isinstance(value, int | float):
        return float(value), None
    return None, str(value)[:500]
