"""What a person wants of jobs that are queued or running."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from models.settings import Settings
from submit.cli.group import catalogue_of, main, target_of

if TYPE_CHECKING:
    pass


@main.command()
@click.argument("key", metavar="JOB|SWEEP")
@click.pass_obj
def cancel(settings: Settings, key: str) -> None:
    """Cancel a job, or every job of a sweep: waiting ones at once, running ones at their next chunk.

    \b
    Example:
      tvb-batch cancel jansen_rit
    """
    from submit import view

    catalogue = catalogue_of(settings)
    click.echo(f"Canceled {view.jobs_word(catalogue.cancel(**target_of(catalogue.find(key))))}.")


@main.command()
@click.argument("key", metavar="JOB|SWEEP")
@click.pass_obj
def retry(settings: Settings, key: str) -> None:
    """Queue the failed and canceled jobs again.

    \b
    Example:
      tvb-batch retry jansen_rit
    """
    from submit import view

    catalogue = catalogue_of(settings)
    again = catalogue.retry(**target_of(catalogue.find(key)))
    click.echo(
        f"{view.jobs_word(again)} wait again; running workers take them within a second, "
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
    from models.queue import check_broker, make_app, publish
    from submit import view

    check_broker(settings)
    catalogue = catalogue_of(settings)
    expired = catalogue.expire(max_attempts=settings.max_attempts)
    sent = publish(catalogue, make_app(settings))
    click.echo(f"Gave back {view.jobs_word(expired)} of dead workers; published {view.jobs_word(sent)}.")
