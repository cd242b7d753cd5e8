"""The whole Response object, key by key: the one every reader of the API's pages expects."""

from __future__ import annotations

from typing import Any

import pytest

from antiphon.ids import Ids
from antiphon.runs.retention import Retention
from antiphon.types.codec import encode
from tests.runs.rig import Rig, rig

pytestmark = pytest.mark.anyio

KEY = "00018bcfe56800" + "07" * 10
TEXT = "Great! How can I help you today?"


def frozen(rig: Rig) -> None:
    """A clock that stands still and bytes that are all 7."""
    rig.runs.retention = Retention(None)
    rig.runs.ids = Ids(clock=lambda: 1_700_000_000_000, random=lambda n: b"\x07" * n)


OBJECT: dict[str, Any] = {
    "id": f"resp_{KEY}",
    "object": "response",
    "created_at": 1_700_000_000,
    "status": "completed",
    "completed_at": 1_700_000_000,
    "output": [
        {
            "type": "message",
            "id": f"msg_{KEY}0002",
            "status": "completed",
            "role": "assistant",
            "content": [{"type": "output_text", "text": TEXT, "annotations": []}],
        }
    ],
    "error": None,
    "incomplete_details": None,
    "usage": {
        "input_tokens": 16,
        "output_tokens": 7,
        "total_tokens": 23,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": 0},
    },
    "background": False,
    "model": "scripted/echo",
    "previous_response_id": None,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "parallel_tool_calls": True,
    "temperature": 1.0,
    "top_p": 1.0,
    "top_logprobs": 0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "truncation": "disabled",
    "service_tier": "default",
    "store": True,
    "safety_identifier": None,
    "prompt_cache_key": None,
    "prompt_cache_retention": None,
    "user": None,
    "reasoning": {"effort": None, "summary": None},
    "text": {"format": {"type": "text"}, "verbosity": "medium"},
    "tool_choice": "auto",
    "tools": [],
    "metadata": {},
}


@pytest.mark.requirement("runs:object:golden")
async def test_the_object_is_the_one_of_the_api() -> None:
    import msgspec

    async with rig(frozen) as r:
        made = await r.create("echo", input=TEXT)
        assert msgspec.json.decode(encode(made)) == OBJECT
        assert await r.retrieve(made.id) == OBJECT


@pytest.mark.requirement("runs:object:echo")
async def test_what_was_asked_is_echoed() -> None:
    asked: dict[str, Any] = {
        "instructions": "Be brief.",
        "temperature": 0.2,
        "top_p": 0.9,
        "max_output_tokens": 64,
        "max_tool_calls": 3,
        "metadata": {"a": "b"},
        "user": "u",
        "safety_identifier": "s",
        "prompt_cache_key": "k",
        "prompt_cache_retention": "24h",
        "parallel_tool_calls": False,
        "truncation": "auto",
        "presence_penalty": 0.5,
        "frequency_penalty": -0.5,
        "reasoning": {"effort": "high", "summary": "auto"},
        "text": {"format": {"type": "json_object"}, "verbosity": "low"},
        "tool_choice": {"type": "function", "name": "f"},
        "tools": [
            {"type": "function", "name": "f", "description": "d", "strict": False,
             "parameters": {"type": "object", "properties": {}}},
            {"type": "custom", "name": "c", "description": None, "format": {"type": "text"}},
        ],
    }  # fmt: skip
    async with rig() as r:
        made = await r.retrieve((await r.create("tool", **asked)).id)
        assert {name: made[name] for name in asked} == asked


@pytest.mark.requirement("runs:object:null-means-absent")
async def test_null_means_absent_for_every_parameter() -> None:
    from antiphon.types.request import CreateResponse

    names = set(CreateResponse.__struct_fields__) - {"model", "input"}
    async with rig() as r:
        plain = await r.create("echo")
        nulls = await r.create("echo", **dict.fromkeys(names))
        assert nulls.status == "completed"
        assert (nulls.tool_choice, nulls.store) == (plain.tool_choice, plain.store)
        empty = await r.create("echo", text={}, reasoning={}, tools=[], metadata={})
        assert empty.status == "completed" and empty.text == plain.text
