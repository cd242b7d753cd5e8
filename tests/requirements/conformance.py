"""The API as a stranger checks it: by rules of our own making, and by what real clients send."""

from __future__ import annotations

from tests.requirements.base import Requirement

REQUIREMENTS = {
    "conformance:object:rules": Requirement(
        source="api-surface §3.2, §5, §7, §17; Open Responses",
        behaviour="Every answer, plain, streamed, retrieved or replayed, has every key with its "
        "type, and the stream adds up to it.",
    ),
    "conformance:object:format": Requirement(
        source="Open Responses: JsonSchemaResponseFormat",
        behaviour="The echoed `json_schema` format has `description` and `strict`.",
    ),
    "conformance:azure:objects": Requirement(
        source="api-surface §16.6, §22.37",
        behaviour="The same rules hold on Azure's paths, with `content_filters`.",
    ),
    "conformance:items:strict": Requirement(
        source="openai SDK (strict validation), api-surface §4.4, §22.13, §22.34",
        behaviour="Items are listed as their types demand, whatever was left out or null, and "
        "can be fed back verbatim.",
    ),
    "conformance:items:paging": Requirement(
        source="openai SDK, api-surface §22.40",
        behaviour="Items a caller gives the same id get ids of their own, so paging ends.",
    ),
    "conformance:items:same-id": Requirement(
        source="api-surface §22.3",
        behaviour="A message with the id of an earlier one and other words is not dropped.",
    ),
    "conformance:items:include": Requirement(
        source="api-surface §3.1, §22.39",
        behaviour="Listed items show log probabilities only if they are included.",
    ),
    "conformance:schema:refused": Requirement(
        source="api-surface §1.4: invalid_json_schema, invalid_function_parameters",
        behaviour="A schema that cannot be checked with is a 400 before the model is asked.",
    ),
    "conformance:schema:network": Requirement(
        source="issue",
        behaviour="No `$ref` of a caller's schema is fetched.",
    ),
    "conformance:schema:pattern": Requirement(
        source="JSON Schema 2020-12, ECMA 262",
        behaviour="Patterns are matched as JSON Schema says, in linear time.",
    ),
    "conformance:schema:json": Requirement(
        source="RFC 8259, JSON Schema 2020-12",
        behaviour="Only JSON passes as JSON, and only keywords count as keywords.",
    ),
    "conformance:request:refused": Requirement(
        source="api-surface §1.4, §3, §22.18, §22.48",
        behaviour="A wrong request is refused in the envelope, with its parameter and code.",
    ),
    "conformance:request:taken": Requirement(
        source="api-surface §3; clients",
        behaviour="Nulls, empty objects, large and odd but honest requests are answered.",
    ),
    "conformance:request:faulty": Requirement(
        source="issue",
        behaviour="Requests with random faults get a sound answer or a sound error, never a 5xx, "
        "and send nothing on that a strict upstream refuses.",
    ),
    "conformance:request:paths": Requirement(
        source="api-surface §2.1, §22.46",
        behaviour="Odd ids, sub-paths and query values get the status they deserve.",
    ),
    "conformance:frameworks:codex": Requirement(
        source="clients: Codex CLI",
        behaviour="A coding agent's stateless loop with custom tools and client metadata works.",
    ),
    "conformance:frameworks:resend": Requirement(
        source="clients: Semantic Kernel",
        behaviour="Chaining and sending everything again gives the context of chaining alone.",
    ),
    "conformance:frameworks:references": Requirement(
        source="clients: AI SDK",
        behaviour="References to output items give the context of the items themselves.",
    ),
    "conformance:frameworks:loop": Requirement(
        source="api-surface §6.5, §22.5",
        behaviour="Ten turns of parallel calls, chained or stateless, reach the upstream in order.",
    ),
    "conformance:frameworks:strict-upstream": Requirement(
        source="clients (last paragraph)",
        behaviour="No combination of odd input and settings sends what a strict upstream refuses.",
    ),
    "conformance:sdk:parse": Requirement(
        source="api-surface §21",
        behaviour="The client's parse helpers give the model, the arguments, or nothing.",
    ),
    "conformance:sdk:resume": Requirement(
        source="api-surface §8, §22.24",
        behaviour="Both ways of the client to resume a stream give the events after the cursor.",
    ),
    "conformance:sdk:concurrent": Requirement(
        source="openai SDK",
        behaviour="Fifty streams at once over a socket keep apart.",
    ),
    "conformance:upstream:habits": Requirement(
        source="api-surface §6.5, §22.16, §22.33, §22.35",
        behaviour="Odd habits of upstreams' streams still give a response that obeys the rules.",
    ),
    "conformance:upstream:codes": Requirement(
        source="api-surface §1.4, §22.48",
        behaviour="An upstream's error type is not handed on as a code.",
    ),
    "conformance:upstream:params": Requirement(
        source="issue §3",
        behaviour="The `param` of an upstream's refusal is the caller's parameter.",
    ),
    "conformance:http:connection": Requirement(
        source="RFC 9112",
        behaviour="A connection survives errors and answers pipelined requests in order.",
    ),
    "conformance:http:head": Requirement(
        source="ours",
        behaviour="The head of a request is bounded, whatever its body.",
    ),
    "conformance:http:upgrade": Requirement(
        source="RFC 9110 §7.8",
        behaviour="A request that offers HTTP/2 (Java, curl) keeps its body.",
    ),
    "conformance:http:expect": Requirement(
        source="RFC 9110 §10.1.1",
        behaviour="A caller who expects 100 is told to go on, unless the request is refused.",
    ),
    "conformance:http:cut": Requirement(
        source="RFC 9112 §8", behaviour="A body that ends too early leaves nothing behind."
    ),
    "conformance:http:slow": Requirement(
        source="issue", behaviour="A slow reader gets everything and delays nobody else."
    ),
    "conformance:http:leave": Requirement(
        source="issue, api-surface §22.23",
        behaviour="Leaving a stream closes the connection to the upstream.",
    ),
}
