"""Settings from the environment."""

import os
from pathlib import Path

import pytest

from tvb_batch.models.catalogue import Catalogue
from tvb_batch.models.errors import SettingsError
from tvb_batch.models.masking import without_password
from tvb_batch.models.settings import load_settings


def test_a_relative_data_directory_becomes_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TVB_BATCH_DATA_DIR", "here")

    assert load_settings().data_dir == tmp_path / "here"


def test_given_settings_precede_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TVB_BATCH_DATA_DIR", "/elsewhere")

    assert load_settings(data_dir=tmp_path).data_dir == tmp_path


@pytest.mark.parametrize("scheme", ["postgresql", "postgres"])
def test_a_plain_postgresql_url_gets_the_driver_we_install(scheme: str) -> None:
    settings = load_settings(database_url=f"{scheme}://user:pw@host/name")

    assert settings.database == "postgresql+psycopg://user:pw@host/name"


def test_sqlite_in_the_data_directory_is_the_default(tmp_path: Path) -> None:
    assert load_settings(data_dir=tmp_path).database == f"sqlite:///{tmp_path}/catalogue.sqlite"


@pytest.mark.parametrize("name", ["50% done", "x%20y", "a?b=c", "a#b", "it's", "a+b@c:d", "Mes données/β"])
def test_a_data_directory_may_have_any_name(tmp_path: Path, name: str) -> None:
    settings = load_settings(data_dir=tmp_path / name)
    settings.data_dir.mkdir(parents=True)

    Catalogue.open(settings.database, create=True).dispose()

    assert settings.storage.catalogue.stat().st_size > 0
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [settings.storage.catalogue]


def test_passwords_do_not_show() -> None:
    settings = load_settings(broker_url="redis://:hidden@host:6379/0", database_url="postgresql://u:hidden@host/n")

    assert "hidden" not in repr(settings)
    assert without_password(settings.broker) == "redis://host:6379/0"


@pytest.mark.parametrize(("name", "value"), [("LEASE", "0"), ("MAX_ATTEMPTS", "many"), ("CHUNK_BYTES", "-1")])
def test_an_unusable_value_names_its_variable(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"TVB_BATCH_{name}", value)

    with pytest.raises(SettingsError, match=f"TVB_BATCH_{name}: '{value}'"):
        load_settings()


def test_a_directory_whose_name_is_not_utf_8_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TVB_BATCH_DATA_DIR", os.fsdecode(bytes(tmp_path) + b"/lat\xfc"))

    with pytest.raises(SettingsError, match=r"TVB_BATCH_DATA_DIR.* not UTF-8") as caught:
        load_settings()

    str(caught.value).encode()
