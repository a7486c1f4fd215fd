"""Connections to a database that are closed during a commit: a proxy for PostgreSQL, and SQLite's own commit."""

import contextlib
import select
import socket
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

#: A COMMIT as psycopg sends it: a simple query.
COMMIT = b"Q\x00\x00\x00\x0bCOMMIT\x00"


class Proxy:
    """A socket in front of PostgreSQL's that closes a connection at its COMMIT on request.

    Parameters
    ----------
    server : PostgreSQL's socket
    directory : the directory for the proxy's socket
    """

    def __init__(self, server: Path, directory: Path) -> None:
        self._server, self.directory = server, directory
        directory.mkdir()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(directory / server.name))
        self._listener.listen(16)
        self._left, self._times, self._is_late = -1, 0, False
        #: Number of COMMITs that were cut.
        self.cut = 0
        #: Lets the server get a late COMMIT.
        self.may_commit = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut_commit(self, number: int = 0, *, times: int = 1, late: bool = False) -> None:
        """Close the connection at the next COMMITs.

        Parameters
        ----------
        times : number of COMMITs
        late : the server gets the COMMIT only when `may_commit` is set, long after the client was cut; otherwise before
        """
        self._left, self._times, self._is_late = number, times, late
        self.may_commit.clear()

    def close(self) -> None:
        self.may_commit.set()
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX) as server, contextlib.suppress(OSError):
            server.connect(str(self._server))
            while True:
                for end in select.select([client, server], [], [])[0]:
                    data = end.recv(2**16)
                    if not data:
                        return
                    if end is client and data.endswith(COMMIT) and self._is_to_be_cut():
                        self._cut(client, server, data)
                        return
                    (server if end is client else client).sendall(data)

    def _is_to_be_cut(self) -> bool:
        self._left -= 1
        return -self._times <= self._left < 0

    def _cut(self, client: socket.socket, server: socket.socket, data: bytes) -> None:
        self.cut += 1
        if self._is_late:
            client.close()
            self.may_commit.wait(30)
        server.sendall(data)
        # It has committed when it answers.
        server.recv(2**16)


@contextlib.contextmanager
def cut_sqlite(engine: Engine, message: str, number: int = 0) -> Iterator[Callable[[], int]]:
    """Let SQLite report an error after a commit that has succeeded; yield a function that counts these errors."""
    commit, left = engine.dialect.do_commit, [number]

    def then_fail(connection: Any) -> None:
        commit(connection)
        left[0] -= 1
        if left[0] == -1:
            raise sqlite3.OperationalError(message)

    engine.dialect.do_commit = then_fail  # type: ignore[method-assign]
    try:
        yield lambda: int(left[0] < 0)
    finally:
        engine.dialect.do_commit = commit  # type: ignore[method-assign]
