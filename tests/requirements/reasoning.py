"""Reasoning that is sealed and comes back."""

from __future__ import annotations

from tests.requirements.base import Requirement

_API = "api-surface §15"

REQUIREMENTS = {
    "reasoning:sealed:everywhere": Requirement(
        _API,
        "With include, reasoning items carry encrypted_content in the stream's done event, the "
        "object, GET and replay; never in added.",
    ),
    "reasoning:sealed:asked": Requirement(
        "api-surface §17, §22.34", "Not asked for, encrypted_content is absent, never null."
    ),
    "reasoning:sealed:carried": Requirement(
        _API, "Sealed reasoning sent back is shown to its model as far as reasoning.context says."
    ),
    "reasoning:sealed:chained": Requirement(
        _API, "Hidden reasoning is kept along a chain, and never shown."
    ),
    "reasoning:sealed:mismatch": Requirement(
        _API, "Reasoning of another project or model is left out and named."
    ),
    "reasoning:sealed:tampered": Requirement(_API, "Changed reasoning is 400 and named."),
    "reasoning:sealed:background": Requirement(
        _API, "A background response seals its reasoning once: events and object agree."
    ),
    "reasoning:sealed:cut": Requirement(_API, "Reasoning cut short is sealed as far as it went."),
}
