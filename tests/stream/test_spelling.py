"""One response, spelled once: for the row, the plain answer and the terminal event."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.stream.deltas import Delta
from antiphon.stream.spelling import head_and_output, joined
from antiphon.types.codec import encode
from antiphon.types.response import Response
from tests.stream.walks import compose, response, turns

TRAP = '","output":[],"'


@pytest.mark.requirement("stream:spelling:one-encoding")
@given(turns(), st.booleans())
@settings(max_examples=100, deadline=None)
def test_head_and_output_joined_are_the_whole_response(
    batches: list[list[Delta]], cut: bool
) -> None:
    gate, _ = compose(batches, cut=cut)
    made = gate.response
    output = list(made.output)
    head, spelled = head_and_output(made)
    assert made.output == output
    assert msgspec.json.decode(spelled, type=list[msgspec.Raw]) is not None
    assert msgspec.json.decode(head)["output"] == []
    assert joined(head, spelled) == encode(made)


@pytest.mark.requirement("stream:spelling:one-encoding")
def test_nothing_a_caller_fills_in_is_taken_for_the_output() -> None:
    before_output = Response.__struct_fields__[: Response.__struct_fields__.index("output")]
    assert before_output == ("id", "object", "created_at", "status", "completed_at")
    asked = response()
    for name in ("model", "instructions", "user", "prompt_cache_key", "safety_identifier"):
        setattr(asked, name, TRAP)
    asked.metadata = {TRAP: TRAP}
    asked.text = {"output": [], "format": {"schema": {"output": []}}}
    asked.tools = [{"output": []}]
    asked.tool_choice = {"output": []}
    gate, _ = compose([])
    asked.output = gate.response.output
    assert joined(*head_and_output(asked)) == encode(asked)


def test_a_head_that_has_an_output_is_no_head() -> None:
    gate, _ = compose([])
    with pytest.raises(ValueError, match="empty output"):
        joined(encode(gate.response), b"[]")
