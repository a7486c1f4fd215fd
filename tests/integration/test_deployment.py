"""The deployment files, as far as they can be checked without containers; `make check-compose` checks the rest."""

import os
import re
import shutil
import subprocess
import tomllib
from importlib.metadata import requires
from pathlib import Path
from typing import Any

import pytest
import yaml

pytestmark = pytest.mark.xdist_group("deployment")

ROOT = Path(__file__).parent.parent.parent
DEPLOYMENT_FILES = [
    "Dockerfile",
    "docker-compose.yml",
    ".dockerignore",
    ".env.example",
    "Makefile",
    "constraints.txt",
    ".ci/run",
    "scripts/audit.sh",
    "scripts/make_certificates.sh",
    "scripts/make_env.sh",
    "scripts/check-compose.sh",
]
#: Allowed host names: this machine and the services of the Compose file.
OWN_HOSTS = {"127.0.0.1", "redis", "postgres"}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """Return the Compose file, merged as Compose merges it."""
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text())


@pytest.fixture(scope="module")
def pinned() -> dict[str, str]:
    """Return the versions in constraints.txt by normalised name."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return {_normalised(name): version for name, _, version in (line.partition("==") for line in lines if "==" in line)}


def _normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


# --------------------------------------------------------------------------------------------------- constraints


def test_constraints_hold_names_and_exact_versions_only() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()

    strange = [
        line for line in lines if not line.startswith("#") and not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line)
    ]

    assert strange == []


def test_constraints_pin_every_dependency_of_every_extra(pinned: dict[str, str]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] + [item for extra in project["optional-dependencies"].values() for item in extra]

    missing = [item for item in wanted if _normalised(re.split(r"[\[<>=!~; ]", item)[0]) not in pinned]

    assert missing == []


@pytest.mark.parametrize("package", ["celery", "tvb-library", "SQLAlchemy", "pydantic"])
def test_constraints_pin_what_dependencies_need_themselves(package: str, pinned: dict[str, str]) -> None:
    needed = [item for item in requires(package) or [] if ";" not in item]

    missing = [item for item in needed if _normalised(re.split(r"[\[<>=!~; (]", item)[0]) not in pinned]

    assert missing == []


# ----------------------------------------------------------------------------------------------- no machine's own


@pytest.mark.parametrize("name", DEPLOYMENT_FILES)
def test_no_file_names_a_package_index_or_a_host(name: str) -> None:
    text = re.sub(r"\$\{[^}]*\}", "", (ROOT / name).read_text())

    hosts = set(re.findall(r"\w+://(?:[^@\s/]*@)?([A-Za-z0-9.-]+)", text))

    assert hosts <= OWN_HOSTS
    assert "index-url" not in text
    assert "find-links" not in text


@pytest.mark.parametrize("name", ["Dockerfile", "docker-compose.yml"])
def test_images_are_plain_tags_of_the_usual_bases(name: str) -> None:
    text = (ROOT / name).read_text()
    stages = set(re.findall(r"(?m)^FROM \S+ AS (\S+)", text)) | {"tvb-batch"}

    bases = set(re.findall(r"(?m)^(?:FROM|\s+image:) (\S+)", text)) - stages
    copied_from = set(re.findall(r"--from=(\S+)", text))

    assert {base.split(":")[0] for base in bases} <= {"debian", "python", "redis", "postgres"}
    assert copied_from <= stages
    assert "@sha256" not in text
    assert not text.startswith("# syntax")
    assert "pull_policy" not in text


# ------------------------------------------------------------------------------------------------------- compose


def test_compose_has_a_broker_a_database_migrations_and_workers(compose: dict[str, Any]) -> None:
    assert set(compose["services"]) == {"redis", "postgres", "migrate", "worker"}


def test_workers_wait_for_migrations_and_redis(compose: dict[str, Any]) -> None:
    waits = {name: wait["condition"] for name, wait in compose["services"]["worker"]["depends_on"].items()}

    assert waits == {"migrate": "service_completed_successfully", "redis": "service_healthy"}
    assert compose["services"]["migrate"]["depends_on"]["postgres"]["condition"] == "service_healthy"


def test_worker_can_be_scaled(compose: dict[str, Any]) -> None:
    worker = compose["services"]["worker"]

    assert "container_name" not in worker
    assert "ports" not in worker


def test_ports_are_published_on_this_machine_only(compose: dict[str, Any]) -> None:
    ports = [port for service in compose["services"].values() for port in service.get("ports", [])]

    assert len(ports) == 2
    assert all(port.startswith("127.0.0.1:") for port in ports)


@pytest.mark.parametrize("service", ["redis", "postgres", "worker"])
def test_services_that_stay_have_a_health_check(compose: dict[str, Any], service: str) -> None:
    assert "healthcheck" in compose["services"][service]


def test_passwords_come_from_the_environment_and_have_no_default(compose: dict[str, Any]) -> None:
    values = [str(value) for service in compose["services"].values() for value in service["environment"].values()]

    secrets = [value for value in values if "PASSWORD" in value]

    assert len(secrets) == 6
    assert all(re.search(r"\$\{\w+_PASSWORD:\?", value) for value in secrets)


def test_redis_accepts_only_tls_and_one_user(compose: dict[str, Any]) -> None:
    redis, worker = compose["services"]["redis"], compose["services"]["worker"]
    lines = [line.strip() for line in redis["command"][0].splitlines()]

    assert {"port 0", "tls-port 6379", "user default on resetpass"} <= set(lines)
    assert worker["environment"]["TVB_BATCH_BROKER_URL"].startswith("rediss://tvb:")
    mounted = [volume for volume in worker["volumes"] if worker["environment"]["TVB_BATCH_BROKER_CA_FILE"] in volume]
    assert len(mounted) == 1
    # A worker has only the authority's certificate of Redis' files.
    assert not [volume for volume in worker["volumes"] if "redis." in volume]


def test_the_certificate_is_signed_and_names_every_host(tmp_path) -> None:
    if not shutil.which("openssl"):
        pytest.skip("openssl makes the certificate")

    subprocess.run([ROOT / "scripts/make_certificates.sh", tmp_path / "made", "big.example"], check=True)

    made = sorted(path.name for path in (tmp_path / "made").iterdir())
    assert made == ["ca.pem", "redis.key", "redis.pem"]
    assert (tmp_path / "made").stat().st_mode & 0o777 == 0o700
    for host in ("redis", "localhost", "big.example"):
        verify = ["openssl", "verify", "-CAfile", "ca.pem", "-verify_hostname", host, "redis.pem"]
        assert subprocess.run(verify, cwd=tmp_path / "made", capture_output=True, text=True).stdout == "redis.pem: OK\n"


def test_migrations_and_workers_are_the_same_image_without_root(compose: dict[str, Any]) -> None:
    worker, migrate = compose["services"]["worker"], compose["services"]["migrate"]

    assert worker["image"] == migrate["image"]
    assert worker["user"] == migrate["user"] == "${TVB_BATCH_USER:-1000:1000}"
    assert re.search(r"(?m)^USER (?!root)\w+", (ROOT / "Dockerfile").read_text())


def test_image_gets_every_package_of_the_project() -> None:
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    dockerfile, ignore = (ROOT / "Dockerfile").read_text(), (ROOT / ".dockerignore").read_text().splitlines()

    links = [path.name for package in packages["packages"] for path in (ROOT / package).iterdir() if path.is_symlink()]
    assert sorted(links) == ["examples", "models", "submit", "worker"]
    for package in [*packages["packages"], *links]:
        assert f"COPY {package} {package}" in dockerfile
        assert f"!{package}" in ignore


# ---------------------------------------------------------------------------------------------- scripts and make


@pytest.mark.parametrize("name", [".ci/run", *(name for name in DEPLOYMENT_FILES if name.endswith(".sh"))])
def test_scripts_are_executable_and_parse(name: str) -> None:
    assert os.access(ROOT / name, os.X_OK)
    subprocess.run(["bash", "-n", ROOT / name], check=True)


def test_the_workflow_covers_each_python_and_database() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pythons = [found for one in project["classifiers"] for found in re.findall(r"Python :: (3\.\d+)$", one)]
    jobs = yaml.safe_load((ROOT / ".github/workflows/tests.yml").read_text())["jobs"]

    assert [jobs[name]["strategy"]["matrix"]["python"] for name in ("linux", "macos", "wheel")] == [pythons] * 3
    for name in ("linux", "macos"):
        matrix = jobs[name]["strategy"]["matrix"]
        assert {one["database"]: one["tests"] for one in matrix["include"]} == {
            "SQLite": "not postgres", "PostgreSQL": "postgres"
        }  # fmt: skip
        assert matrix["database"] == ["SQLite", "PostgreSQL"]


def test_continuous_integration_runs_the_test_command_of_the_readme() -> None:
    first_block = (ROOT / "README.md").read_text().split("```")[1]

    commands = [line.split("#")[0].strip() for line in first_block.splitlines()[1:] if line]

    assert commands == ["make demo", "make test"]
    assert (ROOT / ".ci/run").read_text().splitlines()[-1] == "make test"


def test_every_make_target_in_the_docs_exists() -> None:
    listed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert {line.split()[0] for line in listed.splitlines()} >= {"demo", "test", "lint", "check-compose", "env"}


@pytest.fixture
def made_env(tmp_path: Path) -> Path:
    """Return a directory in which `make env` was called."""
    if not shutil.which("openssl"):
        pytest.skip("openssl makes the certificate")
    (tmp_path / "scripts").mkdir()
    for name in ("scripts/make_env.sh", "scripts/make_certificates.sh", ".env.example"):
        shutil.copy(ROOT / name, tmp_path / name)
    subprocess.run(["bash", tmp_path / "scripts/make_env.sh"], check=True, capture_output=True)
    return tmp_path


def test_env_file_has_random_passwords_and_is_not_overwritten(made_env: Path) -> None:
    first = (made_env / ".env").read_text()

    again = subprocess.run(["bash", made_env / "scripts/make_env.sh"], check=True, capture_output=True, text=True)

    passwords = re.findall(r"(?m)^(?:REDIS|POSTGRES)_PASSWORD=([0-9a-f]{48})$", first)
    assert len(set(passwords)) == 2
    assert (made_env / ".env").read_text() == first
    assert "exists already" in again.stdout
    assert (made_env / ".env").stat().st_mode & 0o077 == 0
    assert (made_env / "data").is_dir()


def test_env_file_makes_settings_for_the_host(made_env: Path) -> None:
    names = ("TVB_BATCH_BROKER_URL", "TVB_BATCH_DATABASE_URL", "TVB_BATCH_DATA_DIR", "TVB_BATCH_BROKER_CA_FILE")
    told = subprocess.run(
        ["bash", "-c", "set -a; . ./.env; " + "; ".join(f"echo ${name}" for name in names)],
        cwd=made_env, check=True, capture_output=True, text=True, env={"PATH": os.environ["PATH"]},
    ).stdout.split()  # fmt: skip

    assert re.fullmatch(r"rediss://tvb:[0-9a-f]{48}@127\.0\.0\.1:6379/0", told[0])
    assert re.fullmatch(r"postgresql://tvb:[0-9a-f]{48}@127\.0\.0\.1:5432/tvb_batch", told[1])
    assert told[2] == str(made_env / "data")
    assert Path(told[3]).read_text().startswith("-----BEGIN CERTIFICATE")
