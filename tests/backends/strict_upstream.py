"""A chat-completions server that refuses everything a strict one refuses, on loopback.

    python -m tests.backends.strict_upstream --port 0 [--api-key KEY]

prints its base URL and serves until it is stopped. Any model name is served; the words in
``ANSWERS`` and ``FAULTS`` choose a behaviour, everything else repeats the last user text.
In tests: ``async with strict_upstream() as upstream``; ``upstream.bodies`` are the requests.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

from antiphon.backends.sample import sample
from tests.backends.strict_rules import complaint

Json = dict[str, Any]
Deltas = list[Json]


# What the models answer: the deltas of one message, then the reason


def last_user_text(body: Json) -> str:
    for message in reversed(body["messages"]):
        if message["role"] == "user":
            content = message["content"]
            if isinstance(content, str):
                return content
            return "".join(part.get("text", "") for part in content)
    return ""


def words(text: str) -> Deltas:
    pieces = text.split(" ")
    return [{"content": p if n == 0 else f" {p}"} for n, p in enumerate(pieces)]


def echo(body: Json) -> tuple[Deltas, str]:
    return words(last_user_text(body)), "stop"


def reasoning(body: Json) -> tuple[Deltas, str]:
    thought: Deltas = [{"reasoning_content": piece} for piece in ("I will ", "repeat it.")]
    return thought + words(last_user_text(body)), "stop"


def refusal(body: Json) -> tuple[Deltas, str]:
    return [{"refusal": "I cannot "}, {"refusal": "help."}], "stop"


def length(body: Json) -> tuple[Deltas, str]:
    return words("This is cut"), "length"


def filtered(body: Json) -> tuple[Deltas, str]:
    return words("This is filtered"), "content_filter"


def empty(body: Json) -> tuple[Deltas, str]:
    return [{"content": ""}], "stop"


def structured(body: Json) -> tuple[Deltas, str]:
    asked = body.get("response_format", {})
    schema = asked.get("json_schema", {}).get("schema")
    value = sample(schema) if schema else {"answer": last_user_text(body)}
    text = json.dumps(value)
    return [{"content": text[at : at + 5]} for at in range(0, len(text), 5)], "stop"


def _calls(body: Json, count: int) -> tuple[Deltas, str]:
    if body["messages"][-1]["role"] == "tool":
        said = [m["content"] for m in body["messages"] if m["role"] == "tool"]
        return words(f"The tool said {said[-1]}"), "stop"
    if not body.get("tools") or body.get("tool_choice") == "none":
        return words("There is no tool."), "stop"
    choice = body.get("tool_choice")
    offered = [tool["function"] for tool in body["tools"]]
    if isinstance(choice, dict):
        offered = [f for f in offered if f["name"] == choice["function"]["name"]]
    deltas: Deltas = []
    for index in range(count):
        function = offered[index % len(offered)]
        arguments = json.dumps(sample(function["parameters"]))
        first = {"name": function["name"], "arguments": ""}
        head = {"index": index, "id": f"call_{index}", "type": "function", "function": first}
        deltas.append({"tool_calls": [head]})
        for at in range(0, len(arguments), 7):
            piece = {"arguments": arguments[at : at + 7]}
            deltas.append({"tool_calls": [{"index": index, "function": piece}]})
    return deltas, "tool_calls"


def tool(body: Json) -> tuple[Deltas, str]:
    return _calls(body, 1)


def tools(body: Json) -> tuple[Deltas, str]:
    return _calls(body, 2)


ANSWERS = {
    "echo": echo,
    "reasoning": reasoning,
    "refusal": refusal,
    "length": length,
    "filter": filtered,
    "empty": empty,
    "json": structured,
    "tool": tool,
    "tools-parallel": tools,
}
FAULTS = {
    "error-400": (400, {"error": {"message": "temperature is odd", "code": "odd"}}, {}),
    "error-401": (401, {"error": {"message": "Incorrect API key provided: sk-se***"}}, {}),
    "error-404": (404, {"error": {"message": "no such page"}}, {}),
    "error-429": (429, {"error": {"message": "slow down"}}, {"retry-after-ms": "10"}),
    "error-500": (500, {"error": {"message": "boom"}}, {}),
    "error-503": (503, {"error": {"message": "loading"}}, {"retry-after": "1"}),
    "missing": (404, {"error": {"message": "The model `missing` does not exist"}}, {}),
    "overflow": (
        400,
        {"error": {"message": "This model's maximum context length is 10 tokens."}},
        {},
    ),
    "redirect": (307, {}, {"location": "http://127.0.0.1:9/"}),
}
STREAM_FAULTS = frozenset({"cut", "garbage", "no-done", "no-usage", "error-in-stream", "endless"})
COUNTING = {"counting"}
"""Models that say how long their prompt was, at four characters a token. The others say 11."""
REFUSES = "refuses-"
"""``refuses-stream_options``: a model that does not take this field."""


# The server


class StrictUpstream:
    """``url`` ends in ``/v1``. ``bodies``, ``raws`` and ``headers``: every completion asked for,
    refused or not; ``refusals``: why; ``connections``, ``listed``: how often; ``left``: who
    went away."""

    def __init__(self, *, api_key: str | None = None) -> None:
        self.url = ""
        self.bodies: list[Json] = []
        self.raws: list[bytes] = []
        self.takes_reasoning = False
        self.headers: list[dict[str, str]] = []
        self.refusals: list[str] = []
        self.connections = 0
        self.listed = 0
        self.left = asyncio.Event()
        self._api_key = api_key
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, port: int = 0) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", port)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in list(self._writers):
            writer.close()
        await asyncio.gather(*self._tasks)
        await self._server.wait_closed()

    async def serve_for_ever(self) -> None:
        assert self._server is not None
        await self._server.serve_forever()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            while await self._exchange(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            self.left.set()
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        line, _, rest = head.decode().partition("\r\n")
        method, path, _ = line.split(" ")
        fields = (field.partition(": ") for field in rest.split("\r\n") if field)
        headers = {name.lower(): value for name, _, value in fields}
        raw = await reader.readexactly(int(headers.get("content-length", "0")))
        if self._api_key and headers.get("authorization") != f"Bearer {self._api_key}":
            return await _answer(writer, 401, _error("Incorrect API key provided.", "api_key"))
        if (method, path) == ("GET", "/v1/models"):
            self.listed += 1
            entries = [{"id": name, "object": "model", "created": 1} for name in ANSWERS]
            return await _answer(writer, 200, {"object": "list", "data": entries})
        if (method, path) != ("POST", "/v1/chat/completions"):
            return await _answer(writer, 404, _error(f"Unknown request URL: {method} {path}", ""))
        try:
            body = json.loads(raw)
        except ValueError:
            return await _answer(writer, 400, _error("The body is not JSON.", ""))
        self.bodies.append(body)
        self.raws.append(raw)
        self.headers.append(headers)
        return await self._complete(body, writer)

    async def _complete(self, body: Json, writer: asyncio.StreamWriter) -> bool:
        if self.takes_reasoning:
            for message in body["messages"]:
                message.pop("reasoning_content", None)
        if broken := complaint(body):
            self.refusals.append(broken[0])
            return await _answer(writer, 400, _error(*broken))
        model = body["model"]
        if model in FAULTS:
            status, error, headers = FAULTS[model]
            return await _answer(writer, status, error, headers)
        field = model.removeprefix(REFUSES)
        if field != model and field in body:
            return await _answer(
                writer, 400, _error(f"Unrecognized request argument supplied: {field}", field)
            )
        deltas, reason = ANSWERS.get(model, echo)(body)
        if body.get("stream"):
            return await self._stream(body, deltas, reason, writer)
        return await _answer(writer, 200, _whole(body, deltas, reason))

    async def _stream(
        self, body: Json, deltas: Deltas, reason: str, writer: asyncio.StreamWriter
    ) -> bool:
        model = body["model"]
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        for count, event in enumerate(_events(body, deltas, reason)):
            if model in STREAM_FAULTS and count == 2:
                if model == "cut":
                    return False
                if model == "garbage":
                    event = "{this is not JSON"
                if model == "error-in-stream":
                    event = json.dumps({"error": {"message": "boom", "code": 500}})
                if model == "endless":
                    await self._endless(writer, event)
            data = f"data: {event}\n\n".encode()
            writer.write(b"%x\r\n%s\r\n" % (len(data), data))
            await writer.drain()
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True

    async def _endless(self, writer: asyncio.StreamWriter, event: str) -> None:
        data = f"data: {event}\n\n".encode()
        while not writer.is_closing():
            writer.write(b"%x\r\n%s\r\n" % (len(data), data))
            await writer.drain()
            await asyncio.sleep(0.005)
        raise ConnectionError


def _usage(body: Json, deltas: Deltas) -> Json:
    prompt = len(json.dumps(body)) // 4 if body["model"] in COUNTING else 11
    return {
        "prompt_tokens": prompt,
        "completion_tokens": len(deltas),
        "total_tokens": prompt + len(deltas),
        "prompt_tokens_details": {"cached_tokens": 3},
        "completion_tokens_details": {
            "reasoning_tokens": sum("reasoning_content" in delta for delta in deltas)
        },
    }


def _events(body: Json, deltas: Deltas, reason: str) -> Iterator[str]:
    base = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1}
    base["model"] = body["model"]
    usage = body.get("stream_options", {}).get("include_usage")
    usage = usage and body["model"] != "no-usage"
    null: Json = {"usage": None} if usage else {}

    def event(delta: Json, finish: str | None, logprobs: Json | None = None) -> str:
        choice = {"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
        return json.dumps({**base, "choices": [choice], **null})

    yield event({"role": "assistant", "content": "", "refusal": None}, None)
    for delta in deltas:
        yield event(delta, None, _logprobs(body, delta.get("content")))
    yield event({}, reason)
    if usage:
        yield json.dumps({**base, "choices": [], "usage": _usage(body, deltas)})
    if body["model"] != "no-done":
        yield "[DONE]"


def _logprobs(body: Json, *texts: str | None) -> Json | None:
    if not body.get("logprobs"):
        return None
    tokens = [
        {"token": t, "logprob": -0.5, "bytes": list(t.encode()), "top_logprobs": []}
        for t in texts
        if t
    ]
    for token in tokens if body.get("top_logprobs") else ():
        token["top_logprobs"] = [{"token": token["token"], "logprob": -0.5, "bytes": None}]
    return {"content": tokens, "refusal": None}


def _whole(body: Json, deltas: Deltas, reason: str) -> Json:
    message: Json = {"role": "assistant", "content": None, "refusal": None}
    calls: dict[int, Json] = {}
    for delta in deltas:
        for key in ("content", "reasoning_content", "refusal"):
            if key in delta:
                message[key] = (message.get(key) or "") + delta[key]
        for call in delta.get("tool_calls", ()):
            if "id" in call:
                calls[call["index"]] = {
                    "id": call["id"],
                    "type": "function",
                    "function": dict(call["function"]),
                }
            else:
                calls[call["index"]]["function"]["arguments"] += call["function"]["arguments"]
    if calls:
        message["tool_calls"] = list(calls.values())
    logprobs = _logprobs(body, *(delta.get("content") for delta in deltas))
    choice = {"index": 0, "message": message, "logprobs": logprobs, "finish_reason": reason}
    answer: Json = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1}
    answer |= {"model": body["model"], "choices": [choice]}
    if body["model"] != "no-usage":
        answer["usage"] = _usage(body, deltas)
    return answer


def _error(message: str, param: str) -> Json:
    kind = "invalid_request_error"
    return {"error": {"message": message, "type": kind, "param": param or None, "code": None}}


async def _answer(
    writer: asyncio.StreamWriter, status: int, body: Json, headers: dict[str, str] | None = None
) -> bool:
    data = json.dumps(body).encode()
    lines = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
    writer.write(
        f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n{lines}"
        f"Content-Length: {len(data)}\r\n\r\n".encode()
        + data
    )
    await writer.drain()
    return True


@asynccontextmanager
async def strict_upstream(
    *, api_key: str | None = None, takes_reasoning: bool = False
) -> AsyncIterator[StrictUpstream]:
    """A running server; closed at the end of the block. ``takes_reasoning``: messages may carry
    ``reasoning_content``."""
    upstream = StrictUpstream(api_key=api_key)
    upstream.takes_reasoning = takes_reasoning
    await upstream.start()
    try:
        yield upstream
    finally:
        await upstream.close()


async def main() -> None:
    parser = argparse.ArgumentParser(description="A strict chat-completions server.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--api-key", default=None)
    asked = parser.parse_args()
    upstream = StrictUpstream(api_key=asked.api_key)
    await upstream.start(asked.port)
    print(upstream.url, flush=True)
    await upstream.serve_for_ever()


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        pass
