"""Writes docs/cli.md and docs/classes.md from the program itself.

python scripts/make_docs.py            write them
python scripts/make_docs.py --check    exit with 1 if one is stale
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from tvb_batch.models.tvb.components import Attribute, Component, components, roles
from tvb_batch.submit.cli import main as tvb_batch

DOCS = Path(__file__).parent.parent / "docs"


def cli_page() -> str:
    """Return the help of every command."""
    lines = ["# Commands", "", "Made by `scripts/make_docs.py` from `--help`."]
    for path, command in _commands(tvb_batch, ("tvb-batch",)):
        with click.Context(command, info_name=" ".join(path), terminal_width=100) as context:
            lines += ["", f"## {' '.join(path)}", "", "```text", command.get_help(context).rstrip(), "```"]
    return "\n".join(lines) + "\n"


def _commands(group: click.Group, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name, command in sorted(group.commands.items()):
        if isinstance(command, click.Group):
            yield from _commands(command, (*path, name))
        else:
            yield (*path, name), command


def classes_page() -> str:
    """Return the parameters of every class that a spec can name."""
    lines = [
        "# Classes of a spec", "",
        "Made by `scripts/make_docs.py` from what tvb-library declares; `tvb-batch describe CLASS` says more.",
    ]  # fmt: skip
    for role in roles():
        lines += ["", f"## {role.replace('_', ' ').capitalize()}"]
        for component in components(role).values():
            lines += ["", f"### {component.name}", "", *_table(component)]
    return "\n".join(lines) + "\n"


def _table(component: Component) -> Iterator[str]:
    if component.state_variables:
        yield f"State variables: {', '.join(f'`{name}`' for name in component.state_variables)}."
        yield ""
    if not component.attributes:
        yield "No parameters."
        return
    yield "| Parameter | Type | Default | Range or choices |"
    yield "|---|---|---|---|"
    for attribute in component.attributes.values():
        kind = attribute.role or attribute.type
        yield f"| `{attribute.name}` | {kind} | {_default(attribute)} | {_choices(attribute)} |"


def _default(attribute: Attribute) -> str:
    value = attribute.default
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    text = "" if value is None else str(value)
    return f"`{text}`".replace("|", "\\|") if 0 < len(text) <= 60 else "" if not text else "see `describe`"


def _choices(attribute: Attribute) -> str:
    if attribute.domain is not None:
        return f"{attribute.domain[0]:g} to {attribute.domain[1]:g}"
    return ", ".join(f"`{choice}`" for choice in attribute.choices)


def main() -> int:
    """Write or check the pages; return the exit code."""
    pages = {DOCS / "cli.md": cli_page(), DOCS / "classes.md": classes_page()}
    if "--check" not in sys.argv[1:]:
        for path, text in pages.items():
            path.write_text(text)
        return 0
    stale = [path for path, text in pages.items() if not path.is_file() or path.read_text() != text]
    for path in stale:
        print(f"{path}: stale; run python scripts/make_docs.py", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
