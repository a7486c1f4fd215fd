"""The filter language that finds jobs: `coupling.a >= 5 and status = failed and KuramotoIndex > 0.8`.

The command line, Python and the web pages use the same language. This module parses a filter without executing code;
`models.catalogue.filter_sql` turns the tree into SQL with bound values. A comparison is true or false: if a job does
not have the value, every comparison is false.
"""

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal, cast

from tvb_batch.models.catalogue.status import Status
from tvb_batch.models.errors import TvbBatchError, nearest

Operator = Literal["=", "!=", "<", "<=", ">", ">=", "in"]
Value = int | float | str | bool | datetime

#: Maximum length of a filter, and maximum depth.
MOST_LETTERS, MOST_DEPTH = 2000, 50
#: Larger integers do not fit into a column.
_MOST = 2**63 - 1


class FieldType(StrEnum):
    """The type of a field, which decides what it can be compared with."""

    NUMBER = "number"
    TEXT = "text"
    TIME = "time"
    TRUTH = "truth"
    STATUS = "status"


#: Fields of every job besides parameters and metrics. The start of a gid matches too; a sweep matches by name or gid.
FIELDS: dict[str, FieldType] = {
    "status": FieldType.STATUS, "sweep": FieldType.TEXT, "gid": FieldType.TEXT, "number": FieldType.NUMBER,
    "repeat": FieldType.NUMBER, "seed": FieldType.NUMBER, "attempt": FieldType.NUMBER, "progress": FieldType.NUMBER,
    "duration": FieldType.NUMBER, "created": FieldType.TIME, "started": FieldType.TIME, "finished": FieldType.TIME,
    "worker": FieldType.TEXT, "engine": FieldType.TEXT, "error": FieldType.TEXT, "error_type": FieldType.TEXT,
    "is_nan": FieldType.TRUTH,
}  # fmt: skip


class FilterError(TvbBatchError, ValueError):
    """A filter that cannot be parsed.

    Parameters
    ----------
    text : the filter
    position : the place of the fault in the text, from 0
    fault : what is there, and what was expected
    """

    def __init__(self, text: str, position: int, fault: str) -> None:
        self.text, self.position, self.fault = text, position, fault
        before, after = _one_line(text[max(0, position - 40) : position]), _one_line(text[position : position + 40])
        place = f"at character {position + 1} ({before}▸{after})" if text.strip() else "is empty"
        super().__init__(f"filter {place}: {fault}")


@dataclass(frozen=True)
class Comparison:
    """`name operator value`; `in` has a tuple of values. False for a job without the value."""

    name: str
    operator: Operator
    value: Value | tuple[Value, ...]


@dataclass(frozen=True)
class Missing:
    """`name is nan`: the job has no such number or text."""

    name: str


@dataclass(frozen=True)
class Not:
    """Negation."""

    part: "Node"


@dataclass(frozen=True)
class All:
    """Conjunction (`and`)."""

    parts: tuple["Node", ...]


@dataclass(frozen=True)
class Either:
    """Disjunction (`or`)."""

    parts: tuple["Node", ...]


Node = Comparison | Missing | Not | All | Either


@dataclass(frozen=True)
class Filter:
    """A parsed filter."""

    text: str
    tree: Node

    @classmethod
    def parse(cls, text: str) -> "Filter":
        """Parse a filter or part of it.

        Raises
        ------
        FilterError
            It is not a filter; the message points at the place.
        """
        if len(text) > MOST_LETTERS:
            raise FilterError(text, MOST_LETTERS, f"{len(text)} characters, expected at most {MOST_LETTERS}")
        unusable = _UNUSABLE.search(text)
        if unusable is not None:
            raise FilterError(text, unusable.start(), "a character that a database cannot store")
        return cls(text, _Parser(text).parse())

    @classmethod
    def all_of(cls, *filters: "Filter | str | None") -> "Filter | None":
        """Combine filters with `and`; return None if there is none."""
        found = [cls.parse(item) if isinstance(item, str) else item for item in filters if item is not None]
        if len(found) < 2:
            return found[0] if found else None
        return cls(" and ".join(f"({item.text})" for item in found), All(tuple(item.tree for item in found)))

    @property
    def names(self) -> frozenset[str]:
        """The parameters, metrics and fields that the filter uses."""
        return frozenset(_names(self.tree))


def _names(node: Node) -> Iterator[str]:
    match node:
        case Comparison(name=name) | Missing(name=name):
            yield name
        case Not(part=part):
            yield from _names(part)
        case All(parts=parts) | Either(parts=parts):
            for part in parts:
                yield from _names(part)


def _one_line(text: str) -> str:
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


#: Maximum number of names to sort by: each joins another table.
MOST_KEYS = 16


def sort_keys(text: str) -> list[tuple[str, bool]]:
    """Parse `-duration,coupling.a` into names, each with a flag for descending order.

    Raises
    ------
    FilterError
        It is not a list of names.
    """
    keys = []
    words = text.split(",")
    if len(words) > MOST_KEYS:
        raise FilterError(text, 0, f"{len(words)} names to sort by; expected at most {MOST_KEYS}")
    for word in words:
        name = word.strip().removeprefix("-")
        if not NAME.fullmatch(name):
            raise FilterError(
                text,
                max(0, text.find(word)),
                "expected names to sort by, such as -duration or coupling.a,-KuramotoIndex",
            )
        keys.append((name, word.strip().startswith("-")))
    return keys


# ------------------------------------------------------------------------------------------------------ the parser

#: NUL and lone surrogates.
_UNUSABLE = re.compile("[\0\ud800-\udfff]")
_SPACE = re.compile(r"\s*")
#: The name of a field, a parameter or a metric.
NAME = re.compile(r"[A-Za-z_]\w*(?:\[\d{1,9}\])*(?:\.\w+(?:\[\d{1,9}\])*)*", re.ASCII)
_OPERATOR = re.compile(r"==|!=|<>|<=|>=|=|<|>")
_QUOTED = re.compile(r"'([^']*)'|\"([^\"]*)\"")
#: A value without quotes: a number, a date, a class, a file, a worker.
_BARE = re.compile(r"[\w.+\-/][\w.:+\-/@\[\]]*", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_WHOLE = re.compile(r"[+-]?\d{1,19}", re.ASCII)
_KEYWORDS = {"and", "or", "not", "in", "is"}
_SAME = {"==": "=", "<>": "!="}


class _Parser:
    """Recursive-descent parser for one text."""

    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0
        self._skip_space()

    def parse(self) -> Node:
        node = self._either(0)
        if self.at < len(self.text):
            raise self._fault("expected `and`, `or` or the end")
        return node

    def _either(self, depth: int) -> Node:
        parts = [self._all(depth)]
        while self._word("or"):
            parts.append(self._all(depth))
        return parts[0] if len(parts) == 1 else Either(tuple(parts))

    def _all(self, depth: int) -> Node:
        parts = [self._one(depth)]
        while self._word("and"):
            parts.append(self._one(depth))
        return parts[0] if len(parts) == 1 else All(tuple(parts))

    def _one(self, depth: int) -> Node:
        if depth > MOST_DEPTH:
            raise self._fault("nested too deep")
        if self._word("not"):
            return Not(self._one(depth + 1))
        if self._sign("("):
            node = self._either(depth + 1)
            self._expect(")")
            return node
        return self._comparison()

    def _comparison(self) -> Node:
        start = self.at
        name = self._name()
        if self._word("is"):
            return self._missing(name)
        negated = self._word("not")
        if self._word("in"):
            node = Comparison(name, "in", self._values(name))
            return Not(node) if negated else node
        if negated:
            raise self._fault("expected `in` after `not`")
        operator_at, found = self.at, self._take(_OPERATOR)
        if found is None:
            if FIELDS.get(name) is FieldType.TRUTH:
                return Comparison(name, "=", True)
            self.at = start if self.at == len(self.text) else self.at
            raise self._fault(f"expected an operator (= != < <= > >= in) after {name}")
        operator = cast("Operator", _SAME.get(found[0], found[0]))
        if operator not in ("=", "!=") and FIELDS.get(name) in (FieldType.TEXT, FieldType.TRUTH, FieldType.STATUS):
            raise FilterError(self.text, operator_at, f"{name} has no order; expected = or !=")
        return Comparison(name, operator, self._value(name, operator))

    def _missing(self, name: str) -> Node:
        negated = self._word("not")
        if not (self._word("nan") or self._word("none")):
            raise self._fault("expected `nan` or `not nan` after `is`")
        return Not(Missing(name)) if negated else Missing(name)

    def _name(self) -> str:
        found = NAME.match(self.text, self.at)
        if found is None or found[0].lower() in _KEYWORDS:
            raise self._fault("expected a name, as in `coupling.a >= 5`")
        self.at = found.end()
        self._skip_space()
        return found[0]

    def _values(self, name: str) -> tuple[Value, ...]:
        self._expect("(")
        values = [self._value(name, "in")]
        while self._sign(","):
            values.append(self._value(name, "in"))
        self._expect(")")
        return tuple(values)

    def _value(self, name: str, operator: Operator) -> Value:
        start = self.at
        quoted = self._take(_QUOTED)
        bare = None if quoted else self._take(_BARE)
        if quoted is None and (bare is None or bare[0].lower() in _KEYWORDS):
            self.at = start
            raise self._fault(f"expected a value after {operator}: a number, a word, or a text in quotes")
        text = bare[0] if bare else quoted[1] if quoted and quoted[1] is not None else quoted[2] if quoted else ""
        try:
            return _READERS[FIELDS[name]](text) if name in FIELDS else _free(text, bare is not None, operator)
        except ValueError as exc:
            raise FilterError(self.text, start, f"{name}: {exc}") from None

    # ------------------------------------------------------------------------------------------------- letters

    def _take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        found = pattern.match(self.text, self.at)
        if found is not None:
            self.at = found.end()
            self._skip_space()
        return found

    def _word(self, word: str) -> bool:
        found = NAME.match(self.text, self.at)
        if found is None or found[0].lower() != word:
            return False
        self._take(NAME)
        return True

    def _sign(self, sign: str) -> bool:
        found = self.text.startswith(sign, self.at)
        if found:
            self.at += 1
            self._skip_space()
        return found

    def _expect(self, sign: str) -> None:
        if not self._sign(sign):
            raise self._fault(f"expected `{sign}`")

    def _skip_space(self) -> None:
        space = _SPACE.match(self.text, self.at)
        self.at = space.end() if space else self.at

    def _fault(self, expected: str) -> FilterError:
        rest = self.text[self.at :]
        word = _BARE.match(rest)
        found = f"found {_one_line(word[0][:40] if word else rest[:1])!r}" if rest else "the filter ends here"
        return FilterError(self.text, self.at, f"{found}; {expected}")


# -------------------------------------------------------------------------------------------------------- values


def _number(text: str) -> int | float:
    if _WHOLE.fullmatch(text) and abs(int(text)) <= _MOST:
        return int(text)
    if _NUMBER.fullmatch(text) and math.isfinite(float(text)):
        return float(text)
    raise ValueError(f"{_one_line(text[:40])!r} is not a number")


def _time(text: str) -> datetime:
    try:
        # A time without a zone is in the user's time zone.
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError, OSError):
        raise ValueError(f"{_one_line(text[:40])!r} is not a time; expected for example 2026-01-31T12:00") from None


def _truth(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError(f"{_one_line(text[:40])!r}; expected true or false")
    return text.lower() == "true"


def _status(text: str) -> str:
    try:
        return Status.parse(text)
    except ValueError:
        words = [status.word for status in Status]
        hint = nearest(text, [*words, *map(str, Status)]) or f"expected one of {', '.join(words)}"
        raise ValueError(f"{_one_line(text[:40])!r} is not a status; {hint}") from None


_READERS: dict[FieldType, Callable[[str], Value]] = {
    FieldType.NUMBER: _number, FieldType.TEXT: str, FieldType.TIME: _time, FieldType.TRUTH: _truth,
    FieldType.STATUS: _status,
}  # fmt: skip


def _free(text: str, is_bare: bool, operator: Operator) -> Value:
    """Return the value of a parameter or metric: a number if written as one without quotes."""
    if is_bare and _NUMBER.fullmatch(text):
        return float(_number(text))
    if operator not in ("=", "!=", "in"):
        raise ValueError(f"{_one_line(text[:40])!r} is not a number")
    return text
