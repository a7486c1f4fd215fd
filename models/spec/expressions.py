"""Conditions such as `coupling.a < model.b and model.mu != 0`, evaluated without executing code.

A condition is parsed as Python and turned into nested functions. Only the kinds of nodes in this module are allowed.
Names are parameters.
"""

import ast
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tvb_batch.models.errors import TvbBatchError

#: A compiled condition: a function from the values of parameters to a number, a text or a boolean.
Evaluate = Callable[[Mapping[str, Any]], Any]

#: Maximum length of a condition, and maximum depth.
MOST_LETTERS, MOST_DEPTH = 2000, 50

_CLASS, _STAND_IN = re.compile(r"\.class\b"), ".__class"

#: Maximum integer; more digits only cost time.
MOST_WHOLE = 10**30


def _of_numbers(compute: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Restrict an operation to numbers: a text or a list times a number could fill the memory."""

    def computed(left: Any, right: Any) -> Any:
        for value in (left, right):
            if not isinstance(value, int | float):
                raise TypeError(f"{str(value)[:40]!r} is not a number; expected numbers around + - * / %")
        found = compute(left, right)
        if isinstance(found, int) and abs(found) > MOST_WHOLE:
            raise OverflowError(f"a whole number above {MOST_WHOLE:.0e}")
        return found

    return computed


_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: _of_numbers(operator.add), ast.Sub: _of_numbers(operator.sub), ast.Mult: _of_numbers(operator.mul),
    ast.Div: _of_numbers(operator.truediv), ast.Mod: _of_numbers(operator.mod),
}  # fmt: skip
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge,
    ast.Eq: operator.eq, ast.NotEq: operator.ne,
}  # fmt: skip
_UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.USub: operator.neg, ast.UAdd: operator.pos, ast.Not: operator.not_,
}  # fmt: skip
_FUNCTIONS: dict[str, Callable[..., Any]] = {"abs": abs, "min": min, "max": max}


class ExpressionError(TvbBatchError, ValueError):
    """A condition that cannot be evaluated."""


@dataclass(frozen=True)
class Expression:
    """A parsed condition."""

    text: str
    #: The names of its parameters.
    names: frozenset[str]
    evaluate: Evaluate

    @classmethod
    def parse(cls, text: str) -> "Expression":
        """Parse a condition.

        Raises
        ------
        ExpressionError
            It is not a condition. Allowed are comparisons of parameters, numbers and texts; `and`, `or`, `not`, + - * /
            %, abs, min and max.
        """
        if not isinstance(text, str) or len(text) > MOST_LETTERS:
            raise ExpressionError(f"condition {str(text)[:40]!r}: expected a text of at most {MOST_LETTERS} characters")
        try:
            # `class` is a keyword of Python, so `model.class` cannot be parsed as it is.
            tree = ast.parse(_CLASS.sub(_STAND_IN, text.strip()), mode="eval").body
        except (SyntaxError, ValueError, MemoryError, RecursionError) as exc:
            reason = getattr(exc, "msg", "it cannot be read")
            raise ExpressionError(f"condition {text!r}: {reason}; expected one such as `coupling.a < model.b`") from exc
        names: set[str] = set()
        evaluate = _compile(tree, text, names, 0)
        return cls(text, frozenset(names), evaluate)

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Return whether the condition is true for these values.

        Raises
        ------
        ExpressionError
            A parameter has no value, or two values cannot be compared.
        """
        try:
            return bool(self.evaluate(values))
        except KeyError as exc:
            fault = f"{exc.args[0]} is not a parameter of the simulation"
            raise ExpressionError(f"condition {self.text!r}: {fault}") from exc
        except (TypeError, ArithmeticError, ValueError) as exc:
            raise ExpressionError(f"condition {self.text!r}: {exc}") from exc


def _compile(node: ast.expr, text: str, names: set[str], depth: int) -> Evaluate:
    if depth > MOST_DEPTH:
        raise ExpressionError(f"condition {text[:40]!r}...: nested too deep")
    parts = [_compile(child, text, names, depth + 1) for child in _children(node, text)]
    match node:
        case ast.Constant(value=value):
            return lambda values: value
        case ast.Name() | ast.Attribute() | ast.Subscript():
            name = ast.unparse(node).replace(_STAND_IN, ".class")
            names.add(name)
            return lambda values: _value(values[name])
        case ast.BoolOp(op=ast.And()):
            return lambda values: all(part(values) for part in parts)
        case ast.BoolOp():
            return lambda values: any(part(values) for part in parts)
        case ast.BinOp(op=op):
            binary, (left, right) = _BINARY[type(op)], parts
            return lambda values: binary(left(values), right(values))
        case ast.UnaryOp(op=op):
            unary, (operand,) = _UNARY[type(op)], parts
            return lambda values: unary(operand(values))
        case ast.Compare(ops=ops):
            compares = [_COMPARE[type(op)] for op in ops]
            return lambda values: _chain(compares, [part(values) for part in parts])
        case ast.Call(func=ast.Name(id=function)):
            call = _FUNCTIONS[function]
            return lambda values: call(*[part(values) for part in parts])
    raise AssertionError("every node that has children listed is compiled")


def _children(node: ast.expr, text: str) -> list[ast.expr]:
    """Return the operands of a node; refuse any other kind of node."""
    match node:
        case ast.Constant(value=int() as value) if abs(value) > MOST_WHOLE:
            raise ExpressionError(f"condition {text[:40]!r}: a whole number above {MOST_WHOLE:.0e}")
        case ast.Constant(value=bool() | int() | float() | str()):
            return []
        case ast.Name() | ast.Attribute() | ast.Subscript() if _is_name(node):
            return []
        case ast.BoolOp(values=values):
            return values
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            return [left, right]
        case ast.UnaryOp(op=op, operand=operand) if type(op) in _UNARY:
            return [operand]
        case ast.Compare(left=left, ops=ops, comparators=comparators) if all(type(op) in _COMPARE for op in ops):
            return [left, *comparators]
        case ast.Call(func=ast.Name(id=function), args=[_, *_] as args, keywords=[]) if function in _FUNCTIONS:
            return args
    found = ast.unparse(node)[:60]
    raise ExpressionError(
        f"condition {text!r}: {found!r} cannot be used; expected parameters, numbers and texts, compared"
    )


def _is_name(node: ast.expr) -> bool:
    """Return whether the node is a name such as `a`, `a.b` or `a[0].b`."""
    if isinstance(node, ast.Name):
        return True
    if isinstance(node, ast.Attribute):
        return _is_name(node.value)
    is_index = isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant)
    return is_index and type(node.slice.value) is int and _is_name(node.value)  # type: ignore[attr-defined]


def _chain(compares: list[Callable[[Any, Any], bool]], values: list[Any]) -> bool:
    return all(compare(left, right) for compare, left, right in zip(compares, values, values[1:], strict=False))


def _value(value: Any) -> Any:
    """Return a parameter for comparison: the element of a one-element array, the class or file of a section."""
    if isinstance(value, list | tuple) and len(value) == 1:
        return value[0]
    if isinstance(value, dict):
        return value.get("file_name") or value.get("from_file") or value.get("class")
    return value
