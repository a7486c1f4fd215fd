"""Commands that show statistics, plots and workers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tvb_batch.models.settings import Settings
from tvb_batch.submit.cli.group import complete_sweep, listing_options, main, open_catalogue

if TYPE_CHECKING:
    from tvb_batch.submit.present.listing import Form


@main.command()
@click.argument("sweep", shell_complete=complete_sweep)
@click.option("--by", metavar="PARAMETER", help="Show a metric for each value of this swept parameter.")
@click.option(
    "--metric", metavar="NAME", help="With --by: a metric or `duration`. Default: KuramotoIndex if available."
)
@listing_options
@click.pass_obj
def stats(settings: Settings, sweep: str, by: str | None, metric: str | None, form: Form | None) -> None:
    """Show minimum, mean and maximum of durations and metrics of SWEEP, and the jobs with these values.

    \b
    Example:
      tvb-batch stats sweep --by coupling.a --metric GlobalVariance
    """
    from tvb_batch.submit.present.formatting import counts_text, jobs_word
    from tvb_batch.submit.present.remarks import remarks
    from tvb_batch.submit.present.stats import default_metric, stats_by, sweep_stats

    catalogue = open_catalogue(settings)
    found = catalogue.find_sweep(sweep)
    if by is None:
        listing = sweep_stats(catalogue, found, form or "table")
    else:
        metric = metric or default_metric(catalogue, found.gid)
        listing = stats_by(catalogue, found, by, metric)
    if form is None:
        of = f", {metric}" if by else ""
        click.echo(f"{found.name}: {jobs_word(found.size)}, {counts_text(catalogue.counts(found.gid))}{of}\n")
    listing.print(form or "table")
    if form is None and by is None and (swept := catalogue.jobs(sweep=found.gid, limit=1)[0].parameters):
        click.echo(f"\nmin_at, max_at: {', '.join(swept)}")
    for line in remarks(catalogue, found) if form is None else ():
        click.echo(line, err=True)


@main.command()
@listing_options
@click.pass_obj
def workers(settings: Settings, form: Form | None) -> None:
    """List workers: with a job now or in the last hour, and connected to Redis.

    \b
    Example:
      tvb-batch workers
    """
    from tvb_batch.submit.present.stats import list_workers

    listing, remark = list_workers(open_catalogue(settings), settings)
    if remark:
        click.echo(remark, err=True)
    if form is None and not listing.rows:
        click.echo("No workers. Start one with `tvb-batch worker`, or use `tvb-batch run`.")
        return
    listing.print(form or "table")


@main.command()
@click.argument("key", metavar="JOB|SWEEP", shell_complete=complete_sweep)
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="The picture file: .png, .svg or .pdf.",
)
@click.option("--metric", metavar="NAME", help="For a sweep: the metric to plot, or `duration`.")
@click.option("--over", metavar="NAMES", help="For a sweep: one or two swept parameters. Default: the first ones.")
@click.option("--monitor", type=click.IntRange(0), help="For a job: the number of the monitor. Default: 0, the first.")
@click.option(
    "--transient",
    type=float,
    metavar="MS",
    help="For a job: ms that spectrum and correlation leave out. Default: as for its metrics.",
)
@click.pass_obj
def plot(
    settings: Settings, key: str, output: Path, metric: str | None, over: str | None, monitor: int | None,
    transient: float | None,
) -> None:  # fmt: skip
    """Plot a JOB (time series, spectrum, functional connectivity) or a SWEEP (a metric over the swept parameters).

    \b
    Example:
      tvb-batch plot sweep --metric KuramotoIndex -o sweep.png
    """
    from tvb_batch.models.catalogue.tables import Sweep as SweepRow
    from tvb_batch.submit.api.results import Job, Sweep

    catalogue = open_catalogue(settings)
    found = catalogue.find(key)
    is_sweep = isinstance(found, SweepRow)
    kind = "sweep" if is_sweep else "job"
    others = {"--monitor": monitor, "--transient": transient} if is_sweep else {"--metric": metric, "--over": over}
    for name in (name for name, value in others.items() if value is not None):
        raise click.UsageError(f"{name}: only for a {'job' if is_sweep else 'sweep'}; {key} is a {kind}")
    if isinstance(found, SweepRow):
        Sweep(found, catalogue, settings).plot(metric, over=over.split(",") if over else None, path=output)
    else:
        Job(found, catalogue, settings).plot(monitor or 0, path=output, transient=transient)
    click.echo(output)
