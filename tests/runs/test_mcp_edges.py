"""MCP where callers and servers send what nobody expects."""

from __future__ import annotations

import json
from collections.abc import Mapping
from time import process_time
from typing import Any

import msgspec
import pytest

from antiphon.config_mcp import RemoteMcpSettings
from antiphon.errors import ClientError
from antiphon.observe import Broke
from antiphon.runs.mcp_offer import offered
from antiphon.runs.mcp_servers import McpHouse, Server
from antiphon.runs.offering import Offer
from antiphon.tools.mcp import Mcp
from antiphon.tools.mcp_base import McpListed
from antiphon.types.codec import decode_create, encode
from antiphon.types.tools import McpTool
from tests.runs.rig import PROJECT
from tests.runs.test_mcp import free, kinds, plain, served
from tests.runs.test_mcp_background import behind
from tests.tools.mcp_servers import Desk, program

pytestmark = pytest.mark.anyio


@pytest.mark.requirement("mcp:headers:bytes")
async def test_header_values_are_sent_as_http_has_them() -> None:
    desk = Desk("echo")
    async with served(desk) as house:
        more: dict[str, Any] = {"headers": {"X-Name": " Zoé\t"}, "authorization": "clé "}
        response = await house.create("tool", tools=[free(desk, **more)])
        assert kinds(response) == ["mcp_list_tools", "mcp_call", "message"]
        assert {one["x-name"] for one in desk.headers} == {"Zoé"}
        assert {one["authorization"] for one in desk.headers} == {"Bearer clé"}
        with pytest.raises(ClientError) as refused:
            await house.create("tool", tools=[free(desk, authorization=" ")])
        assert refused.value.param == "tools[0].authorization"


@pytest.mark.requirement("mcp:secret:items")
@pytest.mark.parametrize(
    "place",
    [
        {"server_url": "https://user:s3cret@host.example/mcp"},
        {"server_url": "https://host.example/mcp?token=s3cret"},
        {"server_url": "https://host.example/mcp", "headers": {"X-Key": "s3cret"}},
        {"server_url": "https://host.example/mcp", "authorization": "s3cret"},
    ],
    ids=["user", "query", "headers", "authorization"],
)
async def test_items_with_secrets_are_refused(place: Mapping[str, Any]) -> None:
    brings = {
        "type": "additional_tools",
        "role": "developer",
        "tools": [{"type": "mcp", "server_label": "desk", **place}],
    }
    async with served() as house:
        with pytest.raises(ClientError) as refused:
            await house.create("echo", input=[{"role": "user", "content": "Hi."}, brings])
        assert refused.value.param == "input[1].tools[0]"
        assert "s3cret" not in refused.value.message


@pytest.mark.requirement("mcp:secret:choice")
async def test_a_definition_inside_a_choice_keeps_no_secret() -> None:
    desk = Desk("echo")
    async with behind(desk) as made:
        own = free(desk, headers={"X-Key": "s3cret"}, authorization="s3cret")
        own["server_url"] += "?token=s3cret"
        more: dict[str, Any] = {
            "tools": [own],
            "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [own]},
        }
        response = await made.house.create("tool", **more)
        assert kinds(response) == ["mcp_list_tools", "mcp_call", "message"]
        assert b"s3cret" not in encode(response)
        (shown,) = json.loads(encode(response.tool_choice))["tools"]
        assert shown["server_label"] == "desk"
        id = await made.queue("tool", **more)
        kept = await made.rows.load_request(PROJECT, id)
        state = await made.rows.load(PROJECT, id)
        assert kept is not None and b"s3cret" not in kept
        assert state is not None and state.head is not None and b"s3cret" not in state.head
        await made.work()
        output = (await made.ended(id))["output"]
        assert [item["type"] for item in output] == ["mcp_list_tools", "mcp_call", "message"]


@pytest.mark.requirement("mcp:server:of_others")
@pytest.mark.parametrize("field", ["connector_id", "tunnel_id"])
async def test_another_projects_server_is_as_unknown_as_none(field: str) -> None:
    async with served(configured=(program("theirs", "echo", projects=["proj_b"]),)) as house:
        heard = []
        for name in ("theirs", "nobodys"):
            with pytest.raises(ClientError) as refused:
                tool = {"type": "mcp", "server_label": "mine", field: name}
                await house.create("echo", tools=[tool])
            heard.append((refused.value.message, refused.value.code, refused.value.param))
        assert heard[0] == heard[1]


@pytest.mark.requirement("mcp:call:not_json")
async def test_arguments_that_are_not_json_fail_the_call_only() -> None:
    desk = Desk("echo")
    async with served(desk) as house:
        asked = {
            "type": "mcp_approval_request",
            "id": "mcpr_1",
            "server_label": "desk",
            "name": "echo",
            "arguments": '{"text": "\\ud800"}',
        }
        answer = {"type": "mcp_approval_response", "approval_request_id": "mcpr_1", "approve": True}
        said = [{"role": "user", "content": "Hi."}, asked, answer]
        response = await house.create("echo", input=said, tools=[free(desk)])
        assert response.status == "completed"
        (call,) = [item for item in plain(response) if item["type"] == "mcp_call"]
        assert call["status"] == "failed" and "not JSON" in json.dumps(call["error"])
        assert desk.asked == []
        assert not [one for one in house.seen if isinstance(one, Broke)]


def server_of(tool: dict[str, Any]) -> tuple[McpHouse, Server]:
    body = {"model": "m", "input": "x", "tools": [tool]}
    declared = msgspec.convert(
        (decode_create(msgspec.json.encode(body)).tools or [])[0], McpTool, strict=False
    )
    remote = RemoteMcpSettings(allowed=["127.0.0.1"])
    house = McpHouse(Mcp(remote), (), remote)
    return house, house.server(("tools[0]", declared), PROJECT)


@pytest.mark.requirement("mcp:list:long")
async def test_a_long_list_is_offered_in_time_that_grows_as_it_does() -> None:
    house, server = server_of(free(Desk()) | {"server_url": "http://127.0.0.1/mcp"})
    sessions = {"desk": house.servers.session(server.place)}

    def seconds(count: int) -> float:
        listed = {"desk": [McpListed(f"tool_{n}", {"type": "object"}) for n in range(count)]}
        times = []
        for _ in range(3):
            began = process_time()
            assert len(offered(Offer(), [server], listed, sessions).tools) == count
            times.append(process_time() - began)
        return min(times)

    # Sixteen times as long; were every name compared with every other, 256 times.
    assert seconds(8_000) < 80 * seconds(500)
