"""A model uses a real Chromium through a real server, with the programs of examples/.

The model is examples/computer/rehearsed.py, a chat completions server that refuses every request
without the screenshots it expects, so all that is shown to a chat model is checked there.
"""

from __future__ import annotations

import base64
import importlib
import json
import os
import subprocess
import sys
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import OpenAI
from openai.types.responses import computer_action

from tests.examples.pages import ROOT
from tests.process.server import Server

EXAMPLES = ROOT / "examples"
sys.path[:0] = [str(EXAMPLES), str(EXAMPLES / "computer")]
example: Any = importlib.import_module("computer_use")
rehearsed: Any = importlib.import_module("rehearsed")
browser: Any = importlib.import_module("computer.browser")
del sys.path[:2]

pytestmark = pytest.mark.skipif(
    browser.program() is None,
    reason="no Chromium on this machine: install it, or set CHROMIUM to its path",
)

websockets = pytest.mark.filterwarnings("ignore:connect.. must be used:DeprecationWarning")
"""Which the official client still does."""

PATIENCE_SECONDS = 0.3
"""The page takes 0.05 s to send its form."""

PROGRAM_SECONDS_MAX = 60
SENT = "Ada Lovelace: a large teal lamp"
CHECK = {"id": "send_1", "code": "irreversible", "message": "This sends the form."}
KINDS = {
    typing.get_args(one.model_fields["type"].annotation)[0]
    for one in typing.get_args(typing.get_args(computer_action.ComputerAction)[0])
}
"""Every type of action the official client knows."""


@pytest.fixture(scope="module")
def served() -> Iterator[Any]:
    """The model's server."""
    with rehearsed.Model() as model:
        yield model


@pytest.fixture(scope="module")
def server(served: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("antiphon"), "--upstream", served.url) as server:
        yield server


@pytest.fixture(scope="module")
def page() -> Iterator[Any]:
    with example.Page() as page:
        yield page


@pytest.fixture(scope="module")
def window(page: Any) -> Iterator[Any]:
    with browser.Chromium(page.url) as chromium:
        yield chromium


@pytest.fixture
def chromium(window: Any, page: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """With the page as it is in the beginning, and the mouse out of its way."""
    monkeypatch.setattr(browser, "WAIT_SECONDS", PATIENCE_SECONDS)
    browser.Computer(window).do({"type": "move", "x": 0, "y": 0})
    window.open(page.url)
    return window


@pytest.fixture
def model(served: Any) -> Any:
    served.asked.clear()
    return served


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[OpenAI]:
    with client_of(server) as client:
        yield client


def client_of(server: Server) -> OpenAI:
    """A client that raises at everything its types do not allow."""
    url = f"http://127.0.0.1:{server.port}/v1"
    return OpenAI(base_url=url, api_key="any", max_retries=0, _strict_response_validation=True)


class Loop:
    """One run of the example's loop. ``responses`` are all it got, ``outputs`` all it sent."""

    def __init__(self, create: Callable[..., Any], chromium: Any, tool: Any) -> None:
        self._create = create
        self.computer = browser.Computer(chromium)
        self.asked: Any = {"model": "rehearsed", "tools": [tool]}
        self.responses: list[Any] = []
        self.outputs: list[Any] = []

    def run(self, allow: bool = True, look: Callable[[], str] | None = None) -> Any:
        return example.operate(
            self.create, self.computer, example.TASK, lambda checks: allow, look, **self.asked
        )

    def create(self, **asked: Any) -> Any:
        if isinstance(asked["input"], list):
            self.outputs += asked["input"]
        self.responses.append(self._create(**asked))
        return self.responses[-1]

    @property
    def calls(self) -> list[Any]:
        items = [item for response in self.responses for item in response.output]
        return [item for item in items if item.type == "computer_call"]


def images(body: Any) -> list[str]:
    """The URLs of the images in a chat completion's request."""
    contents = [said["content"] for said in body["messages"] if isinstance(said["content"], list)]
    parts = [part for content in contents for part in content if part["type"] == "image_url"]
    return [part["image_url"]["url"] for part in parts]


def check_page(chromium: Any) -> None:
    """The form is as the user wanted it, and every kind of action has left its trace."""
    state = chromium.value("state")
    assert state.pop("clicks").count(["dblclick", 0]) == 1
    assert state == {
        "name": "Ada Lovelace",
        "size": "large",
        "colour": "teal",
        "knob": 1,
        "lamp": True,
        "terms": True,
        "sent": SENT,
    }
    assert chromium.value("document.getElementById('name').value") == "Ada Lovelace"
    assert chromium.value("document.getElementById('size').value") == "large"
    assert chromium.value("document.getElementById('colours').scrollTop") > 0
    assert chromium.value("document.getElementById('result').textContent") == f"Sent. {SENT}"


def check_batches(loop: Loop) -> None:
    assert [len(call.actions or ()) for call in loop.calls] == [1, 5, 4, 2]
    assert all(call.action is None for call in loop.calls)
    assert {action.type for call in loop.calls for action in call.actions} == KINDS


def check_singles(loop: Loop) -> None:
    assert len(loop.calls) == 12
    assert all(call.actions is None for call in loop.calls)
    assert {call.action.type for call in loop.calls} == KINDS


def over_stream(client: OpenAI) -> Callable[..., Any]:
    def create(**asked: Any) -> Any:
        with client.responses.stream(**asked) as stream:
            return stream.get_final_response()

    return create


# The loop -------------------------------------------------------------------------------------


@pytest.mark.requirement("computer:loop:batched")
@pytest.mark.requirement("computer:screenshot:shown")
@pytest.mark.requirement("computer:checks:acknowledged")
def test_a_model_operates_a_browser_in_batches(client: OpenAI, chromium: Any, model: Any) -> None:
    loop = Loop(client.responses.create, chromium, example.COMPUTER)
    assert loop.run().output_text == "The form was sent."
    check_page(chromium)
    check_batches(loop)
    assert [len(images(body)) for body in model.asked] == [0, 1, 2, 3, 4]
    assert images(model.asked[-1]) == [it["output"]["image_url"] for it in loop.outputs]
    assert [call.pending_safety_checks != [] for call in loop.calls] == [False, False, False, True]
    assert loop.calls[-1].pending_safety_checks[0].to_dict() == CHECK
    (kept,) = client.responses.input_items.list(
        loop.responses[-1].id, limit=1, include=["computer_call_output.output.image_url"]
    ).data
    assert kept.type == "computer_call_output"
    assert [check.to_dict() for check in kept.acknowledged_safety_checks or ()] == [CHECK]
    (small,) = client.responses.input_items.list(loop.responses[-1].id, limit=1).data
    assert small.type == "computer_call_output" and small.output.image_url is None
    assert kept.output.image_url == loop.outputs[-1]["output"]["image_url"]


@pytest.mark.requirement("computer:loop:preview")
@pytest.mark.requirement("computer:screenshot:shown")
@pytest.mark.parametrize("streamed", [False, True])
def test_a_model_operates_a_browser_action_by_action(
    client: OpenAI, chromium: Any, model: Any, streamed: bool
) -> None:
    create = over_stream(client) if streamed else client.responses.create
    loop = Loop(create, chromium, example.PREVIEW)
    assert loop.run().output_text == "The form was sent."
    check_page(chromium)
    check_singles(loop)
    assert [len(images(body)) for body in model.asked] == list(range(13))
    assert all(url.startswith("data:image/png;base64,") for url in images(model.asked[-1]))


@websockets
@pytest.mark.requirement("computer:loop:websocket")
def test_a_model_operates_a_browser_over_a_websocket(
    client: OpenAI, chromium: Any, model: Any
) -> None:
    with client.responses.connect() as connection:
        loop = Loop(example.over_websocket(connection), chromium, example.COMPUTER)
        assert loop.run().output_text == "The form was sent."
    check_page(chromium)
    check_batches(loop)
    assert len(images(model.asked[-1])) == 4


@pytest.mark.requirement("computer:loop:native")
def test_a_model_behind_another_antiphon_operates_a_browser(
    server: Server, chromium: Any, model: Any, tmp_path: Path
) -> None:
    upstream = f"http://127.0.0.1:{server.port}/v1"
    options = ("--upstream", upstream, "--upstream-api", "responses", "--profile", "antiphon")
    with Server(tmp_path, *options) as front, client_of(front) as client:
        loop = Loop(client.responses.create, chromium, example.COMPUTER)
        assert loop.run().output_text == "The form was sent."
        check_page(chromium)
        check_batches(loop)
        assert loop.calls[-1].pending_safety_checks[0].to_dict() == CHECK
    assert len(images(model.asked[-1])) == 4


@pytest.mark.requirement("computer:loop:batched")
def test_a_computer_can_be_demanded(client: OpenAI, model: Any) -> None:
    asked: Any = {"model": "rehearsed", "tools": [example.COMPUTER], "input": example.TASK}
    for choice in ({"type": "computer"}, "required"):
        made = client.responses.create(tool_choice=choice, **asked)
        assert [item.type for item in made.output] == ["computer_call"]
    demanded, required = (body["tool_choice"] for body in model.asked)
    assert demanded == {"type": "function", "function": {"name": "computer"}}
    assert required == "required"


@pytest.mark.requirement("computer:blind")
def test_a_model_that_sees_nothing_is_not_given_a_computer(model: Any, tmp_path: Path) -> None:
    options = ("--upstream", model.url, "--profile", "deepseek")  # whose models take no images
    with Server(tmp_path, *options) as blind, client_of(blind) as client:
        for tool in (example.COMPUTER, example.PREVIEW):
            with pytest.raises(openai.BadRequestError) as refused:
                client.responses.create(model="rehearsed", input=example.TASK, tools=[tool])
            assert (refused.value.code, refused.value.param) == (
                "unsupported_value",
                "tools[0].type",
            )
    assert model.asked == []


@pytest.mark.requirement("computer:screenshot:shown")
@pytest.mark.parametrize(
    ("shown", "reason"),
    [
        ("a screenshot from before", "screenshot 2 shows nothing new"),
        ("a screenshot of another type", "this is no PNG image: data:image/jpeg;base64"),
    ],
)
def test_the_model_notices_what_is_wrong_with_a_screenshot(
    client: OpenAI, chromium: Any, model: Any, shown: str, reason: str
) -> None:
    loop = Loop(client.responses.create, chromium, example.COMPUTER)
    before = loop.computer.screenshot()
    if "type" in shown:
        before = before.replace("image/png", "image/jpeg")
    with pytest.raises(openai.BadRequestError, match=reason):
        loop.run(look=lambda: before)


# Screenshots ----------------------------------------------------------------------------------


@pytest.mark.requirement("computer:screenshot:url")
def test_screenshots_may_be_urls(
    client: OpenAI, chromium: Any, model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(example, "FOLDER", str(tmp_path))
    loop = Loop(client.responses.create, chromium, example.COMPUTER)
    with example.Page() as shelf:

        def look() -> str:
            png = base64.b64decode(loop.computer.screenshot().partition(",")[2])
            name = f"{len(loop.outputs)}.png"
            (tmp_path / name).write_bytes(png)
            return shelf.url.replace("page.html", name)

        assert loop.run(look=look).output_text == "The form was sent."
    check_page(chromium)
    assert [url.rpartition("/")[2] for url in images(model.asked[-1])] == [
        f"{n}.png" for n in range(4)
    ]


@pytest.mark.requirement("computer:screenshot:file")
@pytest.mark.parametrize(
    ("output", "param", "code"),
    [
        ({"file_id": "file-1"}, "input[0].output.file_id", "unsupported_value"),
        (
            {"file_id": "file-1", "image_url": "http://127.0.0.1/1.png"},
            "input[0].output",
            "mutually_exclusive_parameters",
        ),
        ({}, "input[0].output", "missing_required_parameter"),
        ({"image_url": "1.png"}, "input[0].output.image_url", "invalid_value"),
    ],
)
def test_a_screenshot_that_cannot_be_shown_is_refused_precisely(
    client: OpenAI, model: Any, output: Any, param: str, code: str
) -> None:
    asked: Any = {"model": "rehearsed", "tools": [example.COMPUTER]}
    first = client.responses.create(input=example.TASK, **asked)
    call: Any = first.output[0]
    item: Any = {
        "type": "computer_call_output",
        "call_id": call.call_id,
        "output": {"type": "computer_screenshot", **output},
    }
    with pytest.raises(openai.BadRequestError) as refused:
        client.responses.create(input=[item], previous_response_id=first.id, **asked)
    assert (refused.value.param, refused.value.code) == (param, code)
    assert len(model.asked) == 1


# Safety checks --------------------------------------------------------------------------------


@websockets
@pytest.mark.requirement("computer:checks:missing")
@pytest.mark.requirement("computer:checks:acknowledged")
def test_what_a_user_did_not_confirm_goes_no_further(
    client: OpenAI, chromium: Any, model: Any
) -> None:
    loop = Loop(client.responses.create, chromium, example.COMPUTER)
    with pytest.raises(example.Refused, match=r"This sends the form\."):
        loop.run(allow=False)
    assert chromium.value("state.sent") is None and chromium.value("ready()")
    turns = len(model.asked)
    output = example.perform(
        loop.calls[-1], loop.computer, lambda checks: True, loop.computer.screenshot
    )
    parent = loop.responses[-1].id
    for acknowledged in (None, [], [{"id": "send_2"}]):
        item: Any = {**output, "acknowledged_safety_checks": acknowledged}
        if acknowledged is None:
            del item["acknowledged_safety_checks"]
        with pytest.raises(openai.BadRequestError, match="send_1") as refused:
            client.responses.create(input=[item], previous_response_id=parent, **loop.asked)
        assert refused.value.code == "safety_checks_not_acknowledged"
        assert refused.value.param == "input[0].acknowledged_safety_checks"
    with client.responses.connect() as connection:
        with pytest.raises(RuntimeError) as failed:
            example.over_websocket(connection)(
                input=[item], previous_response_id=parent, **loop.asked
            )
        event = json.loads(str(failed.value))
        assert event["error"]["code"] == "safety_checks_not_acknowledged"
        assert event["error"]["param"] == "input[0].acknowledged_safety_checks"
    assert len(model.asked) == turns
    last = client.responses.create(input=[output], previous_response_id=parent, **loop.asked)
    assert last.output_text == "The form was sent."


# The example ----------------------------------------------------------------------------------


@pytest.mark.requirement("computer:example")
@pytest.mark.parametrize(
    ("said", "options", "ending"),
    [
        ("y\n", ["--preview", "--websocket"], f"The form was sent.\non the page: {SENT}\n"),
        ("n\n", [], "The model wants this confirmed: This sends the form.\n"),
    ],
)
def test_the_example_does_what_the_user_confirms(
    server: Server, said: str, options: list[str], ending: str
) -> None:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "computer_use.py"), *options],
        input=said,
        capture_output=True,
        text=True,
        env={**os.environ, "OPENAI_BASE_URL": f"http://127.0.0.1:{server.port}/v1"},
        timeout=PROGRAM_SECONDS_MAX,
        check=False,
    )
    assert done.stdout.replace("Go on? [y/N] ", "").endswith(ending), done.stdout + done.stderr
    assert (done.returncode == 0) == (said == "y\n"), done.stderr


@pytest.mark.requirement("computer:example")
def test_the_computer_knows_every_button_and_key(chromium: Any) -> None:
    computer = browser.Computer(chromium)
    for button in ("left", "right", "wheel"):
        computer.do({"type": "click", "button": button, "x": 600, "y": 290})
    computer.do({"type": "click", "button": "left", "x": 600, "y": 290, "keys": ["CTRL", "SHIFT"]})
    computer.do({"type": "double_click", "x": 600, "y": 290, "keys": ["ALT"]})
    assert chromium.value("state.clicks") == [
        ["click", 0],
        ["auxclick", 2],
        ["auxclick", 1],
        ["click", 0, "ctrlKey", "shiftKey"],
        ["click", 0, "altKey"],
        ["click", 0, "altKey"],
        ["dblclick", 0, "altKey"],
    ]
    computer.do({"type": "click", "button": "left", "x": 144, "y": 57, "keys": None})
    typed: list[Any] = [["SHIFT", "A"], ["b"], ["1"], ["SPACE"], ["LEFT"], ["BACKSPACE"], ["é"]]
    for keys in typed:
        computer.do({"type": "keypress", "keys": keys})
    assert chromium.value("state.name") == "Abé "
    computer.do({"type": "keypress", "keys": ["CTRL", "a"]})
    computer.do({"type": "type", "text": "Grüße, 世界"})
    assert chromium.value("state.name") == "Grüße, 世界"
    with pytest.raises(ValueError, match="HYPER"):
        computer.do({"type": "keypress", "keys": ["HYPER"]})
    here = chromium.value("location.href")
    chromium.open(f"{here}?next")
    for button, goal in (("back", here), ("forward", f"{here}?next")):
        computer.do({"type": "click", "button": button, "x": 600, "y": 290})
        chromium.until(f"location.href === {json.dumps(goal)}")
