"""A request as the fast client writes it: where to connect, and the bytes of its head. No I/O."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import quote, unquote, urlsplit

from msgspec import Struct

from antiphon import __version__
from antiphon.backends.transport import field_lines
from antiphon.errors import LocalProtocolError

_SAFE = "/%:=&?~+!$,;'@()*[]"
_BODYLESS = frozenset(("GET", "HEAD", "DELETE", "OPTIONS"))

Place = tuple[str, int]
"""Host and port."""


class Target(Struct, frozen=True):
    """A URL cut up: where to connect and what to write."""

    place: Place
    origin: str
    path: str
    lines: str  # Host, and Authorization if the URL carries credentials

    def __repr__(self) -> str:
        return f"Target({self.origin})"


class Request(Struct, frozen=True):
    """A request without its body, ready to be written any number of times."""

    place: Place
    origin: str
    before: bytes  # up to the number of Content-Length
    after: bytes  # from there to the empty line
    bodyless: bool  # no Content-Length unless there is a body

    def __repr__(self) -> str:
        return f"Request({self.origin})"  # headers hold secrets

    def head(self, body: bytes) -> bytes:
        """The bytes that go before ``body``."""
        if body or not self.bodyless:
            return b"%bContent-Length: %d\r\n%b" % (self.before, len(body), self.after)
        return self.before + self.after


@lru_cache(maxsize=512)
def target_of(url: str) -> Target:
    parts = urlsplit(url)
    try:
        port = parts.port or 80
    except ValueError:
        port = 0
    if parts.scheme != "http" or not parts.hostname or not port:
        raise LocalProtocolError("the fast client needs a URL like http://host[:port]/path")
    place = parts.netloc.rpartition("@")[2]
    lines = f"Host: {place}\r\n"
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        lines += f"Authorization: Basic {b64encode(pair.encode()).decode()}\r\n"
    path = quote(parts.path or "/", safe=_SAFE)
    if parts.query:
        path += "?" + quote(parts.query, safe=_SAFE)
    return Target(
        place=(parts.hostname, port),
        origin=f"http://{place}",
        path=path,
        lines=lines,
    )


def request_of(method: str, url: str, headers: Mapping[str, str]) -> Request:
    """``LocalProtocolError`` for a URL that is not plain http, or a line break in a header."""
    target = target_of(url)
    lines = field_lines(headers)
    agent = "" if "user-agent" in lines.lower() else f"User-Agent: antiphon/{__version__}\r\n"
    return Request(
        place=target.place,
        origin=target.origin,
        before=f"{method} {target.path} HTTP/1.1\r\n{target.lines}{agent}".encode(),
        after=f"{lines}\r\n".encode(),
        bodyless=method in _BODYLESS,
    )
