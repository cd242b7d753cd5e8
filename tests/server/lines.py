"""What the tests of the hot routes share: requests as bytes, and answers made comparable."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import msgspec

from tests.server.asgi_client import Answer

HELLO = {"model": "scripted/hello", "input": "Hi."}
STREAM = {**HELLO, "stream": True}

_MINTED = re.compile(rb"\b(resp|msg|rs|fc|ctc|call|req)_[0-9a-f]{20,}")
_TIMES = re.compile(rb'"(created_at|completed_at)":[0-9]+')
_THEIR_OWN = frozenset({"date", "connection", "transfer-encoding"})
"""Headers of the connection: an application by itself sends none."""


def request(
    method: str,
    path: str,
    *headers: str,
    body: Any = b"",
    version: str = "1.1",
) -> bytes:
    """A whole request. ``body``: bytes, or anything as JSON."""
    data = body if isinstance(body, bytes) else msgspec.json.encode(body)
    lines = [f"{method} {path} HTTP/{version}", "Host: x", *headers]
    if data or method in ("POST", "PUT"):
        lines.append(f"Content-Length: {len(data)}")
    return "\r\n".join([*lines, "", ""]).encode() + data


def post(body: Any, *headers: str, path: str = "/v1/responses", version: str = "1.1") -> bytes:
    return request("POST", path, *headers, body=body, version=version)


def get(path: str, *headers: str) -> bytes:
    return request("GET", path, *headers)


def chunked(*chunks: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"


class Same(NamedTuple):
    """An answer without what must differ between two answers: ids, times, the connection."""

    status: int
    headers: dict[str, str]
    body: bytes


def same(answer: Answer) -> Same:
    headers = {name: value for name, value in answer.headers.items() if name not in _THEIR_OWN}
    headers["openai-processing-ms"] = str(headers["openai-processing-ms"].isdigit())
    headers["x-request-id"] = _MINTED.sub(rb"\1_", headers["x-request-id"].encode()).decode()
    body = _TIMES.sub(rb'"\1":0', _MINTED.sub(rb"\1_", answer.body))
    return Same(answer.status, headers, body)
