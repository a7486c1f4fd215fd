"""Plain arithmetic on a node, given as text, as LLVM's instructions.

Numba takes a millisecond over each operation of a function, and a model has hundreds. So it sees one call of
`compute`, and what is plain enough becomes instructions here: the same that Numba would make of it.
"""

import ast
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.core.types import StarArgTuple as _StarArgTuple  # type: ignore[attr-defined]  # Numba's stubs lack it
from numba.core.types import StringLiteral as _Literal  # type: ignore[attr-defined]  # Numba's stubs lack it
from numba.extending import intrinsic

from tvb_batch.worker.engines.primitives.libm_exp import EXP_RANGE, quick_exp, whole_exp
from tvb_batch.worker.engines.primitives.memory import element, separate

_DOUBLE, _SINGLE, _WORD, _TRUTH = ir.DoubleType(), ir.FloatType(), ir.IntType(64), ir.IntType(1)
_BINARY = {ast.Add: "fadd", ast.Sub: "fsub", ast.Mult: "fmul", ast.Div: "fdiv"}
_COMPARED = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!="}
_EXPS: dict[str, Any] = {"quick_exp": quick_exp, "whole_exp": whole_exp}
_CASTS = {"float64": _DOUBLE, "float32": _SINGLE, "int64": _WORD}


@intrinsic
def compute(typingctx: Any, text: Any, names: Any, scopes: Any, n: Any, i: Any, *arrays: Any) -> Any:
    """Do the statements of `text` for node `i` of `n`; return its `outside`, int64.

    Parameters
    ----------
    text : literal: assignments, calls of `put`, and what is added to `outside`
    names : literal: of the arrays, with spaces between them
    scopes : literal: how many rows the function has; see `memory.get`
    n, i : int64
    arrays : pointers to float64 or float32
    """
    if not (isinstance(text, _Literal) and isinstance(names, _Literal)):
        return None
    signature = types.intp(text, names, scopes, types.intp, types.intp, _StarArgTuple.from_types(arrays))

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        given = [builder.extract_value(arguments[5], k) for k in range(len(arrays))]
        known = dict(zip(names.literal_value.split(), given, strict=True)) | {"n": arguments[3], "i": arguments[4]}
        lowering = _Lowering(context, builder, known, scopes.literal_value)
        for statement in ast.parse(text.literal_value).body:
            lowering.do(statement)
        return lowering.known.get("outside", _WORD(0))

    return signature, generate


class _Lowering:
    """Makes the instructions of one `compute`."""

    def __init__(self, context: Any, builder: Any, known: Any, scopes: Any) -> None:
        self.context, self.builder, self.known, self.scopes = context, builder, known, scopes

    def do(self, statement: Any) -> None:
        if isinstance(statement, ast.Expr):
            self.value(statement.value)
        elif isinstance(statement, ast.AugAssign):
            before = self.known.get("outside", _WORD(0))
            self.known["outside"] = self.builder.add(before, self.value(statement.value))
        else:
            self.known[statement.targets[0].id] = self.value(statement.value)

    def value(self, node: Any) -> Any:
        return getattr(self, f"_{type(node).__name__.lower()}")(node)

    def _name(self, node: Any) -> Any:
        return _DOUBLE(EXP_RANGE) if node.id == "EXP_RANGE" else self.known[node.id]

    def _constant(self, node: Any) -> Any:
        return _WORD(node.value) if isinstance(node.value, int) else _DOUBLE(node.value)

    def _attribute(self, node: Any) -> Any:
        return _DOUBLE(float(node.attr))  # math.nan, math.inf

    def _unaryop(self, node: Any) -> Any:
        value = self.value(node.operand)
        return value.type(-value.constant) if isinstance(value, ir.Constant) else self.builder.fneg(value)

    def _binop(self, node: Any) -> Any:
        return getattr(self.builder, _BINARY[type(node.op)])(self.value(node.left), self.value(node.right))

    def _compare(self, node: Any) -> Any:
        sign, left, right = _COMPARED[type(node.ops[0])], self.value(node.left), self.value(node.comparators[0])
        compare = self.builder.fcmp_unordered if sign == "!=" else self.builder.fcmp_ordered
        return compare(sign, left, right)

    def _ifexp(self, node: Any) -> Any:
        return self.builder.select(*(self.value(part) for part in (node.test, node.body, node.orelse)))

    def _call(self, node: Any) -> Any:
        name = ast.unparse(node.func).split(".")[-1]
        if name in ("get", "put"):
            return self._access(name, node.args)
        values = [self.value(argument) for argument in node.args]
        if name in _CASTS:
            return self._cast(values[0], _CASTS[name])
        if name == "fma":
            return self.builder.fma(*values)
        if name in _EXPS:
            signature = types.float64(types.float64)
            return self.context.compile_internal(self.builder, _EXPS[name].py_func, signature, values)
        return self._intrinsic({"sqrt": "llvm.sqrt", "abs": "llvm.fabs"}[name], values[0])

    def _intrinsic(self, name: Any, value: Any) -> Any:
        function = self.builder.module.declare_intrinsic(name, [value.type])
        return self.builder.call(function, [value])

    def _access(self, name: Any, arguments: Any) -> Any:
        place = element(self.builder, *(self.value(argument) for argument in arguments[:4]))
        if name == "get":
            access = self.builder.load(place)
        else:
            access = self.builder.store(self._cast(self.value(arguments[4]), place.type.pointee), place)
        separate(self.builder, access, arguments[-2].value, self.scopes)
        return access

    def _cast(self, value: Any, kind: Any) -> Any:
        builder, old = self.builder, value.type
        if old == kind:
            return value
        if old == _TRUTH:
            return builder.uitofp(value, kind)
        if old == _WORD:
            return builder.sitofp(value, kind)
        if kind == _WORD:
            return builder.fptosi(value, kind)
        return builder.fpext(value, kind) if kind == _DOUBLE else builder.fptrunc(value, kind)
