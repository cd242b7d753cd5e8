"""The backend port: where models are.

A backend translates one kind of upstream into deltas and knows nothing else: no store, no
request object, no socket of a caller. Adding one: a file here, a line in ``app.py``'s table,
its options in ``config.py``, and the shared suite ``tests/suites/backend.py``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, Literal, Protocol

from msgspec import Struct

from antiphon.errors import ClientError, RemoteError
from antiphon.stream.deltas import Delta, Finish
from antiphon.types.items import Item
from antiphon.types.tools import CallableTool, Format, NamedChoice, TextFormat, Tool


class Capabilities(Struct, frozen=True):
    """What a model behind a backend does by itself.

    ``json_schema``, ``strict_tools``, ``grammar``, ``tool_choice``:
      ``enforced``: constrained decoding, the output cannot break it;
      ``asked``   : passed on, may be broken, so the run checks and asks again;
      ``none``    : not even passed on; the run states it in words, checks and asks again.
    ``images``: image parts are understood. ``logprobs``: token log probabilities are returned.
    ``takes_reasoning``: the model can be shown what it thought earlier.
    ``context_tokens``: the window, when known. ``unsent``: the API's names of parameters that
    cannot be passed on; a request that sets one is told (``x-antiphon-downgrades``). ``native``:
    types of tools other than functions and freeform ones that it takes as they are.
    ``summaries``: it sums up its own reasoning (``reasoning.summary``). ``carries``: how the
    encrypted reasoning begins that it made and takes back (``deltas.CARRIED``); empty: none.
    """

    tools: bool = True
    images: bool = True
    logprobs: bool = True
    reasoning: bool = True
    json_schema: Literal["enforced", "asked", "none"] = "asked"
    strict_tools: Literal["enforced", "asked", "none"] = "asked"
    grammar: Literal["enforced", "asked", "none"] = "none"
    tool_choice: Literal["enforced", "asked", "none"] = "asked"
    takes_reasoning: bool = True
    context_tokens: int | None = None
    unsent: frozenset[str] = frozenset()
    summaries: bool = False
    carries: str = ""
    native: frozenset[str] = frozenset()


class Known(Struct, frozen=True, eq=False):
    """The first ``length`` items of a turn are those of an earlier turn of its conversation.

    ``memo`` is where a backend keeps what it made of them, under a key of its own. It travels to
    the turns that follow (shallowly copied), forks included: an entry must stay right for every
    turn that begins with the same items, and so must say itself how many of them it covers (never
    more than ``length``).
    """

    length: int
    memo: dict[Any, Any]


class Turn(Struct, frozen=True, kw_only=True):
    """One model call: everything a backend may know.

    ``items`` is the whole context, oldest first: references resolved, every call answered,
    documents already turned into text or images. ``instructions`` comes before them.
    ``tools`` are the ones the model may use (``allowed_tools`` already applied), under names of
    their own; ``native`` those that are more than a function and that the backend has itself
    (``Capabilities.native``).
    Numbers are None when the caller did not set them: then nothing is sent.
    ``stop``: texts that end the answer, which does not hold them.
    ``max_tool_calls``, ``include``: of the request, for a backend that runs hosted tools itself.
    ``thoughts``: which reasoning among the items is shown to the model: what stands behind the last
    message of a user, or all of it.
    ``live``: deltas are wanted as they come; otherwise the whole answer may come as one batch.
    ``known``: how the turn begins like earlier ones, if that is remembered.
    """

    model: str
    items: Sequence[Item]
    instructions: str | None = None
    tools: Sequence[CallableTool] = ()
    native: Sequence[Tool] = ()
    tool_choice: Literal["auto", "none", "required"] | NamedChoice = "auto"
    parallel_tool_calls: bool = True
    format: Format = TextFormat()
    verbosity: str | None = None
    effort: str | None = None
    summary: str | None = None
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    stop: Sequence[str] = ()
    seed: int | None = None
    top_logprobs: int | None = None
    logprobs: bool = False
    prompt_cache_key: str | None = None
    safety_identifier: str | None = None
    max_tool_calls: int | None = None
    include: Sequence[str] = ()
    thoughts: Literal["current_turn", "all_turns"] = "current_turn"
    live: bool = True
    known: Known | None = None


class Model(Struct, frozen=True, kw_only=True):
    """A model as ``/v1/models`` shows it. ``about`` is one sentence for people, or empty."""

    id: str
    created: int = 0
    owned_by: str = "antiphon"
    about: str = ""


class Sink(Protocol):
    """Takes what a call says, straight from the callback of the connection that read it.

    Its methods never wait and never raise. ``take``: one batch per network read; the last one
    ends with ``Finish``. ``broke`` comes instead of that last batch, with a ``RemoteError`` or with
    what nobody expected. After either, nothing.
    """

    def take(self, deltas: Sequence[Delta]) -> None: ...

    def broke(self, error: Exception) -> None: ...


class Call(Protocol):
    """A model call under way. None of its methods waits."""

    def pause(self) -> None:
        """Read nothing more from the upstream until ``resume``: the reader is slow. A batch that
        was already read may still come."""

    def resume(self) -> None: ...

    def close(self) -> None:
        """Stop the upstream call at once; the sink hears nothing more. May be called twice, and
        from inside the sink's own methods."""


class Backend(Protocol):
    """One kind of upstream.

    ``stream`` raises ``RemoteError`` (with a status that says what happened) before its first
    batch when nothing was produced, and may raise it later when the answer broke off.
    Closing the iterator stops the upstream call at once.
    """

    async def open(self) -> None:
        """Called once inside the running loop, before the first turn."""

    async def close(self) -> None:
        """Called once; running turns are broken off."""

    async def models(self) -> Sequence[Model]:
        """The models it can name; empty if the upstream does not tell."""

    def capabilities(self, model: str) -> Capabilities: ...

    def stream(self, turn: Turn) -> AsyncIterator[Sequence[Delta]]:
        """The turn's deltas, one batch per network read."""

    def begin(self, turn: Turn, sink: Sink) -> Call | None:
        """The same as ``stream``, pushed: start the turn without waiting and without a task. None
        where a backend can only be waited for; then nothing was done, and ``Pump`` carries what
        ``stream`` gives. Never calls the sink before it has returned."""
        return None

    async def count(self, turn: Turn) -> int | None:
        """Exact input tokens of the turn, or None if the backend cannot tell."""


class Pump:
    """A ``Call`` over what ``Backend.stream`` gives: one task waits for its batches and pushes
    them on. ``paused``: begins only when resumed."""

    _tasks: set[asyncio.Task[None]] = set()

    def __init__(
        self, deltas: AsyncIterator[Sequence[Delta]], sink: Sink, *, paused: bool = False
    ) -> None:
        self._deltas = deltas
        self._sink = sink
        self._closed = False
        self._flowing = asyncio.Event()
        if not paused:
            self._flowing.set()
        self._task = asyncio.create_task(self._run())
        self._tasks.add(self._task)
        self._task.add_done_callback(self._tasks.discard)

    def pause(self) -> None:
        self._flowing.clear()

    def resume(self) -> None:
        self._flowing.set()

    def close(self) -> None:
        self._closed = True
        if asyncio.current_task() is not self._task:
            self._task.cancel()  # from inside ``take`` it would cut short the stream's own end

    async def _run(self) -> None:
        try:
            await self._carry()
        except ClientError as refusal:  # a backend's own, of a turn it should have been spared
            code = refusal.code or "invalid_value"
            self._break(RemoteError(refusal.message, status=refusal.status, code=code))
        except Exception as error:
            self._break(error)
        finally:
            close = getattr(self._deltas, "aclose", None)
            if close is not None:
                await close()

    async def _carry(self) -> None:
        await self._flowing.wait()
        async for batch in self._deltas:
            if self._closed:
                return
            self._sink.take(batch)
            if batch and isinstance(batch[-1], Finish):
                return
            await self._flowing.wait()
        raise RemoteError("The answer has no end.", code="upstream_broke_off")

    def _break(self, error: Exception) -> None:
        if not self._closed:
            self._sink.broke(error)
