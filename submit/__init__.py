"""The client: `from submit import submit` in a script, `tvb-batch` in a terminal."""

from typing import Any

__all__ = ["find", "submit"]


def __getattr__(name: str) -> Any:
    # Only who asks for them pays for what they import.
    if name in __all__:
        from submit import script

        return getattr(script, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
