"""What a block of header lines means to the hot routes, remembered by its bytes.

Clients repeat their heads to the letter. So a block is read once, by the same parser that
uvicorn uses, and its key is checked once; afterwards its meaning is one look-up. Same bytes,
same meaning: nothing here depends on anything but the bytes and the settings.
"""

from __future__ import annotations

import httptools
from msgspec import Struct

from antiphon.errors import ClientError
from antiphon.server.exchange import Deps, from_agent, sane

HEADS_MAX = 512
HEAD_REMEMBERED_BYTES_MAX = 4_096

_COLD = frozenset(
    (
        b"transfer-encoding",
        b"content-encoding",
        b"upgrade",
        b"expect",
        b"trailer",
        b"idempotency-key",
    )
)
_FORMS = (b"multipart/form-data", b"application/x-www-form-urlencoded")
"""Headers and content types that only the ASGI road knows how to treat."""


class Head(Struct, frozen=True):
    """What a block of header lines means: whose request, how long its body is, the request id the
    caller chose (or empty), and whether a coding agent sent it (``Exchange.lenient``)."""

    project: str
    length: int
    request_id: str
    lenient: bool = False


class _Lines:
    """Reads one block with the parser, and collects what it finds."""

    def __init__(self) -> None:
        self.headers: dict[bytes, bytes] = {}
        self.complete = False
        self.goes_on = False
        self.body = False
        self._parser: httptools.HttpRequestParser | None = None

    def read(self, block: bytes) -> None:
        parser = self._parser = httptools.HttpRequestParser(self)
        try:
            parser.feed_data(b"POST / HTTP/1.1\r\n" + block)
        finally:
            self._parser = None  # each knows the other: a cycle

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        self.complete = True
        self.goes_on = self._parser is not None and self._parser.should_keep_alive()

    def on_body(self, body: bytes) -> None:
        self.body = True


class Heads:
    """What blocks of header lines mean, remembered by their bytes.

    It may hold keys, as the settings in the same memory do; it is never shown and bounded.
    """

    def __init__(self, deps: Deps) -> None:
        self._deps = deps
        self._known: dict[bytes, Head] = {}

    def of(self, block: bytes) -> Head | None:
        """``block``: the lines after the request line, with the blank one. None: not hot."""
        known = self._known.get(block)
        if known is None:
            known = self._read(block)
            if known is not None and len(block) <= HEAD_REMEMBERED_BYTES_MAX:
                if len(self._known) >= HEADS_MAX:
                    self._known.clear()
                self._known[block] = known
        return known

    def _read(self, block: bytes) -> Head | None:
        if self._deps.open_responses:
            return None  # its answers are spelled by the ASGI road
        lines = _Lines()
        try:
            lines.read(block)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            return None
        headers = lines.headers
        if not lines.complete or not lines.goes_on or lines.body:
            return None
        if not _COLD.isdisjoint(headers):
            return None
        if headers.get(b"content-type", b"").lower().startswith(_FORMS):
            return None
        length = int(headers.get(b"content-length", b"0"))
        if length > self._deps.settings.body_limit_bytes:
            return None
        try:
            project = self._deps.keys.project_of(headers)
        except ClientError:
            return None
        agent = from_agent(headers, self._deps.settings.lenient_clients)
        return Head(project, length, sane(headers.get(b"x-request-id", b"")), agent)
