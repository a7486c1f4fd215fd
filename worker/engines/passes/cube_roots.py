"""Roots of complex numbers in the body of a function of TVB, each made once. Called by `worker.engines.passes.gufuncs`.

TVB's epileptors solve a cubic by two third roots, which are mostly conjugates. Where a body has just these, it is cut
in two: what comes before the roots, and what is made of them; between the two, `primitives.libm_cube_root` makes the
roots of all nodes. Other roots stay in the body, see `primitives.numba_vectors.root`.
"""

import ast
from collections.abc import Iterable
from dataclasses import dataclass

_UNKNOWN = "(numpy.nan, numpy.nan, numpy.nan, numpy.nan, numpy.nan)"
_THIRD = 1.0 / 3.0
#: What the first half of a body gives of the two numbers, and what the second gets of their roots.
ROOT_INPUTS = ("real1", "size1", "real2", "size2")
ROOT_RESULTS = ("re1", "im1", "re2", "im2")


@dataclass(frozen=True)
class RootSplit:
    """A body before and after its two roots."""

    before: list[ast.stmt]
    after: list[ast.stmt]
    #: Names that the second half takes from the first.
    carried: tuple[str, ...]


def extract_roots(module: ast.Module) -> bool:
    """Replace `x ** (1 / 3)` in a body with complex numbers, in place; return whether there was one."""
    if not _is_complex(module):
        return False
    roots = _Roots()
    module.body = roots.block(module.body)
    return roots.count > 0


def split_at_roots(
    body: list[ast.stmt], inputs: Iterable[str], results: Iterable[str], whole: set[str]
) -> RootSplit | None:
    """Cut a body at its two third roots, one after the other; return None if it has other roots too.

    Parameters
    ----------
    whole : names of inputs that are integers
    """
    places = [place for place, statement in enumerate(body) if _root_of(statement)]
    calls = [root for root in map(_root_of, body) if root]
    if len(places) != 2 or places[1] != places[0] + 1 or any(_exponent(call) != _THIRD for _, call in calls):
        return None
    first, rest = body[: places[0]], body[places[1] + 1 :]
    own = {*ROOT_INPUTS, *ROOT_RESULTS, "base1", "base2", "sign1", "sign2"}
    if _calls_root(first + rest) or own & (_names(body, ast.Load) | _names(body, ast.Store)):
        return None
    numbers = _Numbers({name: k for k, (name, _) in enumerate(calls, start=1)})
    after = [numbers.visit(statement) for statement in rest]
    made = _names(first, ast.Store)
    carried = tuple(sorted(_names(after, ast.Load) & made))
    if made & {*inputs, *results} or set(carried) & _not_floats(first, whole):
        return None
    text = "".join(_prepare(k, ast.unparse(call.args[0])) for k, (_, call) in enumerate(calls, start=1))
    return RootSplit([*first, *ast.parse(text).body], after, (*carried, "sign1", "sign2"))


def _prepare(k: int, base: str) -> str:
    """Return statements that make the arguments of `primitives.libm_cube_root`."""
    sign = f"1.0 if real{k} == 0.0 and size{k} == 0.0 else math.copysign(1.0, base{k}.imag)"
    return f"base{k} = {base}\nreal{k} = base{k}.real\nsize{k} = abs(base{k}.imag)\nsign{k} = {sign}\n"


class _Roots(ast.NodeTransformer):
    def __init__(self) -> None:
        self.count = 0
        self._before: list[ast.stmt] = []
        #: What the last root of this statement gave, by its exponent; and roots by their texts.
        self._known: dict[float, str] = {}
        self._made: dict[str, str] = {}

    def block(self, statements: list[ast.stmt]) -> list[ast.stmt]:
        """Return the statements, each after the roots that it needs."""
        written: list[ast.stmt] = []
        for statement in statements:
            outer, self._before = self._before, []
            self._known, self._made = {}, {}
            if isinstance(statement, ast.If) and not _is_choice(statement):
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
        argument = ast.unparse(node.args[0])
        real = argument.removesuffix(" + 0 * 1j")
        if real != argument and not _is_complex(ast.parse(real)):
            return self._name("square", f"root_of_real({real})")
        return self._name("square", f"square_root({argument})")

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        exponent = _fraction(node.right) if isinstance(node.op, ast.Pow) and _is_complex(node.left) else None
        self.generic_visit(node)
        if exponent is None:
            return node
        base = f"{ast.unparse(node.left)}, {exponent!r}"
        if base not in self._made:
            known = self._known.get(exponent, _UNKNOWN)
            self._made[base] = self._known[exponent] = self._name("root", f"root({base}, {known})").id
        return ast.parse(f"number({self._made[base]})", mode="eval").body

    def _name(self, kind: str, text: str) -> ast.Name:
        if text not in self._made:
            self.count += 1
            self._made[text] = f"{kind}{self.count}"
            self._before += ast.parse(f"{self._made[text]} = {text}").body
        return ast.Name(self._made[text], ast.Load())


class _Numbers(ast.NodeTransformer):
    """`number(root1)` becomes a complex number of what was found."""

    def __init__(self, numbers: dict[str, int]) -> None:
        self._numbers = numbers

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if ast.unparse(node.func) != "number":
            return self.generic_visit(node)
        k = self._numbers[ast.unparse(node.args[0])]
        return ast.parse(f"complex(re{k}, sign{k} * im{k})", mode="eval").body


def _is_choice(statement: ast.If) -> bool:
    """Return whether each branch only sets one name: then the roots of all branches are made before it."""
    branches = [statement.body, statement.orelse]
    while branches:
        branch = branches.pop()
        if len(branch) == 1 and isinstance(branch[0], ast.If):
            branches += [branch[0].body, branch[0].orelse]
        elif len(branch) > 1 or (branch and not isinstance(branch[0], ast.Assign)):
            return False
    return True


def _root_of(statement: ast.stmt) -> tuple[str, ast.Call] | None:
    """Return the name and the call of `root1 = root(...)`."""
    if not isinstance(statement, ast.Assign) or not isinstance(statement.targets[0], ast.Name):
        return None
    call = statement.value
    is_root = isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "root"
    return (statement.targets[0].id, call) if is_root and isinstance(call, ast.Call) else None


def _exponent(call: ast.Call) -> object:
    return ast.literal_eval(call.args[1])


def _calls_root(statements: list[ast.stmt]) -> bool:
    nodes = [node for statement in statements for node in ast.walk(statement)]
    return any(isinstance(node, ast.Call) and ast.unparse(node.func) == "root" for node in nodes)


def _names(statements: list[ast.stmt], use: type[ast.expr_context]) -> set[str]:
    nodes = [node for statement in statements for node in ast.walk(statement)]
    return {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, use)}


def _not_floats(statements: list[ast.stmt], known: set[str]) -> set[str]:
    """Return names that may not hold a float: complex numbers, integers, and what is made of them."""
    for node in (node for statement in statements for node in ast.walk(statement)):
        if isinstance(node, ast.Assign):
            read = {name.id for name in ast.walk(node.value) if isinstance(name, ast.Name)}
            if not read or read & known or _is_complex(node.value) or _is_whole(node.value):
                known |= {name.id for target in node.targets for name in ast.walk(target) if isinstance(name, ast.Name)}
    return known


def _is_whole(node: ast.AST) -> bool:
    """Return whether a part of an expression may be an integer or a boolean although its operands are floats."""
    whole = (ast.Compare, ast.BoolOp, ast.Not, ast.FloorDiv)
    names = {ast.unparse(part.func).split(".")[-1] for part in ast.walk(node) if isinstance(part, ast.Call)}
    known = {"sin", "cos", "tan", "exp", "log", "sqrt", "abs", "square_root", "root_of_real", "norm"}
    return any(isinstance(part, whole) for part in ast.walk(node)) or not names <= known


def _is_complex(node: ast.AST) -> bool:
    """Return whether it contains a complex literal: a power of a real number is another function."""
    return any(isinstance(one, ast.Constant) and isinstance(one.value, complex) for one in ast.walk(node))


def _fraction(node: ast.expr) -> float | None:
    """Return the value of a fraction of literals between 0 and 1, such as `1.0 / 3.0`, or None."""
    if not (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div)):
        return None
    parts = [part.value for part in (node.left, node.right) if isinstance(part, ast.Constant)]
    numbers = [float(part) for part in parts if isinstance(part, int | float)]
    return numbers[0] / numbers[1] if len(numbers) == 2 and 0 < numbers[0] < numbers[1] else None
