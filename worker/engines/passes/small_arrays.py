"""Small arrays in the body of a function of TVB, written out as single numbers.

Called by `worker.engines.passes.gufuncs`.

An array of three numbers is memory asked for and given back at every node; three names are registers. Each number is
made by the same equations in the same order, so its bits stay.
"""

import ast


class NotPlainError(Exception):
    """An array that is used for more than its elements, plain arithmetic or its length."""


def replace_small_arrays(module: ast.Module) -> bool:
    """Replace all small arrays of a body by single numbers, in place; return False, with no change, if one stays."""
    vectors = _Vectors()
    try:
        body = vectors.block(module.body)
    except NotPlainError:
        return False
    module.body = body
    return vectors.found


#: A vector of names or literals, or None for a single number.
_Elements = list[ast.expr] | None


class _Vectors:
    def __init__(self) -> None:
        self.found = False
        self._lengths: dict[str, int] = {}
        self._before: list[ast.stmt] = []
        self._count = 0

    def block(self, statements: list[ast.stmt]) -> list[ast.stmt]:
        """Return the statements in single numbers."""
        written: list[ast.stmt] = []
        for statement in statements:
            new = self._statement(statement)
            written += [*self._before, *new]
            self._before = []
        return written

    def _statement(self, statement: ast.stmt) -> list[ast.stmt]:
        if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
            elements, value = self._value(statement.value)
            target = statement.targets[0]
            if elements is None:
                if isinstance(target, ast.Name) and target.id in self._lengths:
                    raise NotPlainError
                return [ast.Assign([target], value, lineno=0)]
            if not isinstance(target, ast.Name):
                raise NotPlainError
            # All elements are made before the name is set anew.
            made = [self._name(element) for element in elements]
            self._lengths[target.id] = len(made)
            return [_assign(_element(target.id, k), value) for k, value in enumerate(made)]
        if isinstance(statement, ast.If):
            condition = self._single(statement.test)
            before, self._before = self._before, []
            known = dict(self._lengths)
            new = ast.If(condition, self.block(statement.body), self.block(statement.orelse))
            if self._lengths != known:
                raise NotPlainError
            self._before = before
            return [new]
        if any(isinstance(node, ast.Name) and node.id in self._lengths for node in ast.walk(statement)):
            raise NotPlainError
        return [statement]

    def _single(self, node: ast.expr) -> ast.expr:
        elements, value = self._value(node)
        if elements is not None:
            raise NotPlainError
        return value

    def _value(self, node: ast.expr) -> tuple[_Elements, ast.expr]:
        """Return the elements of a vector, or the expression of a single number."""
        if isinstance(node, ast.Name) and node.id in self._lengths:
            return [ast.Name(_element(node.id, k), ast.Load()) for k in range(self._lengths[node.id])], node
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id in self._lengths:
            return None, ast.Name(_element(node.value.id, self._index(node)), ast.Load())
        if isinstance(node, ast.Call) and _called(node) == "array":
            return self._array(node), node
        if isinstance(node, ast.Call) and _called(node) == "norm":
            elements, _ = self._value(node.args[0])
            if elements is None or len(node.args) != 1 or node.keywords:
                raise NotPlainError
            return None, ast.Call(ast.Name("norm", ast.Load()), [self._name(element) for element in elements], [])
        if isinstance(node, ast.BinOp):
            return self._binary(node)
        return None, self._inside(node)

    def _index(self, node: ast.Subscript) -> int:
        assert isinstance(node.value, ast.Name)
        index = node.slice.value if isinstance(node.slice, ast.Constant) else None
        if not isinstance(index, int) or not 0 <= index < self._lengths[node.value.id]:
            raise NotPlainError
        return index

    def _array(self, node: ast.Call) -> list[ast.expr]:
        if len(node.args) != 1 or node.keywords or not isinstance(node.args[0], ast.List):
            raise NotPlainError
        elements = [self._single(element) for element in node.args[0].elts]
        if not elements or any(isinstance(element, ast.Constant) for element in elements):
            raise NotPlainError
        self.found = True
        return elements

    def _binary(self, node: ast.BinOp) -> tuple[_Elements, ast.expr]:
        (left, one), (right, other) = self._value(node.left), self._value(node.right)
        if left is None and right is None:
            return None, ast.BinOp(one, node.op, other)
        if not isinstance(node.op, ast.Add | ast.Sub | ast.Mult | ast.Div):
            raise NotPlainError
        length = len(left if left is not None else right or [])
        lefts = left if left is not None else [self._name(one)] * length
        rights = right if right is not None else [self._name(other)] * length
        if len(lefts) != len(rights):
            raise NotPlainError
        return [ast.BinOp(a, node.op, b) for a, b in zip(lefts, rights, strict=True)], node

    def _inside(self, node: ast.expr) -> ast.expr:
        for name, child in ast.iter_fields(node):
            if isinstance(child, ast.expr):
                setattr(node, name, self._single(child))
            elif isinstance(child, list):
                setattr(node, name, [self._single(part) if isinstance(part, ast.expr) else part for part in child])
        return node

    def _name(self, value: ast.expr) -> ast.expr:
        """Return a name for a value, so that it is computed once."""
        if isinstance(value, ast.Name | ast.Constant):
            return value
        self._count += 1
        self._before.append(_assign(f"single{self._count}", value))
        return ast.Name(f"single{self._count}", ast.Load())


def _element(name: str, k: int) -> str:
    return f"{name}_at{k}"


def _assign(name: str, value: ast.expr) -> ast.stmt:
    return ast.Assign([ast.Name(name, ast.Store())], value, lineno=0)


def _called(node: ast.Call) -> str:
    text = ast.unparse(node.func)
    return {"numpy.array": "array", "np.array": "array", "numpy.linalg.norm": "norm", "np.linalg.norm": "norm"}.get(
        text, ""
    )
