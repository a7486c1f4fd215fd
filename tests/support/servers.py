"""Redis and PostgreSQL that tests kill and start again; each test has its own processes."""

import os
import subprocess
from pathlib import Path

import pytest
from conftest import wait_until

from benchmarks import postgres
from tvb_batch.submit.operate.local_workers import redis_server


class Redis:
    """A Redis on a socket; it keeps its data over a restart if asked to."""

    def __init__(self, directory: Path, *, keeps: bool = True, lines: str = "") -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory, self.socket = directory, directory / "r.sock"
        self.keeps, self.lines = keeps, lines
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis+socket://{self.socket}"

    def start(self) -> None:
        kept = "yes" if self.keeps else "no"
        text = f"port 0\nunixsocket {self.socket}\ndir {self.directory}\nsave ''\nappendonly {kept}\n{self.lines}\n"
        self.process = subprocess.Popen(
            [redis_server(), "-"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        assert self.process.stdin is not None
        self.process.stdin.write(text.replace("save ''", 'save ""').encode())
        self.process.stdin.close()
        wait_until(self.socket.exists, seconds=10)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
        self.socket.unlink(missing_ok=True)


class Postgres(postgres.Postgres):
    """The benchmarks' PostgreSQL; the test is skipped if it is not installed."""

    def __init__(self, directory: Path) -> None:
        try:
            super().__init__(directory)
        except FileNotFoundError as exc:
            pytest.fail(str(exc)) if os.environ.get("CI") else pytest.skip(str(exc))
