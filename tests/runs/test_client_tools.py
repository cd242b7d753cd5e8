"""Tools the caller runs, through the scripted model: calls, outputs, and the rules of both."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from antiphon.backends.base import Capabilities
from antiphon.errors import ClientError
from antiphon.runs.demands import schema_check
from antiphon.runs.offering import callable_names, chosen, chosen_native, offer, placed
from antiphon.runs.truncation import shortened
from antiphon.stream.forms import NATIVE
from antiphon.types.codec import open_items
from antiphon.types.items import CALLING
from antiphon.types.response import Response
from antiphon.types.tool_codec import open_choice, open_tools
from tests.runs.rig import Rig, rig, text_of
from tests.runs.test_prefix import assert_extends, talking

pytestmark = pytest.mark.anyio

PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9"
    "awAAAABJRU5ErkJggg=="
)
TOOLS: dict[str, dict[str, Any]] = {
    "shell": {"type": "shell", "environment": {"type": "local"}},
    "local_shell": {"type": "local_shell"},
    "apply_patch": {"type": "apply_patch"},
    "computer": {"type": "computer"},
    "computer_use_preview": {
        "type": "computer_use_preview",
        "display_width": 800,
        "display_height": 600,
        "environment": "browser",
    },
}
CLICK = {"type": "click", "button": "left", "x": 1, "y": 1}
WANTED: dict[str, dict[str, Any]] = {
    "shell": {
        "type": "shell_call",
        "action": {"commands": ["example"]},
        "environment": {"type": "local"},
    },
    "local_shell": {
        "type": "local_shell_call",
        "action": {"type": "exec", "command": ["example"], "env": {}},
    },
    "apply_patch": {
        "type": "apply_patch_call",
        "operation": {"type": "create_file", "path": "example", "diff": "example"},
    },
    "computer": {"type": "computer_call", "pending_safety_checks": [], "actions": [CLICK]},
    "computer_use_preview": {
        "type": "computer_call",
        "pending_safety_checks": [],
        "action": CLICK,
    },
}
every_kind = pytest.mark.parametrize("kind", TOOLS)


def raw(item: Any) -> dict[str, Any]:
    made: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(item))
    return made


def answered(call: dict[str, Any], text: str = "hello") -> dict[str, Any]:
    """An output of the kind the call wants."""
    id = call["call_id"]
    match call["type"]:
        case "shell_call":
            ran = {"stdout": text, "stderr": "", "outcome": {"type": "exit", "exit_code": 0}}
            return {"type": "shell_call_output", "call_id": id, "output": [ran]}
        case "local_shell_call":
            return {"type": "local_shell_call_output", "id": id, "output": text}
        case "apply_patch_call":
            done = {"type": "apply_patch_call_output", "call_id": id, "status": "completed"}
            return {**done, "output": text}
        case "computer_call":
            screen = {"type": "computer_screenshot", "image_url": PIXEL}
            return {"type": "computer_call_output", "call_id": id, "output": screen}
    return {"type": "function_call_output", "call_id": id, "output": text}


@pytest.fixture
async def house() -> AsyncIterator[Rig]:
    async with rig() as made:
        yield made


async def called(house: Rig, kind: str, **body: Any) -> tuple[Response, dict[str, Any]]:
    made = await house.create("tool", tools=[TOOLS[kind]], **body)
    assert made.status == "completed", made.error
    (call,) = made.output
    return made, raw(call)


async def refused(house: Rig, **body: Any) -> ClientError:
    with pytest.raises(ClientError) as caught:
        await house.create("echo", **body)
    return caught.value


# Calls --------------------------------------------------------------------------------------


@pytest.mark.requirement("client-tools:choice")
@every_kind
async def test_a_tool_is_chosen_by_its_type_and_echoed(house: Rig, kind: str) -> None:
    choice = {"type": "computer_use" if kind == "computer" else kind}
    other = {"type": "function", "name": "other", "parameters": {"type": "object"}}
    made = await house.create("tool", tools=[other, TOOLS[kind]], tool_choice=choice)
    call = raw(made.output[0])
    assert WANTED[kind].items() <= call.items() and call["status"] == "completed"
    assert {key: raw(made.tools[1])[key] for key in TOOLS[kind]} == TOOLS[kind]
    assert raw(made.tool_choice) == choice
    allowed = {"type": "allowed_tools", "mode": "required", "tools": [{"type": kind}]}
    again = await house.create("tool", tools=[other, TOOLS[kind]], tool_choice=allowed)
    assert raw(again.output[0])["type"] == call["type"]
    error = await refused(house, tools=[other], tool_choice=choice)
    assert error.param == "tool_choice"


@pytest.mark.requirement("client-tools:described")
async def test_a_model_is_told_the_display_and_the_skills(house: Rig) -> None:
    skill = {"name": "brew", "description": "Makes tea.", "path": "/skills/brew"}
    shell = {"type": "shell", "environment": {"type": "local", "skills": [skill]}}
    made = await house.create("settings", tools=[shell, TOOLS["computer_use_preview"]])
    tools = {tool["name"]: tool for tool in msgspec.json.decode(text_of(made))["tools"]}
    told = tools["shell"]["description"]
    assert "- brew: Makes tea. (folder: /skills/brew)" in told and "SKILL.md" in told
    assert "800 pixels wide and 600 pixels high" in tools["computer"]["description"]
    assert raw(made.tools[0])["environment"] == shell["environment"]


@pytest.mark.requirement("client-tools:checked")
async def test_broken_arguments_are_asked_for_again(house: Rig) -> None:
    made = await house.create("bad-arguments", tools=[TOOLS["computer"]], input="again")
    (call,) = made.output
    assert raw(call)["actions"] == [CLICK]
    never = await house.create("bad-arguments-9", tools=[TOOLS["shell"]], input="never")
    assert never.status == "failed" and not never.output


@pytest.mark.requirement("client-tools:checked")
@pytest.mark.parametrize(
    ("action", "problem"),
    [
        ({"type": "click", "x": 1, "y": 2}, "at $.actions[0]: 'button' is a required property"),
        ({"type": "tap"}, "at $.actions[0].type: 'tap' is not one of ['click', 'double_click',"),
        ({"type": "wait", "ms": 9}, "at $.actions[0]: Additional properties are not allowed"),
        ("wait", "at $.actions[0]: 'wait' is not valid under any of the given schemas"),
    ],
)
def test_a_model_is_told_what_is_wrong_with_an_action(action: Any, problem: str) -> None:
    check = schema_check(NATIVE["computer"].schema, param="p", code="c")
    found = check.problem(msgspec.json.encode({"actions": [action]}).decode())
    assert found is not None and found.startswith(problem)


@pytest.mark.requirement("client-tools:cut")
@every_kind
async def test_a_cut_call_is_none(house: Rig, kind: str) -> None:
    made = await house.create("length-in-call", tools=[TOOLS[kind]])
    assert made.status == "incomplete" and made.output == []
    assert made.incomplete_details is not None
    assert made.incomplete_details.reason == "max_output_tokens"
    after = await house.create("echo", input="And now?", previous_response_id=made.id)
    assert after.status == "completed"


@pytest.mark.requirement("client-tools:custom")
@pytest.mark.parametrize(
    ("format", "text"),
    [
        (None, 'a "text"\nof two lines'),
        ({"type": "text"}, "{}"),
        ({"type": "grammar", "syntax": "lark", "definition": 'start: "say " /[a-z]+/'}, "say hi"),
        ({"type": "grammar", "syntax": "regex", "definition": "[a-z]+ [0-9]"}, "abc 1"),
    ],
)
@pytest.mark.parametrize("namespace", [None, "crm"])
async def test_freeform_input_is_raw_text(
    house: Rig, format: Any, text: str, namespace: str | None
) -> None:
    tool: dict[str, Any] = {"type": "custom", "name": "write"}
    if format is not None:
        tool["format"] = format
    if namespace:
        tool = {"type": "namespace", "name": namespace, "description": "d", "tools": [tool]}
    checked = format is not None and format["type"] == "grammar"
    made = await house.create("bad-custom" if checked else "custom", tools=[tool], input=text)
    call = raw(made.output[0])
    assert (call["type"], call["name"], call["input"]) == ("custom_tool_call", "write", text)
    assert call.get("namespace") == namespace
    output = {"type": "custom_tool_call_output", "call_id": call["call_id"], "output": "done"}
    after = await house.create("transcript", input=[output], previous_response_id=made.id)
    name = f"{namespace}__write" if namespace else "write"
    assert f"call {name}: {text}" in text_of(after)


@pytest.mark.requirement("client-tools:shown:hosted")
async def test_a_call_sent_without_an_id_is_the_same_call_in_the_next_turn() -> None:
    call = {"type": "mcp_call", "server_label": "s", "name": "t", "arguments": "{}"}
    async with talking(":memory:", 0) as talk:
        history = [{"role": "user", "content": "x"}, {**call, "output": "yes"}]
        await talk.say("echo", input=[*history, {"role": "user", "content": "and?"}])
        await talk.say("echo", input="so?")
        assert_extends(talk.prompts())
        assert b'"s__t"' in talk.prompts()[0][1]


# Pairs --------------------------------------------------------------------------------------

WORDS = {
    "shell": "shell",
    "local_shell": "local shell",
    "apply_patch": "apply patch",
    "computer": "computer",
    "computer_use_preview": "computer",
}


@pytest.mark.requirement("client-tools:pairs:unanswered")
@every_kind
async def test_a_call_without_an_output_is_named(house: Rig, kind: str) -> None:
    made, call = await called(house, kind)
    for body in (
        {"input": "And?", "previous_response_id": made.id},
        {"input": [{"role": "user", "content": "x"}, call]},
    ):
        error = await refused(house, **body)
        assert (error.code, error.param) == ("tool_output_not_found", "input")
        assert f"No tool output found for {WORDS[kind]} call {call['call_id']}." in str(error)


@pytest.mark.requirement("client-tools:pairs:orphan")
@every_kind
async def test_an_output_without_a_call_is_named(house: Rig, kind: str) -> None:
    _, call = await called(house, kind)
    error = await refused(house, input=[answered({**call, "call_id": "call_none"})])
    field = "id" if kind == "local_shell" else "call_id"
    assert (error.code, error.param) == ("tool_call_not_found", f"input[0].{field}")
    assert f"{WORDS[kind]} call output with {field} call_none" in str(error)


@pytest.mark.requirement("client-tools:pairs:kind")
@every_kind
async def test_an_output_of_another_kind_is_refused(house: Rig, kind: str) -> None:
    made, call = await called(house, kind)
    output = {"type": "function_call_output", "call_id": call["call_id"], "output": "x"}
    for body in (
        {"input": [output], "previous_response_id": made.id},
        {"input": [call, output]},
    ):
        error = await refused(house, **body)
        at = len(body["input"]) - 1
        assert (error.code, error.param) == ("invalid_value", f"input[{at}].type")
        right = answered(call)["type"]
        assert f"is a '{call['type']}', which is answered by a '{right}'" in str(error)


@pytest.mark.requirement("client-tools:pairs:local-shell")
async def test_a_local_shells_output_names_its_call_in_any_way(house: Rig) -> None:
    made, call = await called(house, "local_shell")
    for names in ({"id": call["call_id"]}, {"id": call["id"]}, {"call_id": call["call_id"]}):
        output = {"type": "local_shell_call_output", "output": "hello", **names}
        chained = await house.create("tool", input=[output], previous_response_id=made.id)
        assert text_of(chained) == "The tool said: hello"
        (listed,) = [i for i in await house.items(chained.id) if i["type"] == output["type"]]
        assert listed["call_id"] == call["call_id"] and listed["id"] != call["id"]
        alone = await house.create("tool", input=[call, output], store=False)
        assert text_of(alone) == "The tool said: hello"


@pytest.mark.requirement("client-tools:pairs:by-name")
async def test_an_output_may_say_the_name_of_its_function(house: Rig) -> None:
    tool = {"type": "function", "name": "f", "parameters": {"type": "object"}}
    made = await house.create("tools-parallel", tools=[tool])
    calls = [raw(item) for item in made.output]
    output: dict[str, Any] = {"type": "function_call_output", "name": "f"}
    outputs = [{**output, "output": "one"}, {**output, "call_id": None, "output": "two"}]
    chained = await house.create("tool", input=outputs, previous_response_id=made.id)
    assert text_of(chained) == "The tool said: one; two"
    listed = (await house.items(chained.id))[-2:]
    assert [item["call_id"] for item in listed] == [call["call_id"] for call in calls]
    alone = await house.create("tool", input=[calls[0], outputs[0]])
    assert text_of(alone) == "The tool said: one"
    others: list[dict[str, Any]] = [{"name": "g"}, {"name": "f", "namespace": "n"}]
    for names in others:
        error = await refused(house, input=[calls[0], {**outputs[0], **names}])
        assert (error.code, error.param) == ("tool_call_not_found", "input[1].name")
    error = await refused(house, input=[calls[0], outputs[0], outputs[1]])
    assert error.param == "input[2].name"
    error = await refused(house, input=[{"type": "function_call_output", "output": "x"}])
    assert (error.code, error.param) == ("missing_required_parameter", "input[0].call_id")


@pytest.mark.requirement("client-tools:round-trip")
@every_kind
async def test_output_may_come_back_with_nulls_and_extras(house: Rig, kind: str) -> None:
    _, call = await called(house, kind)
    verbose = {
        **call,
        "created_by": None,
        "caller": None,
        "future": {"a": None},
        "agent": {"name": "x"},
    }
    output = {**answered(call), "status": "completed", "created_by": None, "future": [None]}
    body = [{"role": "user", "content": "x"}, verbose, output]
    after = await house.create("transcript", input=body)
    assert after.status == "completed", after.error
    assert text_of(after).count("call ") == 1 and text_of(after).count("result: ") == 1
    listed = await house.items(after.id)
    assert [item["type"] for item in listed] == ["message", call["type"], output["type"]]
    for item, sent in zip(listed[1:], (call, output), strict=True):
        for field in sent.keys() - {"id", "created_by", "future", "output"}:
            assert item[field] == sent[field]
    if "computer" not in kind:  # whose images are not listed
        again = await house.create("transcript", input=listed)
        assert text_of(again) == text_of(after)


@pytest.mark.requirement("client-tools:pairs:retold")
@every_kind
async def test_what_the_history_has_is_told_once(house: Rig, kind: str) -> None:
    made, call = await called(house, kind)
    after = await house.create(
        "transcript",
        input=[{"role": "user", "content": "hello big world"}, call, answered(call)],
        previous_response_id=made.id,
    )
    lines = text_of(after)
    assert lines.count("call ") == 1 and lines.count("result: ") == 1
    once_more = await house.create(
        "transcript", input=[answered(call), {"role": "user", "content": "and?"}],
        previous_response_id=after.id,
    )  # fmt: skip
    assert text_of(once_more).count("user: and?") == 1
    twice = [call, answered(call), {**call, "id": "x_1"}, answered(call)]
    alone = await house.create("transcript", input=twice)
    assert text_of(alone).count("call ") == 1


@pytest.mark.requirement("client-tools:pairs:listed")
async def test_a_conversation_and_references_hold_them(house: Rig) -> None:
    _, call = await called(house, "apply_patch")
    reference = {"type": "item_reference", "id": call["id"]}
    after = await house.create("transcript", input=[reference, answered(call)])
    assert "call apply_patch:" in text_of(after)
    failed = {**answered(call), "status": "failed"}
    last = await house.create("transcript", input=[call, failed])
    assert (await house.items(last.id))[-1]["status"] == "failed"
    assert "Failed: nothing was changed." in text_of(last)


# Fitting ------------------------------------------------------------------------------------


@pytest.mark.requirement("client-tools:pairs:truncated")
@every_kind
async def test_truncation_parts_no_call_from_its_output(house: Rig, kind: str) -> None:
    _, call = await called(house, kind)
    turns: list[dict[str, Any]] = []
    for number in range(4):
        one = {**call, "call_id": f"call_{number}", "id": f"x_{number}"}
        turns += [{"role": "user", "content": f"q {number}"}, one, answered(one, "long " * 99)]
    items = open_items([*turns, {"role": "user", "content": "last"}])
    for item in items:
        if getattr(item, "call_id", None) is msgspec.UNSET:
            item.call_id = item.id  # type: ignore[union-attr]
    left = shortened(items, 1)
    assert left is not None and 0 < len(left) < len(items)
    counts = [type(item) in CALLING for item in left if hasattr(item, "call_id")]
    assert counts == [True, False] * (len(counts) // 2)


@pytest.mark.requirement("client-tools:pairs:truncated")
@every_kind
async def test_a_compaction_keeps_the_call_that_is_being_answered(house: Rig, kind: str) -> None:
    filler = await house.create("echo", input="filler words " * 900)
    made, call = await called(house, kind, previous_response_id=filler.id)
    after = await house.create(
        "tool",
        input=[answered(call)],
        previous_response_id=made.id,
        tools=[TOOLS[kind]],
        context_management=[{"type": "compaction", "compact_threshold": 1_000}],
    )
    assert raw(after.output[0])["type"] == "compaction"
    assert text_of(after).startswith("The tool said: ")
    last = await house.create("transcript", previous_response_id=after.id, input="and?")
    shown = text_of(last)
    assert "filler" not in shown and shown.count("result: ") == 1
    assert shown.count(f"call {'computer' if 'computer' in kind else kind}: ") == 1


# Computers ----------------------------------------------------------------------------------


@pytest.mark.requirement("client-tools:safety")
async def test_safety_checks_have_to_be_acknowledged_each(house: Rig) -> None:
    made = await house.create("safety", tools=[TOOLS["computer"]])
    call = raw(made.output[0])
    checks = call["pending_safety_checks"]
    assert [check["id"] for check in checks] == ["sc_money", "sc_login"]
    assert checks[0]["message"] == "This buys something."
    for acknowledged in ([], [{"id": "sc_login"}], [{"id": "sc_other"}]):
        output = {**answered(call), "acknowledged_safety_checks": acknowledged}
        for body in (
            {"input": [output], "previous_response_id": made.id},
            {"input": [call, output]},
        ):
            error = await refused(house, **body)
            at = len(body["input"]) - 1
            assert error.code == "safety_checks_not_acknowledged"
            assert error.param == f"input[{at}].acknowledged_safety_checks"
            assert "sc_money" in str(error)
    output = {**answered(call), "acknowledged_safety_checks": checks}
    after = await house.create("safety", input=[output], previous_response_id=made.id)
    assert text_of(after) == "The tool said: [an image]"
    assert (await house.items(after.id))[-1]["acknowledged_safety_checks"][0]["id"] == "sc_money"


@pytest.mark.requirement("client-tools:screenshot")
@pytest.mark.parametrize(
    ("screen", "code", "field"),
    [
        ({}, "missing_required_parameter", ""),
        ({"image_url": PIXEL, "file_id": "f"}, "mutually_exclusive_parameters", ""),
        ({"file_id": "file_1"}, "unsupported_value", ".file_id"),
        ({"image_url": "nothing"}, "", ".image_url"),
    ],
)
async def test_a_screenshot_is_one_image(
    house: Rig, screen: dict[str, str], code: str, field: str
) -> None:
    made, call = await called(house, "computer")
    output = {**answered(call), "output": {"type": "computer_screenshot", **screen}}
    error = await refused(house, input=[output], previous_response_id=made.id)
    assert error.param == f"input[0].output{field}" and (not code or error.code == code)


@pytest.mark.requirement("client-tools:screenshot")
async def test_a_screenshot_by_address_is_shown(house: Rig) -> None:
    made, call = await called(house, "computer")
    screen = {"type": "computer_screenshot", "image_url": "https://example.com/a.png"}
    output = {**answered(call), "output": {**screen, "detail": "original"}}
    after = await house.create("tool", input=[output], previous_response_id=made.id)
    assert text_of(after) == "The tool said: [an image]"


@pytest.mark.requirement("client-tools:screenshot")
async def test_screenshots_are_listed_only_if_included(house: Rig) -> None:
    made, call = await called(house, "computer")
    after = await house.create("echo", input=[answered(call)], previous_response_id=made.id)
    bare = (await house.items(after.id))[-1]
    assert bare["output"] == {"type": "computer_screenshot"}
    whole = (await house.items(after.id, include="computer_call_output.output.image_url"))[-1]
    assert whole["output"]["image_url"] == PIXEL


# Functions that answer later ----------------------------------------------------------------

LATER = {"type": "function", "name": "render", "parameters": {"type": "object"}, "async": True}


@pytest.mark.requirement("client-tools:later")
async def test_a_call_may_be_answered_in_a_later_turn(house: Rig) -> None:
    made = await house.create("tool", tools=[LATER], input="render it")
    call = raw(made.output[0])
    assert call["async"] is True and raw(made.tools[0])["async"] is True
    waiting = await house.create("echo", input="meanwhile", previous_response_id=made.id)
    assert waiting.status == "completed"
    output = {"type": "function_call_output", "call_id": call["call_id"], "output": "a cat"}
    done = await house.create(
        "transcript", input=[output, {"role": "user", "content": "and?"}],
        previous_response_id=waiting.id,
    )  # fmt: skip
    assert text_of(done).endswith("result: a cat\nuser: and?")
    error = await refused(house, input=[{**output, "call_id": "call_x"}])
    assert error.code == "tool_call_not_found"
    wanted = [{"type": "compaction", "compact_threshold": 1_000}]
    filler = await house.create(
        "echo", input="filler words " * 900, previous_response_id=waiting.id,
        context_management=wanted,
    )  # fmt: skip
    assert raw(filler.output[0])["type"] == "compaction"
    late = await house.create("transcript", input=[output], previous_response_id=filler.id)
    assert "call render:" in text_of(late) and text_of(late).endswith("result: a cat")


@pytest.mark.requirement("client-tools:later:prefix")
@pytest.mark.parametrize("memory", [0, 1 << 20])
async def test_prompts_extend_whenever_a_call_is_answered(memory: int) -> None:
    async with talking(":memory:", memory) as talk:
        tools = [LATER, {**LATER, "name": "other", "async": False}]
        made = await talk.say("tools-parallel", input="both", tools=tools)
        calls = {call["name"]: call["call_id"] for call in map(raw, made.output)}
        now = {"type": "function_call_output", "call_id": calls["other"], "output": "now"}
        await talk.say("echo", input=[now], tools=tools)
        await talk.say("echo", input="meanwhile", tools=tools)
        late = {"type": "function_call_output", "call_id": calls["render"], "output": "late"}
        await talk.say("echo", input=[late, {"role": "user", "content": "so?"}], tools=tools)
        await talk.say("echo", input="and on", tools=tools)
        assert_extends(talk.prompts())
        assert any(b"is there now:]" in message for message in talk.prompts()[-1])


@pytest.mark.requirement("client-tools:later:prefix")
@pytest.mark.parametrize("memory", [0, 1 << 20])
async def test_prompts_extend_with_calls_of_every_kind(memory: int) -> None:
    async with talking(":memory:", memory) as talk:
        for kind, tool in TOOLS.items():
            made = await talk.say("tool", input=f"use {kind}", tools=[tool])
            await talk.say("echo", input=[answered(raw(made.output[0]))], tools=[tool])
        await talk.say("echo", input="done")
        assert_extends(talk.prompts())
        assert sum(b'"tool_calls"' in message for message in talk.prompts()[-1]) == len(TOOLS)


# Backends that know the tools ---------------------------------------------------------------


@pytest.mark.requirement("client-tools:native")
@every_kind
async def test_a_backend_that_knows_a_tool_gets_it_as_it_is(kind: str) -> None:
    able = Capabilities(native=frozenset({kind}))
    function = {"type": "function", "name": "other", "parameters": {"type": "object"}}
    tools = open_tools([function, TOOLS[kind]])
    made = offer(placed(tools), able, {})
    name = NATIVE[kind].name
    assert [tool.name for tool in made.tools] == ["other"] and made.native == tools[1:]
    assert name in made.forms  # its calls become the same items
    choice = open_choice({"type": kind}, tools)
    assert callable_names(made, "auto") == {"other", name}
    assert callable_names(made, "none") == frozenset()
    assert callable_names(made, choice) == {name} and chosen(made, choice) == []
    assert chosen_native(made, choice) == tools[1:]


@pytest.mark.requirement("client-tools:blind")
@pytest.mark.parametrize("kind", ["computer", "computer_use_preview"])
async def test_a_computer_is_not_offered_to_a_model_that_cannot_see(kind: str) -> None:
    with pytest.raises(ClientError) as caught:
        offer(placed(open_tools([TOOLS["shell"], TOOLS[kind]])), Capabilities(images=False), {})
    assert (caught.value.code, caught.value.param) == ("unsupported_value", "tools[1].type")
