"""Norms of vectors in the body of a function of TVB, made for all nodes at once.

Called by `worker.engines.passes.gufuncs`.

A norm may need a call of BLAS, and a loop with a call works on one node at a time. So a body is cut in two: what can
come before the norms, and what needs them. `primitives.numba_vectors` makes the norms between the two.
"""

import ast
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class NormSplit:
    """A body before and after its norms."""

    before: list[ast.stmt]
    #: The name of each norm, and the names of its vector's numbers.
    norms: tuple[tuple[str, tuple[str, ...]], ...]
    after: list[ast.stmt]


def split_at_norms(statements: Sequence[ast.stmt]) -> NormSplit | None:
    """Cut a body at its norms of three numbers; return None if there are none, or if one needs another."""
    if not all(isinstance(one, ast.Assign) and isinstance(one.targets[0], ast.Name) for one in statements):
        return None
    before: list[ast.stmt] = []
    after: list[ast.stmt] = []
    norms: dict[str, tuple[str, ...]] = {}
    dependent: set[str] = set()
    for statement in _name_once(statements):
        assert isinstance(statement.targets[0], ast.Name)
        name, read = statement.targets[0].id, names_in(statement.value)
        numbers = _numbers(statement.value)
        if numbers and not read & dependent:
            norms[name] = numbers
        elif numbers:
            return None
        elif not read & dependent:
            before.append(statement)
            continue
        else:
            after.append(statement)
        dependent.add(name)
    return NormSplit(before, tuple(norms.items()), after) if norms else None


def names_in(node: ast.AST) -> set[str]:
    """Return the names that are read or set."""
    return {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}


def _numbers(value: ast.expr) -> tuple[str, ...]:
    """Return the names of the three numbers of `norm(a, b, c)`, or nothing."""
    if not (isinstance(value, ast.Call) and ast.unparse(value.func) == "norm" and len(value.args) == 3):
        return ()
    names = tuple(one.id for one in value.args if isinstance(one, ast.Name))
    return names if len(names) == 3 else ()


def _name_once(statements: Sequence[ast.stmt]) -> list[ast.Assign]:
    """Return the statements with a new name for each value of a name that is set again later."""
    left: dict[str, int] = {}
    for statement in statements:
        assert isinstance(statement, ast.Assign)
        assert isinstance(statement.targets[0], ast.Name)
        left[statement.targets[0].id] = left.get(statement.targets[0].id, 0) + 1
    current: dict[str, str] = {}
    written = []
    for statement in statements:
        assert isinstance(statement, ast.Assign)
        value = _Rename(current).visit(ast.parse(ast.unparse(statement.value), mode="eval").body)
        assert isinstance(statement.targets[0], ast.Name)
        name = statement.targets[0].id
        left[name] -= 1
        current[name] = f"{name}_{left[name]}_left" if left[name] else name
        written.append(ast.Assign([ast.Name(current[name], ast.Store())], value, lineno=0))
    return written


class _Rename(ast.NodeTransformer):
    def __init__(self, names: dict[str, str]) -> None:
        self._names = names

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return ast.Name(self._names.get(node.id, node.id), node.ctx)
