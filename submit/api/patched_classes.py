"""Finds classes and modules that the script has changed.

A worker imports the same modules. A method that a script puts into a TVB class, or a function that it puts into a
module, exists only in the process of the script.
"""

import ast
import sys
import types
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from tvb_batch.models.errors import SpecError

#: The module of the loop that runs every simulation.
_LOOP = ("tvb.simulator.simulator", "tvb.simulator.history", "tvb.simulator.backend.ref", "tvb.simulator.common")
#: Names that TVB's metaclass or Python adds to each class.
_ADDED = {"declarative_attrs", "declarative_props", "_own_declarative_attrs", "_own_declarative_props", "_abc_impl"}
#: Names of a class or module, with their values if they are literals in the source.
Names = dict[str, Any]
_COMPUTED = object()


def refuse_patches(objects: Iterable[Any]) -> None:
    """Check that no class of the objects and no function of their modules was changed after the import.

    Raises
    ------
    SpecError
        One was changed; the message names it with its module.
    """
    history = sys.modules["tvb.simulator.history"].SparseHistory
    classes = dict.fromkeys(base for cls in [history, *map(type, objects)] for base in cls.__mro__)
    modules = dict.fromkeys([*(cls.__module__ for cls in classes), *_LOOP])
    for module in modules:
        for name, value in _own_functions(module):
            if _is_foreign(value, module):
                raise _refusal(f"{module}.{name}", "a function that was replaced")
    for cls in classes:
        if not (found := _source_names(cls.__module__).get(cls.__qualname__)):
            continue
        for name, value in vars(cls).items():
            place = f"{cls.__module__}.{cls.__qualname__}.{name}"
            if any(_is_foreign(function, cls.__module__) for function in _functions(value)):
                raise _refusal(place, "a method that was replaced on the class")
            is_tvb = cls.__module__.startswith("tvb.")
            if is_tvb and name not in found and name not in _ADDED and not name.startswith("__"):
                raise _refusal(place, "an attribute that was added to the class")
            if (known := found.get(name, _COMPUTED)) is not _COMPUTED and not _is_literal(value, known):
                raise _refusal(place, f"{value!r}, set on the class")


def _refusal(place: str, found: str) -> SpecError:
    hint = "workers do not get it: put it into a subclass in a module of your own, named in TVB_BATCH_MODULES"
    return SpecError(place, found, "what its module defines", hint)


def _is_literal(value: Any, known: Any) -> bool:
    return bool(type(value) is type(known) and value == known)


def _own_functions(module: str) -> Iterator[tuple[str, Any]]:
    for name in _source_names(module).get("", ()):
        for function in _functions(getattr(sys.modules[module], name, None)):
            yield name, function


def _functions(value: Any) -> Iterator[types.FunctionType]:
    """Yield the Python functions inside a method, a property or a compiled function."""
    for name in ("__func__", "fget", "fset", "py_func", "__wrapped__"):
        inner = getattr(value, name, None)
        if isinstance(inner, types.FunctionType):
            yield inner
    if isinstance(value, types.FunctionType):
        yield value


def _is_foreign(function: types.FunctionType, module: str) -> bool:
    """Return whether a worker that imports `module` would find another function."""
    own = getattr(sys.modules[module], "__file__", None)
    if module.startswith("tvb."):
        return function.__code__.co_filename != own and _is_written_elsewhere(function)
    # Decorators of a user's module may come from any module.
    return function.__module__ == "__main__" and module != "__main__"


def _is_written_elsewhere(function: types.FunctionType) -> bool:
    """Return whether a function is not from a library; TVB's decorators wrap functions of other files."""
    return not str(function.__module__).startswith(("tvb.", "abc", "functools", "numba."))


@cache
def _source_names(module: str) -> dict[str, Names]:
    """Return the names of each class in a module's source; the empty name has the functions of the module."""
    file = getattr(sys.modules.get(module), "__file__", None)
    if module in ("builtins", "abc") or file is None or not file.endswith(".py"):
        return {}
    try:
        tree = ast.parse(Path(file).read_text(encoding="utf-8"))
    except (OSError, SyntaxError, UnicodeDecodeError):
        return {}
    found: dict[str, Names] = {"": {}}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            found[""][node.name] = _COMPUTED
        elif isinstance(node, ast.ClassDef) and not node.decorator_list:
            found[node.name] = dict(_names(node.body))
        elif isinstance(node, ast.ClassDef):
            found[node.name] = dict.fromkeys(dict(_names(node.body)), _COMPUTED)
    return found


def _names(body: Iterable[ast.stmt]) -> Iterator[tuple[str, Any]]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name, _COMPUTED
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            value = _literal(node.value)
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                names = [item.id for item in ast.walk(target) if isinstance(item, ast.Name)]
                yield from ((name, value if isinstance(target, ast.Name) else _COMPUTED) for name in names)
        elif not isinstance(node, ast.Expr):
            # Set in a loop or a condition: any value is allowed.
            yield from ((item.id, _COMPUTED) for item in ast.walk(node) if isinstance(item, ast.Name))


def _literal(node: ast.expr | None) -> Any:
    if node is None:
        return _COMPUTED
    try:
        return ast.literal_eval(node)
    except ValueError:
        return _COMPUTED
