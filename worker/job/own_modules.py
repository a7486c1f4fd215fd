"""Imports the user's modules in the processes of the pool, and compares their sources with the submitted ones.

The parent process imports none of them, so everything they change in a process ends with that process. A process whose
sources have changed is replaced by a new one.
"""

import hashlib
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tvb_batch.models.errors import SourceError
from tvb_batch.models.own_code.allowed import allowed
from tvb_batch.models.own_code.imports import check_submitted, is_loaded, load_module, loaded, loaded_metrics
from tvb_batch.models.own_code.sources import TVB, closure, digest, modules_of, tvb_version
from tvb_batch.models.spec.simulation import SimulationSpec


def import_all(cache: Path, modules: Iterable[str] | None = None) -> None:
    """Import the user's modules, by default all of them; this registers their metrics.

    Parameters
    ----------
    cache : the directory for Numba's cached functions; each state of the sources has its own folder in it

    Raises
    ------
    SourceError
        A module cannot be imported; the message says why.
    """
    for module in allowed() if modules is None else sorted(modules):
        if is_loaded(module):
            continue
        with _numba_cache(cache, module):
            try:
                load_module(module)
            except (Exception, SystemExit) as exc:
                # A user's module may raise any exception, and a script may exit.
                raise SourceError(
                    f"{module} (TVB_BATCH_MODULES) cannot be imported on this host ({type(exc).__name__}: {exc}); "
                    "correct it and `tvb-batch retry` the job"
                ) from exc


def fault_of_import(cache: Path) -> str | None:
    """Return why a module cannot be imported, or None. A separate process tries it."""
    if not allowed():
        return None
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            import_all(cache)
        except BaseException as exc:
            os.write(writing, str(exc).encode()[:4000] or type(exc).__name__.encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as said:
        words = said.read().decode(errors="replace")
    _, status = os.waitpid(child, 0)
    if not words and status:
        return f"TVB_BATCH_MODULES {','.join(allowed())}: the process that imported them ended with status {status}"
    return words or None


def sources_of(spec: SimulationSpec) -> dict[str, str]:
    """Return the digests of the sources of a simulation's own classes and of own metrics, as imported here."""
    if not allowed():
        return {}
    return {**loaded(modules_of(spec.canonical())), **loaded_metrics()}


def check(submitted: Mapping[str, str]) -> None:
    """Check that this process imported the sources that a sweep was submitted with.

    Raises
    ------
    SourceError
        They differ; the message names them.
    """
    tvb = submitted.get(TVB, tvb_version())
    if tvb != tvb_version():
        raise SourceError(
            f"tvb-library of this worker is {tvb_version()}, and {tvb} was submitted; install the same source here and "
            "start the worker anew, then `tvb-batch retry`"
        )
    if submitted:
        modules = {name.partition(" ")[2] for name in submitted}
        here = {**loaded(modules.intersection(allowed())), **loaded_metrics()}
        check_submitted({name: text for name, text in submitted.items() if name != TVB}, here)


@contextmanager
def _numba_cache(cache: Path, module: str) -> Iterator[None]:
    """Make Numba keep the compiled functions of a module in a directory for this state of the sources.

    Numba's own cache checks only the file of a function, not the files of the functions that it calls.
    """
    numba = sys.modules.get("numba")
    if numba is None:
        yield
        return
    files = closure(module).files
    state = hashlib.sha256("".join(f"{name} {digest(path)}\n" for name, path in files.items()).encode())
    directory = cache / "own" / state.hexdigest()[:24]
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError:
        directory = Path(tempfile.mkdtemp(prefix="tvb-batch-own-"))
    former, numba.config.CACHE_DIR = numba.config.CACHE_DIR, str(directory)
    try:
        yield
    finally:
        numba.config.CACHE_DIR = former
