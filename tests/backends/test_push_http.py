"""The fast client's pushed calls: what only push has. The rest is the shared suite's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from typing import Any

import msgspec
import pytest

from antiphon.backends.fast_http import FastHttp, Push
from antiphon.backends.fast_request import Request, request_of
from antiphon.backends.transport import Timeouts
from antiphon.errors import RemoteError
from tests.suites.rude import Exchange, serving

pytestmark = pytest.mark.anyio

PATIENCE = 5.0
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    if request.param:
        pytest.importorskip("uvloop")
    return "asyncio", {"use_uvloop": request.param}


@pytest.fixture
async def http() -> AsyncIterator[FastHttp]:
    one = FastHttp()
    yield one
    await one.close()


class Log:
    """A receiver that writes down what it hears; ``react`` is called with each word."""

    def __init__(self, react: Callable[[str], None] = lambda word: None) -> None:
        self.words: list[str] = []
        self.body = b""
        self.error: RemoteError | None = None
        self.over = asyncio.Event()
        self._react = react
        self._marks: dict[str, asyncio.Event] = {}

    def head(self, status: int, headers: Mapping[str, str]) -> None:
        self._say("head")

    def data(self, body: bytes) -> None:
        self.body += body
        self._say("data")

    def done(self) -> None:
        self.over.set()
        self._say("done")

    def broke(self, error: RemoteError) -> None:
        self.error = error
        self.over.set()
        self._say("broke")

    async def hears(self, word: str) -> None:
        if word not in self.words:
            await self._mark(word)

    async def _mark(self, word: str) -> None:
        event = self._marks.setdefault(word, asyncio.Event())
        await asyncio.wait_for(event.wait(), PATIENCE)

    def _say(self, word: str) -> None:
        self.words.append(word)
        if word in self._marks:
            self._marks[word].set()
        self._react(word)


def to(url: str) -> Request:
    return request_of("POST", url, {})


async def ended(log: Log) -> list[str]:
    await asyncio.wait_for(log.over.wait(), PATIENCE)
    return log.words


async def round_trip(http: FastHttp) -> None:
    """One call to another server."""
    async with serving(fine) as server:
        log = Log()
        http.begin(to(server.url), b"{}", log)
        await ended(log)


async def fine(exchange: Exchange) -> None:
    await exchange.write(OK)


async def silent(exchange: Exchange) -> None:
    await exchange.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
    await asyncio.Event().wait()


@pytest.mark.requirement("push:receiver:order")
async def test_an_answer_is_told_in_order_and_once(http: FastHttp) -> None:
    async with serving(fine) as server:
        for _ in range(3):
            log = Log()
            http.begin(to(server.url), b"{}", log)
            assert log.words == []
            assert await ended(log) == ["head", "data", "done"]
            assert log.body == b"ok"
        assert server.connections == 1


@pytest.mark.requirement("push:receiver:close")
@pytest.mark.parametrize("word", ["head", "data"])
async def test_a_receiver_that_closes_hears_no_more(http: FastHttp, word: str) -> None:
    calls: list[Push] = []
    log = Log(lambda said: calls[0].close() if said == word else None)
    async with serving(silent) as server:
        calls.append(http.begin(to(server.url), b"{}", log))
        await asyncio.wait_for(server.left.wait(), PATIENCE)
        calls[0].close()
    assert log.words == ["head", "data"][: 1 + (word == "data")]
    assert not http.open


@pytest.mark.requirement("push:receiver:close")
async def test_closing_at_the_end_keeps_the_connection(http: FastHttp) -> None:
    async with serving(fine) as server:
        for word in ("head", "data", "done", "done"):
            calls: list[Push] = []

            def react(said: str, word: str = word, calls: list[Push] = calls) -> None:
                if said == word:
                    calls[0].close()

            log = Log(react)
            calls.append(http.begin(to(server.url), b"{}", log))
            await log.hears(word)
            assert log.words[-1] == word
        assert server.connections == 1, "every message was complete when its head was told"


@pytest.mark.requirement("push:receiver:next-call")
@pytest.mark.parametrize("word", ["data", "done"])
async def test_the_next_call_finds_the_connection_of_the_one_that_ends(
    http: FastHttp, word: str
) -> None:
    logs: list[Log] = []

    async with serving(fine) as server:

        def again(said: str) -> None:
            if said == word and len(logs) < 5:
                logs.append(Log(again))
                http.begin(to(server.url), b"{}", logs[-1])

        logs.append(Log(again))
        http.begin(to(server.url), b"{}", logs[0])
        for at in range(5):
            await logs[min(at, len(logs) - 1)].hears(word)
        for log in logs:
            assert await ended(log) == ["head", "data", "done"]
        assert (len(logs), server.connections) == (5, 1)


@pytest.mark.requirement("push:receiver:bug")
@pytest.mark.parametrize("word", ["head", "data", "done"])
async def test_a_receiver_that_raises_is_told_that_its_call_broke(
    http: FastHttp, word: str
) -> None:
    heard: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: heard.append(context))

    def react(said: str) -> None:
        if said == word:
            raise KeyError("a bug")

    async with serving(fine) as server:
        log = Log(react)
        http.begin(to(server.url), b"{}", log)
        await log.hears("broke")
        assert log.error is not None and "bug" not in log.error.message
        await asyncio.wait_for(server.left.wait(), PATIENCE)
    assert isinstance(heard[0]["exception"], KeyError)


@pytest.mark.requirement("push:pause:upstream-feels")
async def test_a_paused_call_stops_the_sender_and_its_time_out(http: FastHttp) -> None:
    total = 24 * 1024 * 1024
    stalled = asyncio.Event()
    calls: list[Push] = []

    async def behave(exchange: Exchange) -> None:
        await exchange.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % total)
        piece = b"x" * (1024 * 1024)
        for _ in range(24):
            writing = asyncio.ensure_future(exchange.write(piece))
            done, _ = await asyncio.wait((writing,), timeout=0.2)
            if not done:
                stalled.set()
            await writing

    log = Log(lambda said: calls[0].pause() if log.words.count("data") == 1 else None)
    async with serving(behave) as server:
        calls.append(http.begin(to(server.url), b"{}", log, Timeouts(idle_seconds=0.1)))
        await asyncio.wait_for(stalled.wait(), PATIENCE)
        assert log.words == ["head", "data"], "nothing was read, and 0.2 s were no time-out"
        calls[0].resume()
        assert (await ended(log))[-1] == "done"
        assert len(log.body) == total


@pytest.mark.requirement("push:pause:upstream-feels")
async def test_a_time_out_runs_again_after_resume(http: FastHttp) -> None:
    log = Log()
    async with serving(silent) as server:
        call = http.begin(to(server.url), b"{}", log, Timeouts(idle_seconds=0.05))
        await log.hears("data")
        call.pause()
        call.pause()
        call.resume()
        assert (await ended(log))[-1] == "broke"
    assert log.error is not None and log.error.code == "upstream_timeout"


@pytest.mark.requirement("transport:timeout:idle")
async def test_an_answer_may_take_longer_than_a_silence_in_it(http: FastHttp) -> None:
    async def behave(exchange: Exchange) -> None:
        await exchange.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")
        for _ in range(8):
            await exchange.write(b"x")
            with suppress(TimeoutError):
                await asyncio.wait_for(asyncio.Event().wait(), 0.1)
        await asyncio.Event().wait()

    async with serving(behave) as server:
        log = Log()
        http.begin(to(server.url), b"{}", log, Timeouts(idle_seconds=0.4))
        assert (await ended(log))[-1] == "broke"
    assert len(log.body) == 8, "0.8 s of it, and then a silence"
    assert log.error is not None and log.error.code == "upstream_timeout"


@pytest.mark.requirement("push:leave:reuse")
@pytest.mark.parametrize("comes", [True, False])
async def test_a_call_that_was_left_keeps_its_connection_if_the_message_ends(
    http: FastHttp, comes: bool
) -> None:
    left, sent = asyncio.Event(), asyncio.Event()

    async def behave(exchange: Exchange) -> None:
        await exchange.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab")
        await left.wait()
        if comes:
            await exchange.write(b"cd")
            sent.set()
        else:
            await asyncio.Event().wait()

    log = Log()
    async with serving(behave) as server:
        call = http.begin(to(server.url), b"{}", log)
        await log.hears("data")
        call.pause()
        call.leave(PATIENCE if comes else 0.05)
        left.set()
        if comes:
            await asyncio.wait_for(sent.wait(), PATIENCE)
            await round_trip(http)  # what was sent before is read before
            again = Log()
            http.begin(to(server.url), b"{}", again)
            await ended(again)
            assert (again.body, server.connections) == (b"abcd", 1)
        else:
            await asyncio.wait_for(server.left.wait(), PATIENCE)
        assert log.words == ["head", "data"]


@pytest.mark.requirement("push:connect:close")
async def test_a_call_that_waits_for_its_connection_can_be_closed(http: FastHttp) -> None:
    closed, kept = Log(), Log()
    async with serving(fine) as server:
        call = http.begin(to(server.url), b"{}", closed)
        http.begin(to(server.url), b"{}", kept)
        call.close()
        call.close()
        assert await ended(kept) == ["head", "data", "done"]
        assert closed.words == [] and len(server.exchanges) == 1


@pytest.mark.requirement("push:connect:close")
async def test_a_call_can_be_paused_before_it_is_connected(http: FastHttp) -> None:
    arrived = asyncio.Event()

    async def behave(exchange: Exchange) -> None:
        await exchange.write(OK)
        arrived.set()

    log = Log()
    async with serving(behave) as server:
        call = http.begin(to(server.url), b"{}", log)
        call.pause()
        await asyncio.wait_for(arrived.wait(), PATIENCE)
        for _ in range(20):
            await asyncio.sleep(0)
        assert log.words == []
        call.resume()
        assert await ended(log) == ["head", "data", "done"]


@pytest.mark.requirement("push:connect:close")
async def test_closing_the_transport_breaks_off_calls_that_are_not_connected() -> None:
    http = FastHttp()
    log = Log()
    async with serving(fine) as server:
        http.begin(to(server.url), b"{}", log)
        await http.close()
        assert log.words == ["broke"]
        assert server.exchanges == [] and not http.open


@pytest.mark.requirement("push:connect:bug")
async def test_a_call_whose_connecting_fails_in_a_way_nobody_expected_is_told(
    http: FastHttp,
) -> None:
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
    nowhere = msgspec.structs.replace(to("http://127.0.0.1:1/"), place=("127.0.0.1", 70_000))
    log = Log()
    http.begin(nowhere, b"{}", log)
    assert await ended(log) == ["broke"]
    assert log.error is not None and not http.open


@pytest.mark.requirement("push:receiver:bug")
async def test_a_receiver_that_raises_at_the_end_of_the_connection_is_told_too(
    http: FastHttp,
) -> None:
    heard: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: heard.append(context))

    async def behave(exchange: Exchange) -> None:
        await exchange.write(b"HTTP/1.0 200 OK\r\n\r\nok")
        exchange.cut()

    def react(said: str) -> None:
        if said == "done":
            raise KeyError("a bug")

    async with serving(behave) as server:
        log = Log(react)
        http.begin(to(server.url), b"{}", log)
        await log.hears("broke")
    assert log.words == ["head", "data", "done", "broke"] and not http.open
    assert isinstance(heard[0]["exception"], KeyError)


@pytest.mark.requirement("push:connect:close")
async def test_a_call_closed_in_the_moment_of_its_connection_leaves_none_open(
    http: FastHttp,
) -> None:
    async with serving(fine) as server, asyncio.timeout(PATIENCE):
        for _ in range(20):
            log = Log()
            call = http.begin(to(server.url), b"{}", log)
            for _ in iter(lambda: bool(http.open), True):
                await asyncio.sleep(0)
            call.close()
            for _ in range(10):
                await asyncio.sleep(0)
            assert log.words == [] and not http.open
