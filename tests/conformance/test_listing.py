"""What callers bring is listed as strict readers expect it, and can be fed back."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.conftest import House
from tests.conformance.rules import check_list

pytestmark = pytest.mark.anyio

PNG = "data:image/png;base64,iVBORw0KGgo="
TEXT_FILE = "data:text/plain;base64,aGVsbG8="
CALL = {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"}
CUSTOM = {"type": "custom_tool_call", "call_id": "call_2", "name": "sh", "input": "ls"}
IMAGE = {"type": "input_image", "image_url": PNG}


def said(*content: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(content)}


def told(*content: Any, **more: Any) -> list[Any]:
    return ["Hi.", {"type": "message", "role": "assistant", "content": list(content), **more}]


BROUGHT: dict[str, list[Any]] = {
    "image": [said(IMAGE)],
    "image with a null detail": [said({**IMAGE, "detail": None, "file_id": None})],
    "file with nulls": [
        said(
            {"type": "input_file", "filename": "a.txt", "file_data": TEXT_FILE}
            | dict.fromkeys(("file_id", "file_url", "detail"))
        )
    ],
    "plain text part": [said({"type": "text", "text": "x"})],
    "assistant string": ["Hi.", {"role": "assistant", "content": "x", "phase": None}],
    "assistant part without annotations": told({"type": "output_text", "text": "x"}),
    "assistant part with nulls": told(
        {"type": "output_text", "text": "x", "annotations": None, "logprobs": None, "parsed": 1},
        id=None,
        status=None,
        phase=None,
    ),
    "assistant with an input part": told({"type": "input_text", "text": "x"}),
    "refusal": told({"type": "refusal", "refusal": "No."}),
    "bare reasoning": [{"type": "reasoning"}, "Hi."],
    "reasoning of nulls": [
        {"type": "reasoning"}
        | dict.fromkeys(("id", "summary", "content", "encrypted_content", "status")),
        "Hi.",
    ],
    "sealed reasoning": [
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAA"},
        "Hi.",
    ],
    "call with nulls": [
        CALL | dict.fromkeys(("id", "status", "caller", "namespace")),
        {"type": "function_call_output", "call_id": "call_1", "output": ""}
        | dict.fromkeys(("id", "status", "name")),
    ],
    "a status of elsewhere": [{**said({"type": "input_text", "text": "x"}), "status": "sent"}],
    "output of parts": [
        CALL,
        {
            "type": "function_call_output",
            "call_id": "call_1",
            "output": [
                IMAGE,
                {"type": "input_text", "text": "x"},
                {"type": "input_file", "filename": "a.txt", "file_data": TEXT_FILE},
            ],
        },
    ],
    "custom call": [
        CUSTOM,
        {"type": "custom_tool_call_output", "call_id": "call_2", "output": [IMAGE]},
    ],
    "hosted calls of elsewhere": [
        {"type": "file_search_call", "id": "fs_1", "status": "completed", "queries": ["q"]}
        | {"results": None},
        {"type": "mcp_list_tools", "id": "mcpl_1", "server_label": "l", "tools": []},
        "Hi.",
    ],
}
HIDDEN: Any = "message.input_image.image_url"


@pytest.mark.requirement("conformance:items:strict")
@pytest.mark.parametrize("brought", BROUGHT.values(), ids=BROUGHT)
async def test_items_are_listed_typed_and_come_back(house: House, brought: list[Any]) -> None:
    items: Any = [
        said({"type": "input_text", "text": i}) if isinstance(i, str) else i for i in brought
    ]
    async with house.openai() as client:
        made = await client.responses.create(model="scripted/transcript", input=items)
        page = await client.responses.input_items.list(made.id, order="asc", include=[HIDDEN])
        assert [item.type for item in page.data] == [i.get("type", "message") for i in items]
        raw = await house.client.request(
            "GET", f"/v1/responses/{made.id}/input_items?order=asc&include[]={HIDDEN}"
        )
        again = await client.responses.create(model="scripted/transcript", input=raw.json()["data"])
        assert again.output_text == made.output_text
        listed = await house.client.request(
            "GET", f"/v1/responses/{again.id}/input_items?order=asc&include[]={HIDDEN}"
        )
        assert listed.json()["data"] == raw.json()["data"]


@pytest.mark.requirement("conformance:items:paging")
async def test_items_with_the_same_id_do_not_stop_the_paging(house: House) -> None:
    same: Any = [
        {"role": "user", "id": "msg_a", "type": "message", "content": str(n)} for n in range(5)
    ]
    async with house.openai() as client:
        made = await client.responses.create(model="scripted/transcript", input=same)
        for order in ("asc", "desc"):
            seen = []
            pages: Any = client.responses.input_items.list(made.id, limit=1, order=order)
            async for item in pages:
                seen.append(item.content[0].text)
                assert len(seen) <= len(same), "paging runs in circles"
            assert seen == (list("01234") if order == "asc" else list("43210"))


@pytest.mark.requirement("conformance:items:same-id")
async def test_a_new_message_with_an_old_id_is_heard(house: House) -> None:
    def message(text: str) -> Any:
        return [{"type": "message", "id": "msg_mine", "role": "user", "content": text}]

    first = await house.create("scripted/transcript", message("one"))
    second = await house.create(
        "scripted/transcript", message("two"), previous_response_id=first["id"]
    )
    assert second["output"][0]["content"][0]["text"].endswith("user: two")
    page = await house.client.request("GET", f"/v1/responses/{second['id']}/input_items")
    check_list(page.json())
    told_again = await house.create(
        "scripted/transcript",
        [*message("one"), *first["output"], *said_list("two")],
        previous_response_id=first["id"],
    )
    assert told_again["output"] != second["output"]
    assert told_again["output"][0]["content"][0]["text"].count("user: one") == 2  # and its echo


def said_list(text: str) -> list[Any]:
    return [said({"type": "input_text", "text": text})]


@pytest.mark.requirement("conformance:items:include")
async def test_log_probabilities_are_listed_only_if_included(house: House) -> None:
    included = "message.output_text.logprobs"
    first = await house.create("scripted/logprobs", include=[included])
    second = await house.create("scripted/hello", previous_response_id=first["id"])
    at = f"/v1/responses/{second['id']}/input_items?order=asc"
    without = (await house.client.request("GET", at)).json()["data"][1]
    assert "logprobs" not in without["content"][0]
    with_them = (await house.client.request("GET", f"{at}&include[]={included}")).json()["data"][1]
    assert with_them == first["output"][0]
