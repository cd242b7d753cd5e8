"""The child's life as the parent sees it: started in the background, watched, started again.

States, each told to the observer: starting → ready → exited → starting …; ``failed`` is final
(a model that does not load, a machine that cannot run it). Whoever needs the child awaits
``address``. A crash is answered by a restart, later each time, as long as crashes follow one
another; calls under way break off with their connections.
"""

from __future__ import annotations

import asyncio
import secrets
import signal
import sys
from pathlib import Path

import msgspec
from msgspec import Struct

from antiphon.backends import llamacpp_child
from antiphon.backends.llamacpp_probe import ELSEWHERE, openmp_remedy
from antiphon.errors import RemoteError
from antiphon.observe import Broke, EngineChanged, Observe

READY_SECONDS_MAX = 120.0
"""How long a turn waits for a child that is still loading."""

START_FAILURES_MAX = 3
"""Children that died before they were ready, after which no further one is started."""

STEADY_SECONDS = 30.0
"""A child that lived this long is forgiven its crash: the back-off starts over."""

BACK_OFF_SECONDS = 0.2
BACK_OFF_SECONDS_MAX = 30.0
STOP_SECONDS = 2.0

_TAIL_BYTES = 2048
_pause = asyncio.sleep
_ILLEGAL_INSTRUCTION = frozenset((-signal.SIGILL, 0xC000001D))  # POSIX, Windows
_CACHE_RAM_MIB = 256


class Launch(Struct, frozen=True):
    """What to load. ``context_tokens`` is the window of one answer, ``parallel`` how many."""

    model: Path
    context_tokens: int
    parallel: int
    threads: int


class Address(Struct, frozen=True):
    """Where the child listens, and the key it was given."""

    url: str
    key: str

    def __repr__(self) -> str:
        return f"Address({self.url})"


class _Answer(Struct):
    url: str = ""
    error: str = ""
    kind: str = ""


class _End(Struct, frozen=True):
    """How a child ended. ``final``: another one would end the same way."""

    reason: str
    was_ready: bool
    final: bool = False


class Child:
    """One child at a time. ``program`` is the file to run; tests put another one there."""

    def __init__(
        self, launch: Launch, observe: Observe, *, program: str = llamacpp_child.__file__
    ) -> None:
        self.launch = launch
        self.crashes = 0
        self.pid: int | None = None
        self.last_end = ""
        self._observe = observe
        self._program = program
        self._address: Address | None = None
        self._failure = ""
        self._settled = asyncio.Event()
        self._watch: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins in the background. Called once, inside the running loop."""
        self._watch = asyncio.create_task(self._live(), name="llamacpp")
        self._watch.add_done_callback(self._stopped)

    def fail(self, reason: str) -> None:
        """There will be no child: everybody who waits hears why."""
        self._failure = reason
        self._settled.set()
        self._observe(EngineChanged("failed", reason))

    async def close(self) -> None:
        """Ends the child; returns when it is gone."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.wait((self._watch,))
        self._address = None
        self._failure = "This server is stopping."
        self._settled.set()

    async def address(self) -> Address:
        """Waits until the child is ready. ``RemoteError`` 503 if it is not in time, or never."""
        try:
            async with asyncio.timeout(READY_SECONDS_MAX):
                while self._address is None and not self._failure:
                    await self._settled.wait()
        except TimeoutError:
            raise RemoteError(
                "The embedded engine is still loading the model.",
                status=503,
                code="engine_starting",
                retryable=True,
                retry_after_seconds=30,
            ) from None
        if self._address is None:
            raise RemoteError(self._failure, status=503, code="engine_unavailable")
        return self._address

    def _stopped(self, watch: asyncio.Task[None]) -> None:
        error = None if watch.cancelled() else watch.exception()
        if error is not None:
            self._observe(Broke("engine", error))
            self.fail("The embedded engine is no longer watched; the server's log says why.")

    async def _live(self) -> None:
        loop = asyncio.get_running_loop()
        failures = in_a_row = 0
        while True:
            began = loop.time()
            end = await self._once()
            self.last_end = end.reason
            self.pid = None
            failures = 0 if end.was_ready else failures + 1
            if end.final or failures >= START_FAILURES_MAX:
                return self.fail(end.reason)
            self.crashes += 1
            self._observe(EngineChanged("exited", end.reason))
            in_a_row = 0 if loop.time() - began > STEADY_SECONDS else in_a_row + 1
            await _pause(min(BACK_OFF_SECONDS_MAX, BACK_OFF_SECONDS * 2 ** max(0, in_a_row - 1)))

    async def _once(self) -> _End:
        """One child, from its start to its end."""
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",  # our folder must not shadow the child's imports
                self._program,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
        except OSError as error:
            return _End(f"The embedded engine cannot be started: {error.strerror}.", False, True)
        self.pid = process.pid
        self._observe(EngineChanged("starting", self.launch.model.name))
        said = asyncio.create_task(_last_words(process.stderr), name="llamacpp stderr")
        try:
            answer = await self._introduce(process)
            if answer.url:
                self._settled.set()
                self._observe(EngineChanged("ready", self.launch.model.name))
            code = await process.wait()
            return self._end(answer, code, await said)
        finally:
            self._address = None
            if not self._failure:
                self._settled.clear()
            await _put_down(process)
            said.cancel()

    async def _introduce(self, process: asyncio.subprocess.Process) -> _Answer:
        assert process.stdin is not None and process.stdout is not None
        key = secrets.token_urlsafe(24)
        launch = self.launch
        config = {
            "model": str(launch.model),
            "context_tokens": launch.context_tokens,
            "parallel": launch.parallel,
            "threads": launch.threads,
            "cache_ram_mib": _CACHE_RAM_MIB,
            "key": key,
        }
        try:
            process.stdin.write(msgspec.json.encode(config) + b"\n")
            await process.stdin.drain()
            answer = msgspec.json.decode(await process.stdout.readline(), type=_Answer)
        except (OSError, msgspec.DecodeError):
            return _Answer()  # it died; how is told by its exit code
        if answer.url:
            self._address = Address(answer.url, key)
        return answer

    def _end(self, answer: _Answer, code: int, words: str) -> _End:
        if answer.kind == "import":
            return _End(_import_problem(answer.error), False, True)
        if answer.kind == "load":
            said = words or answer.error
            name = self.launch.model.name
            return _End(f"The model {name} cannot be loaded: {said}. {ELSEWHERE}", False, True)
        if code in _ILLEGAL_INSTRUCTION:
            reason = "llama.cpp uses instructions that this processor does not have"
            return _End(f"The embedded engine cannot run here: {reason}. {ELSEWHERE}", False, True)
        how = f"by {_signal_name(-code)}" if code < 0 else f"with code {code}"
        said = f": {words}" if words else ""
        return _End(f"The embedded engine ended {how}{said}.", bool(answer.url))


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _import_problem(error: str) -> str:
    remedy = openmp_remedy() if "libgomp" in error else ELSEWHERE
    return f"The embedded engine cannot be loaded: {error}. {remedy}"


async def _last_words(stderr: asyncio.StreamReader | None) -> str:
    """The last line or two of what the child complains about; read so that it never blocks."""
    assert stderr is not None
    tail = b""
    while data := await stderr.read(4096):
        tail = (tail + data)[-_TAIL_BYTES:]
    lines = [line.strip() for line in tail.decode("utf-8", "replace").splitlines()]
    return " / ".join([line for line in lines if line][-2:])


async def _put_down(process: asyncio.subprocess.Process) -> None:
    """Close its stdin, wait a little, then kill it."""
    if process.returncode is not None:
        return
    if process.stdin is not None:
        process.stdin.close()
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
