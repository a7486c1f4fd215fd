"""Runs the web application on one port until stopped."""

import socket
from collections.abc import Sequence

import click
import uvicorn

from tvb_batch.models.catalogue import Catalogue
from tvb_batch.models.errors import SettingsError
from tvb_batch.models.settings import Settings
from tvb_batch.submit.web.app import make_web
from tvb_batch.submit.web.connections import MOST_CONNECTIONS, ImpatientProtocol
from tvb_batch.submit.web.security import new_token

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def serve(catalogue: Catalogue, settings: Settings, *, host: str, port: int, host_names: Sequence[str] = ()) -> None:
    """Serve until Ctrl-C or SIGTERM.

    Parameters
    ----------
    host : an address of this machine; 0.0.0.0 for all addresses
    port : 0 for a free port
    host_names : additional host names of this server

    Raises
    ------
    SettingsError
        The port cannot be used.
    """
    token = settings.web_token.get_secret_value() or new_token()
    hosts = frozenset({*LOOPBACK, *host_names, socket.gethostname(), *({host} - {"0.0.0.0", "::"})})  # noqa: S104
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except (OSError, OverflowError) as exc:
        listener.close()
        raise SettingsError(f"{host}:{port}: cannot be used ({exc}); choose another with --host and --port") from exc
    shown = host_names[0] if host_names else "127.0.0.1" if host in ("0.0.0.0", "::") else host  # noqa: S104
    address = f"http://{f'[{shown}]' if ':' in shown else shown}:{listener.getsockname()[1]}/"
    # The operator knows a token from the settings, so it is not printed.
    own = bool(settings.web_token.get_secret_value())
    click.echo(f"{address}{'' if own else f'?token={token}'}\nPress Ctrl-C to stop.")
    app = make_web(catalogue, settings, token, hosts)
    server = uvicorn.Server(
        uvicorn.Config(
            app, log_level="warning", access_log=False, server_header=False, http=ImpatientProtocol,
            limit_concurrency=MOST_CONNECTIONS,
        )
    )  # fmt: skip
    with listener:
        server.run(sockets=[listener])
