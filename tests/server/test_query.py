"""Query strings: brackets, booleans, ranges, and nothing ignored."""

from __future__ import annotations

import pytest

from antiphon.errors import ClientError
from antiphon.server.query import INCLUDES, Query

KNOWN = ("include", "stream", "starting_after", "limit", "order", "after")


@pytest.mark.requirement("http:query:include")
@pytest.mark.parametrize(
    "query",
    [
        b"include[]=reasoning.encrypted_content&include[]=message.output_text.logprobs",
        b"include%5B%5D=reasoning.encrypted_content&include%5B%5D=message.output_text.logprobs",
        b"include=reasoning.encrypted_content&include=message.output_text.logprobs",
        b"include[0]=reasoning.encrypted_content&include[1]=message.output_text.logprobs",
    ],
)
def test_include_is_read_in_every_spelling_of_an_array(query: bytes) -> None:
    assert Query(query, KNOWN).include() == {
        "reasoning.encrypted_content",
        "message.output_text.logprobs",
    }


def test_the_eight_include_values_are_known() -> None:
    query = "&".join(f"include[]={value}" for value in INCLUDES).encode()
    assert len(INCLUDES) == 8
    assert Query(query, KNOWN).include() == frozenset(INCLUDES)


FAULTS = [
    (b"include[]=reasoning.encrypted_content&include[]=x", "include[1]", "invalid_value"),
    (b"stream=1", "stream", "invalid_value"),
    (b"stream=True", "stream", "invalid_value"),
    (b"starting_after=-1", "starting_after", "integer_below_min_value"),
    (b"starting_after=11", "starting_after", "integer_above_max_value"),
    (b"starting_after=1.5", "starting_after", "invalid_type"),
    (b"starting_after=%D9%A3", "starting_after", "invalid_type"),
    (b"order=up", "order", "invalid_value"),
    (b"limt=3", "limt", "unknown_parameter"),
    (b"limit=3&limit=4", "limit", "invalid_value"),
]


@pytest.mark.requirement("http:query:faults")
@pytest.mark.parametrize(("raw", "param", "code"), FAULTS)
def test_a_fault_in_the_query_is_named(raw: bytes, param: str, code: str) -> None:
    with pytest.raises(ClientError) as refused:
        query = Query(raw, KNOWN)
        query.include()
        query.flag("stream")
        query.integer("starting_after", default=-1, least=0, most=10)
        query.word("order", ("asc", "desc"), default="desc")
    assert (refused.value.param, refused.value.code) == (param, code)
    assert refused.value.status == 400


def test_an_absent_parameter_has_its_default() -> None:
    query = Query(b"", KNOWN)
    assert query.flag("stream") is False
    assert query.integer("limit", default=20, least=1, most=100) == 20
    assert query.word("order", ("asc", "desc"), default="desc") == "desc"
    assert query.text("after") is None
    assert query.include() == frozenset()


def test_an_empty_value_is_absent() -> None:
    assert Query(b"after=&limit=", KNOWN).text("after") is None


def test_what_official_clients_add_to_every_url_is_tolerated() -> None:
    assert Query(b"api-version=preview&beta=true&stream=true", KNOWN).flag("stream")


def test_a_flood_of_parameters_is_refused() -> None:
    with pytest.raises(ClientError):
        Query(b"&".join([b"include=x"] * 1000), KNOWN)
