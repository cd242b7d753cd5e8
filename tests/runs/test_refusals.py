"""What cannot be honoured is refused with the parameter's name, before anything happens."""

from __future__ import annotations

from typing import Any

import pytest

from antiphon.backends.base import Capabilities
from antiphon.errors import ClientError, RemoteError
from antiphon.runs.downgrades import of_parameters
from antiphon.types.request import CreateResponse, ReasoningOptions
from tests.runs.rig import rig

pytestmark = pytest.mark.anyio

FUNCTION = {"type": "function", "name": "f", "parameters": {"type": "object"}}
IMAGE_FILE = {"type": "input_image", "file_id": "file-1"}

REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"model": None}, "model", "missing_required_parameter"),
    ({"input": None}, "input", "missing_required_parameter"),
    ({"input": []}, "input", "missing_required_parameter"),
    ({"background": True}, "background", "unsupported_parameter"),
    ({"background_options": {"completion_window": "2h"}}, "background_options", "unsupported_"),
    (
        {"conversation": "conv_1", "previous_response_id": "resp_1"},
        "conversation",
        "mutually_exclusive_parameters",
    ),
    ({"prompt": {"id": "pmpt_1"}}, "prompt", "unsupported_parameter"),
    ({"context_management": []}, "context_management", "array_below"),
    ({"context_management": [{}]}, "context_management[0].type", "missing_required"),
    ({"context_management": [{"type": "magic"}]}, "context_management[0].type", "invalid_value"),
    (
        {"context_management": [{"type": "compaction", "compact_threshold": 999}]},
        "context_management[0].compact_threshold",
        "integer_below_min_value",
    ),
    (
        {"context_management": [{"type": "compaction", "compact_threshold": "1"}]},
        "context_management[0].compact_threshold",
        "invalid_type",
    ),
    (
        {"context_management": [{"type": "compaction", "size": 1}]},
        "context_management[0].size",
        "unknown_parameter",
    ),
    ({"moderation": {"model": "m"}}, "moderation", "unsupported_parameter"),
    ({"multi_agent": {"enabled": True}}, "multi_agent", "unsupported_parameter"),
    ({"prompt_cache_options": {"prewarm": True}}, "prompt_cache_options.prewarm", "unsupported_"),
    (
        {"input": [{"role": "user", "content": [IMAGE_FILE]}]},
        "input[0].content[0].file_id",
        "unsupported_value",
    ),
    (
        {"input": [{"role": "user", "content": [{"type": "input_file", "file_url": "http://x"}]}]},
        "input[0].content[0].file_url",
        "unsupported_value",
    ),
    (
        {"input": [{"type": "compaction_trigger"}, {"role": "user", "content": "x"}]},
        "input[0].type",
        "invalid_value",
    ),
    (
        {"text": {"format": {"type": "json_schema", "name": "x", "schema": {"type": "wat"}}}},
        "text.format.schema",
        "invalid_json_schema",
    ),
    (
        {
            "tools": [
                {
                    "type": "function",
                    "name": "f",
                    "strict": True,
                    "parameters": {"type": "object", "properties": {"a": {"type": "wat"}}},
                }
            ]
        },
        "tools[0].parameters",
        "invalid_function_parameters",
    ),
    (
        {
            "tools": [
                {
                    "type": "custom",
                    "name": "c",
                    "format": {"type": "grammar", "syntax": "lark", "definition": "start: foo("},
                }
            ]
        },
        "tools[0].format.definition",
        "invalid_grammar",
    ),
    ({"tools": [FUNCTION], "tool_choice": {"type": "function", "name": "g"}}, "tool_choice", ""),
]


@pytest.mark.requirement("runs:refusals")
@pytest.mark.parametrize(("body", "param", "code"), REFUSED, ids=lambda v: str(v)[:40])
async def test_the_parameter_is_named(body: dict[str, Any], param: str, code: str) -> None:
    async with rig() as r:
        with pytest.raises(ClientError) as refusal:
            await r.start(**{"model": "echo", **body} if "model" not in body else {})
            if "model" in body:
                await r.runs.create(CreateResponse(input="x"), project="p")
        assert refusal.value.status == 400
        assert (refusal.value.param or "").startswith(param)
        assert (refusal.value.code or "").startswith(code)


@pytest.mark.requirement("runs:downgrades")
async def test_what_is_accepted_but_not_honoured_is_said() -> None:
    async with rig() as r:
        live = await r.start(
            include=["reasoning.encrypted_content"],
            reasoning={"summary": "auto", "effort": "low"},
            service_tier="flex",
            input=[
                {"role": "user", "content": "hi"},
                {"type": "program", "id": "ws_1", "call_id": "c", "code": "1", "fingerprint": "f"},
            ],
        )
        assert list(live.downgrades) == [
            "reasoning.summary",
            "service_tier",
            "input:program",
        ]
        await live.finish()
        assert (await r.start()).downgrades == []


@pytest.mark.requirement("runs:errors:before-first-event")
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("model", "status"),
    [("error-before", 500), ("error-429", 429), ("error-400", 400), ("error-401", 502)],
)
async def test_an_early_failure_is_an_error_and_leaves_no_trace(
    model: str, status: int, stream: bool
) -> None:
    async with rig() as r:
        with pytest.raises(RemoteError) as failure:
            await r.start(model, stream=stream)
        assert failure.value.status == status


async def test_too_many_items_are_refused() -> None:
    async with rig(context_items_max=3) as r:
        items = [{"role": "user", "content": "x"}] * 4
        with pytest.raises(ClientError) as refusal:
            await r.create(input=items)
        assert refusal.value.param == "input"


@pytest.mark.requirement("runs:downgrades:unsent")
def test_settings_the_backend_cannot_pass_on_are_said() -> None:
    able = Capabilities(unsent=frozenset({"presence_penalty", "reasoning.effort"}))
    asked = CreateResponse(
        presence_penalty=0.5, frequency_penalty=0.5, reasoning=ReasoningOptions(effort="low")
    )
    assert of_parameters(asked, able) == ["presence_penalty", "reasoning.effort"]
    assert of_parameters(CreateResponse(presence_penalty=0.0), able) == []
