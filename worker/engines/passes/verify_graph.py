"""The rules that every graph keeps. `worker.engines.codegen.trace_cache` checks each new trace by them.

A fault of the tracer becomes an error here, not a kernel that computes something else; the engine above then leaves the
simulation to the next engine.
"""

from collections.abc import Iterable

from tvb_batch.worker.engines.graph import DTYPES, Block, Equation, Graph, Op, Ref, ScalarFunction, UfuncLoop


class GraphError(Exception):
    """A graph breaks a rule; the message names the equation and the rule."""


_ARITHMETIC = ("dd->d", "ff->f")
_COMPARISON = ("dd->b", "ff->b")
_ONE_FLOAT = ("d->d", "f->f")
#: What each operation takes and returns, in the letters of `graph.DTYPES`; those not named here have a payload.
SIGNATURES: dict[Op, tuple[str, ...]] = {
    **dict.fromkeys((Op.ADD, Op.SUBTRACT, Op.MULTIPLY, Op.DIVIDE), _ARITHMETIC),
    **dict.fromkeys((Op.LESS, Op.LESS_EQUAL, Op.GREATER, Op.GREATER_EQUAL, Op.EQUAL, Op.NOT_EQUAL), _COMPARISON),
    **dict.fromkeys((Op.NEGATIVE, Op.SQRT, Op.ABSOLUTE), _ONE_FLOAT),
    Op.WHERE: ("bdd->d", "bff->f"),
    Op.FMA: ("ddd->d",),
    Op.FLOAT64: ("f->d", "b->d", "i->d"),
    Op.FLOAT32: ("d->f", "b->f", "i->f"),
    Op.INT64: ("d->i", "w->i"),
    Op.LOCAL_SUM: ("d->d",),
    Op.CUBE_ROOTS: ("dddd->dddddddd",),
    Op.SINCOS: ("d->dd",),
    Op.NORM: ("ddd->d",),
}


def verify_graph(graph: Graph, outputs: Iterable[Ref] = ()) -> None:
    """Check that each number is defined before it is used, and that each operation gets what it takes.

    Parameters
    ----------
    outputs : what the kernel stores; each must be defined, too

    Raises
    ------
    GraphError
        The graph breaks a rule.
    """
    slots = [*(f"s{k}" for k in range(len(graph.scalars))), *(f"n{k}" for k in range(len(graph.fields)))]
    defined = {name: ref.dtype for name, ref in graph.inputs.items()} | dict.fromkeys(slots, "d")
    for equation in graph.equations:
        for ref in equation.operands:
            if defined.get(ref.name) != ref.dtype:
                _check_operand(ref, defined, equation)
        found = f"{_letters(equation.operands)}->{_letters(equation.results)}"
        allowed = _signatures(equation)
        if found not in allowed:
            raise GraphError(f"{_name(equation)}: signature {found}; expected {' or '.join(allowed)}")
        for ref in equation.results:
            if ref.name in defined:
                raise GraphError(f"{_name(equation)}: {ref.name} is defined twice")
            defined[ref.name] = ref.dtype
    for ref in outputs:
        _check_operand(ref, defined, None)


def _check_operand(ref: Ref, defined: dict[str, str], equation: Equation | None) -> None:
    place = "an output" if equation is None else _name(equation)
    if ref.dtype not in DTYPES:
        raise GraphError(f"{place}: {ref.name} has the unknown dtype {ref.dtype!r}")
    if ref.is_literal:
        return
    if ref.name not in defined:
        raise GraphError(f"{place}: {ref.name} is used before it is defined")
    if ref.dtype != defined[ref.name]:
        raise GraphError(f"{place}: {ref.name} is used as {ref.dtype}, and defined as {defined[ref.name]}")


def _signatures(equation: Equation) -> tuple[str, ...]:
    """Return the signatures that the operation of an equation may have."""
    match equation.op, equation.payload:
        case Op.UFUNC_LOOP, UfuncLoop(signature=signature):
            return (signature,)
        case Op.BLOCK, Block(inputs=inputs, outputs=outputs):
            return (f"{_letters(inputs)}->{_letters(outputs)}",)
        case Op.CALL, ScalarFunction(inputs=inputs, results=results):
            # Numbers that TVB's function takes as integers are such here.
            given = "".join(ref.dtype if ref.dtype == "i" else "d" for ref in equation.operands[: len(inputs)])
            return (f"{given.ljust(len(inputs), 'd')}->{'d' * len(results)}",)
        case op, None if op in SIGNATURES:
            return SIGNATURES[op]
    raise GraphError(f"{_name(equation)}: payload {type(equation.payload).__name__} is not one of this operation")


def _letters(refs: Iterable[Ref]) -> str:
    return "".join(ref.dtype for ref in refs)


def _name(equation: Equation) -> str:
    names = " ".join(ref.name for ref in equation.results)
    op = equation.op
    return f"{names} = {op.name.lower() if isinstance(op, Op) else op!r}"
