"""Which bus a server gets, and that real processes hear each other over it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator

import msgspec
import pytest

from antiphon.app import App, running
from antiphon.bus.local import LocalBus
from antiphon.config import Config, ScriptedSettings, StoreSettings
from antiphon.config_state import BusSettings
from antiphon.errors import RemoteError
from tests.bus.rigs import Ear, NatsRig, NatsServer, PostgresRig, reached
from tests.store import postgres

pytestmark = pytest.mark.anyio

SPEAKER = """
import asyncio, sys
from antiphon.app import running
from antiphon.config import BusSettings, Config, ScriptedSettings, StoreSettings

async def main():
    config = Config(
        store=StoreSettings(file=":memory:"),
        backends=(ScriptedSettings(),),
        bus=BusSettings(url=sys.argv[1], jetstream=False),
    )
    async with running(config) as app:
        heard = asyncio.Event()
        app.bus.subscribe("run.answer", lambda payload: heard.set())
        while not heard.is_set():
            for number in range(5):
                app.bus.publish("run.question", b"%d" % number)
            await asyncio.sleep(0.05)

asyncio.run(main())
"""


def config(url: str | None, store: str | None = None) -> Config:
    return Config(
        store=StoreSettings(file=":memory:", url=store),
        backends=(ScriptedSettings(),),
        bus=BusSettings(url=url, jetstream=False),
    )


@pytest.fixture(params=["postgres", "nats"])
async def rig(request: pytest.FixtureRequest) -> AsyncIterator[PostgresRig | NatsRig]:
    if request.param == "postgres":
        postgres.server()
        rig: PostgresRig | NatsRig = PostgresRig()
    else:
        if missing := NatsServer.missing():
            pytest.skip(missing)
        rig = NatsRig()
    yield rig
    await rig.close()


@pytest.mark.requirement("bus:choice:processes")
async def test_two_processes_hear_each_other(rig: PostgresRig | NatsRig) -> None:
    url = rig.url if isinstance(rig, PostgresRig) else rig.server.url
    async with running(config(url)) as app:
        ear = Ear(app.bus, "run.question")
        speaker = await asyncio.create_subprocess_exec(sys.executable, "-c", SPEAKER, url)
        async with asyncio.timeout(30):
            while speaker.returncode is None:
                if len(ear.heard) >= 5:
                    app.bus.publish("run.answer")
                await asyncio.sleep(0.02)
        assert speaker.returncode == 0
        said = [int(payload) for payload in ear.of("run.question")]
        first = said.index(0)
        rounds = [said[at : at + 5] for at in range(first, len(said) - 4, 5)]
        assert rounds
        assert all(one == [0, 1, 2, 3, 4] for one in rounds)


@pytest.mark.requirement("bus:choice:settings")
def test_the_settings_choose_the_bus() -> None:
    assert type(App(config(None)).bus) is LocalBus
    for url in ("nats://n1:4222,nats://n2:4222", "tls://n1", "NATS://n1"):
        assert type(App(config(url)).bus).__name__ == "NatsBus"
    for url in ("postgresql://host/db", "postgres://host/db"):
        assert type(App(config(url)).bus).__name__ == "PostgresBus"
    for url in ("redis://host", "", "nats"):
        with pytest.raises((ValueError, msgspec.ValidationError), match="nats://HOST"):
            BusSettings(url=url)


@pytest.mark.requirement("bus:choice:pooler")
def test_behind_a_pooler_the_bus_needs_an_address_of_its_own() -> None:
    pooled = StoreSettings(url="postgresql://pool/db", pooler=True)
    backends = (ScriptedSettings(),)
    with pytest.raises(RemoteError, match=r"set bus\.url"):
        App(Config(store=pooled, backends=backends))
    direct = BusSettings(url="postgresql://direct/db")
    assert type(App(Config(store=pooled, backends=backends, bus=direct)).bus).__name__ == (
        "PostgresBus"
    )


@pytest.mark.requirement("bus:open:unreachable")
async def test_a_server_whose_bus_is_not_there_does_not_start() -> None:
    app = App(config("nats://127.0.0.1:1"))
    with pytest.raises(RemoteError, match="the bus cannot reach NATS"):
        await app.open()
    await app.close()


@pytest.mark.requirement("bus:delivery:everybody")
async def test_the_bus_of_one_process_needs_nothing() -> None:
    async with running(config(None)) as app:
        await reached(app.bus, app.bus)
