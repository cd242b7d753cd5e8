"""Every operation with data drawn from the document, good and bad (schemathesis): no 5xx, and what
is answered has a documented status, content type and shape. ``make fuzz`` draws more."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import given
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from tests.openapi.asking import DOCUMENT, Things, aimed, asking, checked_events, quiet, readable
from tests.process.server import Server

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "15"))
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    unsupported_method,
]
SCHEMA = schemathesis.openapi.from_dict(readable(DOCUMENT))
OPERATIONS = {
    operation.definition.raw["operationId"]: operation
    for found in SCHEMA.get_all_operations()
    if (operation := found.ok())
}
MODES = {"good": GenerationMode.POSITIVE, "bad": GenerationMode.NEGATIVE}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Things]]:
    with asking(tmp_path_factory.mktemp("fuzz")) as both:
        yield both


@pytest.mark.requirement("openapi:fuzz")
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", OPERATIONS)
def test_no_request_breaks_the_server_or_the_document(
    served: tuple[Server, Things], name: str, mode: str
) -> None:
    server, things = served
    operation = OPERATIONS[name]
    if mode == "bad" and not (operation.body or operation.query or operation.path_parameters):
        pytest.skip("nothing can be wrong with it")
    # An empty value of a query is absent, so "limit=" is not refused.
    checks = [*CHECKS, negative_data_rejection] if operation.body else CHECKS
    answered: Counter[int] = Counter()

    @quiet(EXAMPLES)
    @given(case=operation.as_strategy(generation_mode=MODES[mode]))
    def ask(case: Any) -> None:
        if operation.body and mode == "good":
            case.body = aimed(case.body)
            if name == "compactResponse":
                case.body["model"] = "scripted/summary"
        if case.path_parameters:
            case.path_parameters = things.place(case.path_parameters)
        drawn = case.headers or {}
        case.headers = {key: text for key, text in drawn.items() if _sent(text)}
        # What was wrong may have been a header that no client sends.
        asked = checks if len(case.headers) == len(drawn) else CHECKS
        answer = case.call(base_url=f"http://{server.host}:{server.port}")
        answered[answer.status_code] += 1
        case.validate_response(answer, checks=asked)
        if answer.headers.get("content-type", [""])[0].startswith("text/event-stream"):
            checked_events(answer.text)

    ask()
    assert max(answered) < 500, answered


def _sent(text: Any) -> bool:
    """Whether an HTTP client sends this value of a header as it is."""
    return isinstance(text, str) and text.isascii() and text.isprintable() and text == text.strip()
