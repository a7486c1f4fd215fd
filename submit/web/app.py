"""The web application: routes and access control. It opens no port itself."""

from collections.abc import Mapping
from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from tvb_batch.models.catalogue import Catalogue
from tvb_batch.models.errors import NotFoundError, TvbBatchError
from tvb_batch.models.settings import Settings
from tvb_batch.submit.web import actions, pages
from tvb_batch.submit.web.security import Guard

HERE = Path(__file__).parent


def make_web(catalogue: Catalogue, settings: Settings, token: str, hosts: frozenset[str]) -> Starlette:
    """Return the application.

    Parameters
    ----------
    token : gives access to all pages and actions
    hosts : the allowed host names of this server, without ports
    """
    guard = Guard(token, hosts)
    routes = [
        Route("/", pages.sweeps_page),
        Route("/sweeps-table", pages.sweeps_table),
        Route("/sweeps/{gid:uuid}", pages.sweep_page),
        Route("/sweeps/{gid:uuid}/progress", pages.sweep_progress),
        Route("/sweeps/{gid:uuid}/remarks", pages.sweep_remarks),
        Route("/sweeps/{gid:uuid}/chart", pages.sweep_chart),
        Route("/jobs", pages.jobs_page),
        Route("/jobs/{gid:uuid}", pages.job_page),
        Route("/jobs/{gid:uuid}/series", pages.job_series),
        Route("/compare", pages.compare),
        Route("/workers", pages.workers_page),
        Route("/outputs/{gid:uuid}/file", pages.output_file),
        Route("/bundles", pages.bundles),
        Route("/bundles/{name}", pages.bundle_file),
        Route("/login", actions.login, methods=["GET", "POST"]),
        Route("/act", actions.act, methods=["POST"]),
        Mount("/static", StaticFiles(directory=HERE / "static")),
    ]
    app = Starlette(
        routes=routes,
        middleware=[Middleware(BaseHTTPMiddleware, dispatch=guard)],
        exception_handlers={TvbBatchError: _refused, 404: _absent},
    )
    app.state.catalogue, app.state.settings, app.state.guard = catalogue, settings, guard
    app.state.bundles = actions.Bundles()
    return app


def _refused(request: Request, exc: Exception) -> Response:
    return _message(request, str(exc), 404 if isinstance(exc, NotFoundError) else 400)


def _absent(request: Request, _: Exception) -> Response:
    return _message(request, "There is no such page.", 404)


def _message(request: Request, text: str, code: int) -> HTMLResponse:
    values: Mapping[str, object] = {"message": text}
    return pages.render_page(request, "message.html", values, code)
