"""A model that uses a computer: it looks at a page in a real Chromium, and fills in its form.

Needs Chromium and the package websockets. MODEL is one that can see; the default is a stand-in
that has rehearsed this page (examples/computer/rehearsed.py). Options: ``--preview`` for the tool
that takes one action at a time, ``--websocket`` for one connection, ``--yes`` to confirm all.
"""

import argparse
import os
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

from computer.browser import Chromium, Computer
from openai import OpenAI

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "computer")
TASK = "Order a large teal lamp for Ada Lovelace: fill in the form, try the lamp, and send it."
WIDTH, HEIGHT = 640, 480
TURNS_MAX = 40

COMPUTER = {"type": "computer"}
PREVIEW = {
    "type": "computer_use_preview",
    "display_width": WIDTH,
    "display_height": HEIGHT,
    "environment": "browser",
}


class Refused(Exception):
    """The user does not want it done."""


def operate(create, computer, task, allow, look=None, **asked):
    """Let the model work on the task until it has something to say; returns that response.

    ``create`` takes the parameters of a request and gives the response; ``asked`` are those that
    stay the same. ``allow`` decides on safety checks. ``look`` gives the screen as an image URL.
    """
    response = create(input=task, **asked)
    for _ in range(TURNS_MAX):
        calls = [item for item in response.output if item.type == "computer_call"]
        if not calls:
            return response
        outputs = [perform(call, computer, allow, look or computer.screenshot) for call in calls]
        response = create(input=outputs, previous_response_id=response.id, **asked)
    raise RuntimeError(f"not done after {TURNS_MAX} turns")


def perform(call, computer, allow, look):
    """Do what a ``computer_call`` asks for; returns its output, the screen as it is then."""
    checks = [check.to_dict() for check in call.pending_safety_checks]
    if checks and not allow(checks):
        raise Refused("; ".join(str(check.get("message")) for check in checks))
    for action in call.actions or [call.action]:
        print(action.to_json(indent=None))
        computer.do(action.to_dict())
    output = {
        "type": "computer_call_output",
        "call_id": call.call_id,
        "output": {"type": "computer_screenshot", "image_url": look()},
    }
    if checks:
        output["acknowledged_safety_checks"] = checks
    return output


def ask_user(checks):
    for check in checks:
        print(f"The model wants this confirmed: {check.get('message')}")
    return input("Go on? [y/N] ").strip().lower() == "y"


def over_websocket(connection):
    """What ``client.responses.create`` is, over one connection."""

    def create(**asked):
        connection.response.create(**asked)
        for event in connection:
            match event.type:
                case "response.completed" | "response.incomplete":
                    return event.response
                case "response.failed" | "error":
                    raise RuntimeError(event.to_json())
        raise RuntimeError("the connection was closed")

    return create


class Page(ThreadingHTTPServer):
    """Serves the folder ``computer`` on this machine while the block lasts."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), partial(Files, directory=FOLDER))
        self.url = f"http://127.0.0.1:{self.server_port}/page.html"

    def __enter__(self):
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,))
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self._thread.join()
        self.server_close()


class Files(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def main():
    options = argparse.ArgumentParser()
    for name in ("--preview", "--websocket", "--yes"):
        options.add_argument(name, action="store_true")
    chosen = options.parse_args()
    client = OpenAI(
        base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8484/v1"),
        api_key=os.environ.get("OPENAI_API_KEY", "any"),
    )
    asked = {
        "model": os.environ.get("MODEL", "rehearsed"),
        "tools": [PREVIEW if chosen.preview else COMPUTER],
        "task": TASK,
        "allow": (lambda checks: True) if chosen.yes else ask_user,
    }
    with Page() as page, Chromium(page.url, WIDTH, HEIGHT) as chromium:
        computer = Computer(chromium)
        try:
            if chosen.websocket:
                with client.responses.connect() as connection:
                    response = operate(over_websocket(connection), computer, **asked)
            else:
                response = operate(client.responses.create, computer, **asked)
        except Refused as refused:
            raise SystemExit(f"Stopped: {refused}") from None
        print(response.output_text)
        print("on the page:", chromium.value("state.sent"))


if __name__ == "__main__":
    main()
