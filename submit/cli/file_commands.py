"""Results: bundled, checked, converted, run again."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tvb_batch.models.settings import Settings
from tvb_batch.submit.cli.group import catalogue_of, main

if TYPE_CHECKING:
    from uuid import UUID

    from tvb_batch.models.worker_protocol import BundleKind


@main.command()
@click.argument("keys", metavar="JOB|SWEEP...", nargs=-1, required=True)
@click.option(
    "--output", "-o", type=click.Path(path_type=Path, dir_okay=False), help="The ZIP; in the data directory by default."
)
@click.option(
    "--as", "kind", type=click.Choice(["data", "simulations", "pse", "project"]),
    help="Time series alone; with their simulations in the history; as a parameter space exploration (default of a "
    "sweep over one or two numbers; else simulations); as a project.",
)  # fmt: skip
@click.option("--where", "-w", metavar="FILTER", help="Only jobs that fit, as `list --where` takes it.")
@click.option("--axes", metavar="A,B", default="", help="Of an exploration: one or two swept numbers.")
@click.option("--at", multiple=True, metavar="NAME=VALUE", help="Of an exploration: fix another one. May be repeated.")
@click.option("--connectivity-gid", type=click.UUID, help="Of one that the GUI project holds; it is not carried.")
@click.option("--region-mapping-gid", type=click.UUID, help="The same for the region mapping.")
@click.option("--surface-gid", type=click.UUID, help="The same for the surface.")
@click.option("--sensors-gid", type=click.UUID, help="The same for the sensors.")
@click.option("--stable-gids", is_flag=True, help="Keep the files' gids; by default each ZIP has its own.")
@click.option(
    "--format", "file_format", type=click.Choice(["tvb2", "tvb1"]), default="tvb2", show_default=True,
    help="tvb1 for TVB 1.4 to 1.5: the time series alone.",
)  # fmt: skip
@click.pass_obj
def bundle(
    settings: Settings, keys: tuple[str, ...], output: Path | None, kind: BundleKind | None, where: str | None,
    axes: str, at: tuple[str, ...], connectivity_gid: UUID | None, region_mapping_gid: UUID | None,
    surface_gid: UUID | None, sensors_gid: UUID | None, stable_gids: bool, file_format: str,
) -> None:  # fmt: skip
    """Make a ZIP of finished results and all they refer to, to upload in the TVB GUI.

    Runs where the data directory is mounted. An exploration has two axes and at most 512 points: of more, there are
    several ZIPs.

    \b
    Example:
      tvb-batch bundle sweep --axes coupling.a,model.mu -o sweep.zip
    """
    from tvb_batch.submit.bundles.tvb2_bundle import Wanted, make_bundles
    from tvb_batch.submit.present.progress import jobs_bar

    catalogue = catalogue_of(settings)
    found = [catalogue.find(key) for key in keys]
    target = (output or settings.storage.bundle("-".join(keys))).absolute()
    gids = {
        "connectivity": connectivity_gid, "region_mapping": region_mapping_gid, "surface": surface_gid,
        "sensors": sensors_gid,
    }  # fmt: skip
    links = {name: gid for name, gid in gids.items() if gid is not None}
    if file_format == "tvb1":
        from tvb_batch.submit.bundles.tvb1_bundle import make_tvb1_bundle

        if kind not in (None, "data") or where or axes or at or stable_gids or surface_gid or sensors_gid:
            raise click.UsageError("--format tvb1 gives the time series alone; it takes two of the gids and -o")
        make_tvb1_bundle(
            catalogue, found, settings, target, connectivity_gid=connectivity_gid, region_mapping_gid=region_mapping_gid
        )
        click.echo(f"{target}\nIn the TVB 1 GUI: Project, Data Structure, Upload data, TVB; give it this file.")
        return
    values = dict(_pair(text) for text in at)
    wanted = Wanted(kind, where, tuple(filter(None, axes.replace(" ", "").split(","))), values, links, stable_gids)
    with jobs_bar() as on_progress:
        made = make_bundles(catalogue, found, settings, target, wanted, on_progress)
    for one in made:
        click.echo(f"{one.path}{f'  {one.label}, {one.jobs} jobs' if one.label else ''}")
    if len(made) > 1:
        click.echo(f"{len(made)} ZIPs: the GUI shows two axes and at most 512 points at once.")
    click.echo(_NEXT[made[0].kind])


_UPLOAD = "In the TVB GUI: Project, Data Structure, Upload data, TVB HDF5 / ZIP; give it the file"
_NEXT: dict[str, str] = {
    "data": f"{_UPLOAD}.",
    "simulations": f"{_UPLOAD}. The simulations are in Simulator, Simulation History.",
    "pse": f"{_UPLOAD}. The exploration is in Simulator, Simulation History; its group opens in Discrete and Isocline.",
    "project": "In the TVB GUI: Project, List of All Projects, Import project structure; give it the file.",
}


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not value.strip():
        raise click.UsageError(f"--at {text}: expected NAME=VALUE, such as coupling.a=0.1")
    return name.strip(), value.strip()


@main.command()
@click.argument("keys", metavar="[FILE|JOB|SWEEP]...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Every job of the catalogue, and every file of its storage.")
@click.pass_obj
def verify(settings: Settings, keys: tuple[str, ...], everything: bool) -> None:
    """Check files and ZIPs against what the TVB GUI asks of them; each fault is named by file and key.

    Of a JOB or a SWEEP, each finished file is also compared with its row: it is there, with the same size and sha256.
    With --all, files that no row names are listed too. Exit code 1 when there is a fault.

    \b
    Example:
      tvb-batch verify sweep.zip
    """
    from tvb_batch.models.worker_protocol import CheckFiles
    from tvb_batch.submit.operate.audit import audit
    from tvb_batch.submit.operate.processes import run_worker

    if bool(keys) == everything:
        raise click.UsageError("name files, jobs or sweeps, or give --all")
    files = [key for key in keys if _is_file(key)]
    others = [key for key in keys if not _is_file(key)]
    faults: list[str] = []
    repairs: list[str] = []
    notes: list[str] = []
    count = len(files)
    if files:
        request = CheckFiles(tuple(Path(key).absolute() for key in files))
        faults = run_worker(settings, request, may_fail=True).splitlines()
    if others or everything:
        catalogue = catalogue_of(settings)
        targets: list[str | None] = [*others] or [None]  # None stands for all there is.
        for target in targets:
            result = audit(catalogue, settings, catalogue.find(target) if target else None)
            faults, repairs, count = faults + result.faults, repairs + result.repairs, count + result.files
            notes += result.notes
    good = [f"No fault in {count} file{'' if count == 1 else 's'}."]
    for line in [*([*faults, *repairs] or good), *notes]:
        click.echo(line)
    sys.exit(1 if faults else 0)


def _is_file(key: str) -> bool:
    """Whether a key is meant as a file: a missing one has no gid's or name's form."""
    return Path(key).is_file() or Path(key).suffix in (".h5", ".zip") or "/" in key


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
    from tvb_batch.models.worker_protocol import ConvertToTvb1
    from tvb_batch.submit.operate.processes import run_worker

    run_worker(settings, ConvertToTvb1(file.absolute(), target.absolute(), connectivity_gid, region_mapping_gid))
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
    from tvb_batch.models.worker_protocol import Rerun, RerunResult
    from tvb_batch.submit.operate.processes import run_worker
    from tvb_batch.submit.present import serialize

    found = RerunResult.from_json(run_worker(settings, Rerun(file.absolute())))
    click.echo(serialize.describe_comparison(found))
    sys.exit(1 if found.different else 0)
