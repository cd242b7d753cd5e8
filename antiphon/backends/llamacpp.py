"""The embedded engine: a GGUF model in a child process, spoken to as a chat-completions server.

Three steps stand between a turn and the engine: wait until the child is ready (``target``),
demand what the turn demands by a grammar of our own (``shape``), read calls out of the text
(``reader``). The last two need a model whose template writes calls as ``<tool_call>`` JSON; for
any other template the engine's own tool parsing is asked, and the run checks what comes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any, cast

import msgspec
from msgspec import Struct

from antiphon.backends import demo
from antiphon.backends.base import Call, Capabilities, Model, Sink, Turn
from antiphon.backends.chat import Chat
from antiphon.backends.chat_body import Body, chat_body, offered
from antiphon.backends.chat_errors import complaint_of, error_of
from antiphon.backends.chat_reading import Reader
from antiphon.backends.fast_http import FastHttp
from antiphon.backends.gguf import Head, read_head
from antiphon.backends.llamacpp_grammar import grammar_of
from antiphon.backends.llamacpp_probe import ELSEWHERE, probe, threads_available
from antiphon.backends.llamacpp_process import Address, Child, Launch
from antiphon.backends.profiles import PROFILES
from antiphon.backends.tool_text import ToolTextReader
from antiphon.backends.transport import Timeouts
from antiphon.backends.upstream import Target
from antiphon.config import ChatSettings, LlamaCppSettings
from antiphon.errors import RemoteError
from antiphon.observe import Observe, nobody
from antiphon.stream.deltas import Delta
from antiphon.types.tools import TextFormat

CONTEXT_TOKENS_MAX = 8192
"""Window of one answer unless set: what a laptop's memory carries."""

CACHE_BYTES_MAX = 2 * 1024**3
"""Attention memory of all windows together unless the window is set."""

CONTEXT_TOKENS_MIN = 2048

_PATIENCE = Timeouts(connect_seconds=10, first_byte_seconds=3600, idle_seconds=600)
_QUICK = Timeouts(connect_seconds=5, first_byte_seconds=30, idle_seconds=30)
_RENDERED = ("messages", "tools", "tool_choice", "chat_template_kwargs")
_TOOL_CALL_STYLES = ('<tool_call>\n{"name": "', '<tool_call>\\n{"name": "')


class _Tokens(Struct):
    tokens: list[int]


class _InputTokens(Struct):
    input_tokens: int


class Habits(Struct, frozen=True):
    """What is known of the model. ``writes_calls``: in the form our grammar has;
    ``thinks``: its template can be told not to; ``temperature`` and ``output_tokens_max``
    when the caller sets none."""

    context_tokens: int
    writes_calls: bool
    thinks: bool
    temperature: float | None
    output_tokens_max: int | None
    about: str


class LlamaCpp(Chat):
    """One GGUF model. Nothing is raised for a file that cannot be used: the server starts, and
    every turn says why there is no answer (503 ``engine_unavailable``)."""

    def __init__(self, settings: LlamaCppSettings, observe: Observe = nobody) -> None:
        # The address is filled in by ``target``: the child takes a free port.
        super().__init__(
            ChatSettings(url="http://127.0.0.1/v1", name="llamacpp", profile="llamacpp"),
            FastHttp(),
            observe,
        )
        self.model = settings.model_name
        self.path = demo.path() if settings.path is None else Path(settings.path).expanduser()
        self._timeouts = _PATIENCE
        self._turns = asyncio.Semaphore(settings.parallel)
        self._address: Address | None = None
        self._call_token: int | None = None
        head, self._broken = _head(self.path)
        self._created = 0 if self._broken else int(self.path.stat().st_mtime)
        self.habits = _habits(settings, head)
        self.profile = msgspec.structs.replace(
            PROFILES["llamacpp"],
            inline_thinking=self.habits.thinks,
            capabilities=_capabilities(self.habits),
        )
        threads = demo.THREADS if settings.path is None else threads_available()
        launch = Launch(
            model=self.path,
            context_tokens=self.habits.context_tokens,
            parallel=settings.parallel,
            threads=settings.threads or threads,
        )
        self.child = Child(launch, observe)

    async def open(self) -> None:
        """Starts the child in the background; turns wait for it, ``models`` does not."""
        found = probe()
        if self._broken or not found.ok:
            self.child.fail(self._broken or found.sentence)
        else:
            self.child.start()

    async def close(self) -> None:
        await super().close()
        await self.child.close()

    def capabilities(self, model: str) -> Capabilities:
        """An effort decides whether a thinking model thinks; any other has no use for one."""
        known = super().capabilities(model)
        return msgspec.structs.replace(known, unsent=frozenset()) if known.reasoning else known

    async def models(self) -> Sequence[Model]:
        """The one model, whether or not it is loaded yet."""
        return [Model(id=self.model, created=self._created, about=self.habits.about)]

    def begin(self, turn: Turn, sink: Sink) -> Call | None:
        """None: a turn waits for the child and for its place among ``parallel``."""
        return None

    async def stream(self, turn: Turn) -> AsyncIterator[Sequence[Delta]]:
        """At most ``parallel`` turns at a time: the engine itself would queue without limit.

        A crash of the child is told as such; before the first batch the turn may be repeated.
        """
        produced = False
        # Always streamed: a caller who leaves a plain answer is noticed a second late.
        streamed = msgspec.structs.replace(turn, live=True)
        answer = cast(AsyncGenerator[Sequence[Delta], None], super().stream(streamed))
        async with self._turns, aclosing(answer) as batches:
            try:
                async for batch in batches:
                    produced = True
                    yield batch
            except RemoteError as error:
                if error.code in ("upstream_broke_off", "upstream_unreachable"):
                    raise _crashed(produced=produced) from error
                raise

    async def target(self) -> Target:
        """The running child's address; waits for a child that is starting."""
        address = await self.child.address()
        if address is not self._address:
            headers = {
                "authorization": f"Bearer {address.key}",
                "content-type": "application/json",
            }
            self._target = Target(f"{address.url}/v1", headers)
            self._call_token = await self._token_of("<tool_call>", address)
            self._address = address
        return self._target

    def shape(self, body: Body, turn: Turn) -> Body:
        """The turn's demands in the engine's words."""
        habits = self.habits
        if habits.temperature is not None:
            body.setdefault("temperature", habits.temperature)
        if habits.output_tokens_max is not None:
            body.setdefault("max_tokens", habits.output_tokens_max)
        if not habits.writes_calls:
            return self._shape_natively(body, turn)
        grammar = grammar_of(turn)
        if turn.tool_choice == "none":
            body.pop("tools", None)
        if grammar is not None:
            body["grammar"] = grammar
            body.pop("response_format", None)
            body.pop("parallel_tool_calls", None)
        if "tools" in body:
            body["tool_choice"] = "none"  # the grammar decides; tools are still shown
        elif grammar is None and self._call_token is not None:
            body["logit_bias"] = [[self._call_token, False]]
        if habits.thinks:
            free = grammar is None or grammar.startswith("%llguidance {}\nstart: TEXT")
            body["chat_template_kwargs"] = {"enable_thinking": free and _wants_thoughts(turn)}
        return body

    def _shape_natively(self, body: Body, turn: Turn) -> Body:
        """For a template whose calls only the engine can read: schema or tools, not both."""
        if not isinstance(turn.format, TextFormat):
            if turn.tools and turn.tool_choice != "none":
                in_words = msgspec.structs.replace(
                    self.profile, json_schema=False, json_object=False
                )
                body = chat_body(turn, in_words)
            else:
                body["grammar"] = grammar_of(msgspec.structs.replace(turn, tools=()))
                body.pop("response_format", None)
                body.pop("tools", None)
        if self.habits.thinks:
            thinking = _wants_thoughts(turn) and "grammar" not in body
            body["chat_template_kwargs"] = {"enable_thinking": thinking}
        return body

    def reader(self, turn: Turn) -> Reader:
        if turn.tools and turn.tool_choice != "none" and self.habits.writes_calls:
            return ToolTextReader(self.profile, offered(turn), logprobs=turn.logprobs)
        return super().reader(turn)

    async def count(self, turn: Turn) -> int | None:
        """Exact: the engine renders the turn and counts."""
        target = await self.target()
        whole = self.shape(chat_body(turn, self.profile), turn)
        body = {key: whole[key] for key in _RENDERED if key in whole}
        url = target.url + "/chat/completions/input_tokens"
        counted = await self._call(url, target, body)
        return msgspec.json.decode(counted, type=_InputTokens).input_tokens

    async def _token_of(self, text: str, address: Address) -> int | None:
        """The id of a text that is one token, or None."""
        asked = {"content": text, "add_special": False, "parse_special": True}
        answer = await self._call(f"{address.url}/tokenize", self._target, asked)
        tokens = msgspec.json.decode(answer, type=_Tokens).tokens
        return tokens[0] if len(tokens) == 1 else None

    async def _call(self, url: str, target: Target, body: Any) -> bytes:
        """A small question to the engine; a refusal is an error that says why."""
        reply = await self._transport.send(
            "POST",
            url,
            headers=target.headers,
            body=msgspec.json.encode(body),
            timeouts=_QUICK,
        )
        answer = await reply.read()
        if reply.status != 200:
            raise error_of(reply.status, reply.headers, complaint_of(answer))
        return answer


def _head(path: Path) -> tuple[Head | None, str]:
    """What the file says about itself, or what is wrong with it."""
    try:
        return read_head(path), ""
    except OSError as error:
        reason = error.strerror or type(error).__name__
        return None, f"The model file {path} cannot be read: {reason}. {ELSEWHERE}"
    except ValueError as error:
        return None, f"The model cannot be loaded: {error}. {ELSEWHERE}"


def _habits(settings: LlamaCppSettings, head: Head | None) -> Habits:
    is_demo = settings.path is None
    template = head.template if head else ""
    return Habits(
        context_tokens=_window(settings, head),
        writes_calls=any(style in template for style in _TOOL_CALL_STYLES),
        thinks="enable_thinking" in template,
        temperature=demo.TEMPERATURE if is_demo else None,
        output_tokens_max=demo.OUTPUT_TOKENS_MAX if is_demo else None,
        about=demo.ABOUT if is_demo else f"{Path(settings.path or '').name}, run by this server.",
    )


def _window(settings: LlamaCppSettings, head: Head | None) -> int:
    """Tokens one answer may see: as set, else what fits; never more than the model knows."""
    trained = (head.context_tokens if head else 0) or CONTEXT_TOKENS_MAX
    if settings.context_tokens is not None:
        return min(settings.context_tokens, trained)
    cost = settings.parallel * (head.cache_bytes_per_token if head else 0)
    fitting = CACHE_BYTES_MAX // cost if cost else CONTEXT_TOKENS_MAX
    return min(trained, CONTEXT_TOKENS_MAX, max(fitting, CONTEXT_TOKENS_MIN))


def _capabilities(habits: Habits) -> Capabilities:
    if habits.writes_calls:
        return Capabilities(
            images=False,
            reasoning=habits.thinks,
            json_schema="enforced",
            strict_tools="enforced",
            grammar="enforced",
            tool_choice="enforced",
            context_tokens=habits.context_tokens,
        )
    return Capabilities(images=False, reasoning=habits.thinks, context_tokens=habits.context_tokens)


def _wants_thoughts(turn: Turn) -> bool:
    """Only when asked for: a small model on a processor thinks for a minute."""
    return turn.effort not in (None, "none", "minimal")


def _crashed(*, produced: bool) -> RemoteError:
    return RemoteError(
        "The embedded engine stopped before the answer was complete; it is started again.",
        status=502,
        code="engine_crashed",
        retryable=not produced,
    )
