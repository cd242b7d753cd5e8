"""A chat completion's answer, streamed or whole → deltas. No I/O.

``Reader.batch`` takes the SSE payloads of one network read, ``Reader.whole`` one JSON body;
both end with ``Reader.end``. They walk one path, so an answer gives the same deltas either way.

Rules: ``Finish`` is held back until the end, because usage may come after the reason; the last
usage counts; only the first choice is read; reasoning never becomes text; an error inside the
stream is raised; an answer that stops without a reason was cut, and says so.

A payload is expected to be text and nothing else as long as the one before it was, and decoded
as such at half the cost, many of one read together; any payload that is more is read in full.
"""

from __future__ import annotations

import json
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
    PlainChoice,
    Token,
    UsagePart,
    decode,
    decode_plain,
    decode_plain_lines,
    decode_plain_whole,
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

_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError)

MANY = 8
"""From so many payloads in one read on they are decoded together."""

ENDING = 3
"""The last payloads of a stream, which are more than text: reason, usage, ``[DONE]``."""


class Reader:
    """Reads one answer. ``offered``: the turn's tools by the name the model sees."""

    failure: RemoteError | None = None
    _reason: Reason | None = None
    _usage: UsagePart | None = None
    _calls: Calls | None = None
    _thinking: Thinking | None = None
    _half = ""

    def __init__(
        self, profile: Profile, offered: Mapping[str, Offered], *, logprobs: bool = False
    ) -> None:
        self.over = False
        self._produced = False
        self._profile = profile
        self._offered = offered
        self._logprobs = logprobs
        if logprobs:
            self._tokens: list[Logprob] = []
        if profile.inline_thinking:
            self._thinking = Thinking()
        self._direct = type(self) is Reader  # what ``say`` makes of a text is one ``Text``
        self._can_be_plain = not (logprobs or profile.inline_thinking)
        self._plain = self._can_be_plain and self._direct

    @property
    def calls(self) -> Calls:
        """The calls of the answer; made when the first one comes."""
        if self._calls is None:
            self._calls = Calls(self._offered)
        return self._calls

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
        if self._plain and self._direct and len(payloads) == 1:  # a paced stream
            try:
                choice = decode_plain(payloads[0]).choices[0]
            except _UNREADABLE:
                pass
            else:
                content = choice.delta.content
                if content and not (choice.index or choice.finish_reason):
                    self._produced = True
                    deltas.append(Text(content))
                    return deltas
        try:
            if self._plain and len(payloads) >= MANY and self._many(payloads[:-ENDING], deltas):
                payloads = payloads[-ENDING:]
            for payload in payloads:
                if self._plain:
                    try:
                        choice = decode_plain(payload).choices[0]
                    except _UNREADABLE:
                        pass
                    else:
                        self._hear(choice, deltas)
                        continue
                found = self.feed(payload)
                is_text = len(found) == 1 and type(found[0]) is Text
                if is_text and self._plain:
                    self._can_be_plain = False  # this server adds something to every text
                self._plain = is_text and self._can_be_plain
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
        deltas = self._plain_whole(body) if self._can_be_plain else None
        if deltas is None:
            deltas = self._read(decode(body))
        self.over = True
        if self._reason is None:
            if not self._produced:
                raise _no_answer()
            self._reason = "stop"
        return deltas + self.end()

    def end(self) -> list[Delta]:
        """The last deltas: held text, usage, ``Finish``.

        ``RemoteError`` 502 ``upstream_broke_off`` if the answer gave no reason to end.
        """
        reason = self._reason
        if reason is None:
            if not (self.over and self._produced):
                raise _broke_off(produced=self._produced)
            reason = "stop"
        deltas: list[Delta] = []
        if self._thinking is not None:
            thought, text = self._thinking.end()
            deltas += [Thought(thought)] if thought else []
            deltas += [Text(text)] if text else []
        if self._half:
            deltas.append(Text("\ufffd"))
        if self._calls is not None:
            deltas += self._calls.end(complete=reason in ("stop", "calls"))
        if reason in ("stop", "calls"):
            reason = "calls" if self._calls else "stop"
        if self._usage is not None:
            deltas.append(_spent(self._usage, self._profile))
        deltas.append(Finish(reason))
        return deltas

    def _many(self, payloads: Sequence[bytes], deltas: list[Delta]) -> bool:
        """Read payloads as text and nothing else in one go; False if one is anything more."""
        try:
            chunks = decode_plain_lines(b"\n".join(payloads))
        except _UNREADABLE:
            return False
        if len(chunks) != len(payloads):
            return False  # a payload of several lines is not several payloads
        for chunk in chunks:
            choice = chunk.choices[0]
            content = choice.delta.content
            if content and self._direct and not (choice.index or choice.finish_reason):
                deltas.append(Text(content))
            else:
                self._produced = self._produced or bool(deltas)
                self._hear(choice, deltas)
        self._produced = self._produced or bool(deltas)
        return True

    def _hear(self, choice: PlainChoice, deltas: list[Delta]) -> None:
        if choice.index:
            return
        if content := choice.delta.content:
            self._produced = True
            if self._direct:
                deltas.append(Text(content))
            else:
                self.say(content, deltas)
        if choice.finish_reason:
            self._end_by(choice.finish_reason)
            self._plain = False  # what comes now is the usage

    def _plain_whole(self, body: bytes) -> list[Delta] | None:
        """Read an answer that is text and nothing else; None if it is anything more."""
        try:
            whole = decode_plain_whole(body)
        except _UNREADABLE:
            return None
        choice = whole.choices[0]
        reason = REASONS.get(choice.finish_reason)
        if reason is None or choice.index:
            return None
        self._reason, self._usage = reason, whole.usage
        deltas: list[Delta] = []
        if choice.message.content:
            self._produced = True
            self.say(choice.message.content, deltas)
        return deltas

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
            self._end_by(choice.finish_reason)

    def _end_by(self, reason: str) -> None:
        reason = reason.lower()
        if reason in BROKEN:
            raise _broke_off(produced=self._produced)
        self._reason = REASONS.get(reason, "stop")

    def _piece(self, piece: Piece, deltas: list[Delta], *, odd: bool) -> None:
        if thought := piece.reasoning_content or piece.reasoning:
            deltas.append(Thought(_mended(thought) if odd else thought))
        elif piece.reasoning_details:
            deltas += [Thought(_mended(t)) for t in _texts(piece.reasoning_details) if t]
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
                deltas += self.calls.feed(_mended_call(call) if odd else call)
        elif piece.function_call is not None:
            deltas += self.calls.feed(CallPart(index=0, function=piece.function_call))

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


def _mended_call(call: CallPart) -> CallPart:
    """The same of all texts of a piece of a call."""
    function = call.function
    if function is not None:
        arguments = function.arguments
        if arguments is not None and not isinstance(arguments, str):
            arguments = json.dumps(arguments, ensure_ascii=False, separators=(",", ":"))
        function = msgspec.structs.replace(
            function,
            name=_mended(function.name or "") or None,
            arguments=None if arguments is None else _mended(arguments),
        )
    return msgspec.structs.replace(call, id=_mended(call.id or "") or None, function=function)


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
    if thought > written:
        written = thought
    return Spent(read, written, cached if cached < read else read, thought)  # parts of a whole


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
