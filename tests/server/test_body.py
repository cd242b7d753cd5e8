"""Bodies: bounded before and after decompression, forms refused, JSON whatever it says."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from antiphon.errors import ClientError
from antiphon.server.body import read_body
from antiphon.server.presence import CallerLeft

pytestmark = pytest.mark.anyio

LIMIT = 100
JSON = b'{"model":"m"}'


def arriving(*chunks: bytes, cut: bool = False) -> Callable[[], Awaitable[dict[str, Any]]]:
    messages: list[dict[str, Any]] = [
        {"type": "http.request", "body": chunk, "more_body": cut or at < len(chunks) - 1}
        for at, chunk in enumerate(chunks)
    ]
    waiting = iter([*messages, {"type": "http.disconnect"}])

    async def receive() -> dict[str, Any]:
        return next(waiting)

    return receive


@pytest.mark.parametrize("chunks", [(JSON,), (JSON[:5], JSON[5:]), (JSON[:5], b"", JSON[5:], b"")])
async def test_chunks_are_joined(chunks: tuple[bytes, ...]) -> None:
    assert await read_body(arriving(*chunks), {}, LIMIT) == JSON


@pytest.mark.requirement("http:body:encodings")
@pytest.mark.parametrize(
    ("encoding", "packed"),
    [
        (b"gzip", gzip.compress(JSON)),
        (b"GZIP", gzip.compress(JSON)),
        (b"x-gzip", gzip.compress(JSON)),
        (b"deflate", zlib.compress(JSON)),
        (b"identity", JSON),
    ],
)
async def test_a_compressed_body_is_read(encoding: bytes, packed: bytes) -> None:
    assert await read_body(arriving(packed), {b"content-encoding": encoding}, LIMIT) == JSON


FAULTS: list[tuple[dict[bytes, bytes], tuple[bytes, ...], int, str]] = [
    ({b"content-length": b"201"}, (b"",), 413, "request_too_large"),
    ({}, (b"x" * 90, b"x" * 90, b"x" * 90), 413, "request_too_large"),
    ({}, (b"x" * 101,), 413, "request_too_large"),
    ({}, (b"x" * 60, b"x" * 60), 413, "request_too_large"),
    ({b"content-encoding": b"gzip"}, (gzip.compress(b"x" * 9999),), 413, "request_too_large"),
    ({b"content-encoding": b"br"}, (JSON,), 415, "unsupported_content_encoding"),
    ({b"content-encoding": b"gzip, gzip"}, (JSON,), 415, "unsupported_content_encoding"),
    ({b"content-encoding": b"gzip"}, (JSON,), 400, "invalid_content_encoding"),
    (
        {b"content-encoding": b"gzip"},
        (gzip.compress(JSON)[:-9],),
        400,
        "invalid_content_encoding",
    ),
    (
        {b"content-type": b"application/x-www-form-urlencoded"},
        (b"model=m&input=hi",),
        415,
        "unsupported_content_type",
    ),
    (
        {b"content-type": b"multipart/form-data; boundary=x"},
        (b"--x\r\n",),
        415,
        "unsupported_content_type",
    ),
]


@pytest.mark.requirement("http:body:refused")
@pytest.mark.parametrize(("headers", "chunks", "status", "code"), FAULTS)
async def test_a_body_that_cannot_be_read_is_refused_precisely(
    headers: dict[bytes, bytes], chunks: tuple[bytes, ...], status: int, code: str
) -> None:
    with pytest.raises(ClientError) as refused:
        await read_body(arriving(*chunks), headers, LIMIT)
    assert (refused.value.status, refused.value.code) == (status, code)


@pytest.mark.parametrize(("size", "closed"), [(101, False), (200, False), (201, True)])
async def test_a_body_little_too_large_is_read_to_its_end_so_that_its_sender_sees_the_answer(
    size: int, closed: bool
) -> None:
    chunks = [b"x" * 10] * (size // 10) + [b"x" * (size % 10)]
    with pytest.raises(ClientError) as refused:
        await read_body(arriving(*chunks), {}, LIMIT)
    assert ("connection" in refused.value.headers) == closed


async def test_a_body_of_exactly_the_limit_is_read() -> None:
    assert len(await read_body(arriving(b"x" * LIMIT), {}, LIMIT)) == LIMIT


@pytest.mark.requirement("http:body:content-type")
@pytest.mark.parametrize(
    "content_type", [b"text/plain", b"", b"application/x-www-form-urlencoded", b"application/json"]
)
async def test_json_is_read_whatever_the_content_type_says(content_type: bytes) -> None:
    assert await read_body(arriving(JSON), {b"content-type": content_type}, LIMIT) == JSON


async def test_a_caller_who_leaves_while_sending_is_noticed() -> None:
    with pytest.raises(CallerLeft):
        await read_body(arriving(JSON[:5], cut=True), {}, LIMIT)
