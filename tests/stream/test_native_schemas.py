"""What models are shown of the tools with items of their own, against the client's types."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import msgspec
import pytest
from jsonschema import Draft202012Validator
from openai.types.responses import (
    ResponseApplyPatchToolCall,
    ResponseComputerToolCall,
    ResponseFunctionShellToolCall,
    computer_action,
)
from openai.types.responses.response_output_item import LocalShellCall as SdkLocalShellCall
from pydantic import BaseModel

from antiphon.backends.sample import sample
from antiphon.backends.script_client_tools import PATCHES
from antiphon.stream.forms import NATIVE, collected, shown
from antiphon.stream.native_schemas import ACTIONS, APPLY_PATCH, strictly
from antiphon.types.tools import (
    ApplyPatchTool,
    ComputerPreviewTool,
    ComputerTool,
    LocalShellTool,
    NativeTool,
    ShellTool,
)

TOOLS: dict[str, NativeTool] = {
    "shell": ShellTool(),
    "local_shell": LocalShellTool(),
    "apply_patch": ApplyPatchTool(),
    "computer": ComputerTool(),
    "computer_use_preview": ComputerPreviewTool(800, 600, "mac"),
}
MODELS: dict[str, type[BaseModel]] = {
    "shell": ResponseFunctionShellToolCall,
    "local_shell": SdkLocalShellCall,
    "apply_patch": ResponseApplyPatchToolCall,
    "computer": ResponseComputerToolCall,
    "computer_use_preview": ResponseComputerToolCall,
}
SDK_ACTIONS = {
    get_args(model.model_fields["type"].annotation)[0]: model
    for model in get_args(get_args(computer_action.ComputerAction)[0])
}


def item_of(kind: str, arguments: Any) -> dict[str, Any]:
    text = msgspec.json.encode(arguments).decode()
    item = collected(NATIVE[kind].form, "x_1", "call_1", text, "completed")
    made: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(item))
    return made


@pytest.mark.requirement("client-tools:described")
def test_every_action_of_the_api_is_offered_with_its_fields() -> None:
    ours = {action["properties"]["type"]["enum"][0]: action for action in ACTIONS}
    assert ours.keys() == SDK_ACTIONS.keys()
    for name, model in SDK_ACTIONS.items():
        assert ours[name]["properties"].keys() == model.model_fields.keys()
        required = {key for key, field in model.model_fields.items() if field.is_required()}
        assert set(ours[name]["required"]) == required
        Draft202012Validator(ours[name]).validate(sample(ours[name]))
        call = item_of("computer", {"actions": [sample(ours[name])]})
        ResponseComputerToolCall.model_validate(call, strict=True)


@pytest.mark.requirement("client-tools:strict")
@pytest.mark.parametrize("kind", TOOLS)
@pytest.mark.parametrize("enforced", [False, True])
def test_what_a_schema_allows_makes_an_item_of_the_clients_type(kind: str, enforced: bool) -> None:
    function = shown(TOOLS[kind], enforced=enforced)
    schema = function.parameters
    assert schema is not None and function.strict
    Draft202012Validator.check_schema(schema)
    arguments = sample(schema)
    Draft202012Validator(schema).validate(arguments)
    item = item_of(kind, arguments)
    MODELS[kind].model_validate(item, strict=True)
    if enforced:
        assert_strict(schema)


def assert_strict(schema: Any) -> None:
    """What constrained decoding asks of a schema: everything required, nothing else allowed."""
    assert not schema.keys() & {"oneOf", "minItems", "minLength"}
    if "properties" in schema:
        assert set(schema["required"]) == schema["properties"].keys()
        assert schema["additionalProperties"] is False
    for inner in (*schema.get("properties", {}).values(), *schema.get("anyOf", ())):
        assert_strict(inner)
    if "items" in schema:
        assert_strict(schema["items"])


@pytest.mark.requirement("client-tools:strict")
def test_nulls_and_whole_floats_leave_no_trace_in_an_item() -> None:
    click = {"type": "click", "button": "left", "x": 10.0, "y": 20, "keys": None}
    call = item_of("computer", {"actions": [click], "pending_safety_checks": None})
    assert call["actions"] == [{"type": "click", "button": "left", "x": 10, "y": 20}]
    assert isinstance(call["actions"][0]["x"], int) and call["pending_safety_checks"] == []
    shell = item_of("shell", {"commands": ["ls"], "timeout_ms": None, "max_output_length": None})
    assert shell["action"] == {"commands": ["ls"]}


@pytest.mark.requirement("client-tools:cut")
@pytest.mark.parametrize("kind", TOOLS)
@pytest.mark.parametrize("text", ["", "[]", "null", '{"type": "update_file"}', '{"actions": "x"}'])
def test_arguments_that_say_nothing_make_no_item(kind: str, text: str) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        collected(NATIVE[kind].form, "x", "c", text, "completed")


@pytest.mark.requirement("client-tools:cut")
def test_a_diff_that_was_cut_is_no_item() -> None:
    text = '{"type": "update_file", "path": "a", "diff": "-b"}'
    assert collected(NATIVE["apply_patch"].form, "x", "c", text, "completed")
    with pytest.raises(ValueError, match="cut"):
        collected(NATIVE["apply_patch"].form, "x", "c", text, "incomplete")


# Diffs --------------------------------------------------------------------------------------


def example() -> ModuleType:
    path = Path(__file__).parents[2] / "examples" / "apply_patch.py"
    spec = importlib.util.spec_from_file_location("apply_patch_example", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


CIRCLE = """\
import math

class Circle:
    def area(self):
        return math.pi * self.radius

    def name(self):
        return "circle"
"""


@pytest.mark.requirement("client-tools:patches")
def test_the_diffs_we_describe_can_be_applied() -> None:
    program = example()
    described = APPLY_PATCH[APPLY_PATCH.index("@@ class Circle") :]
    changed = program.updated(CIRCLE, described)
    assert changed == CIRCLE.replace("self.radius", "self.radius**2")
    made = program.created(PATCHES[0]["diff"])
    assert made == "# Penguins\n\nSome fly.\n"
    assert program.updated(made, PATCHES[1]["diff"]) == "# Penguins\n\nNone of them flies.\n"
    for broken in ("no sign", "@@\n-not there", "@@ nowhere\n+x"):
        with pytest.raises(program.CannotApply):
            program.updated(CIRCLE, broken)


def test_a_schema_is_not_changed_by_making_it_strict() -> None:
    before = msgspec.json.encode(NATIVE["computer"].schema)
    strictly(NATIVE["computer"].schema)
    assert msgspec.json.encode(NATIVE["computer"].schema) == before
