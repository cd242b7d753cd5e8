"""The composition root: what starts, what stops, in which order."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from antiphon.app import App, create, running
from antiphon.config import Config, ScriptedSettings, ServerSettings, StoreSettings
from antiphon.errors import RemoteError
from antiphon.observe import Broke, EngineChanged, Observation, Observers, ResponseFinished, Swept

pytestmark = pytest.mark.anyio

SECONDS_MAX = 5


def settings(tmp_path: Path | None = None, **store: Any) -> Config:
    place: dict[str, Any] = {"file": ":memory:"} if tmp_path is None else {"data": str(tmp_path)}
    return Config(backends=(ScriptedSettings(),), store=StoreSettings(**place, **store))


async def ask(app: Any, method: str, path: str, body: object = None) -> tuple[int, bytes]:
    """One request, without a socket."""
    raw = b"" if body is None else json.dumps(body).encode()
    sent: list[Any] = []
    asked = asyncio.Event()

    async def receive() -> dict[str, Any]:
        if asked.is_set():
            await asyncio.Event().wait()
        asked.set()
        return {"type": "http.request", "body": raw, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(b"content-type", b"application/json")],
    }
    await app(scope, receive, send)
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:])


async def test_the_whole_server_runs_in_this_process() -> None:
    seen: list[Observation] = []
    observe = Observers()
    observe.subscribe(seen.append)
    async with running(settings(), observe=observe) as app:
        made = {"model": "scripted/echo", "input": "hello"}
        status, body = await ask(app.asgi, "POST", "/v1/responses", made)
        assert status == 200
        made_id = json.loads(body)["id"]
        assert (await ask(app.asgi, "GET", f"/v1/responses/{made_id}"))[1] == body
        assert (await ask(app.asgi, "GET", "/readyz"))[0] == 200
        assert (await ask(app.asgi, "GET", "/openai/v1/models"))[0] == 200
        metrics = (await ask(app.asgi, "GET", "/metrics"))[1].decode()
    assert 'antiphon_responses_total{model="scripted/echo",status="completed"} 1.0' in metrics
    assert "antiphon_requests_in_flight 1.0" in metrics
    assert "process_resident_memory_bytes" in metrics
    assert [type(it) for it in seen].count(ResponseFinished) == 1


@pytest.mark.requirement("process:store:private")
async def test_a_new_data_directory_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    async with running(settings(tmp_path / "a" / "b")):
        assert (tmp_path / "a" / "b").stat().st_mode & 0o077 == 0


@pytest.mark.requirement("process:store:swept")
async def test_expired_responses_are_swept() -> None:
    swept = asyncio.Event()
    observe = Observers()

    def look(observation: Observation) -> None:
        if isinstance(observation, Swept) and observation.responses:
            swept.set()

    observe.subscribe(look)
    config = settings(retention_days=1e-9, sweep_seconds=0.01)
    async with running(config, observe=observe) as app:
        made = {"model": "scripted/echo", "input": "hello"}
        made_id = json.loads((await ask(app.asgi, "POST", "/v1/responses", made))[1])["id"]
        async with asyncio.timeout(SECONDS_MAX):
            await swept.wait()
        assert (await ask(app.asgi, "GET", f"/v1/responses/{made_id}"))[0] == 404


async def test_a_sweeper_that_ends_is_told() -> None:
    told = asyncio.Event()

    def observe(observation: Observation) -> None:
        if isinstance(observation, Swept):
            raise ValueError("an observer of ours broke")
        if isinstance(observation, Broke) and isinstance(observation.error, ValueError):
            told.set()

    observers = Observers()
    observers.subscribe(observe)
    async with running(settings(), observe=observers):
        await asyncio.wait_for(told.wait(), SECONDS_MAX)


async def test_closing_waits_for_requests_under_way() -> None:
    app = App(settings())
    await app.open()
    made = {"model": "scripted/slow-20ms", "input": "hello"}
    request = asyncio.create_task(ask(app.asgi, "POST", "/v1/responses", made))
    await asyncio.sleep(0)
    await app.close()
    assert request.done()
    assert json.loads(request.result()[1])["status"] == "completed"


async def test_what_was_opened_is_closed_when_the_start_fails(tmp_path: Path) -> None:
    async with running(settings(tmp_path)):
        second = App(settings(tmp_path))
        with pytest.raises(RemoteError, match="in use by another"):
            await second.open()
    async with running(settings(tmp_path)):
        pass


async def test_a_store_that_cannot_be_written_is_not_ready() -> None:
    async with running(settings()) as app:
        await app.store.close()
        status, body = await ask(app.asgi, "GET", "/readyz")
    assert status == 503
    assert json.loads(body)["problems"].keys() == {"store"}


@pytest.mark.requirement("process:readyz:engine")
async def test_a_server_whose_engine_is_not_ready_is_not_ready() -> None:
    async with running(settings()) as app:
        app.observe(EngineChanged("starting", "demo.gguf"))
        status, body = await ask(app.asgi, "GET", "/readyz")
        assert (status, json.loads(body)["problems"]) == (503, {"engine": "starting: demo.gguf"})
        app.observe(EngineChanged("ready", "demo.gguf"))
        assert (await ask(app.asgi, "GET", "/readyz"))[0] == 200


async def test_another_asgi_server_opens_and_closes_it_by_the_lifespan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTIPHON__STORE__DATA", str(tmp_path))
    monkeypatch.setenv("ANTIPHON__BACKENDS__0__KIND", "scripted")
    application = create()
    steps: asyncio.Queue[dict[str, str]] = asyncio.Queue()
    sent: asyncio.Queue[Any] = asyncio.Queue()
    scope: dict[str, Any] = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
    life: asyncio.Task[None] = asyncio.create_task(application(scope, steps.get, sent.put))  # type: ignore[arg-type]
    async with asyncio.timeout(SECONDS_MAX):
        await steps.put({"type": "lifespan.startup"})
        assert await sent.get() == {"type": "lifespan.startup.complete"}
        made = {"model": "scripted/echo", "input": "hello"}
        assert (await ask(application, "POST", "/v1/responses", made))[0] == 200
        await steps.put({"type": "lifespan.shutdown"})
        assert await sent.get() == {"type": "lifespan.shutdown.complete"}
        await life


async def test_uvicorn_by_itself_knows_the_application_for_asgi_3(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ANTIPHON__STORE__FILE", ":memory:")
    loaded = uvicorn.Config("antiphon.app:create", factory=True, log_config=None)
    loaded.load()
    assert loaded.interface == "asgi3"


async def test_too_many_requests_at_once_are_turned_away() -> None:
    config = Config(
        backends=(ScriptedSettings(),),
        store=StoreSettings(file=":memory:"),
        server=ServerSettings(requests_max=1),
    )
    async with running(config) as app:
        made = {"model": "scripted/slow-20ms", "input": "hello"}
        first = asyncio.create_task(ask(app.asgi, "POST", "/v1/responses", made))
        await asyncio.sleep(0)
        assert (await ask(app.asgi, "POST", "/v1/responses", made))[0] == 503
        assert (await first)[0] == 200
