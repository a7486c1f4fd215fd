"""A private PostgreSQL on a socket for benchmarks and tests: create, start, kill and start again."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine
from sqlalchemy.exc import OperationalError


def binaries() -> Path | None:
    """Return the directory of the newest PostgreSQL server on this machine, or None."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    if found:
        return found[-1]
    initdb = shutil.which("initdb")
    return Path(initdb).parent if initdb else None


class Postgres:
    """A server with one database, which is created at once.

    Raises
    ------
    FileNotFoundError
        PostgreSQL is not installed.
    """

    def __init__(self, directory: Path) -> None:
        self.directory, self.data = directory, directory / "data"
        self.process: subprocess.Popen[bytes] | None = None
        found = binaries()
        if found is None:
            raise FileNotFoundError("no PostgreSQL server is installed (Debian: apt-get install postgresql)")
        self.binaries = found
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
        """Return the SQLAlchemy URL of its database."""
        return f"postgresql+psycopg://tvb@/postgres?host={self.directory}"

    def _run(self, *words: Any) -> None:
        command = [*self.as_nobody, str(self.binaries / words[0]), *map(str, words[1:])]
        subprocess.run(command, check=True, capture_output=True)

    def start(self) -> None:
        """Start the server and wait until it answers, at most 30 s."""
        options = ["-D", self.data, "-c", "listen_addresses=", "-c", f"unix_socket_directories={self.directory}"]
        command = [*self.as_nobody, str(self.binaries / "postgres"), *map(str, options)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while not self.answers():
            if time.monotonic() > deadline:
                raise TimeoutError("PostgreSQL did not start within 30 s")
            time.sleep(0.05)

    def kill(self, how: signal.Signals = signal.SIGQUIT) -> None:
        """Send SIGQUIT: like a crash, it closes every connection at once."""
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(30)
            self.process = None

    def answers(self) -> bool:
        """Return whether the server accepts a connection."""
        engine = create_engine(self.url)
        try:
            with engine.connect():
                return True
        except OperationalError:
            return False
        finally:
            engine.dispose()


def processor_time(postmaster: int) -> float:
    """Return the processor time in seconds of all processes of a server, including ended ones. Linux only."""
    tick = os.sysconf("SC_CLK_TCK")
    total = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            words = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # It has ended meanwhile.
        if path.parent.name == str(postmaster):
            total += sum(map(int, words[11:15]))  # Its own, and those of children that it has waited for.
        elif int(words[1]) == postmaster:
            total += sum(map(int, words[11:13]))
    return total / tick
