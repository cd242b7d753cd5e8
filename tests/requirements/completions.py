"""What chat completions promise, made and stored."""

from __future__ import annotations

from tests.requirements.base import Requirement

_ISSUE = "issue §1"
_API = "openai SDK, Chat Completions"

REQUIREMENTS = {
    "completions:create:object": Requirement(
        _API, "A chat.completion has exactly the documented keys."
    ),
    "completions:types": Requirement(
        _API, "Requests and answers are the official client's types, field by field."
    ),
    "completions:stream:same": Requirement(
        _ISSUE, "The chunks of a stream joined are the plain answer, whatever the model does."
    ),
    "completions:stream:shape": Requirement(
        _API, "The role comes first; the usage, if asked for, last and without choices."
    ),
    "completions:stream:obfuscation": Requirement(
        _API, "include_obfuscation adds random text to every chunk."
    ),
    "completions:finish-reason": Requirement(
        _API, "finish_reason is stop, length, content_filter, tool_calls or function_call."
    ),
    "completions:reasoning": Requirement(
        "clients of open models",
        "Thinking is reasoning_content, which is accepted back; prose beside a format is, too.",
    ),
    "completions:messages": Requirement(_API, "Messages of all roles and parts reach the model."),
    "completions:settings": Requirement(_API, "Every setting reaches the model as it was asked."),
    "completions:stop": Requirement(_API, "A stop text ends the answer and is not part of it."),
    "completions:downgrades": Requirement(
        "house", "What is accepted but not passed on is named in x-antiphon-downgrades."
    ),
    "completions:refused": Requirement(
        "house", "What cannot be honoured is a 400 naming the parameter as the caller wrote it."
    ),
    "completions:errors": Requirement(
        _ISSUE, "A failure is a status before the first piece, an error event after it."
    ),
    "completions:leaves": Requirement(
        _ISSUE, "A reader who leaves stops the model; nothing is kept of it."
    ),
    "completions:methods": Requirement("house", "Wrong methods and base URLs are said so."),
    "completions:upstream": Requirement(
        _API, "stop and seed are sent to the upstream, the seed under the name it knows."
    ),
    "completions:client": Requirement(
        "openai SDK", "create, stream and parse of the official clients work, Azure's too."
    ),
    "completions:stored:operations": Requirement(
        "api-surface §2.3", "list, retrieve, update, delete and messages work with the client."
    ),
    "completions:stored:only": Requirement(
        "api-surface §2.3", "Only completions created with store: true are kept."
    ),
    "completions:stored:before-done": Requirement(
        _ISSUE, "A streamed completion is stored before its stream is over."
    ),
    "completions:stored:messages": Requirement(
        "api-surface §2.3", "The messages it was made from are listed with ids and content_parts."
    ),
    "completions:stored:faults": Requirement(
        "house", "A missing id is 404, a wrong query or body a 400 that names it."
    ),
    "completions:stored:durable": Requirement(
        "house", "A completion that cannot be stored is an error, not a completion."
    ),
    "completions:idempotent": Requirement(
        _ISSUE, "The same Idempotency-Key and body give the same completion; a failure frees it."
    ),
    "completions:store:whole": Requirement("ours", "What is stored comes back unchanged."),
    "completions:store:shut": Requirement(
        _ISSUE, "The content columns can be encrypted; lists and filters work all the same."
    ),
    "completions:tenants": Requirement(
        "api-surface §22.30", "Another project's completion is like a missing one."
    ),
    "completions:list:pages": Requirement(
        "api-surface §2.3", "Pages show every completion once, in order of their birth."
    ),
    "completions:list:filters": Requirement(
        "api-surface §2.3", "A list can be filtered by model and by pairs of metadata."
    ),
    "completions:update": Requirement("api-surface §2.3", "Metadata is replaced as a whole."),
    "completions:delete": Requirement("api-surface §2.3", "Deleting leaves nothing."),
    "completions:retention": Requirement(
        _ISSUE, "Completions expire like responses and are erased by the sweeper."
    ),
}
