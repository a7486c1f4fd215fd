"""The ZIP for TVB 1.4 to 1.5.x. A process of `worker.h5.tvb1.tvb1_zip` reads and writes the H5 files."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from uuid import UUID

from tvb_batch.models.catalogue import Catalogue
from tvb_batch.models.catalogue.status import Status
from tvb_batch.models.catalogue.tables import Job, Sweep
from tvb_batch.models.errors import NotFoundError, OutputError
from tvb_batch.models.settings import Settings
from tvb_batch.models.worker_protocol import WriteTvb1Bundle
from tvb_batch.submit.operate.processes import run_worker


def make_tvb1_bundle(
    catalogue: Catalogue, found: Sequence[Job | Sweep], settings: Settings, target: Path, *,
    connectivity_gid: UUID | None = None, region_mapping_gid: UUID | None = None,
) -> Path:  # fmt: skip
    """Write the finished results of jobs and sweeps into one ZIP for TVB 1; return `target`.

    Parameters
    ----------
    connectivity_gid : gid of a Connectivity in the TVB 1 project; by default the jobs' own is put into the ZIP
    region_mapping_gid : gid of a RegionMapping in the project; by default none is named

    Raises
    ------
    NotFoundError
        None of the jobs is FINISHED.
    OutputError, WorkerProcessError
        A file is not on this machine, TVB 1 has no such datatype, or the ZIP could not be written.
    """
    sweeps = [one for one in found if isinstance(one, Sweep)]
    jobs = [one.gid for one in found if isinstance(one, Job)]
    jobs += [job.gid for one in sweeps for job in catalogue.jobs(sweep=one.gid, status=Status.FINISHED, limit=one.size)]
    outputs = catalogue.outputs(jobs)
    if not outputs:
        raise NotFoundError("nothing to bundle: none of these jobs is finished; `tvb-batch list` shows their status")
    # TVB 1 gets only the Connectivity of a series; its file exists in both formats.
    references = {PurePosixPath(path).name: path for output in outputs for path in output.refers_to}
    names = [path for name, path in references.items() if name.startswith("Connectivity_")]
    names += [output.path for output in outputs]
    paths = [settings.storage.absolute(name) for name in names]
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise OutputError(
            f"{missing[0]}: no such file; run `tvb-batch bundle` where the workers' data directory is mounted "
            "(TVB_BATCH_DATA_DIR)"
        )
    run_worker(settings, WriteTvb1Bundle(tuple(paths), target, connectivity_gid, region_mapping_gid))
    return target
