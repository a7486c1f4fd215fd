"""Numba's compiler with a cache that workers can share: the machine code of a function lies beside its source.

Numba's own cache numbers its files, so that two processes that compile at once can take each other's, and a damaged
file ends in an error, or in a crash. Here a file is named by what it is for, appears whole or not at all, and is
read only when it carries its own checksum; whatever is wrong with it, the function is compiled again.
"""

import pickle
import tempfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar, cast

import numba as nb
from numba.core.caching import FunctionCache
from numba.core.ccallback import CFunc
from numba.core.serialize import dumps

#: Bytes of a sha256 at the start of a file.
_HEAD = 32

#: A function keeps its types when it is compiled, so that mypy checks its calls.
_Function = TypeVar("_Function", bound=Callable[..., Any])


def jit(function: _Function, *, _nrt: bool = False, **options: Any) -> _Function:
    """Compile a function for the types it is called with; it divides by zero as NumPy does.

    The function must not make arrays. So Numba does not count references, which would take as long as a short function.
    """
    made = nb.njit(error_model="numpy", _nrt=_nrt, **options)(function)
    # What is kept is named by its source alone: a file that may change, whatever it calls included, is not kept.
    if not function.__module__.startswith(__package__):
        made._cache = _Cache(function)
    return cast(_Function, made)


def allocating(function: _Function) -> _Function:
    """Compile a function that makes arrays, see `jit`."""
    return jit(function, _nrt=True)


def inlined(function: _Function) -> _Function:
    """Compile a function into each loop that calls it, so that LLVM can work on several numbers at once; see `jit`."""
    return jit(function, forceinline=True)


def entry(*arguments: Any) -> Callable[[Callable[..., int]], Any]:
    """Compile a function at once, for callers that have its `address` only.

    Parameters
    ----------
    arguments : Numba's types of what follows the number of nodes; the function returns a number, too
    """

    def compile_function(function: Callable[..., int]) -> Any:
        signature = (nb.types.int64, *arguments), nb.types.int64
        made: Any = CFunc(function, signature, locals={}, options={"error_model": "numpy"})
        made._cache = _Cache(function)
        made.compile()
        return made

    return compile_function


class _Cache(FunctionCache):  # type: ignore[misc]
    """Numba's cache of a function, which may fail."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        self._cache_file = _Files(Path(self._cache_path), function.__module__, function.__name__)

    def load_overload(self, signature: Any, context: Any) -> Any:
        try:
            return super().load_overload(signature, context)
        except Exception:
            # Unpickling can raise anything; the file is written anew.
            return None

    def save_overload(self, signature: Any, data: Any) -> None:
        try:
            super().save_overload(signature, data)
        except OSError:
            # A full or read-only disk costs the next process the compilation.
            return


class _Files:
    """The files of a function: one for each signature and processor."""

    def __init__(self, directory: Path, source: str, name: str) -> None:
        self._directory, self._source, self._name = directory, source, name

    def flush(self) -> None:
        """Do nothing: all is in the files."""

    def load(self, key: Any) -> Any:
        """Return what was saved, or None if there is no undamaged file."""
        try:
            content = self._path(key).read_bytes()
        except OSError:
            return None
        if sha256(content[_HEAD:]).digest() != content[:_HEAD]:
            return None
        return pickle.loads(content[_HEAD:])  # noqa: S301 - only this user's workers write here

    def save(self, key: Any, data: Any) -> None:
        """Save what was compiled."""
        content = dumps(data)
        part = ""
        try:
            with tempfile.NamedTemporaryFile(dir=self._directory, suffix=".part", delete=False) as file:
                part = file.name
                file.write(sha256(content).digest() + content)
            Path(part).replace(self._path(key))
        except OSError:
            if part:
                Path(part).unlink(missing_ok=True)
            raise

    def _path(self, key: Any) -> Path:
        # Signature, processor and bytecode; the name of the source stands for all versions.
        digest = sha256(f"{self._source} {key}".encode()).hexdigest()[:24]
        return self._directory / f"{self._source}-{self._name}-{digest}.kept"
