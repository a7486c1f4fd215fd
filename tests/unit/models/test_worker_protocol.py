"""Requests between the client and the worker's programs: one side reads what the other writes."""

import importlib.util
import math
from pathlib import Path
from uuid import uuid4

import pytest

from tvb_batch.models.worker_protocol import (
    BundlePoint,
    CheckFiles,
    CompareFile,
    ConvertToTvb1,
    DumpKernel,
    EstimateCost,
    Message,
    Rerun,
    RerunResult,
    WorkerModule,
    WriteBundle,
    WriteTvb1Bundle,
)

SPEC = {"seed": 2**64 - 1, "simulation_length": 0.1, "monitors": [{"class": "Raw"}], "surface": None}
POINT = BundlePoint(
    SPEC, (Path("a\nb.h5"),), (Path("ü.h5"),), {"mean": math.inf, "std": -0.0}, 2.5, {"coupling.a": 1e-17}
)


@pytest.mark.parametrize(
    "message",
    [
        WriteBundle("pse", "a\nb", Path("/x.zip"), points=(POINT,), links={"surface": uuid4()}, stable_gids=True),
        WriteTvb1Bundle((Path("/a.h5"),), Path("/x.zip"), uuid4()),
        ConvertToTvb1(Path("/a.h5"), Path("/b.h5"), None, uuid4()),
        CheckFiles((Path("/a.h5"), Path("/b.zip"))),
        CompareFile(Path("/a.h5"), "a.h5", 3, "0f", is_input=True),
        DumpKernel(SPEC),
        EstimateCost(SPEC),
        Rerun(Path("/a.h5")),
        RerunResult(3, 1, 0.5, math.inf, ("numpy: 1, now 2",)),
    ],
    ids=lambda message: type(message).__name__,
)
def test_a_message_reads_back_equal_from_one_line(message: Message) -> None:
    text = message.to_json()

    assert len(text.splitlines()) == 1
    assert type(message).from_json(text) == message


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"paths": "/a.h5"}', '{"paths": [1]}'], ids=["empty", "list", "none", "text", "number"]
)
def test_an_invalid_request_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - of json or of pydantic
        CheckFiles.from_json(text)


def test_a_value_without_a_form_in_json_is_refused_by_the_sender() -> None:
    with pytest.raises(TypeError, match="object has no form in JSON"):
        EstimateCost({"seed": object()}).to_json()


@pytest.mark.parametrize("module", WorkerModule)
def test_each_module_of_the_table_is_there(module: WorkerModule) -> None:
    assert importlib.util.find_spec(module) is not None
