"""How deliveries are repeated, given up, kept apart and shared: with a clock of our own."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from openai import OpenAI

from antiphon.addresses import Guard
from antiphon.app import store_of
from antiphon.bus.local import LocalBus
from antiphon.config import StoreSettings
from antiphon.ids import Ids
from antiphon.observe import WebhookTried
from antiphon.runs.deliveries import EACH_MAX, GIVE_UP_MS, LEASE_MS, Deliveries
from antiphon.runs.webhook_post import Outcome, Post, signed
from antiphon.runs.webhooks import Webhooks
from antiphon.sealing.aes import Sealer
from antiphon.store.base import Store, StoredResponse
from antiphon.store.webhooks import StoredWebhooks
from antiphon.store.work import Work
from antiphon.types.webhooks import CreateEndpoint
from tests.certificates import self_signed
from tests.store import postgres
from tests.webhooks.conftest import Receiver

pytestmark = pytest.mark.anyio

START = 1_800_000_000_000
HOUR = 3_600_000


class House:
    """One process's webhooks over a store, without a server; time stands still until it is told."""

    def __init__(
        self,
        store: Store,
        *,
        seconds_max: float = 5.0,
        post: Any = None,
        bus: LocalBus | None = None,
        look_seconds: float = 1.0,
    ) -> None:
        self.now = START
        self.told: list[WebhookTried] = []
        self.bus = bus or LocalBus()
        self.stored = StoredWebhooks(store, clock=lambda: self.now)
        self.store = store
        guard = Guard(["127.0.0.1"])
        self.post = post or Post(guard, seconds_max=seconds_max)
        self.webhooks = Webhooks(
            self.stored,
            Sealer(lambda: (b"k" * 32,)),
            Ids(clock=lambda: self.now),
            self.bus,
            self.post,
            guard,
            allow_http=True,
        )
        self.deliveries = Deliveries(
            self.webhooks,
            self.stored,
            self.bus,
            observe=self.see,
            random=lambda: 0.5,
            look_seconds=look_seconds,
        )

    def see(self, observation: Any) -> None:
        if isinstance(observation, WebhookTried):
            self.told.append(observation)
        else:
            raise AssertionError(observation)

    async def endpoint(self, url: str, *types: str, project: str = "ours") -> None:
        asked = CreateEndpoint(event_types=list(types) or ["response.completed"], name="n", url=url)
        await self.webhooks.create(project, asked, "openai")

    async def ends(self, id: str = "resp_1", status: str = "completed") -> None:
        """A background response ends and is stored."""
        row = StoredResponse(
            id=id,
            project="ours",
            parent=None,
            created_at=self.now,
            expires_at=None,
            status=status,
            head=b"{}",
            input=b"[]",
            output=b"[]",
        )
        settled: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
        self.store.put(row, settled.set_result, self.webhooks.ending("ours")(row))
        assert await settled is None

    async def delivered(self) -> list[WebhookTried]:
        """Deliver what is due; what was told of it."""
        self.told.clear()
        await self.deliveries.take()
        await self.deliveries.idle()
        return self.told

    async def until_due(self) -> None:
        """Let the time pass until something is due."""

        def due() -> Work[int]:
            rows = yield "SELECT min(due_at) FROM webhook_outbox", ()
            return rows[0][0] or self.now

        self.now = await self.store.read(due)

    async def close(self) -> None:
        await self.deliveries.close()
        await self.webhooks.close()


class Refuses:
    """A receiver that is never well; remembers when it was asked."""

    house: House

    def __init__(self, sent: list[int]) -> None:
        self._sent = sent

    async def __call__(self, url: str, headers: Any, body: bytes) -> Outcome:
        self._sent.append(self.house.now)
        return Outcome(503)

    async def close(self) -> None:
        pass


@pytest.fixture
async def store(store_settings: StoreSettings) -> AsyncIterator[Store]:
    store = store_of(store_settings)
    await store.open()
    yield store
    await store.close()


@pytest.fixture
async def house(store: Store) -> AsyncIterator[House]:
    house = House(store)
    yield house
    await house.close()


@pytest.mark.requirement("webhooks:delivery:retried")
async def test_what_fails_is_sent_again_under_the_same_id_until_it_succeeds(
    house: House, receiver: Receiver
) -> None:
    await house.endpoint(receiver.url)
    await house.ends()
    receiver.statuses = [500, 302, 429, 200]
    outcomes = []
    while await house.stored.waiting():
        (told,) = await house.delivered()
        outcomes.append((told.outcome, told.reason, told.attempt))
        await house.until_due()
    assert outcomes == [
        ("failed", "status 500", 1),
        ("failed", "status 302", 2),
        ("failed", "status 429", 3),
        ("delivered", "status 200", 4),
    ]
    ids = {headers["webhook-id"] for headers, _ in receiver.arrived}
    assert len(ids) == len({body for _, body in receiver.arrived}) == 1
    stamps = [int(headers["webhook-timestamp"]) - START // 1000 for headers, _ in receiver.arrived]
    assert stamps == [0, 5, 15, 35]


@pytest.mark.requirement("webhooks:delivery:back-off")
async def test_the_pauses_double_up_to_six_hours_and_end_after_three_days(store: Store) -> None:
    sent: list[int] = []
    refusing = Refuses(sent)
    house = House(store, post=refusing)
    refusing.house = house
    await house.endpoint("https://example.com/")
    await house.ends()
    outcomes = []
    while await house.stored.waiting():
        outcomes += [(one.outcome, one.reason) for one in await house.delivered()]
        await house.until_due()
    pauses = [after - before for before, after in pairwise(sent)]
    doubling = [5_000 * 2**number for number in range(13)]
    assert pauses[:13] == doubling
    assert set(pauses[13:-1]) == {6 * HOUR}
    assert sent[-1] - START == GIVE_UP_MS
    assert set(outcomes[:-1]) == {("failed", "status 503")}
    assert outcomes[-1] == ("given_up", "status 503")
    assert len(sent) == 25
    await house.close()


@pytest.mark.requirement("webhooks:delivery:back-off")
async def test_pauses_are_spread_by_chance(house: House) -> None:
    await house.endpoint("http://127.0.0.1:1/")
    await house.ends()
    (told,) = await house.delivered()
    assert (told.outcome, told.reason) == ("failed", "it cannot be reached")
    for chance, expected in ((0.0, 4_000), (1.0, 6_000)):
        house.deliveries._random = iter([chance]).__next__
        house.now += HOUR
        (one,) = await house.stored.take(busy={}, each=1, limit=1, lease_ms=1)
        fresh = msgspec.structs.replace(one, attempt=1, age_ms=0)
        assert house.deliveries._delay_ms(fresh, Outcome(500)) == expected


@pytest.mark.requirement("webhooks:delivery:gone")
async def test_a_410_ends_it_at_once(house: House, receiver: Receiver) -> None:
    await house.endpoint(receiver.url)
    await house.ends()
    receiver.statuses = [410]
    (told,) = await house.delivered()
    assert (told.outcome, told.reason) == ("given_up", "status 410")
    assert await house.stored.waiting() == 0
    await house.ends("resp_2")
    (told,) = await house.delivered()
    assert told.outcome == "delivered"


@pytest.mark.requirement("webhooks:delivery:redirect")
async def test_redirects_are_not_followed(house: House, receiver: Receiver) -> None:
    await house.endpoint(receiver.url)
    await house.ends()
    receiver.statuses = [307]
    (told,) = await house.delivered()
    assert (told.outcome, told.reason) == ("failed", "status 307")
    assert [headers[":path"] for headers, _ in receiver.arrived] == ["/hooks"]


@pytest.mark.requirement("webhooks:delivery:apart")
async def test_a_receiver_that_hangs_does_not_keep_others_waiting(
    store: Store, receiver: Receiver
) -> None:
    hanging = Receiver()
    hanging.hangs = 30
    await hanging.start()
    house = House(store, seconds_max=1.0)
    await house.endpoint(hanging.url)
    for number in range(3 * EACH_MAX):
        await house.ends(f"resp_{number}")
    await house.endpoint(receiver.url, "response.failed")
    await house.ends("resp_x", "failed")
    await house.deliveries.take()
    await receiver.until(1)
    await house.deliveries.take()
    await hanging.until(EACH_MAX)
    assert len(hanging.arrived) == EACH_MAX
    await house.deliveries.idle()
    reasons = {one.reason for one in house.told if one.outcome == "failed"}
    assert reasons == {"no answer within 1 s"}
    await house.close()
    await hanging.stop()


@pytest.mark.requirement("webhooks:delivery:shared")
async def test_two_processes_on_one_database_deliver_each_event_once(receiver: Receiver) -> None:
    postgres.server()
    name = postgres.create_database()
    stores = [store_of(StoreSettings(url=postgres.server().url(name))) for _ in range(2)]
    for store in stores:
        await store.open()
    bus = LocalBus()
    houses = [House(store, bus=bus) for store in stores]
    for house in houses:
        await house.deliveries.open()
    for number in range(3):
        await houses[0].endpoint(f"{receiver.url}{number}")
    for number in range(20):
        await houses[number % 2].ends(f"resp_{number:02}")
    await receiver.until(60)
    for house in houses:
        await house.close()
    assert await houses[0].stored.waiting() == 0
    for store in stores:
        await store.close()
    postgres.drop_database(name)
    arrived = [headers["webhook-id"] for headers, _ in receiver.arrived]
    assert len(arrived) == len(set(arrived)) == 60
    assert sum(len(house.told) for house in houses) == 60


@pytest.mark.requirement("webhooks:delivery:lease")
async def test_another_process_takes_over_what_one_that_died_had_taken(
    store: Store, receiver: Receiver
) -> None:
    dead, alive = House(store), House(store)
    await dead.endpoint(receiver.url)
    await dead.ends()
    (taken,) = await dead.stored.take(busy={}, each=1, limit=1, lease_ms=LEASE_MS)
    assert await alive.delivered() == []
    alive.now += LEASE_MS
    (told,) = await alive.delivered()
    assert (told.delivery_id, told.outcome, told.attempt) == (taken.id, "delivered", 2)
    await dead.close()
    await alive.close()


def ended_row() -> StoredResponse:
    return StoredResponse(
        id="resp_1",
        project="ours",
        parent=None,
        created_at=START,
        expires_at=None,
        status="completed",
        head=b"",
        input=b"",
        output=b"",
    )


@pytest.mark.requirement("webhooks:delivery:cheap")
async def test_projects_without_endpoints_write_nothing(house: House, receiver: Receiver) -> None:
    await house.webhooks.look()
    row = ended_row()
    assert house.webhooks.ending("ours")(row) == ()
    house.webhooks.heard_of(b"ours")
    assert len(house.webhooks.ending("ours")(row)) == 1
    assert house.webhooks.ending("theirs")(row) == ()


@pytest.mark.requirement("webhooks:delivery:cheap")
async def test_who_always_has_something_to_deliver_hears_of_new_endpoints_too(
    store: Store,
) -> None:
    busy = House(store, look_seconds=0.1)
    elsewhere = House(store)  # on another bus: its news never arrive
    await busy.deliveries.open()
    await elsewhere.endpoint("http://127.0.0.1:9/hooks")

    def told() -> bool:
        return bool(busy.webhooks.ending("ours")(ended_row()))

    async with asyncio.timeout(5):
        while not told():
            busy.webhooks.wake()
            await asyncio.sleep(0.01)
    await busy.close()
    await elsewhere.close()


@pytest.mark.requirement("webhooks:delivery:key-lost")
async def test_without_the_key_of_a_secret_nothing_is_sent(
    store: Store, receiver: Receiver
) -> None:
    house, other = House(store), House(store)
    await house.endpoint(receiver.url)
    await house.ends()
    other.webhooks._seals = Sealer(lambda: (b"x" * 32,))
    (told,) = await other.delivered()
    assert told.outcome == "failed"
    assert told.reason == "its signing secret does not open (unknown_key); rotate it"
    assert receiver.arrived == []
    await house.close()
    await other.close()


@pytest.mark.requirement("webhooks:delivery:signed")
def test_the_signature_is_that_of_standard_webhooks() -> None:
    """The example of the specification, and any secret without the prefix as bytes."""
    body = b'{"test": 2432232314}'
    headers = signed(
        body,
        id="msg_p5jXN8AQM9LWM0D4loKWxJek",
        timestamp=1614265330,
        secrets=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
    )
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    now = int(time.time())
    for secret in ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "plain words"):
        OpenAI(api_key="any").webhooks.verify_signature(
            body, dict(signed(body, id="m", timestamp=now, secrets=[secret])), secret=secret
        )


@pytest.mark.requirement("webhooks:delivery:proxy")
async def test_no_proxy_of_the_environment_is_used(
    house: House, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    await house.endpoint(receiver.url)
    await house.ends()
    (told,) = await house.delivered()
    assert told.outcome == "delivered"


@pytest.mark.requirement("webhooks:delivery:tls")
async def test_a_certificate_nobody_vouches_for_is_refused(
    house: House, receiver: Receiver, tmp_path: Path
) -> None:
    await receiver.stop()
    receiver.tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    receiver.tls.load_cert_chain(*self_signed(tmp_path))
    receiver.port = 0
    await receiver.start()
    await house.endpoint(receiver.url.replace("http:", "https:"))
    await house.ends()
    (told,) = await house.delivered()
    assert (told.outcome, told.reason) == ("failed", "its certificate is not valid")
    assert receiver.arrived == []
