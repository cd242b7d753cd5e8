"""The tokens of several model calls together."""

from __future__ import annotations

from antiphon.stream.deltas import Spent
from antiphon.types.response import InputTokensDetails, OutputTokensDetails, Usage

NONE = Usage(0, 0, 0, InputTokensDetails(0), OutputTokensDetails(0))
"""Of a response without a model call."""


def added(before: Usage | None, spent: Spent) -> Usage:
    """What was used before, if anything, and this."""
    read, written = spent.input_tokens, spent.output_tokens
    cached, thought = spent.cached_tokens, spent.reasoning_tokens
    if before is not None:
        read += before.input_tokens
        written += before.output_tokens
        cached += before.input_tokens_details.cached_tokens
        thought += before.output_tokens_details.reasoning_tokens
    return Usage(
        read,
        written,
        read + written,
        InputTokensDetails(cached),
        OutputTokensDetails(thought),
    )
