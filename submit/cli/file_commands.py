"""Commands for results: bundle, verify, convert, rerun."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tvb_batch.models.settings import Settings
from tvb_batch.submit.cli.group import main, open_catalogue

if TYPE_CHECKING:
    from uuid import UUID

    from tvb_batch.models.worker_protocol import BundleKind


@main.command()
@click.argument("keys", metavar="JOB|SWEEP...", nargs=-1, required=True)
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The ZIP file. Default: in the data directory.",
)
@click.option(
    "--as", "kind", type=click.Choice(["data", "simulations", "pse", "project"]),
    help="data: only time series. simulations: also in the simulation history. pse: a parameter space exploration "
    "(default for a sweep over one or two numbers; otherwise simulations). project: a complete project.",
)  # fmt: skip
@click.option("--where", "-w", metavar="FILTER", help="Only jobs that match, as in `list --where`.")
@click.option("--axes", metavar="A,B", default="", help="For pse: one or two swept parameters.")
@click.option("--at", multiple=True, metavar="NAME=VALUE", help="For pse: fix another parameter. May be repeated.")
@click.option("--connectivity-gid", type=click.UUID, help="Use the connectivity with this gid in the GUI project.")
@click.option("--region-mapping-gid", type=click.UUID, help="The same for a region mapping.")
@click.option("--surface-gid", type=click.UUID, help="The same for a surface.")
@click.option("--sensors-gid", type=click.UUID, help="The same for sensors.")
@click.option("--stable-gids", is_flag=True, help="Keep the gids of the files. Default: new gids in each ZIP.")
@click.option(
    "--format", "file_format", type=click.Choice(["tvb2", "tvb1"]), default="tvb2", show_default=True,
    help="tvb1: only time series, for TVB 1.4 to 1.5.",
)  # fmt: skip
@click.pass_obj
def bundle(
    settings: Settings, keys: tuple[str, ...], output: Path | None, kind: BundleKind | None, where: str | None,
    axes: str, at: tuple[str, ...], connectivity_gid: UUID | None, region_mapping_gid: UUID | None,
    surface_gid: UUID | None, sensors_gid: UUID | None, stable_gids: bool, file_format: str,
) -> None:  # fmt: skip
    """Make a ZIP for the TVB GUI: finished results and all data they refer to.

    Call it where the data directory is mounted. With more than two swept parameters, choose two with --axes. A
    parameter space exploration has at most 512 points; a larger one is split into several ZIPs. To reuse data that is
    already in the project, give its gid.

    \b
    Example:
      tvb-batch bundle sweep --axes coupling.a,model.mu -o sweep.zip
    """
    from tvb_batch.submit.bundles.tvb2_bundle import Wanted, make_bundles
    from tvb_batch.submit.present.progress import jobs_bar

    catalogue = open_catalogue(settings)
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
            raise click.UsageError(
                "--format tvb1 bundles only time series; use -o, --connectivity-gid and --region-mapping-gid only"
            )
        make_tvb1_bundle(
            catalogue, found, settings, target, connectivity_gid=connectivity_gid, region_mapping_gid=region_mapping_gid
        )
        click.echo(
            f"{target}\nIn the TVB 1 GUI choose Project, Data Structure, Upload data, TVB, and upload this file."
        )
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
    notes = sum((Counter(one.notes) for one in made), Counter())
    for note, count in notes.items():
        click.echo(f"Note ({count} of {sum(one.jobs for one in made)} simulations): {note}.")


_UPLOAD = "In the TVB GUI choose Project, Data Structure, Upload data, TVB HDF5 / ZIP, and upload the file"
_NEXT: dict[str, str] = {
    "data": f"{_UPLOAD}.",
    "simulations": f"{_UPLOAD}. The simulations are in Simulator, Simulation History.",
    "pse": f"{_UPLOAD}. The exploration is in Simulator, Simulation History; its group opens in Discrete and Isocline.",
    "project": "In the TVB GUI choose Project, List of All Projects, Import project structure, and upload the file.",
}


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not value.strip():
        raise click.UsageError(f"--at {text}: expected NAME=VALUE, such as coupling.a=0.1")
    return name.strip(), value.strip()


@main.command()
@click.argument("keys", metavar="[FILE|JOB|SWEEP]...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Check all jobs and all files in the data directory.")
@click.pass_obj
def verify(settings: Settings, keys: tuple[str, ...], everything: bool) -> None:
    """Check that the TVB GUI can read files and ZIPs; print each fault with its file and key.

    The files of a JOB or SWEEP are also compared with the catalogue: existence, size and sha256. --all also lists
    files that the catalogue does not name. Exit code 1 if there is a fault.

    \b
    Example:
      tvb-batch verify sweep.zip
    """
    from tvb_batch.models.worker_protocol import CheckFiles
    from tvb_batch.submit.operate.audit import audit
    from tvb_batch.submit.operate.processes import run_worker

    if bool(keys) == everything:
        raise click.UsageError("give files, jobs, sweeps or --all")
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
        catalogue = open_catalogue(settings)
        targets: list[str | None] = [*others] or [None]  # None stands for everything.
        for target in targets:
            result = audit(catalogue, settings, catalogue.find(target) if target else None)
            faults, repairs, count = faults + result.faults, repairs + result.repairs, count + result.files
            notes += result.notes
    good = [f"{count:,} file{'' if count == 1 else 's'} OK"]
    for line in [*([*faults, *repairs] or good), *notes]:
        click.echo(line)
    sys.exit(1 if faults else 0)


def _is_file(key: str) -> bool:
    """Return whether a key names a file; a missing file does not look like a gid or name."""
    return Path(key).is_file() or Path(key).suffix in (".h5", ".zip") or "/" in key


@main.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.argument("target", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--connectivity-gid", type=click.UUID, help="Use the connectivity with this gid in the GUI project.")
@click.option("--region-mapping-gid", type=click.UUID, help="The same for a region mapping.")
@click.pass_obj
def convert(
    settings: Settings, file: Path, target: Path, connectivity_gid: UUID | None, region_mapping_gid: UUID | None
) -> None:
    """Convert a result or connectivity FILE to the format of TVB 1.4 to 1.5.

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
    """Run the simulation of a result FILE again and compare the data bit for bit.

    The file contains all that is needed, except input files of over 1 MB, which are read from the data directory by
    their sha256. Exit code 1 if the data differs.

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
