"""Cosines and sines of a function's arguments, computed before its body. Called by `worker.engines.passes.gufuncs`.

TVB's epileptors rotate by angles that are state variables; `primitives.libm_sincos` takes all nodes at once.
"""

import ast

_FUNCTIONS = {f"{module}.{name}": name for module in ("numpy", "np", "math") for name in ("cos", "sin")}


def sincos_names(name: str) -> tuple[str, str]:
    """Return the names of an argument's cosine and sine in the body."""
    return f"cos_of_{name}", f"sin_of_{name}"


def extract_sincos(statements: list[ast.stmt], inputs: set[str]) -> tuple[str, ...]:
    """Replace cosines and sines of inputs by names, in place; return these inputs in order.

    Parameters
    ----------
    inputs : names of float64
    """
    nodes = [node for statement in statements for node in ast.walk(statement)]
    stored = [node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)]
    used = {node.id for node in nodes if isinstance(node, ast.Name)}
    known = {name: name for name in inputs if name not in stored and used.isdisjoint(sincos_names(name))}
    for statement in statements:
        # `z = state_variables[2]` gives an input another name.
        if not isinstance(statement, ast.Assign) or not isinstance(statement.value, ast.Name):
            continue
        for target in statement.targets:
            if isinstance(target, ast.Name) and stored.count(target.id) == 1 and statement.value.id in known:
                known[target.id] = known[statement.value.id]
    found = _SinCos(known)
    for statement in statements:
        found.visit(statement)
    return tuple(sorted(found.found))


class _SinCos(ast.NodeTransformer):
    def __init__(self, known: dict[str, str]) -> None:
        self._known = known
        self.found: set[str] = set()

    def visit_Call(self, node: ast.Call) -> ast.AST:
        name = _FUNCTIONS.get(ast.unparse(node.func))
        argument = node.args[0] if len(node.args) == 1 else None
        if name is None or not isinstance(argument, ast.Name) or argument.id not in self._known:
            return self.generic_visit(node)
        angle = self._known[argument.id]
        self.found.add(angle)
        return ast.Name(sincos_names(angle)[name == "sin"], ast.Load())
