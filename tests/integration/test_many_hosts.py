"""The examples of docs/operating.md for systemd, Slurm and Kubernetes, as far as one machine can run them."""

import configparser
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from commands import sweep_spec
from conftest import wait_until
from pages import blocks

from tvb_batch.models.catalogue.status import Status
from tvb_batch.models.queue import make_app
from tvb_batch.models.settings import Settings
from tvb_batch.submit.intake.enqueue import enqueue
from tvb_batch.submit.operate.local_workers import environment

ROOT = Path(__file__).parent.parent.parent
PAGE = ROOT / "docs/operating.md"
BIN = Path(sys.executable).parent


def example(language: str, word: str) -> str:
    [found] = [block for block in blocks(PAGE, language) if word in block]
    return found


def assert_settings(names: set[str]) -> None:
    known = {f"TVB_BATCH_{name.upper()}" for name in Settings.model_fields}
    known |= {"TVB_BATCH_BROKER_URL_FILE", "TVB_BATCH_DATABASE_URL_FILE"}
    assert {name for name in names if name.startswith("TVB_BATCH_")} <= known


def test_systemd_accepts_the_unit(tmp_path) -> None:
    text = example("ini", "[Service]")
    assert_settings(set(re.findall(r"\bTVB_BATCH_\w+", text)))
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd is not here")
    unit = tmp_path / "tvb-batch.service"
    unit.write_text(text.replace("/opt/tvb-batch/bin", str(BIN)))

    said = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True)

    assert (said.returncode, [line for line in said.stderr.splitlines() if unit.name in line]) == (0, [])


def test_under_systemd_all_that_a_worker_writes_to_is_writable() -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    lines = [line for line in example("ini", "[Service]").splitlines() if not line.startswith("Environment=")]
    unit.read_string("\n".join(lines))
    variables = dict(
        re.findall(r"\b(\w+)=(\S+)", " ".join(re.findall(r"Environment=(.*)", example("ini", "[Service]"))))
    )

    assert unit["Service"]["ProtectSystem"] == "strict"
    assert variables["TVB_BATCH_DATA_DIR"] == unit["Service"]["ReadWritePaths"]
    assert variables["TVB_BATCH_CACHE_DIR"] == f"%C/{unit['Service']['CacheDirectory']}"


def test_a_slurm_worker_returns_its_job_at_its_time_limit(settings, catalogue, tmp_path) -> None:
    script = tmp_path / "worker.sh"
    script.write_text(example("sh", "#SBATCH"))
    env = {**os.environ, **environment(settings), "PATH": f"{BIN}:{os.environ['PATH']}", "SLURM_CPUS_PER_TASK": "1"}
    hours = sweep_spec("hours", 1, simulation_length=1e7, engine="reference")
    sweep = enqueue(catalogue, make_app(settings), hours, settings.storage)
    [job] = catalogue.jobs(sweep=sweep.gid)

    with (tmp_path / "said").open("wb") as said:
        batch = subprocess.Popen(["sh", script], env=env, stdout=said, stderr=said, start_new_session=True)
    try:
        wait_until(lambda: catalogue.find_job(str(job.gid)).progress > 0, seconds=120)
        # `--signal=B:` reaches the shell alone.
        batch.send_signal(signal.SIGTERM)
        batch.wait(60)
    finally:
        left = subprocess.run(["pkill", "-KILL", "--session", str(batch.pid)]).returncode == 0

    found = catalogue.find_job(str(job.gid))
    assert (found.status, found.attempt) == (Status.PENDING, 0)
    assert "job_returned" in (tmp_path / "said").read_text()
    assert not left


@pytest.fixture
def deployment() -> dict[str, Any]:
    return yaml.safe_load(example("yaml", "kind: Deployment"))["spec"]["template"]


def test_kubernetes_keeps_the_pods_of_the_deployment(deployment) -> None:
    whole = yaml.safe_load(example("yaml", "kind: Deployment"))

    assert whole["spec"]["selector"]["matchLabels"] == deployment["metadata"]["labels"]
    assert deployment["spec"]["securityContext"]["runAsNonRoot"] is True
    stack = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["worker"]["stop_grace_period"]
    assert f"{deployment['spec']['terminationGracePeriodSeconds']}s" == stack


def test_a_pod_can_write_wherever_the_image_does_and_nowhere_else(deployment) -> None:
    [container] = deployment["spec"]["containers"]
    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    image = dict(re.findall(r"\b((?:TVB_\w+_DIR|HOME))=(\S+)", (ROOT / "Dockerfile").read_text()))

    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert set(image.values()) <= set(mounts)
    assert set(mounts.values()) == {volume["name"] for volume in deployment["spec"]["volumes"]}
    assert_settings({variable["name"] for variable in container["env"]})
    assert all(Path(variable["value"]).parent.as_posix() in mounts for variable in container["env"])
