"""The log of a worker: JSON, one event per line, from all processes."""

import json
import subprocess
import sys

SAY = """
import os, structlog
from tvb_batch.worker.log import configure
configure()
children = [os.fork() for _ in range(2)]
for k in range(300):
    structlog.get_logger().info("said", k=k)
if all(children):
    [os.wait() for _ in children]
"""


def test_lines_of_several_processes_never_mix() -> None:
    said = subprocess.run([sys.executable, "-c", SAY], stderr=subprocess.PIPE, check=True, text=True).stderr

    events = [json.loads(line) for line in said.splitlines()]

    assert sorted(event["k"] for event in events) == sorted([*range(300)] * 4)
