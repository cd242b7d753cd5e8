"""The objects of the Open Responses specification (2026-04-24) as JSON Schemas, in our words.

Fields, types, which keys must be there and which may be null: facts of the published schema. A
field made with ``maybe`` may be missing; ``or_null`` may be null. Objects may have further keys.
``check(value, "ResponseResource")`` raises ``AssertionError`` with the path of what is wrong.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import jsonschema

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "number"}
WHOLE: Schema = {"type": "integer"}
BOOLEAN: Schema = {"type": "boolean"}
NULL: Schema = {"type": "null"}
ANY_OBJECT: Schema = {"type": "object"}
_MAYBE = "x-maybe"


def or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, NULL]}


def maybe(schema: Schema) -> Schema:
    return {**schema, _MAYBE: True}


def one_of(*words: str) -> Schema:
    return {"enum": list(words)}


def a(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


def many(schema: Schema) -> Schema:
    return {"type": "array", "items": schema}


def thing(**fields: Schema) -> Schema:
    """An object; what is not ``maybe`` must be there."""
    return {
        "type": "object",
        "properties": fields,
        "required": [name for name, schema in fields.items() if _MAYBE not in schema],
    }


def kinds(**by_type: Schema) -> Schema:
    """An object told apart by its ``type``; types of implementers are named ``slug:name``."""
    branches = [
        {"if": {"properties": {"type": {"const": name}}}, "then": schema}
        for name, schema in by_type.items()
    ]
    known: Schema = {"anyOf": [{"enum": list(by_type)}, {"type": "string", "pattern": "^\\w+:"}]}
    return {**thing(type=known), "allOf": branches}


# Content ----------------------------------------------------------------------------------

STATUS = one_of("in_progress", "completed", "incomplete")
URL_CITATION = thing(url=TEXT, start_index=WHOLE, end_index=WHOLE, title=TEXT)
TOP_LOGPROB = thing(token=TEXT, logprob=NUMBER, bytes=many(WHOLE))
LOGPROB = thing(token=TEXT, logprob=NUMBER, bytes=many(WHOLE), top_logprobs=many(TOP_LOGPROB))
INPUT_TEXT = thing(text=TEXT)
INPUT_IMAGE = thing(image_url=or_null(TEXT), detail=one_of("low", "high", "auto"))
INPUT_FILE = thing(filename=maybe(TEXT), file_url=maybe(TEXT))
PARTS: dict[str, Schema] = {
    "input_text": INPUT_TEXT,
    "output_text": thing(
        text=TEXT,
        annotations=many(kinds(url_citation=URL_CITATION)),
        logprobs=maybe(many(LOGPROB)),
    ),
    "text": thing(text=TEXT),
    "summary_text": thing(text=TEXT),
    "reasoning_text": thing(text=TEXT),
    "refusal": thing(refusal=TEXT),
    "input_image": INPUT_IMAGE,
    "input_file": INPUT_FILE,
    "input_video": thing(video_url=TEXT),
}
GIVEN = kinds(input_text=INPUT_TEXT, input_image=INPUT_IMAGE, input_file=INPUT_FILE)

# Items ------------------------------------------------------------------------------------

ITEM = kinds(
    message=thing(
        id=TEXT,
        status=STATUS,
        role=one_of("user", "assistant", "system", "developer"),
        content=many(a("Part")),
        phase=maybe(one_of("commentary", "final_answer")),
    ),
    function_call=thing(id=TEXT, call_id=TEXT, name=TEXT, arguments=TEXT, status=STATUS),
    function_call_output=thing(
        id=TEXT, call_id=TEXT, output={"anyOf": [TEXT, many(GIVEN)]}, status=STATUS
    ),
    reasoning=thing(
        id=TEXT,
        content=maybe(many(a("Part"))),
        summary=many(a("Part")),
        encrypted_content=maybe(TEXT),
    ),
    compaction=thing(id=TEXT, encrypted_content=TEXT, created_by=maybe(TEXT)),
)

# The response -----------------------------------------------------------------------------

USAGE = thing(
    input_tokens=WHOLE,
    output_tokens=WHOLE,
    total_tokens=WHOLE,
    input_tokens_details=thing(cached_tokens=WHOLE),
    output_tokens_details=thing(reasoning_tokens=WHOLE),
)
TOOL = kinds(
    function=thing(
        name=TEXT,
        description=or_null(TEXT),
        parameters=or_null(ANY_OBJECT),
        strict=or_null(BOOLEAN),
    )
)
MODE = one_of("none", "auto", "required")
FUNCTION_CHOICE = thing(type=one_of("function"), name=maybe(TEXT))
CHOICE: Schema = {
    "anyOf": [
        MODE,
        FUNCTION_CHOICE,
        thing(type=one_of("allowed_tools"), tools=many(FUNCTION_CHOICE), mode=MODE),
    ]
}
FORMAT = kinds(
    text=thing(),
    json_object=thing(),
    json_schema=thing(
        name=TEXT, description=or_null(TEXT), schema=or_null(ANY_OBJECT), strict=BOOLEAN
    ),
)
"""``schema`` as a later version has it: null alone cannot have been meant."""

RESPONSE = thing(
    id=TEXT,
    object=one_of("response"),
    created_at=WHOLE,
    completed_at=or_null(WHOLE),
    status=TEXT,
    incomplete_details=or_null(thing(reason=TEXT)),
    model=TEXT,
    previous_response_id=or_null(TEXT),
    instructions=or_null(TEXT),
    output=many(a("Item")),
    error=or_null(thing(code=TEXT, message=TEXT)),
    tools=many(TOOL),
    tool_choice=CHOICE,
    truncation=one_of("auto", "disabled"),
    parallel_tool_calls=BOOLEAN,
    text=thing(format=FORMAT, verbosity=maybe(one_of("low", "medium", "high"))),
    top_p=NUMBER,
    presence_penalty=NUMBER,
    frequency_penalty=NUMBER,
    top_logprobs=WHOLE,
    temperature=NUMBER,
    reasoning=or_null(
        thing(
            effort=or_null(one_of("none", "low", "medium", "high", "xhigh")),
            summary=or_null(one_of("concise", "detailed", "auto")),
        )
    ),
    usage=or_null(USAGE),
    max_output_tokens=or_null(WHOLE),
    max_tool_calls=or_null(WHOLE),
    store=BOOLEAN,
    background=BOOLEAN,
    service_tier=TEXT,
    metadata={},
    safety_identifier=or_null(TEXT),
    prompt_cache_key=or_null(TEXT),
)
COMPACTED = thing(
    id=TEXT,
    object=one_of("response.compaction"),
    output=many(a("Item")),
    created_at=WHOLE,
    usage=USAGE,
)

# Events -----------------------------------------------------------------------------------

_SNAPSHOT = thing(response=a("ResponseResource"))
_ITEM = thing(output_index=WHOLE, item=or_null(a("Item")))
_IN_ITEM = {"item_id": TEXT, "output_index": WHOLE}
_IN_PART = {**_IN_ITEM, "content_index": WHOLE}
_IN_SUMMARY = {**_IN_ITEM, "summary_index": WHOLE}
_PADDED = {"delta": TEXT, "obfuscation": maybe(TEXT)}
_LOGPROBS = {"logprobs": maybe(many(LOGPROB))}

EVENTS: dict[str, Schema] = {
    **{
        f"response.{name}": _SNAPSHOT
        for name in ("created", "queued", "in_progress", "completed", "failed", "incomplete")
    },
    "response.output_item.added": _ITEM,
    "response.output_item.done": _ITEM,
    "response.content_part.added": thing(**_IN_PART, part=a("Part")),
    "response.content_part.done": thing(**_IN_PART, part=a("Part")),
    "response.output_text.delta": thing(**_IN_PART, **_PADDED, **_LOGPROBS),
    "response.output_text.done": thing(**_IN_PART, text=TEXT, **_LOGPROBS),
    "response.output_text.annotation.added": thing(
        **_IN_PART, annotation_index=WHOLE, annotation=or_null(kinds(url_citation=URL_CITATION))
    ),
    "response.refusal.delta": thing(**_IN_PART, delta=TEXT),
    "response.refusal.done": thing(**_IN_PART, refusal=TEXT),
    "response.reasoning.delta": thing(**_IN_PART, **_PADDED),
    "response.reasoning.done": thing(**_IN_PART, text=TEXT),
    "response.reasoning_summary_part.added": thing(**_IN_SUMMARY, part=a("Part")),
    "response.reasoning_summary_part.done": thing(**_IN_SUMMARY, part=a("Part")),
    "response.reasoning_summary_text.delta": thing(**_IN_SUMMARY, **_PADDED),
    "response.reasoning_summary_text.done": thing(**_IN_SUMMARY, text=TEXT),
    "response.function_call_arguments.delta": thing(**_IN_ITEM, **_PADDED),
    "response.function_call_arguments.done": thing(**_IN_ITEM, arguments=TEXT),
    "error": thing(
        error=thing(type=TEXT, code=or_null(TEXT), message=TEXT, param=or_null(TEXT)),
    ),
}
SOCKET_ERROR = thing(
    type=one_of("error"),
    status=WHOLE,
    error=thing(type=maybe(TEXT), code=TEXT, message=TEXT, param=maybe(or_null(TEXT))),
)
ERROR_TYPES = {
    "server_error": 500,
    "invalid_request": 400,
    "not_found": 404,
    "model_error": 500,
    "too_many_requests": 429,
}
"""The types an error may have, and the status that goes with each."""

DEFINITIONS: dict[str, Schema] = {
    "Part": kinds(**PARTS),
    "Item": ITEM,
    "ResponseResource": RESPONSE,
    "CompactResource": COMPACTED,
    "Event": {
        "allOf": [
            kinds(**EVENTS),
            # An implementer's events too.
            thing(sequence_number=WHOLE),
        ]
    },
    "WebSocketError": SOCKET_ERROR,
}


def check(value: Any, name: str, where: str = "") -> None:
    """Raise ``AssertionError`` unless the value is one of these."""
    problems = list(_validator(name).iter_errors(value))
    if not problems:
        return
    worst = jsonschema.exceptions.best_match(problems)
    path = "".join(f"[{at}]" if isinstance(at, int) else f".{at}" for at in worst.absolute_path)
    raise AssertionError(f"{where or name}{path}: {worst.message[:300]}")


def fits(value: Any, name: str) -> bool:
    """Whether the value is one of these."""
    return bool(_validator(name).is_valid(value))


@cache
def _validator(name: str) -> Any:
    return jsonschema.Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": DEFINITIONS})
