"""What the run layer promises."""

from __future__ import annotations

from tests.requirements.base import Requirement

_ISSUE = "issue §3"

REQUIREMENTS = {
    "runs:reasoning:policy": Requirement(
        "api-surface §15", "The operator decides whether raw reasoning is shown."
    ),
    "runs:object:golden": Requirement(
        "issue §3, api-surface §3.2", "The Response object has exactly the documented keys."
    ),
    "runs:object:echo": Requirement("api-surface §3", "Every setting is echoed as it was asked."),
    "runs:object:null-means-absent": Requirement(
        "clients: LlamaIndex, Semantic Kernel, Agno", "Null and empty objects mean absent."
    ),
    "runs:chain:recalls": Requirement("api-surface §4.1", "A turn sees its whole chain."),
    "runs:chain:nothing-leaks": Requirement(
        "api-surface §22.4",
        "Instructions, tools and settings are not inherited or stored as items.",
    ),
    "runs:chain:branches": Requirement(
        "api-surface §22.32", "A branch does not see its siblings, and lists its whole ancestry."
    ),
    "runs:chain:unknown-parent": Requirement(
        "api-surface §22.3, §22.30",
        "An unknown, foreign, deleted or unstored parent is 400 previous_response_not_found.",
    ),
    "runs:delete:tombstone": Requirement(
        _ISSUE, "Deleting a parent keeps its descendants' context and shows it to nobody."
    ),
    "runs:calls:answered": Requirement(
        "api-surface §22.15", "Unanswered calls and orphan outputs are 400."
    ),
    "runs:input:retelling": Requirement(
        "clients: Semantic Kernel", "Items of the history sent again are not doubled."
    ),
    "runs:input:contradicting": Requirement(
        _ISSUE, "An output that contradicts the one a call has is left out and reported."
    ),
    "runs:format:learned": Requirement(
        "api-surface §20", "A schema the upstream turns out not to enforce is checked at once."
    ),
    "runs:input:asking-twice": Requirement(_ISSUE, "A repeated question is a new question."),
    "runs:input:reused-call-ids": Requirement(
        "clients: upstreams that number the calls of each turn anew",
        "A call_id that comes again with another call or another outcome is not a retelling.",
    ),
    "runs:input:made-up-ids": Requirement(
        "clients: frameworks that give all items one id",
        "An id that comes again with other content names a new item.",
    ),
    "runs:input:references-bounded": Requirement(
        "issue §6", "A short request cannot multiply a stored item or look for items without end."
    ),
    "runs:input:references": Requirement(
        "api-surface §5.2", "item_reference resolves to a stored item of the same tenant."
    ),
    "runs:input:own-output-verbatim": Requirement(
        "api-surface §22.13", "Every item we emit is accepted back verbatim, with its id."
    ),
    "runs:items:ids-stable": Requirement("api-surface §22.1, §22.40", "Item ids never change."),
    "runs:store:false": Requirement(
        "api-surface §22.22", "Nothing of an unstored response can be found again."
    ),
    "runs:truncation": Requirement(
        "api-surface §10.3", "auto drops the oldest exchanges whole; disabled is a 400."
    ),
    "runs:truncation:calls": Requirement(
        "api-surface §10.3", "auto never parts a call from the output this request brings."
    ),
    "runs:refusals": Requirement(_ISSUE, "What is not available is a 400 naming its parameter."),
    "runs:downgrades": Requirement(_ISSUE, "What is accepted but not honoured is reported."),
    "runs:errors:before-first-event": Requirement(
        _ISSUE, "A failure before the first event is an error, and nothing is stored."
    ),
    "runs:downgrades:unsent": Requirement(
        _ISSUE, "A setting the backend has no field for is reported when it is asked for."
    ),
    "runs:calls:cut-and-answered": Requirement(
        "api-surface §4.1", "A call that was cut short may still be answered, or is left out."
    ),
    "runs:format:commentary": Requirement(
        "api-surface §22.41, openai SDK",
        "Prose before a call under a text format is marked as commentary, so parsers skip it.",
    ),
    "runs:format:checked": Requirement(
        _ISSUE, "Structured output that is not enforced is validated, with a bounded retry."
    ),
    "runs:format:gives-up": Requirement(
        _ISSUE, "A model that never satisfies the format ends the response as failed."
    ),
    "runs:format:json-object": Requirement(_ISSUE, "json_object output is a JSON object."),
    "runs:format:bounded": Requirement(
        "issue §6", "The work of one check is bounded, whatever the schema."
    ),
    "runs:format:unique": Requirement(
        "JSON Schema §6.4.3", "uniqueItems compares values, in linear time."
    ),
    "runs:format:numbers": Requirement(
        _ISSUE, "A number too large to compute with breaks the format, not the server."
    ),
    "runs:strict:honest": Requirement(
        "api-surface §22.25", "strict is echoed as true only where it is enforced or checked."
    ),
    "runs:strict:arguments": Requirement(_ISSUE, "Arguments of strict functions are valid."),
    "runs:grammar:checked": Requirement(_ISSUE, "Input of grammar tools matches the grammar."),
    "runs:choice:required": Requirement(
        "api-surface §6.2", "required means a call, or a failed response."
    ),
    "runs:choice:none": Requirement("api-surface §6.2", "none means no call reaches the caller."),
    "runs:choice:named": Requirement(
        "api-surface §22.26", "Named choices and allowed_tools are enforced hard."
    ),
    "runs:choice:unknown-tool": Requirement(
        "api-surface §6.2", "A call of a tool that was not offered is suppressed."
    ),
    "runs:parallel:false": Requirement("api-surface §3", "At most one call when not parallel."),
    "runs:calls:arguments-json": Requirement(
        "api-surface §22.16", "Arguments of a finished call are never the empty string."
    ),
    "runs:calls:ids-unique": Requirement(
        "api-surface §22.35", "call_id is unique in its context and differs from the item's id."
    ),
    "runs:faults:upstream-cut": Requirement(
        _ISSUE, "An upstream cut after any batch gives response.failed, stored and replayable."
    ),
    "runs:attempts:reasoning": Requirement(
        _ISSUE, "Reasoning of a repeated model call does not silence the answer of the next one."
    ),
    "runs:attempts:no-trace": Requirement(
        _ISSUE, "A model call that is made again leaves no call of the first time behind."
    ),
    "runs:faults:inside-a-read": Requirement(
        "api-surface §7.3", "A failure inside a network read loses no event made before it."
    ),
    "runs:faults:late-first-batch": Requirement(
        _ISSUE, "A model call that fails before the first event is closed."
    ),
    "runs:faults:silent": Requirement(
        "api-surface §7.3", "A model call that says nothing more ends when its time is up."
    ),
    "runs:faults:contract": Requirement(
        "api-surface §22.9", "A backend that ends without finishing fails the response."
    ),
    "runs:faults:reader-leaves": Requirement(
        "api-surface §22.23", "A reader leaving at any event cancels and records the response."
    ),
    "runs:faults:store": Requirement(
        _ISSUE, "A response that cannot be stored is failed, never reported as completed."
    ),
    "runs:faults:store-nth": Requirement(
        "house §7.10", "A store that fails at its Nth flush leaves no half response."
    ),
    "runs:faults:slow-start": Requirement(
        "api-surface §7.1", "A stream opens even if the model is slow to begin."
    ),
    "runs:order:stored-before-terminal": Requirement(
        "api-surface §22.2", "The row is durable before the terminal event leaves."
    ),
    "runs:retrieve:missing": Requirement(
        "api-surface §22.30", "A foreign id is answered exactly like a missing one."
    ),
    "runs:files:kept": Requirement(
        "ours", "Documents of a chain are not read anew at every turn; their number is bounded."
    ),
    "runs:files:text": Requirement(_ISSUE, "Text files become text; the stored item is unchanged."),
    "runs:files:pdf": Requirement(_ISSUE, "PDF pages become text, and images where models see."),
    "runs:files:any-installation": Requirement(
        _ISSUE, "PDFs are read wherever the package was imported from."
    ),
    "runs:files:bounded": Requirement(
        "issue §6", "A document's pages take bounded memory of the server."
    ),
    "runs:files:refused": Requirement(_ISSUE, "A file that cannot be read is named in a 400."),
}
