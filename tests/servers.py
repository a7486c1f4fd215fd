"""Redis and PostgreSQL that tests kill and start again; each a process of the test's own."""

import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from conftest import wait_until
from sqlalchemy import create_engine

from submit.local import redis_server


class Redis:
    """A Redis on a socket; it keeps its data over a restart when asked to."""

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


class Postgres:
    """A PostgreSQL on a socket, with one database that is made at the first start."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.data = directory, directory / "data"
        self.process: subprocess.Popen[bytes] | None = None
        binaries = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name)) or [
            Path(path).parent for path in [shutil.which("initdb")] if path
        ]
        if not binaries:
            reason = "no PostgreSQL server is installed (Debian: apt-get install postgresql)"
            pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
        self.binaries = binaries[-1]
        # PostgreSQL refuses to run as root: `nobody` runs it then.
        self.as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.getuid() == 0 else []
        directory.mkdir(parents=True, exist_ok=True)
        if self.as_nobody:
            os.chown(directory, 65534, 65534)
            for parent in list(directory.parents)[:-2]:
                parent.chmod(parent.stat().st_mode | 0o055)
        self._run("initdb", "-D", self.data, "-U", "tvb", "--auth=trust", "--encoding=UTF8", "--no-sync")

    @property
    def url(self) -> str:
        return f"postgresql+psycopg://tvb@/postgres?host={self.directory}"

    def _run(self, *words: Any) -> None:
        command = [*self.as_nobody, str(self.binaries / words[0]), *map(str, words[1:])]
        subprocess.run(command, check=True, capture_output=True)

    def start(self) -> None:
        options = ["-D", self.data, "-c", "listen_addresses=", "-c", f"unix_socket_directories={self.directory}"]
        command = [*self.as_nobody, str(self.binaries / "postgres"), *map(str, options)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(self.answers, seconds=30)

    def kill(self, how: signal.Signals = signal.SIGQUIT) -> None:
        """SIGQUIT: as after a crash; every connection is cut at once."""
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(30)
            self.process = None

    def answers(self) -> bool:
        engine = create_engine(self.url)
        try:
            with engine.connect():
                return True
        except Exception:
            return False
        finally:
            engine.dispose()
