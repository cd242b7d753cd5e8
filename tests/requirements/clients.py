"""What real clients do against a running server."""

from __future__ import annotations

from tests.requirements.base import Requirement

REQUIREMENTS = {
    "clients:run:unchanged": Requirement(
        "issue §4, clients", "Every client of the registry makes all its checks, unchanged."
    ),
    "clients:registry:complete": Requirement(
        "issue §4", "Every client has exact pins, a program, an example and a row on the page."
    ),
    "clients:roads:translated": Requirement(
        "issue §3, §4",
        "A client's checks hold too when every model is behind a chat-completions server or one "
        "that speaks the Responses API.",
    ),
    "clients:page:seen": Requirement(
        "issue §4", "The compatibility page says what the last run saw, failures included."
    ),
    "clients:harness:reports": Requirement(
        "issue §4", "A program that fails, hangs, breaks or checks nothing is reported as such."
    ),
}
