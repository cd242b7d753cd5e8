"""What a log of background responses must do, wherever it is kept.

A test file imports these tests and says what ``rig`` is: a ``LogRig``.
"""

from __future__ import annotations

from typing import Protocol

import pytest

from antiphon.errors import LocalProtocolError
from antiphon.store.log import Chunk, Claim, Log
from antiphon.store.work import Fenced


class LogRig(Protocol):
    """``log`` and ``other``: the log as two processes have it, both open."""

    @property
    def log(self) -> Log: ...

    @property
    def other(self) -> Log: ...

    async def claimed(self, id: str, project: str = "ours") -> Claim:
        """The run's next epoch; a new run the first time."""

    async def erase(self, project: str, id: str) -> None:
        """What deleting the response does to its log."""


def chunk(first: int, count: int = 1, size: int = 0) -> Chunk:
    lines = [f'{{"n":{number},"x":"{"x" * size}"}}\n' for number in range(first, first + count)]
    return Chunk(first, count, "".join(lines).encode())


async def begun(rig: LogRig, id: str, project: str = "ours") -> Claim:
    claim = await rig.claimed(id, project)
    assert await rig.log.begin(claim) == 0
    return claim


async def went(log: Log, claim: Claim, *chunks: Chunk) -> None:
    for one in chunks:
        assert await log.append([(claim, one)]) == {}


@pytest.mark.requirement("durable-runs:log:read")
async def test_a_log_is_read_from_any_event_on(rig: LogRig) -> None:
    claim = await begun(rig, "r1")
    chunks = [chunk(0, 3), chunk(3, 1), chunk(4, 5), chunk(9, 2)]
    await went(rig.log, claim, *chunks)
    firsts = [0, 0, 0, 3, 4, 4, 4, 4, 4, 9, 9]
    for log in (rig.log, rig.other):
        for number, first in enumerate(firsts):
            expected = [one for one in chunks if one.first >= first]
            assert await log.read("ours", "r1", number - 1) == expected
        assert await log.read("ours", "r1", 10) == []
        assert await log.read("ours", "r1", 500) == []
        assert await log.read("ours", "r1", -1, 2) == chunks[:2]
        assert await log.read("ours", "r1", 3, 1) == chunks[2:3]


@pytest.mark.requirement("durable-runs:log:read")
async def test_a_reader_in_another_process_follows(rig: LogRig) -> None:
    claim = await begun(rig, "r1")
    assert await rig.other.read("ours", "r1") == []
    for number in range(20):
        await went(rig.log, claim, chunk(number))
        assert await rig.other.read("ours", "r1", number - 1) == [chunk(number)]
    assert len(await rig.other.read("ours", "r1", limit=64)) == 20


@pytest.mark.requirement("durable-runs:tenant")
async def test_a_foreign_log_is_like_none(rig: LogRig) -> None:
    ours, theirs = await begun(rig, "r1"), await begun(rig, "r1", "theirs")
    await went(rig.log, ours, chunk(0))
    assert await rig.log.read("theirs", "r1") == []
    await went(rig.log, theirs, chunk(0, 2))
    assert await rig.log.read("ours", "r1") == [chunk(0)]
    assert await rig.log.read("ours", "unknown") == []


@pytest.mark.requirement("durable-runs:log:dense")
async def test_the_same_chunk_again_is_not_written_twice(rig: LogRig) -> None:
    claim = await begun(rig, "r1")
    await went(rig.log, claim, chunk(0, 2), chunk(0, 2), chunk(2), chunk(2))
    assert await rig.log.read("ours", "r1") == [chunk(0, 2), chunk(2)]


@pytest.mark.requirement("durable-runs:log:dense")
@pytest.mark.parametrize("wrong", [chunk(3), chunk(1), chunk(0, 1), chunk(0, 3)], ids=repr)
async def test_a_chunk_that_does_not_follow_is_a_bug_and_not_written(
    rig: LogRig, wrong: Chunk
) -> None:
    claim = await begun(rig, "r1")
    await went(rig.log, claim, chunk(0, 2))
    refused = await rig.log.append([(claim, wrong)])
    assert type(refused["r1"]) is LocalProtocolError
    await went(rig.log, claim, chunk(2))
    assert await rig.log.read("ours", "r1") == [chunk(0, 2), chunk(2)]


@pytest.mark.requirement("durable-runs:log:group")
async def test_one_run_that_is_refused_does_not_keep_others_from_going_on(rig: LogRig) -> None:
    claims = [await begun(rig, f"r{index}") for index in range(40)]
    taken = await rig.claimed("r7")
    assert await rig.other.begin(taken) == 0
    appends = [(claim, chunk(0, 3)) for claim in claims]
    appends[9] = (claims[9], chunk(5))
    refused = await rig.log.append(appends)
    assert {id: type(error) for id, error in refused.items()} == {
        "r7": Fenced,
        "r9": LocalProtocolError,
    }
    for index in range(40):
        expected = [] if index in (7, 9) else [chunk(0, 3)]
        assert await rig.other.read("ours", f"r{index}") == expected
    assert await rig.log.append([]) == {}


@pytest.mark.requirement("durable-runs:log:fence")
async def test_who_lost_a_run_cannot_write_to_its_log(rig: LogRig) -> None:
    old = await begun(rig, "r1")
    await went(rig.log, old, chunk(0, 2), chunk(2))
    heir = await rig.claimed("r1")
    assert await rig.other.begin(heir) == 3
    for late in (chunk(3), chunk(3, 2)):
        refused = await rig.log.append([(old, late)])
        assert type(refused["r1"]) is Fenced
    await went(rig.other, heir, chunk(3, 4))
    refused = await rig.log.append([(old, chunk(3))])
    assert type(refused["r1"]) is Fenced
    with pytest.raises(Fenced):
        await rig.log.begin(old)
    await went(rig.other, heir, chunk(7))
    assert await rig.log.read("ours", "r1", 2) == [chunk(3, 4), chunk(7)]


@pytest.mark.requirement("durable-runs:log:fence")
async def test_a_run_that_comes_back_to_its_process_goes_on_there(rig: LogRig) -> None:
    first = await begun(rig, "r1")
    await went(rig.log, first, chunk(0))
    second = await rig.claimed("r1")
    assert await rig.other.begin(second) == 1
    await went(rig.other, second, chunk(1))
    third = await rig.claimed("r1")
    assert await rig.log.begin(third) == 2
    await went(rig.log, third, chunk(2))
    refused = await rig.other.append([(second, chunk(2))])
    assert type(refused["r1"]) is Fenced
    assert await rig.other.read("ours", "r1") == [chunk(0), chunk(1), chunk(2)]


@pytest.mark.requirement("durable-runs:log:size")
async def test_a_chunk_of_three_megabytes_comes_back_whole(rig: LogRig) -> None:
    claim = await begun(rig, "r1")
    large = chunk(0, 3, 1_000_000)
    await went(rig.log, claim, large, chunk(3))
    assert await rig.other.read("ours", "r1") == [large, chunk(3)]
    assert await rig.other.read("ours", "r1", 1, 1) == [large]
    assert await rig.other.read("ours", "r1", 2) == [chunk(3)]
    heir = await rig.claimed("r1")
    assert await rig.other.begin(heir) == 4


@pytest.mark.requirement("durable-runs:delete")
async def test_a_log_that_is_erased_is_gone_for_its_writer_too(rig: LogRig) -> None:
    claim = await begun(rig, "r1")
    await went(rig.log, claim, chunk(0, 2))
    await rig.erase("ours", "r1")
    assert await rig.other.read("ours", "r1") == []
    assert await rig.log.read("ours", "r1") == []
    refused = await rig.log.append([(claim, chunk(2))])
    assert type(refused["r1"]) is Fenced
    assert await rig.log.read("ours", "r1") == []
    await rig.erase("ours", "unknown")
