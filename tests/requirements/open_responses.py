"""The Open Responses specification: its scenarios, and where it and OpenAI's API exclude each
other."""

from __future__ import annotations

from tests.requirements.base import Requirement

REQUIREMENTS = {
    "open-responses:scenarios": Requirement(
        source="issue; api-surface §18",
        behaviour="The 17 acceptance scenarios pass over HTTP and WebSocket, in both profiles.",
    ),
    "open-responses:scenarios:at-once": Requirement(
        source="clients: Open Responses runner",
        behaviour="They pass when all of them start at the same time.",
    ),
    "open-responses:models": Requirement(
        source="Open Responses: events and items",
        behaviour="Whatever a model does, every event and body of the profile fits the schema.",
    ),
    "open-responses:conflicts": Requirement(
        source="api-surface §17",
        behaviour="Where both authorities can be satisfied, every profile satisfies both.",
    ),
    "open-responses:beyond": Requirement(
        source="api-surface §17",
        behaviour="What only OpenAI's API has stays available in the profile, under its names.",
    ),
    "open-responses:profile:reasoning": Requirement(
        source="Open Responses: response.reasoning.delta",
        behaviour="In the profile raw reasoning is streamed and replayed under its event names.",
    ),
    "open-responses:profile:errors": Requirement(
        source="Open Responses: errors",
        behaviour="In the profile an error has one of the five types, and always a code.",
    ),
    "open-responses:profile:nulls": Requirement(
        source="Open Responses: optional keys",
        behaviour="In the profile a key that may be missing and not null is left out.",
    ),
    "open-responses:profile:lanes": Requirement(
        source="Open Responses: WebSocket mode",
        behaviour="In the profile a connection makes one response at a time and takes no lanes.",
    ),
    "open-responses:switch": Requirement(
        source="issue",
        behaviour="`server.profile`, or `--api-profile`, chooses whose rules hold.",
    ),
    "open-responses:page": Requirement(
        source="issue",
        behaviour="The reference page is made from the conflicts and from what the runs saw.",
    ),
    "open-responses:items": Requirement(
        source="Open Responses: ItemParam",
        behaviour="Every input item of the specification is taken, in every shape it may have.",
    ),
    "open-responses:refused": Requirement(
        source="Open Responses",
        behaviour="The little of the specification that is not served is refused by its name.",
    ),
}
