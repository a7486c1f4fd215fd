"""Commands that run, submit and watch sweeps."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from tvb_batch.models.catalogue.status import Status
from tvb_batch.models.settings import Settings
from tvb_batch.submit.cli.group import complete_sweep, format_option, load_sweep, main, note, open_catalogue

if TYPE_CHECKING:
    from tvb_batch.models.catalogue import Catalogue
    from tvb_batch.models.catalogue.tables import Sweep
    from tvb_batch.models.spec.sweep import SweepSpec
    from tvb_batch.models.worker_protocol import Estimate


@main.command()
@click.argument("spec", required=False)
@click.option("--no-reuse", is_flag=True, help="Run finished simulations again.")
@format_option
@click.option(
    "--workers",
    "-w",
    type=click.IntRange(1, 1024),
    default=lambda: os.cpu_count() or 1,
    help="Number of worker processes. Default: one for each core.",
)
@click.pass_obj
def run(settings: Settings, spec: str | None, workers: int, no_reuse: bool, file_format: str | None) -> None:
    """Run SPEC on this machine with a private Redis and worker processes, and show the progress.

    Without SPEC, run the pending jobs in the data directory.

    \b
    Example:
      tvb-batch run sweep.yaml --workers 2
    """
    from tvb_batch.models.paths import check_writable
    from tvb_batch.models.queue import make_app
    from tvb_batch.submit.intake.enqueue import enqueue
    from tvb_batch.submit.operate.local_workers import KilledError, local_workers
    from tvb_batch.submit.present import live, serialize

    if file_format and not spec:
        raise click.UsageError("--format: pending jobs have a format already; give a SPEC")
    sweep_spec = load_sweep(spec, file_format) if spec else None
    check_writable(settings.storage)
    catalogue = open_catalogue(settings)
    total = sweep_spec.size if sweep_spec else catalogue.startable()
    if not total:
        click.echo("No pending jobs.")
        return
    # A closed terminal and a signal of a batch system count as Ctrl-C: running jobs return to the queue.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with local_workers(settings, min(workers, total)) as local:
            sweep = None
            with _saying_that_it_stops():
                if sweep_spec:
                    app = make_app(local.settings)
                    sweep = enqueue(catalogue, app, sweep_spec, settings.storage, reuse=not no_reuse, note=note)
                _say_waiting(catalogue, sweep)
                seen = live.follow(catalogue, sweep, on_tick=local.check)
    except KilledError:
        click.echo(
            "\nStopped at once. `tvb-batch run` continues; running jobs start again when their leases have expired, "
            f"in {settings.lease:g} s.",
            err=True,
        )
        sys.exit(1)
    except KeyboardInterrupt:
        click.echo("\nStopped. Running jobs are pending again; `tvb-batch run` continues them.", err=True)
        sys.exit(1)
    serialize.print_end(catalogue, sweep, seen.counts, settings.storage, seen.all)
    sys.exit(1 if seen.counts[Status.ERROR] else 0)


@contextmanager
def _saying_that_it_stops() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        click.echo("\nStopping: running jobs save their state within 30 s. Ctrl-C again stops them at once.", err=True)
        raise


def _say_waiting(catalogue: Catalogue, sweep: Sweep | None) -> None:
    if sweep is None:
        return
    others = catalogue.count(status=Status.PENDING) - catalogue.count(status=Status.PENDING, sweep=sweep.gid)
    if others:
        click.echo(f"{others} jobs of earlier sweeps are pending too; they run when workers are free.", err=True)


@main.command()
@click.argument("spec")
@click.option("--dry-run", is_flag=True, help="Only check the spec and show its jobs.")
@click.option(
    "--check",
    is_flag=True,
    help="As --dry-run; also build the first simulation and estimate time, memory and disk space.",
)
@click.option(
    "--dump-kernel",
    is_flag=True,
    help="Print the graph and the source that the compiled engine makes of the first simulation.",
)
@click.option("--no-reuse", is_flag=True, help="Run finished simulations again.")
@click.option(
    "--priority",
    type=click.IntRange(-1000, 1000),
    default=0,
    show_default=True,
    help="Jobs of a higher priority start first.",
)
@format_option
@click.pass_obj
def submit(
    settings: Settings,
    spec: str,
    dry_run: bool,
    check: bool,
    dump_kernel: bool,
    no_reuse: bool,
    priority: int,
    file_format: str | None,
) -> None:
    """Queue SPEC (a YAML, TOML or JSON file, or - for standard input) for running workers.

    \b
    Example:
      tvb-batch submit sweep.yaml --dry-run
    """
    from tvb_batch.models.queue import check_broker, make_app
    from tvb_batch.submit.intake.enqueue import enqueue
    from tvb_batch.submit.present import serialize

    sweep_spec = load_sweep(spec, file_format)
    if dump_kernel:
        click.echo(_kernel(settings, sweep_spec), nl=False)
        return
    if dry_run or check:
        click.echo(serialize.describe_spec(sweep_spec))
        if check:
            click.echo(serialize.describe_estimate(_estimate(settings, sweep_spec), sweep_spec.size))
        return
    check_broker(settings)
    sweep = enqueue(
        open_catalogue(settings), make_app(settings), sweep_spec, settings.storage, reuse=not no_reuse,
        priority=priority, note=note,
    )  # fmt: skip
    click.echo(
        f"Submitted {serialize.jobs_word(sweep_spec.size)} as {serialize.short(sweep.gid)} · "
        f"follow: tvb-batch watch {serialize.short(sweep.gid)}"
    )


def _estimate(settings: Settings, sweep_spec: SweepSpec) -> Estimate:
    from tvb_batch.models.worker_protocol import Estimate, EstimateCost
    from tvb_batch.submit.operate.processes import run_worker

    first = sweep_spec.simulation(next(sweep_spec.points()))
    return Estimate.from_json(run_worker(settings, EstimateCost(first.canonical())))


def _kernel(settings: Settings, sweep_spec: SweepSpec) -> str:
    from tvb_batch.models.worker_protocol import DumpKernel
    from tvb_batch.submit.operate.processes import run_worker

    first = sweep_spec.simulation(next(sweep_spec.points()))
    return run_worker(settings, DumpKernel(first.canonical()))


@main.command()
@click.argument("sweep", required=False, shell_complete=complete_sweep)
@click.pass_obj
def watch(settings: Settings, sweep: str | None) -> None:
    """Show the progress of SWEEP (a name, or the first characters of a gid) until its last job ends.

    Without SWEEP, show all unfinished sweeps. Ctrl-C ends this command, not the jobs.

    \b
    Example:
      tvb-batch watch jansen_rit
    """
    from tvb_batch.submit.present import live, serialize

    catalogue = open_catalogue(settings)
    found = catalogue.find_sweep(sweep) if sweep else None
    try:
        seen = live.follow(catalogue, found)
    except KeyboardInterrupt:
        again = f"tvb-batch watch {serialize.short(found.gid)}" if found else "tvb-batch watch"
        click.echo(f"\nStopped watching; the jobs continue. To watch again: {again}", err=True)
        sys.exit(1)
    serialize.print_end(catalogue, found, seen.counts, settings.storage, seen.all)
    sys.exit(1 if seen.counts[Status.ERROR] else 0)
