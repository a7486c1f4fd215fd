"""Who may look and who may act: one token for a server, known to whoever started it.

The token comes once in the address or in the form, and is a cookie from then on. What changes anything needs a form of
our own besides, whose hidden field no other site can know.
"""

import hmac
import secrets
from collections.abc import Awaitable, Callable
from hashlib import sha256
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response

COOKIE = "tvb_batch"
#: Of a form, bytes; ours are far shorter.
MOST_BODY = 64 * 1024
#: Of an address with its parameters, letters.
MOST_QUERY = 8 * 1024

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}

Next = Callable[[Request], Awaitable[Response]]


def new_token() -> str:
    """A token that nobody guesses."""
    return secrets.token_urlsafe(24)


class Guard:
    """Lets in who knows the token, and asked for the host that this server is."""

    def __init__(self, token: str, hosts: frozenset[str]) -> None:
        self._token, self._hosts = token, hosts

    def csrf(self) -> str:
        """What a form of ours carries."""
        return self._derived("form")

    def knows(self, given: str) -> bool:
        """Whether `given` is the token."""
        return hmac.compare_digest(given.encode(), self._token.encode())

    def is_ours(self, request: Request, given: str) -> bool:
        """Whether a posted form is one of ours."""
        origin = request.headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
            return False
        return hmac.compare_digest(given.encode(), self.csrf().encode())

    def admit(self, response: Response, *, secure: bool) -> Response:
        """Let the browser of this response in from now on."""
        response.set_cookie(COOKIE, self._derived("cookie"), httponly=True, samesite="strict", secure=secure, path="/")
        return response

    async def __call__(self, request: Request, call_next: Next) -> Response:
        """Refuse what does not belong, and add to each answer what the browser is to keep to."""
        response = self._refusal(request) or await call_next(request)
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    def _refusal(self, request: Request) -> Response | None:
        host = urlsplit(f"//{request.headers.get('host', '')}").hostname or ""
        if host not in self._hosts:
            return PlainTextResponse(
                f"This server does not answer to the name {host!r}; start it with --host-name {host!r}\n", 400
            )
        if len(request.url.query) > MOST_QUERY:
            return PlainTextResponse("The address is too long.\n", 414)
        length = request.headers.get("content-length", "0")
        if request.method == "POST" and not (length.isdigit() and int(length) <= MOST_BODY and length != "0"):
            return PlainTextResponse("The form is too long, or of unknown length.\n", 413)
        if request.url.path.startswith("/static/") or request.url.path == "/login":
            return None
        if hmac.compare_digest(request.cookies.get(COOKIE, "").encode(), self._derived("cookie").encode()):
            return None
        given = request.query_params.get("token", "")
        if request.method == "GET" and given and self.knows(given):
            clean = request.url.remove_query_params("token")
            # One slash: two would name another host.
            target = "/" + clean.path.lstrip("/") + (f"?{clean.query}" if clean.query else "")
            return self.admit(RedirectResponse(target, 303), secure=request.url.scheme == "https")
        if request.method == "GET" and "text/html" in request.headers.get("accept", ""):
            return RedirectResponse("/login", 303)
        return PlainTextResponse("Log in first: open the address that `tvb-batch serve` printed.\n", 403)

    def _derived(self, purpose: str) -> str:
        return hmac.new(self._token.encode(), purpose.encode(), sha256).hexdigest()
