"""What we send: nothing a strict server refuses, nothing the caller did not ask for."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.backends.base import Turn
from antiphon.backends.chat_body import BRIEF, Body, chat_body, offered
from antiphon.backends.messages import NO_OUTPUT, messages_of, wire_name
from antiphon.backends.profiles import PROFILES, Profile
from antiphon.types.content import InputImage, InputText, OutputText, ReasoningText, Refusal
from antiphon.types.items import (
    CustomToolCall,
    CustomToolCallOutput,
    FunctionCall,
    FunctionCallOutput,
    Item,
    Message,
    Opaque,
    Reasoning,
)
from antiphon.types.tools import (
    CustomTool,
    FunctionTool,
    GrammarInput,
    JsonObjectFormat,
    JsonSchemaFormat,
    NamedChoice,
)
from tests.backends.conversations import turns
from tests.backends.strict_rules import complaint

GENERIC = PROFILES["generic"]
MERGING = msgspec.structs.replace(GENERIC, merge_system=True)
PICTURE = InputImage(image_url="data:image/png;base64,AAAA", detail="original")
SHOWN = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "high"}}


def user(text: str) -> Message:
    return Message(role="user", content=text)


def called(call_id: str, name: str = "f", arguments: str = "{}") -> FunctionCall:
    return FunctionCall(call_id=call_id, name=name, arguments=arguments, id="fc_1")


def result(call_id: str, output: Any = "ok") -> FunctionCallOutput:
    return FunctionCallOutput(call_id=call_id, output=output, status="completed")


def sent(*items: Item, profile: Profile = GENERIC, **fields: Any) -> list[dict[str, Any]]:
    return messages_of(Turn(model="m", items=items, **fields), profile)


def wire_call(call_id: str, name: str = "f", arguments: str = "{}") -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    return {"id": call_id, "type": "function", "function": function}


def tool_message(call_id: str, content: str = "ok") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": content}


# Nothing a strict server refuses


@pytest.mark.requirement("chat:send:strict")
@settings(max_examples=150, deadline=None)
@given(turns())
def test_a_strict_server_accepts_every_legal_turn(turn: Turn) -> None:
    body = msgspec.json.decode(msgspec.json.encode(chat_body(turn, GENERIC)))
    assert complaint(body) is None


@pytest.mark.requirement("chat:send:strict")
@settings(max_examples=150, deadline=None)
@given(name=st.sampled_from(sorted(PROFILES)), turn=turns())
def test_every_profile_adds_only_its_own_fields(name: str, turn: Turn) -> None:
    profile = PROFILES[name]
    body = msgspec.json.decode(msgspec.json.encode(chat_body(turn, profile)))
    for field in ("verbosity", "prompt_cache_key", "safety_identifier"):
        body.pop(field, None)
    if body.get("reasoning_effort") == "max":
        body["reasoning_effort"] = "high"
    for message in body["messages"]:
        if profile.developer_role and message["role"] == "developer":
            message["role"] = "system"
        if profile.reasoning_field:
            message.pop(profile.reasoning_field, None)
        for call in message.get("tool_calls", ()):
            call.pop("extra_content", None)
    assert complaint(body) is None


@pytest.mark.requirement("chat:send:nothing-else")
def test_a_bare_turn_sends_the_model_and_the_message_only() -> None:
    turn = Turn(model="m", items=[user("Hi")], live=False)
    assert chat_body(turn, GENERIC) == {
        "model": "m",
        "messages": [{"role": "user", "content": "Hi"}],
    }


@pytest.mark.requirement("chat:send:nothing-else")
def test_settings_arrive_under_the_names_of_chat_completions() -> None:
    turn = Turn(
        model="m",
        items=[user("Hi")],
        max_output_tokens=100,
        temperature=0.0,
        top_p=1.0,
        presence_penalty=0.0,
        frequency_penalty=-1.0,
        logprobs=True,
        top_logprobs=3,
        effort="minimal",
        verbosity="low",
        prompt_cache_key="k",
        safety_identifier="s",
    )
    body = chat_body(turn, PROFILES["openai"])
    del body["messages"]
    assert body == {
        "model": "m",
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_completion_tokens": 100,
        "temperature": 0.0,
        "top_p": 1.0,
        "presence_penalty": 0.0,
        "frequency_penalty": -1.0,
        "logprobs": True,
        "top_logprobs": 3,
        "reasoning_effort": "minimal",
        "verbosity": "low",
        "prompt_cache_key": "k",
        "safety_identifier": "s",
    }


@pytest.mark.requirement("chat:send:strict")
def test_a_context_that_says_nothing_is_still_a_conversation() -> None:
    assert sent(Message(role="assistant", content="")) == [{"role": "user", "content": ""}]


# The shape of a conversation


@pytest.mark.requirement("chat:send:parallel-calls")
def test_text_and_calls_of_one_turn_are_one_message_with_all_results_behind_it() -> None:
    said = Message(role="assistant", content=[OutputText(text="I look.")], id="msg_1")
    items: list[Item] = [
        user("?"),
        said,
        called("a"),
        called("b"),
        result("a", "A"),
        result("b", "B"),
    ]
    assert sent(*items) == [
        {"role": "user", "content": "?"},
        {
            "role": "assistant",
            "content": "I look.",
            "tool_calls": [wire_call("a"), wire_call("b")],
        },
        tool_message("a", "A"),
        tool_message("b", "B"),
    ]


@pytest.mark.requirement("chat:send:results-in-order")
def test_results_stand_behind_their_calls_wherever_they_were() -> None:
    found = sent(called("a"), called("b"), user("wait"), result("b", "B"), result("a", "A"))
    assert found == [
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [wire_call("a"), wire_call("b")],
        },
        tool_message("a", "A"),
        tool_message("b", "B"),
        {"role": "user", "content": "wait"},
    ]


@pytest.mark.requirement("chat:send:results-in-order")
def test_calls_made_one_after_the_other_stay_two_turns() -> None:
    found = sent(called("a"), result("a"), called("b"), result("b"))
    assert [message["role"] for message in found] == ["assistant", "tool", "assistant", "tool"]


@pytest.mark.requirement("chat:send:results-in-order")
def test_an_id_used_again_gets_its_own_result() -> None:
    found = sent(called("a"), result("a", "first"), user("more"), called("a"), result("a", "then"))
    contents = [message["content"] for message in found if message["role"] == "tool"]
    assert contents == ["first", "then"]


@pytest.mark.requirement("chat:send:results-in-order")
def test_a_call_without_output_still_has_a_result() -> None:
    assert sent(called("a"), result("a", ""))[1] == tool_message("a", NO_OUTPUT)
    assert sent(called("a"))[1] == tool_message("a", NO_OUTPUT)


@pytest.mark.requirement("chat:send:tool-images")
def test_images_in_results_follow_all_results_in_a_user_message() -> None:
    parts = [InputText(text="Here"), PICTURE]
    found = sent(called("a"), called("b"), result("a", parts), result("b", [PICTURE]))
    assert found[1:] == [
        tool_message("a", "Here"),
        tool_message("b", "(see the next message)"),
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Image(s) returned by tool call a:"},
                SHOWN,
                {"type": "text", "text": "Image(s) returned by tool call b:"},
                SHOWN,
            ],
        },
    ]


@pytest.mark.requirement("chat:send:content")
def test_one_text_is_a_string_and_images_are_parts() -> None:
    one = Message(role="user", content=[InputText(text="Hi")])
    two = Message(role="user", content=[InputText(text="Look"), PICTURE])
    assert sent(one, two) == [
        {"role": "user", "content": "Hi"},
        {"role": "user", "content": [{"type": "text", "text": "Look"}, SHOWN]},
    ]


@pytest.mark.requirement("chat:send:content")
def test_a_refusal_goes_back_as_text_and_an_opaque_item_not_at_all() -> None:
    refused = Message(role="assistant", content=[Refusal(refusal="No.")], phase="final_answer")
    found = sent(user("?"), refused, Opaque("mcp_call", {"type": "mcp_call"}), user("Why?"))
    assert [message["content"] for message in found] == ["?", "No.", "Why?"]
    assert set(found[1]) == {"role", "content"}


@pytest.mark.requirement("chat:send:system")
def test_instructions_come_first_and_developers_become_system() -> None:
    items: list[Item] = [user("a"), Message(role="developer", content="b"), user("c")]
    assert sent(*items, instructions="i") == [
        {"role": "system", "content": "i"},
        {"role": "user", "content": "a"},
        {"role": "system", "content": "b"},
        {"role": "user", "content": "c"},
    ]
    roles = [m["role"] for m in sent(*items, instructions="i", profile=PROFILES["openai"])]
    assert roles == ["developer", "user", "developer", "user"]


@pytest.mark.requirement("chat:send:system")
def test_system_messages_are_merged_to_the_front_for_templates_that_need_it() -> None:
    items: list[Item] = [user("a"), Message(role="developer", content="b"), user("c")]
    assert sent(*items, instructions="i", profile=MERGING) == [
        {"role": "system", "content": "i\n\nb"},
        {"role": "user", "content": "a"},
        {"role": "user", "content": "c"},
    ]


@pytest.mark.requirement("chat:send:reasoning")
def test_reasoning_goes_back_only_inside_its_tool_turn() -> None:
    def thought(text: str) -> Reasoning:
        return Reasoning(summary=None, content=[ReasoningText(text=text)])

    items: list[Item] = [
        user("1"),
        thought("old"),
        Message(role="assistant", content="A"),
        user("2"),
    ]
    items += [thought("new"), called("a"), result("a")]
    found = sent(*items, profile=PROFILES["deepseek"])
    assert [message.get("reasoning_content") for message in found] == [
        *(None, None, None),
        "new",
        None,
    ]
    assert "new" not in str(sent(*items)), "the generic profile drops it"


@pytest.mark.requirement("chat:send:arguments")
@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        ('{"a": 1}', '{"a": 1}'),
        ("", "{}"),
        ('{"cut": "he', '{"input":"{\\"cut\\": \\"he"}'),
        ("[1]", '{"input":"[1]"}'),
    ],
)
def test_arguments_in_the_history_are_always_an_object(written: str, wanted: str) -> None:
    message = sent(called("a", arguments=written), result("a"))[0]
    assert message["tool_calls"][0]["function"]["arguments"] == wanted


@pytest.mark.requirement("chat:send:call-ids")
def test_ids_of_nine_characters_are_made_the_same_way_every_time() -> None:
    found = sent(called("call_abc"), result("call_abc"), profile=PROFILES["mistral"])
    call_id = found[0]["tool_calls"][0]["id"]
    assert len(call_id) == 9 and call_id.isalnum()
    assert found[1]["tool_call_id"] == call_id
    kept = sent(called("D681PevKs"), result("D681PevKs"), profile=PROFILES["mistral"])
    assert kept[0]["tool_calls"][0]["id"] == "D681PevKs"


# Tools


def body_of(profile: Profile = GENERIC, **fields: Any) -> Body:
    return chat_body(Turn(model="m", items=[user("Hi")], **fields), profile)


FUNCTION = FunctionTool(name="f", description="d", parameters={"type": "object"}, strict=True)
CUSTOM = CustomTool(name="c", description="d", format=GrammarInput("lark", 'start: "a"'))


@pytest.mark.requirement("chat:send:tools")
def test_functions_are_nested_and_freeform_tools_are_wrapped() -> None:
    body = body_of(tools=[FUNCTION, CUSTOM], tool_choice=NamedChoice("custom", "c"))
    function, custom = body["tools"]
    assert function == {
        "type": "function",
        "function": {
            "name": "f",
            "description": "d",
            "parameters": {"type": "object"},
            "strict": True,
        },
    }
    assert custom["function"]["parameters"]["required"] == ["input"]
    assert 'start: "a"' in custom["function"]["description"]
    assert body["tool_choice"] == {"type": "function", "function": {"name": "c"}}
    assert "parallel_tool_calls" not in body


@pytest.mark.requirement("chat:send:tools")
def test_a_freeform_call_in_the_history_is_wrapped_too() -> None:
    call = CustomToolCall(call_id="a", name="c", input='say "hi"\n')
    found = sent(call, CustomToolCallOutput(call_id="a", output="done"))
    assert found[0]["tool_calls"] == [wire_call("a", "c", '{"input":"say \\"hi\\"\\n"}')]
    assert found[1] == tool_message("a", "done")


@pytest.mark.requirement("chat:send:tool-settings")
def test_tool_settings_are_sent_only_with_tools_and_only_when_they_say_something() -> None:
    assert not {"tools", "tool_choice", "parallel_tool_calls"} & set(
        body_of(tool_choice="none", parallel_tool_calls=False)
    )
    body = body_of(tools=[FUNCTION], parallel_tool_calls=False, tool_choice="required")
    assert (body["parallel_tool_calls"], body["tool_choice"]) == (False, "required")


@pytest.mark.requirement("chat:send:tool-settings")
def test_a_server_without_named_choice_gets_that_tool_alone() -> None:
    choice = NamedChoice("custom", "c")
    body = body_of(PROFILES["llamacpp"], tools=[FUNCTION, CUSTOM], tool_choice=choice)
    assert [tool["function"]["name"] for tool in body["tools"]] == ["c"]
    assert (body["tool_choice"], body["parallel_tool_calls"]) == ("required", True)


@pytest.mark.requirement("chat:send:names")
def test_long_names_are_shortened_and_found_again() -> None:
    long, other = "a" * 100, "a" * 99 + "b"
    tools = [FunctionTool(name=long), FunctionTool(name=other), FunctionTool(name="short")]
    found = offered(Turn(model="m", items=[user("Hi")], tools=tools))
    assert [tool.name for tool in found.values()] == [long, other, "short"]
    assert all(len(name) <= 64 for name in found)
    assert wire_name("tool:with spaces") == wire_name("tool:with spaces") != "tool:with spaces"


# Formats


SCHEMA = JsonSchemaFormat(name="n", schema={"type": "object"}, strict=True, description="d")


@pytest.mark.requirement("chat:send:formats")
def test_a_schema_is_nested_the_way_chat_completions_want_it() -> None:
    assert body_of(format=SCHEMA)["response_format"] == {
        "type": "json_schema",
        "json_schema": {
            "name": "n",
            "schema": {"type": "object"},
            "strict": True,
            "description": "d",
        },
    }


@pytest.mark.requirement("chat:send:formats")
def test_a_server_without_schemas_is_told_in_words() -> None:
    body = body_of(PROFILES["deepseek"], format=SCHEMA, instructions="i")
    assert body["response_format"] == {"type": "json_object"}
    system = body["messages"][0]["content"]
    assert system.startswith("i\n\n") and '{"type":"object"}' in system
    body = body_of(PROFILES["anthropic"], format=SCHEMA)
    assert "response_format" not in body and '{"type":"object"}' in str(body["messages"])


@pytest.mark.requirement("chat:send:formats")
def test_json_mode_says_the_word_json_if_nobody_did() -> None:
    assert "JSON" in body_of(format=JsonObjectFormat())["messages"][0]["content"]
    items: list[Item] = [user("Answer as json")]
    body = chat_body(Turn(model="m", items=items, format=JsonObjectFormat()), GENERIC)
    assert len(body["messages"]) == 1


@pytest.mark.requirement("chat:send:hints")
def test_hints_a_server_does_not_take_are_said_in_words_or_left_out() -> None:
    body = body_of(verbosity="low", effort="xhigh", prompt_cache_key="k", safety_identifier="s")
    assert body["messages"][0] == {"role": "system", "content": BRIEF}
    assert body["reasoning_effort"] == "high"
    assert not {"verbosity", "prompt_cache_key", "safety_identifier", "user"} & set(body)
    assert "reasoning_effort" not in body_of(effort="none")
