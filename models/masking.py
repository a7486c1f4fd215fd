"""Masks the passwords in URLs, so that no message, log line or page shows one."""

import re
from urllib.parse import parse_qsl, unquote

#: scheme, user and password, host, port, path, query; everything else in a password is percent-encoded.
_URL = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?:(?P<who>[^/?#@\s]*)@)?(?P<host>\[[0-9a-fA-F:.]+\]|[^/?#@:\[\]\s]*)"
    r"(?::(?P<port>[0-9]{1,5}))?(?P<path>/[^?#@\s]*)?(?:\?(?P<query>[^#\s]*))?"
)
#: Query parameters without secrets.
_PLAIN = frozenset({"dbname", "host", "hostaddr", "port"})
#: Replaces an invalid URL, which is not shown.
NO_URL = "(not shown: it may hold a password; in one write %2F for /, %3A for :, %40 for @, %23 for #); expected one"
#: Shorter passwords also occur in ordinary words, and no library prints them.
_LEAST = 4

_SECRETS: set[str] = set()


def is_url(text: str) -> bool:
    """Return whether the text is a URL with unambiguous parts."""
    return _URL.fullmatch(text) is not None


def without_password(url: str) -> str:
    """Return the URL for a message: without user, password and query."""
    found = _URL.fullmatch(url)
    if found is None:
        return "(not shown: it may hold a password)"
    port = f":{found['port']}" if found["port"] else ""
    return f"{found['scheme']}://{found['host']}{port}{found['path'] or ''}"


def remember(url: str) -> None:
    """Mask the secrets of this URL from now on."""
    found = _URL.fullmatch(url)
    if found is None:
        return
    secrets = [(found["who"] or "").partition(":")[2]]
    for name, value in parse_qsl(found["query"] or ""):
        if name not in _PLAIN:
            secrets += [value, *value.split()]
    for secret in secrets:
        _SECRETS.update(form for form in (secret, unquote(secret)) if len(form) >= _LEAST)


def masked(text: str) -> str:
    """Return the text with `***` in place of each secret."""
    for secret in sorted(_SECRETS, key=len, reverse=True):
        text = text.replace(secret, "***")
    return text
