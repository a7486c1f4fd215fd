"""Titles with parameters of a job: `a = {coupling.a}`. Braces can contain only a name."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from tvb_batch.models.errors import SpecError, did_you_mean

_NAME = re.compile(r"\{([^{}]*)\}")


def check_title(title: str, names: Iterable[str]) -> None:
    """Check that every name in braces is one of the names.

    Raises
    ------
    SpecError
        One is not.
    """
    known = list(names)
    for name in _NAME.findall(title):
        if name not in known:
            raise SpecError("title", f"{{{name}}}", "a parameter's name in the braces", did_you_mean(name, known))


def fill(title: str, parameters: Mapping[str, Any]) -> str:
    """Return the title with values in place of names."""
    return _NAME.sub(lambda match: _text(parameters[match[1]]), title)


def _text(value: Any) -> str:
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    return f"{value:g}" if isinstance(value, float) else str(value)
