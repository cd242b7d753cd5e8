"""Reads a request's body: bounded, decompressed, not yet decoded.

The content type hardly matters: clients that say ``text/plain`` and send JSON are served.
Only forms are refused, because a form's fields are not JSON and the caller should learn why.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping

from starlette.types import Receive

from antiphon.errors import ClientError
from antiphon.server.presence import CallerLeft

_FORMS = (b"multipart/form-data", b"application/x-www-form-urlencoded")
_WINDOW = {b"gzip": 16 + zlib.MAX_WBITS, b"x-gzip": 16 + zlib.MAX_WBITS, b"deflate": zlib.MAX_WBITS}

_PATIENCE = 2
"""A body of up to this many times the limit is read before it is refused."""


async def read_body(receive: Receive, headers: Mapping[bytes, bytes], limit_bytes: int) -> bytes:
    """The whole body, decompressed.

    Raises ClientError 413 beyond ``limit_bytes`` (before and after decompression), 415 for an
    encoding or a form we do not read, 400 for a broken encoding; ``CallerLeft``.
    """
    announced = headers.get(b"content-length", b"")
    if announced.isdigit() and int(announced) > _PATIENCE * limit_bytes:
        raise _too_large(limit_bytes, unread=True)
    encoding = headers.get(b"content-encoding", b"identity").strip().lower()
    if encoding != b"identity" and encoding not in _WINDOW:
        raise _unreadable_encoding()
    body = await _gather(receive, limit_bytes)
    if encoding in _WINDOW:
        body = _inflate(body, _WINDOW[encoding], limit_bytes)
    if headers.get(b"content-type", b"").lower().startswith(_FORMS):
        _refuse_form(body)
    return body


async def _gather(receive: Receive, limit_bytes: int) -> bytes:
    """All chunks joined. What is too large is read to its end if that is near, and thrown away:
    a client that is cut off while it sends never sees the answer."""
    chunks: list[bytes] = []
    size = 0
    while (message := await receive())["type"] == "http.request":
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > _PATIENCE * limit_bytes:
            raise _too_large(limit_bytes, unread=True)
        if size <= limit_bytes:
            chunks.append(chunk)
        else:
            chunks.clear()
        if not message.get("more_body"):
            if size > limit_bytes:
                raise _too_large(limit_bytes, unread=False)
            return chunk if len(chunks) == 1 else b"".join(chunks)
    raise CallerLeft


def _inflate(body: bytes, window: int, limit_bytes: int) -> bytes:
    inflater = zlib.decompressobj(window)
    try:
        plain = inflater.decompress(body, limit_bytes + 1)
    except zlib.error:
        raise _broken_encoding() from None
    if len(plain) > limit_bytes:
        raise _too_large(limit_bytes, unread=False)
    if not inflater.eof:
        raise _broken_encoding()
    return plain


def _refuse_form(body: bytes) -> None:
    # curl -d says "form" about whatever it sends; an object is taken for what it is.
    if body and not body.lstrip().startswith(b"{"):
        raise ClientError(
            "The request body is a form; send a JSON object with 'Content-Type: application/json'.",
            code="unsupported_content_type",
            status=415,
        )


def _too_large(limit_bytes: int, *, unread: bool) -> ClientError:
    """``unread``: the rest of the body is still to come, so the connection is of no more use."""
    return ClientError(
        f"The request body is larger than this server accepts ({limit_bytes} bytes).",
        code="request_too_large",
        status=413,
        headers={"connection": "close"} if unread else {},
    )


def _unreadable_encoding() -> ClientError:
    return ClientError(
        "The request body has a Content-Encoding this server does not read; use gzip, deflate "
        "or none.",
        code="unsupported_content_encoding",
        status=415,
        headers={"accept-encoding": "gzip, deflate"},
    )


def _broken_encoding() -> ClientError:
    return ClientError(
        "The request body could not be decompressed: it is broken or cut off.",
        code="invalid_content_encoding",
    )
