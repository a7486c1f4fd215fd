"""Commands that change jobs: cancel, retry, pause, delete and others."""

from __future__ import annotations

import click

from tvb_batch.models.settings import Settings
from tvb_batch.submit.cli.group import complete_sweep, main, note, open_catalogue, query_target
from tvb_batch.submit.present.formatting import jobs_word, short
from tvb_batch.submit.present.formatting import size as human_size


@main.command()
@click.argument("key", metavar="JOB|SWEEP")
@click.pass_obj
def cancel(settings: Settings, key: str) -> None:
    """Cancel a job or all jobs of a sweep: pending jobs at once, running jobs within about a second.

    \b
    Example:
      tvb-batch cancel jansen_rit
    """
    catalogue = open_catalogue(settings)
    click.echo(f"Canceled {jobs_word(catalogue.cancel(**query_target(catalogue.find(key))))}.")


@main.command()
@click.argument("key", metavar="JOB|SWEEP")
@click.pass_obj
def retry(settings: Settings, key: str) -> None:
    """Queue the failed and canceled jobs again.

    The jobs use the modules of TVB_BATCH_MODULES as they are on this machine now.

    \b
    Example:
      tvb-batch retry jansen_rit
    """
    catalogue = open_catalogue(settings)
    again = catalogue.retry(**query_target(catalogue.find(key)), note=note)
    click.echo(f"{jobs_word(again)} pending again. Workers take them at once; without workers, call `tvb-batch run`.")


@main.command()
@click.pass_obj
def requeue(settings: Settings) -> None:
    """Send the messages of pending jobs again. Workers do this themselves about once a second.

    \b
    Example:
      tvb-batch requeue
    """
    from tvb_batch.models.queue import check_broker, make_app, publish_jobs

    check_broker(settings)
    catalogue = open_catalogue(settings)
    expired = catalogue.expire(max_attempts=settings.max_attempts)
    sent = publish_jobs(catalogue, make_app(settings))
    click.echo(f"Returned {jobs_word(expired)} of dead workers to pending; sent {jobs_word(sent)} to the queue.")


@main.command()
@click.argument("sweep", shell_complete=complete_sweep)
@click.pass_obj
def pause(settings: Settings, sweep: str) -> None:
    """Start no more jobs of SWEEP until `resume`. Running jobs continue.

    \b
    Example:
      tvb-batch pause jansen_rit
    """
    catalogue = open_catalogue(settings)
    found = catalogue.find_sweep(sweep)
    catalogue.pause(found.gid)
    click.echo(f"Paused {found.name} · continue: tvb-batch resume {short(found.gid)}")


@main.command()
@click.argument("sweep", shell_complete=complete_sweep)
@click.pass_obj
def resume(settings: Settings, sweep: str) -> None:
    """Start the pending jobs of a paused SWEEP again.

    \b
    Example:
      tvb-batch resume jansen_rit
    """
    catalogue = open_catalogue(settings)
    found = catalogue.find_sweep(sweep)
    catalogue.resume(found.gid)
    click.echo(f"Resumed {found.name}.")


@main.command()
@click.argument("sweep", shell_complete=complete_sweep)
@click.argument("value", type=click.IntRange(-1000, 1000))
@click.pass_obj
def priority(settings: Settings, sweep: str, value: int) -> None:
    """Set the priority of SWEEP. Jobs of a higher priority start first; the default is 0.

    \b
    Example:
      tvb-batch priority jansen_rit 10
    """
    catalogue = open_catalogue(settings)
    found = catalogue.find_sweep(sweep)
    catalogue.prioritize(found.gid, value)
    click.echo(f"{found.name} has priority {value}.")


@main.command()
@click.argument("key", metavar="JOB|SWEEP", shell_complete=complete_sweep)
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@click.pass_obj
def delete(settings: Settings, key: str, yes: bool) -> None:
    """Delete a job, or a sweep with all its jobs and files. Cancel running jobs first.

    Files that jobs of another sweep share stay.

    \b
    Example:
      tvb-batch delete jansen_rit --yes
    """
    from tvb_batch.models.catalogue.tables import Sweep
    from tvb_batch.submit.operate.removal import delete as remove

    catalogue = open_catalogue(settings)
    found = catalogue.find(key)
    words = f"{found.name} and its {jobs_word(found.size)}" if isinstance(found, Sweep) else f"job {short(found.gid)}"
    if not yes:
        click.confirm(f"Delete {words} with all files?", abort=True)
    files, size = remove(catalogue, settings.storage, found)
    click.echo(f"Deleted {words}: {files:,} files, {human_size(size)}.")


@main.command()
@click.option("--dry-run", is_flag=True, help="Show only what would be removed.")
@click.pass_obj
def prune(settings: Settings, dry_run: bool) -> None:
    """Remove unused files: of deleted jobs, of failed attempts, and inputs that no spec names.

    It is safe while jobs run and sweeps are submitted. Inputs of the last hour stay.

    \b
    Example:
      tvb-batch prune --dry-run
    """
    from tvb_batch.submit.operate.removal import prune as remove

    files, size = remove(open_catalogue(settings), settings.storage, dry_run=dry_run)
    click.echo(f"{'Would remove' if dry_run else 'Removed'} {files:,} files, {human_size(size)}.")
