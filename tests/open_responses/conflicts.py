"""Where OpenAI's API and the Open Responses specification differ, and what the server does.

``where``: "everywhere" both are satisfied at once, in any profile; "profile" only the profile
``open-responses`` follows the specification; "beyond" we do more than the specification knows,
for callers who ask for it; "refused" we do less, with a precise error. ``reason`` says why.
``test`` names the test of ``test_conflicts.py`` that proves it, empty where there is nothing to
prove.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct


class Conflict(Struct, frozen=True):
    topic: str
    openai: str
    open_responses: str
    where: Literal["everywhere", "profile", "beyond", "refused"]
    ours: str
    test: str = ""
    reason: str = ""


CONFLICTS = [
    Conflict(
        "events of raw reasoning",
        "`response.reasoning_text.delta`, `.done`",
        "`response.reasoning.delta`, `.done`; no others are known",
        "profile",
        "named as the profile says",
        test="test_raw_reasoning_has_the_names_of_the_profile",
        reason="one event cannot have two names",
    ),
    Conflict(
        "a failure while streaming",
        "an `error` event, flat",
        "an `error` event, nested, then `response.failed`",
        "everywhere",
        "`response.failed` alone; no `error` event is ever sent over HTTP, and over WebSocket it "
        "is nested for both",
        test="test_a_failure_while_streaming_is_a_failed_response",
    ),
    Conflict(
        "`type` of an error",
        "`invalid_request_error`, `rate_limit_exceeded`, …",
        "`invalid_request`, `not_found`, `too_many_requests`, `model_error`, `server_error`",
        "profile",
        "named as the profile says; the code is the same in both, and so is the status, but for "
        "a failure of the model behind the server: 502 or 504, and 500 in the profile",
        test="test_an_error_has_the_type_of_the_profile",
        reason="clients and tools compare the word",
    ),
    Conflict(
        "`code` of an error",
        "may be null",
        "a string over WebSocket",
        "everywhere",
        "every error has a code",
        test="test_an_error_over_websocket_has_a_code",
    ),
    Conflict(
        "the end of a stream",
        "the connection closes",
        "`data: [DONE]`",
        "everywhere",
        "`[DONE]` in the write of the last event; the official clients stop at it. Never over "
        "WebSocket",
        test="test_a_stream_ends_with_done_and_a_socket_does_not",
    ),
    Conflict(
        "`created_at`, `completed_at`",
        "floats in the clients' types",
        "integers",
        "everywhere",
        "integers",
        test="test_every_key_of_the_resource_is_there",
    ),
    Conflict(
        "`instructions` of a response",
        "a string or items",
        "a string or null",
        "everywhere",
        "a string or null",
        test="test_every_key_of_the_resource_is_there",
    ),
    Conflict(
        "`presence_penalty`, `frequency_penalty`, `store`, `service_tier`",
        "absent from the clients' types, or optional",
        "required and never null",
        "everywhere",
        "always there",
        test="test_every_key_of_the_resource_is_there",
    ),
    Conflict(
        "`phase`, `logprobs`, reasoning `content` and `encrypted_content`, `filename`, …",
        "may be null",
        "left out or of their type",
        "profile",
        "what the server makes has no null there in any profile; what callers gave (it comes back "
        "from `compact`) is mended in the profile",
        test="test_what_callers_gave_comes_back_without_nulls",
        reason="OpenAI's API gives back what it was given",
    ),
    Conflict(
        "`reasoning` of a response",
        "may be null or have one key",
        "null, or `effort` and `summary`",
        "everywhere",
        "an object with both keys",
        test="test_every_key_of_the_resource_is_there",
    ),
    Conflict(
        "`reasoning.effort`",
        "also `minimal` and `max`",
        "`none`, `low`, `medium`, `high`, `xhigh`",
        "beyond",
        "repeated as it was given",
        test="test_values_beyond_the_specification_are_repeated",
        reason="only who asks for them sees them",
    ),
    Conflict(
        "an echoed `json_schema` format",
        "the schema",
        "`schema` typed as null",
        "beyond",
        "the schema, with `description` and `strict`",
        test="test_values_beyond_the_specification_are_repeated",
        reason="a later version of the specification has it as an object too",
    ),
    Conflict(
        "length of a function's name",
        "128",
        "64",
        "beyond",
        "128",
        test="test_values_beyond_the_specification_are_repeated",
        reason="only who asks for them sees them",
    ),
    Conflict(
        "tools, items and events of other types than function, message and reasoning",
        "16 types of tools",
        "`function`; others are an implementer's and named `slug:name`",
        "beyond",
        "OpenAI's names in both profiles",
        test="test_tools_beyond_the_specification_keep_their_names",
        reason="they come only to who asked for such a tool, by OpenAI's name",
    ),
    Conflict(
        "several responses at a time on one WebSocket",
        "`stream_id`, in lanes",
        "never",
        "profile",
        "lanes for who sends a `stream_id`; in the profile it is refused, and without one the "
        "responses are made one after the other in both",
        test="test_a_stream_id_is_refused_in_the_profile",
        reason="a MUST NOT of one is a feature of the other",
    ),
    Conflict(
        "`stream`, `stream_options`, `background` over WebSocket",
        "typed and without effect",
        "must not be sent",
        "everywhere",
        "`stream: true` is taken, because coding agents send it; `background: true` is refused",
        test="test_fields_of_http_over_websocket",
    ),
    Conflict(
        "`usage.input_tokens_details`",
        "also `cache_write_tokens`",
        "`cached_tokens`",
        "everywhere",
        "both",
        test="test_every_key_of_the_resource_is_there",
    ),
    Conflict(
        "`logprobs` of a text delta",
        "required",
        "optional",
        "everywhere",
        "always an array",
        test="test_a_text_delta_has_logprobs",
    ),
    Conflict(
        "retrieve, delete, cancel, input items, conversations",
        "yes",
        "not in the specification",
        "beyond",
        "served in both profiles",
        test="test_a_stored_response_is_spelled_alike",
        reason="callers who do not know them lose nothing",
    ),
    Conflict(
        "`status` of items",
        "missing on some types",
        "required on all",
        "everywhere",
        "on every item the server makes; in the profile also on a `compaction`, whose type has "
        "none in either schema",
        test="test_every_item_has_a_status",
    ),
    Conflict(
        "size of a file in the input",
        "73,400,320 characters",
        "33,554,432",
        "beyond",
        "OpenAI's limit",
        reason="a larger limit refuses nobody",
    ),
    Conflict(
        "`input_video` in the output of a function",
        "no such part",
        "a part",
        "refused",
        "400 that names the part",
        test="test_what_is_not_served_is_refused_by_name",
        reason="no model here takes video",
    ),
    Conflict(
        "a `json_schema` format without `name` or `schema`",
        "both are required",
        "both may be missing",
        "refused",
        "400 that names the field",
        test="test_what_is_not_served_is_refused_by_name",
        reason="without a schema there is nothing to enforce",
    ),
    Conflict(
        "`allowed_tools` with `mode: none`",
        "`auto` or `required`",
        "also `none`",
        "refused",
        "400 that names the field",
        test="test_what_is_not_served_is_refused_by_name",
        reason='`tool_choice: "none"` says the same',
    ),
]
