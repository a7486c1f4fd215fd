"""The command that serves the web pages."""

from __future__ import annotations

import click

from tvb_batch.models.errors import NotFoundError
from tvb_batch.models.settings import Settings
from tvb_batch.submit.cli.group import main, open_catalogue


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0 for all.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8321, show_default=True, help="Port; 0 for any free port."
)
@click.option(
    "--host-name",
    "host_names",
    multiple=True,
    help="Another host name that browsers use for this server. May be repeated.",
)
@click.pass_obj
def serve(settings: Settings, host: str, port: int, host_names: tuple[str, ...]) -> None:
    """Show sweeps and jobs in a browser: tables, maps, plots, downloads.

    Prints an address with a token; without the token you see nothing. TVB_BATCH_WEB_TOKEN sets your own token. Needs
    the extra `web`. For access from other machines, use a proxy with TLS.

    \b
    Example:
      tvb-batch serve --port 8321
    """
    try:
        from tvb_batch.submit.web.serve import serve as serve_web
    except ModuleNotFoundError as exc:
        raise NotFoundError(f"{exc.name} is not installed: pip install 'tvb-batch[web]'") from exc
    serve_web(open_catalogue(settings), settings, host=host, port=port, host_names=host_names)
