"""Comparisons as `list --where` takes them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.conditions import Condition, ConditionError, as_columns


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("coupling.a >= 5", Condition("coupling.a", ">=", 5.0)), ("a=1e-3", Condition("a", "=", 0.001)),
        ("a == 1", Condition("a", "=", 1.0)), ("model.class != JansenRit", Condition("model.class", "!=", "JansenRit")),
        ("model.class = 'a b'", Condition("model.class", "=", "a b")), ("monitors[0].period<2", Condition("monitors[0].period", "<", 2.0)),
    ],
)  # fmt: skip
def test_a_condition_is_read(text: str, condition: Condition) -> None:
    assert Condition.parse(text) == condition


@pytest.mark.parametrize("text", ["", "a", "a >", "> 5", "a ~ 5", "a > b", "1a = 2", "a; b = 2", "a = 1\nb = 2 or 1 >"])
def test_what_says_nothing_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(ConditionError) as caught:
        Condition.parse(text)

    assert "\n" not in str(caught.value)


@given(st.text(max_size=30))
def test_any_text_is_a_condition_or_one_line(text: str) -> None:
    fault = None
    try:
        Condition.parse(text)
    except ConditionError as exc:
        fault = str(exc)

    assert fault is None or "\n" not in fault


@pytest.mark.parametrize(
    ("value", "columns"),
    [
        (1, (1.0, None)),
        ([2.5], (2.5, None)),
        (True, (None, "true")),
        ("x", (None, "x")),
        ([1, 2], (None, "[1, 2]")),
        ("y" * 900, (None, "y" * 500)),
    ],
)
def test_numbers_are_kept_as_numbers_and_the_rest_as_text(value, columns) -> None:
    assert as_columns(value) == columns
