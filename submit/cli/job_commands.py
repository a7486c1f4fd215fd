"""What a person wants of jobs that are queued or running."""

from __future__ import annotations

import click

from tvb_batch.models.settings import Settings
from tvb_batch.submit.cli.group import catalogue_of, complete_sweep, main, note, target_of
from tvb_batch.submit.present.formatting import jobs_word, short
from tvb_batch.submit.present.formatting import size as human_size


@main.command()
@click.argument("key", metavar="JOB|SWEEP")
@click.pass_obj
def cancel(settings: Settings, key: str) -> None:
    """Cancel a job, or every job of a sweep: waiting ones at once, running ones at their next chunk.

    \b
    Example:
      tvb-batch cancel jansen_rit
    """
    catalogue = catalogue_of(settings)
    click.echo(f"Canceled {jobs_word(catalogue.cancel(**target_of(catalogue.find(key))))}.")


@main.command()
@click.argument("key", metavar="JOB|SWEEP")
@click.pass_obj
def retry(settings: Settings, key: str) -> None:
    """Queue the failed and canceled jobs again.

    Modules of TVB_BATCH_MODULES that were edited since are taken as they are here now.

    \b
    Example:
      tvb-batch retry jansen_rit
    """
    catalogue = catalogue_of(settings)
    again = catalogue.retry(**target_of(catalogue.find(key)), note=note)
    click.echo(
        f"{jobs_word(again)} wait again; running workers take them within a second, "
        "and so does `tvb-batch run` without a spec."
    )


@main.command()
@click.pass_obj
def requeue(settings: Settings) -> None:
    """Publish waiting jobs whose message was lost. Workers do this by themselves once a second.

    \b
    Example:
      tvb-batch requeue
    """
    from tvb_batch.models.queue import check_broker, make_app, publish

    check_broker(settings)
    catalogue = catalogue_of(settings)
    expired = catalogue.expire(max_attempts=settings.max_attempts)
    sent = publish(catalogue, make_app(settings))
    click.echo(f"Gave back {jobs_word(expired)} of dead workers; published {jobs_word(sent)}.")


@main.command()
@click.argument("sweep", shell_complete=complete_sweep)
@click.pass_obj
def pause(settings: Settings, sweep: str) -> None:
    """Start no more waiting jobs of SWEEP until `resume`; running ones go on to their end.

    \b
    Example:
      tvb-batch pause jansen_rit
    """
    catalogue = catalogue_of(settings)
    found = catalogue.find_sweep(sweep)
    catalogue.pause(found.gid)
    click.echo(f"Paused {found.name} · go on: tvb-batch resume {short(found.gid)}")


@main.command()
@click.argument("sweep", shell_complete=complete_sweep)
@click.pass_obj
def resume(settings: Settings, sweep: str) -> None:
    """Start waiting jobs of a paused SWEEP again.

    \b
    Example:
      tvb-batch resume jansen_rit
    """
    catalogue = catalogue_of(settings)
    found = catalogue.find_sweep(sweep)
    catalogue.resume(found.gid)
    click.echo(f"{found.name} goes on as workers become free.")


@main.command()
@click.argument("sweep", shell_complete=complete_sweep)
@click.argument("value", type=click.IntRange(-1000, 1000))
@click.pass_obj
def priority(settings: Settings, sweep: str, value: int) -> None:
    """Start jobs of sweeps of a higher priority first; 0 is usual, and of equals the one with fewest running jobs.

    \b
    Example:
      tvb-batch priority jansen_rit 10
    """
    catalogue = catalogue_of(settings)
    found = catalogue.find_sweep(sweep)
    catalogue.prioritize(found.gid, value)
    click.echo(f"{found.name} has priority {value}.")


@main.command()
@click.argument("key", metavar="JOB|SWEEP", shell_complete=complete_sweep)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def delete(settings: Settings, key: str, yes: bool) -> None:
    """Remove a job, or a sweep with all its jobs: rows and files. Cancel running ones before.

    Files that another sweep's jobs share stay.

    \b
    Example:
      tvb-batch delete jansen_rit --yes
    """
    from tvb_batch.models.catalogue.tables import Sweep
    from tvb_batch.submit.operate.removal import delete as remove

    catalogue = catalogue_of(settings)
    found = catalogue.find(key)
    words = f"{found.name} and its {jobs_word(found.size)}" if isinstance(found, Sweep) else f"job {short(found.gid)}"
    if not yes:
        click.confirm(f"Remove {words}, with all files?", abort=True)
    files, size = remove(catalogue, settings.storage, found)
    click.echo(f"Removed {words}: {files:,} files, {human_size(size)}.")


@main.command()
@click.option("--dry-run", is_flag=True, help="Say what would be removed.")
@click.pass_obj
def prune(settings: Settings, dry_run: bool) -> None:
    """Remove files that nobody needs: of jobs that are gone, of attempts that failed, inputs that no spec names.

    Jobs may run and sweeps may be submitted meanwhile. Inputs that were submitted in the last hour stay.

    \b
    Example:
      tvb-batch prune --dry-run
    """
    from tvb_batch.submit.operate.removal import prune as remove

    files, size = remove(catalogue_of(settings), settings.storage, dry_run=dry_run)
    click.echo(f"{'Would remove' if dry_run else 'Removed'} {files:,} files, {human_size(size)}.")
