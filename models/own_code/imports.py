"""Imports the operator's modules, and knows of which source they are in this process.

What a process has imported stays as it was, whatever becomes of the files. So each file is remembered as it was when
it was imported: a worker replaces a process whose files have changed, and a notebook is told to start anew.
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

#: What tells one state of a file from another without reading it.
_Stamp = tuple[int, int, int, int] | None


@dataclass
class _Known:
    """A source file as this process has it."""

    path: Path
    stamp: _Stamp
    digest: str
    #: Of the module that was imported from it; another one after `importlib.reload`.
    spec: object


#: By the name of the module or file; see `sources.Closure`.
_KNOWN: dict[str, _Known] = {}
#: By the modules that were imported here.
_CLOSURES: dict[str, Closure] = {}
#: A web server looks at several at once.
_LOCK = threading.RLock()


def load(module: str) -> ModuleType:
    """The module, imported from its source as it is now, or as it was when this process imported it.

    Raises
    ------
    ImportError, Exception
        Whatever its own code raises.
    """
    with _LOCK:
        found = sys.modules.get(module)
        if module in _CLOSURES and found is not None and _spec_of(module) is _KNOWN[module].spec:
            return found
        whole = closure(module)
        # Remembered first: what changes while it is imported is noticed.
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
    """Whether this process has imported the module through `load`."""
    return module in _CLOSURES


def loaded(modules: Iterable[str]) -> dict[str, str]:
    """The digests of the sources of classes of these modules as they were imported; imports what was not yet."""
    return {
        f"{OF_DATA}{name}": _KNOWN[name].digest
        for module in sorted(modules)
        if load(module) and module in _CLOSURES
        for name in _CLOSURES[module].files
    }


def loaded_metrics() -> dict[str, str]:
    """The digests of the sources of metrics that were imported."""
    return {
        f"{OF_METRICS}{name}": _KNOWN[name].digest
        for _, whole in sorted(_CLOSURES.items())
        if whole.has_metrics
        for name in whole.files
    }


def forget() -> None:
    """Let everything be imported anew. Not for a process that has objects of these modules."""
    with _LOCK:
        for name in _KNOWN:
            sys.modules.pop(name, None)
        _KNOWN.clear()
        _CLOSURES.clear()


def changed() -> list[str]:
    """The modules and files whose source is another one than what this process imported."""
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
    """Return when the classes of these modules that this process has are those of their sources.

    Raises
    ------
    SpecError
        A source was edited since, or what was made of it changed: a worker would run something else.
    """
    for module in modules:
        load(module)
    stale = set(changed())
    for name in sorted({name for module in modules if module in _CLOSURES for name in _CLOSURES[module].files}):
        if name in stale or not _is_of_source(name, _KNOWN[name].path):
            raise SpecError(
                name, f"{_KNOWN[name].path} is not what this process has imported: it was edited since, or a function "
                "or a number of the module was replaced", "what workers import too", "start the kernel or program anew",
            )  # fmt: skip


def check_submitted(submitted: dict[str, str], here: dict[str, str]) -> None:
    """Return when what was submitted is what was imported here.

    Raises
    ------
    SourceError
        It is not; names the first module or file that differs.
    """
    wanted = {name: text for name, text in submitted.items() if here.get(name) != text}
    for name in differences(wanted, {name: here[name] for name in wanted if name in here}):
        if name not in _KNOWN:
            raise SourceError(
                f"{name}: submitted with it, and it is not used on this host; name its module in TVB_BATCH_MODULES and "
                "put the same sources here, then `tvb-batch retry`"
            )
        raise SourceError(
            f"{name}: {_KNOWN[name].path} on this host differs from what was submitted; `tvb-batch retry` takes it as "
            "it is where you call it, and submitting again runs everything anew"
        )


def _spec_of(name: str) -> object:
    return getattr(sys.modules.get(name), "__spec__", None)


def _stamp(path: Path) -> _Stamp:
    try:
        found = path.stat()
    except OSError:
        return None
    # An editor or a copy may keep time and size; the time of the last change to the file itself it cannot set.
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino


# ------------------------------------------------------------------------------------------------------ from the source


class _Loader(SourceFileLoader):
    """Compiles the source itself: bytecode counts as fresh when time in seconds and size are those of the source."""

    def path_stats(self, path: Any) -> Any:
        raise OSError


class _Finder:
    """Gives the operator's modules the loader above."""

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
    """Whether a module that a person's program imported has the functions and constants of its source as it is now."""
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
    """Whether every function of a module and of its classes is in the source, as it is."""
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
    """What a static method, a property or Numba was given."""
    return next((found for name in ("__func__", "fget", "py_func") if (found := getattr(value, name, None))), value)


def _plain(code: types.CodeType) -> tuple[Any, ...]:
    """A function's code without its lines and its file."""
    constants = tuple(
        _plain(one) if isinstance(one, types.CodeType) else one if isinstance(one, frozenset) else repr(one)
        for one in code.co_consts
    )
    return code.co_code, code.co_names, code.co_varnames, constants


def _has_constants(module: ModuleType, tree: ast.Module) -> bool:
    """Whether the module has the numbers and texts that its source assigns once, and that no function changes."""
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
