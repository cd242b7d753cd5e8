"""Two things in one turn of the event loop, in the order that is least convenient."""

from __future__ import annotations

import asyncio
import gc
import gzip
import random
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import pytest

from antiphon.backends.router import Route, Router
from antiphon.backends.scripted import Scripted
from antiphon.ids import ItemIds
from antiphon.runs.context import Context
from antiphon.runs.live import Live
from tests.server.asgi_client import AsgiClient
from tests.server.conftest import House, opened, over_socket
from tests.server.lines import HELLO, STREAM, Same, get, post, request, same
from tests.server.socket_client import Connection, Front, configured

pytestmark = [pytest.mark.anyio, over_socket, pytest.mark.usefixtures("quiet")]


async def made(house: House) -> dict[str, Any]:
    """A stored response."""
    answer = await AsgiClient(house.app).request("POST", "/v1/responses", body=HELLO)
    decoded: dict[str, Any] = answer.json()
    return decoded


async def turns(count: int = 50) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def reference(stored: dict[str, Any], **more: object) -> dict[str, object]:
    """A request for which an item has to be looked up: it waits in a task of its own."""
    return {**HELLO, **more, "input": [{"type": "item_reference", "id": stored["output"][0]["id"]}]}


@pytest.mark.requirement("http:hot:stopping")
@pytest.mark.parametrize("asked", [b"stored", post(b"{")])
async def test_what_was_answered_in_the_turn_in_which_the_server_stops_is_sent(
    house: House, line: Connection, asked: bytes
) -> None:
    if asked == b"stored":
        asked = get(f"/v1/responses/{(await made(house))['id']}")
    line.protocol.data_received(asked)
    line.protocol.shutdown()
    assert (await line.answer()).status in (200, 400)
    assert await line.rest() == b""


@pytest.mark.requirement("http:hot:stopping")
@pytest.mark.parametrize("stream", [False, True])
async def test_a_request_that_still_waits_when_the_time_is_up_is_refused_and_forgotten(
    house: House, line: Connection, stream: bool
) -> None:
    asked = post(reference(await made(house), stream=stream))
    before = len(house.observed)
    line.protocol.data_received(asked)
    line.protocol.shutdown()
    line.protocol.cut()
    assert (await line.answer()).status == 503
    assert await line.rest() == b""
    await turns()
    told = house.observed[before:]
    assert [type(one).__name__ for one in told] == ["RequestFinished"], told
    assert house.deps.under_way.count == 0 and not house.deps.runs.live


@pytest.mark.requirement("http:hot:segments")
async def test_a_body_that_comes_while_the_caller_takes_nothing_is_still_a_body(
    line: Connection,
) -> None:
    whole = post(HELLO)
    await line.say_apart(whole[:-10])
    line.protocol.pause_writing()
    await line.say_apart(whole[-10:])
    line.protocol.resume_writing()
    assert (await line.answer()).status == 200
    assert (await line.ask(post(STREAM))).status == 200


# Everything at once


def kinds(stored: str) -> list[tuple[str, str, list[str], Any]]:
    """Method, path, headers and body of requests of every kind; the first few are hot."""
    create, path = "/v1/responses", f"/v1/responses/{stored}"
    packed = gzip.compress(b'{"model":"scripted/hello","input":"Hi."}')
    return [
        ("POST", create, [], HELLO),
        ("POST", create, ["X-Request-Id: mine"], STREAM),
        ("POST", create, [], {**HELLO, "store": False, "input": "word " * 2_000}),
        ("POST", create, [], {**STREAM, "model": "scripted/reasoning"}),
        ("POST", create, [], {**HELLO, "model": "scripted/error-429"}),
        ("POST", create, [], {**HELLO, "previous_response_id": stored}),
        ("POST", create, [], {**HELLO, "temperature": 9}),
        ("POST", create, [], b'{"mod'),
        ("GET", path, [], b""),
        ("GET", f"/v1/responses/resp_{'0' * 34}", [], b""),
        ("GET", f"{path}?stream=true", [], b""),
        ("POST", create, ["Content-Encoding: gzip"], packed),
        ("POST", create, ["Expect: 100-continue"], STREAM),
        ("POST", f"{create}?x=1", [], STREAM),
        ("HEAD", path, [], b""),
        ("PUT", create, [], b"x"),
        ("GET", "/v1/models", [], b""),
        ("GET", "/nowhere", [], b""),
    ]


@pytest.mark.requirement("http:hot:pipelined")
@pytest.mark.parametrize("seed", range(8))
async def test_any_requests_cut_anywhere_are_answered_as_the_application_answers_them(
    house: House, line: Connection, seed: int
) -> None:
    chance = random.Random(seed)
    application = AsgiClient(house.app)
    every = kinds((await made(house))["id"])
    expected: list[tuple[str, Same]] = []
    whole = b""
    for method, path, headers, body in chance.choices(every, k=50):
        fields = dict(header.split(": ") for header in headers)
        alone = await application.request(method, path, headers=fields, body=body)
        expected.append((method, same(alone)))
        whole += request(method, path, *headers, body=body)
    cuts = sorted(chance.sample(range(1, len(whole)), chance.choice([1, 10, 100])))
    edges = [0, *cuts, len(whole)]
    asking = asyncio.ensure_future(
        line.say_apart(*(whole[start:end] for start, end in pairwise(edges)))
    )
    for number, (method, answer) in enumerate(expected):
        assert same(await line.answer(method)) == answer, number
    await asking
    assert house.deps.under_way.count == 0
    counted = [type(told).__name__ for told in house.observed].count("RequestFinished")
    assert counted == 1 + 2 * len(expected)


# Nothing stays behind


@pytest.fixture
async def routed(road: str) -> AsyncIterator[Connection]:
    """A connection to a server whose backend has its own ideas about failures."""
    router = Router([Route(name="scripted", backend=Scripted(), retries=0)])
    async for house in opened(router, {}, road):
        connection = await Front(configured(house.app, house.deps)).connect()
        yield connection
        await connection.close()


@pytest.mark.requirement("http:hot:no-cycles")
@pytest.mark.parametrize("model", ["hello", "error-429", "error-after-3", "none"])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_request_that_is_over_leaves_nothing_for_the_garbage_collector(
    routed: Connection, model: str, stream: bool
) -> None:
    asked = post({"model": f"scripted/{model}", "input": "Hi.", "stream": stream, "store": False})
    await routed.ask(asked)
    gc.collect()
    gc.disable()
    try:
        for _ in range(3):
            await routed.ask(asked)
        await turns()
        kept = [one for one in gc.get_objects() if isinstance(one, Live | Context | ItemIds)]
        assert kept == []
    finally:
        gc.enable()
