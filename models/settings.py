"""Reads the environment. Every setting is `TVB_BATCH_` and its name in capitals."""

import sys
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from tvb_batch.models.errors import SettingsError
from tvb_batch.models.masking import remember
from tvb_batch.models.own_code.allowed import allow
from tvb_batch.models.paths import Storage

Compression = Literal["none", "lzf", "gzip"]


class Settings(BaseSettings):
    """Paths, addresses and limits."""

    model_config = SettingsConfigDict(env_prefix="TVB_BATCH_", frozen=True, extra="forbid")

    #: The directory for results, inputs and bundles, and in embedded mode for the catalogue and Redis' files.
    data_dir: Path = Field(default_factory=lambda: Path.home() / "tvb-batch")
    #: SQLAlchemy URL; empty means SQLite in the data directory.
    database_url: SecretStr = SecretStr("")
    #: URL of the broker: redis://, rediss:// or redis+socket://.
    broker_url: SecretStr = SecretStr("redis://127.0.0.1:6379/0")
    #: Certificates for checking a rediss:// broker; by default the system's.
    broker_ca_file: Path | None = None
    #: A worker without a heartbeat for this time loses its job. Seconds.
    lease: float = Field(default=120.0, gt=0)
    #: Number of attempts without progress after which a job ends in ERROR.
    max_attempts: int = Field(default=3, ge=1)
    #: Seconds between two checkpoints of a running job; 0 for one after every chunk.
    checkpoint_interval: float = Field(default=300.0, ge=0)
    #: Maximum seconds for a job without its own `time_limit`; 0 for no limit.
    time_limit: float = Field(default=0.0, ge=0)
    #: A process of the pool is replaced after this number of jobs; 0 for never.
    max_tasks_per_child: int = Field(default=0, ge=0)
    #: A process of the pool that uses more memory is replaced after its job. Bytes; 0 for never.
    max_memory_per_child: int = Field(default=0, ge=0)
    #: Maximum size of monitor output in memory between two writes. Bytes.
    chunk_bytes: int = Field(default=32 * 2**20, ge=1)
    #: Compression of finished result files.
    compression: Compression = "none"

    #: The directory for compiled kernels of this host. Workers run this code, so others must not be able to write to
    #: it.
    cache_dir: Path = Field(default_factory=lambda: Path.home() / ".cache" / "tvb-batch")
    #: Modules with the user's own models, couplings, monitors and metrics, separated by commas.
    modules: str = Field(default="", pattern=r"^[\w., ]*$")
    #: The folder of these modules, if they are neither installed nor on PYTHONPATH.
    modules_dir: Path | None = None

    #: Token for the web pages; empty for a new one at each start, which is printed.
    web_token: SecretStr = SecretStr("")

    @field_validator("data_dir", "cache_dir", "broker_ca_file", "modules_dir")
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        try:
            str(value).encode()
        except UnicodeEncodeError:
            # Neither a URL nor the catalogue can hold such a name.
            raise ValueError("a path that is not UTF-8; rename it, or use a symbolic link") from None
        return None if value is None else value.expanduser().absolute()

    @property
    def storage(self) -> Storage:
        """The paths of all files."""
        return Storage(self.data_dir)

    @property
    def database(self) -> str:
        """The SQLAlchemy URL in use. May contain a password: never print it."""
        url = self.database_url.get_secret_value()
        if url.startswith(("postgresql://", "postgres://")):
            return "postgresql+psycopg://" + url.split("://", 1)[1]
        return url or _sqlite_url(self.storage.catalogue)

    @property
    def broker(self) -> str:
        """The broker URL in use. May contain a password: never print it."""
        return self.broker_url.get_secret_value()


def _sqlite_url(path: Path) -> str:
    """Return the URL of a SQLite file, whatever characters its path has."""
    # Importing SQLAlchemy takes 0.1 s, so import it only if it is needed.
    from sqlalchemy.engine import URL

    return URL.create("sqlite", database=str(path)).render_as_string()


class _SecretFiles(BaseSettings):
    """Settings that name a file with a secret, `TVB_BATCH_BROKER_URL_FILE`, for Docker, Kubernetes and systemd."""

    model_config = SettingsConfigDict(env_prefix="TVB_BATCH_")

    broker_url: SecretStr | None = None
    broker_url_file: Path | None = None
    database_url: SecretStr | None = None
    database_url_file: Path | None = None


def _secrets_of_files() -> dict[str, object]:
    named, found = _SecretFiles(), dict[str, object]()
    for name in ("broker_url", "database_url"):
        variable, path = f"TVB_BATCH_{name.upper()}", getattr(named, f"{name}_file")
        if path is None:
            continue
        if getattr(named, name) is not None:
            raise SettingsError(f"{variable} and {variable}_FILE are both set; set only one")
        try:
            found[name] = path.read_text().strip()
        except (OSError, UnicodeDecodeError) as exc:
            raise SettingsError(f"{variable}_FILE: {path} cannot be read ({exc}); name a file with the URL") from exc
    return found


def load_settings(**overrides: object) -> Settings:
    """Return the settings of the environment, replaced by `overrides`; specs may then use the modules named in them.

    Raises
    ------
    SettingsError
        A value cannot be used; the message names the environment variable.
    """
    try:
        given = {**_secrets_of_files(), **{name: value for name, value in overrides.items() if value is not None}}
        settings = Settings(**given)  # type: ignore[arg-type]
    except ValidationError as exc:
        first = exc.errors()[0]
        name = "_".join(str(part) for part in first["loc"]).upper()
        reason = first["msg"].removeprefix("Value error, ")
        raise SettingsError(f"TVB_BATCH_{name}: {first['input']!r} cannot be used; {reason}") from exc
    for url in (settings.database, settings.broker):
        remember(url)
    if settings.modules_dir is not None:
        _add_to_path(settings.modules_dir)
    allow(module.strip() for module in settings.modules.split(",") if module.strip())
    return settings


def _add_to_path(folder: Path) -> None:
    """Let modules of this folder be imported, after all others: none of them takes the place of an installed one."""
    if not folder.is_dir():
        raise SettingsError(f"TVB_BATCH_MODULES_DIR: {folder} is no folder; name the one that holds your modules")
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
