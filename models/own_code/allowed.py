"""The modules that the operator allows in TVB_BATCH_MODULES. Specs may use their classes; no others are imported.

`models.settings` sets them. `models.tvb.components` and `models.own_code.sources` read them, and so do the workers.
"""

from collections.abc import Iterable

_allowed: set[str] = set()


def allow(modules: Iterable[str]) -> None:
    """Allow specs to use classes of these modules."""
    _allowed.update(modules)


def allowed() -> list[str]:
    """Return the allowed modules, sorted."""
    return sorted(_allowed)
