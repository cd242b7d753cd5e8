"""What is promised to those who let a model use a computer."""

from __future__ import annotations

from tests.requirements.base import Requirement

_ISSUE = "issue §1"

REQUIREMENTS = {
    "computer:loop:batched": Requirement(
        _ISSUE,
        "With the tool computer a chat model that can see operates a real browser, in batches.",
    ),
    "computer:loop:preview": Requirement(
        _ISSUE, "With computer_use_preview it does so with one action per call."
    ),
    "computer:loop:websocket": Requirement(
        "issue §1, api-surface §10", "The loop is the same over one WebSocket."
    ),
    "computer:loop:native": Requirement(
        _ISSUE, "Behind an upstream that knows the tool itself the loop is the same."
    ),
    "computer:blind": Requirement(
        "ours", "A model that takes no images is not given a computer: 400 at the tool's type."
    ),
    "computer:screenshot:shown": Requirement(
        _ISSUE, "The model is shown the screenshot of every call, right behind that call."
    ),
    "computer:screenshot:url": Requirement(
        _ISSUE, "A screenshot may be a data URL or a URL, which the model's server fetches."
    ),
    "computer:screenshot:file": Requirement(
        _ISSUE, "A screenshot by file id is refused precisely where there are no files."
    ),
    "computer:checks:acknowledged": Requirement(
        _ISSUE, "A call's safety checks are shown, and its output is taken once they are repeated."
    ),
    "computer:checks:missing": Requirement(
        _ISSUE, "An output that leaves out a check is a 400 that names it; the model is not asked."
    ),
    "computer:example": Requirement(
        _ISSUE, "The example operates a real Chromium, and does nothing the user refuses."
    ),
}
