"""The cache of compiled kernels: source files named by what they are made of.

What Numba made of them lies beside them, see `worker.engines.jit_cache`.

All workers of a host share the directory. A file is never changed: another version of TVB, NumPy, Numba or this
package, or another processor, gives another name.
"""

import atexit
import hashlib
import importlib.util
import os
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from graphlib import TopologicalSorter
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

#: Libraries whose versions decide what a kernel is made of.
_LIBRARIES = ("tvb-library", "numpy", "scipy", "numba", "llvmlite")

#: Raised when the meaning of a kernel's text changes: kernels of another version are not loaded.
_VERSION = 2
_PRIMITIVES = Path(__file__).parent.with_name("primitives")
#: How a primitive declares which others it requires.
_REQUIRES = re.compile(r"^from tvb_batch\.worker\.engines\.primitives\.(\w+) import\b", re.MULTILINE)


@cache
def _stamp() -> str:
    import llvmlite.binding as llvm

    versions = [f"{name} {version(name)}" for name in _LIBRARIES]
    features = llvm.get_host_cpu_features().flatten()
    return "\n".join(
        [str(_VERSION), platform.python_version(), platform.machine(), llvm.get_host_cpu_name(), features, *versions]
    )


@dataclass(frozen=True)
class Kernel:
    """Compiled functions that are called with the calls of C."""

    #: Different for everything that may change what they do.
    name: str
    functions: ModuleType
    #: What they are made of.
    primitives: ModuleType

    def address(self, function: str) -> int:
        """Return the address of a function; 0 for an empty name."""
        return int(getattr(self.functions, function).address) if function else 0


def load_kernel(text: str, requires: Iterable[str], directory: Path) -> Kernel:
    """Return the functions of a text, compiled.

    Parameters
    ----------
    requires : names of the primitives that the text uses
    directory : of the cache; made when missing, and where it cannot be written one that lasts as long as the process
    """
    primitives = load_primitives(directory)
    own = (f"from {primitives.MODULES[name]} import {name}" for name in sorted(requires))
    header = [
        *("import math", "", "import numpy as np", "from numba import types", ""),
        *("from tvb_batch.worker.engines.jit_cache import entry, jit", *own),
    ]
    path = _write("\n".join([*header, "", text]), "kernel", _writable(directory))
    return Kernel(path.stem, _import(path), primitives)


@cache
def load_primitives(directory: Path) -> ModuleType:
    """Return all primitives in one module, from the cache; its `MODULES` tells in which module each name is made."""
    texts = {path.stem: path.read_text() for path in sorted(_PRIMITIVES.glob("[!_]*.py"))}
    required = {name: _REQUIRES.findall(text) for name, text in texts.items()}
    whole, copies = ModuleType("primitives"), dict[str, str]()
    owners: dict[str, str] = {}
    for name in TopologicalSorter(required).static_order():
        text = texts[name]
        for used in required[name]:
            text = text.replace(
                f"from tvb_batch.worker.engines.primitives.{used} import", f"from {copies[used]} import"
            )
        module = _import(_write(text, name, _writable(directory)))
        copies[name] = module.__name__
        names = {key: value for key, value in vars(module).items() if not key.startswith("_")}
        vars(whole).update(names)
        # What a module imports from another one comes earlier, and so belongs to the other one.
        owners = dict.fromkeys(names, module.__name__) | owners
    vars(whole)["MODULES"] = owners
    return whole


@cache
def _writable(directory: Path) -> Path:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=directory, prefix=".writable-"):
            return directory
    except OSError:
        own = Path(tempfile.mkdtemp(prefix="tvb-batch-kernels-"))
        atexit.register(shutil.rmtree, own, ignore_errors=True)
        return own


def _write(text: str, kind: str, directory: Path) -> Path:
    digest = hashlib.sha256(f"{_stamp()}\n{text}".encode()).hexdigest()[:24]
    path = directory / f"{kind}_{digest}.py"
    if not path.exists():
        # Numba compiles again when a file's time changes, so what is there stays; a file appears whole or not at all.
        with tempfile.NamedTemporaryFile("w", dir=directory, suffix=".part", delete=False) as part:
            part.write(text)
        _put(Path(part.name), path)
    return path


def _put(part: Path, path: Path) -> None:
    try:
        os.link(part, path)
    except FileExistsError:
        part.unlink()
    except OSError:  # A file system without hard links.
        part.replace(path)
    else:
        part.unlink()


def _import(path: Path) -> ModuleType:
    name = path.stem
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
