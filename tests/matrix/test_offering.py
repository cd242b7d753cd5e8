"""Tools in namespaces, found on the way and brought by items; on every road."""

from __future__ import annotations

from typing import Any

import pytest

from tests.matrix.roads import Client, Road, in_every_flavour, refusal

FIND = {
    "type": "function",
    "name": "find_customer",
    "description": "Looks a customer up",
    "parameters": {"type": "object", "properties": {"name": {"type": "string"}}},
}
CRM = {"type": "namespace", "name": "crm", "description": "Customers", "tools": [FIND]}
LATER = {**CRM, "tools": [{**FIND, "defer_loading": True}]}
SAY = {"role": "user", "content": "Who is the customer?"}


def calls(response: Any) -> list[Any]:
    return [item for item in response.output if item.type == "function_call"]


def answered(call: Any, output: str) -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": call.call_id, "output": output}


@pytest.mark.requirement("offering:namespace:calls")
@in_every_flavour
def test_a_namespaced_call_is_made_and_answered(ask: Road, client: Client) -> None:
    first: Any = ask(client, model="scripted/tool", input="Who?", tools=[CRM])
    (call,) = calls(first)
    assert (call.namespace, call.name) == ("crm", "find_customer")
    assert first.tools[0].type == "namespace" and first.tools[0].name == "crm"
    assert client.responses.retrieve(first.id).output == first.output
    more = {"previous_response_id": first.id, "tools": [CRM]}
    last: Any = ask(client, model="scripted/tool", input=[answered(call, "Ada")], **more)
    assert last.output_text == "The tool said: Ada"


@pytest.mark.requirement("offering:search:server")
@pytest.mark.requirement("offering:search:persists")
def test_a_tool_is_found_called_and_still_there(ask: Road, client: Client) -> None:
    tools = [{"type": "tool_search"}, LATER]
    first: Any = ask(client, model="scripted/search-tools", input="customer", tools=tools)
    kinds = [item.type for item in first.output]
    assert kinds == ["tool_search_call", "tool_search_output", "function_call"]
    search, found, call = first.output
    assert search.execution == found.execution == "server"
    assert search.call_id == found.call_id
    assert found.tools[0].tools[0].name == "find_customer"
    assert (call.namespace, call.name) == ("crm", "find_customer")
    more = {"previous_response_id": first.id, "input": [answered(call, "Ada")]}
    last: Any = ask(client, model="scripted/tool", **more)
    assert last.output_text == "The tool said: Ada"
    again = ask(client, model="scripted/tool", input="Again", previous_response_id=last.id)
    assert [(item.namespace, item.name) for item in calls(again)] == [("crm", "find_customer")]


@pytest.mark.requirement("offering:additional:effective")
@pytest.mark.requirement("offering:configuration:persists")
def test_what_items_bring_lasts_through_chain_and_conversation(ask: Road, client: Client) -> None:
    bring = [
        {"type": "additional_tools", "role": "developer", "tools": [CRM]},
        {"type": "configuration_update", "reasoning": {"effort": "high"}},
        SAY,
    ]
    talk = client.conversations.create()
    for chained in (False, True):
        where = {} if chained else {"conversation": talk.id}
        first: Any = ask(client, model="scripted/tool", input=bring, **where)
        (call,) = calls(first)
        assert call.namespace == "crm" and first.reasoning.effort == "high"
        assert first.tools == []
        where = {"previous_response_id": first.id} if chained else where
        last: Any = ask(client, model="scripted/tool", input=[answered(call, "Ada")], **where)
        assert last.output_text == "The tool said: Ada" and last.reasoning.effort == "high"
        listed = list(client.responses.input_items.list(first.id, order="asc"))
        assert [item.type for item in listed][:2] == ["additional_tools", "configuration_update"]


@pytest.mark.requirement("offering:unsupported:refused")
def test_a_tool_nobody_can_run_is_refused(ask: Road, client: Client) -> None:
    tools = [FIND, {"type": "web_search"}]
    refused = refusal(ask, client, model="scripted/echo", input="x", tools=tools)
    assert (refused.status_code, refused.code) == (400, "unsupported_value")
    assert refused.param == "tools[1].type"
