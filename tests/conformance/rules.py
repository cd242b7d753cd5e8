"""What a Response, its items and its events must look like, written from the specifications.

Sources: the Open Responses schema (which keys must be there, which may be null, which must be left
out rather than null), the event grammar of the Responses API and what the official clients insist
on. Nothing of the server is imported: it is judged here. ``check_response`` and ``check_stream``
raise ``AssertionError`` with the path of what is wrong.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

Json = dict[str, Any]
Rule = Callable[[Any, str], None]

NULL = type(None)
STATUSES = {"queued", "in_progress", "completed", "failed", "cancelled", "incomplete"}
TERMINAL = {"completed": "completed", "incomplete": "incomplete", "failed": "failed"}
CODES = {
    "server_error",
    "rate_limit_exceeded",
    "invalid_prompt",
    "data_residency_mismatch",
    "bio_policy",
    "misalignment_policy_violation",
    "vector_store_timeout",
    "invalid_image",
    "invalid_image_format",
    "invalid_base64_image",
    "invalid_image_url",
    "image_too_large",
    "image_too_small",
    "image_parse_error",
    "image_content_policy_violation",
    "invalid_image_mode",
    "image_file_too_large",
    "unsupported_image_media_type",
    "empty_image_file",
    "failed_to_download_image",
    "image_file_not_found",
}


# Shapes


def need(found: bool, where: str, problem: str) -> None:
    if not found:
        raise AssertionError(f"{where}: {problem}")


def keys(value: Any, where: str, **types: Any) -> None:
    """Every key is there and of one of its types; ``bool`` does not pass for a number."""
    need(isinstance(value, dict), where, f"is {value!r}, not an object")
    for name, wanted in types.items():
        need(name in value, where, f"lacks {name}")
        got = value[name]
        allowed = wanted if isinstance(wanted, tuple) else (wanted,)
        good = isinstance(got, allowed) and (not isinstance(got, bool) or bool in allowed)
        need(good, f"{where}.{name}", f"is {got!r}")


def absent_or(value: Json, where: str, **types: Any) -> None:
    """Every key is left out or of its type: never null."""
    for name, wanted in types.items():
        if name in value:
            keys(value, where, **{name: wanted})


# The response

NUMBER = (int, float)
RESPONSE: dict[str, Any] = {
    "id": str,
    "object": str,
    "created_at": int,
    "completed_at": (int, NULL),
    "status": str,
    "incomplete_details": (dict, NULL),
    "model": str,
    "previous_response_id": (str, NULL),
    "instructions": (str, NULL),
    "output": list,
    "error": (dict, NULL),
    "tools": list,
    "tool_choice": (str, dict),
    "truncation": str,
    "parallel_tool_calls": bool,
    "text": dict,
    "top_p": NUMBER,
    "presence_penalty": NUMBER,
    "frequency_penalty": NUMBER,
    "top_logprobs": int,
    "temperature": NUMBER,
    "reasoning": (dict, NULL),
    "usage": (dict, NULL),
    "max_output_tokens": (int, NULL),
    "max_tool_calls": (int, NULL),
    "store": bool,
    "background": bool,
    "service_tier": str,
    "metadata": dict,
    "safety_identifier": (str, NULL),
    "prompt_cache_key": (str, NULL),
}


def check_response(response: Any, where: str = "response") -> None:
    keys(response, where, **RESPONSE)
    status = response["status"]
    need(response["object"] == "response", where, "object is not response")
    need(status in STATUSES, where, f"status {status}")
    need(response["id"].startswith("resp_"), where, f"id {response['id']}")
    need(response["truncation"] in ("auto", "disabled"), where, "truncation")
    need((response["completed_at"] is not None) == (status == "completed"), where, "completed_at")
    need((response["error"] is not None) == (status == "failed"), where, "error")
    details = response["incomplete_details"]
    need((details is not None) == (status == "incomplete"), where, "incomplete_details")
    if details is not None:
        need(
            details["reason"] in ("max_output_tokens", "max_messages", "content_filter"),
            where,
            f"reason {details}",
        )
    if response["error"] is not None:
        keys(response["error"], f"{where}.error", code=str, message=str)
        need(response["error"]["code"] in CODES, where, f"error code {response['error']}")
    if response["reasoning"] is not None:
        keys(response["reasoning"], f"{where}.reasoning", effort=(str, NULL), summary=(str, NULL))
    keys(response["text"], f"{where}.text", format=dict)
    check_format(response["text"]["format"], f"{where}.text.format")
    check_echoed_tools(response["tools"], f"{where}.tools")
    for key, value in response["metadata"].items():
        need(isinstance(value, str), f"{where}.metadata.{key}", "is no string")
    check_usage(response, where)
    check_output(response, where)


def check_format(found: Json, where: str) -> None:
    match found.get("type"):
        case "text" | "json_object":
            pass
        case "json_schema":
            keys(found, where, name=str, description=(str, NULL), schema=dict, strict=bool)
        case other:
            raise AssertionError(f"{where}: {other}")


def check_echoed_tools(tools: list[Json], where: str) -> None:
    for n, tool in enumerate(tools):
        if tool.get("type") == "function":
            keys(
                tool,
                f"{where}[{n}]",
                name=str,
                description=(str, NULL),
                parameters=(dict, NULL),
                strict=(bool, NULL),
            )
        elif tool.get("type") == "custom":
            keys(tool, f"{where}[{n}]", name=str, format=dict)
        else:
            raise AssertionError(f"{where}[{n}]: {tool}")


def check_usage(response: Json, where: str) -> None:
    usage = response["usage"]
    if response["status"] in ("completed", "incomplete"):
        need(usage is not None, where, "an ended response without usage")
    if response["status"] in ("queued", "in_progress"):
        need(usage is None, where, "usage before the end")
    if usage is None:
        return
    keys(usage, f"{where}.usage", input_tokens=int, output_tokens=int, total_tokens=int)
    given, made = usage.get("input_tokens_details"), usage.get("output_tokens_details")
    keys(given, f"{where}.usage.input_tokens_details", cached_tokens=int, cache_write_tokens=int)
    keys(made, f"{where}.usage.output_tokens_details", reasoning_tokens=int)
    total = usage["input_tokens"] + usage["output_tokens"]
    need(usage["total_tokens"] == total, where, "total_tokens is no sum")
    need(given["cached_tokens"] <= usage["input_tokens"], where, "cached_tokens")
    need(made["reasoning_tokens"] <= usage["output_tokens"], where, "reasoning_tokens")


def check_output(response: Json, where: str) -> None:
    ended = response["status"] not in ("queued", "in_progress")
    output = response["output"]
    ids = [item.get("id") for item in output] + [i["call_id"] for i in output if "call_id" in i]
    need(len(set(ids)) == len(ids), where, f"an id twice in {ids}")
    for n, item in enumerate(output):
        here = f"{where}.output[{n}]"
        check_item(item, here)
        need(not ended or item.get("status") != "in_progress", here, "is still in progress")
        if item.get("status") == "incomplete":
            need(response["status"] != "completed", here, "is incomplete, its response is not")
            need(n == len(output) - 1, here, "is incomplete and not the last")
        if item["type"] == "reasoning" and response["status"] == "completed":
            need(n + 1 < len(output), here, "is reasoning with nothing after it")


# Items


def check_item(item: Any, where: str) -> None:
    """An item as the server emits it."""
    keys(item, where, type=str, id=str)
    need(bool(item["id"]), where, "has an empty id")
    match item["type"]:
        case "message":
            need(item["id"].startswith("msg_"), where, f"id {item['id']}")
            keys(item, where, role=str, status=str, content=list)
            for n, part in enumerate(item["content"]):
                check_part(part, f"{where}.content[{n}]")
            absent_or(item, where, phase=str)
        case "function_call":
            keys(item, where, call_id=str, name=str, arguments=str, status=str)
            need(item["id"].startswith("fc_"), where, f"id {item['id']}")
            need(1 <= len(item["call_id"]) <= 64, where, f"call_id {item['call_id']}")
            need(item["id"] != item["call_id"], where, "id is the call_id")
            if item["status"] == "completed":
                json.loads(item["arguments"])
        case "custom_tool_call":
            keys(item, where, call_id=str, name=str, input=str)
            need(item["id"].startswith("ctc_"), where, f"id {item['id']}")
        case "reasoning":
            keys(item, where, summary=list)
            need(item["id"].startswith("rs_"), where, f"id {item['id']}")
            absent_or(item, where, content=list, encrypted_content=str, status=str)
            for part in item.get("content", ()):
                keys(part, where, type=str, text=str)
                need(part["type"] == "reasoning_text", where, part["type"])
            for part in item["summary"]:
                keys(part, where, type=str, text=str)
        case "function_call_output" | "custom_tool_call_output":
            keys(item, where, call_id=str, output=(str, list))
        case other:
            raise AssertionError(f"{where}: an item of type {other}")
    if "status" in item:
        need(item["status"] in ("in_progress", "completed", "incomplete"), where, item["status"])


def check_part(part: Any, where: str) -> None:
    keys(part, where, type=str)
    match part["type"]:
        case "output_text":
            keys(part, where, text=str, annotations=list)
            absent_or(part, where, logprobs=list)
            for n, note in enumerate(part["annotations"]):
                need(note.get("type") == "url_citation", f"{where}.annotations[{n}]", str(note))
                keys(note, where, url=str, title=str, start_index=int, end_index=int)
                inside = 0 <= note["start_index"] <= note["end_index"] <= len(part["text"])
                need(inside or not part["text"], where, f"offsets {note}")
            for probability in part.get("logprobs", ()):
                keys(probability, where, token=str, logprob=NUMBER, bytes=list, top_logprobs=list)
        case "refusal":
            keys(part, where, refusal=str)
        case "input_text":
            keys(part, where, text=str)
        case "input_image":
            keys(part, where, detail=str)
            keys(part, where, image_url=(str, NULL))
        case "input_file":
            absent_or(part, where, filename=str, file_data=str)
        case "reasoning_text":
            keys(part, where, text=str)
        case other:
            raise AssertionError(f"{where}: a part of type {other}")


# Streams

Part = tuple[str, int]
AT_ITEM: dict[str, Any] = {"item_id": str, "output_index": int}
AT_PART: dict[str, Any] = {**AT_ITEM, "content_index": int}
EVENTS: dict[str, dict[str, Any]] = {
    "response.created": {"response": dict},
    "response.in_progress": {"response": dict},
    "response.completed": {"response": dict},
    "response.failed": {"response": dict},
    "response.incomplete": {"response": dict},
    "response.output_item.added": {"output_index": int, "item": dict},
    "response.output_item.done": {"output_index": int, "item": dict},
    "response.content_part.added": {**AT_PART, "part": dict},
    "response.content_part.done": {**AT_PART, "part": dict},
    "response.output_text.delta": {**AT_PART, "delta": str, "logprobs": list},
    "response.output_text.done": {**AT_PART, "text": str, "logprobs": list},
    "response.output_text.annotation.added": {
        **AT_PART,
        "annotation_index": int,
        "annotation": dict,
    },
    "response.refusal.delta": {**AT_PART, "delta": str},
    "response.refusal.done": {**AT_PART, "refusal": str},
    "response.reasoning_text.delta": {**AT_PART, "delta": str},
    "response.reasoning_text.done": {**AT_PART, "text": str},
    "response.function_call_arguments.delta": {**AT_ITEM, "delta": str},
    "response.function_call_arguments.done": {**AT_ITEM, "arguments": str},
    "response.custom_tool_call_input.delta": {**AT_ITEM, "delta": str},
    "response.custom_tool_call_input.done": {**AT_ITEM, "input": str},
}
GROWS = {
    "response.output_text": "text",
    "response.refusal": "refusal",
    "response.reasoning_text": "text",
    "response.function_call_arguments": "arguments",
    "response.custom_tool_call_input": "input",
}


def frames(body: bytes) -> list[Json]:
    """The events of a finished stream, byte by byte what the framing rules say."""
    need(not body.startswith(b"\xef\xbb\xbf") and b"\r" not in body, "stream", "line ends, BOM")
    text = body.decode()
    need(text.endswith("\n\n"), "stream", "does not end with a blank line")
    blocks = text.removesuffix("\n\n").split("\n\n")
    need(blocks[-1] == "data: [DONE]", "stream", f"ends with {blocks[-1]!r}")
    events = []
    for block in blocks[:-1]:
        if block.startswith(":"):
            need("\n" not in block, "comment", repr(block))
            continue
        lines = block.split("\n")
        need(len(lines) == 2, "frame", repr(block))
        need(lines[0].startswith("event: ") and lines[1].startswith("data: "), "frame", block)
        event = json.loads(lines[1][6:])
        need(event["type"] == lines[0][7:], "frame", f"{lines[0]} for {event['type']}")
        events.append(event)
    return events


def check_stream(events: list[Json], *, replayed_from: int = 0) -> Json:
    """Every event, their order and that they add up; the final response."""
    numbers = [event.get("sequence_number") for event in events]
    need(numbers == list(range(replayed_from, replayed_from + len(events))), "stream", str(numbers))
    for event in events:
        need(event["type"] in EVENTS, "stream", f"unknown {event['type']}")
        keys(event, event["type"], **EVENTS[event["type"]])
        absent_or(event, event["type"], obfuscation=str)
        if "response" in event:
            check_response(event["response"], event["type"])
    kinds = [event["type"] for event in events]
    need(kinds[:2] == ["response.created", "response.in_progress"], "stream", str(kinds[:2]))
    final: Json = events[-1]["response"]
    need(kinds[-1] == f"response.{TERMINAL[final['status']]}", "stream", kinds[-1])
    lifecycle = [event["response"] for event in events if "response" in event]
    need(len(lifecycle) == 3, "stream", "not three lifecycle events")
    for opened in lifecycle[:2]:
        need(opened["status"] == "in_progress" and not opened["output"], "stream", "a late opening")
    same = ("id", "created_at", "model", "tools", "text", "metadata", "instructions", "store")
    for key in same:
        need(len({json.dumps(r[key]) for r in lifecycle}) == 1, "stream", f"{key} changed")
    walk = _Walk()
    for event in events[2:-1]:
        walk.step(event)
    walk.end(final)
    return final


class _Walk:
    """Follows the items of a stream: opened, grown, closed, and in the end what was streamed."""

    def __init__(self) -> None:
        self.items: list[Json] = []
        self.open: set[int] = set()
        self.grown: dict[tuple[Any, ...], str] = {}
        self.parts: dict[tuple[int, int], bool] = {}
        self.done: set[tuple[Any, ...]] = set()

    def step(self, event: Json) -> None:
        kind = event["type"]
        match kind:
            case "response.output_item.added":
                self._added(event)
            case "response.output_item.done":
                self._done(event)
            case _:
                self._inside(event, kind)

    def _added(self, event: Json) -> None:
        item, index = event["item"], event["output_index"]
        need(index == len(self.items), "added", f"output_index {index}")
        check_item(item, "added")
        need(item.get("status", "in_progress") == "in_progress", "added", "status")
        for key in ("content", "arguments", "input"):
            need(not item.get(key), "added", f"{key} is not empty")
        self.items.append(item)
        self.open.add(index)

    def _inside(self, event: Json, kind: str) -> None:
        index = event["output_index"]
        need(index in self.open, kind, "its item is not open")
        need(event["item_id"] == self.items[index]["id"], kind, "item_id")
        place = (index, event.get("content_index", -1))
        if kind == "response.content_part.added":
            expected = sum(at[0] == index for at in self.parts)
            need(place not in self.parts and place[1] == expected, kind, f"content_index {place}")
            check_part(event["part"], kind)
            need(not event["part"].get("text") and not event["part"].get("refusal"), kind, "full")
            self.parts[place] = True
            return
        if place[1] >= 0:
            need(self.parts.get(place, False), kind, "its part is not open")
        stem, _, end = kind.rpartition(".")
        if kind == "response.content_part.done":
            part = event["part"]
            check_part(part, kind)
            text = part.get("text", part.get("refusal"))
            need(self.grown.get((*place,), "") == text, kind, "text is not the sum of deltas")
            need((*place,) in self.done, kind, "before its text was done")
            self.parts[place] = False
        elif end == "delta":
            need((*place,) not in self.done, kind, "after done")
            need(event["delta"] != "", kind, "an empty delta")
            self.grown[(*place,)] = self.grown.get((*place,), "") + event["delta"]
        elif stem in GROWS:
            need((*place,) not in self.done, kind, "done twice")
            need(event[GROWS[stem]] == self.grown.get((*place,), ""), kind, "is not its deltas")
            self.done.add((*place,))
        else:
            need(kind == "response.output_text.annotation.added", kind, "unexpected")
            need((*place,) not in self.done, kind, "after done")

    def _done(self, event: Json) -> None:
        item, index = event["item"], event["output_index"]
        need(index in self.open, "item.done", "not open")
        check_item(item, "item.done")
        was = self.items[index]
        for key in ("id", "type", "call_id", "name", "role"):
            need(item.get(key) == was.get(key), "item.done", f"{key} drifted")
        need(item.get("status") != "in_progress", "item.done", "still in progress")
        waiting = [at for at, opened in self.parts.items() if at[0] == index and opened]
        need(not waiting, "item.done", f"parts {waiting} are open")
        if item["type"] in ("function_call", "custom_tool_call"):
            text = item.get("arguments", item.get("input"))
            need((index, -1) in self.done, "item.done", "before its arguments were done")
            need(self.grown.get((index, -1), "") == text, "item.done", "arguments")
        for n, part in enumerate(item.get("content") or ()):
            text = part.get("text", part.get("refusal"))
            need(self.grown.get((index, n), "") == text, "item.done", f"content[{n}]")
        self.items[index] = item
        self.open.discard(index)

    def end(self, final: Json) -> None:
        need(not self.open, "end", f"items {self.open} are open")
        need(self.items == final["output"], "end", "the output is not what was streamed")


# Errors


def check_error(body: Any, *, param: str | None = None, code: str | None = None) -> None:
    """The envelope: all four keys, a sentence, and no more than that round it."""
    need(isinstance(body, dict) and set(body) == {"error"}, "error", f"envelope {body!r}")
    keys(body["error"], "error", message=str, type=str, param=(str, NULL), code=(str, NULL))
    need(len(body["error"]["message"]) > 10, "error", "says nothing")
    if param is not None:
        need(body["error"]["param"] == param, "error", f"param {body['error']}")
    if code is not None:
        need(body["error"]["code"] == code, "error", f"code {body['error']}")


def check_list(page: Mapping[str, Any]) -> None:
    keys(
        page,
        "list",
        object=str,
        data=list,
        first_id=(str, NULL),
        last_id=(str, NULL),
        has_more=bool,
    )
    ids = [item.get("id") for item in page["data"]]
    need(all(ids) and len(set(ids)) == len(ids), "list", f"ids {ids}")
    if ids:
        need((page["first_id"], page["last_id"]) == (ids[0], ids[-1]), "list", "cursors")
    for n, item in enumerate(page["data"]):
        check_item(item, f"data[{n}]")
        if item["type"] == "message":
            keys(item, f"data[{n}]", status=str)
