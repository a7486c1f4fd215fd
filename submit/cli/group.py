"""The command itself, and what its parts share."""

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


#: The commands by what a person wants; `--help` has a heading for each.
SECTIONS: dict[str, tuple[str, ...]] = {
    "Run": ("run", "submit", "watch"),
    "Look": ("list", "sweeps", "show", "stats", "plot", "workers", "serve"),
    "Change": ("cancel", "retry", "pause", "resume", "priority", "delete", "prune", "requeue"),
    "Results": ("bundle", "verify", "convert", "rerun"),
    "Specs": ("new", "describe", "schema"),
}


class _Group(click.Group):
    """A fault with a message for a person is one line on stderr and exit code 2; help goes by headings."""

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
    """What a list of commands has room for; the command's own help has the rest."""
    plain = re.sub(r" \([^)]*\)", "", command.help or "")
    return " ".join(re.split(r"[:;.](?:\s|$)", plain)[0].split())


def _version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        from importlib.metadata import version

        click.echo(f"tvb-batch {version('tvb-batch')}")
        ctx.exit()


@click.group("main", cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--data-dir", type=click.Path(path_type=Path), help="Where results and the catalogue are (TVB_BATCH_DATA_DIR)."
)
@click.option("--version", is_flag=True, callback=_version, expose_value=False, is_eager=True, help="Show the version.")
@click.pass_context
def main(ctx: click.Context, data_dir: Path | None) -> None:
    """Run thousands of The Virtual Brain simulations, and find every result again.

    \b
    tvb-batch new --example sweep > sweep.yaml    write a first spec
    tvb-batch run sweep.yaml                      run a spec here and now, on this machine
    tvb-batch list                                the jobs, newest first
    tvb-batch plot sweep -o sweep.png             what came out of a sweep, as a picture
    tvb-batch bundle sweep -o sweep.zip           a ZIP to upload in the TVB GUI

    Exit codes: 0 done, 1 some jobs failed or a file is not as it should be, 2 a mistake in what was asked.
    """
    # The group's callback runs inside `_Group.invoke`, so a wrong setting is one line too.
    ctx.obj = load_settings(data_dir=data_dir)


def catalogue_of(settings: Settings) -> Catalogue:
    """The catalogue, made or upgraded when it is the SQLite file of the data directory."""
    from tvb_batch.models.catalogue import Catalogue
    from tvb_batch.models.paths import check_writable

    is_sqlite = settings.database.startswith("sqlite")
    if is_sqlite:
        check_writable(settings.storage)
    return Catalogue.open(settings.database, create=is_sqlite)


def load(spec: str, file_format: str | None = None) -> SweepSpec:
    """The sweep of a spec file, its results in the format asked for where one is."""
    from tvb_batch.models.spec.sweep import sweep_spec
    from tvb_batch.submit.intake.spec_file import load

    told: list[str] = []
    sweep = load(spec, told.append)
    if file_format:
        sweep = sweep_spec(sweep.name, sweep.base.with_parameters({"format": file_format}), sweep.plan)
    for warning in (*told, *sweep.warnings()):
        click.echo(f"Warning: {warning}", err=True)
    return sweep


def note(line: str) -> None:
    """Tell the person something beside the results."""
    click.echo(f"Note: {line}", err=True)


def json_option(function: Callable[..., None]) -> Callable[..., None]:
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(function)


def listing_options(function: Callable[..., None]) -> Callable[..., None]:
    """`--json` and `--csv`, as `form`."""
    for form in ("csv", "json"):
        option = click.option(f"--{form}", "form", flag_value=form, help=f"Print {form.upper()}.")
        function = option(function)
    return function


def complete_sweep(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Names of sweeps for the shell; none where there is no catalogue yet."""
    try:
        settings = load_settings(data_dir=ctx.find_root().params.get("data_dir"))
        if settings.database.startswith("sqlite") and not settings.storage.catalogue.exists():
            return []
        names = [summary.sweep.name for summary in catalogue_of(settings).sweeps()]
    except TvbBatchError:
        return []
    return [name for name in dict.fromkeys(names) if name.startswith(incomplete)]


def format_option(function: Callable[..., None]) -> Callable[..., None]:
    words = "Of the results: tvb1 is what TVB 1.4 to 1.5 reads; the spec's by default."
    return click.option("--format", "file_format", type=click.Choice(["tvb2", "tvb1"]), help=words)(function)


def target_of(found: Job | Sweep) -> dict[str, Any]:
    from tvb_batch.models.catalogue.tables import Sweep

    return {"sweep": found.gid} if isinstance(found, Sweep) else {"job": found.gid}


def print_json(value: object) -> None:
    click.echo(json.dumps(value, indent=2, default=str))
