"""HTTP as it comes: whatever the segments, whatever stands before and behind, a request means
what RFC 9112 says, and its answer is what the application answers over ASGI.

The hot routes are answered before ASGI (``server/hot.py``), so what a hand-written front gets
wrong is asked here: of them, of the others, and of both on one connection.
"""

from __future__ import annotations

import gzip
from typing import Any

import pytest

from tests.server.asgi_client import AsgiClient, events_of
from tests.server.conftest import House, over_socket
from tests.server.lines import HELLO, STREAM, chunked, get, post, request, same
from tests.server.socket_client import DATE, Connection, Front, configured

pytestmark = [pytest.mark.anyio, over_socket, pytest.mark.usefixtures("quiet")]

MODELS = get("/v1/models")
NOWHERE = get("/v1/nowhere")
MISSING = get("/v1/responses/resp_" + "0" * 34)
BAD = post(b'{"mod')


async def made(house: House, **more: object) -> str:
    """The id of a stored response."""
    answer = await AsgiClient(house.app).request("POST", "/v1/responses", body={**HELLO, **more})
    return str(answer.json()["id"])


# The same answer as the application's


@pytest.mark.requirement("http:hot:direct")
async def test_what_is_hot_never_reaches_the_application(house: House) -> None:
    async def unreachable(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("the application was asked")

    stored = await made(house)
    line = await Front(configured(unreachable, house.deps)).connect()
    for asked in (post(HELLO), post(STREAM), BAD, get(f"/v1/responses/{stored}"), MISSING):
        assert (await line.ask(asked)).status in (200, 400, 404)
    await line.close()


JSON_TYPE = {"content-type": "application/json"}
FORM_TYPE = {"content-type": "application/x-www-form-urlencoded"}
ASKED = {
    "plain": ("POST", "/v1/responses", {}, HELLO),
    "plain, typed": ("POST", "/v1/responses", JSON_TYPE, HELLO),
    "unstored": ("POST", "/v1/responses", {}, {**HELLO, "store": False}),
    "streamed": ("POST", "/v1/responses", {}, STREAM),
    "reasoned": ("POST", "/v1/responses", {}, {**STREAM, "model": "scripted/reasoning"}),
    "with a query": ("POST", "/v1/responses?x=1", {}, HELLO),
    "downgraded": ("POST", "/v1/responses", {}, {**HELLO, "service_tier": "priority"}),
    "downgraded stream": ("POST", "/v1/responses", {}, {**STREAM, "service_tier": "priority"}),
    "failed": ("POST", "/v1/responses", {}, {**HELLO, "model": "scripted/error-after-3"}),
    "failed stream": ("POST", "/v1/responses", {}, {**STREAM, "model": "scripted/error-after-3"}),
    "broken JSON": ("POST", "/v1/responses", {}, b'{"model":'),
    "no JSON object": ("POST", "/v1/responses", {}, b"[]"),
    "not UTF-8": ("POST", "/v1/responses", {}, b'{"model":"\xff"}'),
    "nested too deep": ("POST", "/v1/responses", {}, b'{"input":' + b"[" * 5000),
    "empty": ("POST", "/v1/responses", {}, b""),
    "an unknown parameter": ("POST", "/v1/responses", {}, {**HELLO, "no_such": 1}),
    "a bad parameter": ("POST", "/v1/responses", {}, {**STREAM, "temperature": 3}),
    "no such parent": ("POST", "/v1/responses", {}, {**HELLO, "previous_response_id": "resp_0"}),
    "no such model": ("POST", "/v1/responses", {}, {**HELLO, "model": "scripted/none"}),
    "a busy upstream": ("POST", "/v1/responses", {}, {**HELLO, "model": "scripted/error-429"}),
    "a busy stream": ("POST", "/v1/responses", {}, {**STREAM, "model": "scripted/error-429"}),
    "a form": ("POST", "/v1/responses", FORM_TYPE, b"model=m"),
    "a form that is JSON": ("POST", "/v1/responses", FORM_TYPE, HELLO),
    "gzip": ("POST", "/v1/responses", {"content-encoding": "gzip"}, gzip.compress(b"{}")),
    "not gzip": ("POST", "/v1/responses", {"content-encoding": "gzip"}, b"{}"),
    "brotli": ("POST", "/v1/responses", {"content-encoding": "br"}, b"{}"),
    "a slash too many": ("POST", "/v1/responses/", {}, HELLO),
    "a longer path": ("POST", "/v1/responsesx", {}, HELLO),
    "another method": ("PUT", "/v1/responses", {}, HELLO),
    "one of our ids": ("POST", "/v1/responses", {"x-request-id": "mine-1"}, HELLO),
    "not one of our ids": ("POST", "/v1/responses", {"x-request-id": "a b"}, HELLO),
    "from a foreign page": ("POST", "/v1/responses", {"origin": "https://evil.example"}, HELLO),
    "stored": ("GET", "/v1/responses/ID", {}, b""),
    "stored, streamed": ("GET", "/v1/responses/ID?stream=true", {}, b""),
    "stored, with a question mark": ("GET", "/v1/responses/ID?", {}, b""),
    "stored, with a bad query": ("GET", "/v1/responses/ID?steam=true", {}, b""),
    "stored, with a slash": ("GET", "/v1/responses/ID/", {}, b""),
    "stored, its head": ("HEAD", "/v1/responses/ID", {}, b""),
    "stored, with a body": ("GET", "/v1/responses/ID", {}, b"{}"),
    "stored, one sign more": ("GET", "/v1/responses/ID0", {}, b""),
    "not stored": ("GET", "/v1/responses/resp_" + "0" * 34, {}, b""),
    "no id at all": ("GET", "/v1/responses/resp_x", {}, b""),
    "deleted": ("DELETE", "/v1/responses/ID", {}, b""),
    "posted to": ("POST", "/v1/responses/ID", {}, HELLO),
}


@pytest.mark.requirement("http:hot:same-answer")
@pytest.mark.parametrize("name", ASKED)
async def test_the_answer_over_a_connection_is_the_applications(
    house: House, line: Connection, name: str
) -> None:
    method, path, headers, body = ASKED[name]
    application = AsgiClient(house.app)
    first, second = [path.replace("ID", await made(house)) for _ in range(2)]
    expected = await application.request(method, first, headers=headers, body=body)
    told = house.finished()[-1]
    lines = [f"{name}: {value}" for name, value in headers.items()]
    answer = await line.ask(request(method, second, *lines, body=body), method)
    assert same(answer) == same(expected)
    assert answer.headers["date"] == DATE
    again = house.finished()[-1]
    assert (again.method, again.route, again.status, again.project, again.code) == (
        told.method,
        told.route,
        told.status,
        told.project,
        told.code,
    )
    assert line.usable and (await line.ask(post(HELLO))).status == 200


# Segments


PIECEWISE = {
    "plain": post({**HELLO, "store": False}, "X-Padding: abc"),
    "streamed": post(STREAM),
    "chunked": b"POST /v1/responses HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    + chunked(b'{"model":"scripted/hello"', b',"input":"Hi."}'),
    "not hot": MODELS,
}


@pytest.mark.requirement("http:hot:segments")
@pytest.mark.parametrize("name", PIECEWISE)
async def test_a_request_may_be_cut_anywhere(line: Connection, name: str) -> None:
    whole = PIECEWISE[name]
    expected = same(await line.ask(whole))
    assert expected.status == 200
    for cut in range(1, len(whole)):
        await line.say_apart(whole[:cut], whole[cut:])
        assert same(await line.answer()) == expected, cut


@pytest.mark.requirement("http:hot:segments")
@pytest.mark.parametrize("name", PIECEWISE)
async def test_a_request_may_come_byte_by_byte(line: Connection, name: str) -> None:
    whole = PIECEWISE[name]
    expected = same(await line.ask(whole))
    for _ in range(2):
        await line.say_apart(*(whole[at : at + 1] for at in range(len(whole))))
        assert same(await line.answer()) == expected


@pytest.mark.requirement("http:hot:segments")
async def test_a_stored_response_may_be_asked_for_in_any_two_pieces(
    house: House, line: Connection
) -> None:
    whole = get(f"/v1/responses/{await made(house)}")
    expected = await line.ask(whole)
    for cut in range(1, len(whole)):
        await line.say_apart(whole[:cut], whole[cut:])
        assert (await line.answer()).body == expected.body


@pytest.mark.requirement("http:hot:segments")
@pytest.mark.parametrize("piece_bytes", [1_000, 65_536, 300_000])
async def test_a_long_body_comes_in_many_pieces(
    house: House, line: Connection, piece_bytes: int
) -> None:
    long = {**HELLO, "input": "word " * 100_000, "store": False}
    expected = await AsgiClient(house.app).request("POST", "/v1/responses", body=long)
    whole = post(long) + post(HELLO)
    pieces = [whole[at : at + piece_bytes] for at in range(0, len(whole), piece_bytes)]
    await line.say_apart(*pieces)
    assert same(await line.answer()) == same(expected)
    assert (await line.answer()).status == 200


# One connection, many requests


def mixed(stored: str) -> list[tuple[bytes, int]]:
    """Requests of every kind and the status of each."""
    return [
        (post(HELLO), 200),
        (MODELS, 200),
        (post(STREAM), 200),
        (BAD, 400),
        (get(f"/v1/responses/{stored}"), 200),
        (NOWHERE, 404),
        (MISSING, 404),
        (post({**STREAM, "model": "scripted/none"}), 404),
        (post({**HELLO, "model": "scripted/error-429"}), 429),
        (get(f"/v1/responses/{stored}?stream=true"), 200),
        (post(HELLO, "Expect: 100-continue"), 200),
        (
            post(gzip.compress(b'{"model":"scripted/hello","input":1}'), "Content-Encoding: gzip"),
            400,
        ),
        (request("PUT", "/v1/responses", body=b"x"), 405),
        (post(HELLO, "X-Request-Id: last"), 200),
    ]


@pytest.mark.requirement("http:hot:keep-alive")
async def test_a_connection_is_kept_after_every_kind_of_answer(
    house: House, line: Connection
) -> None:
    every = mixed(await made(house))
    for first, status in every:
        for second, other in every:
            assert (await line.ask(first)).status == status, first
            assert (await line.ask(second)).status == other, second


@pytest.mark.requirement("http:hot:pipelined")
async def test_two_requests_in_one_segment_are_answered_in_order(
    house: House, line: Connection
) -> None:
    every = mixed(await made(house))
    for first, status in every:
        for second, other in every:
            await line.say_apart(first + second)
            assert (await line.answer()).status == status, (first, second)
            assert (await line.answer()).status == other, (first, second)


@pytest.mark.requirement("http:hot:pipelined")
@pytest.mark.parametrize("piece_bytes", [1 << 30, 700, 61])
async def test_many_requests_at_once_are_answered_in_order(
    house: House, line: Connection, piece_bytes: int
) -> None:
    every = mixed(await made(house)) * 3
    whole = b"".join(asked for asked, _ in every)
    await line.say_apart(
        *(whole[at : at + piece_bytes] for at in range(0, len(whole), piece_bytes))
    )
    assert [(await line.answer()).status for _ in every] == [status for _, status in every]


@pytest.mark.requirement("http:hot:pipelined")
async def test_a_hundred_requests_sent_ahead_keep_their_order_and_their_ids(
    line: Connection,
) -> None:
    for number in range(100):
        line.say(post({**HELLO, "stream": number % 3 == 0}, f"X-Request-Id: id-{number}"))
    answers = [await line.answer() for _ in range(100)]
    assert [answer.headers["x-request-id"] for answer in answers] == [f"id-{n}" for n in range(100)]
    assert {answer.status for answer in answers} == {200}


UNDER_WAY = {"model": "scripted/slow-10ms", "input": "Hi."}
LATER = {"hot": post(HELLO), "not hot": MODELS, "streamed": post(STREAM), "bad": BAD}


@pytest.mark.requirement("http:hot:pipelined")
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", LATER)
async def test_a_request_that_comes_while_an_answer_is_under_way_waits_its_turn(
    line: Connection, name: str, stream: bool
) -> None:
    first, later = post({**UNDER_WAY, "stream": stream}), LATER[name]
    await line.say_apart(first, later[:7], later[7:40], later[40:] + MODELS, BAD)
    answer = await line.answer()
    assert answer.status == 200 and answer.body.rstrip().endswith((b"[DONE]", b"}"))
    assert (await line.answer()).status == (400 if name == "bad" else 200)
    assert (await line.answer()).json()["object"] == "list"
    assert (await line.answer()).status == 400


@pytest.mark.requirement("http:hot:pipelined")
async def test_a_long_request_that_comes_while_an_answer_is_under_way_is_not_lost(
    house: House, line: Connection
) -> None:
    long = {**HELLO, "input": "word " * 100_000, "store": False}
    expected = await AsgiClient(house.app).request("POST", "/v1/responses", body=long)
    line.say(post({**UNDER_WAY, "stream": True}) + post(long) + post(HELLO))
    assert events_of((await line.answer()).body)[-1][0] == "response.completed"
    assert same(await line.answer()) == same(expected)
    assert (await line.answer()).status == 200


@pytest.mark.requirement("http:hot:heads")
async def test_a_hundred_different_heads_on_one_connection_are_each_read(
    locked_line: Connection,
) -> None:
    keys = ["Authorization: Bearer sk-alpha", "api-key: sk-beta", "AUTHORIZATION: bearer sk-beta"]
    ids = set()
    for number in range(100):
        headers = [keys[number % 3], f"X-Number: {number}", "x" * (number % 7 + 1) + ": y"]
        body = {**HELLO, "input": "x" * (number + 1), "metadata": {"number": str(number)}}
        answer = await locked_line.ask(post(body, *headers))
        assert answer.status == 200, answer.body
        assert answer.json()["metadata"] == {"number": str(number)}
        ids.add(answer.headers["x-request-id"])
        wrong = await locked_line.ask(post(body, headers[0] + "x", *headers[1:]))
        assert wrong.status == 401
    assert len(ids) == 100


@pytest.mark.requirement("http:hot:heads")
async def test_the_same_head_means_the_same_every_time_and_has_an_id_of_its_own_each_time(
    locked: House, locked_line: Connection
) -> None:
    asked = post(HELLO, "Authorization: Bearer sk-alpha")
    answers = [await locked_line.ask(asked) for _ in range(20)]
    assert len({answer.headers["x-request-id"] for answer in answers}) == 20
    assert len({answer.json()["id"] for answer in answers}) == 20
    assert [told.project for told in locked.finished()] == ["alpha"] * 20


KEYS = [
    (("Authorization: Bearer sk-alpha",), "alpha"),
    (("authorization:bearer   sk-alpha  ",), "alpha"),
    (("Api-Key: sk-beta",), "beta"),
    (("api-key: sk-beta", "AUTHORIZATION: Bearer sk-alpha"), "alpha"),
    (("Authorization: Basic c2s=", "API-KEY:sk-beta"), "beta"),
    ((), None),
    (("Authorization: Bearer",), None),
    (("Authorization: Bearer sk-alphax",), None),
    (("Authorization: Bearer sk-wrong", "api-key: sk-alpha"), None),
    (("X-Api-Key: sk-alpha",), None),
]


@pytest.mark.requirement("http:hot:keys")
@pytest.mark.parametrize(("headers", "project"), KEYS)
async def test_a_key_counts_as_it_does_for_the_application(
    locked: House, locked_line: Connection, headers: tuple[str, ...], project: str | None
) -> None:
    application = AsgiClient(locked.app)
    as_told = dict(header.split(":", 1) for header in headers)
    for body in (HELLO, STREAM):
        expected = await application.request("POST", "/v1/responses", headers=as_told, body=body)
        for _ in range(2):
            assert same(await locked_line.ask(post(body, *headers))) == same(expected)
            told = locked.finished()[-1]
            assert (told.project, told.status) == (project, 200 if project else 401)


@pytest.mark.requirement("http:hot:keys")
async def test_a_wrong_key_is_refused_before_the_body_has_come(locked_line: Connection) -> None:
    whole = post(HELLO, "api-key: wrong")
    head = whole.index(b"\r\n\r\n") + 4
    await locked_line.say_apart(whole[:head])
    assert (await locked_line.answer()).status == 401
    locked_line.say(whole[head:])
    assert (await locked_line.ask(post(HELLO, "api-key: sk-beta"))).status == 200


@pytest.mark.requirement("http:hot:keys")
async def test_a_response_is_read_with_its_own_key_only(
    locked: House, locked_line: Connection
) -> None:
    key, other = "Authorization: Bearer sk-alpha", "Authorization: Bearer sk-beta"
    path = f"/v1/responses/{(await locked_line.ask(post(HELLO, key))).json()['id']}"
    for _ in range(2):
        assert (await locked_line.ask(get(path, key))).status == 200
        assert (await locked_line.ask(get(path, other))).status == 404
        assert (await locked_line.ask(get(path))).status == 401


@pytest.mark.requirement("http:headers:request-id")
@pytest.mark.parametrize("insane", ["", "a b", "x" * 129, "\xe9", "a\tb"])
async def test_a_request_id_is_repeated_if_it_is_sane(line: Connection, insane: str) -> None:
    for stream in (False, True):
        body = {**HELLO, "stream": stream}
        answer = await line.ask(post(body, "X-REQUEST-ID:   mine-1"))
        assert answer.headers["x-request-id"] == "mine-1"
        answer = await line.ask(post(body, f"x-request-id: {insane}"))
        assert answer.headers["x-request-id"].startswith("req_")
