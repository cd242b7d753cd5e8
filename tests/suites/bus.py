"""What every bus owes, however many processes it joins."""

from __future__ import annotations

import asyncio

import pytest

from antiphon.bus.base import PAYLOAD_BYTES_MAX
from tests.bus.rigs import Ear, Rig, reached


class BusSuite:
    """A subclass gives the fixture ``rig``."""

    @pytest.mark.requirement("bus:delivery:everybody")
    async def test_everybody_hears_a_message_and_nobody_hears_it_twice(self, rig: Rig) -> None:
        one, other = await rig.bus(), await rig.bus()
        await reached(one, other)
        here, there = Ear(one, "queue", "last"), Ear(other, "queue", "last")
        await reached(one, other, "run.settled")
        one.publish("queue", b"1")
        one.publish("queue")
        one.publish("last")
        await here.until(1, "last")
        await there.until(1, "last")
        assert here.of("queue") == there.of("queue") == [b"1", b""]

    @pytest.mark.requirement("bus:delivery:later")
    async def test_no_subscriber_is_called_before_publish_has_returned(self, rig: Rig) -> None:
        bus = await rig.bus()
        ear = Ear(bus, "queue")
        bus.publish("queue", b"1")
        assert ear.heard == []
        await ear.until(1)

    @pytest.mark.requirement("bus:delivery:order")
    async def test_messages_on_a_topic_arrive_complete_and_in_order(self, rig: Rig) -> None:
        one, other = await rig.bus(), await rig.bus()
        topics = ["run.a", "run.b", "cancel.c", "queue"]
        here, there = Ear(one, *topics), Ear(other, *topics)
        await reached(one, other)
        expected = {topic: [b"%s %d" % (topic.encode(), n) for n in range(300)] for topic in topics}
        for number in range(300):
            for topic in topics:
                one.publish(topic, expected[topic][number])
            if number % 37 == 0:
                await asyncio.sleep(0.005)
        await there.until(1200)
        await here.until(1200)
        for topic in topics:
            assert here.of(topic) == there.of(topic) == expected[topic]

    @pytest.mark.requirement("bus:delivery:sizes")
    async def test_payloads_of_every_size_and_byte_arrive(self, rig: Rig) -> None:
        one, other = await rig.bus(), await rig.bus()
        there = Ear(other, "run.big")
        await reached(one, other)
        every = bytes(range(256)) * 16
        payloads = [b"", b"\0", every[:PAYLOAD_BYTES_MAX], b"x" * PAYLOAD_BYTES_MAX, b"end"] * 5
        for payload in payloads:
            one.publish("run.big", payload)
        await there.until(len(payloads))
        assert there.of("run.big") == payloads

    @pytest.mark.requirement("bus:delivery:many-topics")
    async def test_many_topics_at_once_do_not_mix(self, rig: Rig) -> None:
        one, other = await rig.bus(), await rig.bus()
        topics = [f"run.resp_{number:034x}" for number in range(1_000)]
        there = Ear(other, *topics)
        await reached(one, other)
        for topic in topics:
            one.publish(topic, topic.encode())
        await there.until(1_000)
        assert there.heard == [(topic, topic.encode()) for topic in topics] or sorted(
            there.heard
        ) == sorted((topic, topic.encode()) for topic in topics)

    @pytest.mark.requirement("bus:delivery:exact-topic")
    async def test_a_subscription_hears_exactly_its_topic(self, rig: Rig) -> None:
        one, other = await rig.bus(), await rig.bus()
        odd = ["run", "run.*", "run.>", "run.a b", "run..a", "run.é\0\r\n", "run.a", "%", "run.%"]
        ears = {topic: Ear(other, topic) for topic in odd}
        await reached(one, other)
        for topic in odd:
            one.publish(topic, topic.encode())
        one.publish("run.a.b")
        for topic, ear in ears.items():
            await ear.until(1)
            assert ear.heard == [(topic, topic.encode())]

    @pytest.mark.requirement("bus:subscription:end")
    async def test_a_subscription_that_ended_hears_nothing(self, rig: Rig) -> None:
        one, other = await rig.bus(), await rig.bus()
        gone, stays = Ear(other, "run.a"), Ear(other, "run.a")
        await reached(one, other)
        gone.subscriptions[0].end()
        gone.subscriptions[0].end()
        one.publish("run.a", b"1")
        await stays.until(1)
        assert gone.heard == []
        stays.subscriptions[0].end()
        again = Ear(other, "run.a")
        await reached(one, other)
        one.publish("run.a", b"2")
        await again.until(1)
        assert (gone.heard, stays.of("run.a"), again.of("run.a")) == ([], [b"1"], [b"2"])

    @pytest.mark.requirement("bus:delivery:both-ways")
    async def test_three_replicas_hear_each_other(self, rig: Rig) -> None:
        buses = [await rig.bus() for _ in range(3)]
        ears = [Ear(bus, "run.all") for bus in buses]
        for one in buses:
            for other in buses:
                await reached(one, other)
        for number, bus in enumerate(buses):
            bus.publish("run.all", b"%d" % number)
        for ear in ears:
            await ear.until(3)
            assert sorted(ear.of("run.all")) == [b"0", b"1", b"2"]

    @pytest.mark.requirement("bus:failure:restart")
    async def test_after_the_server_was_away_messages_arrive_again(self, rig: Rig) -> None:
        one, other = await rig.bus(), await rig.bus()
        there, here = Ear(other, "run.a"), Ear(one, "run.a")
        await reached(one, other)
        away = asyncio.create_task(rig.restart())
        sent = 0
        while not away.done():  # publishing meanwhile neither waits nor raises
            sent += 1
            one.publish("run.a", b"%d" % sent)
            await asyncio.sleep(0.02)
        await away
        await here.until(sent)
        assert here.of("run.a") == [b"%d" % number for number in range(1, sent + 1)]
        await _met_again(one, other, there)
        await _met_again(other, one, here)
        fresh = Ear(other, "run.fresh")
        await reached(one, other, "run.again")
        one.publish("run.fresh", b"1")
        await fresh.until(1)

    @pytest.mark.requirement("bus:close:clean")
    async def test_closing_sends_what_is_queued_and_leaves_no_task(self, rig: Rig) -> None:
        other = await rig.bus()
        before = asyncio.all_tasks()
        leaving = rig.make()
        await leaving.open()
        ear = Ear(other, "queue")
        await reached(leaving, other)
        await asyncio.sleep(0)
        kept = asyncio.all_tasks() - before
        for _ in range(3):
            leaving.publish("queue", b"bye")
        if rig.remote:
            await leaving.close()
            await leaving.close()
            leaving.publish("queue", b"too late")
        await ear.until(3)
        assert ear.of("queue") == [b"bye"] * 3
        if rig.remote:
            serving = {task for task in kept if task.get_name().startswith("bus")}
            assert serving
            _, alive = await asyncio.wait(serving, timeout=5)
            assert alive == set()


async def _met_again(publisher, listener, ear) -> None:  # type: ignore[no-untyped-def]
    """The old subscription still hears, without being renewed."""
    heard = len(ear.heard)
    async with asyncio.timeout(15):
        while len(ear.heard) == heard:
            publisher.publish("run.a", b"again")
            await asyncio.sleep(0.05)
