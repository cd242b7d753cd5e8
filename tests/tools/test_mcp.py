"""Real MCP servers, reached over every transport: lists, calls, and what goes wrong."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from mcp_types import CallToolResult, TextContent
from starlette.responses import RedirectResponse, Response

from antiphon.config_mcp import McpSettings, RemoteMcpSettings
from antiphon.tools.mcp import Mcp
from antiphon.tools.mcp_base import McpFailed, McpPlace, McpResult
from antiphon.tools.mcp_results import outcome
from tests.tools.mcp_servers import Desk, answering, program, sse, streamable

pytestmark = pytest.mark.anyio

HERE = RemoteMcpSettings(
    allowed=["127.0.0.1"],
    connect_seconds=5,
    list_seconds=5,
    call_seconds_max=5,
    answer_bytes_max=200_000,
)


@pytest.fixture
async def mcp() -> AsyncIterator[Mcp]:
    servers = Mcp(HERE)
    yield servers
    await servers.close()


@pytest.fixture(params=["streamable", "json", "sse", "program"])
async def place(request: pytest.FixtureRequest) -> AsyncIterator[McpPlace]:
    """The same tools, over each transport."""
    desk = Desk()
    match request.param:
        case "program":
            settings = program(answer_bytes_max=200_000)
            yield McpPlace("desk", settings=settings)
        case "sse":
            async with sse(desk):
                yield McpPlace("desk", desk.url)
        case kind:
            async with streamable(desk, json=kind == "json"):
                yield McpPlace("desk", desk.url)


async def call(mcp: Mcp, place: McpPlace, name: str, **arguments: Any) -> McpResult:
    session = mcp.session(place)
    try:
        return await session.call(name, arguments, key="key_1")
    finally:
        session.leave()


async def failure(mcp: Mcp, place: McpPlace) -> tuple[str, int, str]:
    """What a call that cannot be made is told; the same as what a list is."""
    error = (await call(mcp, place, "echo", text="x")).error
    assert error is not None
    session = mcp.session(place)
    with pytest.raises(McpFailed) as failed:
        await session.tools()
    session.leave()
    assert failed.value.error == error
    return error.kind, error.code, error.message


@pytest.mark.requirement("mcp:transport:lists_and_calls")
async def test_tools_are_listed_and_called_over_every_transport(mcp: Mcp, place: McpPlace) -> None:
    session = mcp.session(place)
    listed = {tool.name: tool for tool in await session.tools()}
    assert list(listed) == ["echo", "note", "fail", "slow", "huge", "many"]
    assert listed["echo"].description == "The tool echo."
    assert listed["echo"].input_schema["required"] == ["text"]
    assert listed["echo"].read_only and not listed["note"].read_only
    results = await asyncio.gather(
        *(session.call("echo", {"text": f"☂ {n}"}, key=f"k{n}") for n in range(5))
    )
    assert [one.output for one in results] == [f"echo: ☂ {n}" for n in range(5)]
    session.leave()


@pytest.mark.requirement("mcp:result:contents")
async def test_every_kind_of_content_becomes_text(mcp: Mcp, place: McpPlace) -> None:
    output = (await call(mcp, place, "many")).output
    assert output is not None
    lines = output.splitlines()
    assert lines[0] == "one"
    assert json.loads(lines[1]) == {"type": "image", "data": "aGk=", "mimeType": "image/png"}
    assert json.loads(lines[2])["type"] == "audio"
    assert json.loads(lines[3])["uri"] == "file:///a.txt"
    assert lines[4] == "inside b"
    assert json.loads(lines[5]) == {"count": 5}


@pytest.mark.requirement("mcp:error:execution")
async def test_a_tool_that_says_it_failed_is_an_execution_error(mcp: Mcp, place: McpPlace) -> None:
    error = (await call(mcp, place, "fail", text="fly")).error
    assert error is not None
    assert error.kind == "mcp_tool_execution_error"
    assert error.content == [{"type": "text", "text": "cannot fly"}]


@pytest.mark.requirement("mcp:limit:bytes")
async def test_an_answer_longer_than_the_limit_is_an_error(mcp: Mcp, place: McpPlace) -> None:
    session = mcp.session(place)
    error = (await session.call("huge", {}, key="k")).error
    assert error is not None
    assert error.kind == "mcp_protocol_error"
    assert error.message == "The answer of the MCP server is longer than 200000 bytes."
    assert (await session.call("echo", {"text": "still"}, key="k")).output == "echo: still"
    session.leave()


@pytest.mark.requirement("mcp:limit:seconds")
async def test_a_slow_call_ends_and_the_session_goes_on() -> None:
    quick = Mcp(RemoteMcpSettings(allowed=["127.0.0.1"], call_seconds_max=0.3))
    desk = Desk("echo", "slow")
    desk.wait = asyncio.Event()
    for serve in (streamable, sse):
        async with serve(desk):
            session = quick.session(McpPlace("desk", desk.url))
            error = (await session.call("slow", {}, key="k")).error
            assert error is not None
            assert (error.kind, error.code) == ("mcp_protocol_error", -32001)
            assert "0.3 seconds" in error.message
            assert (await session.call("echo", {"text": "on"}, key="k")).output == "echo: on"
            session.leave()
    settings = program("slow", "echo", "sleep", call_seconds_max=0.3)
    session = quick.session(McpPlace("slow", settings=settings))
    assert (await session.call("echo", {"text": "first"}, key="k")).error is None
    error = (await session.call("sleep", {}, key="k")).error
    assert error is not None and "0.3 seconds" in error.message
    assert (await session.call("echo", {"text": "on"}, key="k")).output == "echo: on"
    await quick.close()


@pytest.mark.requirement("mcp:list:pages")
async def test_every_page_of_a_list_is_read(mcp: Mcp) -> None:
    desk = Desk(*(f"tool_{n}" for n in range(25)))
    desk.page = 10
    async with streamable(desk):
        session = mcp.session(McpPlace("desk", desk.url))
        assert [one.name for one in await session.tools()] == [f"tool_{n}" for n in range(25)]
        session.leave()
        desk.page = 0
        with pytest.raises(McpFailed, match="more than 100 pages"):
            await mcp.session(McpPlace("desk", desk.url)).tools()
        desk.names, desk.page = tuple(f"tool_{n}_" + "x" * 1_000 for n in range(300)), 50
        with pytest.raises(McpFailed, match="longer than 200000 bytes"):
            await mcp.session(McpPlace("desk", desk.url)).tools()
        desk.refuses_lists = True
        with pytest.raises(McpFailed) as failed:
            await mcp.session(McpPlace("desk", desk.url)).tools()
        assert failed.value.error.kind == "mcp_protocol_error"


@pytest.mark.requirement("mcp:error:http")
async def test_what_http_says_becomes_an_http_error(mcp: Mcp) -> None:
    for status in (401, 403, 429, 500, 503):

        async def refuses(request: Any, status: int = status) -> Response:
            return Response("secret trace", status_code=status)

        async with answering(refuses) as url:
            kind, code, message = await failure(mcp, McpPlace("desk", url))
            assert (kind, code) == ("http_error", status)
            assert "secret" not in message
    assert (await failure(mcp, McpPlace("desk", "http://127.0.0.1:9/mcp")))[:2] == (
        "http_error",
        502,
    )


@pytest.mark.requirement("mcp:error:http")
async def test_a_server_that_fails_later_is_told_as_it_is(mcp: Mcp) -> None:
    failing = False

    async def breaks(request: Any) -> Response | None:
        return Response("no", status_code=500) if failing else None

    for serve in (streamable, sse):
        desk = Desk()
        async with serve(desk, intercept=breaks):
            session = mcp.session(McpPlace("desk", desk.url))
            assert (await session.call("echo", {"text": "x"}, key="k")).output == "echo: x"
            failing = True
            error = (await session.call("echo", {"text": "x"}, key="k")).error
            assert error is not None
            assert (error.kind, error.code) == ("http_error", 500)
            failing = False
            assert (await session.call("echo", {"text": "y"}, key="k")).output == "echo: y"
            session.leave()


@pytest.mark.requirement("mcp:error:protocol")
async def test_what_is_no_mcp_is_a_protocol_error(mcp: Mcp) -> None:
    for body, kind in (("<html>", "text/html"), ("{not json", "application/json")):

        async def nonsense(request: Any, body: str = body, kind: str = kind) -> Response:
            return Response(body, media_type=kind)

        async with answering(nonsense) as url:
            assert (await failure(mcp, McpPlace("desk", url)))[0] == "mcp_protocol_error"
    desk = Desk("echo")
    async with streamable(desk):
        error = (await call(mcp, McpPlace("desk", desk.url), "echo")).error
        assert error is None


@pytest.mark.requirement("mcp:guard:private_addresses")
@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "2130706433",
        "0x7f.1",
        "0177.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",
        "10.0.0.1",
        "169.254.169.254",
        "[fd00::1]",
        "[64:ff9b::a9fe:a9fe]",
    ],
)
async def test_callers_cannot_send_us_to_private_addresses(host: str) -> None:
    careful = Mcp(RemoteMcpSettings())
    desk = Desk()
    async with streamable(desk):
        port = desk.url.split(":")[2].split("/")[0]
        kind, code, message = await failure(careful, McpPlace("d", f"http://{host}:{port}/mcp"))
        assert kind == "http_error"
        assert message.startswith("The address of the MCP server is not ")
        assert code == (400 if host.startswith("0177") else 403)
        assert "127.0.0.1" not in message
    assert desk.headers == []
    await careful.close()


@pytest.mark.requirement("mcp:guard:names")
async def test_a_name_is_judged_by_the_address_that_is_connected_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop = asyncio.get_running_loop()
    answers = ["127.0.0.1"]

    async def resolves(host: str, port: int, **_: Any) -> list[Any]:
        address = answers.pop(0) if len(answers) > 1 else answers[0]
        return [(2, 1, 6, "", (address, port))]

    monkeypatch.setattr(loop, "getaddrinfo", resolves)
    careful = Mcp(RemoteMcpSettings(connect_seconds=2))
    desk = Desk()
    async with streamable(desk):
        port = int(desk.url.split(":")[2].split("/")[0])
        for bad in ("127.0.0.1", "169.254.169.254", "::ffff:127.0.0.1", "fd00:ec2::254"):
            answers[:] = [bad]
            url = f"http://tools.example.com:{port}/mcp"
            assert (await failure(careful, McpPlace("d", url)))[:2] == ("http_error", 403)
        assert desk.headers == []
        trusting = Mcp(RemoteMcpSettings(allowed=["*.internal", "10.0.0.0/8"]))
        answers[:] = ["127.0.0.1"]
        place = McpPlace("d", f"http://desk.svc.internal:{port}/mcp")
        # The desk itself refuses the strange name; it was reached.
        assert (await failure(trusting, place))[:2] == ("http_error", 421)
        await trusting.close()
    await careful.close()


@pytest.mark.requirement("mcp:guard:redirects")
async def test_a_redirect_leads_nowhere_else(mcp: Mcp) -> None:
    secret = Desk()
    async with streamable(secret):
        for status in (301, 302, 303, 307, 308):

            async def away(request: Any, status: int = status) -> Response:
                return RedirectResponse(secret.url, status_code=status)

            async with answering(away) as url:
                kind, code, message = await failure(mcp, McpPlace("desk", url))
                assert (kind, code) == ("http_error", status)
                assert "redirects elsewhere" in message
    assert secret.headers == []


@pytest.mark.requirement("mcp:guard:no_proxy")
async def test_no_proxy_of_the_environment_is_used(
    mcp: Mcp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    desk = Desk()
    async with streamable(desk):
        assert (await call(mcp, McpPlace("d", desk.url), "echo", text="x")).output == "echo: x"


@pytest.mark.requirement("mcp:secret:headers")
async def test_secrets_reach_the_server_and_nobody_else(
    mcp: Mcp, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    for serve in (streamable, sse):
        desk = Desk()
        async with serve(desk):
            place = McpPlace("d", desk.url, {"authorization": "Bearer s3cret", "x-key": "s3cret"})
            assert "s3cret" not in repr(place)
            assert (await call(mcp, place, "echo", text="said")).output == "echo: said"
            assert (await call(mcp, place, "fail", text="said")).error is not None
        assert all(one["authorization"] == "Bearer s3cret" for one in desk.headers)
        assert all(one["x-key"] == "s3cret" for one in desk.headers)
        assert desk.keys == ["key_1", "key_1"]
    theirs = ("uvicorn", "sse_starlette")
    logged = [one.getMessage() for one in caplog.records if not one.name.startswith(theirs)]
    text = "".join([*logged, *capfd.readouterr()])
    assert "s3cret" not in text
    assert "said" not in text


@pytest.mark.requirement("mcp:program:kept")
async def test_a_program_is_kept_and_started_again_when_it_died(mcp: Mcp) -> None:
    settings = program("counter", "pid", "die")
    place = McpPlace("counter", settings=settings)
    first = (await call(mcp, place, "pid")).output
    assert (await call(mcp, place, "pid")).output == first
    error = (await call(mcp, place, "die")).error
    assert error is not None
    assert (error.kind, error.code) == ("mcp_protocol_error", -32000)
    second = (await call(mcp, place, "pid")).output
    assert second is not None and second != first


@pytest.mark.requirement("mcp:program:bounded")
async def test_a_program_that_cannot_live_is_not_started_for_ever(mcp: Mcp) -> None:
    missing = McpSettings(label="none", command="antiphon-no-such-program")
    error = (await call(mcp, McpPlace("none", settings=missing), "x")).error
    assert error is not None
    assert error.message == "The program of the MCP server cannot be started."
    settings = program("dying", "die")
    place = McpPlace("dying", settings=settings)
    messages = []
    for _ in range(7):
        error = (await call(mcp, place, "die")).error
        assert error is not None
        messages.append(error.message)
    assert "ended too often" in messages[-1]
    assert "ended too often" not in messages[3]


@pytest.mark.requirement("mcp:program:environment")
async def test_a_program_sees_only_the_environment_it_is_given(
    mcp: Mcp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTIPHON_TEST_SECRET", "s3cret")
    monkeypatch.setenv("ANTIPHON_TEST_PASSED", "passed")
    for settings, expected in (
        (program("bare", "env"), "None None None"),
        (
            McpSettings(
                label="given",
                command=program().command,
                args=["-m", "tests.tools.mcp_servers", "env"],
                env={"ANTIPHON_TEST_GIVEN": "given"},
                env_passed=["ANTIPHON_TEST_PASSED"],
            ),
            "None passed given",
        ),
    ):
        place = McpPlace(settings.label, settings=settings)
        assert (await call(mcp, place, "env")).output == expected


@pytest.mark.requirement("mcp:settings:checked")
def test_settings_that_cannot_be_meant_are_refused() -> None:
    wrong: Any
    for wrong, words in (
        ({}, "url and command"),
        ({"url": "http://h/mcp", "command": "x"}, "url and command"),
        ({"url": "ftp://h/mcp"}, "http://"),
        ({"command": "x", "headers": {"a": "b"}}, "headers"),
        ({"command": "x", "key": "s"}, "key"),
        ({"url": "http://h/mcp", "args": ["x"]}, "args"),
        ({"command": "x", "env": {"A B": "c"}}, "names of environment variables"),
        ({"command": "x", "presents": {"computer": "y"}}, "presents takes"),
    ):
        with pytest.raises(ValueError, match=words):
            McpSettings(label="x", **wrong)
    with pytest.raises(ValueError, match="networks"):
        RemoteMcpSettings(allowed=["http://x/"])


@pytest.mark.requirement("mcp:result:structured")
@pytest.mark.parametrize(
    ("texts", "structured", "expected"),
    [
        ([], {"a": 1}, '{"a":1}'),
        (['{"a": 1}'], {"a": 1}, '{"a": 1}'),
        (["hello"], {"result": "hello"}, "hello"),
        (["a", "b"], {"result": ["a", "b"]}, "a\nb"),
        (["3"], {"result": 3}, "3"),
        (["found 3"], {"count": 3}, 'found 3\n{"count":3}'),
        (["hello"], None, "hello"),
        ([], None, ""),
    ],
)
def test_a_structured_result_is_said_once(texts: list[str], structured: Any, expected: str) -> None:
    content = [TextContent(text=text) for text in texts]
    result = CallToolResult(content=content, structured_content=structured)  # type: ignore[arg-type]
    assert outcome(result, 1_000).output == expected


@pytest.mark.requirement("mcp:connection:given_up")
async def test_a_connection_nobody_waits_for_fails_in_silence() -> None:
    from antiphon.tools.mcp_connection import Connection, Dial, Limits

    under_way, over = asyncio.Event(), asyncio.Event()

    @asynccontextmanager
    async def ends_badly() -> AsyncIterator[Any]:
        under_way.set()
        try:
            await asyncio.Event().wait()
            yield
        finally:
            over.set()
            raise RuntimeError("what a transport may make of being cancelled")

    told: list[Any] = []
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()
    gc.collect()  # what other tests left is not ours to be told of
    loop.set_exception_handler(lambda _, about: told.append(about["message"]))
    try:
        connection = Connection([Dial(ends_badly)], Limits(5.0, 5.0, 5.0, 1_000_000))
        listing = asyncio.create_task(connection.tools())
        await under_way.wait()
        listing.cancel()
        await asyncio.gather(listing, return_exceptions=True)
        await over.wait()
        await connection.close()
        del connection, listing
        gc.collect()
        assert told == []
    finally:
        loop.set_exception_handler(before)
