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


class Target(Struct, frozen=True):
    """A URL cut up: where to connect and what to write."""

    host: str
    port: int
    origin: str
    path: str
    lines: str  # Host, and Authorization if the URL carries credentials

    def __repr__(self) -> str:
        return f"Target({self.origin})"


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
        host=parts.hostname,
        port=port,
        origin=f"http://{place}",
        path=path,
        lines=lines,
    )


def head_of(method: str, target: Target, headers: Mapping[str, str], body: bytes) -> bytes:
    lines = field_lines(headers)
    length = f"Content-Length: {len(body)}\r\n" if body or method not in _BODYLESS else ""
    agent = "" if "user-agent" in lines.lower() else f"User-Agent: antiphon/{__version__}\r\n"
    return (f"{method} {target.path} HTTP/1.1\r\n{target.lines}{agent}{length}{lines}\r\n").encode()
