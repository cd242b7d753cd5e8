"""What the raw objects inside requests and responses are, for the OpenAPI document.

A struct that keeps ``dict[str, Any]`` leaves the reading to a codec; here stands what that codec
reads, made from the same structs it opens them as.
"""

from __future__ import annotations

from typing import Any, Union, get_args

from antiphon.runs.compaction import THRESHOLD_MIN
from antiphon.server.openapi_shapes import (
    INTEGER_MAX,
    Mode,
    Schema,
    Shapes,
    array_of,
    either,
    object_of,
    reference,
)
from antiphon.types import events, request, resources, response, tool_events, tools, webhooks
from antiphon.types.content import InputFile, InputImage
from antiphon.types.items import OPAQUE_TYPES, Item, Opaque, OutputItem
from antiphon.types.tool_items import Screenshot
from antiphon.types.tools import HOSTED, HostedTool

TEXT: Schema = {"type": "string"}
_ITEMS = [cls for cls in get_args(Item) if cls is not Opaque]
_TOOLS = [cls for cls in get_args(tools.Tool) if cls is not HostedTool]
_NAMED = {"function", "custom", "mcp", "namespace"}
CHOICE_TYPES = (
    HOSTED | {str(cls.__struct_config__.tag) for cls in _TOOLS} - _NAMED | {"computer_use"}
)
"""Types of which there is one tool at most, so that a choice need not name it."""
_ASKING = (request.CreateResponse, request.CountInput, request.CompactInput)
_KEEPING = (resources.CreateConversation, resources.CreateItems)


def raw(shapes: Shapes, cls: type, field: str, mode: Mode) -> Schema | None:
    """The schema of a field its struct does not describe; None for all others."""
    match cls.__name__, field:
        case _, "items" if issubclass(cls, _KEEPING):
            bounds = {"maxItems": 20} | ({"minItems": 1} if cls is resources.CreateItems else {})
            items = array_of(input_item(shapes), **bounds)
            return items if cls is resources.CreateItems else either(items, {"type": "null"})
        case _, "input" if issubclass(cls, _ASKING):
            text = {**TEXT, "maxLength": 10_485_760}
            return either(text, array_of(input_item(shapes)), {"type": "null"})
        case _, "tools" if issubclass(cls, _ASKING):
            return either(array_of(tool(shapes, "strict"), maxItems=1024), {"type": "null"})
        case _, "tool_choice" if issubclass(cls, _ASKING):
            return either(choice(shapes), {"type": "null"})
        case _, "context_management" if issubclass(cls, request.CreateResponse):
            return either(array_of(_compaction(), minItems=1), {"type": "null"})
        case "Response", _ if cls is response.Response:
            return _of_response(shapes, field)
        case "CompactedResponse", "output":
            return array_of(item(shapes))
        case "AllowedTools", "tools":
            return array_of(reference("AllowedTool"), minItems=1, maxItems=128)
        case "CreateEndpoint" | "UpdateEndpoint", "event_types":
            sent = {**TEXT, "enum": list(webhooks.ENDED)}
            types = array_of(sent, minItems=1, maxItems=64)
            return types if cls is webhooks.CreateEndpoint else either(types, {"type": "null"})
        case "CreateEndpoint" | "UpdateEndpoint", "url":
            url = {**TEXT, "minLength": 1, "maxLength": 2048, "format": "uri"}
            return url if cls is webhooks.CreateEndpoint else either(url, {"type": "null"})
        case "EndpointTest", "event_type":
            return {**TEXT, "enum": list(webhooks.ENDED)}
        case "TypeChoice", "type":
            return {**TEXT, "enum": sorted(CHOICE_TYPES)}
        case "AdditionalTools" | "ToolSearchOutput", "tools":
            return array_of(tool(shapes, "shown" if mode == "shown" else "strict"))
    return None


def shaped(shapes: Shapes) -> None:
    """What several fields refer to."""
    one = either(
        shapes.of(tools.NamedChoice, "lenient"),
        shapes.of(tools.McpChoice, "lenient"),
        shapes.of(tools.TypeChoice, "lenient"),
    )
    shapes.define("AllowedTool", one)


def narrowed(components: dict[str, Schema]) -> None:
    """Rules between fields that hold for a component whoever uses it."""
    for cls, fields in (
        (InputImage, ("image_url", "file_id")),
        (InputFile, ("file_data", "file_url", "file_id")),
        (Screenshot, ("image_url", "file_id")),
    ):
        component = components[f"{cls.__name__}Param"]
        component["oneOf"] = [
            {"required": [name], "properties": {name: {"type": "string"}}} for name in fields
        ]

    known = components["ItemReferenceParam"]
    tag = {**TEXT, "enum": ["item_reference"]}
    bare = {**known, "properties": {"id": TEXT, "type": {"type": "null"}}, "required": ["id"]}
    components["ItemReferenceParam"] = {
        "anyOf": [
            {
                **known,
                "properties": {**known["properties"], "type": tag},
                "required": ["type", "id"],
            },
            {**bare, "additionalProperties": False, "description": "Without a type: only the id."},
        ]
    }
    for name in ("CreateResponse", "CountInput", "CompactInput"):
        components[name]["required"] = ["model"]  # null is absent; only a prompt could bring one
        components[name]["properties"]["model"] = {**TEXT, "minLength": 1, "maxLength": 512}


def input_item(shapes: Shapes) -> Schema:
    """Whatever may stand in an input. A message and a reference may leave out their type."""
    if "InputItem" not in shapes.components:
        shapes.components["InputItem"] = {}
        kept = _open({**TEXT, "enum": sorted(OPAQUE_TYPES)}, "Kept, and not interpreted.")
        branches = [shapes.of(cls, "lenient") for cls in _ITEMS]
        shapes.components["InputItem"] = either(*branches, kept)
    return reference("InputItem")


def item(shapes: Shapes) -> Schema:
    """Whatever may stand in a list of items."""
    if "Item" not in shapes.components:
        shapes.components["Item"] = {}
        emitted = get_args(OutputItem)
        listed = [cls for cls in _ITEMS if cls not in emitted]
        kept = _open({**TEXT, "enum": sorted(OPAQUE_TYPES)}, "Kept, and not interpreted.")
        branches = [shapes.of(cls, "shown") for cls in (*emitted, *listed)]
        shapes.components["Item"] = either(*branches, kept)
    return reference("Item")


def output_item(shapes: Shapes) -> Schema:
    """What a response is made of."""
    return shapes.define("OutputItem", shapes.of(OutputItem, "shown"))


def tool(shapes: Shapes, mode: Mode) -> Schema:
    """A tool as it is declared, or as a response repeats it."""
    name = "Tool" if mode == "shown" else "ToolParam"
    if name not in shapes.components:
        shapes.components[name] = {}
        hosted = _open(
            {**TEXT, "enum": sorted(HOSTED)},
            "A tool that only a model's own server can run. Where none does it is refused, or "
            "left out if the client is one that always sends it (`x-antiphon-downgrades`).",
        )
        union: Any = Union[tuple(_TOOLS)]  # noqa: UP007 (made at run time)
        shapes.components[name] = either(*shapes.of(union, mode)["anyOf"], hosted)
    return reference(name)


def choice(shapes: Shapes) -> Schema:
    """``tool_choice``, asked and repeated alike."""
    modes: Schema = {**TEXT, "enum": ["none", "auto", "required"]}
    every = [
        shapes.of(one, "lenient")
        for one in (tools.NamedChoice, tools.McpChoice, tools.TypeChoice, tools.AllowedTools)
    ]
    return shapes.define("ToolChoice", either(modes, *every))


def stream_event(shapes: Shapes) -> Schema:
    """The union of all events there are."""
    if "ResponseStreamEvent" not in shapes.components:
        shapes.components["ResponseStreamEvent"] = {}
        every: Any = Union[tuple(every_event())]  # noqa: UP007 (made at run time)
        shapes.components["ResponseStreamEvent"] = shapes.of(every, "shown")
    return reference("ResponseStreamEvent")


def every_event() -> list[type[events.Event]]:
    """Every event that has a name on the wire."""
    found = {
        str(cls.__struct_config__.tag): cls
        for module in (events, tool_events)
        for cls in vars(module).values()
        if isinstance(cls, type) and issubclass(cls, events.Event)
    }
    return [cls for tag, cls in sorted(found.items()) if tag.islower()]


def _of_response(shapes: Shapes, field: str) -> Schema | None:
    match field:
        case "text":
            verbosity = {**TEXT, "enum": ["low", "medium", "high"]}
            format = shapes.define("TextFormatShown", _formats())
            return object_of({"format": format, "verbosity": verbosity}, "format")
        case "tools":
            return array_of(tool(shapes, "shown"))
        case "tool_choice":
            return choice(shapes)
        case "prompt_cache_options":
            return {"type": "object"}
        case "output":
            return array_of(output_item(shapes))
    return None


def _formats() -> Schema:
    def named(kind: str, **more: Schema) -> Schema:
        return object_of({"type": {**TEXT, "enum": [kind]}, **more}, "type", *more)

    return either(
        named("text"),
        named("json_object"),
        named(
            "json_schema",
            name=TEXT,
            description=either(TEXT, {"type": "null"}),
            schema={"type": "object"},
            strict={"type": "boolean"},
        ),
    )


def _compaction() -> Schema:
    threshold = {"type": "integer", "minimum": THRESHOLD_MIN, "maximum": INTEGER_MAX}
    return object_of(
        {
            "type": {**TEXT, "enum": ["compaction"]},
            "compact_threshold": either(threshold, {"type": "null"}),
        },
        "type",
        closed=True,
    )


def _open(type_: Schema, about: str) -> Schema:
    return {**object_of({"type": type_}, "type"), "description": about}
