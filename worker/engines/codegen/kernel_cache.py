"""The cache of compiled kernels: source files named by what they are made of.

What Numba made of them lies beside them, see `worker.engines.codegen.jit_cache`.

All workers of a host share the directory. A file is never changed: another version of TVB, NumPy, Numba or this
package, or another processor, gives another name.
"""

import atexit
import hashlib
import importlib.util
import os
import platform
import shutil
import sys
import tempfile
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

#: Libraries whose versions decide what a kernel is made of.
_LIBRARIES = ("tvb-library", "numpy", "scipy", "numba", "llvmlite")

#: Files of the primitives, each after those it uses; kernels may use every name of the first three.
_PRIMITIVES = (
    "libm_exp",
    "memory",
    "arithmetic",
    "libm_cube",
    "libm_sincos",
    "libm_log",
    "mt19937",
    "normals",
    "averaging_buffer",
    "simd",
    "summation",
    "step_loop",
    "surface_steps",
    "numba_vectors",
    "libm_cube_root",
)
#: Those that only some kernels use, and what stands in their sources.
_RARE = {
    "libm_cube": ("cubes(",),
    "libm_sincos": ("turns(",),
    "numba_vectors": ("norm(", "norms(", "root(", "root_of_real("),
    "libm_cube_root": ("roots(",),
}


@cache
def _stamp() -> str:
    import llvmlite.binding as llvm

    versions = [f"{name} {version(name)}" for name in _LIBRARIES]
    features = llvm.get_host_cpu_features().flatten()
    return "\n".join([platform.python_version(), platform.machine(), llvm.get_host_cpu_name(), features, *versions])


@dataclass(frozen=True)
class Kernel:
    """Compiled functions that are called with the calls of C."""

    #: Different for everything that may change what they do.
    name: str
    functions: ModuleType
    #: What they are made of.
    primitives: ModuleType

    def address(self, function: str) -> int:
        """Of a function; 0 for one without a name."""
        return int(getattr(self.functions, function).address) if function else 0


def load_kernel(source: str, directory: Path) -> Kernel:
    """The functions of a source, compiled; it may use the names of the first primitives.

    Parameters
    ----------
    directory : of the cache; made when missing, and where it cannot be written one that lasts as long as the process
    """
    pieces = load_primitives(directory)
    rare = [name for name, marks in _RARE.items() if any(mark in source for mark in marks)]
    used = [*pieces.MODULES[:3], *(pieces.MODULES[_PRIMITIVES.index(name)] for name in rare)]
    imports = "\n".join(f"from {module} import *" for module in used)
    header = (
        "import math\n\nimport numpy as np\nfrom numba import types\n\n"
        "from tvb_batch.worker.engines.codegen.jit_cache import entry, jit\n"
    )
    path = _write(f"{header}{imports}\n\n{source}", "kernel", _writable(directory))
    return Kernel(path.stem, _import(path), pieces)


@cache
def load_primitives(directory: Path) -> ModuleType:
    """All primitives in one module, from the cache."""
    whole = ModuleType("primitives")
    modules: list[str] = []
    for name in _PRIMITIVES:
        text = Path(__file__).parent.with_name("primitives").joinpath(f"{name}.py").read_text()
        for used, copied in zip(_PRIMITIVES, modules, strict=False):
            text = text.replace(f"from tvb_batch.worker.engines.primitives.{used} import", f"from {copied} import")
        module = _import(_write(text, name, _writable(directory)))
        vars(whole).update({key: value for key, value in vars(module).items() if not key.startswith("_")})
        modules.append(module.__name__)
    vars(whole)["MODULES"] = tuple(modules)
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
