"""The catalogue in a browser."""

from __future__ import annotations

import click

from tvb_batch.models.errors import NotFoundError
from tvb_batch.models.settings import Settings
from tvb_batch.submit.cli.group import catalogue_of, main


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="An address of this machine; 0.0.0.0 is all.")
@click.option("--port", type=click.IntRange(0, 65535), default=8321, show_default=True, help="0 takes a free one.")
@click.option("--host-name", "host_names", multiple=True, help="A name by which browsers ask for it. May be repeated.")
@click.pass_obj
def serve(settings: Settings, host: str, port: int, host_names: tuple[str, ...]) -> None:
    """Show sweeps and jobs in a browser: tables, maps, plots, downloads.

    Prints the address with a token, without which nobody gets in; TVB_BATCH_WEB_TOKEN sets one. Needs the extra `web`.
    Beyond this machine put a proxy with TLS in front.

    \b
    Example:
      tvb-batch serve --port 8321
    """
    try:
        from tvb_batch.submit.web.serve import serve as serve_web
    except ModuleNotFoundError as exc:
        raise NotFoundError(f"{exc.name} is not installed: pip install 'tvb-batch[web]'") from exc
    serve_web(catalogue_of(settings), settings, host=host, port=port, host_names=host_names)
