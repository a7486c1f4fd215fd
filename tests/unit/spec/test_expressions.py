"""Conditions mean the same as in Python, and no other code runs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tvb_batch.models.spec.expressions import Expression, ExpressionError

VALUES = {"coupling.a": 5.0, "model.b": [2.0], "monitors[0].period": 1.0, "model.class": "JansenRit", "n": 3,
          "connectivity": {"class": "Connectivity", "from_file": "connectivity_76.zip"}}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("coupling.a > model.b", True),
        ("coupling.a < model.b", False),
        ("1 < model.b <= 2 < n", True),
        ("coupling.a == 5 and not n > 3", True),
        ("n > 3 or monitors[0].period == 1", True),
        ("model.class == 'JansenRit'", True),
        ("model.class != 'Kuramoto'", True),
        ("connectivity == 'connectivity_76.zip'", True),
        ("abs(-n) + max(1, 2) * 2 - 7 / 7 == 6", True),
        ("n % 2", True),
        ("-n", True),
        ("0", False),
    ],
)
def test_a_condition_means_what_it_says(text: str, expected: bool) -> None:
    assert Expression.parse(text).holds(VALUES) is expected


def test_the_names_of_a_condition_are_known() -> None:
    text = "coupling.a < model.b and monitors[0].period > 1 or model.class == 'x'"

    assert Expression.parse(text).names == {"coupling.a", "model.b", "monitors[0].period", "model.class"}


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')", "open('x')", "(lambda: 1)()", "[1]", "{1: 2}", "a if b else c", "a := 1",
        "a.__class__()", "a['b']", "a[1:2]", "a[-1]", "f'{a}'", "a @ b", "a ** b", "a in b", "a is b", "abs()", "abs(a=1)",
        "abs(*a)", "eval(a)", "1 +", "", "a; b", "None", "b'x'", "a <", "yield", "await a", "x" * 3000, "(" * 300 + ")" * 300,
        "-" * 200 + "1", "print", 5,
    ],
)  # fmt: skip
def test_anything_else_is_refused_in_one_line(text) -> None:
    if text == "print":
        assert Expression.parse(text).names == {"print"}  # A name like any other, not the function.
        return
    with pytest.raises(ExpressionError) as caught:
        Expression.parse(text)

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["zeta > 1", "model.class > 5", "coupling.a / 0 > 1", "n % 0 == 1"])
def test_values_that_cannot_be_compared_are_reported(text: str) -> None:
    with pytest.raises(ExpressionError):
        Expression.parse(text).holds(VALUES)


numbers = st.sampled_from(["a", "b", "2", "0.5", "-3"])
terms = st.recursive(
    numbers, lambda inner: st.builds("({} {} {})".format, inner, st.sampled_from("+-*"), inner), max_leaves=5
)
comparisons = st.builds("{} {} {}".format, terms, st.sampled_from(["<", "<=", "==", "!=", ">", ">="]), terms)
conditions = st.recursive(
    comparisons,
    lambda inner: st.one_of(
        st.builds("({} {} {})".format, inner, st.sampled_from(["and", "or"]), inner),
        st.builds("(not {})".format, inner),
    ),
    max_leaves=6,
)


@pytest.mark.slow
@given(conditions, st.integers(-5, 5), st.floats(-5, 5))
def test_any_condition_is_what_python_makes_of_it(text, a, b) -> None:
    assert Expression.parse(text).holds({"a": a, "b": b}) is bool(eval(text, {}, {"a": a, "b": b}))


@given(st.text(max_size=40))
def test_any_text_is_a_condition_or_one_line(text: str) -> None:
    fault = ""
    try:
        Expression.parse(text)
    except ExpressionError as exc:
        fault = str(exc)

    assert "\n" not in fault
