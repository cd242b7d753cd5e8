"""The child process: what it shows to others, how it ends, how it comes back."""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from antiphon.backends import demo, llamacpp_process
from antiphon.backends.fast_http import FastHttp
from antiphon.backends.llamacpp import LlamaCpp
from antiphon.backends.llamacpp_process import Child, Launch
from antiphon.config import LlamaCppSettings
from antiphon.errors import RemoteError
from antiphon.observe import Broke, EngineChanged, Observation
from tests.engine.turns import PATIENCE, asking, say

pytestmark = pytest.mark.anyio

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


class Diary:
    """Every state change, and a way to wait for one."""

    def __init__(self) -> None:
        self.states: list[str] = []
        self.details: list[str] = []
        self.broke: BaseException | None = None
        self._changed = asyncio.Event()

    def __call__(self, observation: Observation) -> None:
        if isinstance(observation, Broke):
            self.broke = observation.error
        if isinstance(observation, EngineChanged):
            self.states.append(observation.state)
            self.details.append(observation.detail)
            self._changed.set()

    async def until(self, is_it: Callable[[list[str]], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not is_it(self.states):
                self._changed.clear()
                await self._changed.wait()


@asynccontextmanager
async def running(
    settings: LlamaCppSettings | None = None, diary: Diary | None = None
) -> AsyncIterator[LlamaCpp]:
    backend = LlamaCpp(settings or LlamaCppSettings(), diary or Diary())
    await backend.open()
    try:
        yield backend
    finally:
        await backend.close()


async def fetched(url: str, key: str | None) -> tuple[int, dict[str, str], bytes]:
    transport = FastHttp()
    headers = {"authorization": f"Bearer {key}"} if key else {}
    reply = await transport.send("GET", url, headers={**headers, "origin": "http://evil.example"})
    body = await reply.read()
    await transport.close()
    return reply.status, dict(reply.headers), body


def pid_of(backend: LlamaCpp) -> int:
    assert backend.child.pid is not None
    return backend.child.pid


def shown_of(backend: LlamaCpp, name: str) -> bytes:
    """What the system shows of the child to everybody."""
    return Path(f"/proc/{pid_of(backend)}/{name}").read_bytes()


def is_gone_within(pid_fd: int, seconds: float) -> bool:
    """Whether the process behind the descriptor ends in time. It need not be our child."""
    poll = select.poll()
    poll.register(pid_fd, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


@pytest.mark.requirement("engine:child:closed_to_others")
async def test_nobody_gets_in_without_the_key(engine: LlamaCpp) -> None:
    address = await engine.child.address()
    assert address.url.startswith("http://127.0.0.1:")
    for path in ("/props", "/slots", "/v1/models", "/metrics"):
        assert (await fetched(address.url + path, None))[0] == 401
        assert (await fetched(address.url + path, "guess"))[0] == 401
    status, headers, _ = await fetched(address.url + "/v1/models", address.key)
    assert status == 200
    assert not headers.get("access-control-allow-origin")
    assert (await fetched(address.url + "/", address.key))[0] == 404
    assert address.key not in repr(address)


@pytest.mark.requirement("engine:child:secret_hidden")
@on_linux
async def test_the_key_is_neither_in_the_arguments_nor_in_the_environment(
    engine: LlamaCpp,
) -> None:
    address = await engine.child.address()
    for name in ("cmdline", "environ"):
        assert address.key.encode() not in shown_of(engine, name)


@pytest.mark.requirement("engine:child:own_limits")
async def test_every_slot_has_the_whole_window_and_few_resources(engine: LlamaCpp) -> None:
    address = await engine.child.address()
    _, _, body = await fetched(address.url + "/slots", address.key)
    assert [slot["n_ctx"] for slot in json.loads(body)] == [4096] * 4
    assert engine.child.launch.threads == 1
    if sys.platform == "linux":
        lines = shown_of(engine, "status").decode().splitlines()
        [resident] = [line.split()[1] for line in lines if line.startswith("VmRSS")]
        assert int(resident) < 400 * 1024


async def test_opening_does_not_wait_for_the_model(can_run: None) -> None:
    diary = Diary()
    async with running(diary=diary) as backend:
        assert diary.states == []
        [model] = await backend.models()
        assert model.id == "demo-antiphon" and "demonstration" in model.about
        assert (await say(backend, asking("Hello"))).text
        assert diary.states == ["starting", "ready"]


@pytest.mark.requirement("engine:child:restart")
async def test_a_killed_child_breaks_its_answers_off_and_comes_back(can_run: None) -> None:
    diary = Diary()
    async with running(diary=diary) as backend:
        answer = backend.stream(asking("hello " * 20, temperature=1.5, max_output_tokens=3000))
        await asyncio.wait_for(anext(answer), PATIENCE)
        os.kill(pid_of(backend), signal.SIGKILL)
        with pytest.raises(RemoteError) as caught:
            async with asyncio.timeout(PATIENCE):
                async for _ in answer:
                    pass
        error = caught.value
        assert (error.status, error.code, error.retryable) == (502, "engine_crashed", False)
        await diary.until(lambda states: "exited" in states)
        assert (await say(backend, asking("Hello"))).text
        assert diary.states == ["starting", "ready", "exited", "starting", "ready"]
        assert "SIGKILL" in diary.details[2]


async def test_signals_meant_for_the_server_do_not_reach_the_child(can_run: None) -> None:
    diary = Diary()
    async with running(diary=diary) as backend:
        await backend.child.address()
        os.kill(pid_of(backend), signal.SIGINT)
        os.kill(pid_of(backend), signal.SIGTERM)
        assert (await say(backend, asking("Hello"))).text
        assert diary.states == ["starting", "ready"]


@on_linux
async def test_closing_ends_the_child(can_run: None) -> None:
    async with running() as backend:
        await backend.child.address()
        pid_fd = os.pidfd_open(pid_of(backend))
    assert is_gone_within(pid_fd, 0)
    os.close(pid_fd)
    with pytest.raises(RemoteError) as caught:
        await say(backend, asking("Hello"))
    assert caught.value.status == 503


@on_linux
async def test_closing_while_it_loads_ends_the_child(can_run: None) -> None:
    diary = Diary()
    async with running(diary=diary) as backend:
        await diary.until(lambda states: states == ["starting"])
        pid_fd = os.pidfd_open(pid_of(backend))
    assert is_gone_within(pid_fd, 0)
    os.close(pid_fd)


PARENT = """
import asyncio, sys
from antiphon.backends.llamacpp import LlamaCpp
from antiphon.config import LlamaCppSettings

async def main():
    backend = LlamaCpp(LlamaCppSettings())
    await backend.open()
    if sys.argv[1] == "ready":
        await backend.child.address()
    while backend.child.pid is None:
        await asyncio.sleep(0)
    print(backend.child.pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.requirement("engine:child:never_orphaned")
@on_linux
@pytest.mark.parametrize("moment", ["ready", "loading"])
async def test_a_killed_server_takes_its_child_along(can_run: None, moment: str) -> None:
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT, moment, stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    async with asyncio.timeout(PATIENCE):
        child_fd = os.pidfd_open(int(await parent.stdout.readline()))
    assert not is_gone_within(child_fd, 0)
    parent.kill()
    await parent.wait()
    assert is_gone_within(child_fd, 2)
    os.close(child_fd)


@pytest.mark.requirement("engine:start:missing_file")
async def test_a_missing_model_is_said_by_every_turn_and_stops_nothing_else(
    tmp_path: Path,
) -> None:
    settings = LlamaCppSettings(path=str(tmp_path / "nope.gguf"))
    async with running(settings) as backend:
        assert [model.id for model in await backend.models()] == ["nope"]
        with pytest.raises(RemoteError) as caught:
            await say(backend, asking("Hello"))
    error = caught.value
    assert (error.status, error.code, error.retryable) == (503, "engine_unavailable", False)
    assert "nope.gguf" in error.message and "--upstream" in error.message


async def test_a_file_that_is_no_model_is_refused_before_it_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "text.gguf"
    path.write_text("this is not a model", encoding="utf-8")
    async with running(LlamaCppSettings(path=str(path))) as backend:
        with pytest.raises(RemoteError, match="not a GGUF file"):
            await say(backend, asking("Hello"))


@pytest.mark.requirement("engine:start:reason")
async def test_a_damaged_model_is_refused_with_the_reason_the_engine_gave(
    can_run: None, tmp_path: Path
) -> None:
    path = tmp_path / "cut.gguf"
    path.write_bytes(demo.path().read_bytes()[:1_000_000])
    diary = Diary()
    async with running(LlamaCppSettings(path=str(path)), diary) as backend:
        with pytest.raises(RemoteError) as caught:
            await say(backend, asking("Hello"))
    assert caught.value.code == "engine_unavailable"
    assert "cut.gguf cannot be loaded" in caught.value.message
    assert "fail" in caught.value.message.partition("loaded: ")[2]
    assert diary.states == ["starting", "failed"]


# Children that misbehave, in place of the real one.


@asynccontextmanager
async def child_that(tmp_path: Path, program: str) -> AsyncIterator[tuple[Child, Diary]]:
    path = tmp_path / "child.py"
    path.write_text("import json, os, signal, sys\nsys.stdin.readline()\n" + program, "utf-8")
    diary = Diary()
    child = Child(Launch(Path("m.gguf"), 512, 1, 1), diary, program=str(path))
    child.start()
    try:
        yield child, diary
    finally:
        await child.close()


async def failure_of(child: Child) -> RemoteError:
    with pytest.raises(RemoteError) as caught:
        await asyncio.wait_for(child.address(), PATIENCE)
    return caught.value


@pytest.mark.requirement("engine:start:missing_library")
async def test_a_missing_system_library_is_named_with_its_remedy(tmp_path: Path) -> None:
    program = """print(json.dumps({"kind": "import", "error": "libgomp.so.1: cannot open"}))"""
    async with child_that(tmp_path, program) as (child, diary):
        error = await failure_of(child)
        assert "libgomp.so.1" in error.message and "apt-get install libgomp1" in error.message
        assert "--upstream" in error.message
        assert diary.states == ["starting", "failed"]


@pytest.mark.requirement("engine:start:old_processor")
async def test_a_processor_without_the_instructions_is_told_by_how_the_child_dies(
    tmp_path: Path,
) -> None:
    program = "os.kill(os.getpid(), signal.SIGILL)"
    async with child_that(tmp_path, program) as (child, diary):
        error = await failure_of(child)
        assert "processor" in error.message and "--upstream" in error.message
        assert (error.status, error.code) == (503, "engine_unavailable")
        assert diary.states == ["starting", "failed"]


async def test_a_child_that_never_gets_ready_is_given_up_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(llamacpp_process, "BACK_OFF_SECONDS", 0.001)
    program = "print('noise\\n' * 9000 + 'out of memory', file=sys.stderr); sys.exit(9)"
    async with child_that(tmp_path, program) as (child, diary):
        error = await failure_of(child)
        assert "with code 9" in error.message and "out of memory" in error.message
        assert diary.states == ["starting", "exited"] * 2 + ["starting", "failed"]


async def test_a_child_that_crashes_again_and_again_is_started_later_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    enough = asyncio.Event()

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 12:
            enough.set()
            await asyncio.Event().wait()

    monkeypatch.setattr(llamacpp_process, "BACK_OFF_SECONDS_MAX", 0.3)
    monkeypatch.setattr(llamacpp_process, "_pause", pause)
    program = """print(json.dumps({"url": "http://127.0.0.1:1"}), flush=True)"""
    async with child_that(tmp_path, program) as (_, diary):
        await asyncio.wait_for(enough.wait(), PATIENCE)
        assert pauses[:3] == [0.2, 0.3, 0.3] and set(pauses[3:]) == {0.3}
        assert diary.states[:4] == ["starting", "ready", "exited", "starting"]


async def test_a_watch_that_breaks_is_observed_and_told_to_those_who_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def pause(seconds: float) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(llamacpp_process, "_pause", pause)
    async with child_that(tmp_path, "") as (child, diary):
        error = await failure_of(child)
        assert (error.status, error.code) == (503, "engine_unavailable")
        assert diary.states == ["starting", "exited", "failed"]
        assert isinstance(diary.broke, ZeroDivisionError)


async def test_a_turn_does_not_wait_for_ever_for_a_model_that_loads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(llamacpp_process, "READY_SECONDS_MAX", 0.05)
    async with child_that(tmp_path, "sys.stdin.readline()") as (child, _):
        error = await failure_of(child)
        assert (error.status, error.code, error.retryable) == (503, "engine_starting", True)


async def test_a_child_that_does_not_leave_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(llamacpp_process, "STOP_SECONDS", 0.05)
    program = """print(json.dumps({"url": "http://127.0.0.1:1"}), flush=True)
while True: signal.pause()"""
    async with child_that(tmp_path, program) as (child, _):
        await asyncio.wait_for(child.address(), PATIENCE)
    assert (await failure_of(child)).status == 503
