"""The cases of TVB on which every engine is compared."""

import re
from pathlib import Path
from typing import Any

import numpy as np
from tvb_cases import CASES, Case, simulator_of

#: As for a sweep of many jobs, which is worth compiling.
MANY = 10**6


#: Cases that only TVB's own loop runs, with the reason, as in the documentation.
_ROW = re.compile(r"^\| (.+?) \| reference \| (.+?) \|$", re.MULTILINE)


LEFT_TO_TVB = dict(_ROW.findall((Path(__file__).parent.parent.parent / "docs" / "engines.md").read_text()))


def configured(case: Case, **changes: Any) -> Any:
    np.random.seed(42)  # noqa: NPY002 - TVB draws initial conditions from it
    made = simulator_of(case)
    for name, value in changes.items():
        setattr(made, name, value)
    return made.configure()


#: These have kernels of their own, compiled and compared over 2000 steps in test_compiled.py.
ELSEWHERE = ("model ", "coupling ", "noise ", "integrator ")


PARTS = [case for case in CASES if not case.name.startswith(ELSEWHERE)]


PARTS += [case for case in CASES if case.name in LEFT_TO_TVB]
