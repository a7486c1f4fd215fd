"""`tvb-batch`: parse, call, print. Every command body is one call of a Python twin and one print.

Nothing here imports TVB, and each command imports what it needs itself: `--help` answers at once.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from models.errors import TvbBatchError
from models.settings import Settings, load_settings
from models.status import Status

if TYPE_CHECKING:
    from uuid import UUID

    from models.catalogue import Catalogue
    from models.sweep import SweepSpec
    from models.tables import Job, Sweep
    from submit.bundle import Kind


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


def _catalogue(settings: Settings) -> Catalogue:
    """The catalogue, made or upgraded when it is the SQLite file of the data directory."""
    from models.catalogue import Catalogue
    from models.paths import check_writable

    is_sqlite = settings.database.startswith("sqlite")
    if is_sqlite:
        check_writable(settings.storage)
    return Catalogue.open(settings.database, create=is_sqlite)


def _load(spec: str) -> SweepSpec:
    from submit.spec_file import load

    sweep = load(spec)
    for warning in sweep.warnings():
        click.echo(f"Warning: {warning}", err=True)
    return sweep


# ------------------------------------------------------------------------------------------------ run and submit


@main.command()
@click.argument("spec", required=False)
@click.option("--no-reuse", is_flag=True, help="Run again what has finished before.")
@click.option(
    "--workers",
    "-w",
    type=click.IntRange(1, 1024),
    default=lambda: os.cpu_count() or 1,
    help="Worker processes; all cores by default.",
)
@click.pass_obj
def run(settings: Settings, spec: str | None, workers: int, no_reuse: bool) -> None:
    """Run SPEC here and now: a private Redis, worker processes, and this command watching.

    Without SPEC, finish what is still waiting in the data directory.

    \b
    Example:
      tvb-batch run examples/jansen_rit.yaml --workers 2
    """
    from models.paths import check_writable
    from models.queue import make_app
    from submit import view
    from submit.enqueue import enqueue
    from submit.local import local_workers

    sweep_spec = _load(spec) if spec else None
    check_writable(settings.storage)
    catalogue = _catalogue(settings)
    total = sweep_spec.size if sweep_spec else catalogue.count(status=Status.PENDING)
    if not total:
        click.echo("Nothing is waiting.")
        return
    # A closed terminal or a batch system's end is a Ctrl-C too: running jobs are given back.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with local_workers(settings, min(workers, total)) as local:
            sweep = None
            if sweep_spec:
                app = make_app(local.settings)
                sweep = enqueue(catalogue, app, sweep_spec, settings.storage, reuse=not no_reuse)
            _say_waiting(catalogue, sweep)
            counts = view.watch(catalogue, sweep, on_tick=local.check)
    except KeyboardInterrupt:
        click.echo("\nStopped. Running jobs were given back; `tvb-batch run` goes on with what is waiting.", err=True)
        sys.exit(1)
    view.print_end(catalogue, sweep, counts, settings.storage)
    sys.exit(1 if counts[Status.ERROR] else 0)


def _say_waiting(catalogue: Catalogue, sweep: Sweep | None) -> None:
    if sweep is None:
        return
    others = catalogue.count(status=Status.PENDING) - catalogue.count(status=Status.PENDING, sweep=sweep.gid)
    if others:
        click.echo(f"{others} jobs of earlier sweeps are waiting too; they run as workers become free.", err=True)


@main.command()
@click.argument("spec")
@click.option("--dry-run", is_flag=True, help="Check the spec and say what would be queued.")
@click.option("--check", is_flag=True, help="Also build the first simulation, and estimate time, memory and disk.")
@click.option("--no-reuse", is_flag=True, help="Run again what has finished before.")
@click.pass_obj
def submit(settings: Settings, spec: str, dry_run: bool, check: bool, no_reuse: bool) -> None:
    """Queue SPEC (a YAML, TOML or JSON file, or - for standard input) for workers that run elsewhere.

    \b
    Example:
      tvb-batch submit examples/sweep.yaml --dry-run
    """
    from models.queue import check_broker, make_app
    from submit import view
    from submit.enqueue import enqueue

    sweep_spec = _load(spec)
    if dry_run or check:
        click.echo(view.describe_spec(sweep_spec))
        if check:
            click.echo(view.describe_estimate(_estimate(settings, sweep_spec), sweep_spec.size))
        return
    check_broker(settings)
    sweep = enqueue(_catalogue(settings), make_app(settings), sweep_spec, settings.storage, reuse=not no_reuse)
    click.echo(
        f"Submitted {view.jobs_word(sweep_spec.size)} as {view.short(sweep.gid)} · "
        f"follow: tvb-batch watch {view.short(sweep.gid)}"
    )


def _estimate(settings: Settings, sweep_spec: SweepSpec) -> dict[str, Any]:
    from submit.processes import run_worker_module

    first = sweep_spec.simulation(next(sweep_spec.points()))
    found: dict[str, Any] = json.loads(
        run_worker_module(settings, "check", text=json.dumps({"spec": first.canonical()}))
    )
    return found


@main.command()
@click.argument("sweep")
@click.pass_obj
def watch(settings: Settings, sweep: str) -> None:
    """Follow SWEEP (a gid, the beginning of one, or a name) until its last job has ended.

    \b
    Example:
      tvb-batch watch jansen_rit
    """
    from submit import view

    catalogue = _catalogue(settings)
    found = catalogue.find_sweep(sweep)
    try:
        counts = view.watch(catalogue, found)
    except KeyboardInterrupt:
        click.echo("\nNo longer watching; the jobs go on.", err=True)
        sys.exit(1)
    view.print_end(catalogue, found, counts, settings.storage)
    sys.exit(1 if counts[Status.ERROR] else 0)


# ------------------------------------------------------------------------------------------------------- looking


def _json_option(function: Callable[..., None]) -> Callable[..., None]:
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(function)


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
    metavar="CONDITION",
    help="Only jobs whose parameter fits: `coupling.a >= 5`. May be repeated.",
)
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="At most so many jobs.")
@_json_option
@click.pass_obj
def list_(
    settings: Settings, sweep: str | None, status: str | None, conditions: tuple[str, ...], limit: int, as_json: bool
) -> None:
    """List jobs, newest first: all of them, or those of SWEEP.

    \b
    Example:
      tvb-batch list --status ERROR --where "coupling.a >= 5"
    """
    from models.conditions import Condition
    from submit import view

    catalogue = _catalogue(settings)
    filters: dict[str, Any] = {
        "sweep": catalogue.find_sweep(sweep).gid if sweep else None,
        "status": Status(status.upper()) if status else None,
        "where": [Condition.parse(condition) for condition in conditions],
    }
    jobs = catalogue.jobs(**filters, limit=limit)
    if as_json:
        _print_json([view.job_as_dict(job) for job in jobs])
        return
    view.print_jobs(jobs, catalogue.count(**filters))


@main.command()
@_json_option
@click.pass_obj
def sweeps(settings: Settings, as_json: bool) -> None:
    """List sweeps, newest first, with how far each one is.

    \b
    Example:
      tvb-batch sweeps --json
    """
    from submit import view

    summaries = _catalogue(settings).sweeps()
    if as_json:
        _print_json([view.sweep_as_dict(summary) for summary in summaries])
        return
    view.print_sweeps(summaries)


@main.command()
@click.argument("key", metavar="JOB|SWEEP")
@_json_option
@click.pass_obj
def show(settings: Settings, key: str, as_json: bool) -> None:
    """Show one job or one sweep: parameters, times, files, error.

    \b
    Example:
      tvb-batch show jansen_rit
    """
    from submit import view

    catalogue = _catalogue(settings)
    found = catalogue.find(key)
    details = view.details(catalogue, found, settings.storage)
    if as_json:
        _print_json(details)
        return
    view.print_details(details)


# -------------------------------------------------------------------------------------------------------- control


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

    catalogue = _catalogue(settings)
    click.echo(f"Canceled {view.jobs_word(catalogue.cancel(**_target(catalogue.find(key))))}.")


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

    catalogue = _catalogue(settings)
    again = catalogue.retry(**_target(catalogue.find(key)))
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
    catalogue = _catalogue(settings)
    expired = catalogue.expire(max_attempts=settings.max_attempts)
    sent = publish(catalogue, make_app(settings))
    click.echo(f"Gave back {view.jobs_word(expired)} of dead workers; published {view.jobs_word(sent)}.")


def _target(found: Job | Sweep) -> dict[str, Any]:
    from models.tables import Sweep

    return {"sweep": found.gid} if isinstance(found, Sweep) else {"job": found.gid}


# --------------------------------------------------------------------------------------- bundle, worker, rerun


@main.command()
@click.argument("keys", metavar="JOB|SWEEP...", nargs=-1, required=True)
@click.option(
    "--output", "-o", type=click.Path(path_type=Path, dir_okay=False), help="The ZIP; in the data directory by default."
)
@click.option(
    "--as", "kind", type=click.Choice(["data", "simulations", "pse"]), default="data", show_default=True,
    help="Time series alone; with their simulations in the history; as a parameter space exploration.",
)  # fmt: skip
@click.pass_obj
def bundle(settings: Settings, keys: tuple[str, ...], output: Path | None, kind: Kind) -> None:
    """Make a ZIP of finished results and all they refer to, to upload in the TVB GUI.

    Runs where the data directory is mounted.

    \b
    Example:
      tvb-batch bundle jansen_rit --as simulations -o jansen_rit.zip
    """
    from submit.bundle import make_bundle

    catalogue = _catalogue(settings)
    found = [catalogue.find(key) for key in keys]
    target = (output or settings.storage.bundle("-".join(keys))).absolute()
    make_bundle(catalogue, found, settings, target, kind)
    click.echo(f"{target}\nIn the TVB GUI: Project, Data Structure, Upload data, TVB HDF5 / ZIP; give it this file.")


@main.command()
@click.option(
    "--concurrency",
    "-c",
    type=click.IntRange(1, 1024),
    default=lambda: os.cpu_count() or 1,
    help="Simulations at once; all cores by default.",
)
@click.pass_obj
def worker(settings: Settings, concurrency: int) -> NoReturn:
    """Start a Celery worker here, for as long as it is wanted; the same as `celery -A worker worker`.

    \b
    Example:
      TVB_BATCH_BROKER_URL=redis://redis.example:6379/0 tvb-batch worker --concurrency 8
    """
    from models.paths import check_writable
    from models.queue import check_broker
    from submit.local import child_environment, worker_command

    check_writable(settings.storage)
    _catalogue(settings).dispose()
    check_broker(settings)
    command = worker_command(concurrency)
    os.execve(command[0], command, child_environment(settings))  # noqa: S606 - no shell


@main.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path, dir_okay=False))
@click.pass_obj
def verify(settings: Settings, files: tuple[Path, ...]) -> None:
    """Check H5 files and ZIPs against what the TVB GUI asks of them; each fault is named by file and key.

    Exit code 1 when there is a fault.

    \b
    Example:
      tvb-batch verify sweep.zip
    """
    from submit.processes import run_worker_module

    found = run_worker_module(settings, "h5.check", *(str(file.absolute()) for file in files), may_fail=True)
    click.echo(found or f"No fault in {len(files)} file{'s' if len(files) > 1 else ''}.\n", nl=False)
    sys.exit(1 if found else 0)


@main.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.argument("target", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--connectivity-gid", type=click.UUID, help="Of the connectivity that the GUI project already holds.")
@click.option("--region-mapping-gid", type=click.UUID, help="Of the region mapping that the GUI project already holds.")
@click.pass_obj
def convert(
    settings: Settings, file: Path, target: Path, connectivity_gid: UUID | None, region_mapping_gid: UUID | None
) -> None:
    """Write a result FILE (or a Connectivity's) as TVB 1.4 to 1.5 reads it.

    \b
    Example:
      tvb-batch convert result.h5 result_tvb1.h5
    """
    from submit.processes import run_worker_module

    gids = ("" if gid is None else str(gid) for gid in (connectivity_gid, region_mapping_gid))
    run_worker_module(settings, "h5.tvb1", str(file.absolute()), str(target.absolute()), *gids)
    click.echo(target)


@main.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.pass_obj
def rerun(settings: Settings, file: Path) -> None:
    """Run the simulation of a result FILE again, and compare the data bit for bit.

    Everything comes from the file itself, but input files of over 1 MB, which are looked up in the data directory by
    their sha256. Exit code 1 when the data differs.

    \b
    Example:
      tvb-batch rerun result.h5
    """
    from submit import view
    from submit.processes import run_worker_module

    found = json.loads(run_worker_module(settings, "rerun", str(file.absolute())))
    click.echo(view.describe_comparison(found))
    sys.exit(1 if found["different"] else 0)


# ------------------------------------------------------------------------------------------------------- reference


@main.command()
@click.argument("name", required=False, metavar="CLASS")
def describe(name: str | None) -> None:
    """Print the parameters of a TVB class: ranges, defaults, and TVB's own words. Without CLASS, list all classes.

    \b
    Example:
      tvb-batch describe JansenRit
    """
    from submit.reference import describe_class, list_classes

    click.echo(describe_class(name) if name else list_classes())


@main.command()
@click.option("--model", default="Generic2dOscillator", show_default=True, help="A model of TVB.")
def new(model: str) -> None:
    """Print a spec to begin with, all of the model's parameters explained.

    \b
    Example:
      tvb-batch new --model JansenRit > spec.yaml
    """
    from submit.reference import new_spec

    click.echo(new_spec(model), nl=False)


@main.command()
def schema() -> None:
    """Print the JSON Schema of specs, with which an editor completes and checks them.

    \b
    Example:
      tvb-batch schema > spec.schema.json
    """
    from submit.reference import json_schema

    _print_json(json_schema())


# -------------------------------------------------------------------------------------------------------- database


@main.group()
def db() -> None:
    """The catalogue's database."""


@db.command()
@click.option(
    "--wait", type=click.FloatRange(0), default=0.0, help="Seconds to wait for a database that is still starting."
)
@click.pass_obj
def upgrade(settings: Settings, wait: float) -> None:
    """Make the tables, or bring them to this program's revision. Run it once before workers start.

    \b
    Example:
      tvb-batch db upgrade
    """
    from models.catalogue import Catalogue
    from models.paths import check_writable

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
    click.echo("The catalogue is at this program's revision.")


def _print_json(value: object) -> None:
    click.echo(json.dumps(value, indent=2, default=str))
