"""Codex CLI, and the model that plays a coding agent for it."""

from __future__ import annotations

from tests.requirements.base import Requirement

REQUIREMENTS = {
    "clients:codex:page": Requirement(
        "issue §4", "The page about Codex shows the configuration the real Codex is tested with."
    ),
    "clients:codex:letters": Requirement(
        "clients: Codex CLI", "What one agent writes to another is shown to that one's model."
    ),
    "clients:codex:coder": Requirement(
        "ours", "The model that plays a coding agent does nothing that it was not shown."
    ),
}
