"""Keys: two headers, one table, no echo."""

from __future__ import annotations

import pytest

from antiphon.config import OPEN_PROJECT
from antiphon.errors import ClientError
from antiphon.server.auth import Keys

KEYS = Keys({"sk-one": "alpha", "sk-two": "beta", "schlüssel": "gamma"})


@pytest.mark.requirement("http:auth:two-headers")
@pytest.mark.parametrize(
    ("headers", "project"),
    [
        ({b"authorization": b"Bearer sk-one"}, "alpha"),
        ({b"authorization": b"bearer  sk-one "}, "alpha"),
        ({b"api-key": b"sk-two"}, "beta"),
        ({b"authorization": b"Bearer sk-one", b"api-key": b"sk-two"}, "alpha"),
        ({b"authorization": b"Basic c2s=", b"api-key": b"sk-two"}, "beta"),
        ({b"authorization": "Bearer schlüssel".encode()}, "gamma"),
    ],
)
def test_a_key_in_either_header_names_its_project(
    headers: dict[bytes, bytes], project: str
) -> None:
    assert KEYS.project_of(headers) == project


@pytest.mark.requirement("http:auth:refused")
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {b"authorization": b"Bearer"},
        {b"authorization": b"Bearer "},
        {b"authorization": b"sk-one"},
        {b"authorization": b"Bearer sk-on"},
        {b"authorization": b"Bearer sk-one sk-two"},
        {b"authorization": b"Bearer sk-three", b"api-key": b"sk-one"},
        {b"api-key": b"\xff\xfe"},
    ],
)
def test_no_key_or_a_wrong_key_is_401_and_not_repeated(headers: dict[bytes, bytes]) -> None:
    with pytest.raises(ClientError) as refused:
        KEYS.project_of(headers)
    assert (refused.value.status, refused.value.code) == (401, "invalid_api_key")
    assert refused.value.headers == {"www-authenticate": "Bearer"}
    assert "sk-" not in refused.value.message


@pytest.mark.requirement("http:auth:open")
def test_without_any_key_everybody_is_the_default_project() -> None:
    assert Keys({}).project_of({b"authorization": b"Bearer anything"}) == OPEN_PROJECT


def test_keys_are_not_kept_as_they_are() -> None:
    assert "sk-one" not in repr(vars(KEYS))


@pytest.mark.requirement("http:auth:foreign-pages")
@pytest.mark.parametrize(
    ("origin", "host", "welcome"),
    [
        (b"http://localhost:3000", b"127.0.0.1:8484", True),
        (b"http://127.0.0.1:3000", b"localhost:8484", True),
        (b"http://192.168.1.5:8484", b"192.168.1.5:8484", True),
        (b"https://evil.example", b"127.0.0.1:8484", False),
        (b"http://rebound.example:8484", b"rebound.example:8484", False),
        (b"http://192.168.1.9:8484", b"192.168.1.5:8484", False),
        (b"null", b"127.0.0.1:8484", False),
    ],
)
def test_an_open_server_takes_no_requests_from_foreign_web_pages(
    origin: bytes, host: bytes, welcome: bool
) -> None:
    headers = {b"origin": origin, b"host": host}
    if welcome:
        assert Keys({}).project_of(headers) == OPEN_PROJECT
        return
    with pytest.raises(ClientError) as refused:
        Keys({}).project_of(headers)
    assert (refused.value.status, refused.value.code) == (403, "origin_not_allowed")
