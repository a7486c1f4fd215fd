"""Rewrites a finished file with compressed datasets.

This is not done while the simulation runs: a compressed chunk that grows moves within the file, and a crash would
damage the data that a checkpoint needs.
"""

from pathlib import Path
from typing import Any

import h5py

from tvb_batch.models.errors import OutputError
from tvb_batch.models.paths import part
from tvb_batch.models.settings import Compression
from tvb_batch.worker.h5.disk import check_room
from tvb_batch.worker.h5.verify import as_output_error, portions

#: Every h5py reads these, also the GUI's. Shuffled bytes compress better; higher levels of gzip are not worth their
#: time.
FILTERS: dict[Compression, dict[str, Any]] = {
    "lzf": {"compression": "lzf", "shuffle": True},
    "gzip": {"compression": "gzip", "compression_opts": 1, "shuffle": True},
}


def compress(path: Path, compression: Compression) -> None:
    """Replace the file at `path` with one of equal content whose chunked datasets are compressed.

    Raises
    ------
    OutputError
        It cannot be written, or the file is damaged; the file is unchanged.
    """
    if compression == "none":
        return
    unfinished = part(path)
    try:
        with as_output_error(path, ""):
            # The compressed file needs at most this space.
            check_room(path.parent, path.stat().st_size)
            with h5py.File(path) as file, h5py.File(unfinished, "w") as again:
                again.attrs.update(file.attrs)
                for item in file.values():
                    if isinstance(item, h5py.Dataset) and item.chunks:
                        _copy(item, again, FILTERS[compression])
                    else:
                        file.copy(item, again)
            unfinished.replace(path)
    except OutputError:
        unfinished.unlink(missing_ok=True)
        raise


def _copy(source: h5py.Dataset, target: h5py.File, options: dict[str, Any]) -> None:
    copy = target.create_dataset_like(source.name, source, **options)
    copy.attrs.update(source.attrs)
    for rows in portions(source):
        copy[rows] = source[rows]
