"""The main command, and functions that commands share."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tvb_batch.models.errors import TvbBatchError
from tvb_batch.models.settings import Settings, load_settings

if TYPE_CHECKING:
    from tvb_batch.models.catalogue import Catalogue
    from tvb_batch.models.catalogue.tables import Job, Sweep
    from tvb_batch.models.spec.sweep import SweepSpec


#: The commands by purpose; `--help` has a heading for each.
SECTIONS: dict[str, tuple[str, ...]] = {
    "Run": ("run", "submit", "watch"),
    "Inspect": ("list", "sweeps", "show", "stats", "plot", "workers", "serve"),
    "Change": ("cancel", "retry", "pause", "resume", "priority", "delete", "prune", "requeue"),
    "Results": ("bundle", "verify", "convert", "rerun"),
    "Specs": ("new", "describe", "schema"),
}


class _Group(click.Group):
    """Prints an error as one line on stderr with exit code 2; groups the commands in the help."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        if self.name != "main":
            super().format_commands(ctx, formatter)
            return
        known = {name for names in SECTIONS.values() for name in names}
        sections = {**SECTIONS, "Operate": tuple(name for name in self.list_commands(ctx) if name not in known)}
        width = max(map(len, self.commands))
        for heading, names in sections.items():
            commands = [(name, command) for name in names if (command := self.get_command(ctx, name)) is not None]
            rows = [(name.ljust(width), _first_clause(command)) for name, command in commands]
            if rows:
                with formatter.section(heading):
                    formatter.write_dl(rows)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except TvbBatchError as exc:
            click.echo(f"Error: {exc}", err=True)
            ctx.exit(2)


def _first_clause(command: click.Command) -> str:
    """Return the first clause of a command's help, for the list of commands."""
    plain = re.sub(r" \([^)]*\)", "", command.help or "")
    return " ".join(re.split(r"[:;.](?:\s|$)", plain)[0].split())


def _version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        from importlib.metadata import version

        click.echo(f"tvb-batch {version('tvb-batch')}")
        ctx.exit()


@click.group("main", cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--data-dir", type=click.Path(path_type=Path), help="Directory for results and the catalogue (TVB_BATCH_DATA_DIR)."
)
@click.option("--version", is_flag=True, callback=_version, expose_value=False, is_eager=True, help="Show the version.")
@click.pass_context
def main(ctx: click.Context, data_dir: Path | None) -> None:
    """Run thousands of The Virtual Brain simulations and find every result.

    \b
    tvb-batch new --example sweep > sweep.yaml    write a first spec
    tvb-batch run sweep.yaml                      run a spec on this machine
    tvb-batch list                                list jobs, newest first
    tvb-batch plot sweep -o sweep.png             plot the results of a sweep
    tvb-batch bundle sweep -o sweep.zip           make a ZIP for the TVB GUI

    Exit codes: 0 success, 1 a job failed or a file has a fault, 2 wrong usage or a wrong spec.
    """
    # The group's callback runs inside `_Group.invoke`, so a wrong setting gives one line too.
    ctx.obj = load_settings(data_dir=data_dir)


def open_catalogue(settings: Settings) -> Catalogue:
    """Open the catalogue; create or upgrade it if it is the SQLite file of the data directory."""
    from tvb_batch.models.catalogue import Catalogue
    from tvb_batch.models.paths import check_writable

    is_sqlite = settings.database.startswith("sqlite")
    if is_sqlite:
        check_writable(settings.storage)
    return Catalogue.open(settings.database, create=is_sqlite)


def load_sweep(spec: str, file_format: str | None = None) -> SweepSpec:
    """Load the sweep of a spec file; `file_format` replaces the format of its results."""
    from tvb_batch.models.spec.sweep import sweep_spec
    from tvb_batch.submit.intake.spec_file import load_spec_file

    told: list[str] = []
    sweep = load_spec_file(spec, told.append)
    if file_format:
        sweep = sweep_spec(sweep.name, sweep.base.with_parameters({"format": file_format}), sweep.plan)
    for warning in (*told, *sweep.warnings()):
        click.echo(f"Warning: {warning}", err=True)
    return sweep


def note(line: str) -> None:
    """Print a note on stderr."""
    click.echo(f"Note: {line}", err=True)


def json_option(function: Callable[..., None]) -> Callable[..., None]:
    """Add `--json`, as `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(function)


def listing_options(function: Callable[..., None]) -> Callable[..., None]:
    """Add `--json` and `--csv`, as `form`."""
    for form in ("csv", "json"):
        option = click.option(f"--{form}", "form", flag_value=form, help=f"Print {form.upper()}.")
        function = option(function)
    return function


def complete_sweep(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Return names of sweeps for completion in the shell; none without a catalogue."""
    try:
        settings = load_settings(data_dir=ctx.find_root().params.get("data_dir"))
        if settings.database.startswith("sqlite") and not settings.storage.catalogue.exists():
            return []
        names = [summary.sweep.name for summary in open_catalogue(settings).sweeps()]
    except TvbBatchError:
        return []
    return [name for name in dict.fromkeys(names) if name.startswith(incomplete)]


def format_option(function: Callable[..., None]) -> Callable[..., None]:
    """Add `--format`, as `file_format`."""
    words = "Format of the results; tvb1 is for TVB 1.4 to 1.5. Default: as in the spec."
    return click.option("--format", "file_format", type=click.Choice(["tvb2", "tvb1"]), help=words)(function)


def query_target(found: Job | Sweep) -> dict[str, Any]:
    """Return a sweep or job as keyword of the catalogue's queries."""
    from tvb_batch.models.catalogue.tables import Sweep

    return {"sweep": found.gid} if isinstance(found, Sweep) else {"job": found.gid}


def print_json(value: object) -> None:
    """Print a value as indented JSON."""
    click.echo(json.dumps(value, indent=2, default=str))
