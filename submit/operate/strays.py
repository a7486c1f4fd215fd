"""Finds files of the data directory that are not needed. `verify` lists them, and `prune` removes them.

The order of reads matters: first the files, then the unfinished jobs, then the rows. So each file belongs to a row, to
an unfinished job, or to nobody; later files are not considered. Inputs exist before their rows, so recent inputs are
spared, by the clock of the storage.
"""

import contextlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tvb_batch.models.catalogue import Catalogue
from tvb_batch.models.catalogue.tables import Output
from tvb_batch.models.paths import Storage
from tvb_batch.models.tvb.input_store import YOUNG

#: Suffix of files that are about to be removed.
ASIDE = ".aside"
#: Prefixes of the names of this program's files.
_OURS = re.compile(
    r"outputs/[0-9a-f]{32}/[0-9a-f]{32}/|datatypes/(tvb1/)?\w+_[0-9a-f]{32}\.|inputs/\.?[0-9a-f]{64}(\.|$)"
)


@dataclass(frozen=True)
class Before:
    """The files that existed before the rows were read."""

    storage: Storage
    files: list[Path]
    #: Gids of unfinished jobs, in hexadecimal.
    busy: frozenset[str]

    def strays(self, catalogue: Catalogue, outputs: Iterable[Output]) -> list[Path]:
        """Return files that no row names and no unfinished job may need.

        Parameters
        ----------
        outputs : all rows, read after this object was made
        """
        named = named_files(outputs) | catalogue.input_names()
        return [path for path in self.files if not self._is_needed(path, named)]

    def _is_needed(self, path: Path, named: set[str]) -> bool:
        name = self.storage.relative(path)
        # A job writes its datatypes before its row names them.
        is_awaited = bool(self.busy) and name.startswith("datatypes/")
        return name in named or path.parent.name in self.busy or is_awaited or not path.exists()


def before_rows(catalogue: Catalogue, storage: Storage, time: float) -> Before:
    """Return the existing files; call it before any row is read.

    Parameters
    ----------
    time : the current time from `storage_time`
    """
    files = [path for path in _stored(storage) if not (is_input(storage, path) and is_young(path, time))]
    return Before(storage, files, frozenset(gid.hex for gid in catalogue.unfinished()))


def named_files(outputs: Iterable[Output]) -> set[str]:
    """Return the files of results and of the datatypes that they refer to."""
    named = {name for output in outputs for name in (output.path, *output.refers_to)}
    # A Connectivity for TVB 1 is converted from the one for TVB 2, which stays for later jobs.
    return named | {name.replace("datatypes/tvb1/", "datatypes/") for name in named}


def is_input(storage: Storage, path: Path) -> bool:
    """Return whether the path is in `inputs/`."""
    return path.is_relative_to(storage.inputs)


def is_young(path: Path, time: float) -> bool:
    """Return whether a file was written or reserved recently; False if it is missing."""
    with contextlib.suppress(FileNotFoundError):
        return path.stat().st_mtime > time - YOUNG
    return False


def _stored(storage: Storage) -> Iterator[Path]:
    """Return the files of results, datatypes and inputs that tvb-batch has written."""
    for folder in ("outputs", "datatypes", "inputs"):
        found = sorted((storage.root / folder).rglob("*"))
        yield from (path for path in found if _OURS.match(storage.relative(path)) and path.is_file())
