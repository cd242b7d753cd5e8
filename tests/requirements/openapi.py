"""The OpenAPI document."""

from __future__ import annotations

from tests.requirements.base import Requirement

REQUIREMENTS = {
    "openapi:routes": Requirement(
        source="issue",
        behaviour="Every method of every route is described, and nothing that is not served.",
    ),
    "openapi:types": Requirement(
        source="issue",
        behaviour="Every item type, tool and stream event of the types is described.",
    ),
    "openapi:valid": Requirement(
        source="OpenAPI 3.1; JSON Schema 2020-12",
        behaviour="The document is valid, and so is each of its schemas.",
    ),
    "openapi:served": Requirement(
        source="issue",
        behaviour="`GET /openapi.json` answers the document without a key.",
    ),
    "openapi:lazy": Requirement(
        source="ours",
        behaviour="A server that starts does not load what makes the document.",
    ),
    "openapi:sdk": Requirement(
        source="issue; openai SDK",
        behaviour="Field names, required fields and enumerations are those of the official "
        "client's models, or the difference is listed with its reason.",
    ),
    "openapi:bodies:taken": Requirement(
        source="issue",
        behaviour="A body that fits its schema is never refused for its shape, but for listed "
        "rules between parameters.",
    ),
    "openapi:bodies:refused": Requirement(
        source="issue",
        behaviour="A body that does not fit its schema is refused with a 4xx that has a code.",
    ),
    "openapi:fuzz": Requirement(
        source="issue",
        behaviour="Whatever is sent to an operation, there is no 5xx, and the answer has a "
        "documented status, content type and shape.",
    ),
    "openapi:answers": Requirement(
        source="issue",
        behaviour="Responses, events, lists and errors have the documented shapes, whatever a "
        "model did.",
    ),
}
