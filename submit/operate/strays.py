"""Files of the data directory that nobody needs. Called by `verify`, which names them, and `prune`, which removes them.

The order of the reads decides: first the files, then the jobs that are not done, then what rows name. Each file found
first then belongs to a row, or to a job that is not done, or to nobody; files that appear later are not looked at. An
input is there before a row names it: inputs kept or reserved lately are spared, by the clock of the storage.
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

#: How the names of files end that are about to be removed.
ASIDE = ".aside"
#: How names of files begin that this program makes.
_OURS = re.compile(
    r"outputs/[0-9a-f]{32}/[0-9a-f]{32}/|datatypes/(tvb1/)?\w+_[0-9a-f]{32}\.|inputs/\.?[0-9a-f]{64}(\.|$)"
)


@dataclass(frozen=True)
class Before:
    """What was there before the rows were read."""

    storage: Storage
    files: list[Path]
    #: Jobs that are not done, by their gids in hexadecimal.
    busy: frozenset[str]

    def strays(self, catalogue: Catalogue, outputs: Iterable[Output]) -> list[Path]:
        """Files that no row names and no unfinished job may need.

        Parameters
        ----------
        outputs : all rows, read since
        """
        named = names_of(outputs) | catalogue.input_names()
        return [path for path in self.files if not self._is_needed(path, named)]

    def _is_needed(self, path: Path, named: set[str]) -> bool:
        name = self.storage.relative(path)
        # What a job refers to is written before its row says so.
        is_awaited = bool(self.busy) and name.startswith("datatypes/")
        return name in named or path.parent.name in self.busy or is_awaited or not path.exists()


def before_rows(catalogue: Catalogue, storage: Storage, time: float) -> Before:
    """What is there; called before any row is read.

    Parameters
    ----------
    time : now, as `storage_time` has it
    """
    files = [path for path in _stored(storage) if not (is_input(storage, path) and is_young(path, time))]
    return Before(storage, files, frozenset(gid.hex for gid in catalogue.unfinished()))


def names_of(outputs: Iterable[Output]) -> set[str]:
    """The files of results, and those they refer to."""
    named = {name for output in outputs for name in (output.path, *output.refers_to)}
    # A Connectivity for TVB 1 is made of the one for TVB 2, which stays for the next one.
    return named | {name.replace("datatypes/tvb1/", "datatypes/") for name in named}


def is_input(storage: Storage, path: Path) -> bool:
    return path.is_relative_to(storage.inputs)


def is_young(path: Path, time: float) -> bool:
    """Whether a file was written or reserved lately; one that is gone is not."""
    with contextlib.suppress(FileNotFoundError):
        return path.stat().st_mtime > time - YOUNG
    return False


def _stored(storage: Storage) -> Iterator[Path]:
    """The files of results, of what they refer to, and of inputs; a person's own files beside them are not ours."""
    for folder in ("outputs", "datatypes", "inputs"):
        found = sorted((storage.root / folder).rglob("*"))
        yield from (path for path in found if _OURS.match(storage.relative(path)) and path.is_file())
