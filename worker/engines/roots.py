"""Roots of complex numbers in the body of a function of TVB, each made once. Called by `worker.engines.gufuncs`.

TVB's epileptors solve a cubic by two roots, which are mostly conjugates: see `primitives.vectors.root`.
"""

import ast


def write_roots(module: ast.Module) -> bool:
    """Replace `x ** (1 / 3)` of a body with complex numbers, in place; whether there was one."""
    if not _is_complex(module):
        return False
    roots = _Roots()
    module.body = roots.block(module.body)
    return roots.count > 0


class _Roots(ast.NodeTransformer):
    def __init__(self) -> None:
        self.count = 0
        self._before: list[ast.stmt] = []
        #: What the last root of this statement gave, by its exponent; and square roots, by their text.
        self._known: dict[float, str] = {}
        self._square: dict[str, str] = {}

    def block(self, statements: list[ast.stmt]) -> list[ast.stmt]:
        """The statements, each after the roots that it needs."""
        written: list[ast.stmt] = []
        for statement in statements:
            outer, self._before = self._before, []
            self._known, self._square = {}, {}
            if isinstance(statement, ast.If):
                new: ast.stmt = ast.If(statement.test, self.block(statement.body), self.block(statement.orelse))
            else:
                new = self.visit(statement)
            written += [*self._before, new]
            self._before = outer
        return written

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if ast.unparse(node.func) not in ("numpy.sqrt", "np.sqrt") or not _is_complex(node):
            return node
        text = ast.unparse(node)
        if text not in self._square:
            self.count += 1
            self._square[text] = f"square{self.count}"
            self._before += ast.parse(f"{self._square[text]} = {text}").body
        return ast.Name(self._square[text], ast.Load())

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        exponent = _fraction(node.right) if isinstance(node.op, ast.Pow) and _is_complex(node.left) else None
        self.generic_visit(node)
        if exponent is None:
            return node
        self.count += 1
        name = f"root{self.count}"
        known = self._known.get(exponent, "(numpy.nan, numpy.nan, numpy.nan, numpy.nan, numpy.nan)")
        text = f"{name} = root({ast.unparse(node.left)}, {exponent!r}, {known})"
        self._before += ast.parse(text).body
        self._known[exponent] = name
        return ast.parse(f"number({name})", mode="eval").body


def _is_complex(node: ast.AST) -> bool:
    """Whether a complex literal is in it: a real number is raised by another function."""
    return any(isinstance(one, ast.Constant) and isinstance(one.value, complex) for one in ast.walk(node))


def _fraction(node: ast.expr) -> float | None:
    """The value of `1.0 / 3.0`, of a literal between 0 and 1, or None."""
    if not (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div)):
        return None
    parts = [part.value for part in (node.left, node.right) if isinstance(part, ast.Constant)]
    numbers = [float(part) for part in parts if isinstance(part, int | float)]
    return numbers[0] / numbers[1] if len(numbers) == 2 and 0 < numbers[0] < numbers[1] else None
