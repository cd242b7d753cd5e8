"""What a model has of the tools that are declared, brought by items, or found on the way."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.backends.base import Capabilities, Turn
from antiphon.backends.chat_body import chat_body, offered
from antiphon.backends.messages import wire_name
from antiphon.backends.profiles import PROFILES
from antiphon.config import RunSettings
from antiphon.errors import ClientError
from antiphon.ids import ItemIds
from antiphon.runs.demands import Demands
from antiphon.runs.echo import skeleton
from antiphon.runs.offering import offer, placed, type_of
from antiphon.runs.wishes import Wishes, wishes_of
from antiphon.stream.compose import Composer
from antiphon.stream.deltas import CallArguments, CallStart
from antiphon.stream.gate import Gate
from antiphon.types.codec import decode_create
from antiphon.types.events import Created, InProgress
from antiphon.types.items import FunctionCall, OutputMessage
from antiphon.types.tool_codec import open_tools
from antiphon.types.tool_items import ToolSearchCall, ToolSearchOutput
from tests.runs.rig import PROJECT, Rig, rig, text_of
from tests.tools.served import OURS, Served

pytestmark = pytest.mark.anyio

SEARCH = {"type": "tool_search"}
CLIENT_SEARCH = {
    "type": "tool_search",
    "execution": "client",
    "description": "Asks the user's catalogue.",
    "parameters": {"type": "object", "properties": {"goal": {"type": "string"}}},
}
EFFORT = {"type": "configuration_update", "reasoning": {"effort": "high"}}
SAY = {"role": "user", "content": "go on"}


def function(name: str, about: str = "", **more: Any) -> dict[str, Any]:
    return {"type": "function", "name": name, "description": about, **more}


def custom(name: str, **more: Any) -> dict[str, Any]:
    return {"type": "custom", "name": name, "description": "raw", **more}


def deferred(name: str, about: str = "") -> dict[str, Any]:
    return function(name, about, defer_loading=True)


def space(name: str, *tools: dict[str, Any], about: str = "Things") -> dict[str, Any]:
    return {"type": "namespace", "name": name, "description": about, "tools": list(tools)}


def bring(*tools: dict[str, Any]) -> dict[str, Any]:
    return {"type": "additional_tools", "role": "developer", "tools": list(tools)}


async def turn_of(house: Rig, **body: Any) -> dict[str, Any]:
    """The first model call of a request with the model ``settings``."""
    made = await house.create("settings", **body)
    turn: dict[str, Any] = msgspec.json.decode(text_of(made))
    return turn


async def shown(house: Rig, **body: Any) -> list[str]:
    return [tool["name"] for tool in (await turn_of(house, **body))["tools"]]


async def refused(house: Rig, **body: Any) -> ClientError:
    with pytest.raises(ClientError) as raised:
        await house.create("echo", **body)
    return raised.value


# Namespaces


@pytest.mark.requirement("offering:namespace:calls")
@pytest.mark.parametrize("kind", [function, custom])
async def test_a_call_carries_the_namespace_and_the_callers_name(kind: Any) -> None:
    async with rig() as r:
        made = await r.create("tool", tools=[space("crm", kind("find"))])
        (call,) = made.output
        assert (call.name, call.namespace) == ("find", "crm")  # type: ignore[union-attr]
        replayed = [e.item for e in await r.replay(made.id) if hasattr(e, "item")]
        assert {(i.name, i.namespace) for i in replayed} == {("find", "crm")}
        answer = "function_call_output" if kind is function else "custom_tool_call_output"
        output = {"type": answer, "call_id": call.call_id, "output": "Ada"}  # type: ignore[union-attr]
        after = await r.create("tool", input=[output], previous_response_id=made.id)
        assert text_of(after) == "The tool said: Ada"


@pytest.mark.requirement("offering:namespace:described")
async def test_a_namespace_is_described_once_and_echoed_as_declared() -> None:
    group = space("crm", function("find", "Finds."), function("list"), about="Our customers")
    async with rig() as r:
        turn = await turn_of(r, tools=[group])
        told = [tool["description"] or "" for tool in turn["tools"]]
        assert "Finds." in told[0] and "Our customers" in told[0]
        assert "Our customers" not in told[1]
        echoed = (await r.create("echo", tools=[group])).tools[0]
        assert (echoed.name, echoed.description) == ("crm", "Our customers")
        assert [tool.name for tool in echoed.tools] == ["find", "list"]


@pytest.mark.requirement("offering:namespace:collision")
@pytest.mark.parametrize(
    ("tools", "param"),
    [
        ([space("a", function("b__c")), space("a__b", function("c"))], "tools[1].tools[0]"),
        ([space("a", function("b")), function("a__b")], "tools[1]"),
        ([SEARCH, function("tool_search")], "tools[1]"),
        ([function("shell"), {"type": "shell"}], "tools[1]"),
        ([SEARCH, space("a", deferred("b")), function("a__b")], "tools[2]"),
        ([SEARCH, function("a__b"), space("a", deferred("b"))], "tools[2].tools[0]"),
        ([SEARCH, deferred("shell"), {"type": "shell"}], "tools[2]"),
    ],
)
async def test_two_tools_of_one_name_are_refused(tools: list[Any], param: str) -> None:
    async with rig() as r:
        error = await refused(r, tools=tools)
        assert (error.param, error.code) == (param, "invalid_value")
        assert "names must be unique" in error.message


def _nothing(able: Capabilities) -> Demands:
    return Demands()


NAMES = st.text("aAb_-1", min_size=1, max_size=5) | st.text("xy_", min_size=60, max_size=128)


@pytest.mark.requirement("offering:namespace:reversible")
@pytest.mark.requirement("offering:namespace:long-names")
@given(st.sets(st.tuples(st.just("") | NAMES, NAMES), min_size=1, max_size=6))
def test_every_flattened_name_is_turned_back(names: set[tuple[str, str]]) -> None:
    groups: dict[str, list[str]] = {}
    for group, name in sorted(names):
        groups.setdefault(group, []).append(name)
    raw = [function(name) for name in groups.pop("", [])]
    raw += [space(group, *map(function, inside)) for group, inside in groups.items()]
    try:
        made = offer(placed(open_tools(raw)), Capabilities(), {})
    except ClientError as clash:
        assert "names must be unique" in clash.message
        return
    sent = offered(Turn(model="m", items=[], tools=made.tools))
    assert len(sent) == len(names), "two tools became one on the wire"
    assert all(len(name) <= 64 for name in sent)
    response = skeleton(_asked(input="x"), "resp_1", 0, Wishes(Demands(), _nothing), "openai")
    gate = Gate(response)
    gate.tell(Created, response)
    gate.tell(InProgress, response)
    composer = Composer(gate, ItemIds("resp_" + "0" * 34), taken=frozenset())
    composer.forms = made.forms
    for at, tool in enumerate(made.tools):
        known = sent[wire_name(tool.name)]
        composer.feed([CallStart(at, known.kind, known.name), CallArguments(at, "{}")])
    composer.finish([], cut=False)
    told = {(item.namespace or "", item.name) for item in response.output}  # type: ignore[union-attr]
    assert told == names


@pytest.mark.requirement("offering:namespace:choice")
async def test_a_choice_names_a_tool_in_a_namespace_or_a_whole_one() -> None:
    tools = [function("a"), space("crm", function("a"), function("b")), space("erp", custom("c"))]
    async with rig() as r:

        async def of(choice: Any) -> tuple[list[str], Any]:
            turn = await turn_of(r, tools=tools, tool_choice=choice)
            return [tool["name"] for tool in turn["tools"]], turn["tool_choice"]

        named = {"type": "function", "name": "b", "namespace": "crm"}
        made = await r.create("tool", tools=tools, tool_choice=named)
        assert [(i.namespace, i.name) for i in made.output] == [("crm", "b")]  # type: ignore[union-attr]
        assert made.tool_choice.namespace == "crm"
        allowed = {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "namespace"}]}
        allowed["tools"] = [{"type": "namespace", "name": "crm"}, {"type": "custom", "name": "c"}]
        error = await refused(r, tools=tools, tool_choice=allowed)
        assert error.param == "tool_choice.tools[1]"
        allowed["tools"] = [{"type": "namespace", "name": "crm"}]
        assert await of(allowed) == (["crm__a", "crm__b"], "auto")
        allowed["tools"] = [{"type": "custom", "name": "c", "namespace": "erp"}]
        assert await of(allowed) == (["erp__c"], "auto")
        allowed["tools"] = [{"type": "namespace", "name": "hrm"}]
        assert (await refused(r, tools=tools, tool_choice=allowed)).param == "tool_choice.tools[0]"


# Search


@pytest.mark.requirement("offering:search:server")
async def test_what_a_search_finds_can_be_called_in_the_same_response() -> None:
    served = Served()
    async with rig(served.into) as r:
        ours = {**OURS, "description": "Tells the weather", "defer_loading": True}
        tools = [SEARCH, ours, deferred("send_mail", "Writes to somebody")]
        events = await r.stream("search-tools", input="weather", tools=tools)
        made = events[-1].response  # type: ignore[attr-defined]
        call, found = made.output[:2]
        assert isinstance(call, ToolSearchCall) and isinstance(found, ToolSearchOutput)
        assert (call.execution, found.execution) == ("server", "server")
        assert call.arguments == {"query": "weather"} and call.call_id == found.call_id
        assert [tool["name"] for tool in found.tools] == ["get_weather"]
        assert [item.type for item in map(_tagged, made.output)] == [
            "tool_search_call",
            "tool_search_output",
            "function_call",
            "function_call_output",
            "message",
        ]
        assert served.weather.asked[0][0] == '{"city":"Oslo"}'
        again = await r.replay(made.id)
        assert [e.sequence_number for e in again] == [e.sequence_number for e in events]


class _tagged:
    def __init__(self, item: Any) -> None:
        self.type = item.__struct_config__.tag


@pytest.mark.requirement("offering:search:hidden")
async def test_a_deferred_tool_is_neither_shown_nor_callable_before() -> None:
    async with rig() as r:
        tools = [SEARCH, function("a"), space("crm", deferred("find"), function("seen"))]
        assert await shown(r, tools=tools) == ["tool_search", "a", "crm__seen"]
        turn = await turn_of(r, tools=tools)
        assert "1 tool in the namespace 'crm'" in turn["tools"][0]["description"]
        made = await r.create("unknown-tool", tools=[SEARCH, deferred("no_such_tool")])
        assert not any(isinstance(item, FunctionCall) for item in made.output)


@pytest.mark.requirement("offering:search:hidden")
async def test_a_deferred_tool_is_checked_before_it_is_found() -> None:
    broken = {**deferred("a"), "strict": True, "parameters": {"properties": {"x": {"type": 1}}}}
    async with rig() as r:
        error = await refused(r, tools=[SEARCH, broken])
        assert error.param == "tools[1].parameters"


@pytest.mark.requirement("offering:search:persists")
async def test_what_was_found_stays_loaded() -> None:
    async with rig() as r:
        tools = [SEARCH, space("crm", deferred("find_customer"), deferred("erase_all"))]
        made = await r.create("search-tools", input="customer", tools=tools)
        call = made.output[-1]
        assert isinstance(call, FunctionCall) and call.namespace == "crm"
        output = {"type": "function_call_output", "call_id": call.call_id, "output": "Ada"}
        chained: dict[str, Any] = {"previous_response_id": made.id, "input": [output]}
        assert await shown(r, tools=tools, **chained) == ["tool_search", "crm__find_customer"]
        assert await shown(r, **chained) == ["crm__find_customer"]
        newer = space("crm", deferred("find_customer", "Another description."))
        turn = await turn_of(r, tools=[SEARCH, newer], **chained)
        assert turn["tools"][1]["description"].startswith("Another description.")
        whole = await r.items((await r.create("echo", **chained)).id)
        sent = {"input": [*whole, SAY], "store": False}
        assert await shown(r, **sent) == ["crm__find_customer"]


@pytest.mark.requirement("offering:search:client")
async def test_a_search_of_the_clients_ends_the_response_and_its_output_loads() -> None:
    async with rig() as r:
        made = await r.create("tool", tools=[CLIENT_SEARCH, deferred("a")])
        (call,) = made.output
        assert isinstance(call, ToolSearchCall) and call.execution == "client"
        turn = await turn_of(r, tools=[CLIENT_SEARCH])
        assert turn["tools"][0]["description"] == "Asks the user's catalogue."
        assert "goal" in turn["tools"][0]["parameters"]["properties"]
        output = {
            "type": "tool_search_output",
            "call_id": call.call_id,
            "execution": "client",
            "tools": [space("mail", deferred("send")), deferred("a"), custom("raw")],
        }
        chained: dict[str, Any] = {"previous_response_id": made.id, "input": [output]}
        assert await shown(r, **chained) == ["mail__send", "a", "raw"]
        then = await r.create("echo", **chained)
        later = {"previous_response_id": then.id, "input": "more"}
        assert await shown(r, **later) == ["mail__send", "a", "raw"]
        bad = {**output, "tools": [{"type": "function"}]}
        error = await refused(r, previous_response_id=made.id, input=[bad])
        assert error.param == "input[0].tools[0].name"


@pytest.mark.requirement("offering:search:nothing")
async def test_a_search_that_finds_nothing_says_so() -> None:
    async with rig() as r:
        made = await r.create("search-tools", input="zebra", tools=[SEARCH, deferred("a")])
        found = made.output[1]
        assert isinstance(found, ToolSearchOutput) and found.tools == []
        assert text_of(made) == "I found no tool. Those I was shown: tool_search"


@pytest.mark.requirement("offering:search:forced")
async def test_a_choice_of_a_deferred_tool_or_of_the_search_is_met() -> None:
    async with rig() as r:
        tools = [SEARCH, deferred("a"), function("b")]
        made = await r.create("tool", tools=tools, tool_choice={"type": "function", "name": "a"})
        assert [item.name for item in made.output] == ["a"]  # type: ignore[union-attr]
        choice = {"type": "tool_search"}
        made = await r.create("search-tools", input="a", tools=tools, tool_choice=choice)
        assert isinstance(made.output[0], ToolSearchCall)
        last = made.output[-1]
        assert isinstance(last, FunctionCall) and last.name == "a"


@pytest.mark.requirement("offering:search:needed")
async def test_a_deferred_tool_needs_a_search() -> None:
    async with rig() as r:
        error = await refused(r, tools=[function("b"), space("x", function("y"), deferred("a"))])
        assert error.param == "tools[1].tools[1].defer_loading"
        error = await refused(r, input=[bring(deferred("a")), SAY])
        assert error.param == "input[0].tools[0].defer_loading"
        assert await shown(r, input=[bring(deferred("a"), SEARCH), SAY]) == ["tool_search"]


# Items that bring something


@pytest.mark.requirement("offering:additional:effective")
async def test_additional_tools_are_there_from_their_item_on() -> None:
    async with rig() as r:
        first = await r.create("tool", input=[bring(space("crm", function("find"))), SAY])
        (call,) = first.output
        assert (call.namespace, call.name) == ("crm", "find")  # type: ignore[union-attr]
        assert first.tools == []
        listed = await r.items(first.id)
        assert listed[0]["type"] == "additional_tools" and listed[0]["id"].startswith("at_")
        assert "status" not in listed[0]
        output = {"type": "function_call_output", "call_id": call.call_id, "output": "x"}  # type: ignore[union-attr]
        second = await r.create("echo", input=[output], previous_response_id=first.id)
        more = {"tools": [function("own")], "previous_response_id": second.id}
        assert await shown(r, input="go on", **more) == ["own", "crm__find"]
        again = space("crm", function("find", "Newer."), function("list"))
        newer = await turn_of(r, input=[bring(again), SAY], **more)
        names = [tool["name"] for tool in newer["tools"]]
        assert names == ["own", "crm__find", "crm__list"]
        assert newer["tools"][1]["description"].startswith("Newer.")
        r.runs.memory.forget(PROJECT, second.id)
        assert await shown(r, input="go on", **more) == ["own", "crm__find"]


@pytest.mark.requirement("offering:additional:effective")
async def test_the_same_item_sent_again_is_not_doubled() -> None:
    async with rig() as r:
        item = {**bring(function("a")), "id": "at_mine"}
        first = await r.create("echo", input=[item, SAY])
        again = [item, {"role": "user", "content": "more"}]
        second = await r.create("echo", input=again, previous_response_id=first.id)
        kinds = [one["type"] for one in await r.items(second.id)]
        assert kinds.count("additional_tools") == 1
        changed = [{**item, **bring(function("b"))}, SAY]
        names = await shown(r, input=changed, previous_response_id=second.id)
        assert names == ["a", "b"]


@pytest.mark.requirement("offering:additional:choice")
async def test_a_choice_may_name_what_only_an_item_brings() -> None:
    async with rig() as r:
        choice = {"type": "function", "name": "a"}
        made = await r.create("tool", input=[bring(function("a")), SAY], tool_choice=choice)
        assert [item.name for item in made.output] == ["a"]  # type: ignore[union-attr]
        made = await r.create("tool", input=[bring(function("a")), SAY], tool_choice="required")
        assert [item.name for item in made.output] == ["a"]  # type: ignore[union-attr]
        error = await refused(r, input=[{"role": "user", "content": "x"}], tool_choice=choice)
        assert error.param == "tool_choice"
        plain = await r.create("echo")
        error = await refused(r, previous_response_id=plain.id, tool_choice="required")
        assert error.param == "tool_choice"


@pytest.mark.requirement("offering:additional:no-text")
@pytest.mark.parametrize("profile", ["generic", "openai"])
async def test_what_items_bring_is_not_said_to_the_model(profile: Any) -> None:
    async with rig() as r:
        asked = _asked(input=[bring(function("a")), EFFORT, SAY])
        context = await r.runs.resolve(asked, PROJECT, "openai")
        body = chat_body(context.turn, PROFILES[profile])
        assert body["messages"] == [{"role": "user", "content": "go on"}]
        assert [tool["function"]["name"] for tool in body["tools"]] == ["a"]


@pytest.mark.requirement("offering:shell:container")
@pytest.mark.parametrize("native", [frozenset(), frozenset({"shell"})])
@pytest.mark.parametrize("kind", ["container_auto", "container_reference"])
def test_a_shell_in_a_container_is_no_shell_of_the_callers(
    native: frozenset[str], kind: str
) -> None:
    tool = {"type": "shell", "environment": {"type": kind}}
    with pytest.raises(ClientError) as caught:
        offer(placed(open_tools([tool])), Capabilities(native=native), {})
    assert caught.value.param == "tools[0].environment"


@pytest.mark.requirement("offering:additional:checked")
@pytest.mark.parametrize(
    ("item", "param"),
    [
        (bring({"type": "function"}), "input[0].tools[0].name"),
        (bring(function("a", parameters={"type": "array"})), "input[0].tools[0].parameters"),
        (bring({"type": "nonsense"}), "input[0].tools[0].type"),
        (bring({"type": "web_search"}), "input[0].tools[0].type"),
        (bring(function("a"), function("a")), "input[0].tools[1].name"),
        ({**EFFORT, "reasoning": {"effort": "vast"}}, "input[0].reasoning.effort"),
        ({**EFFORT, "reasoning": {"mood": "good"}}, "input[0].reasoning.mood"),
        ({**EFFORT, "text": {"format": {"type": "json_object"}}}, "input[0].text.format.type"),
        (
            {
                **EFFORT,
                "text": {
                    "format": {"type": "json_schema", "name": "n", "schema": {"type": "zebra"}}
                },
            },
            "input[0].text.format.schema",
        ),
    ],
)
async def test_what_items_bring_is_checked(item: dict[str, Any], param: str) -> None:
    async with rig() as r:
        assert (await refused(r, input=[item, SAY])).param == param


@pytest.mark.requirement("offering:additional:secrets")
@pytest.mark.parametrize("secret", [{"authorization": "s3cret"}, {"headers": {"x": "s3cret"}}])
async def test_an_item_may_not_hold_an_mcp_servers_secrets(secret: dict[str, Any]) -> None:
    server = {"type": "mcp", "server_label": "l", "server_url": "https://example.com/", **secret}
    async with rig() as r:
        error = await refused(r, input=[bring(server), SAY])
        assert error.param == "input[0].tools[0]" and "s3cret" not in error.message


@pytest.mark.requirement("offering:configuration:persists")
async def test_a_setting_holds_until_the_next_update() -> None:
    schema = {"type": "json_schema", "name": "n", "schema": {"type": "object"}}
    form = {"type": "configuration_update", "text": {"format": schema}}
    async with rig() as r:
        first = await r.create("json", input=[EFFORT, form, SAY], reasoning={"effort": "low"})
        assert first.reasoning.effort == "high"
        assert first.text["format"]["name"] == "n"
        assert text_of(first) == "{}"
        later: dict[str, Any] = {"previous_response_id": first.id, "reasoning": {"effort": "low"}}
        turn = (await r.create("json", input="go on", **later)).reasoning
        assert turn.effort == "high"
        lower = {"type": "configuration_update", "reasoning": {"effort": "minimal"}}
        plain = {"type": "configuration_update", "text": {"format": {"type": "text"}}}
        turn2 = await turn_of(r, input=[lower, plain, SAY], previous_response_id=first.id)
        assert (turn2["effort"], turn2["format"]) == ("minimal", {"type": "text"})
        listed = await r.items(first.id)
        assert [item["type"] for item in listed][:2] == ["configuration_update"] * 2
        assert listed[0]["reasoning"] == {"effort": "high"} and "status" not in listed[0]


# Choices and loops


@pytest.mark.requirement("offering:allowed:hard")
@pytest.mark.parametrize(
    ("tools", "entry", "name"),
    [
        ([function("a"), function("b")], {"type": "function", "name": "b"}, "b"),
        ([custom("a"), custom("b")], {"type": "custom", "name": "b"}, "b"),
        ([{"type": "apply_patch"}, {"type": "shell"}], {"type": "shell"}, "shell"),
        ([{"type": "shell"}, {"type": "local_shell"}], {"type": "local_shell"}, "local_shell"),
        ([{"type": "shell"}, {"type": "computer"}], {"type": "computer"}, "computer"),
        ([{"type": "shell"}, {"type": "computer"}], {"type": "computer_use"}, "computer"),
        ([function("a"), CLIENT_SEARCH], {"type": "tool_search"}, "tool_search"),
        (
            [function("a"), space("n", function("a"))],
            {"type": "function", "name": "a", "namespace": "n"},
            "n__a",
        ),
    ],
)
async def test_only_allowed_tools_are_shown_and_callable(
    tools: list[Any], entry: dict[str, Any], name: str
) -> None:
    choice = {"type": "allowed_tools", "mode": "auto", "tools": [entry]}
    async with rig() as r:
        assert await shown(r, tools=tools, tool_choice=choice) == [name]
        for other in ("unknown-tool", "each-tool"):
            made = await r.create(other, tools=tools, tool_choice=choice)
            calls = [item for item in made.output if not isinstance(item, OutputMessage)]
            assert len(calls) == (0 if other == "unknown-tool" else 1), made.output


@pytest.mark.requirement("offering:choice:once")
@pytest.mark.parametrize(
    "choice",
    [
        "required",
        {"type": "function", "name": "get_weather"},
        {"type": "allowed_tools", "mode": "required", "tools": [OURS]},
    ],
)
async def test_a_call_is_demanded_once(choice: Any) -> None:
    if isinstance(choice, dict) and "tools" in choice:
        choice = {**choice, "tools": [{"type": "function", "name": "get_weather"}]}
    served = Served()
    async with rig(served.into) as r:
        tools = [OURS, function("other")]
        made = await r.create("tool", tools=tools, tool_choice=choice)
        assert made.status == "completed" and len(served.weather.asked) == 1
        assert text_of(made) == "The tool said: sunny, call 1"
        made = await r.create("each-tool", tools=tools, tool_choice=choice)
        names = [item.name for item in made.output if isinstance(item, FunctionCall)]
        restricted = isinstance(choice, dict) and choice["type"] == "allowed_tools"
        assert names == (["get_weather"] if restricted else ["get_weather", "other"])


@pytest.mark.requirement("offering:allowed:hard")
async def test_a_tool_of_the_backends_own_is_there_only_if_it_is_allowed() -> None:
    able = Capabilities(native=frozenset({"web_search", "shell"}))
    tools = [{"type": "web_search"}, {"type": "shell"}, function("a")]

    def of(choice: Any) -> tuple[list[str], list[str], Any, bool, list[str]]:
        asked = _asked(input="x", tools=tools, tool_choice=choice)
        _, wishes = wishes_of(asked, Able(able), RunSettings())
        native = [type_of(tool) for tool in wishes.native]
        names = [tool.name for tool in wishes.shown]
        demands = wishes.demands
        return native, names, wishes.mode, demands.must_call, sorted(demands.callable)

    allowed = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "shell"}]}
    assert of("auto") == (["web_search", "shell"], ["a"], "auto", False, ["a", "shell"])
    assert of(allowed) == (["shell"], [], "required", True, ["shell"])
    assert of({"type": "web_search"}) == (["web_search"], [], "required", False, [])
    named = {"type": "function", "name": "a"}
    native, names, mode, must_call, callable = of(named)
    assert (native, names, must_call, callable) == ([], ["a"], True, ["a"])
    assert mode.name == "a"


class Able:
    """Who can do this."""

    def __init__(self, able: Capabilities) -> None:
        self._able = able

    def capabilities(self, model: str) -> Capabilities:
        return self._able


@pytest.mark.requirement("offering:phase:kept")
async def test_the_phase_of_a_message_is_kept() -> None:
    async with rig() as r:
        said = [
            {"role": "assistant", "content": "Let me see.", "phase": "commentary"},
            {"role": "assistant", "content": "It is 4.", "phase": "final_answer"},
            SAY,
        ]
        made = await r.create("echo", input=said)
        after = await r.create("echo", input="and now?", previous_response_id=made.id)
        phases = [item.get("phase") for item in await r.items(after.id)]
        assert phases == ["commentary", "final_answer", None, None, None]
        context = await r.runs.resolve(
            _asked(input="x", previous_response_id=made.id), PROJECT, "openai"
        )
        assert [getattr(item, "phase", None) for item in context.turn.items][:2] == [
            "commentary",
            "final_answer",
        ]


def _asked(**body: Any) -> Any:
    return decode_create(msgspec.json.encode({"model": "scripted/echo", **body}))
