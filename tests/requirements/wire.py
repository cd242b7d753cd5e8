"""What the codec promises about the bytes of the API."""

from __future__ import annotations

from tests.requirements.base import Requirement

REQUIREMENTS = {
    "wire:types:match-sdk": Requirement(
        source="openai SDK 3.54 (openai.types.responses)",
        behaviour="Structs, events, items and parameters have the SDK's fields and values, "
        "except where a difference is listed with its reason.",
    ),
    "wire:create:parameters": Requirement(
        source="api-surface §3",
        behaviour="Every create parameter is checked for type, range, length and value, and null "
        "means absent.",
    ),
    "wire:errors:codes": Requirement(
        source="api-surface §1.4, §22.18",
        behaviour="A body that does not fit is a 400 naming the parameter, the code and what "
        "would have been right.",
    ),
    "wire:errors:malformed": Requirement(
        source="api-surface §1.4",
        behaviour="A body that is not a JSON object is refused with invalid_json or invalid_type "
        "and the place of the fault.",
    ),
    "wire:errors:echo-limit": Requirement(
        source="house rules",
        behaviour="An error repeats at most 100 characters of what the caller sent.",
    ),
    "wire:errors:always-a-cause": Requirement(
        source="house rules",
        behaviour="Whatever the body, decoding either succeeds or raises ClientError.",
    ),
    "wire:items:easy": Requirement(
        source="api-surface §5.1, §22.14",
        behaviour="A message may omit its type, a reference may omit it or send null, and "
        "assistant content may be text or parts.",
    ),
    "wire:items:fed-back": Requirement(
        source="api-surface §22.13, clients.md",
        behaviour="Every output item is accepted verbatim with ids, statuses, nulls and extras.",
    ),
    "wire:items:opaque": Requirement(
        source="api-surface §5, §22.56",
        behaviour="Item types the API names and we do not interpret are kept whole; others are "
        "refused at input[i].type.",
    ),
    "wire:items:limits": Requirement(
        source="api-surface §5.1, §5.3",
        behaviour="Call ids, texts, image URLs and file data have the API's length limits.",
    ),
    "wire:items:sources": Requirement(
        source="api-surface §5.1",
        behaviour="An image part and a file part have exactly one source.",
    ),
    "wire:tools:open": Requirement(
        source="api-surface §6.1, §22.12",
        behaviour="Function and custom tools are opened, any other tool is refused by name.",
    ),
    "wire:tools:schema": Requirement(
        source="api-surface §1.4",
        behaviour="Function parameters must describe an object.",
    ),
    "wire:tools:calling": Requirement(
        source="api-surface §6.1",
        behaviour="async, defer_loading and programmatic callers are refused, their neutral "
        "values accepted.",
    ),
    "wire:tool-choice:forms": Requirement(
        source="api-surface §6.2, §22.26",
        behaviour="Every form of tool_choice is understood and names only tools of the request.",
    ),
    "wire:input-tokens:body": Requirement(
        source="api-surface §11",
        behaviour="The token count takes the parameters that decide the input and no others.",
    ),
}
