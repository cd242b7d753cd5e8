"""What holds where one turn calls tools of several kinds."""

from __future__ import annotations

from tests.requirements.base import Requirement

_ISSUE = "issue §1, §2"

REQUIREMENTS = {
    "tools:mixed:answered": Requirement(
        _ISSUE,
        "Functions, MCP tools and searches of one turn are all answered, in whatever order they "
        "were called.",
    ),
    "tools:mixed:any-cut": Requirement(
        _ISSUE, "Who takes over in the middle of a mixed turn leaves none of its calls open."
    ),
    "tools:mixed:takeover-choice": Requirement(
        _ISSUE, "A call that was made under a demand fulfils it also for who takes over."
    ),
    "tools:mixed:search-failed": Requirement(
        _ISSUE, "A search for tools that failed has an answer the model is shown."
    ),
    "tools:mixed:nonsense": Requirement(
        _ISSUE, "Nonsense behind a call of an MCP tool fails the response in the API's words."
    ),
}
