"""A chat model that has rehearsed one page: it finds its way by the colours it sees.

It stands in for a model that can see, so that the example runs anywhere and its test can fail.
It speaks chat completions, and what it does not expect it refuses: a call without its screenshot,
a screenshot that is no PNG or shows nothing new, a page that is not as it should be.

    python examples/computer/rehearsed.py             # http://127.0.0.1:8585/v1
"""

import json
import os
import threading
from collections.abc import Callable
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

from screens import Screen

NAME = "rehearsed"
SIZE = (640, 480)

FIELD, LINES, TEAL, CHOSEN = "#ffe0b0", "#f4f4f4", "#008080", "#004040"
LARGE, KNOB, GOAL = "#80c0f0", "#6000c0", "#d0b0ff"
LAMP, LIGHT, TERMS, READ = "#606060", "#ffd000", "#c06040", "#f0d0c0"
READY, SENT = "#00a000", "#ff00c0"

CONFIRM = {"id": "send_1", "code": "irreversible", "message": "This sends the form."}


class Lost(Exception):
    """The model does not see what it expected; the message says what."""


def at(colour, kind, **more):
    """An action at the middle of what has a colour."""
    return lambda screen: {"type": kind, **place(screen, colour), **more}


def plain(kind, **more):
    return lambda screen: {"type": kind, **more}


def drag(start, goal):
    def action(screen):
        first, last = place(screen, start), place(screen, goal)
        half = {name: (first[name] + last[name]) // 2 for name in "xy"}
        return {"type": "drag", "path": [first, half, last]}

    return action


def place(screen, colour):
    found = screen.find(colour) if screen is not None else None
    if found is None:
        raise Lost(f"there is nothing of colour {colour} on the screen")
    return {"x": found[0], "y": found[1]}


class Step(NamedTuple):
    """``action``: screen → action. ``changes``: the screen looks different after it. ``asks``: the
    user has to confirm it."""

    action: Callable
    changes: bool = True
    asks: bool = False


PLAN = (  # in batches: what needs no look in between
    (Step(plain("screenshot"), changes=False),),
    (
        Step(at(FIELD, "click", button="left")),
        Step(plain("type", text="Ada Lovelace")),
        Step(plain("keypress", keys=["TAB"])),
        Step(plain("keypress", keys=["END"])),
        Step(at(LINES, "scroll", scroll_x=0, scroll_y=200)),
    ),
    (
        Step(at(TEAL, "click", button="left")),
        Step(drag(KNOB, GOAL)),
        Step(at(LAMP, "double_click")),
        Step(at(TERMS, "move")),
    ),
    (  # it is sent while one waits, or before
        Step(at(READY, "click", button="left"), changes=False, asks=True),
        Step(plain("wait"), changes=False),
    ),
)
SEEN = {2: (LARGE, TEAL), 3: (CHOSEN, LIGHT, READ, READY), 4: (SENT,)}
"""What is on the screen after so many batches."""


def reply(body):
    """The model's next message to a chat completion's request. Raises ``Lost``."""
    batched = check_tool(body["tools"])
    steps = PLAN if batched else [(step,) for batch in PLAN for step in batch]
    done = [call for said in body["messages"] for call in said.get("tool_calls") or ()]
    shots = check_shots(body["messages"], done)
    for number in range(1, len(shots)):
        changes = any(step.changes for step in steps[number])
        if changes and shots[number].png == shots[number - 1].png:
            raise Lost(f"screenshot {number + 1} shows nothing new")
    if batched:
        for colour in SEEN.get(len(done), ()):
            place(shots[-1], colour)
    if len(done) == len(steps):
        place(shots[-1], SENT)
        return {"role": "assistant", "content": "The form was sent."}
    screen = shots[-1] if shots else None
    actions = [step.action(screen) for step in steps[len(done)]]
    arguments = {"actions": actions} if batched else {"action": actions[0]}
    if any(step.asks for step in steps[len(done)]):
        arguments["pending_safety_checks"] = [CONFIRM]
    call = {"name": "computer", "arguments": json.dumps(arguments)}
    calls = [{"id": f"call_{len(done)}", "type": "function", "function": call}]
    return {"role": "assistant", "content": None, "tool_calls": calls}


def check_tool(tools):
    """Whether the tool takes many actions at once."""
    functions = [tool["function"] for tool in tools]
    if [function["name"] for function in functions] != ["computer"]:
        raise Lost(f"there is no computer among the tools: {functions}")
    fields = functions[0]["parameters"]["properties"]
    if "action" in fields and f"{SIZE[0]} pixels wide" not in functions[0]["description"]:
        raise Lost("nobody says how wide the screen is")
    return "actions" in fields


def check_shots(messages, done):
    """One screenshot per call, each in the message behind the call's output."""
    shots = []
    for number, said in enumerate(messages):
        if said["role"] != "tool":
            continue
        behind = messages[number + 1]
        images = [part for part in behind["content"] if part["type"] == "image_url"]
        if said["tool_call_id"] != done[len(shots)]["id"] or len(images) != 1:
            raise Lost(f"call {len(shots) + 1} has no screenshot")
        try:
            shots.append(seen(images[0]["image_url"]["url"]))
        except ValueError as error:
            raise Lost(str(error)) from error
        if (shots[-1].width, shots[-1].height) != SIZE:
            raise Lost(f"the screen is {shots[-1].width} pixels wide")
    if len(shots) != len(done):
        raise Lost(f"{len(done)} calls, {len(shots)} screenshots")
    return shots


@lru_cache(64)
def seen(url):
    """The screen at a URL; every request brings all that were shown before."""
    return Screen.at(url)


class Endpoint(BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(200, {"object": "list", "data": [{"id": NAME, "object": "model"}]})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.asked.append(body)
        try:
            message = reply(body)
        except Lost as error:
            self.answer(400, {"error": {"message": f"I am lost: {error}."}})
            return
        end = "tool_calls" if "tool_calls" in message else "stop"
        made = {"id": "chatcmpl-1", "created": 0, "model": NAME}
        if not body.get("stream"):
            choice = {"index": 0, "message": message, "finish_reason": end}
            self.answer(200, {**made, "object": "chat.completion", "choices": [choice]})
            return
        for number, call in enumerate(message.get("tool_calls", ())):
            call["index"] = number
        choices = ({"delta": message, "finish_reason": None}, {"delta": {}, "finish_reason": end})
        made["object"] = "chat.completion.chunk"
        chunks = [{**made, "choices": [{"index": 0, **choice}]} for choice in choices]
        events = [f"data: {json.dumps(chunk)}\n\n" for chunk in chunks]
        self.send("".join([*events, "data: [DONE]\n\n"]), 200, "text/event-stream")

    def answer(self, status, value):
        self.send(json.dumps(value), status, "application/json")

    def send(self, text, status, kind):
        data = text.encode()
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


class Model(ThreadingHTTPServer):
    """The model's server, answering while the block lasts. ``asked``: the bodies it was sent."""

    def __init__(self, port=0):
        super().__init__(("127.0.0.1", port), Endpoint)
        self.asked = []
        self.url = f"http://127.0.0.1:{self.server_port}/v1"

    def __enter__(self):
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,))
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self._thread.join()
        self.server_close()


if __name__ == "__main__":
    model = Model(int(os.environ.get("PORT", "8585")))
    print(f"The model '{NAME}' answers at {model.url}.", flush=True)
    try:
        model.serve_forever()
    except KeyboardInterrupt:
        model.server_close()
