"""Imports the user's modules and remembers their source.

A process keeps a module as it was imported, even if the file changes. So each file is recorded at its import: a worker
replaces a process whose files have changed, and a notebook is told to restart.
"""

import ast
import importlib
import sys
import threading
import types
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

from tvb_batch.models.errors import SourceError, SpecError
from tvb_batch.models.own_code.sources import OF_DATA, OF_METRICS, Closure, closure, differences, digest

#: Identifies the state of a file without reading it.
_Stamp = tuple[int, int, int, int] | None


@dataclass
class _Known:
    """A source file as this process has imported it."""

    path: Path
    stamp: _Stamp
    digest: str
    #: The spec of the module imported from it; `importlib.reload` makes a new one.
    spec: object


#: By the name of the module or file; see `sources.Closure`.
_KNOWN: dict[str, _Known] = {}
#: By the modules imported in this process.
_CLOSURES: dict[str, Closure] = {}
#: A web server uses several threads.
_LOCK = threading.RLock()


def load_module(module: str) -> ModuleType:
    """Return the module, imported from its current source, or as this process imported it before.

    Raises
    ------
    ImportError, Exception
        The module's own code may raise any exception.
    """
    with _LOCK:
        found = sys.modules.get(module)
        if module in _CLOSURES and found is not None and _spec_of(module) is _KNOWN[module].spec:
            return found
        whole = closure(module)
        # Record the state first, so that a change during the import is noticed.
        for name, path in whole.files.items():
            if name not in _KNOWN or _spec_of(name) is not _KNOWN[name].spec:
                _KNOWN[name] = _Known(path, _stamp(path), digest(path), None)
        with _from_source(whole):
            found = importlib.import_module(module)
        for name in whole.files:
            if (spec := _spec_of(name)) is not _KNOWN[name].spec:
                _KNOWN[name].spec = spec
        if module in whole.files:
            _CLOSURES[module] = whole
        return found


def is_loaded(module: str) -> bool:
    """Return whether this process has imported the module with `load_module`."""
    return module in _CLOSURES


def loaded(modules: Iterable[str]) -> dict[str, str]:
    """Return the digests of the sources of these modules as imported; import what is missing."""
    return {
        f"{OF_DATA}{name}": _KNOWN[name].digest
        for module in sorted(modules)
        if load_module(module) and module in _CLOSURES
        for name in _CLOSURES[module].files
    }


def loaded_metrics() -> dict[str, str]:
    """Return the digests of the sources of imported metrics."""
    return {
        f"{OF_METRICS}{name}": _KNOWN[name].digest
        for _, whole in sorted(_CLOSURES.items())
        if whole.has_metrics
        for name in whole.files
    }


def forget() -> None:
    """Drop all imported modules. Not for a process that has objects of them."""
    with _LOCK:
        for name in _KNOWN:
            sys.modules.pop(name, None)
        _KNOWN.clear()
        _CLOSURES.clear()


def changed() -> list[str]:
    """Return the modules and files whose source has changed since this process imported them."""
    found = []
    for name, known in list(_KNOWN.items()):
        stamp = _stamp(known.path)
        if stamp == known.stamp:
            continue
        if digest(known.path) == known.digest:
            known.stamp = stamp
        else:
            found.append(name)
    return found


def check_unchanged(modules: Iterable[str]) -> None:
    """Check that the imported classes of these modules are those of their sources.

    Raises
    ------
    SpecError
        A source was edited, or an imported object was changed: a worker would run something else.
    """
    for module in modules:
        load_module(module)
    stale = set(changed())
    for name in sorted({name for module in modules if module in _CLOSURES for name in _CLOSURES[module].files}):
        if name in stale or not _is_of_source(name, _KNOWN[name].path):
            raise SpecError(
                name, f"{_KNOWN[name].path} differs from the module that this process imported: it was edited, or a "
                "function or number of the module was replaced", "the module that workers import",
                "restart the kernel or program",
            )  # fmt: skip


def check_submitted(submitted: dict[str, str], here: dict[str, str]) -> None:
    """Check that the imported sources are the submitted ones.

    Raises
    ------
    SourceError
        They are not; the message names the first module or file that differs.
    """
    wanted = {name: text for name, text in submitted.items() if here.get(name) != text}
    for name in differences(wanted, {name: here[name] for name in wanted if name in here}):
        if name not in _KNOWN:
            raise SourceError(
                f"{name}: used at submission and missing on this host; name its module in TVB_BATCH_MODULES and "
                "put the same sources here, then `tvb-batch retry`"
            )
        raise SourceError(
            f"{name}: {_KNOWN[name].path} on this host differs from the submitted file; `tvb-batch retry` takes it as "
            "it is where you call it, and submitting again runs everything anew"
        )


def _spec_of(name: str) -> object:
    return getattr(sys.modules.get(name), "__spec__", None)


def _stamp(path: Path) -> _Stamp:
    try:
        found = path.stat()
    except OSError:
        return None
    # An editor or a copy may keep time and size, but it cannot set the time of the inode's last change.
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino


# ------------------------------------------------------------------------------------------------------ from the source


class _Loader(SourceFileLoader):
    """Compiles the source itself; bytecode can be stale if time (in seconds) and size are equal."""

    def path_stats(self, path: Any) -> Any:
        raise OSError


class _Finder:
    """Uses the loader above for the user's modules."""

    def __init__(self, whole: Closure) -> None:
        self._names = frozenset(whole.files)

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name not in self._names:
            return None
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(name, path, target)
            if spec is not None:
                if type(spec.loader) is SourceFileLoader and spec.origin is not None:
                    spec.loader = _Loader(name, spec.origin)
                return spec
        return None


@contextmanager
def _from_source(whole: Closure) -> Iterator[None]:
    finder: Any = _Finder(whole)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


# ----------------------------------------------------------------------------------- what somebody else imported before


def _is_of_source(name: str, path: Path) -> bool:
    """Return whether an imported module has the functions and constants of its current source."""
    module = sys.modules.get(name)
    if module is None or path.suffix != ".py":
        return True
    try:
        content = path.read_bytes()
        code, tree = compile(content, str(path), "exec", dont_inherit=True), ast.parse(content)
    except (OSError, SyntaxError, ValueError):
        return False
    return _has_functions(module, code) and _has_constants(module, tree)


def _has_functions(module: ModuleType, code: types.CodeType) -> bool:
    """Return whether every function of a module and of its classes is in the source unchanged."""
    wanted: dict[str, list[Any]] = {}
    todo = [code]
    while todo:
        inner = [const for const in todo.pop().co_consts if isinstance(const, types.CodeType)]
        todo += inner
        for one in inner:
            wanted.setdefault(one.co_qualname, []).append(_plain(one))
    places = [module, *(one for one in vars(module).values() if isinstance(one, type))]
    places = [one for one in places if getattr(one, "__module__", module.__name__) == module.__name__]
    functions = [_function(one) for place in places for one in vars(place).values()]
    return all(
        _plain(one.__code__) in wanted.get(one.__code__.co_qualname, ())
        for one in functions
        if isinstance(one, types.FunctionType) and one.__module__ == module.__name__ and "<" not in one.__qualname__
    )


def _function(value: Any) -> Any:
    """Return the function inside a static method, a property or a Numba function."""
    return next((found for name in ("__func__", "fget", "py_func") if (found := getattr(value, name, None))), value)


def _plain(code: types.CodeType) -> tuple[Any, ...]:
    """Return the code of a function without line numbers and file."""
    constants = tuple(
        _plain(one) if isinstance(one, types.CodeType) else one if isinstance(one, frozenset) else repr(one)
        for one in code.co_consts
    )
    return code.co_code, code.co_names, code.co_varnames, constants


def _has_constants(module: ModuleType, tree: ast.Module) -> bool:
    """Return whether the module has the numbers and texts that its source assigns once."""
    values = [
        (target.id, node.value.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and node.value.value is not None
        for target in node.targets
        if isinstance(target, ast.Name)
    ]
    names = [name for name, _ in values]
    varying = {name for node in ast.walk(tree) if isinstance(node, ast.Global) for name in node.names}
    return all(
        getattr(module, name, None) == value for name, value in values if names.count(name) == 1 and name not in varying
    )
