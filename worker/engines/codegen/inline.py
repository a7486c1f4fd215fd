"""The body of a function of TVB, written into the loop over the nodes. Called by `worker.engines.codegen.emit`."""

import ast
import re
from collections.abc import Mapping
from typing import NamedTuple

from tvb_batch.worker.engines.graph import ScalarFunction
from tvb_batch.worker.engines.passes.gufuncs import HELPERS

#: Names of primitives in what is written here: two forms of exp, and the largest argument of the quick one.
QUICK_EXP, WHOLE_EXP, EXP_RANGE = "quick_exp", "whole_exp", "EXP_RANGE"
_QUICK_NORM = "quick_norm"


class Inlined(NamedTuple):
    """The statements of a function inside a loop over the nodes."""

    lines: list[str]
    #: Names of primitives that they use.
    requires: frozenset[str]


def inline(
    function: ScalarFunction, operands: list[str], results: list[str], suffix: str, *, exp: str, quick_norm: bool
) -> Inlined:
    """Return the statements of a function, with names of their own.

    Parameters
    ----------
    suffix : makes the function's own names unique
    exp : what is called in its place, empty for none; of `QUICK_EXP` the numbers that are out of range are counted
    quick_norm : whether norms are done without a call
    """
    names = dict(zip(function.inputs, operands, strict=True)) | dict(zip(function.results, results, strict=True))
    tree = ast.parse(function.body)
    kept = {line.split(" as ")[-1] for line in function.imports if " as " in line}
    kept |= {line.split(" = ")[0] for line in function.imports if " = " in line}
    made = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    names |= {name: name + suffix for name in made - names.keys() - kept}
    # A name that the function sets anew must not change what others read.
    fresh = {name: names[name] + suffix for name in made & set(function.inputs)}
    renamed = _Rename(names | fresh).visit(tree)
    first = [f"{fresh[name]} = {names[name]}" for name in sorted(fresh)]
    if quick_norm:
        renamed = _QuickNorm().visit(renamed)
    if exp:
        renamed = _Exp(exp, suffix).visit(renamed)
    helpers = HELPERS | {_QUICK_NORM, QUICK_EXP, WHOLE_EXP, EXP_RANGE}
    requires = frozenset(node.id for node in ast.walk(renamed) if isinstance(node, ast.Name)) & helpers
    return Inlined([*first, *ast.unparse(ast.fix_missing_locations(renamed)).splitlines()], requires)


class _Rename(ast.NodeTransformer):
    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = names

    def visit_Name(self, node: ast.Name) -> ast.AST:
        new = self._names.get(node.id, node.id)
        if re.fullmatch(r"\(.*\)|np\..*", new):  # A literal of TVB's source.
            return ast.parse(new, mode="eval").body
        return ast.Name(new, node.ctx)


class _QuickNorm(ast.NodeTransformer):
    def visit_Call(self, node: ast.Call) -> ast.AST:
        node = self.generic_visit(node)  # type: ignore[assignment]
        if ast.unparse(node.func) == "norm" and len(node.args) == 3:
            node.func = ast.Name(_QUICK_NORM, ast.Load())
        return node


def count_out_of_range(name: str) -> str:
    """Return the statement that counts a number which is out of the range of `QUICK_EXP`."""
    return f"outside += 0 if abs({name}) < {EXP_RANGE} else 1"


class _Exp(ast.NodeTransformer):
    """`exp(x)` becomes `e = x`, `outside += not |e| < EXP_RANGE`, `quick_exp(e)`; or `whole_exp(x)`."""

    def __init__(self, exp: str, suffix: str) -> None:
        self._exp, self._suffix, self._count = exp, suffix, 0
        self._before: list[ast.stmt] = []

    def visit_Call(self, node: ast.Call) -> ast.AST:
        node = self.generic_visit(node)  # type: ignore[assignment]
        if ast.unparse(node.func) not in ("math.exp", "numpy.exp", "np.exp", "exp"):
            return node
        if self._exp == WHOLE_EXP:
            return ast.Call(ast.Name(self._exp, ast.Load()), node.args, [])
        self._count += 1
        name = f"e{self._count}{self._suffix}"
        self._before += ast.parse(f"{name} = {ast.unparse(node.args[0])}\n{count_out_of_range(name)}").body
        return ast.parse(f"{self._exp}({name})", mode="eval").body

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        node.test = self.visit(node.test)
        before, self._before = self._before, []
        node.body = self._block(node.body)
        node.orelse = self._block(node.orelse)
        return [*before, node]

    def visit_Module(self, node: ast.Module) -> ast.AST:
        node.body = self._block(node.body)
        return node

    def _block(self, statements: list[ast.stmt]) -> list[ast.stmt]:
        found: list[ast.stmt] = []
        for statement in statements:
            new = self.visit(statement)
            before, self._before = self._before, []
            found += [*before, *(new if isinstance(new, list) else [new])]
        return found
