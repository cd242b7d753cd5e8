"""A response's events, seen as a chat completion: whole, or chunk by chunk.

Both views say the same: the chunks' deltas joined are the message. ``content`` is null beside
calls and refusals, else at least the empty string. Thinking is ``reasoning_content``, and so is
what a model says before its calls where a ``response_format`` was asked for: a reader would parse
it as the answer.

Calls the server answers are its own business: neither they nor their outputs are shown. What the
model says before them and after them is one text, a blank line between.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Any

import msgspec

from antiphon.errors import RemoteError
from antiphon.types.base import UNSET, UnsetType
from antiphon.types.completion import (
    AnsweredCall,
    AnsweredCustom,
    AnsweredFunction,
    AnswerMessage,
    ChatCompletion,
    Choice,
    ChoiceLogprobs,
    Chunk,
    ChunkChoice,
    CompletionTokensDetails,
    CompletionUsage,
    FinishReason,
    PromptTokensDetails,
)
from antiphon.types.content import Logprob, OutputText, Refusal
from antiphon.types.events import (
    AnnotationAdded,
    Created,
    CustomToolCallInputDelta,
    Event,
    Failed,
    FunctionCallArgumentsDelta,
    Lifecycle,
    OutputItemAdded,
    OutputTextDelta,
    ReasoningTextDelta,
    RefusalDelta,
)
from antiphon.types.items import (
    CustomToolCall,
    FunctionCall,
    FunctionCallOutput,
    OutputMessage,
    Reasoning,
)
from antiphon.types.response import TERMINAL, Response, ResponseError, Usage

_APART = "\n\n"
_STATUS = {"rate_limit_exceeded": 429, "invalid_prompt": 400}

Delta = dict[str, Any]


class View:
    """How one response looks as a chat completion. ``legacy``: calls are a ``function_call``.

    ``served``: names of the functions the server answers. ``usage`` and ``logprobs``: they were
    asked for. ``over``: the last event was taken in;
    ``failed``: it was a failure, for which there is no chunk.
    """

    def __init__(
        self,
        *,
        id: str,
        created: int,
        model: str,
        legacy: bool,
        logprobs: bool,
        usage: bool,
        service_tier: str,
        metadata: dict[str, str] | UnsetType,
        served: Container[str] = (),
    ) -> None:
        self.id = id
        self.created = created
        self.model = model
        self.metadata = metadata
        self.over = False
        self.failed: ResponseError | None = None
        self._legacy = legacy
        self._logprobs = logprobs
        self._usage = usage
        self._service_tier = service_tier
        self._served = served
        self._calls: dict[int, int] = {}
        self._asides: set[int] = set()
        self._answered = False
        self._spoke = False
        self._apart = False

    # -- the whole --------------------------------------------------------------------------

    def completion(self, response: Response) -> ChatCompletion:
        """The final response as one object."""
        message, logprobs = self._message(response)
        choice = Choice(
            message=message,
            logprobs=ChoiceLogprobs(logprobs) if self._logprobs else None,
            finish_reason=self._finish_reason(response),
        )
        return ChatCompletion(
            id=self.id,
            created=self.created,
            model=self.model,
            choices=[choice],
            usage=_usage(response.usage),
            service_tier=self._service_tier,
            metadata=self.metadata,
        )

    def failure(self, error: ResponseError) -> RemoteError:
        """What a failed response is for whoever waits for the whole."""
        return RemoteError(error.message, status=_STATUS.get(error.code, 502), code=error.code)

    def _message(self, response: Response) -> tuple[AnswerMessage, list[Logprob]]:
        text: list[str] = []
        refusal: list[str] = []
        thought: list[str] = []
        calls: list[AnsweredCall] = []
        logprobs: list[Logprob] = []
        annotations: list[dict[str, Any]] = []
        apart = False
        for item in response.output:
            match item:
                case Reasoning():
                    thought += [part.text for part in item.content or ()]
                case FunctionCall() | CustomToolCall():
                    if item.name not in self._served:
                        calls.append(_call(item))
                case FunctionCallOutput():
                    apart = bool(text)
                case OutputMessage(phase="commentary"):
                    thought += [p.text for p in item.content if isinstance(p, OutputText)]
                case OutputMessage():
                    for part in item.content:
                        if isinstance(part, Refusal):
                            refusal.append(part.refusal)
                            continue
                        if part.text:
                            text += (_APART, part.text) if apart else (part.text,)
                            apart = False
                        logprobs += part.logprobs or []
                        annotations += map(_annotation, part.annotations)
        content = "".join(text) or (None if calls or refusal else "")
        message = AnswerMessage(
            content=content, refusal="".join(refusal) or None, annotations=annotations
        )
        if thought:
            message.reasoning_content = "".join(thought)
        if calls and self._legacy:
            message.function_call = calls[0].function
        elif calls:
            message.tool_calls = calls
        return message, logprobs

    def _finish_reason(self, response: Response) -> FinishReason:
        if response.incomplete_details is not None:
            cut = response.incomplete_details.reason
            return "content_filter" if cut == "content_filter" else "length"
        if any(
            isinstance(item, FunctionCall | CustomToolCall) and item.name not in self._served
            for item in response.output
        ):
            return "function_call" if self._legacy else "tool_calls"
        return "stop"

    # -- chunk by chunk ---------------------------------------------------------------------

    def chunks(self, events: Sequence[Event]) -> list[Chunk]:
        """What these events, the next ones, add."""
        found: list[Chunk] = []
        for event in events:
            if isinstance(event, Lifecycle):
                found += self._lifecycle(event)
            elif (delta := self._delta(event)) is not None:
                logprobs = None
                if self._logprobs and isinstance(event, OutputTextDelta) and "content" in delta:
                    logprobs = ChoiceLogprobs(event.logprobs)
                found.append(self._chunk(ChunkChoice(delta=delta, logprobs=logprobs)))
        return found

    def _lifecycle(self, event: Lifecycle) -> list[Chunk]:
        match event:
            case Created():
                delta = {"role": "assistant", "content": None}
                return [self._chunk(ChunkChoice(delta=delta))]
            case Failed(response=response):
                self.over = True
                self.failed = response.error or ResponseError("server_error", "The model failed.")
                return []
        response = event.response
        if response.status not in TERMINAL:
            return []
        self.over = True
        found = []
        if not self._answered:
            found.append(self._chunk(ChunkChoice(delta={"content": ""})))
        reason = self._finish_reason(response)
        found.append(self._chunk(ChunkChoice(delta={}, finish_reason=reason)))
        if self._usage:
            last = self._chunk()
            last.usage = _usage(response.usage)
            found.append(last)
        return found

    def _delta(self, event: Event) -> Delta | None:
        """What one event inside an item adds to the message, or None."""
        match event:
            case OutputTextDelta(delta=text, output_index=index):
                if index in self._asides:
                    return {"reasoning_content": text}
                self._answered = True
                if text and self._apart:
                    text, self._apart = _APART + text, False
                self._spoke = self._spoke or bool(text)
                return {"content": text}
            case ReasoningTextDelta(delta=text):
                return {"reasoning_content": text}
            case RefusalDelta(delta=text):
                self._answered = True
                return {"refusal": text}
            case OutputItemAdded(item=item, output_index=index):
                return self._begun(item, index)
            case FunctionCallArgumentsDelta(delta=text, output_index=index):
                if index not in self._calls:
                    return None
                if self._legacy:
                    return {"function_call": {"arguments": text}}
                call = {"index": self._calls[index], "function": {"arguments": text}}
                return {"tool_calls": [call]}
            case CustomToolCallInputDelta(delta=text, output_index=index):
                return {"tool_calls": [{"index": self._calls[index], "custom": {"input": text}}]}
            case AnnotationAdded(annotation=annotation):
                return {"annotations": [_annotation(annotation)]}
        return None

    def _begun(self, item: Any, index: int) -> Delta | None:
        match item:
            case OutputMessage(phase="commentary"):
                self._asides.add(index)
            case FunctionCallOutput():
                self._apart = self._spoke
            case FunctionCall() | CustomToolCall():
                if item.name in self._served:
                    return None
                self._answered = True
                number = self._calls[index] = len(self._calls)
                if self._legacy:
                    return {"function_call": {"name": item.name, "arguments": ""}}
                kind, field = (
                    ("function", "arguments")
                    if isinstance(item, FunctionCall)
                    else ("custom", "input")
                )
                call = {"index": number, "id": item.call_id, "type": kind}
                return {"tool_calls": [{**call, kind: {"name": item.name, field: ""}}]}
        return None

    def _chunk(self, *choices: ChunkChoice) -> Chunk:
        return Chunk(
            id=self.id,
            created=self.created,
            model=self.model,
            choices=list(choices),
            usage=None if self._usage else UNSET,
            service_tier=self._service_tier,
        )


def retold(completion: ChatCompletion, *, usage: bool) -> list[Chunk]:
    """A completion that is known already, as a stream with its whole message in one chunk."""
    (choice,) = completion.choices
    delta: Delta = msgspec.to_builtins(choice.message)
    for index, call in enumerate(delta.get("tool_calls", ())):
        call["index"] = index
    common: dict[str, Any] = {
        "id": completion.id,
        "created": completion.created,
        "model": completion.model,
        "service_tier": completion.service_tier,
        "usage": None if usage else UNSET,
    }
    whole = ChunkChoice(delta=delta, logprobs=choice.logprobs)
    end = ChunkChoice(delta={}, finish_reason=choice.finish_reason)
    chunks = [Chunk(choices=[one], **common) for one in (whole, end)]
    if usage:
        chunks.append(Chunk(choices=[], **{**common, "usage": completion.usage}))
    return chunks


def _call(item: FunctionCall | CustomToolCall) -> AnsweredCall:
    if isinstance(item, FunctionCall):
        function = AnsweredFunction(item.name, item.arguments)
        return AnsweredCall(id=item.call_id, type="function", function=function)
    custom = AnsweredCustom(item.name, item.input)
    return AnsweredCall(id=item.call_id, type="custom", custom=custom)


def _annotation(annotation: dict[str, Any]) -> dict[str, Any]:
    """``{"type": T, …}`` as this API nests it: ``{"type": T, T: {…}}``."""
    kind = annotation.get("type", "url_citation")
    return {"type": kind, kind: {k: v for k, v in annotation.items() if k != "type"}}


def _usage(usage: Usage | None) -> CompletionUsage | None:
    if usage is None:
        return None
    before, after = usage.input_tokens_details, usage.output_tokens_details
    return CompletionUsage(
        prompt_tokens=usage.input_tokens,
        completion_tokens=usage.output_tokens,
        total_tokens=usage.total_tokens,
        prompt_tokens_details=PromptTokensDetails(before.cached_tokens, before.cache_write_tokens),
        completion_tokens_details=CompletionTokensDetails(after.reasoning_tokens),
    )
