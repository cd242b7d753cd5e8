"""How long what is stored lives, on every road and replica; projects that store nothing."""

from __future__ import annotations

import time
from typing import Any

import openai
import pytest

from tests.matrix.roads import ROADS, Client, Road, on_roads, refusal
from tests.matrix.world import BRIEF_KEY, BRIEF_SECONDS, ZERO_KEY, World

SLACK_SECONDS = 0.2
STORES_TO_LIVE = {
    "background-poll": "it lives in the store; refused with 'zero_retention'",
    "background-resume": "the same",
}


@pytest.mark.requirement("matrix:retention")
def test_what_is_due_is_gone_on_every_road_and_replica(house: World) -> None:
    brief = house.client("openai", BRIEF_KEY)
    beside = house.client("openai", BRIEF_KEY, server=len(house.servers) - 1)
    made = []
    for ask in ROADS.values():
        made.append(ask(brief, model="scripted/echo", input="x"))
        assert beside.responses.retrieve(made[-1].id).status == "completed"
    time.sleep(BRIEF_SECONDS + SLACK_SECONDS)
    for one in made:
        for reader in (brief, beside):
            with pytest.raises(openai.NotFoundError):
                reader.responses.retrieve(one.id)
            with pytest.raises(openai.NotFoundError):
                list(reader.responses.input_items.list(one.id))
            with pytest.raises(openai.BadRequestError) as refused:
                reader.responses.create(
                    model="scripted/echo", input="y", previous_response_id=one.id
                )
            assert refused.value.code == "previous_response_not_found"


@pytest.mark.requirement("matrix:zero-retention")
@on_roads(STORES_TO_LIVE)
def test_a_project_that_stores_nothing_is_answered_and_has_nothing(
    ask: Road, house: World, beside: Client
) -> None:
    for flavour in ("openai", "azure"):
        zero = house.client(flavour, ZERO_KEY)
        made = ask(zero, model="scripted/echo", input="x", store=True)
        assert (made.status, made.store, made.output_text) == ("completed", False, "x")
        for reader in (zero, house.client("openai", ZERO_KEY, server=len(house.servers) - 1)):
            with pytest.raises(openai.NotFoundError):
                reader.responses.retrieve(made.id)
        then: Any = {"model": "scripted/echo", "input": "y", "previous_response_id": made.id}
        refused = refusal(ask, zero, **then)
        assert (refused.status_code, refused.code) == (400, "previous_response_not_found")
        with pytest.raises(openai.NotFoundError):
            beside.responses.retrieve(made.id)


@pytest.mark.requirement("matrix:zero-retention")
@pytest.mark.parametrize("road", STORES_TO_LIVE)
def test_what_needs_to_be_stored_is_refused_by_name(road: str, house: World) -> None:
    zero = house.client("openai", ZERO_KEY)
    refused = refusal(ROADS[road], zero, model="scripted/echo", input="x")
    assert (refused.status_code, refused.code, refused.param) == (
        400,
        "zero_retention",
        "background",
    )
