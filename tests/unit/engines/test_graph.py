"""A graph is printed as a reader would write it, and one that breaks a rule is refused with the rule."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from engine_cases import Case
from test_trace_cache import CASES

from tvb_batch.worker.engines.frontend.step import trace_step
from tvb_batch.worker.engines.graph import Block, Equation, Graph, Op, Ref, ScalarFunction, UfuncLoop, literal
from tvb_batch.worker.engines.passes.verify_graph import SIGNATURES, GraphError, verify_graph
from tvb_batch.worker.engines.tracing.recording import NoRecording

X, Y = Ref("x0", "d"), Ref("y0", "d")
EXP = UfuncLoop(np.exp, "d->d")
BODY = ScalarFunction("r = a * k", ("a", "k"), ("r",), ())
BLOCK = Block("dfun_0", (Y,), (Ref("t0_0", "d"),))


def graph_of(*equations: Equation) -> Graph:
    """A graph with the input x0, of float64, and the slot s0."""
    graph = Graph()
    graph.input("x0", "d")
    graph.scalar(0.5)
    graph.equations += equations
    return graph


def equation(op: Op, operands: Sequence[Ref], dtypes: str, payload: object = None, result: str = "t0") -> Equation:
    results = tuple(Ref(f"{result}_{k}", dtype) for k, dtype in enumerate(dtypes))
    return Equation(op, results, tuple(operands), payload)  # type: ignore[arg-type]


def test_a_graph_is_printed_with_its_slots_inputs_equations_and_outputs() -> None:
    graph = Graph()
    x, c = graph.input("x0", "d"), graph.input("g0", "f")
    graph.input("x1", "d")
    (wide,) = graph.apply(Op.FLOAT64, [c], "d")
    (product,) = graph.apply(Op.MULTIPLY, [x, graph.scalar(2.0)], "d")
    (power,) = graph.apply(Op.UFUNC_LOOP, [product], "d", graph.loop(np.exp, "d->d"))
    (unread,) = graph.apply(Op.SQRT, [x], "d")
    (total,) = graph.apply(Op.ADD, [power, graph.field(np.ones(3))], "d")
    (result,) = graph.apply(Op.CALL, [total, wide], "d", BODY)

    assert graph.pretty({"state": [result], "observed": [x]}) == (
        "function_0(a, k):\n"
        "    r = a * k\n"
        "    -> r\n"
        "\n"
        "{ lambda s0:f64[] n0:f64[nodes] ; x0:f64 g0:f32 . let\n"
        "    t0_0:f64 = float64 g0\n"
        "    t1_0:f64 = multiply x0 s0\n"
        "    t2_0:f64 = ufunc_loop[exp d->d] t1_0\n"
        "    t4_0:f64 = add t2_0 n0\n"
        "    t5_0:f64 = call[function_0] t4_0 t0_0\n"
        "  in state=(t5_0) observed=(x0) }"
    )
    assert unread.name not in graph.pretty({"state": [result]})


def test_a_block_is_printed_before_the_equations_that_call_it() -> None:
    graph = Graph()
    y = graph.input("y0", "d")
    outputs = graph.apply(Op.NEGATIVE, [y], "d")
    graph.blocks.append(Block("dfun_0", (y,), outputs))
    results = graph.apply(Op.BLOCK, [graph.input("x0", "d")], "d", graph.blocks[0])

    assert graph.pretty({"state": results}) == (
        "dfun_0 = { lambda  ; y0:f64 . let\n"
        "    t0_0:f64 = negative y0\n"
        "  in (t0_0) }\n"
        "\n"
        "{ lambda  ; x0:f64 . let\n"
        "    t1_0:f64 = block[dfun_0] x0\n"
        "  in state=(t1_0) }"
    )


@pytest.mark.parametrize("name", CASES)
def test_traced_steps_keep_the_rules_and_are_printed(name: str) -> None:
    step = trace_step(CASES[name].configure(), NoRecording())

    verify_graph(step.graph, step.outputs)

    printed = step.pretty()
    assert all(f"{name}=(" in printed for name, refs in step.parts.items() if refs)


def test_every_operation_has_a_rule() -> None:
    assert set(Op) - set(SIGNATURES) == {Op.UFUNC_LOOP, Op.CALL, Op.BLOCK}


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (lambda: [equation(Op.ADD, [X, Ref("t1_0", "d")], "d"), equation(Op.SQRT, [X], "d", result="t1")],
         "t1_0 is used before it is defined"),
        (lambda: [equation(Op.SQRT, [Ref("s1", "d")], "d")], "s1 is used before it is defined"),
        (lambda: [equation(Op.SQRT, [Ref("x0", "f")], "f")], "x0 is used as f, and defined as d"),
        (lambda: [equation(Op.SQRT, [Ref("x0", "q")], "d")], "x0 has the unknown dtype 'q'"),
        (lambda: [equation(Op.SQRT, [X], "d"), equation(Op.ABSOLUTE, [X], "d")], "t0_0 is defined twice"),
        (lambda: [equation(Op.ADD, [X], "d")], "signature d->d; expected dd->d or ff->f"),
        (lambda: [equation(Op.LESS, [X, X], "d")], "signature dd->d; expected dd->b or ff->b"),
        (lambda: [equation(Op.MULTIPLY, [X, literal(2.0)], "d")], "signature dw->d"),
        (lambda: [equation(Op.WHERE, [X, X, X], "d")], "signature ddd->d; expected bdd->d or bff->f"),
        (lambda: [equation(Op.UFUNC_LOOP, [X, X], "d", EXP)], "signature dd->d; expected d->d"),
        (lambda: [equation(Op.CALL, [X], "d", BODY)], "signature d->d; expected dd->d"),
        (lambda: [equation(Op.BLOCK, [X, X], "d", BLOCK)], "signature dd->d; expected d->d"),
        (lambda: [equation(Op.UFUNC_LOOP, [X], "d")], "payload NoneType is not one of this operation"),
        (lambda: [equation(Op.SQRT, [X], "d", EXP)], "payload UfuncLoop is not one of this operation"),
        (lambda: [equation("loop 3", [X], "d")], "payload NoneType is not one of this operation"),  # type: ignore[arg-type]
    ],
    ids=["order", "slot", "dtype", "unknown dtype", "twice", "arity", "result", "weak", "condition", "loop", "call",
         "block", "no payload", "payload", "text"],
)  # fmt: skip
def test_a_graph_that_breaks_a_rule_is_refused(broken: Callable[[], list[Equation]], message: str) -> None:
    with pytest.raises(GraphError) as error:
        verify_graph(graph_of(*broken()))

    assert message in str(error.value)


def test_an_output_must_be_defined() -> None:
    with pytest.raises(GraphError, match="an output: t9_0 is used before it is defined"):
        verify_graph(graph_of(), [X, Ref("t9_0", "d")])


def test_a_literal_and_a_slot_need_no_definition() -> None:
    verify_graph(graph_of(equation(Op.ADD, [Ref("(2.0)", "d"), Ref("s0", "d")], "d")), [Ref("math.nan", "w")])


def test_the_step_of_a_model_reads_as_its_equations() -> None:
    step = trace_step(Case(model="Linear", integrator="EulerDeterministic").configure(), NoRecording())

    assert step.pretty() == (
        "{ lambda s0:f64[] s1:f64[] s2:f64[] s3:f64[] ; j0:f32 g0:f32 x0:f64 . let\n"
        "    t0_0:f64 = float64 g0\n"
        "    t1_0:f64 = multiply s0 t0_0\n"
        "    t2_0:f64 = add t1_0 s1\n"
        "    t7_0:f64 = multiply s2 x0\n"
        "    t8_0:f64 = add t7_0 t2_0\n"
        "    t9_0:f64 = multiply (0.0) x0\n"
        "    t10_0:f64 = add t8_0 t9_0\n"
        "    t11_0:f64 = add t10_0 (0.0)\n"
        "    t12_0:f64 = multiply s3 t11_0\n"
        "    t13_0:f64 = add x0 t12_0\n"
        "    t14_0:f32 = float32 t13_0\n"
        "  in state=(t13_0) observed=(t13_0) source=(t14_0) product=(j0) }"
    )
