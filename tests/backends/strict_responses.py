"""A Responses server that refuses everything a strict one refuses, on loopback.

It keeps nothing, as one is asked with ``store: false``: an id it never gave, a reasoning item that
led to nothing or that it did not encrypt, a call without its output, an unknown field are a 400.
The words in ``ANSWERS`` and ``FAULTS`` choose a behaviour by the model's name; everything else
repeats the last user text. It shares no name with the code it judges.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.backends.strict_responses_rules import ENCRYPTED, complaint
from tests.suites.rude import Exchange, serving

Json = dict[str, Any]
Item = tuple[Json, list[Json]]
"""An item as it ends, and the events inside it."""

CALLS = ("function_call", "custom_tool_call", "shell_call", "apply_patch_call", "computer_call")


def last_user_text(body: Json) -> str:
    for item in reversed(body["input"]):
        if item.get("role") == "user":
            content = item["content"]
            if isinstance(content, str):
                return content
            return "".join(part.get("text", "") for part in content)
    return ""


def message(text: str, **fields: Any) -> Item:
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    item = {"type": "message", "id": "msg_up", "status": "completed", "role": "assistant"}
    at = {"item_id": "msg_up", "content_index": 0}
    events: list[Json] = [
        {"type": "response.content_part.added", **at, "part": {**part, "text": ""}}
    ]
    words = [w if n == 0 else f" {w}" for n, w in enumerate(text.split(" "))]
    for word in words:
        events.append({"type": "response.output_text.delta", **at, "delta": word, "logprobs": []})
    events.append({"type": "response.output_text.done", **at, "text": text, "logprobs": []})
    events.append({"type": "response.content_part.done", **at, "part": part})
    return {**item, "content": [part], **fields}, events


def reasoning(*summaries: str, encrypted: bool) -> Item:
    item: Json = {"type": "reasoning", "id": "rs_up", "summary": []}
    events: list[Json] = []
    for number, text in enumerate(summaries):
        at = {"item_id": "rs_up", "summary_index": number}
        part = {"type": "summary_text", "text": text}
        kind = "response.reasoning_summary"
        events.append({"type": f"{kind}_part.added", **at, "part": {**part, "text": ""}})
        for cut in (text[:4], text[4:]):
            events.append({"type": f"{kind}_text.delta", **at, "delta": cut})
        events.append({"type": f"{kind}_text.done", **at, "text": text})
        events.append({"type": f"{kind}_part.done", **at, "part": part})
        item["summary"].append(part)
    if encrypted:
        item["encrypted_content"] = ENCRYPTED
    return item, events


def thinking(body: Json) -> list[Item]:
    """Thinks in secret, tells what of it in two parts if asked, and how often it was reminded."""
    asked = (body.get("reasoning") or {}).get("summary")
    told = ("I look at it.", "I repeat it.") if asked else ()
    again = sum(item.get("encrypted_content") == ENCRYPTED for item in body["input"])
    encrypted = "reasoning.encrypted_content" in body.get("include", ())
    return [reasoning(*told, encrypted=encrypted), message(f"I was reminded {again} times.")]


def searching(body: Json) -> list[Item]:
    """Searches the web itself, then says so with a citation."""
    item = {"type": "web_search_call", "id": "ws_up", "status": "completed"}
    item["action"] = {"type": "search", "query": "choir", "queries": ["choir"]}  # type: ignore[assignment]
    events: list[Json] = [
        {"type": f"response.web_search_call.{stage}", "item_id": "ws_up"}
        for stage in ("in_progress", "searching", "completed")
    ]
    said, inside = message("A choir sings.")
    citation = {
        "type": "url_citation",
        "url": "https://example.com/",
        "title": "Example",
        "start_index": 0,
        "end_index": 7,
    }
    at = {"item_id": "msg_up", "content_index": 0, "annotation_index": 0}
    added = {"type": "response.output_text.annotation.added", **at, "annotation": citation}
    inside.insert(-2, added)
    said["content"][0]["annotations"] = [citation]
    return [(item, events), (said, inside)]


def coding(body: Json) -> list[Item]:
    """Runs code itself."""
    item: Json = {"type": "code_interpreter_call", "id": "ci_up", "status": "completed"}
    item |= {"container_id": "cntr_1", "code": "print(6 * 7)", "outputs": None}
    kind, at = "response.code_interpreter_call", {"item_id": "ci_up"}
    events: list[Json] = [
        {"type": f"{kind}.in_progress", **at},
        {"type": f"{kind}_code.delta", **at, "delta": "print("},
        {"type": f"{kind}_code.delta", **at, "delta": "6 * 7)"},
        {"type": f"{kind}_code.done", **at, "code": "print(6 * 7)"},
        {"type": f"{kind}.interpreting", **at},
        {"type": f"{kind}.completed", **at},
    ]
    return [(item, events), message("It is 42.")]


def shelling(body: Json) -> list[Item]:
    """Calls the caller's shell, then tells what it said."""
    outputs = [item for item in body["input"] if item["type"] == "shell_call_output"]
    if outputs:
        return [message(f"It said {outputs[-1]['output'][0]['stdout']}")]
    action = {"commands": ["ls", "pwd"], "timeout_ms": None, "max_output_length": 100}
    item: Json = {"type": "shell_call", "id": "sh_up", "call_id": "call_shell"}
    item |= {"status": "completed", "action": action, "environment": {"type": "local"}}
    return [(item, [])]


def phased(body: Json) -> list[Item]:
    """Comments on what it does before it answers."""
    return [
        message("I begin.", phase="commentary"),
        message("I am done.", phase="final_answer"),
    ]


def future(body: Json) -> list[Item]:
    """Says things of an API that does not exist yet."""
    item = {"type": "dream_call", "id": "dr_up", "status": "completed"}
    return [(item, [{"type": "response.dream_call.dreaming", "item_id": "dr_up"}]), message("Hi.")]


def declining(body: Json) -> list[Item]:
    part = {"type": "refusal", "refusal": "I cannot."}
    item = {"type": "message", "id": "msg_up", "status": "completed", "role": "assistant"}
    at = {"item_id": "msg_up", "content_index": 0}
    events: list[Json] = [
        {"type": "response.content_part.added", **at, "part": {**part, "refusal": ""}},
        {"type": "response.refusal.delta", **at, "delta": "I can"},
        {"type": "response.refusal.delta", **at, "delta": "not."},
        {"type": "response.refusal.done", **at, "refusal": "I cannot."},
        {"type": "response.content_part.done", **at, "part": part},
    ]
    return [({**item, "content": [part]}, events)]


def silent_deltas(body: Json) -> list[Item]:
    """Tells every item at its end only."""
    call: Json = {"type": "function_call", "id": "fc_up", "call_id": "call_1"}
    call |= {"name": "get_weather", "arguments": '{"city":"Paris"}', "status": "completed"}
    said, _ = message("I look.")
    return [(said, []), (call, [])]


def repeating(body: Json) -> list[Item]:
    """Repeats the last user text."""
    return [message(last_user_text(body))]


ANSWERS = {
    "thinking": thinking,
    "searching": searching,
    "coding": coding,
    "shelling": shelling,
    "phased": phased,
    "future": future,
    "declining": declining,
    "silent-deltas": silent_deltas,
}
FAULTS: dict[str, tuple[str, Json, tuple[str, ...]]] = {
    "error-401": ("401 X", {"message": "Incorrect API key provided: sk-se***"}, ()),
    "error-404": ("404 X", {"message": "no such page"}, ()),
    "error-429": ("429 X", {"message": "slow down"}, ("retry-after-ms: 10",)),
    "error-500": ("500 X", {"message": "boom at 10.0.0.7"}, ()),
    "error-503": ("503 X", {"message": "loading"}, ("retry-after: 1",)),
    "missing": ("404 X", {"message": "The model 'missing' does not exist"}, ()),
    "no-deployment": ("404 X", {"message": "It does not exist.", "code": "DeploymentNotFound"}, ()),
    "overflow": ("400 X", {"message": "too long", "code": "context_length_exceeded"}, ()),
    "odd": ("400 X", {"message": "temperature is odd", "code": "odd", "param": "temperature"}, ()),
}
ENDS: dict[str, Json] = {
    "failed": {"status": "failed", "error": {"code": "server_error", "message": "boom"}},
    "failed-429": {"status": "failed", "error": {"code": "rate_limit_exceeded", "message": "x"}},
    "failed-image": {"status": "failed", "error": {"code": "image_too_large", "message": "big"}},
    "length": {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}},
    "filter": {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}},
}
REFUSES = "refuses-"
"""``refuses-include``: a model that does not take this field; ``refuses-reasoning.summary``."""


class StrictResponses:
    """``url`` ends in ``/v1``. ``bodies``: every response asked for, refused or not;
    ``refusals``: why; ``targets`` and ``headers`` of each."""

    def __init__(self) -> None:
        self.url = ""
        self.bodies: list[Json] = []
        self.targets: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.refusals: list[str] = []
        self.takes: frozenset[str] | None = None

    async def behave(self, exchange: Exchange) -> None:
        path = exchange.target.partition("?")[0]
        if exchange.method == "GET" and path.endswith("/models"):
            entries = [{"id": name, "object": "model", "created": 1} for name in ANSWERS]
            await answer(exchange, "200 OK", {"object": "list", "data": entries})
            return
        self.targets.append(exchange.target)
        self.headers.append(exchange.headers)
        body: Json = json.loads(exchange.body)
        self.bodies.append(body)
        if broken := complaint(body, self.takes):
            self.refusals.append(broken[0])
            await refuse(exchange, *broken)
            return
        await self.respond(exchange, body)

    async def respond(self, exchange: Exchange, body: Json) -> None:
        model = body["model"]
        if model in FAULTS:
            status, error, fields = FAULTS[model]
            await answer(exchange, status, {"error": error}, *fields)
            return
        field = model.removeprefix(REFUSES)
        if field != model and _sends(body, field):
            await refuse(exchange, f"Unsupported parameter: '{field}' is not supported.", field)
            return
        items = ANSWERS.get(model, repeating)(body)
        whole = response(body, items)
        if not body.get("stream"):
            await answer(exchange, "200 OK", whole)
            return
        await exchange.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        for number, event in enumerate(events(whole, items)):
            if model == "cut" and number == 6:
                exchange.cut()
                return
            if model == "error-event" and number == 6:
                event = {"type": "error", "code": "server_error", "message": "boom", "param": None}
            if model == "garbage" and number == 6:
                await exchange.write(chunk(b"data: {this is no JSON\n\n"))
            data = json.dumps({"type": event["type"], "sequence_number": number, **event})
            await exchange.write(chunk(f"event: {event['type']}\ndata: {data}\n\n".encode()))
        await exchange.write(b"0\r\n\r\n")


def _sends(body: Json, field: str) -> bool:
    top, _, inner = field.partition(".")
    return top in body and (not inner or inner in body[top])


def response(body: Json, items: list[Item]) -> Json:
    usage = {
        "input_tokens": 11,
        "input_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 0},
        "output_tokens": 5,
        "output_tokens_details": {"reasoning_tokens": 2},
        "total_tokens": 16,
    }
    end = {"status": "completed", "error": None, "incomplete_details": None}
    return {
        "id": "resp_up",
        "object": "response",
        "created_at": 1,
        "model": body["model"],
        **end,
        **ENDS.get(body["model"], {}),
        "output": [item for item, _ in items],
        "usage": usage,
    }


def events(whole: Json, items: list[Item]) -> list[Json]:
    begun = {**whole, "status": "in_progress", "output": [], "usage": None, "error": None}
    told: list[Json] = [
        {"type": "response.created", "response": begun},
        {"type": "response.in_progress", "response": begun},
    ]
    for index, (item, inside) in enumerate(items):
        first = {**item, "status": "in_progress"}
        if "content" in item:
            first["content"] = []
        told.append({"type": "response.output_item.added", "output_index": index, "item": first})
        told += [{**event, "output_index": index} for event in inside]
        told.append({"type": "response.output_item.done", "output_index": index, "item": item})
    told.append({"type": f"response.{whole['status']}", "response": whole})
    return told


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


async def refuse(exchange: Exchange, text: str, param: str) -> None:
    error = {"message": text, "type": "invalid_request_error", "param": param, "code": None}
    await answer(exchange, "400 X", {"error": error})


async def answer(exchange: Exchange, status: str, body: Json, *fields: str) -> None:
    await exchange.answer(
        json.dumps(body).encode(), status, "content-type: application/json", *fields
    )


@asynccontextmanager
async def strict_responses() -> AsyncIterator[StrictResponses]:
    """A running server; closed at the end of the block."""
    upstream = StrictResponses()
    async with serving(upstream.behave) as server:
        upstream.url = f"{server.url}/v1"
        yield upstream
