"""What the upstream HTTP transports and the event parser promise."""

from __future__ import annotations

from tests.requirements.base import Requirement

RFC = "RFC 9112"
HOUSE = "perf.md §Design decisions 1, 5"

REQUIREMENTS = {
    "transport:request:shape": Requirement(
        source=f"{RFC} §3",
        behaviour="A request reaches the upstream with its method, path, query, headers and body.",
    ),
    "transport:request:injection": Requirement(
        source=f"{RFC} §11.1",
        behaviour="A header with a line break is refused before anything is sent.",
    ),
    "transport:body:as_it_comes": Requirement(
        source=HOUSE,
        behaviour="Body bytes are handed over when they arrive, one item per network read.",
    ),
    "transport:body:any_cut": Requirement(
        source=f"{RFC} §7.1",
        behaviour="Where the network cuts a reply does not change the reply.",
    ),
    "transport:body:too_long": Requirement(
        source=f"{RFC} §6.3",
        behaviour="Bytes beyond the declared length never become part of an answer.",
    ),
    "transport:body:gzip": Requirement(
        source="RFC 9110 §8.4",
        behaviour="A gzip or deflate body is unpacked as it comes.",
    ),
    "transport:body:read_limit": Requirement(
        source="issue", behaviour="A reader that states a limit never collects more than that."
    ),
    "transport:keep_alive:reuse": Requirement(
        source=f"{RFC} §9.3",
        behaviour="A connection is used again unless the peer says close.",
    ),
    "transport:keep_alive:stale": Requirement(
        source=f"{RFC} §9.3.1",
        behaviour="A kept connection closed before it answered is replaced once, silently.",
    ),
    "transport:keep_alive:no_second_try": Requirement(
        source=f"{RFC} §9.3.1",
        behaviour="Nothing is sent twice once a byte of the answer was read.",
    ),
    "transport:keep_alive:expires": Requirement(
        source=f"{RFC} §9.5", behaviour="An unused connection is closed after a while."
    ),
    "transport:failure:refused": Requirement(
        source="issue", behaviour="An unreachable upstream is a retryable 502."
    ),
    "transport:failure:no_answer": Requirement(
        source="issue",
        behaviour="A fresh connection closed without an answer is a 502 that is not retried.",
    ),
    "transport:failure:cut_body": Requirement(
        source="issue",
        behaviour="A body that breaks off is handed over as far as it came, then it is an error.",
    ),
    "transport:failure:not_http": Requirement(
        source=f"{RFC} §4",
        behaviour="A garbage status line or oversized headers are a 502, not a crash.",
    ),
    "transport:timeout:connect": Requirement(
        source="issue", behaviour="A connection that takes too long is a retryable 504."
    ),
    "transport:timeout:first_byte": Requirement(
        source="issue",
        behaviour="Headers that do not come are a 504 and the connection is dropped.",
    ),
    "transport:timeout:idle": Requirement(
        source="issue",
        behaviour="A body that stops coming is a 504 after what came; the connection is dropped.",
    ),
    "transport:status:interim": Requirement(
        source="RFC 9110 §15.2", behaviour="Interim answers (100, 103) are skipped."
    ),
    "transport:status:redirect": Requirement(
        source="issue", behaviour="A redirect is an answer, it is not followed."
    ),
    "transport:cancel:upstream_notices": Requirement(
        source="issue",
        behaviour="Cancelling a request closes its connection at once, before and inside the body.",
    ),
    "transport:cancel:abandoned_body": Requirement(
        source="issue", behaviour="Abandoning a body closes its connection at once."
    ),
    "transport:back_pressure:pauses": Requirement(
        source=HOUSE, behaviour="A reader that lags stops the sender instead of filling memory."
    ),
    "transport:close:breaks_off": Requirement(
        source="issue", behaviour="Closing the transport breaks off the replies under way."
    ),
    "transport:choice:by_url": Requirement(
        source="house.md §0.2",
        behaviour="Plain http goes over the fast client, TLS and proxies over aiohttp.",
    ),
    "sse:parse:standard": Requirement(
        source="WHATWG HTML §9.2.6",
        behaviour="Event payloads are what the standard says, for every stream and every cut.",
    ),
    "sse:parse:byte_by_byte": Requirement(
        source="house.md §7.5",
        behaviour="A stream fed byte by byte gives the same payloads.",
    ),
    "sse:end:trailing_event": Requirement(
        source="chat-completions upstreams",
        behaviour="A last event without its blank line is not lost.",
        divergence="The standard drops an event that the stream ends inside of.",
    ),
    "sse:limit:event_size": Requirement(
        source="issue", behaviour="An event that never ends is refused at a limit."
    ),
}
