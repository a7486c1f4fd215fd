"""Actions of the web pages: log in, cancel, retry, make a bundle. Each is a form that this server made."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal
from uuid import UUID

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from tvb_batch.models.catalogue import Catalogue
from tvb_batch.models.catalogue.tables import Sweep
from tvb_batch.models.errors import NotFoundError, TvbBatchError
from tvb_batch.models.settings import Settings
from tvb_batch.submit.bundles.tvb2_bundle import make_bundles
from tvb_batch.submit.present.formatting import short
from tvb_batch.submit.web import pages


@dataclass(frozen=True)
class Making:
    """A bundle that is being made or was made."""

    sweep: UUID
    name: str
    state: Literal["being made", "ready", "failed"] = "being made"
    error: str = ""


class Bundles:
    """The bundles of this server; for each sweep, one at a time is made."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._making: dict[UUID, Making] = {}

    def all(self) -> list[Making]:
        """Return the bundles in the order of requests."""
        with self._lock:
            return list(self._making.values())

    def of(self, sweep: UUID) -> list[Making]:
        """Return the bundles of one sweep."""
        return [making for making in self.all() if making.sweep == sweep]

    def start(self, catalogue: Catalogue, settings: Settings, sweep: Sweep) -> None:
        """Start a bundle, unless it is being made."""
        name = f"{sweep.name}-{short(sweep.gid)}"
        with self._lock:
            before = self._making.get(sweep.gid)
            if before is not None and before.state == "being made":
                return
            self._making[sweep.gid] = making = Making(sweep.gid, name)

        def work() -> None:
            try:
                make_bundles(catalogue, [sweep], settings, settings.storage.bundle(name).absolute())
                ended = replace(making, state="ready")
            except TvbBatchError as exc:
                ended = replace(making, state="failed", error=str(exc))
            except Exception as exc:
                ended = replace(making, state="failed", error=f"{type(exc).__name__}: {exc}")
            with self._lock:
                self._making[sweep.gid] = ended

        threading.Thread(target=work, daemon=True, name=f"bundle-{name}").start()


async def login(request: Request) -> Response:
    """Show the form for the token, or check its answer."""
    guard = request.app.state.guard
    if request.method == "GET":
        return pages.render_page(request, "login.html", {"fault": ""})
    form = await request.form(max_files=0, max_fields=4)
    if not guard.knows(str(form.get("token", ""))):
        return pages.render_page(
            request, "login.html", {"fault": "That is not the token that the server printed."}, 403
        )
    return guard.admit(RedirectResponse("/", 303), secure=request.scope["scheme"] == "https")  # type: ignore[no-any-return]


async def act(request: Request) -> Response:
    """Do the action of a form, then return to its page."""
    form = await request.form(max_files=0, max_fields=8)
    if not request.app.state.guard.is_ours(request, str(form.get("csrf", ""))):
        return pages.render_page(
            request, "message.html", {"message": "This form does not belong to this server; nothing was done."}, 403
        )
    action, key = str(form.get("action", "")), str(form.get("key", ""))
    if action not in _ACTIONS:
        raise NotFoundError(f"{action[:40]!r}: no such action; expected one of {', '.join(_ACTIONS)}")
    return RedirectResponse(await run_in_threadpool(_do, request, action, key), 303)


def _do(request: Request, action: str, key: str) -> str:
    catalogue, settings = pages.catalogue_of(request), pages.settings_of(request)
    found = catalogue.find(key)
    if action == "bundle":
        if not isinstance(found, Sweep):
            raise NotFoundError("here you can bundle a sweep; for one job use `tvb-batch bundle`")
        request.app.state.bundles.start(catalogue, settings, found)
        return "/bundles"
    if action in ("pause", "resume") and not isinstance(found, Sweep):
        raise NotFoundError(f"{key}: a job cannot be paused; pause its sweep")
    _ACTIONS[action](catalogue, {"sweep": found.gid} if isinstance(found, Sweep) else {"job": found.gid})
    return f"/{'sweeps' if isinstance(found, Sweep) else 'jobs'}/{found.gid}"


_ACTIONS: dict[str, Callable[[Catalogue, dict[str, Any]], Any]] = {
    "cancel": lambda catalogue, target: catalogue.cancel(**target),
    "retry": lambda catalogue, target: catalogue.retry(**target),
    "pause": lambda catalogue, target: catalogue.pause(**target),
    "resume": lambda catalogue, target: catalogue.resume(**target),
    "bundle": lambda catalogue, target: None,
}
