"""What the HTTP surface promises, and what the official client needs of it."""

from __future__ import annotations

from tests.requirements.base import Requirement

REQUIREMENTS = {
    # Keys
    "http:auth:two-headers": Requirement(
        source="api-surface §1.1, §22.37",
        behaviour="A key is accepted as Bearer or as api-key on every route; Bearer counts first.",
    ),
    "http:auth:refused": Requirement(
        source="api-surface §1.4",
        behaviour="No key or a wrong key is 401 invalid_api_key, and the key is never repeated.",
    ),
    "http:auth:open": Requirement(
        source="issue", behaviour="Without configured keys everybody is the project default."
    ),
    "http:auth:foreign-pages": Requirement(
        source="ours",
        behaviour="A server without keys refuses what a web page of another site makes a browser"
        " send, by Origin.",
    ),
    "http:auth:first": Requirement(
        source="issue",
        behaviour="The key is checked before the body is read, on unknown paths too.",
    ),
    "http:auth:exempt": Requirement(
        source="issue", behaviour="The operator's pages need no key and show no content."
    ),
    "http:auth:isolation": Requirement(
        source="api-surface §22.30",
        behaviour="Another project's response is indistinguishable from a missing one.",
    ),
    # Bodies and queries
    "http:body:encodings": Requirement(
        source="RFC 9110 §8.4", behaviour="Bodies compressed with gzip or deflate are read."
    ),
    "http:body:refused": Requirement(
        source="RFC 9110 §15.5.14, §15.5.16",
        behaviour="A body that is too large, a form, or wrongly encoded is 413, 415 or 400.",
    ),
    "http:body:content-type": Requirement(
        source="api-surface §1.2", behaviour="JSON is read whatever the content type says."
    ),
    "http:query:include": Requirement(
        source="api-surface §1.2, §22.39",
        behaviour="include is read with brackets, without them and with indexes.",
    ),
    "http:query:faults": Requirement(
        source="issue",
        behaviour="A wrong, repeated or unknown query parameter is a 400 that names it.",
    ),
    # Errors
    "http:errors:envelope": Requirement(
        source="api-surface §1.4", behaviour="Every error body has message, type, param and code."
    ),
    "http:errors:mapping": Requirement(
        source="api-surface §1.3, §1.4, §22.38",
        behaviour="Each kind of failure has its status, type and code, and says whether to retry.",
    ),
    "http:errors:retry-after": Requirement(
        source="api-surface §1.3",
        behaviour="A wish to wait is sent as retry-after and retry-after-ms.",
    ),
    "http:errors:bug": Requirement(
        source="issue",
        behaviour="An unexpected failure shows its request id and nothing of itself.",
    ),
    "http:errors:before-first-event": Requirement(
        source="api-surface §7.1",
        behaviour="What fails before the first event is an HTTP error, streamed or not.",
    ),
    "http:errors:after-first-event": Requirement(
        source="house",
        behaviour="A bug after the first byte cuts the answer, closes the model call and is told.",
    ),
    # Headers, routing
    "http:headers:request-id": Requirement(
        source="api-surface §1.3",
        behaviour="Every answer has x-request-id: the caller's if it is sane, else one of ours.",
    ),
    "http:headers:common": Requirement(
        source="api-surface §1.3",
        behaviour="Every answer tells openai-version and openai-processing-ms.",
    ),
    "http:headers:downgrades": Requirement(
        source="issue",
        behaviour="Parameters accepted but not fully honoured are named in a header.",
    ),
    "http:routing:unknown": Requirement(
        source="api-surface §1.1, §2.5",
        behaviour="An unknown path is 404 with the envelope; nothing redirects.",
    ),
    "http:routing:hints": Requirement(
        source="issue", behaviour="The message of an unknown path guesses the right one."
    ),
    "http:routing:methods": Requirement(
        source="RFC 9110 §15.5.6, api-surface §22.46",
        behaviour="A wrong method is 405 with Allow; literal sub-paths are not taken for ids.",
    ),
    "http:websocket:426": Requirement(
        source="clients.md (Codex CLI)",
        behaviour="An upgrade that is switched off, or no handshake, is answered 426, as HTTP, so "
        "that clients fall back.",
    ),
    "http:responses:compact": Requirement(
        source="api-surface §2.1",
        behaviour="POST /v1/responses/compact is no response's id.",
    ),
    # The operator
    "http:health:ready": Requirement(
        source="issue", behaviour="/readyz is 503 with the problems while there are any."
    ),
    "http:health:metrics": Requirement(
        source="issue", behaviour="/metrics renders the metrics, and is 404 without them."
    ),
    "http:limits:crowded": Requirement(
        source="house §6.11",
        behaviour="One request more than allowed is 503, repeatable, and health still answers.",
    ),
    "http:observe:finished": Requirement(
        source="house §6.7",
        behaviour="Every request is told with its route's template, never with its path.",
    ),
    # Models
    "http:models:list": Requirement(
        source="api-surface §2.4", behaviour="Models are listed, and found by name with slashes."
    ),
    "http:models:unknown": Requirement(
        source="api-surface §1.4", behaviour="An unknown model is 404 model_not_found."
    ),
    # Create
    "http:create:json": Requirement(
        source="api-surface §22.21", behaviour="An answer is JSON unless stream is true."
    ),
    "http:create:accept": Requirement(
        source="api-surface §22.20", behaviour="Accept chooses nothing; only stream does."
    ),
    "http:sse:frames": Requirement(
        source="api-surface §7.1, §22.19",
        behaviour="A stream is event and data lines, dense numbers, one [DONE], no id or retry.",
    ),
    "http:sse:one-write-per-group": Requirement(
        source="api-surface §7.1, perf",
        behaviour="Events of one batch leave in one write, whole; [DONE] with the terminal event.",
    ),
    "http:sse:failed": Requirement(
        source="api-surface §7.6", behaviour="A failure after the first event is response.failed."
    ),
    "http:sse:keep-alive": Requirement(
        source="api-surface §7.1, §21", behaviour="A silent stream gets comment lines."
    ),
    "http:sse:obfuscation": Requirement(
        source="api-surface §22.52",
        behaviour="Deltas carry fresh random text when asked for, in the projection only.",
        divergence="The vendor obfuscates by default.",
    ),
    "http:disconnect:stream": Requirement(
        source="api-surface §8, §22.23",
        behaviour="Leaving a stream closes the model call; the response is stored as cancelled.",
    ),
    "http:disconnect:json": Requirement(
        source="api-surface §8, §22.23",
        behaviour="Leaving before the first byte closes the model call.",
    ),
    "http:disconnect:stalled": Requirement(
        source="issue §6",
        behaviour="Who takes nothing for a minute has left: a stalled reader keeps no model busy.",
    ),
    "http:disconnect:every-event": Requirement(
        source="house §7.10",
        behaviour="Whoever leaves after any write leaves a finished or a cancelled response.",
    ),
    "http:shutdown:cancelled": Requirement(
        source="issue",
        behaviour="A server that stops closes model calls and records cancelled responses.",
    ),
    # The hot routes, which are answered before ASGI
    "http:hot:direct": Requirement(
        source="issue (speed)",
        behaviour="Plain creates and retrievals are answered without the application.",
    ),
    "http:hot:same-answer": Requirement(
        source="ours",
        behaviour="Over a connection every request gets the answer the application would give.",
    ),
    "http:hot:segments": Requirement(
        source="RFC 9112 §2.2", behaviour="A request means the same however it is cut up."
    ),
    "http:hot:keep-alive": Requirement(
        source="RFC 9112 §9.3", behaviour="A connection is kept after every kind of answer."
    ),
    "http:hot:pipelined": Requirement(
        source="RFC 9112 §9.3.2", behaviour="Requests sent ahead are answered whole and in order."
    ),
    "http:hot:heads": Requirement(
        source="ours",
        behaviour="Every head is read for what it says, also after many others like it.",
    ),
    "http:hot:keys": Requirement(
        source="api-surface §1.1, §1.4",
        behaviour="Keys count on a connection as for the application, each request by itself.",
    ),
    "http:hot:framing": Requirement(
        source="RFC 9112 §2.2, §5, §6, §7, §11.2",
        behaviour="What is not HTTP is 400 and closes; nothing behind it is read as a request.",
    ),
    "http:hot:close": Requirement(
        source="RFC 9112 §9.6", behaviour="After the last request nothing more is read."
    ),
    "http:hot:head-bound": Requirement(
        source="ours", behaviour="A head of more than 64 KiB is 400, in whatever pieces."
    ),
    "http:hot:body-bound": Requirement(
        source="RFC 9110 §15.5.14",
        behaviour="A body of the limit is read and one byte more is 413, in whatever form.",
    ),
    "http:hot:expect": Requirement(
        source="RFC 9110 §10.1.1",
        behaviour="A caller who waits for 100 gets it once, and not if refused.",
    ),
    "http:hot:leaving": Requirement(
        source="api-surface §8, §22.23",
        behaviour="Who leaves before, in or after an answer leaves no call running and no noise.",
    ),
    "http:hot:back-pressure": Requirement(
        source="issue (speed)",
        behaviour="A slow reader stops the upstream: nothing piles up, and nothing is lost.",
    ),
    "http:hot:idle": Requirement(
        source="RFC 9112 §9.5",
        behaviour="An idle connection is closed after its time, a busy one never.",
    ),
    "outbox:order": Requirement(
        "issue (speed)", "What is written in one turn of the loop leaves at its end, in order."
    ),
    "outbox:refused": Requirement(
        "ours", "A transport that refuses a write keeps no other from being written to."
    ),
    "http:hot:no-cycles": Requirement(
        "ours", "What a request needed is freed when it is over, without the garbage collector."
    ),
    "http:hot:stopping": Requirement(
        source="RFC 9112 §9.6",
        behaviour="A server that stops finishes answers under way and begins no other.",
    ),
    # Stored
    "http:retrieve:same": Requirement(
        source="api-surface §22.1", behaviour="A retrieved response is the one that was answered."
    ),
    "http:retrieve:faults": Requirement(
        source="api-surface §2.1", behaviour="A wrong query of a retrieve is a 400 that names it."
    ),
    "http:replay:cursor": Requirement(
        source="api-surface §8, §22.24",
        behaviour="A replay is the stream again, from after any number on.",
    ),
    "http:missing:404": Requirement(
        source="api-surface §1.4", behaviour="An id of any shape that is not there is 404."
    ),
    "http:store:false": Requirement(
        source="api-surface §22.22", behaviour="What was not stored is not there for any reader."
    ),
    "http:delete:gone": Requirement(
        source="api-surface §4.3, §22.55",
        behaviour="A deleted response is gone for retrieve, replay, listing and continuation.",
    ),
    "http:cancel:synchronous": Requirement(
        source="api-surface §8, §22.18",
        behaviour="Cancelling a synchronous response is 400, with an empty body called JSON.",
    ),
    "http:input-items:paging": Requirement(
        source="api-surface §2.1, §22.40",
        behaviour="Items are paged by id, newest first by default, with ids we assigned.",
    ),
    "http:input-items:faults": Requirement(
        source="api-surface §2.1", behaviour="A wrong limit, order, cursor or include is 400."
    ),
    "http:input-items:images": Requirement(
        source="api-surface §4.4, §22.40", behaviour="Image URLs are listed only when included."
    ),
    "http:input-tokens:count": Requirement(
        source="api-surface §11",
        behaviour="Counts what a create would send, history included, and makes nothing.",
    ),
    "http:input-tokens:faults": Requirement(
        source="api-surface §11", behaviour="Counting refuses what a create would refuse."
    ),
    # All projections
    "http:matrix:stream-adds-up": Requirement(
        source="house §7.2, api-surface §22.1, §22.8",
        behaviour="Deltas add up to the last event and to what is stored.",
    ),
    "http:matrix:replay-identical": Requirement(
        source="house §7.2, api-surface §7.2",
        behaviour="A replay is the original stream byte for byte.",
    ),
    "http:matrix:plain-equals-stream": Requirement(
        source="house §7.2", behaviour="The plain answer is what the stream ends with."
    ),
    "http:matrix:plain-replayed": Requirement(
        source="house §7.2", behaviour="The replay of a plain answer adds up to that answer."
    ),
    "http:matrix:flavours-agree": Requirement(
        source="house D9", behaviour="Flavours differ in what Azure adds and in nothing else."
    ),
    "http:docs:complete": Requirement(
        source="house §7.13", behaviour="Every route, error code and header is documented."
    ),
    # The official client
    "sdk:create:strict": Requirement(
        source="openai SDK",
        behaviour="Every kind of answer passes the SDK's strict validation, created and retrieved.",
    ),
    "sdk:stream:events": Requirement(
        source="openai SDK", behaviour="Every event passes strict validation, live and replayed."
    ),
    "sdk:stream:helper": Requirement(
        source="openai SDK, api-surface §7.7",
        behaviour="The stream helper accumulates the final response, and resumes by id.",
    ),
    "sdk:parse:structured": Requirement(
        source="openai SDK, api-surface §21",
        behaviour="Structured output is parsed into the caller's model.",
    ),
    "sdk:chain:tools": Requirement(
        source="openai SDK, api-surface §22.13",
        behaviour="A tool call is answered by id, or by feeding back output items verbatim.",
    ),
    "sdk:input-items:pages": Requirement(
        source="openai SDK, api-surface §21", behaviour="The SDK's pager reaches the end."
    ),
    "sdk:delete:none": Requirement(
        source="openai SDK", behaviour="Delete works, then retrieve is NotFoundError."
    ),
    "sdk:count:tokens": Requirement(source="openai SDK", behaviour="input_tokens.count works."),
    "sdk:models:list": Requirement(source="openai SDK", behaviour="models.list and retrieve work."),
    "sdk:errors:classes": Requirement(
        source="openai SDK, api-surface §1.4",
        behaviour="Errors arrive as the SDK's classes with code, param and request id.",
    ),
    "sdk:errors:cancel": Requirement(
        source="openai SDK", behaviour="Cancelling a synchronous response is BadRequestError."
    ),
    "sdk:errors:auth": Requirement(
        source="openai SDK", behaviour="A wrong key is AuthenticationError."
    ),
    "sdk:retries:advice": Requirement(
        source="openai SDK, api-surface §22.38",
        behaviour="The SDK repeats what may help and nothing for which work was done.",
    ),
    "sdk:socket:uvicorn": Requirement(
        source="issue",
        behaviour="Create, stream, early leave and fallback work over a real socket.",
    ),
}
