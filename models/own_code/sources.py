"""Finds the source files that decide a result: the user's modules and their imports. Executes none of them.

A module is the user's own if TVB_BATCH_MODULES names it or another module of its top-level package, or if it is neither
in the standard library nor in an installed package. Imports are read from the text, also inside functions. A file that
such a source names as a text, relative to its directory, counts too: a model may read numbers from it.
"""

import ast
import hashlib
import importlib
import itertools
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from tvb_batch.models.own_code.allowed import allowed

#: Prefixes of the entries in a job's `versions` for sources of classes and of metrics.
OF_DATA, OF_METRICS = "source ", "metrics "
TVB = "tvb-library"
#: Marks the version of a tvb-library that differs from its release.
CHANGED = "+changed."
#: The digest of a missing module.
MISSING = "not found"

#: Modules with metrics import one of these.
_METRICS = frozenset({"tvb_batch", "tvb_batch.worker.job.metrics"})
#: This program's package; its version is recorded instead of its sources.
_OURS = Path(__file__).parent.parent.parent
#: TVB's packages that a simulation executes.
_OF_TVB = ("basic", "datatypes", "simulator")
#: Installed packages that nearly every model imports; they are not searched.
_KNOWN = frozenset({"tvb", "numpy", "scipy", "numba"}) | sys.stdlib_module_names
_INSTALLED = frozenset({"site-packages", "dist-packages"})
#: Maximum length of a text that may be a file name, and maximum number of directories to combine it with.
_LONGEST, _MOST_DIRECTORIES = 200, 20
#: Maximum number of texts that form the path of a directory.
_DEEPEST = 3
_DIGITS = 16


@dataclass(frozen=True)
class Closure:
    """A module and all its imports of the user's own code."""

    #: By module name; other files by `module:file`, where `module` reads the file.
    files: Mapping[str, Path]
    #: Whether a module in it may register a metric.
    has_metrics: bool


def closure(module: str) -> Closure:
    """Return the source files of a module and of its imports; no file if the module is not found."""
    importlib.invalidate_caches()
    tops = {name.partition(".")[0] for name in (module, *allowed())} - _KNOWN
    search, todo = _Search(), [module]
    files: dict[str, Path] = {}
    imported: set[str] = set()
    while todo:
        name = todo.pop()
        if name in imported:
            continue
        imported.add(name)
        # A package is executed before its modules.
        todo += [name.rpartition(".")[0]] if "." in name else []
        if name != module and name.partition(".")[0] in _KNOWN - tops:
            continue
        spec = search.find(name)
        path = _file(spec)
        if spec is None or path is None or not _is_own(name, path, tops | {module}):
            continue
        files[name] = path
        tree = _tree(path)
        if tree is not None:
            named = _Named(tree, name, path)
            search.also += named.directories.values()
            todo += _imports(tree, name, spec, search)
            files |= {f"{name}:{told}": found for told, found in named.files()}
    return Closure(dict(sorted(files.items())), bool(imported & _METRICS))


def digest(path: Path) -> str:
    """Return the digest of a file's content; that of a missing file if it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:_DIGITS]
    except OSError:
        return MISSING


def modules_of(value: Any) -> set[str]:
    """Return the user's modules that the sections of a spec, or a plan, use."""
    if isinstance(value, Mapping):
        named = (item for key, item in value.items() if str(key).rpartition(".")[2] == "class")
        texts = itertools.chain.from_iterable([item] if isinstance(item, str) else item or () for item in named)
        found = {text.rpartition(".")[0] for text in texts if isinstance(text, str)}
        return found.intersection(allowed()).union(*map(modules_of, value.values()))
    if isinstance(value, list | tuple) and not isinstance(value[0] if value else 0.0, int | float):
        return set[str]().union(*map(modules_of, value))
    return set()


class Here:
    """The sources on this machine's disk now, each read once."""

    def __init__(self) -> None:
        self._closures: dict[str, Closure] = {}
        self._digests: dict[Path, str] = {}

    def of_data(self, modules: Iterable[str]) -> dict[str, str]:
        """Return the digests of all files that decide the data of classes of these modules."""
        return {name: text for module in sorted(modules) for name, text in self._entries(OF_DATA, module)}

    def of_metrics(self) -> dict[str, str]:
        """Return the digests of all files that decide the user's own metrics."""
        return {
            name: text
            for module in allowed()
            if self._closure(module).has_metrics or not self._closure(module).files
            for name, text in self._entries(OF_METRICS, module)
        }

    def _entries(self, kind: str, module: str) -> Iterator[tuple[str, str]]:
        files = self._closure(module).files
        if module not in files:
            yield f"{kind}{module}", MISSING
        for name, path in files.items():
            if path not in self._digests:
                self._digests[path] = digest(path)
            yield f"{kind}{name}", self._digests[path]

    def _closure(self, module: str) -> Closure:
        if module not in self._closures:
            self._closures[module] = closure(module)
        return self._closures[module]


def submitted(base: Mapping[str, Any], plan: Mapping[str, Any], here: Here | None = None) -> dict[str, str]:
    """Return the sources that workers must have for a sweep submitted here."""
    here = here or Here()
    found = {**here.of_data(modules_of(base) | modules_of(plan)), **here.of_metrics()}
    found = {name: text for name, text in found.items() if text != MISSING}
    # Releases of TVB may differ; an edited source must be the same.
    return found | ({TVB: tvb_version()} if CHANGED in tvb_version() else {})


def entries(versions: Mapping[str, Any] | None, kind: str) -> dict[str, str]:
    """Return the entries of a job's `versions` about its sources."""
    return {name: str(value) for name, value in (versions or {}).items() if name.startswith(kind)}


def differences(then: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Return the modules and files that differ, without the prefix of an entry."""
    names = [name.partition(" ")[2] or name for name in {**then, **now} if then.get(name) != now.get(name)]
    return list(dict.fromkeys(names))


# ------------------------------------------------------------------------------------------------------------------ TVB


@cache
def tvb_version() -> str:
    """Return the version of tvb-library; `2.10.0+changed.0123abcd` if its source was edited.

    Files of an installation are compared with the sha256 recorded by the installer. A checkout (`pip install -e`) has
    no such record; the digest of its whole source is part of the version. The result is cached in the process.
    """
    found = distribution(TVB)
    noted = {str(file): file.hash for file in found.files or () if file.hash is not None}
    root = next(iter(search.submodule_search_locations or ()), "") if (search := _Search().find("tvb")) else ""
    changed, whole = hashlib.sha256(), True
    for part in _OF_TVB:
        for path in sorted(Path(root, part).rglob("*.py")):
            name = f"tvb/{path.relative_to(root).as_posix()}"
            content = path.read_bytes()
            known = noted.get(name)
            if known is None or known.value != _as_noted(content, known.mode):
                whole = False
                changed.update(f"{name}\0".encode() + hashlib.sha256(content).digest())
    return found.version if whole else f"{found.version}{CHANGED}{changed.hexdigest()[:8]}"


def _as_noted(content: bytes, mode: str) -> str:
    import base64

    return base64.urlsafe_b64encode(hashlib.new(mode, content).digest()).rstrip(b"=").decode()


# ---------------------------------------------------------------------------------------------------------- one source


class _Search:
    """Finds modules without importing their packages, unlike `importlib.util.find_spec`."""

    def __init__(self) -> None:
        self._found: dict[str, ModuleSpec | None] = {}
        #: Directories that a source names; it may add them to `sys.path` before an import.
        self.also: list[Path] = []

    def find(self, name: str) -> ModuleSpec | None:
        if self._found.get(name) is None:
            self._found[name] = self._look(name)
        return self._found[name]

    def _look(self, name: str) -> ModuleSpec | None:
        path = None
        if "." in name:
            parent = self.find(name.rpartition(".")[0])
            if parent is None or parent.submodule_search_locations is None:
                return None
            # A namespace package counts its places with the help of its imported parent; what it had first is there.
            places = parent.submodule_search_locations
            path = list(getattr(places, "_path", places))
        for finder in sys.meta_path:
            try:
                spec = finder.find_spec(name, path, None)
            except (ImportError, AttributeError, KeyError, ValueError, OSError):
                continue
            if spec is not None:
                return spec
        if path is None:
            return PathFinder.find_spec(name, [*map(str, self.also)]) if self.also else None
        return _namespace(name, path)


def _namespace(name: str, path: Iterable[str]) -> ModuleSpec | None:
    """Return a directory without `__init__.py` in a package."""
    places = [str(found) for place in path if _is(found := Path(place, name.rpartition(".")[2]), "dir")]
    if not places:
        return None
    spec = ModuleSpec(name, None, is_package=True)
    spec.submodule_search_locations = places
    return spec


def _file(spec: ModuleSpec | None) -> Path | None:
    """Return the file of a module; for a module in a ZIP, the ZIP."""
    if spec is None or spec.origin is None or not spec.has_location:
        return None
    path = Path(spec.origin)
    return next((place for place in (path, *path.parents) if place.is_file()), None)


def _is_own(name: str, path: Path, tops: Iterable[str]) -> bool:
    if path.is_relative_to(_OURS):
        return False
    if name.partition(".")[0] in tops or name in tops:
        return True
    return _INSTALLED.isdisjoint(path.parts) and not path.is_relative_to(Path(ast.__file__).parent)


def _tree(path: Path) -> ast.Module | None:
    if path.suffix != ".py":
        return None
    try:
        return ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return None  # The import itself reports the error.


def _imports(tree: ast.Module, name: str, spec: ModuleSpec, search: _Search) -> Iterator[str]:
    """Return the names of modules that may be imported, and names imported from them."""
    places = spec.submodule_search_locations
    package = name if places is not None else name.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute("." * node.level + (node.module or ""), package)
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names if alias.name != "*")
            if any(alias.name == "*" for alias in node.names):
                yield from _inside(base, search)
        elif isinstance(node, ast.Call) and _called(node.func) in ("import_module", "__import__"):
            yield from _given(node, package)


def _inside(package: str, search: _Search) -> Iterator[str]:
    """Return the modules of a package that `from package import *` may import."""
    spec = search.find(package)
    for place in (spec.submodule_search_locations or ()) if spec else ():
        yield from (f"{package}.{path.stem}" for path in Path(place).glob("*.py") if path.stem != "__init__")


def _given(call: ast.Call, package: str) -> Iterator[str]:
    """Return the module given to `import_module`, resolved in the given package if relative."""
    given = {str(place): value for place, value in enumerate(call.args)}
    given |= {word.arg: word.value for word in call.keywords if word.arg}
    name, of = (_text(given.get(place, given.get(word))) for place, word in (("0", "name"), ("1", "package")))
    if name:
        yield _absolute(name, of or package)


def _text(node: ast.expr | None) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def _called(function: ast.expr) -> str:
    return getattr(function, "attr", getattr(function, "id", ""))


def _absolute(name: str, package: str) -> str:
    level = len(name) - len(name.lstrip("."))
    if not level:
        return name
    base = package.split(".")
    base = base[: len(base) - level + 1]
    return ".".join([*base, *filter(None, [name[level:]])])


class _Named:
    """The files and directories that a source names, relative to itself or to its package.

    Parameters
    ----------
    tree, name, source : syntax tree, name and file of the module
    """

    def __init__(self, tree: ast.Module, name: str, source: Path) -> None:
        self._source = source
        self._texts = sorted(_texts(tree))
        #: The directory of the source, and its parents in the package.
        self._places = source.parents[: 1 + name.count(".") + (source.name == "__init__.py")]
        #: By the joined texts of the path: `data/v1` for two texts.
        self.directories: dict[str, Path] = {}
        for place in self._places:
            self._walk(place)

    def files(self) -> Iterator[tuple[str, Path]]:
        """Yield each file, found by the texts that name it."""
        # `with_suffix(".json")` names only the suffix.
        own = [self._source.stem + text for text in self._texts if text.startswith(".")]
        for called, directory in self.directories.items():
            before = called.partition(":/")[2]
            for text in [*self._texts, *(own if directory == self._source.parent else ())]:
                for path in _matching(directory, text):
                    # For a pattern, each file by its own name.
                    told = path.name if "*" in text else text if path == Path(text) else text.lstrip("/")
                    if path != self._source:
                        yield f"{before}/{told}" if before and path != Path(text) else told, path

    def _walk(self, place: Path) -> None:
        """Note a place, and the directories that texts lead to from it, up to three deep."""
        start = f"{self._places.index(place)}:"
        self.directories[start] = place
        todo, most = [start], len(self.directories) + _MOST_DIRECTORIES
        while todo and len(self.directories) < most:
            called = todo.pop(0)
            for text in self._texts if called.count("/") < _DEEPEST else ():
                for part in _as_directories(text):
                    path = self.directories[called] / part
                    if path not in self.directories.values() and _is(path, "dir"):
                        deeper = f"{called}/{part}"
                        self.directories[deeper] = path
                        todo.append(deeper)


def _texts(tree: ast.Module) -> set[str]:
    values = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant))
    texts = {os.fsdecode(value) for value in values if isinstance(value, str | bytes)}
    return {text for text in texts if 0 < len(text) <= _LONGEST and text.isprintable()}


def _as_directories(text: str) -> list[str]:
    """Return the directories that a text may name: itself, and `mypackage/data` for `mypackage.data`."""
    dotted = text.replace(".", "/") if "." in text and all(map(str.isidentifier, text.split("."))) else ""
    return [part for part in dict.fromkeys((text, text.strip("/"), dotted)) if part.strip("/") not in ("", ".")]


def _matching(directory: Path, text: str) -> Iterator[Path]:
    """Yield the files of a directory that a text names: `gains.npy`, `/gains.npy` or `gains_*.npy`."""
    if "*" in text and "/" not in text and text.strip("*. "):
        yield from sorted(path for path in directory.glob(text) if _is(path, "file"))
    for part in dict.fromkeys((text, text.lstrip("/"))):
        if part and _is(directory / part, "file"):
            yield directory / part


def _is(path: Path, kind: str) -> bool:
    try:
        return path.is_file() if kind == "file" else path.is_dir()
    except (OSError, ValueError):
        return False
