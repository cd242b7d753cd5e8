"""What the documentation promises."""

from __future__ import annotations

from tests.requirements.base import Requirement

REQUIREMENTS = {
    "docs:examples:run": Requirement(
        source="issue §6, house rules",
        behaviour="Every example runs with the official client and prints what it shows.",
    ),
    "docs:examples:demo": Requirement(
        source="issue, done when 1",
        behaviour="The examples that need no special model run with demo-antiphon.",
    ),
    "docs:snippets:run": Requirement(
        source="house rules (docs are true)",
        behaviour="A Python or shell snippet of a page runs as it stands or is part of an example.",
    ),
    "docs:snippets:commands": Requirement(
        source="house rules (docs are true)",
        behaviour="A command or setting shown in a page exists with these options and values.",
    ),
    "docs:pages:links": Requirement(
        source="house rules (docs are true)",
        behaviour="Links to headings lead to headings, and every page is reached from the index.",
    ),
    "docs:reference:complete": Requirement(
        source="house rules (docs are true)",
        behaviour="Every parameter, every key of a response, every dependency has its line.",
    ),
    "docs:architecture:true": Requirement(
        source="issue, done when 4",
        behaviour="ARCHITECTURE.md names every module and no name that does not exist.",
    ),
    "docs:differences:fresh": Requirement(
        source="issue §6",
        behaviour="The page of differences is what its generator writes.",
    ),
}
