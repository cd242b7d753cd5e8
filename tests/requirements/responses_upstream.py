"""What the backend for upstreams that speak the Responses API themselves promises."""

from __future__ import annotations

from tests.requirements.base import Requirement

ISSUE = "issue §3"

REQUIREMENTS = {
    "responses-upstream:same-answer": Requirement(
        ISSUE,
        "An answer through another Antiphon has the same items, events, status and usage as from "
        "it directly, for every scripted model.",
    ),
    "responses-upstream:stateless": Requirement(
        ISSUE,
        "Every item is sent as a strict server takes it: store false, the whole context, no id.",
    ),
    "responses-upstream:our-state": Requirement(
        ISSUE, "State is ours: reasoning of earlier turns goes back from our store or the caller's."
    ),
    "responses-upstream:encrypted": Requirement(
        ISSUE,
        "What an upstream encrypted goes back to that upstream and to no other; what it does not "
        "know again is left out of that turn.",
    ),
    "responses-upstream:summaries": Requirement(
        "api-surface §7.4",
        "Summaries an upstream makes of its reasoning stream part by part and replay the same.",
    ),
    "responses-upstream:native-tools": Requirement(
        ISSUE, "A tool the upstream knows goes as it is, any other as a function."
    ),
    "responses-upstream:native-calls": Requirement(
        ISSUE, "A native call becomes the native item, and its output goes back natively."
    ),
    "responses-upstream:hosted-tools": Requirement(
        ISSUE, "Calls the upstream makes itself pass with their events and replay the same."
    ),
    "responses-upstream:answers": Requirement(
        ISSUE, "Text, refusals, phases, calls and cut answers are heard, streamed or whole."
    ),
    "responses-upstream:unknown": Requirement(
        "api-surface §7.5", "Events and items nobody here knows are read over, counted and told."
    ),
    "responses-upstream:json-mode": Requirement(
        "api-surface §6.5", "Formats go in the API's own shape, and JSON mode is spoken of."
    ),
    "responses-upstream:azure": Requirement(
        "api-surface §16", "Azure gets its header and, where one is set, its api-version."
    ),
    "responses-upstream:errors": Requirement(
        "issue §3", "A refusal says whose fault it is and shows no secret of the server's."
    ),
    "responses-upstream:failed": Requirement(
        "issue §3", "A response that fails or breaks off keeps what was said and what was paid."
    ),
    "responses-upstream:lessons": Requirement(
        "issue §3",
        "A field or type of tool that is refused and can be spared is left out from then on.",
    ),
    "responses-upstream:cut": Requirement(
        "house.md §7 row 5", "Where the network cuts a stream does not change what is heard."
    ),
    "responses-upstream:habits": Requirement(
        ISSUE,
        "What an upstream leaves out, says twice, late, interleaved or oddly still gives a sound "
        "stream with nothing lost or doubled, and its replay is the same; what it says as an error "
        "has failed.",
    ),
    "responses-upstream:stop": Requirement(
        "ours", "A stop of a chat completion ends the answer although this API has no such field."
    ),
    "responses-upstream:remembered": Requirement(
        "perf.md §Design decisions", "What is remembered of a conversation is never sent otherwise."
    ),
    "responses-upstream:downgrades": Requirement(
        ISSUE, "Only what the upstream has no field for is told as downgraded."
    ),
    "responses-upstream:official-client": Requirement(
        "house.md §7", "The official client accepts, strictly validated, what comes through."
    ),
    "responses-upstream:settings": Requirement(
        ISSUE, "Settings, command line and doctor know such an upstream."
    ),
}
