"""Small HTML tables for notebooks; every text is escaped."""

import html
from collections.abc import Mapping


def as_table(title: str, values: Mapping[str, str]) -> str:
    """Return a table with a caption and a row for each non-empty value."""
    rows = "".join(
        f"<tr><th style='text-align:left'>{html.escape(name)}</th>"
        f"<td style='text-align:left'>{html.escape(value)}</td></tr>"
        for name, value in values.items()
        if value
    )
    return f"<table><caption style='text-align:left'><b>{html.escape(title)}</b></caption>{rows}</table>"
