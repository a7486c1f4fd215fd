"""The command itself, and what its parts share."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from models.errors import TvbBatchError
from models.settings import Settings, load_settings

if TYPE_CHECKING:
    from models.catalogue import Catalogue
    from models.sweep import SweepSpec
    from models.tables import Job, Sweep


class _Group(click.Group):
    """A fault with a message for a person is one line on stderr and exit code 2."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except TvbBatchError as exc:
            click.echo(f"Error: {exc}", err=True)
            ctx.exit(2)


def _version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        from importlib.metadata import version

        click.echo(f"tvb-batch {version('tvb-batch')}")
        ctx.exit()


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--data-dir", type=click.Path(path_type=Path), help="Where results and the catalogue are (TVB_BATCH_DATA_DIR)."
)
@click.option("--version", is_flag=True, callback=_version, expose_value=False, is_eager=True, help="Show the version.")
@click.pass_context
def main(ctx: click.Context, data_dir: Path | None) -> None:
    """Run thousands of The Virtual Brain simulations, and find every result again.

    \b
    tvb-batch run examples/sweep.yaml      run a spec here and now, on this machine
    tvb-batch list                         the jobs, newest first
    tvb-batch bundle SWEEP -o sweep.zip    a ZIP to upload in the TVB GUI
    """
    # The group's callback runs inside `_Group.invoke`, so a wrong setting is one line too.
    ctx.obj = load_settings(data_dir=data_dir)


def catalogue_of(settings: Settings) -> Catalogue:
    """The catalogue, made or upgraded when it is the SQLite file of the data directory."""
    from models.catalogue import Catalogue
    from models.paths import check_writable

    is_sqlite = settings.database.startswith("sqlite")
    if is_sqlite:
        check_writable(settings.storage)
    return Catalogue.open(settings.database, create=is_sqlite)


def load(spec: str, file_format: str | None = None) -> SweepSpec:
    """The sweep of a spec file, its results in the format asked for where one is."""
    from models.sweep import sweep_spec
    from submit.spec_file import load

    sweep = load(spec)
    if file_format:
        sweep = sweep_spec(sweep.name, sweep.base.with_parameters({"format": file_format}), sweep.plan)
    for warning in sweep.warnings():
        click.echo(f"Warning: {warning}", err=True)
    return sweep


def json_option(function: Callable[..., None]) -> Callable[..., None]:
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(function)


def format_option(function: Callable[..., None]) -> Callable[..., None]:
    words = "Of the results: tvb1 is what TVB 1.4 to 1.5 reads; the spec's by default."
    return click.option("--format", "file_format", type=click.Choice(["tvb2", "tvb1"]), help=words)(function)


def target_of(found: Job | Sweep) -> dict[str, Any]:
    from models.tables import Sweep

    return {"sweep": found.gid} if isinstance(found, Sweep) else {"job": found.gid}


def print_json(value: object) -> None:
    click.echo(json.dumps(value, indent=2, default=str))
