"""The other objects of the API, as they appear on the wire."""

from __future__ import annotations

import msgspec

from antiphon.types.codec import encode
from antiphon.types.resources import (
    Deleted,
    ErrorBody,
    ErrorEnvelope,
    InputTokens,
    ItemPage,
    ModelList,
    ModelObject,
    Page,
)


def test_a_page_of_stored_items_is_not_parsed_again() -> None:
    page = ItemPage(data=[msgspec.Raw(b'{"id":"msg_1"}')], first_id="msg_1", last_id="msg_1")
    assert encode(page) == (
        b'{"object":"list","data":[{"id":"msg_1"}],"first_id":"msg_1","last_id":"msg_1",'
        b'"has_more":false}'
    )


def test_an_empty_page_has_null_ids() -> None:
    assert encode(Page(data=[])) == (
        b'{"object":"list","data":[],"first_id":null,"last_id":null,"has_more":false}'
    )


def test_small_objects_have_all_their_keys() -> None:
    assert encode(Deleted(id="resp_1")) == b'{"id":"resp_1","object":"response","deleted":true}'
    assert encode(InputTokens(input_tokens=7)) == (
        b'{"object":"response.input_tokens","input_tokens":7}'
    )
    assert encode(ModelList(data=[ModelObject(id="m")])) == (
        b'{"object":"list","data":[{"id":"m","object":"model","created":0,"owned_by":"antiphon"}]}'
    )
    assert encode(ErrorEnvelope(ErrorBody(message="m", type="t"))) == (
        b'{"error":{"message":"m","type":"t","param":null,"code":null}}'
    )
