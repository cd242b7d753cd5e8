"""uvicorn's HTTP/1.1 connection, mended where the outside needs it.

- Clients that offer HTTP/2 with every request (Java's and curl's: ``Upgrade: h2c``) are served; RFC
  9110 lets a server ignore the offer, but the parser takes it for the end of HTTP and drops the
  body of the request. It must not see it. It is looked for only where a request may begin, so
  that no body is touched.
- There also the head is measured: one that does not end within ``HEAD_BYTES_MAX`` is a 400.
"""

from __future__ import annotations

import re
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_BYTES_MAX = 65_536
"""Request line and headers together; the parser itself would take any number."""

_OFFER_OF_HTTP_2 = re.compile(rb"\r\nupgrade:[ \t]*h2c[ \t]*(?=\r\n|\Z)", re.IGNORECASE)


class Connection(HttpToolsProtocol):
    """One connection whose requests are ASGI's."""

    _dated: tuple[list[tuple[bytes, bytes]], bytes] = ([], b"")

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._in_message = False
        self._in_body = False
        self._head_bytes = 0

    @property
    def is_uvicorns(self) -> bool:
        """Whether uvicorn is inside a message or an answer: what comes next is its to read."""
        cycle = self.cycle
        return self._in_message or (cycle is not None and not cycle.response_complete)

    def data_received(self, data: bytes) -> None:
        if not self._in_body:
            self._head_bytes += len(data)
            if b"h2c" in data:
                head, end, body = data.partition(b"\r\n\r\n")
                data = _OFFER_OF_HTTP_2.sub(b"", head) + end + body
        super().data_received(data)
        if self._head_bytes > HEAD_BYTES_MAX and not self.transport.is_closing():
            self.send_400_response(f"The request's head is longer than {HEAD_BYTES_MAX} bytes.")

    def on_message_begin(self) -> None:
        self._in_message = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_body = True
        self._head_bytes = 0
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_message = self._in_body = False
        super().on_message_complete()

    def date_line(self) -> bytes:
        """The headers uvicorn adds to every answer: it makes them anew once a second."""
        headers = self.server_state.default_headers
        if headers is not Connection._dated[0]:
            lines = b"".join([b"%b: %b\r\n" % pair for pair in headers])
            Connection._dated = (headers, lines)
        return Connection._dated[1]
