"""Context that outgrows the window, on every road: compaction of all kinds, truncation, sealed
reasoning, counting."""

from __future__ import annotations

from typing import Any

import openai
import pytest

from tests.matrix.roads import FINISHED, REFUSED, Client, Road, in_every_flavour, on_roads, refusal

LONG = "My dog is called Rex. " + "and so on " * 600
WANTED: Any = [{"type": "compaction", "compact_threshold": 1_000}]
SEALED = ["reasoning.encrypted_content"]
MODEL = "scripted/summary"
UNSTORED_IN_BACKGROUND = "a background response must be stored, so history there is by id"


def kinds(response: Any) -> list[str]:
    return [item.type for item in response.output]


def sent_back(items: Any, *without: str) -> list[dict[str, Any]]:
    """Items as callers send them again."""
    return [
        item.model_dump(mode="json", exclude_none=True, exclude=set(without), warnings=False)
        for item in items
    ]


@pytest.mark.requirement("matrix:compact")
@in_every_flavour
def test_what_compact_gives_is_gone_on_from(ask: Road, client: Client, beside: Client) -> None:
    first = ask(client, model=MODEL, input="My dog is called Rex.")
    shorter = client.responses.compact(model=MODEL, previous_response_id=first.id)
    assert shorter.output[-1].type == "compaction" and shorter.usage.total_tokens > 0
    said: Any = [*sent_back(shorter.output), {"role": "user", "content": "And my cat?"}]
    for one in (client, beside):
        made = ask(one, model=MODEL, input=said)
        assert "Summary of" in made.output_text and "Rex" in made.output_text
        assert made.output_text.endswith("And my cat?")


@pytest.mark.requirement("matrix:compaction-automatic")
@in_every_flavour
def test_beyond_the_threshold_it_is_compacted_and_goes_on(
    ask: Road, client: Client, beside: Client
) -> None:
    first = ask(client, model=MODEL, input=LONG)
    second = ask(
        client,
        model=MODEL,
        input="And my cat?",
        previous_response_id=first.id,
        context_management=WANTED,
    )
    assert kinds(second) == ["compaction", "message"]
    assert second.output[0].encrypted_content and "Rex" not in second.output[0].encrypted_content
    assert client.responses.retrieve(second.id).output == second.output
    third = ask(beside, model=MODEL, input="third", previous_response_id=second.id)
    assert third.output_text.startswith("I was told: Summary of 2: My dog is called Rex.")
    assert third.usage.input_tokens < first.usage.input_tokens / 3
    carried = ask(
        beside,
        model=MODEL,
        input=[*sent_back(second.output), {"role": "user", "content": "third"}],
    )
    assert carried.output_text == third.output_text


@pytest.mark.requirement("matrix:compaction-conversation")
def test_a_conversation_is_compacted_once_and_goes_on(ask: Road, client: Client) -> None:
    talk = client.conversations.create().id
    ask(client, model=MODEL, input=LONG, conversation=talk)
    made = ask(client, model=MODEL, input="b", conversation=talk, context_management=WANTED)
    assert kinds(made) == ["compaction", "message"]
    third = ask(client, model=MODEL, input="c", conversation=talk, context_management=WANTED)
    assert kinds(third) == ["message"]
    assert third.output_text.startswith("I was told: Summary of 2: My dog is called Rex.")
    assert [i.type for i in client.conversations.items.list(talk)].count("compaction") == 1


@pytest.mark.requirement("matrix:compaction-trigger")
def test_a_trigger_makes_the_item_alone(ask: Road, client: Client, beside: Client) -> None:
    said: Any = [{"role": "user", "content": "My dog is called Rex."}]
    made = ask(client, model=MODEL, input=[*said, {"type": "compaction_trigger"}])
    assert (made.status, kinds(made)) == ("completed", ["compaction"])
    by_id = ask(beside, model=MODEL, input="Who?", previous_response_id=made.id)
    assert "Summary of 1" in by_id.output_text and by_id.output_text.endswith("Who?")


@pytest.mark.requirement("matrix:sealed-refused")
def test_what_was_sealed_is_nobody_elses_and_not_to_be_changed(
    ask: Road, client: Client, stranger: Client
) -> None:
    made = ask(
        client,
        model=MODEL,
        input=[{"role": "user", "content": "x"}, {"type": "compaction_trigger"}],
    )
    (item,) = sent_back(made.output)
    sealed = item["encrypted_content"]
    middle = len(sealed) // 2
    other = "A" if sealed[middle] != "A" else "B"
    changed = sealed[:middle] + other + sealed[middle + 1 :]
    for one, content in ((stranger, sealed), (client, changed), (client, sealed[:-8])):
        refused = refusal(
            ask, one, model=MODEL, input=[{**item, "encrypted_content": content}, _user("y")]
        )
        assert (refused.status_code, refused.code, refused.param) == (
            400,
            "invalid_encrypted_content",
            "input[0].encrypted_content",
        )


def _user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


@pytest.mark.requirement("matrix:reasoning-sealed")
@in_every_flavour
def test_sealed_reasoning_goes_round(ask: Road, client: Client, beside: Client) -> None:
    asked: Any = {"model": "scripted/rethink", "include": SEALED}
    first = ask(client, **asked, input="one")
    thought = first.output[0]
    assert thought.type == "reasoning" and thought.encrypted_content
    kept = [*sent_back([thought], "content"), *sent_back(first.output[1:])]
    history: Any = [_user("one"), *kept, _user("two")]
    again = ask(beside, **asked, input=history, reasoning={"context": "all_turns"})
    assert again.output_text == "I remember: Thought number 1."
    current = ask(client, **asked, input=history)
    assert "Thought number 1" not in current.output_text


@pytest.mark.requirement("matrix:reasoning-unstored")
@on_roads(
    {
        "background-poll": UNSTORED_IN_BACKGROUND,
        "background-resume": UNSTORED_IN_BACKGROUND,
    }
)
def test_who_stores_nothing_carries_reasoning_and_compaction(ask: Road, client: Client) -> None:
    asked: Any = {"model": "scripted/rethink", "include": SEALED, "store": False}
    first = ask(client, **asked, input="one")
    kept = [*sent_back(first.output[:1], "content"), *sent_back(first.output[1:])]
    history: Any = [_user("one"), *kept, _user("two")]
    again = ask(client, **asked, input=history, reasoning={"context": "all_turns"})
    assert again.output_text == "I remember: Thought number 1."
    long: Any = [_user(LONG), {"role": "assistant", "content": "Noted."}, _user("b")]
    made = ask(client, model=MODEL, input=long, store=False, context_management=WANTED)
    assert kinds(made) == ["compaction", "message"]
    onward: Any = [*sent_back(made.output), _user("c")]
    told = ask(client, model=MODEL, input=onward, store=False).output_text
    assert told.startswith("I was told: Summary of 2: My dog is called Rex.")
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(made.id)


@pytest.mark.requirement("matrix:background-stored")
def test_a_background_response_that_is_not_stored_is_refused(client: Client) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.responses.create(model=MODEL, input="x", store=False, background=True)
    assert refused.value.param in ("store", "background")


@pytest.mark.requirement("matrix:truncation")
def test_the_oldest_goes_if_it_may(ask: Road, client: Client) -> None:
    model = "scripted/overflow-600"
    parent = None
    for number in range(4):
        parent = ask(
            client, model="scripted/echo", input=f"{number} " * 60, previous_response_id=parent
        ).id
    asked: Any = {"model": model, "input": "the question", "previous_response_id": parent}
    made = ask(client, **asked, truncation="auto")
    assert (made.status, made.truncation) == ("completed", "auto")
    assert "the question" in made.output_text
    try:
        over = ask(client, **asked)
    except REFUSED as refused:
        assert (refused.status_code, refused.code) == (400, "context_length_exceeded")  # type: ignore[union-attr]
    else:  # in the background, and in a stream that had begun, it is an end
        assert over.status == "failed" and over.error is not None
        assert over.error.code == "invalid_prompt"
    assert client.responses.retrieve(made.id).status in FINISHED


@pytest.mark.requirement("matrix:input-tokens")
@in_every_flavour
def test_a_count_says_how_it_was_made_and_is_what_is_used(
    ask: Road, client: Client, beside: Client
) -> None:
    first = ask(client, model=MODEL, input=LONG)
    made = ask(
        client, model=MODEL, input="b", previous_response_id=first.id, context_management=WANTED
    )
    for parent in (first.id, made.id):
        asked: Any = {"model": MODEL, "input": "c", "previous_response_id": parent}
        raw = beside.responses.input_tokens.with_raw_response.count(**asked)
        assert raw.headers["x-antiphon-token-count"] == "exact"
        counted = raw.parse().input_tokens
        assert ask(client, **asked).usage.input_tokens == counted
