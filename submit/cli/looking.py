"""What is there, and how it stands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from models.settings import Settings
from models.status import Status
from submit.cli.group import catalogue_of, json_option, main, print_json

if TYPE_CHECKING:
    pass


@main.command("list")
@click.argument("sweep", required=False)
@click.option(
    "--status",
    type=click.Choice([str(status) for status in Status], case_sensitive=False),
    help="Only jobs in this state.",
)
@click.option(
    "--where",
    "-w",
    "conditions",
    multiple=True,
    metavar="FILTER",
    help="Only jobs that fit, such as `coupling.a >= 5 and KuramotoIndex > 0.8`; all of them, if repeated.",
)
@click.option("--sort", default="", metavar="NAMES", help="Such as `-duration` or `coupling.a,-KuramotoIndex`.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="At most so many jobs.")
@json_option
@click.pass_obj
def list_(
    settings: Settings,
    sweep: str | None,
    status: str | None,
    conditions: tuple[str, ...],
    sort: str,
    limit: int,
    as_json: bool,
) -> None:
    """List jobs, newest first: all of them, or those of SWEEP.

    \b
    Example:
      tvb-batch list --status ERROR --where "coupling.a >= 5"
    """
    from models.filters import Filter
    from submit import view

    catalogue = catalogue_of(settings)
    filters: dict[str, Any] = {
        "sweep": catalogue.find_sweep(sweep).gid if sweep else None,
        "status": Status(status.upper()) if status else None,
        "where": Filter.all_of(*conditions),
    }
    jobs = catalogue.jobs(**filters, sort=sort, limit=limit)
    if as_json:
        print_json([view.job_as_dict(job) for job in jobs])
        return
    view.print_jobs(jobs, catalogue.count(**filters))


@main.command()
@json_option
@click.pass_obj
def sweeps(settings: Settings, as_json: bool) -> None:
    """List sweeps, newest first, with how far each one is.

    \b
    Example:
      tvb-batch sweeps --json
    """
    from submit import view

    summaries = catalogue_of(settings).sweeps()
    if as_json:
        print_json([view.sweep_as_dict(summary) for summary in summaries])
        return
    view.print_sweeps(summaries)


@main.command()
@click.argument("key", metavar="JOB|SWEEP")
@json_option
@click.pass_obj
def show(settings: Settings, key: str, as_json: bool) -> None:
    """Show one job or one sweep: parameters, times, files, error.

    \b
    Example:
      tvb-batch show jansen_rit
    """
    from submit import view

    catalogue = catalogue_of(settings)
    found = catalogue.find(key)
    details = view.details(catalogue, found, settings.storage)
    if as_json:
        print_json(details)
        return
    view.print_details(details)
