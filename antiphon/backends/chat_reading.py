"""A chat completion's answer, streamed or whole → deltas. No I/O.

``Reader.batch`` takes the SSE payloads of one network read, ``Reader.whole`` one JSON body;
both end with ``Reader.end``. They walk one path, so an answer gives the same deltas either way.

Rules: ``Finish`` is held back until the end, because usage may come after the reason; the last
usage counts; only the first choice is read; reasoning never becomes text; an error inside the
stream is raised; an answer that stops without a reason was cut, and says so.

Once a payload was text and nothing else the next one is expected to be so too, and decoded as
such at half the cost; any payload that is more is read in full.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from antiphon.backends.chat_body import Offered
from antiphon.backends.chat_calls import Calls
from antiphon.backends.chat_errors import error_in_stream
from antiphon.backends.chat_wire import (
    CallPart,
    Choice,
    Chunk,
    Piece,
    Token,
    UsagePart,
    decode,
    decode_plain,
)
from antiphon.backends.profiles import Profile
from antiphon.backends.thinking import Thinking
from antiphon.errors import RemoteError
from antiphon.stream.deltas import Declined, Delta, Finish, Spent, Text, Thought
from antiphon.types.content import Logprob, TopLogprob

Reason = Literal["stop", "calls", "length", "filter"]

REASONS: dict[str, Reason] = {
    "stop": "stop",
    "eos": "stop",
    "eos_token": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_calls": "calls",
    "tool_use": "calls",
    "function_call": "calls",
    "length": "length",
    "max_tokens": "length",
    "max_output_tokens": "length",
    "model_length": "length",
    "content_filter": "filter",
    "safety": "filter",
    "recitation": "filter",
}
"""Finish reasons as servers spell them, in lower case; any other counts as ``stop``."""

BROKEN = frozenset({"error", "abort"})
"""Finish reasons that mean that the server gave up."""


class Reader:
    """Reads one answer. ``offered``: the turn's tools by the name the model sees."""

    def __init__(
        self, profile: Profile, offered: Mapping[str, Offered], *, logprobs: bool = False
    ) -> None:
        self.over = False
        self.failure: RemoteError | None = None
        self._reason: Reason | None = None
        self._usage: UsagePart | None = None
        self._produced = False
        self._profile = profile
        self._calls = Calls(offered)
        self._logprobs = logprobs
        self._tokens: list[Logprob] = []
        self._thinking = Thinking() if profile.inline_thinking else None
        self._half = ""
        self._can_be_plain = not (logprobs or profile.inline_thinking)
        self._plain = False

    def feed(self, payload: bytes) -> list[Delta]:
        """The deltas of one payload. After ``[DONE]`` nothing more is read."""
        if self.over or payload == b"[DONE]" or not payload.strip():
            self.over = self.over or payload.strip() == b"[DONE]"
            return []
        return self._read(decode(payload))

    def batch(self, payloads: Sequence[bytes]) -> list[Delta]:
        """The deltas of what one network read held; ends with ``Finish`` after ``[DONE]``.

        What came before an error in the same read is returned, and the error left in
        ``failure``: whoever calls raises it next.
        """
        deltas: list[Delta] = []
        try:
            for payload in payloads:
                if not (self._plain and self._plainly(payload, deltas)):
                    found = self.feed(payload)
                    self._plain = self._can_be_plain and len(found) == 1 and type(found[0]) is Text
                    deltas += found
            if self.over:
                deltas += self.end()
        except RemoteError as error:
            if not deltas:
                raise
            self.failure = error
        return deltas

    def last(self, payloads: Sequence[bytes]) -> list[Delta]:
        """The deltas of what was left when the connection ended without ``[DONE]``."""
        deltas = self.batch(payloads)
        if self.over or self.failure is not None:
            return deltas
        try:
            return deltas + self.end()
        except RemoteError as error:
            if not deltas:
                raise
            self.failure = error
            return deltas

    def whole(self, body: bytes) -> list[Delta]:
        """The deltas of a whole JSON answer, ``Finish`` included."""
        deltas = self._read(decode(body))
        self.over = True
        if not self._produced and self._reason is None:
            raise _no_answer()
        if self._reason is None:
            self._reason = "stop"
        return deltas + self.end()

    def end(self) -> list[Delta]:
        """The last deltas: held text, usage, ``Finish``.

        ``RemoteError`` 502 ``upstream_broke_off`` if the answer gave no reason to end.
        """
        if self._reason is None:
            if not (self.over and self._produced):
                raise _broke_off(produced=self._produced)
            self._reason = "stop"
        deltas: list[Delta] = []
        if self._thinking is not None:
            thought, text = self._thinking.end()
            deltas += [Thought(thought)] if thought else []
            deltas += [Text(text)] if text else []
        if self._half:
            deltas.append(Text("\ufffd"))
        reason = self._reason
        deltas += self._calls.end(complete=reason in ("stop", "calls"))
        if reason in ("stop", "calls"):
            reason = "calls" if self._calls else "stop"
        if self._usage is not None:
            deltas.append(_spent(self._usage, self._profile))
        deltas.append(Finish(reason))
        return deltas

    def _plainly(self, payload: bytes, deltas: list[Delta]) -> bool:
        """Read a payload as text and nothing else; False if it is anything more."""
        try:
            choice = decode_plain(payload).choices[0]
        except (msgspec.DecodeError, UnicodeDecodeError):
            return False
        if choice.delta.content and not choice.index:
            self.say(choice.delta.content, deltas)
        return True

    def _read(self, chunk: Chunk) -> list[Delta]:
        if chunk.usage is not None:
            self._usage = chunk.usage
        if chunk.error or chunk.object == "error":
            raise error_in_stream(chunk, produced=self._produced)
        deltas: list[Delta] = []
        for choice in chunk.choices or ():
            if not choice.index:
                self._choice(choice, deltas, odd=chunk.odd)
        if deltas:
            self._produced = True
        return deltas

    def _choice(self, choice: Choice, deltas: list[Delta], *, odd: bool) -> None:
        piece = choice.delta
        if piece is None and not self._produced:
            piece = choice.message
        if choice.logprobs is not None and self._logprobs:
            self._tokens += [_logprob(token) for token in choice.logprobs.content or ()]
        if piece is not None:
            self._piece(piece, deltas, odd=odd)
        if choice.finish_reason:
            reason = choice.finish_reason.lower()
            if reason in BROKEN:
                raise _broke_off(produced=self._produced)
            self._reason = REASONS.get(reason, "stop")

    def _piece(self, piece: Piece, deltas: list[Delta], *, odd: bool) -> None:
        if thought := piece.reasoning_content or piece.reasoning:
            deltas.append(Thought(_mended(thought) if odd else thought))
        elif piece.reasoning_details:
            deltas += [Thought(text) for text in _texts(piece.reasoning_details) if text]
        content = piece.content
        if content:
            if not isinstance(content, str):
                content = _content_parts(content, deltas)
            if odd or self._half:
                content = self._mend(content)
            self._text(content, deltas)
        if piece.refusal:
            deltas.append(Declined(_mended(piece.refusal) if odd else piece.refusal))
        if piece.tool_calls:
            for call in piece.tool_calls:
                deltas += self._calls.feed(call)
        elif piece.function_call is not None:
            deltas += self._calls.feed(CallPart(index=0, function=piece.function_call))

    def _text(self, content: str, deltas: list[Delta]) -> None:
        if self._thinking is not None:
            thought, content = self._thinking.feed(content)
            if thought:
                deltas.append(Thought(thought))
        if content:
            self.say(content, deltas)

    def say(self, content: str, deltas: list[Delta]) -> None:
        """The answer's text, thoughts taken out; a reader of more than text overrides it."""
        if self._logprobs:
            tokens, self._tokens = self._tokens, []
            deltas.append(Text(content, tokens))
        else:
            deltas.append(Text(content))

    def _mend(self, text: str) -> str:
        """Join a surrogate pair that was cut in two, hold back its first half."""
        text = self._half + text
        self._half = ""
        if "\ud800" <= text[-1:] < "\udc00":
            self._half = text[-1]
            self._can_be_plain = False
            text = text[:-1]
        return _mended(text)


def _mended(text: str) -> str:
    """The text with surrogate pairs joined and lone halves replaced."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _texts(parts: list[Any]) -> list[str]:
    """The texts of reasoning details or thinking parts, whatever their shape."""
    texts: list[str] = []
    for part in parts:
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, dict) and isinstance(part.get("text"), str):
            texts.append(part["text"])
    return texts


def _content_parts(parts: list[Any], deltas: list[Delta]) -> str:
    """The text of content given as parts; thinking parts become thoughts."""
    text = ""
    for part in parts:
        if isinstance(part, dict) and part.get("type") == "thinking":
            inner = part.get("thinking")
            thought = inner if isinstance(inner, str) else "".join(_texts(inner or []))
            deltas += [Thought(_mended(thought))] if thought else []
        else:
            text += "".join(_texts([part]))
    return text


def _logprob(token: Token) -> Logprob:
    top = [TopLogprob(t.token, t.logprob, t.bytes or []) for t in token.top_logprobs or ()]
    return Logprob(token.token, token.logprob, token.bytes or [], top)


def _spent(usage: UsagePart, profile: Profile) -> Spent:
    before, after = usage.prompt_tokens_details, usage.completion_tokens_details
    read, written = usage.prompt_tokens or 0, usage.completion_tokens or 0
    cached = (before.cached_tokens if before else None) or usage.prompt_cache_hit_tokens or 0
    thought = (after.reasoning_tokens if after else None) or 0
    if profile.reasoning_in_total:
        thought = max(0, (usage.total_tokens or 0) - read - written)
        written += thought
    return Spent(read, max(written, thought), min(cached, read), thought)  # parts of a whole


def _broke_off(*, produced: bool) -> RemoteError:
    return RemoteError(
        "The upstream's answer broke off before its end.",
        status=502,
        code="upstream_broke_off",
        retryable=not produced,
    )


def _no_answer() -> RemoteError:
    return RemoteError(
        "The upstream's answer has no choice with a message.",
        status=502,
        code="upstream_invalid_response",
    )
