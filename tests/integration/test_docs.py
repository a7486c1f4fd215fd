"""The documentation agrees with the program."""

import os
import re
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import yaml
from conftest import EXAMPLES, SHORT
from pages import blocks

from tvb_batch.models.spec.points import SAMPLERS
from tvb_batch.models.spec.simulation import SimulationSpec
from tvb_batch.submit.cli import main
from tvb_batch.submit.intake.spec_file import load_spec_file

ROOT = Path(__file__).parent.parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]


def shown(language: str) -> list[pytest.ParameterSet]:
    return [
        pytest.param(text, id=f"{page.name} {number}")
        for page in PAGES
        for number, text in enumerate(blocks(page, language), start=1)
    ]


@pytest.mark.parametrize("text", shown("yaml"))
def test_every_spec_in_the_docs_is_valid(text: str, tmp_path) -> None:
    content = yaml.safe_load(text)
    if not {"services", "apiVersion"} & set(content):
        if set(content) == {"sweep"}:
            content = {**SHORT, "model": {"class": "JansenRit"}, "coupling": {"class": "SigmoidalJansenRit"}, **content}
        np.save(tmp_path / "weight.npy", np.ones(76))
        # `./mine.zip` stands for anybody's file.
        (tmp_path / "mine.zip").write_bytes((files("tvb_data") / "connectivity" / "connectivity_68.zip").read_bytes())
        (tmp_path / "spec.yaml").write_text(yaml.safe_dump(content))

        assert load_spec_file(str(tmp_path / "spec.yaml")).size > 0


@pytest.mark.parametrize("text", shown("python"))
def test_every_script_that_is_shown_is_python(text: str) -> None:
    compile(text, "shown", "exec")


def commands() -> list[str]:
    lines = [line for page in PAGES for text in blocks(page, "console") for line in text.splitlines()]
    return sorted({line.split("#")[0].strip() for line in lines if line.startswith("tvb-batch ")})


@pytest.mark.parametrize("line", commands())
def test_every_command_that_is_shown_exists(line: str) -> None:
    words = line.split()[1:]
    command = main.commands[words[0]]
    if hasattr(command, "commands"):
        command = command.commands[words[1]]

    options = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}

    assert {word for word in words if re.fullmatch(r"--?[a-z-]+", word)} <= options


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.name)
def test_every_example_is_a_spec_without_warnings(example: Path) -> None:
    spec = load_spec_file(str(example))

    assert spec.size > 0
    assert not [warning for warning in spec.warnings() if "multiple of dt" in warning]


def test_every_key_of_a_spec_and_of_a_sweep_is_documented() -> None:
    page = (ROOT / "docs" / "spec.md").read_text()

    for name in SimulationSpec.model_fields:
        assert f"`{name}`" in page, name
    for name in ("grid", "zip", "list", *SAMPLERS, "samples", "repeats", "where", "common_random_numbers"):
        assert f"`{name}`" in page, name


def test_all_links_are_valid() -> None:
    for page in (*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md"):
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_modules_named_in_the_architecture_exist() -> None:
    there = [path.relative_to(ROOT).as_posix() for path in ROOT.glob("[!.]*/**/*.py")]

    named = re.findall(r"`([\w/]+\.py)`", (ROOT / "docs/architecture.md").read_text())

    assert [name for name in named if not any(f"/{path}".endswith(f"/{name}") for path in there)] == []


def test_the_readmes_example_is_the_example(tmp_path) -> None:
    [text] = blocks(ROOT / "README.md", "yaml")
    (tmp_path / "sweep.yaml").write_text(text)

    done = subprocess.run(
        [sys.executable, "-m", "tvb_batch.submit", "submit", "--dry-run", str(tmp_path / "sweep.yaml")],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip

    assert done.stdout.startswith("sweep: 6 jobs")
    assert load_spec_file(str(tmp_path / "sweep.yaml")) == load_spec_file(str(EXAMPLES / "sweep.yaml"))


def test_generated_pages_are_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, "scripts/make_docs.py", "--check"], cwd=ROOT, capture_output=True, text=True, timeout=60,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip

    assert (done.returncode, done.stderr) == (0, "")
