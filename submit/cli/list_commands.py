"""Commands that list and show jobs and sweeps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tvb_batch.models.catalogue.status import Status
from tvb_batch.models.settings import Settings
from tvb_batch.submit.cli.group import complete_sweep, json_option, listing_options, main, open_catalogue, print_json

if TYPE_CHECKING:
    from tvb_batch.submit.present.listing import Form

#: The advice in an empty list.
FIRST_RUN = "tvb-batch new --example sweep > sweep.yaml, then tvb-batch run sweep.yaml"


class StatusChoice(click.Choice[str]):
    """A status, by its word (`failed`) or by TVB's name (`ERROR`)."""

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> Status:
        """Return the status that the user named."""
        try:
            return Status.parse(value)
        except ValueError as exc:
            self.fail(str(exc), param, ctx)


@main.command("list")
@click.argument("sweep", required=False, shell_complete=complete_sweep)
@click.option(
    "--status",
    type=StatusChoice([status.word for status in Status], case_sensitive=False),
    help="Only jobs with this status.",
)
@click.option(
    "--where",
    "-w",
    "conditions",
    multiple=True,
    metavar="FILTER",
    help="Only jobs that match, such as `coupling.a >= 5 and KuramotoIndex > 0.8`. May be repeated: all must match.",
)
@click.option(
    "--sort", default="", metavar="NAMES", help="Sort by these, such as `-duration` or `coupling.a,-KuramotoIndex`."
)
@click.option(
    "--columns", default="", metavar="NAMES", help="Show these, such as `gid,status,coupling.a,KuramotoIndex`."
)
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="Maximum number of jobs to list.")
@listing_options
@click.pass_obj
def list_(
    settings: Settings,
    sweep: str | None,
    status: Status | None,
    conditions: tuple[str, ...],
    sort: str,
    columns: str,
    limit: int,
    form: Form | None,
) -> None:
    """List jobs, newest first: all jobs, or those of SWEEP.

    --where, --sort and --columns take parameters, metrics and fields such as status, duration, worker and is_nan.

    \b
    Example:
      tvb-batch list --where "coupling.a >= 5 and status = failed" --sort -duration --columns gid,coupling.a,error
    """
    from tvb_batch.models.catalogue.filter_language import Filter, sort_keys
    from tvb_batch.submit.present.listing import list_jobs, missing_lines, waiting_lines
    from tvb_batch.submit.present.remarks import lacking_lines

    catalogue = open_catalogue(settings)
    wanted, shown = Filter.all_of(*conditions), [name for name, _ in sort_keys(columns)] if columns else []
    filters: dict[str, Any] = {
        "sweep": catalogue.find_sweep(sweep).gid if sweep else None,
        "status": status,
        "where": wanted,
    }
    jobs = catalogue.jobs(**filters, sort=sort, limit=limit)
    names = {*(wanted.names if wanted else ()), *shown, *(name for name, _ in (sort_keys(sort) if sort else []))}
    for name in catalogue.unknown(names - {"parameters"}):
        why = f": {reason}" if (reason := catalogue.why_missing(name)) else ""
        click.echo(f"Warning: no job has a parameter, metric or field {name!r}{why}", err=True)
    if filters["sweep"] and wanted:
        # A result without the metric matches no comparison with it.
        lacking = [one for one in catalogue.lacking(filters["sweep"]) if one.name in wanted.names]
        for line in lacking_lines(lacking):
            click.echo(line, err=True)
    if form is None and not jobs:
        click.echo("No jobs match." if any(filters.values()) else f"No jobs yet: {FIRST_RUN}")
        return
    list_jobs(catalogue, jobs, shown, form or "table").print(form or "table")
    for line in missing_lines(catalogue, jobs, [name for name in shown if not (wanted and name in wanted.names)]):
        click.echo(line, err=True)
    for line in waiting_lines(jobs):
        click.echo(line, err=True)
    if len(jobs) == limit and (total := catalogue.count(**filters)) > limit:
        click.echo(f"{limit:,} of {total:,} jobs; --limit shows more.", err=True)


@main.command()
@listing_options
@click.pass_obj
def sweeps(settings: Settings, form: Form | None) -> None:
    """List sweeps and their progress, newest first.

    \b
    Example:
      tvb-batch sweeps --json
    """
    from tvb_batch.submit.present.listing import list_sweeps

    summaries = open_catalogue(settings).sweeps()
    if form is None and not summaries:
        click.echo(f"No sweeps yet: {FIRST_RUN}")
        return
    list_sweeps(summaries, form or "table").print(form or "table")


@main.command()
@click.argument("key", metavar="JOB|SWEEP", shell_complete=complete_sweep)
@json_option
@click.pass_obj
def show(settings: Settings, key: str, as_json: bool) -> None:
    """Show one job or one sweep: swept parameters, times, metrics, files, the error and next commands.

    \b
    Example:
      tvb-batch show jansen_rit
    """
    from tvb_batch.models.catalogue.tables import Sweep
    from tvb_batch.submit.present.details import print_job, print_sweep
    from tvb_batch.submit.present.serialize import details

    catalogue = open_catalogue(settings)
    found = catalogue.find(key)
    if as_json:
        print_json(details(catalogue, found, settings.storage))
    elif isinstance(found, Sweep):
        print_sweep(catalogue, found)
    else:
        print_job(catalogue, found, settings.storage)
