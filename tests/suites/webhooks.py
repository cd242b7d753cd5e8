"""What webhook endpoints and their outbox must do on every database. A test file imports these
tests and says what ``database`` is: an open store, fresh for each test."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest

from antiphon.errors import ClientError
from antiphon.store.base import Store
from antiphon.store.webhooks import ENDPOINTS_MAX, StoredEndpoint, StoredWebhooks, Taken
from antiphon.store.work import Work

START = 1_800_000_000_000
LEASE = 30_000


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> int:
        return self.now


def endpoint(id: str, *types: str, created_at: int = START, **other: Any) -> StoredEndpoint:
    fields: dict[str, Any] = {
        "id": id,
        "name": f"name of {id}",
        "url": f"https://{id}.example/",
        "event_types": list(types) or ["response.completed"],
        "created_at": created_at,
        "updated_at": created_at,
        "secret": f"sealed {id}",
        "hint": "whsec_...abcd",
    }
    return StoredEndpoint(**{**fields, **other})


async def announce(
    webhooks: StoredWebhooks,
    database: Store,
    event: str = "response.completed",
    project: str = "ours",
    subject: str = "resp_1",
) -> int:
    work = webhooks.announcing(
        project,
        event=event,
        subject=subject,
        body=b'{"a":1}',
        ids=lambda number: f"wh_{subject}_{number}",
    )
    return await database.change(work)


async def take(webhooks: StoredWebhooks, **other: Any) -> list[Taken]:
    given: dict[str, Any] = {"busy": {}, "each": 4, "limit": 100, "lease_ms": LEASE, **other}
    return list(await webhooks.take(**given))


@pytest.mark.requirement("webhooks:store:endpoints")
async def test_an_endpoint_is_kept_changed_and_deleted(database: Store) -> None:
    webhooks = StoredWebhooks(database, clock=Clock())
    made = endpoint("we_1", "response.completed", "response.failed")
    assert await webhooks.create("ours", made)
    assert await webhooks.load("ours", "we_1") == made
    same = await webhooks.update(
        "ours", "we_1", name=made.name, url=None, event_types=None, now=START + 1
    )
    assert same == made
    changed = await webhooks.update(
        "ours", "we_1", name="other", url=None, event_types=["response.failed"], now=START + 5
    )
    assert changed is not None
    assert changed.name == "other"
    assert changed.event_types == ["response.failed"]
    assert (changed.url, changed.updated_at) == (made.url, START + 5)
    assert await webhooks.load("ours", "we_1") == changed
    assert await webhooks.delete("ours", "we_1")
    assert not await webhooks.delete("ours", "we_1")
    assert await webhooks.load("ours", "we_1") is None


@pytest.mark.requirement("webhooks:store:tenants")
async def test_another_projects_endpoint_is_a_missing_one(database: Store) -> None:
    webhooks = StoredWebhooks(database, clock=Clock())
    await webhooks.create("ours", endpoint("we_1"))
    assert await webhooks.load("theirs", "we_1") is None
    assert await webhooks.page("theirs", after=None, limit=9) == []
    assert await webhooks.page("theirs", after="we_1", limit=9) == "unknown"
    changed = await webhooks.update(
        "theirs", "we_1", name="x", url=None, event_types=None, now=START
    )
    assert changed is None
    rotated = await webhooks.rotate(
        "theirs", "we_1", secret="x", hint="x", keep_until=None, now=START
    )
    assert rotated is None
    assert not await webhooks.delete("theirs", "we_1")
    assert await announce(webhooks, database, project="theirs") == 0
    assert await webhooks.load("ours", "we_1") == endpoint("we_1")


@pytest.mark.requirement("webhooks:store:pages")
async def test_pages_are_newest_first_and_complete(database: Store) -> None:
    webhooks = StoredWebhooks(database, clock=Clock())
    for number in range(7):
        await webhooks.create("ours", endpoint(f"we_{number}", created_at=START + number // 2))
    seen: list[str] = []
    after = None
    while page := await webhooks.page("ours", after=after, limit=3):
        assert page != "unknown"
        seen += [one.id for one in page]
        after = seen[-1]
    assert seen == [f"we_{number}" for number in (6, 5, 4, 3, 2, 1, 0)]


@pytest.mark.requirement("webhooks:store:bounded")
async def test_a_project_has_a_bounded_number_of_endpoints(database: Store) -> None:
    webhooks = StoredWebhooks(database, clock=Clock())
    made = [await webhooks.create("ours", endpoint(f"we_{n:03}")) for n in range(ENDPOINTS_MAX + 1)]
    assert made == [True] * ENDPOINTS_MAX + [False]
    assert await webhooks.create("theirs", endpoint("we_other"))
    assert sorted(await webhooks.projects(9)) == ["ours", "theirs"]
    assert len(await webhooks.projects(1)) == 1


@pytest.mark.requirement("webhooks:store:rotation")
async def test_the_secret_before_signs_until_its_time_is_over(database: Store) -> None:
    clock = Clock()
    webhooks = StoredWebhooks(database, clock=clock)
    await webhooks.create("ours", endpoint("we_1"))
    rotated = await webhooks.rotate(
        "ours", "we_1", secret="second", hint="h2", keep_until=START + 1_000, now=START + 1
    )
    assert rotated is not None
    assert (rotated.secret, rotated.hint, rotated.updated_at) == ("second", "h2", START + 1)
    assert (rotated.old_secret, rotated.old_until) == ("sealed we_1", START + 1_000)
    await announce(webhooks, database)
    (one,) = await take(webhooks, lease_ms=500)
    assert one.secrets == ["second", "sealed we_1"]
    clock.now += 1_000
    (one,) = await take(webhooks)
    assert one.secrets == ["second"]
    again = await webhooks.rotate(
        "ours", "we_1", secret="third", hint="h3", keep_until=None, now=START + 2
    )
    assert again is not None
    assert (again.secret, again.old_secret, again.old_until) == ("third", None, None)


@pytest.mark.requirement("webhooks:outbox:wanted")
async def test_an_event_is_written_down_for_every_endpoint_that_wants_it(database: Store) -> None:
    webhooks = StoredWebhooks(database, clock=Clock())
    await webhooks.create("ours", endpoint("we_1", "response.completed"))
    await webhooks.create("ours", endpoint("we_2", "response.failed"))
    await webhooks.create("ours", endpoint("we_3", "response.failed", "response.completed"))
    await webhooks.create("theirs", endpoint("we_4", "response.completed"))
    assert await announce(webhooks, database) == 2
    assert await announce(webhooks, database, "response.cancelled") == 0
    taken = sorted(await take(webhooks), key=lambda one: one.endpoint)
    assert [(one.endpoint, one.id) for one in taken] == [
        ("we_1", "wh_resp_1_1"),
        ("we_3", "wh_resp_1_2"),
    ]
    first = taken[0]
    assert (first.project, first.url, first.body) == ("ours", "https://we_1.example/", b'{"a":1}')
    assert (first.event, first.subject) == ("response.completed", "resp_1")
    assert (first.attempt, first.age_ms, first.secrets) == (1, 0, ["sealed we_1"])


@pytest.mark.requirement("webhooks:outbox:transaction")
async def test_an_event_is_written_with_its_transaction_or_not_at_all(database: Store) -> None:
    webhooks = StoredWebhooks(database, clock=Clock())
    await webhooks.create("ours", endpoint("we_1"))

    def refused() -> Work[None]:
        begin = webhooks.announcing(
            "ours", event="response.completed", subject="r", body=b"", ids=str
        )
        yield from begin()
        raise ClientError("no")

    with pytest.raises(ClientError):
        await database.change(refused)
    assert await webhooks.waiting() == 0
    settled: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
    begin = webhooks.announcing("ours", event="response.completed", subject="r", body=b"", ids=str)
    database.put(None, settled.set_result, [begin])
    assert await settled is None
    assert await webhooks.waiting() == 1


@pytest.mark.requirement("webhooks:outbox:lease")
async def test_what_is_taken_is_due_again_when_its_lease_ends(database: Store) -> None:
    clock = Clock()
    webhooks = StoredWebhooks(database, clock=clock)
    await webhooks.create("ours", endpoint("we_1"))
    await announce(webhooks, database)
    (first,) = await take(webhooks)
    assert await take(webhooks) == []
    clock.now += LEASE - 1
    assert await take(webhooks) == []
    clock.now += 1
    (second,) = await take(webhooks)
    assert (second.id, second.attempt, second.age_ms) == (first.id, 2, LEASE)
    await webhooks.settle(first)  # too late: it is another's
    await webhooks.postpone(first, 0)
    assert await take(webhooks) == []
    await webhooks.postpone(second, 5_000)
    clock.now += 4_999
    assert await take(webhooks) == []
    clock.now += 1
    (third,) = await take(webhooks)
    await webhooks.settle(third)
    assert await webhooks.waiting() == 0


@pytest.mark.requirement("webhooks:outbox:fair")
async def test_an_endpoint_with_much_waiting_leaves_room_for_others(database: Store) -> None:
    webhooks = StoredWebhooks(database, clock=Clock())
    await webhooks.create("ours", endpoint("we_1"))
    for number in range(50):
        await announce(webhooks, database, subject=f"resp_{number}")
    await webhooks.create("ours", endpoint("we_2", "response.failed"))
    await announce(webhooks, database, "response.failed", subject="resp_x")
    taken = await take(webhooks)
    assert sorted(one.endpoint for one in taken) == ["we_1"] * 4 + ["we_2"]
    assert [one.subject for one in taken if one.endpoint == "we_1"] == [
        f"resp_{number}" for number in range(4)
    ]
    assert await take(webhooks, busy={"we_1": 4}) == []
    assert len(await take(webhooks, busy={"we_1": 1})) == 3
    assert len(await take(webhooks, limit=2)) == 2
    assert await take(webhooks, limit=0) == []


@pytest.mark.requirement("webhooks:outbox:one-taker")
async def test_no_event_is_taken_by_two(database: Store) -> None:
    webhooks = StoredWebhooks(database, clock=Clock())
    for number in range(5):
        await webhooks.create("ours", endpoint(f"we_{number}"))
    for number in range(20):
        await announce(webhooks, database, subject=f"resp_{number}")
    takers = [take(StoredWebhooks(database, clock=Clock()), each=7) for _ in range(8)]
    taken = [one.number for batch in await asyncio.gather(*takers) for one in batch]
    assert len(taken) == len(set(taken))
    while more := await take(webhooks, each=7):
        taken += [one.number for one in more]
    assert len(taken) == len(set(taken)) == 100


@pytest.mark.requirement("webhooks:outbox:deleted")
async def test_what_waits_for_a_deleted_endpoint_goes_with_it(database: Store) -> None:
    webhooks = StoredWebhooks(database, clock=Clock())
    await webhooks.create("ours", endpoint("we_1"))
    await announce(webhooks, database)
    await webhooks.delete("ours", "we_1")
    assert await webhooks.waiting() == 0
    # A response that ended while the endpoint was being deleted:
    await webhooks.create("ours", endpoint("we_1"))
    await announce(webhooks, database)
    await database.change(partial(_only_the_endpoint, "ours", "we_1"))
    assert await take(webhooks) == []
    assert await webhooks.waiting() == 0


@pytest.mark.requirement("webhooks:outbox:own-clock")
async def test_the_databases_clock_serves_as_well(database: Store) -> None:
    webhooks = StoredWebhooks(database)
    await webhooks.create("ours", endpoint("we_1"))
    await announce(webhooks, database)
    (one,) = await take(webhooks)
    assert 0 <= one.age_ms < 60_000
    assert await take(webhooks) == []
    await webhooks.postpone(one, 0)
    (again,) = await take(webhooks)
    assert again.attempt == 2


def _only_the_endpoint(project: str, id: str) -> Work[None]:
    yield "DELETE FROM webhook_endpoints WHERE project = $1 AND id = $2", (project, id)
