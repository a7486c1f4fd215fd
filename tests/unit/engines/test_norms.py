"""Bodies are cut at the lengths of vectors, and each part does what it did."""

import ast
import math

import pytest

from tvb_batch.worker.engines.passes.norms import split_at_norms

BODY = """
a = x * 2.0
b = a + y
size = norm(a, b, x)
a = a / size
other = norm(b, y, x)
b = b / other + a
result = a * b + y
"""


def run(statements: list[ast.stmt], known: dict[str, float]) -> None:
    scope = {"norm": lambda *numbers: math.sqrt(sum(one * one for one in numbers))}
    module = ast.fix_missing_locations(ast.Module(statements, []))
    exec(compile(module, "body", "exec"), scope, known)


def test_both_parts_together_do_what_the_body_does() -> None:
    body = ast.parse(BODY).body
    expected, found = {"x": 0.5, "y": -1.25}, {"x": 0.5, "y": -1.25}
    run(body, expected)

    cut = split_at_norms(body)

    assert cut is not None
    assert [name for name, _ in cut.norms] == ["size", "other"]
    run(cut.before, found)
    for name, numbers in cut.norms:
        found[name] = math.sqrt(sum(found[one] ** 2 for one in numbers))
    run(cut.after, found)
    assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize(
    "text",
    [
        "a = x * 2.0",
        "a = norm(x, y)",
        "a = norm(x, y, x * 2.0)",
        "a = norm(x, y, x)\nb = norm(a, y, x)",
        "a = norm(x, y, x)\nif a > 1.0:\n    a = 1.0",
    ],
    ids=["none", "of two", "of no names", "of a length", "a choice"],
)
def test_a_body_of_another_form_stays_whole(text: str) -> None:
    assert split_at_norms(ast.parse(text).body) is None
