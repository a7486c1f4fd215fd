"""Commands for workers, checks, monitoring and the database."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, NoReturn

import click

from tvb_batch.models.errors import SettingsError, TvbBatchError
from tvb_batch.models.settings import Settings
from tvb_batch.submit.cli.group import json_option, main, open_catalogue, print_json

if TYPE_CHECKING:
    pass


@main.command()
@click.option(
    "--concurrency",
    "-c",
    type=click.IntRange(1, 1024),
    default=lambda: os.cpu_count() or 1,
    help="Number of processes. Default: one for each core.",
)
@click.option("--queue", type=click.Choice(["short", "long"]), help="Run only short or only long jobs. Default: both.")
@click.pass_obj
def worker(settings: Settings, concurrency: int, queue: str | None) -> NoReturn:
    """Start a Celery worker that runs until stopped; the same as `celery -A tvb_batch.worker worker`.

    Jobs of more than a million steps are long. A worker with --queue short is not blocked by them.

    \b
    Example:
      TVB_BATCH_BROKER_URL=redis://redis.example:6379/0 tvb-batch worker --concurrency 8
    """
    from tvb_batch.models.paths import check_writable
    from tvb_batch.models.queue import check_broker
    from tvb_batch.submit.operate.local_workers import child_environment, worker_command

    check_writable(settings.storage)
    open_catalogue(settings).dispose()
    check_broker(settings)
    command = worker_command(concurrency, queue)
    os.execve(command[0], command, child_environment(settings))  # noqa: S606 - no shell


@main.command()
@json_option
@click.pass_obj
def doctor(settings: Settings, as_json: bool) -> None:
    """Check storage, database, broker, clocks and workers, and say what to do. Exit code 1 if there is a problem.

    \b
    Example:
      tvb-batch doctor
    """
    from tvb_batch.submit.operate.doctor import examine

    findings = examine(settings)
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            click.echo(f"{'ok     ' if finding.is_fine else 'PROBLEM'} {finding.check}: {finding.found}")
            if finding.advice:
                click.echo(f"        do: {finding.advice}")
    sys.exit(0 if all(finding.is_fine for finding in findings) else 1)


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=9321, show_default=True, help="Port; 0 for any free port."
)
@click.pass_obj
def metrics(settings: Settings, host: str, port: int) -> None:
    """Serve the number of jobs by status, messages and workers for Prometheus. Needs the extra `metrics`.

    \b
    Example:
      tvb-batch metrics --port 9321
    """
    from tvb_batch.models.errors import NotFoundError

    try:
        from prometheus_client import start_http_server

        from tvb_batch.submit.operate.prometheus import registry
    except ModuleNotFoundError as exc:
        raise NotFoundError(f"{exc.name} is not installed: pip install 'tvb-batch[metrics]'") from exc
    try:
        server, thread = start_http_server(port, host, registry(open_catalogue(settings), settings))
    except OSError as exc:
        raise SettingsError(f"{host}:{port}: cannot be used ({exc}); choose another with --host and --port") from exc
    click.echo(f"http://{host}:{server.server_port}/metrics\nPress Ctrl-C to stop.")
    thread.join()


@main.group()
def db() -> None:
    """Manage the database of the catalogue."""


@db.command()
@click.option(
    "--wait", type=click.FloatRange(0), default=0.0, help="Seconds to wait for a database that is still starting."
)
@click.pass_obj
def upgrade(settings: Settings, wait: float) -> None:
    """Create or upgrade the tables of the database. Run it once before you start workers.

    \b
    Example:
      tvb-batch db upgrade
    """
    from tvb_batch.models.catalogue import Catalogue
    from tvb_batch.models.paths import check_writable

    if settings.database.startswith("sqlite"):
        check_writable(settings.storage)
    deadline = time.monotonic() + wait
    while True:
        try:
            Catalogue.open(settings.database, create=True).dispose()
            break
        except TvbBatchError as exc:
            if not exc.retryable or time.monotonic() > deadline:
                raise
            time.sleep(0.5)
    click.echo("The database is up to date.")
