"""Access control: one token for a server.

The token comes once in the address or in the login form, and then in a cookie. Changes also need a form of this server
with a hidden field that other sites cannot know.
"""

import hmac
import re
import secrets
from collections.abc import Awaitable, Callable
from hashlib import sha256
from urllib.parse import parse_qsl, quote, urlencode

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response

COOKIE = "tvb_batch"
#: Maximum size of a form. Bytes.
MOST_BODY = 64 * 1024
#: Maximum length of an address with its parameters. Characters.
MOST_QUERY = 8 * 1024

_HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253})(?::[0-9]{1,5})?")

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
    """Return a random token."""
    return secrets.token_urlsafe(24)


class Guard:
    """Admits requests with the token and with a known host name."""

    def __init__(self, token: str, hosts: frozenset[str]) -> None:
        self._token, self._hosts = token, frozenset(map(str.lower, hosts))

    def csrf(self) -> str:
        """Return the hidden field of a form."""
        return self._derived("form")

    def knows(self, given: str) -> bool:
        """Return whether `given` is the token."""
        return hmac.compare_digest(given.encode(errors="replace"), self._token.encode())

    def is_ours(self, request: Request, given: str) -> bool:
        """Return whether a posted form is from this server."""
        origin = request.headers.get("origin")
        # A proxy may add https, so compare only the names.
        if origin is not None and origin.partition("://")[2] != request.headers.get("host"):
            return False
        return hmac.compare_digest(given.encode(errors="replace"), self.csrf().encode())

    def admit(self, response: Response, *, secure: bool) -> Response:
        """Set the cookie that admits this browser."""
        response.set_cookie(COOKIE, self._derived("cookie"), httponly=True, samesite="strict", secure=secure, path="/")
        return response

    async def __call__(self, request: Request, call_next: Next) -> Response:
        """Refuse requests without access, and add the security headers to each answer."""
        response = self._refusal(request) or await call_next(request)
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    def _refusal(self, request: Request) -> Response | None:
        # Never use `request.url`: it contains the header Host, which a client can forge.
        path, query = str(request.scope["path"]), request.scope["query_string"].decode("latin-1")
        found = _HOST.fullmatch(", ".join(request.headers.getlist("host")))
        if found is None:
            return PlainTextResponse("The header Host is not a host name; expected for example 127.0.0.1:8321.\n", 400)
        host = found["name"].strip("[]").lower()
        if host not in self._hosts:
            return PlainTextResponse(
                f"This server does not answer to the name {host!r}; start it with --host-name {host!r}\n", 400
            )
        if len(query) > MOST_QUERY:
            return PlainTextResponse("The address is too long.\n", 414)
        length = request.headers.get("content-length", "0")
        if request.method == "POST" and not (length.isdigit() and int(length) <= MOST_BODY and length != "0"):
            return PlainTextResponse("The form is too long, or of unknown length.\n", 413)
        if path.startswith("/static/") or path == "/login":
            return None
        if hmac.compare_digest(request.cookies.get(COOKIE, "").encode(), self._derived("cookie").encode()):
            return None
        given = request.query_params.get("token", "")
        if request.method == "GET" and given and self.knows(given):
            clean = urlencode([pair for pair in parse_qsl(query, keep_blank_values=True) if pair[0] != "token"])
            # One slash: two would name another host.
            target = "/" + quote(path.lstrip("/\\")) + (f"?{clean}" if clean else "")
            return self.admit(RedirectResponse(target, 303), secure=request.scope["scheme"] == "https")
        if request.method == "GET" and "text/html" in request.headers.get("accept", ""):
            return RedirectResponse("/login", 303)
        return PlainTextResponse("Log in first: open the address that `tvb-batch serve` printed.\n", 403)

    def _derived(self, purpose: str) -> str:
        return hmac.new(self._token.encode(), purpose.encode(), sha256).hexdigest()
