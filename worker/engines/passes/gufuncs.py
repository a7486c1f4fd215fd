"""TVB's guvectorized functions as functions of single numbers, made from TVB's own source.

`y[0]` of an argument becomes `y_0`, `a[0]` of a parameter becomes `a_0`; everything else stays as it stands, so that
Numba makes of it what it makes of TVB's. Called by `worker.engines.tracing.context`.
"""

import ast
import inspect
import re
import textwrap
import types
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from tvb_batch.worker.engines.graph import Graph, Op, Ref, ScalarFunction, UntraceableError
from tvb_batch.worker.engines.passes.cube_roots import ROOT_INPUTS, ROOT_RESULTS, extract_roots, split_at_roots
from tvb_batch.worker.engines.passes.norms import names_in, split_at_norms
from tvb_batch.worker.engines.passes.sincos import extract_sincos, sincos_names
from tvb_batch.worker.engines.passes.small_arrays import replace_small_arrays
from tvb_batch.worker.engines.tracing.tracers import NodeTracer, StackTracer
from tvb_batch.worker.engines.tracing.ufuncs import cast, operand

#: Functions of `primitives.numba_vectors` that passes write into a body.
HELPERS = frozenset({"norm", "root", "number", "square_root", "root_of_real"})


def call_gufunc(graph: Graph, gufunc: Any, *arguments: Any) -> StackTracer:
    """Return what a call of a gufunc returns, (nodes, outputs), as a stack of tracers.

    Raises
    ------
    UntraceableError
        An argument or the source has an unsupported form.
    """
    builder = gufunc.gufunc_builder
    inputs, output = _dimensions(builder.signature)
    kinds = _kinds(builder)
    sizes: dict[str, int] = {}
    refs: list[Ref] = []
    widths: list[int | None] = []
    nodes = next(argument.shape[:1] for argument in arguments if isinstance(argument, StackTracer))
    for argument, dimension, kind in zip(arguments, inputs, kinds, strict=True):
        if dimension:
            if not isinstance(argument, StackTracer) or argument.axis != 1 or argument.ndim != 2:
                raise UntraceableError("a gufunc's argument that is no stack of state variables")
            sizes[dimension] = len(argument.items)
            refs += [cast(graph, item.ref, "d") for item in argument.items if item is not None]
            widths.append(len(argument.items))
        else:
            refs.append(_scalar(graph, argument, nodes, kind))
            widths.append(None)
    whole = tuple(kind == "i" for kind in kinds)
    body = make_body(builder.py_func, tuple(widths), sizes[output], whole)
    known = dict(zip(body.inputs, refs, strict=True))
    for piece in body.pieces:
        _add(graph, piece, known)
    return StackTracer([NodeTracer(graph, known[name], nodes) for name in body.results], axis=1)


def _add(graph: Graph, piece: "ScalarFunction | ArrayCall", known: dict[str, Ref]) -> None:
    """Add the results of a piece to the known numbers."""
    operands, dtypes = [known[name] for name in piece.inputs], "d" * len(piece.results)
    if isinstance(piece, ArrayCall):
        results = graph.apply(piece.op, operands, dtypes)
    else:
        results = graph.apply(Op.CALL, operands, dtypes, piece)
    known |= zip(piece.results, results, strict=True)


def _scalar(graph: Graph, argument: Any, nodes: tuple[int, ...], kind: str) -> Ref:
    if isinstance(argument, NodeTracer):
        if argument.shape != nodes or kind == "i":
            raise UntraceableError(f"a gufunc's argument of shape {argument.shape}")
        return cast(graph, argument.ref, "d")
    if isinstance(argument, np.ndarray) and argument.dtype.kind == "b":
        ref = operand(graph, graph.as_floats(argument), nodes)
    else:
        ref = operand(graph, argument, nodes)
    # TVB's gufuncs take every number as float64, but for a few choices, which are integers.
    return graph.apply(Op.INT64, [ref], "i")[0] if kind == "i" else cast(graph, ref, "d")


def _dimensions(signature: str) -> tuple[list[str], str]:
    """Return `(n),(m),()->(n)` as (["n", "m", ""], "n")."""
    left, right = signature.replace(" ", "").split("->")
    return re.findall(r"\((\w*)\)", left), re.findall(r"\((\w*)\)", right)[0]


def _kinds(builder: Any) -> list[str]:
    """Return f or i for each argument of the only version that TVB compiled."""
    versions = list(getattr(builder, "_sigs", []))
    if len(versions) != 1:
        raise UntraceableError("a gufunc of several versions")
    kinds = []
    for argument in versions[0].args[:-1]:
        name = str(argument.dtype)
        if name not in ("float64", "int64"):
            raise UntraceableError(f"a gufunc of {name}")
        kinds.append(name[0])
    return kinds


@dataclass(frozen=True)
class ArrayCall:
    """A call of a primitive for all nodes at once, see `graph.ROW_FUNCTIONS`."""

    op: Op
    inputs: tuple[str, ...]
    results: tuple[str, ...]


@dataclass(frozen=True)
class Body:
    """The body of a function in single numbers, cut in pieces where `ArrayCall` do better."""

    #: All numbers that it is called with.
    inputs: tuple[str, ...]
    results: tuple[str, ...]
    pieces: tuple[ScalarFunction | ArrayCall, ...]


@cache
def make_body(
    function: types.FunctionType, widths: tuple[int | None, ...], outputs: int, whole: tuple[bool, ...]
) -> Body:
    """Return the body of `function` in single numbers.

    Parameters
    ----------
    widths : for each argument but the last how many numbers it holds, or None for one; the last one takes the results
    outputs : how many results
    whole : which arguments are integers
    """
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    except (OSError, TypeError, SyntaxError) as exc:
        raise UntraceableError(f"{function.__qualname__} has no source") from exc
    assert isinstance(tree, ast.FunctionDef)
    names = [argument.arg for argument in tree.args.args]
    inputs: list[str] = []
    for argument, width in zip(names[:-1], widths, strict=True):
        inputs += [f"{argument}_{k}" for k in range(width or 1)]
    body = [statement for statement in tree.body if not _is_text(statement)]
    scalars = _Scalars(set(names))
    body = [scalars.visit(statement) for statement in body]
    module = ast.Module(body, [])
    if function.__globals__.keys().isdisjoint(HELPERS | {"quick_norm"}):
        replace_small_arrays(module)
        extract_roots(module)
    module = ast.fix_missing_locations(module)
    if any(isinstance(node, ast.Return | ast.For | ast.While) for node in ast.walk(module)):
        raise UntraceableError(f"{function.__qualname__} has loops or returns")
    results = tuple(f"{names[-1]}_{k}" for k in range(outputs))
    imports = tuple(_imports(function))
    integers = {f"{name}_0" for name, is_whole in zip(names, whole, strict=False) if is_whole}
    halves = split_at_roots(module.body, inputs, results, integers)
    if halves is None:
        return Body(tuple(inputs), results, (_scalar_of(module.body, inputs, results, imports),))
    wide = {argument for argument, width in zip(names[:-1], widths, strict=True) if width}
    angles = extract_sincos(halves.before, {name for name in inputs if name.rpartition("_")[0] in wide})
    sincos = [name for angle in angles for name in sincos_names(angle)]
    pieces: list[ScalarFunction | ArrayCall] = [ArrayCall(Op.SINCOS, (angle,), sincos_names(angle)) for angle in angles]
    pieces += _at_norms(halves.before, [*inputs, *sincos], (*ROOT_INPUTS, *halves.carried), imports)
    pieces.append(ArrayCall(Op.CUBE_ROOTS, ROOT_INPUTS, (*ROOT_RESULTS, *(f"work{k}" for k in range(4)))))
    pieces.append(_scalar_of(halves.after, [*inputs, *halves.carried, *ROOT_RESULTS], results, imports))
    return Body(tuple(inputs), results, tuple(pieces))


def _at_norms(
    body: list[ast.stmt], inputs: list[str], results: tuple[str, ...], imports: tuple[str, ...]
) -> list[ScalarFunction | ArrayCall]:
    """Return the pieces of a body, cut where it takes norms of vectors."""
    cut = split_at_norms(body)
    if cut is None:
        return [_scalar_of(body, inputs, results, imports)]
    made = {name for statement in cut.before for name in names_in(statement)}
    wanted = {*results, *(name for _, numbers in cut.norms for name in numbers)}
    wanted |= {name for statement in cut.after for name in names_in(statement)}
    first = tuple(sorted((made & wanted) - {*inputs}))
    norms = [name for name, _ in cut.norms]
    second = tuple(name for name in results if name not in first)
    return [
        _scalar_of(cut.before, inputs, first, imports),
        *(ArrayCall(Op.NORM, numbers, (name,)) for name, numbers in cut.norms),
        _scalar_of(cut.after, [*inputs, *first, *norms], second, imports),
    ]


def _scalar_of(
    body: list[ast.stmt], inputs: Iterable[str], results: tuple[str, ...], imports: tuple[str, ...]
) -> ScalarFunction:
    """Return a function of the inputs that the body reads."""
    module = ast.fix_missing_locations(ast.Module(body, []))
    read = {node.id for node in ast.walk(module) if isinstance(node, ast.Name)}
    return ScalarFunction(ast.unparse(module), tuple(name for name in inputs if name in read), results, imports)


class _Scalars(ast.NodeTransformer):
    """`y[0]` becomes `y_0`; an array parameter that is asked for its truth is one number."""

    def __init__(self, names: set[str]) -> None:
        self._names = names

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        if isinstance(node.value, ast.Name) and node.value.id in self._names:
            if not isinstance(node.slice, ast.Constant) or not isinstance(node.slice.value, int):
                raise UntraceableError("an index that is computed")
            return ast.Name(f"{node.value.id}_{node.slice.value}", node.ctx)
        return self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if node.id in self._names and isinstance(node.ctx, ast.Load):
            return ast.Name(f"{node.id}_0", node.ctx)
        return node

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        node = ast.Assign(node.targets, self.visit(node.value), lineno=0)
        node.targets = [self.visit(target) for target in node.targets]
        # `c_pop = c_pop[0]` gives an argument's name to a number.
        self._names -= {target.id for target in node.targets if isinstance(target, ast.Name)}
        return node


def _is_text(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _imports(function: types.FunctionType) -> list[str]:
    lines = []
    for name in sorted(set(function.__code__.co_names) & set(function.__globals__)):
        value = function.__globals__[name]
        if isinstance(value, types.ModuleType):
            lines.append(f"import {value.__name__} as {name}")
        elif getattr(value, "__module__", None) in ("math", "numpy"):
            lines.append(f"from {value.__module__} import {value.__name__} as {name}")
        elif isinstance(value, int | float):
            lines.append(f"{name} = {value!r}")
        else:
            raise UntraceableError(f"{function.__name__} uses {name}")
    return lines
