"""Which backend answers, and what is done when one fails before its first word."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from antiphon.backends.base import Call, Capabilities, Pump, Sink, Turn
from antiphon.backends.router import Route, Router
from antiphon.backends.scripted import Scripted
from antiphon.errors import ClientError, RemoteError
from antiphon.observe import Observation, Retried, TurnFinished
from antiphon.stream.deltas import Delta, Finish, Spent, Text
from antiphon.types.items import Message
from tests.suites.pushing import PushedRouter

pytestmark = pytest.mark.anyio

PATIENCE_SECONDS = 5.0


class Pumped(Scripted):
    """Scripts that can be pushed too."""

    def begin(self, turn: Turn, sink: Sink) -> Call | None:
        return Pump(self.stream(turn), sink)


class Rig:
    """A router whose sleeps are written down instead of slept."""

    kind: type[Router] = Router

    def __init__(self, *routes: Route) -> None:
        self.seen: list[Observation] = []
        self.slept: list[float] = []
        self.router = self.kind(
            routes, observe=self.seen.append, sleep=self._sleep, jitter=lambda: 1.0
        )

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    @property
    def outcomes(self) -> list[tuple[str, str, int]]:
        finished = [record for record in self.seen if isinstance(record, TurnFinished)]
        return [(record.backend, record.outcome, record.attempt) for record in finished]


@pytest.fixture(params=[Router, PushedRouter], ids=["pulled", "pushed"], autouse=True)
def both_ways(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every turn is tested both ways: waited for, and pushed."""
    monkeypatch.setattr(Rig, "kind", request.param)


def route(name: str = "a", **fields: Any) -> Route:
    return Route(name=name, backend=Pumped(), **fields)


def asked(model: str) -> Turn:
    return Turn(model=model, items=[Message(role="user", content="Hello there")])


async def deltas_of(rig: Rig, model: str) -> list[Delta]:
    async with asyncio.timeout(PATIENCE_SECONDS):
        return [delta async for batch in rig.router.stream(asked(model)) for delta in batch]


async def failure_of(rig: Rig, model: str) -> RemoteError:
    with pytest.raises(RemoteError) as caught:
        await deltas_of(rig, model)
    return caught.value


def text_of(deltas: list[Delta]) -> str:
    return "".join(delta.text for delta in deltas if isinstance(delta, Text))


# Which


class Enforcing(Pumped):
    """A model whose output cannot break a schema."""

    def capabilities(self, model: str) -> Capabilities:
        return Capabilities(images=False, json_schema="enforced", strict_tools="enforced")


@pytest.mark.requirement("chat:route:promises")
def test_only_what_every_route_enforces_is_enforced() -> None:
    alone = Rig(Route(name="a", backend=Enforcing()))
    assert alone.router.capabilities("m").json_schema == "enforced"
    rig = Rig(Route(name="a", backend=Enforcing()), route("b"))
    able, weaker = rig.router.capabilities("m"), Scripted().capabilities("m")
    assert (able.json_schema, able.strict_tools) == (weaker.json_schema, weaker.strict_tools)
    assert able.json_schema != "enforced" and not able.images


@pytest.mark.requirement("chat:route:table")
async def test_a_named_route_goes_before_a_route_for_everything_else() -> None:
    rig = Rig(route("rest"), route("ours", models=["scripted/*"]))
    await deltas_of(rig, "scripted/echo")
    await deltas_of(rig, "echo")
    assert [name for name, _, _ in rig.outcomes] == ["ours", "rest"]


@pytest.mark.requirement("chat:route:table")
async def test_a_renamed_model_is_asked_for_by_its_own_name() -> None:
    rig = Rig(route(models=["gpt-?"], rename={"gpt-4": "scripted/echo"}))
    assert text_of(await deltas_of(rig, "gpt-4")) == "Hello there"
    assert (await failure_of(rig, "gpt-5")).code == "model_not_found"


@pytest.mark.requirement("chat:route:unknown")
async def test_a_model_no_route_serves_is_the_callers_mistake() -> None:
    rig = Rig(route(models=["gpt-*"]))
    with pytest.raises(ClientError) as caught:
        await deltas_of(rig, "claude")
    with pytest.raises(ClientError):
        rig.router.capabilities("claude")
    error = caught.value
    assert (error.status, error.code, error.param) == (404, "model_not_found", "model")
    assert rig.seen == []


@pytest.mark.requirement("chat:route:models")
async def test_models_are_listed_under_the_names_callers_use() -> None:
    rig = Rig(
        route("a", models=["scripted/e*", "exact"], rename={"parrot": "scripted/echo"}),
        route("b"),
    )
    listed = {model.id: model.about for model in await rig.router.models()}
    assert listed["parrot"] == listed["scripted/echo"] != ""
    assert "exact" in listed and "scripted/hello" in listed
    named = Rig(route("a", models=["scripted/echo"]))
    assert [model.id for model in await named.router.models()] == ["scripted/echo"]


# When it fails


@pytest.mark.requirement("chat:route:retries")
async def test_a_failure_before_the_first_word_is_tried_again_after_a_growing_pause() -> None:
    rig = Rig(route(retries=3))
    assert text_of(await deltas_of(rig, "flaky-3")).startswith("Hello")
    assert rig.slept == [0.25, 0.5, 1.0]
    failed = [("a", "upstream_unavailable", n) for n in (1, 2, 3)]
    assert rig.outcomes == [*failed, ("a", "ok", 4)]
    assert sum(isinstance(record, Retried) for record in rig.seen) == 3


@pytest.mark.requirement("chat:route:retries")
async def test_retries_end() -> None:
    rig = Rig(route(retries=2))
    assert (await failure_of(rig, "error-500")).status == 500
    assert len(rig.outcomes) == 3


@pytest.mark.requirement("chat:route:retries")
@pytest.mark.parametrize("model", ["error-400", "error-401", "overflow-1", "error-after-1"])
async def test_a_failure_that_invites_no_retry_is_final(model: str) -> None:
    rig = Rig(route(retries=2), route("b"))
    await failure_of(rig, model)
    assert len(rig.outcomes) == 1 and rig.slept == []


@pytest.mark.requirement("chat:route:retry-after")
async def test_the_upstreams_wish_to_wait_is_kept_or_passed_on() -> None:
    rig = Rig(route(retries=1))
    await failure_of(rig, "error-429")
    assert rig.slept == [0.25], "longer than the 10 ms it wished for"

    class Patient(Pumped):
        async def stream(self, turn: Turn) -> Any:
            for wait in [wish]:
                raise RemoteError("busy", status=429, retryable=True, retry_after_seconds=wait)
            yield []

    for wish, slept in ((3.0, [3.0]), (3600.0, [])):
        rig = Rig(Route(name="p", backend=Patient(), retries=1))
        assert (await failure_of(rig, "m")).retry_after_seconds == wish
        assert rig.slept == slept


@pytest.mark.requirement("chat:route:fallback")
async def test_the_next_route_answers_when_one_is_down() -> None:
    rig = Rig(
        route("down", retries=0, rename={"m": "error-503"}),
        route("up", rename={"m": "scripted/echo"}),
    )
    assert text_of(await deltas_of(rig, "m")) == "Hello there"
    assert rig.outcomes == [("down", "upstream_unavailable", 1), ("up", "ok", 1)]


@pytest.mark.requirement("chat:route:fallback")
async def test_a_model_one_route_does_not_have_is_looked_for_at_the_next() -> None:
    rig = Rig(route("without", rename={"m": "no-such-script"}), route("with", rename={"m": "echo"}))
    assert text_of(await deltas_of(rig, "m")) == "Hello there"


@pytest.mark.requirement("chat:route:fallback")
async def test_the_failure_that_says_most_is_reported() -> None:
    down, without = {"m": "error-503"}, {"m": "no-such-script"}
    rig = Rig(route("down", retries=0, rename=down), route("without", rename=without))
    assert (await failure_of(rig, "m")).status == 503
    rig = Rig(route("without", rename=without), route("down", retries=0, rename=down))
    assert (await failure_of(rig, "m")).status == 503


@pytest.mark.requirement("chat:route:no-end")
async def test_an_answer_without_an_end_is_a_failure() -> None:
    rig = Rig(route())
    assert (await failure_of(rig, "no-finish")).code == "upstream_broke_off"


# Usage and closing


@pytest.mark.requirement("chat:route:usage")
async def test_a_turn_without_usage_gets_an_estimate_and_reported_usage_is_kept() -> None:
    rig = Rig(route())
    deltas = await deltas_of(rig, "no-usage")
    spent = [delta for delta in deltas if isinstance(delta, Spent)]
    assert len(spent) == 1 and spent[0].input_tokens > 0
    assert 5 <= spent[0].output_tokens <= 15
    assert isinstance(deltas[-1], Finish)
    for _ in range(2):
        deltas = await deltas_of(rig, "hello")
        assert sum(isinstance(delta, Spent) for delta in deltas) == 1
    assert sum(isinstance(delta, Spent) for delta in await deltas_of(rig, "cached")) == 2


@pytest.mark.requirement("chat:estimate:learns")
async def test_reports_teach_the_estimator_under_the_callers_name() -> None:
    rig = Rig(route(rename={"m": "cached"}))
    turn = asked("m")
    plain = rig.router.estimator.input(turn)
    for _ in range(20):
        await deltas_of(rig, "m")
    assert plain != 20 and rig.router.estimator.factor("cached") == 1.0
    assert rig.router.estimator.input(turn) == 20, "what the script reports at its end"


@pytest.mark.requirement("chat:route:closing")
async def test_closing_closes_the_backends_stream_at_once() -> None:
    closed: list[str] = []

    class Watched(Pumped):
        async def stream(self, turn: Turn) -> Any:
            try:
                async for batch in super().stream(turn):
                    yield batch
            finally:
                closed.append(turn.model)

    rig = Rig(Route(name="w", backend=Watched()))
    stream = rig.router.stream(asked("endless"))
    await anext(stream)
    await stream.aclose()  # type: ignore[attr-defined]
    assert closed == ["endless"]
    assert rig.outcomes == [("w", "abandoned", 1)]


@pytest.mark.requirement("chat:route:closing")
async def test_a_backend_that_cannot_open_closes_those_that_did() -> None:
    states: list[str] = []

    class Door(Scripted):
        async def open(self) -> None:
            states.append("opened")

        async def close(self) -> None:
            states.append("closed")

    class Stuck(Scripted):
        async def open(self) -> None:
            raise RemoteError("stuck")

    rig = Rig(Route(name="d", backend=Door()), Route(name="s", backend=Stuck()))
    with pytest.raises(RemoteError, match="stuck"):
        await rig.router.open()
    assert states == ["opened", "closed"]
