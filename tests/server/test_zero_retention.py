"""A project of zero retention: nothing it says is ever in the database's file."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from openai import AsyncOpenAI, BadRequestError

from antiphon.app import App, running
from antiphon.config import Config, KeySettings, ScriptedSettings, StoreSettings
from antiphon.config_state import ProjectSettings
from tests.server.asgi_client import AsgiClient
from tests.server.conftest import House, asking
from tests.server.socket_client import Told
from tests.server.websocket_client import Talk, talking, text_of

pytestmark = pytest.mark.anyio

WORD = "xylophonic"
"""What nobody but the callers of this file says."""

PATH = "/v1/responses"


@asynccontextmanager
async def server(folder: Path, **settings: Any) -> AsyncIterator[App]:
    """Two projects, and one of them stores nothing."""
    config = Config(
        keys=(
            KeySettings(key="sk-zero", project="zero"),
            KeySettings(key="sk-other", project="other"),
        ),
        store=StoreSettings(data=str(folder), **settings),
        backends=(ScriptedSettings(),),
        projects=(ProjectSettings(name="zero", zero_retention=True),),
    )
    async with running(config) as app:
        yield app


def client(app: App, key: str = "sk-zero") -> AsgiClient:
    return AsgiClient(app.asgi, headers={"authorization": f"Bearer {key}"})


@asynccontextmanager
async def sdk(app: App, key: str = "sk-zero") -> AsyncIterator[AsyncOpenAI]:
    http = httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app.asgi))
    async with AsyncOpenAI(
        base_url="http://antiphon/v1", api_key=key, max_retries=0, http_client=http
    ) as made:
        yield made


@asynccontextmanager
async def socket(app: App, key: str = "sk-zero") -> AsyncIterator[Talk]:
    house = House(app.deps, Told(), "asgi")
    async with talking(house, headers={"authorization": f"Bearer {key}"}) as talk:
        yield talk


def in_all_files(folder: Path) -> bytes:
    """The database, its log, and whatever else there is, as it is on the disk now."""
    return b"".join(path.read_bytes() for path in folder.iterdir() if path.is_file())


async def ask(app: App, model: str, **fields: Any) -> Any:
    body = {"model": f"scripted/{model}", "input": WORD, **fields}
    return await client(app).request("POST", PATH, body=body)


async def traffic(app: App) -> None:
    """Every way in which something is said."""
    answer = await ask(app, "echo", store=True, instructions=WORD, metadata={"a": WORD})
    assert answer.status == 200 and WORD in answer.body.decode()
    for stream in (False, True):
        await ask(app, "echo", stream=stream)
        await ask(app, "error-after", stream=stream)
        await ask(app, "error", stream=stream)
    keyed = {"idempotency-key": "k1"}
    body = {"model": "scripted/echo", "input": WORD}
    for _ in range(2):
        await client(app).request("POST", PATH, headers=keyed, body=body)
    said = [{"role": "user", "content": f"{WORD} {number}"} for number in range(5)]
    compacted = await client(app).request(
        "POST", f"{PATH}/compact", body={"model": "scripted/echo", "input": said}
    )
    assert compacted.status == 200, compacted.body
    assert WORD in str(compacted.json()["output"])  # the users' messages stay
    trigger = [*said, {"type": "compaction_trigger"}]
    assert (await ask(app, "echo", input=trigger)).status == 200
    await client(app).request(
        "POST", f"{PATH}/input_tokens", body={"model": "scripted/echo", "input": WORD}
    )
    chat = {"model": "scripted/echo", "messages": said, "store": True, "metadata": {"a": WORD}}
    for stream in (False, True):
        made = await client(app).request(
            "POST", "/v1/chat/completions", body={**chat, "stream": stream}
        )
        assert made.status == 200 and made.headers["x-antiphon-downgrades"] == "store"
    async with socket(app) as talk:
        first = await talk.made(input=f"My name is {WORD}.", model="recall")
        second = await talk.made(
            input="Who am I?", model="recall", previous_response_id=first["id"]
        )
        assert WORD in text_of(second)
    for path, refused in refusals():
        assert (await client(app).request("POST", path, body=refused)).status == 400


def refusals() -> list[tuple[str, dict[str, Any]]]:
    create = {"model": "scripted/echo", "input": WORD}
    item = {"role": "user", "content": WORD}
    return [
        (PATH, {**create, "background": True}),
        (PATH, {**create, "conversation": "conv_1"}),
        ("/v1/conversations", {"items": [item]}),
        ("/v1/conversations", {"metadata": {"a": WORD}}),
        ("/v1/conversations/conv_1", {"metadata": {"a": WORD}}),
        ("/v1/conversations/conv_1/items", {"items": [item]}),
        ("/v1/chat/completions/chatcmpl-1", {"metadata": {"a": WORD}}),
    ]


@pytest.mark.requirement("retention:zero:store")
async def test_nothing_that_is_said_is_in_the_file(tmp_path: Path) -> None:
    async with server(tmp_path) as app:
        await traffic(app)
        assert WORD.encode() not in in_all_files(tmp_path)  # the log is not folded in yet
        body = {"model": "scripted/echo", "input": WORD}
        made = await client(app, "sk-other").request("POST", PATH, body=body)
        assert made.status == 200
        assert WORD.encode() in in_all_files(tmp_path)  # so it would have been seen


@pytest.mark.requirement("retention:zero:store")
async def test_nothing_is_left_after_the_end_either(tmp_path: Path) -> None:
    async with server(tmp_path) as app:
        await traffic(app)
    assert WORD.encode() not in in_all_files(tmp_path)
    assert (tmp_path / "antiphon.db").exists()


@pytest.mark.requirement("retention:zero:told")
async def test_a_response_says_that_it_is_not_stored(tmp_path: Path) -> None:
    async with server(tmp_path) as app:
        for store, told in ((True, "store"), (False, None), (None, None)):
            fields = {} if store is None else {"store": store}
            answer = await ask(app, "echo", **fields)
            assert answer.json()["store"] is False
            assert answer.headers.get("x-antiphon-downgrades") == told
        id = answer.json()["id"]
        assert (await client(app).request("GET", f"{PATH}/{id}")).status == 404
        async with socket(app) as talk:
            await talk.create(input="hi", store=True)
            heard = await talk.answer()
            assert heard[0]["x_antiphon_downgrades"] == ["store"]
            assert heard[-1]["response"]["store"] is False


@pytest.mark.requirement("retention:zero:told")
@pytest.mark.requirement("retention:zero:store")
async def test_it_is_so_on_the_hot_road_too(tmp_path: Path, road: str) -> None:
    headers = {"authorization": "Bearer sk-zero"}
    async with server(tmp_path) as app, asking(app, road, headers=headers) as caller:
        for stream in (False, True):
            body = {"model": "scripted/echo", "input": WORD, "store": True, "stream": stream}
            answer = await caller.request("POST", PATH, body=body)
            assert answer.status == 200 and b'"store":false' in answer.body
            assert answer.headers["x-antiphon-downgrades"] == "store"
            if not stream:
                after = {**body, "previous_response_id": answer.json()["id"]}
                refused = await caller.request("POST", PATH, body=after)
                assert refused.json()["error"]["code"] == "previous_response_not_found"
        assert WORD.encode() not in in_all_files(tmp_path)


@pytest.mark.requirement("retention:zero:refused")
async def test_what_needs_a_store_is_refused_by_name(tmp_path: Path) -> None:
    params = [
        "background",
        "conversation",
        "items",
        "conversation",
        "metadata",
        "items",
        "metadata",
    ]
    async with server(tmp_path) as app:
        for (path, body), param in zip(refusals(), params, strict=True):
            answer = await client(app).request("POST", path, body=body)
            error = answer.json()["error"]
            assert answer.status == 400, error
            assert (error["code"], error["param"]) == ("zero_retention", param)
            assert "zero retention" in error["message"]
        async with sdk(app) as openai:
            with pytest.raises(BadRequestError) as refused:
                await openai.conversations.create()
            assert refused.value.code == "zero_retention"


@pytest.mark.requirement("retention:zero:refused")
async def test_a_refusal_frees_its_idempotency_key(tmp_path: Path) -> None:
    async with server(tmp_path) as app:
        for _ in range(2):
            answer = await client(app).request(
                "POST",
                PATH,
                headers={"idempotency-key": "k"},
                body={"model": "scripted/echo", "input": "x", "background": True},
            )
            assert answer.json()["error"]["code"] == "zero_retention"


@pytest.mark.requirement("retention:zero:others")
async def test_other_projects_store_as_ever(tmp_path: Path) -> None:
    async with server(tmp_path) as app, sdk(app, "sk-other") as openai:
        first = await openai.responses.create(model="scripted/recall", input="My name is Ada.")
        assert first.to_dict()["store"] is True
        second = await openai.responses.create(
            model="scripted/recall", input="Who am I?", previous_response_id=first.id
        )
        assert "Ada" in second.output_text
        conversation = await openai.conversations.create(
            items=[{"type": "message", "role": "user", "content": "hi"}]
        )
        page = await openai.conversations.items.list(conversation.id)
        assert len(page.data) == 1
