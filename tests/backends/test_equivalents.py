"""Items only this API has, as a chat model is shown them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings

from antiphon.backends.base import Known, Turn
from antiphon.backends.chat_body import encoded_body
from antiphon.backends.equivalents import PENDING, SHOWN, shown
from antiphon.backends.estimate import turn_tokens
from antiphon.backends.messages import messages_of
from antiphon.backends.profiles import PROFILES
from antiphon.backends.responses_items import Items
from antiphon.backends.responses_profiles import DIALECTS
from antiphon.stream.forms import NATIVE, collected
from antiphon.types.content import InputImage
from antiphon.types.items import (
    CustomToolCall,
    CustomToolCallOutput,
    FunctionCall,
    FunctionCallOutput,
    Item,
    Message,
)
from antiphon.types.tool_items import (
    ApplyPatchCall,
    ApplyPatchCallOutput,
    CodeInterpreterCall,
    ComputerCall,
    ComputerCallOutput,
    FileSearchCall,
    ImageGenerationCall,
    LocalShellAction,
    LocalShellCall,
    LocalShellCallOutput,
    McpCall,
    McpListTools,
    Screenshot,
    ShellAction,
    ShellCall,
    ShellCallOutput,
    ToolSearchCall,
    ToolSearchOutput,
    WebSearchCall,
)
from tests.backends.conversations import turns

GENERIC = PROFILES["generic"]
PIXEL = "data:image/png;base64,AAAA"
EXITED = {"type": "exit", "exit_code": 2}


def sent(*items: Item, **fields: Any) -> list[dict[str, Any]]:
    return messages_of(Turn(model="m", items=items, **fields), GENERIC)


def asked(name: str, arguments: str, call_id: str = "c") -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    call = {"id": call_id, "type": "function", "function": function}
    return {"role": "assistant", "content": None, "tool_calls": [call]}


def told(text: str, call_id: str = "c") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": text}


CALLS: list[tuple[Item, str, str]] = [
    (ShellCall("c", ShellAction(["ls", "pwd"], 5)), "shell", '{"commands":["ls","pwd"],'
     '"timeout_ms":5}'),
    (
        LocalShellCall("c", LocalShellAction(["ls"], "exec", {}, working_directory="/tmp")),
        "local_shell",
        '{"command":["ls"],"working_directory":"/tmp"}',
    ),
    (
        LocalShellCall("c", LocalShellAction(["ls"], "exec", {"A": "b"})),
        "local_shell",
        '{"command":["ls"],"env":{"A":"b"}}',
    ),
    (
        ApplyPatchCall("c", {"type": "create_file", "path": "a", "diff": "+b"}),
        "apply_patch",
        '{"type":"create_file","path":"a","diff":"+b"}',
    ),
    (
        ApplyPatchCall("c", {"type": "delete_file", "path": "a"}),
        "apply_patch",
        '{"type":"delete_file","path":"a","diff":""}',
    ),
    (
        ComputerCall("c", action={"type": "screenshot"}),
        "computer",
        '{"action":{"type":"screenshot"}}',
    ),
    (
        ComputerCall("c", actions=[{"type": "wait"}]),
        "computer",
        '{"actions":[{"type":"wait"}]}',
    ),
    (ToolSearchCall({"query": "maps"}, "c", "client"), "tool_search", '{"query":"maps"}'),
]  # fmt: skip


@pytest.mark.requirement("client-tools:shown:calls")
@pytest.mark.parametrize(("call", "name", "arguments"), CALLS, ids=lambda value: str(value)[:30])
def test_a_call_is_shown_as_the_model_made_it(call: Any, name: str, arguments: str) -> None:
    assert sent(call)[0] == asked(name, arguments)
    form = {native.name: native.form for native in NATIVE.values()}.get(name)
    if form is not None:  # and what is shown makes the same item again
        again = collected(form, "x", "c", arguments, "completed")
        for field in ("action", "actions", "operation"):
            if hasattr(call, field):
                assert getattr(again, field) == getattr(call, field)


OUTPUTS: list[tuple[Item, str]] = [
    (
        ShellCallOutput("c", [{"stdout": "a\n", "stderr": "oh", "outcome": EXITED}]),
        "exit code 2\na\n\nstderr:\noh",
    ),
    (
        ShellCallOutput(
            "c",
            [
                {"stdout": "a", "stderr": "", "outcome": {"type": "exit", "exit_code": 0}},
                {"stdout": "", "stderr": "", "outcome": {"type": "timeout"}},
            ],
        ),
        "Command 1: exit code 0\na\n\nCommand 2: timed out",
    ),
    (LocalShellCallOutput('{"a":1}', call_id="c"), '{"a":1}'),
    (ApplyPatchCallOutput("c", "completed"), "Done."),
    (ApplyPatchCallOutput("c", "failed", "No."), "Failed: nothing was changed.\nNo."),
    (
        ToolSearchOutput([{"type": "function", "name": "f", "description": "does"}], "c"),
        "You can use these tools from now on:\n- f: does",
    ),
    (ToolSearchOutput([], "c"), "No tool was found."),
]
_CALL_OF: dict[Any, Item] = {
    ShellCallOutput: ShellCall("c", ShellAction([])),
    LocalShellCallOutput: LocalShellCall("c", LocalShellAction([], "exec", {})),
    ApplyPatchCallOutput: ApplyPatchCall("c", {}),
    ToolSearchOutput: ToolSearchCall({}, "c"),
}


@pytest.mark.requirement("client-tools:shown:outputs")
@pytest.mark.parametrize(("output", "text"), OUTPUTS, ids=lambda value: str(value)[:30])
def test_an_output_is_a_text_a_model_can_read(output: Any, text: str) -> None:
    assert sent(_CALL_OF[type(output)], output)[1:] == [told(text)]


@pytest.mark.requirement("client-tools:shown:outputs")
def test_a_screenshot_is_shown_behind_all_results() -> None:
    calls = ComputerCall("a", action={}), ShellCall("b", ShellAction([]))
    screen = ComputerCallOutput("a", Screenshot(PIXEL, detail="original"))
    messages = sent(*calls, screen, ShellCallOutput("b", []))
    assert [call["id"] for call in messages[0]["tool_calls"]] == ["a", "b"]
    assert messages[1:3] == [told("(see the next message)", "a"), told("(no output)", "b")]
    image = {"type": "image_url", "image_url": {"url": PIXEL, "detail": "high"}}
    label = {"type": "text", "text": "Image(s) returned by tool call a:"}
    assert messages[3:] == [{"role": "user", "content": [label, image]}]


FAILED = {"type": "mcp_tool_execution_error", "content": [{"type": "text", "text": "No."}]}
FINISHED: list[tuple[Item, str, str, str]] = [
    (McpCall("s", "t", '{"a":1}', "i", "completed", "yes"), "s__t", '{"a":1}', "yes"),
    (McpCall("s", "t", "{}", "i", "failed", None, FAILED), "s__t", "{}", "The call failed: No."),
    (
        McpCall("s", "t", "{}", "i", "failed", None, {"type": "http_error", "message": "502"}),
        "s__t",
        "{}",
        "The call failed: 502",
    ),
    (
        McpCall("s", "t", "{}", "i", "incomplete"),
        "s__t",
        "{}",
        "The outcome of this call is not known.",
    ),
    (
        WebSearchCall(
            {"type": "search", "query": "q", "sources": [{"type": "url", "url": "http://a"}]},
            "i",
            "completed",
        ),
        "web_search",
        '{"query":"q"}',
        "completed\n- http://a",
    ),
    (
        FileSearchCall(["q"], [{"filename": "f.txt", "text": "words"}], "i", "completed"),
        "file_search",
        '{"queries":["q"]}',
        "completed\n- f.txt: words",
    ),
    (
        CodeInterpreterCall("c", "1+1", [{"type": "logs", "logs": "2"}, {"type": "image"}], "i"),
        "code_interpreter",
        '{"code":"1+1"}',
        "completed\n2\n[an image]",
    ),
    (
        ImageGenerationCall("AAAA", "i", revised_prompt="a cat"),
        "image_generation",
        '{"prompt":"a cat"}',
        "An image was made, and the user sees it.",
    ),
]


@pytest.mark.requirement("client-tools:shown:hosted")
@pytest.mark.parametrize(
    ("item", "name", "arguments", "text"), FINISHED, ids=lambda value: str(value)[:30]
)
def test_a_call_that_was_answered_is_shown_with_what_came_of_it(
    item: Any, name: str, arguments: str, text: str
) -> None:
    call, output = sent(item)
    call_id = call["tool_calls"][0]["id"]
    assert call == asked(name, arguments, call_id) and output == told(text, call_id)
    assert len(call_id) <= 40
    same = msgspec.json.decode(msgspec.json.encode(item), type=type(item))
    assert sent(same) == [call, output]


@pytest.mark.requirement("client-tools:shown:hosted")
def test_what_says_nothing_to_a_model_is_not_shown() -> None:
    listing = McpListTools("s", [{"name": "t"}], "mcpl_1")
    assert type(listing) not in SHOWN and shown(listing) == ()
    assert sent(Message("user", "a"), listing) == [{"role": "user", "content": "a"}]


@pytest.mark.requirement("client-tools:shown:namespaces")
def test_a_namespaced_call_has_the_name_the_model_knows() -> None:
    items: list[Item] = [
        FunctionCall("a", "list", "{}", namespace="crm"),
        CustomToolCall("b", "write", "x", namespace="crm"),
        FunctionCallOutput("a", "1"),
        CustomToolCallOutput("b", "2"),
    ]
    calls = sent(*items)[0]["tool_calls"]
    assert [call["function"]["name"] for call in calls] == ["crm__list", "crm__write"]


def test_such_items_cost_tokens() -> None:
    before = turn_tokens(Turn(model="m", items=[]))
    cases: list[Any] = [*CALLS, *OUTPUTS, *FINISHED]
    items: list[Item] = [case[0] for case in cases]
    for item in items:
        assert turn_tokens(Turn(model="m", items=[item])) > before


# Functions that answer later ----------------------------------------------------------------

WAITING = FunctionCall("w", "render", "{}", namespace="n", later=True)
OTHER = FunctionCall("o", "f", "{}")


@pytest.mark.requirement("client-tools:later")
def test_an_output_in_time_is_a_plain_result() -> None:
    outputs = FunctionCallOutput("o", "now"), FunctionCallOutput("w", "done")
    messages = sent(WAITING, OTHER, *outputs, Message("user", "and?"))
    assert messages[1:] == [
        told("done", "w"),
        told("now", "o"),
        {"role": "user", "content": "and?"},
    ]


@pytest.mark.requirement("client-tools:later")
def test_an_output_that_comes_later_is_told_where_it_stands() -> None:
    before: list[Item] = [WAITING, OTHER, FunctionCallOutput("o", "now")]
    said = Message("assistant", "I wait.")
    pending = sent(*before)
    assert pending[1:] == [told(PENDING, "w"), told("now", "o")]
    image = InputImage(image_url=PIXEL)
    after = sent(*before, said, FunctionCallOutput("w", [image]), Message("user", "and?"))
    assert after[: len(pending)] == pending
    assert after[len(pending)] == {"role": "assistant", "content": "I wait."}
    news = after[len(pending) + 1]
    opening = "[The output of the earlier call of 'n__render' (w) is there now:]"
    assert news == {
        "role": "user",
        "content": [
            {"type": "text", "text": opening},
            {"type": "image_url", "image_url": {"url": PIXEL}},
        ],
    }
    assert after[-1] == {"role": "user", "content": "and?"}


@pytest.mark.requirement("client-tools:later")
@settings(max_examples=150, deadline=None)
@given(turn=turns())
def test_what_is_remembered_of_such_items_changes_no_byte(turn: Turn) -> None:
    memo: dict[Any, Any] = {}
    for end, item in enumerate(turn.items, 1):
        if not (isinstance(item, Message) and item.role == "user"):
            continue
        part = msgspec.structs.replace(turn, items=turn.items[:end], known=Known(end, memo))
        plain = msgspec.structs.replace(part, known=None)
        assert encoded_body(part, GENERIC) == encoded_body(plain, GENERIC)


# Upstreams that know such items -------------------------------------------------------------


@pytest.mark.requirement("client-tools:native")
def test_an_upstream_with_a_local_shell_is_told_outputs_by_the_id_of_the_call() -> None:
    writer = Items(DIALECTS["openai"], "mark_")
    call = LocalShellCall("c", LocalShellAction(["ls"], "exec", {}), "lsh_1", "completed")
    output = LocalShellCallOutput("a", "lsho_1", "c", "completed")
    written = b",".join(writer.written(Turn(model="m", items=[call, output])))
    shown_call, shown_output = msgspec.json.decode(b"[" + written + b"]")
    assert shown_call["type"] == "local_shell_call" and shown_call["call_id"] == "c"
    assert shown_output == {
        "type": "local_shell_call_output",
        "id": "c",
        "output": "a",
        "status": "completed",
    }
