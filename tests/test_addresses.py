"""Where callers may send the server: the table, its holes, and real connections."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from antiphon.addresses import DENIED, Guard, Refused, denied, literal

pytestmark = pytest.mark.anyio

PUBLIC = ["1.1.1.1", "8.8.8.8", "93.184.216.34", "100.63.255.255", "100.128.0.0", "172.15.255.255",
          "172.32.0.0", "223.255.255.255", "2606:4700::1111", "2a00:1450::1", "::ffff:8.8.8.8",
          "64:ff9b::808:808"]  # fmt: skip

PRIVATE = ["0.0.0.0", "10.0.0.1", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.255.254",
           "168.63.129.16", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.8",
           "192.0.0.192", "192.168.1.1", "198.19.255.255", "224.0.0.1", "239.255.255.255",
           "240.0.0.1", "255.255.255.255", "::", "::1", "::ffff:127.0.0.1", "::ffff:a9fe:a9fe",
           "::127.0.0.1", "::ffff:0:127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe",
           "64:ff9b:1::808:808", "2001::1", "2001:db8::1", "2002:7f00:1::", "3fff::1", "5f00::1",
           "fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "4000::1",
           "100::1", "", "localhost", "1.2.3"]  # fmt: skip


@pytest.mark.requirement("addresses:table")
@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_allowed(address: str) -> None:
    assert denied(address) is None


@pytest.mark.requirement("addresses:table")
@pytest.mark.parametrize("address", PRIVATE)
def test_other_addresses_are_denied_with_a_reason(address: str) -> None:
    assert denied(address)


@pytest.mark.requirement("addresses:table")
@pytest.mark.parametrize("text", [network for network, _ in DENIED])
def test_every_denied_network_is_denied_from_its_first_to_its_last_address(text: str) -> None:
    network = ipaddress.ip_network(text)
    assert denied(network[0])
    assert denied(network[-1])


@pytest.mark.requirement("addresses:table")
def test_all_that_is_not_global_is_denied() -> None:
    """Against the standard library's opinion, on a grid over both families."""
    for high in range(256):
        address = ipaddress.IPv4Address((high << 24) + 0x010203)
        assert address.is_global or denied(address), address
    for high in range(0, 65536, 7):
        six = ipaddress.IPv6Address((high << 112) + 1)
        assert six.is_global or denied(six), six


@pytest.mark.requirement("addresses:spellings")
@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "2130706433", "0177.0.0.1", "0x7f.1", "0x7f000001", "127.1", "[::1]", "::1",
     "[::ffff:127.0.0.1]", "017700000001"],
)  # fmt: skip
def test_every_spelling_of_an_address_is_known_for_one(host: str) -> None:
    address = literal(host)
    assert address is not None
    assert denied(address)


@pytest.mark.parametrize("host", ["example.com", "a.1.b", "", "xn--nxasmq6b", "1.2.3.4.5"])
def test_names_are_no_addresses(host: str) -> None:
    assert literal(host) is None


@pytest.mark.requirement("addresses:allowed")
def test_the_operator_may_allow_networks_addresses_and_names() -> None:
    guard = Guard(["10.1.0.0/16", "127.0.0.1", "::1", "hooks.internal", "*.svc.cluster.local"])
    for allowed in ("10.1.2.3", "127.0.0.1", "::1", "::ffff:127.0.0.1", "8.8.8.8"):
        assert guard.refusal(allowed) is None
    for refused in ("10.2.0.1", "127.0.0.2", "169.254.169.254", "::ffff:10.2.0.1"):
        assert guard.refusal(refused)
    for trusted in ("hooks.internal", "HOOKS.internal.", "a.svc.cluster.local"):
        assert guard.trusts(trusted)
    for other in ("xhooks.internal", "hooks.internal.evil", "svc.cluster.local", "127.0.0.1"):
        assert not guard.trusts(other)


class Pretender(AbstractResolver):
    """Says that every name is one address."""

    def __init__(self, address: str) -> None:
        self.address = address

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        six = ":" in self.address
        return [
            ResolveResult(
                hostname=host,
                host=self.address,
                port=port,
                family=socket.AF_INET6 if six else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
        ]

    async def close(self) -> None:
        pass


class Door:
    """Listens on this machine and counts who comes."""

    def __init__(self) -> None:
        self.visits = 0
        self.port = 0

    async def _visited(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.visits += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n")
        writer.close()

    async def listen(self) -> asyncio.Server:
        server = await asyncio.start_server(self._visited, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        return server


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    door = Door()
    async with await door.listen():
        yield door


async def asked(guard: Guard, url: str, resolver: Any = None) -> int:
    connector = aiohttp.TCPConnector(resolver=resolver, socket_factory=guard.socket)
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.get(url, allow_redirects=False) as answer,
    ):
        return answer.status


@pytest.mark.requirement("addresses:connection")
@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1", "2130706433", "0177.0.0.1", "0x7f.1", "[::ffff:127.0.0.1]"]
)
async def test_no_spelling_of_this_machine_is_connected_to(host: str, door: Door) -> None:
    # (aiohttp itself refuses the odd spellings in newer versions.)
    with pytest.raises((aiohttp.ClientConnectorError, aiohttp.InvalidUrlClientError)):
        await asked(Guard(), f"http://{host}:{door.port}/")
    assert door.visits == 0


@pytest.mark.requirement("addresses:connection")
def test_a_refusal_says_why_and_not_where() -> None:
    with pytest.raises(Refused, match="link-local") as caught:
        Guard().socket((socket.AF_INET, socket.SOCK_STREAM, 6, "", ("169.254.169.254", 80)))
    assert "169" not in str(caught.value)


@pytest.mark.requirement("addresses:connection")
@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "10.0.0.1", "::1"])
async def test_a_name_is_judged_by_the_address_that_is_connected_to(
    address: str, door: Door
) -> None:
    with pytest.raises(aiohttp.ClientConnectorError):
        await asked(Guard(), f"http://public.example:{door.port}/", Pretender(address))
    assert door.visits == 0


@pytest.mark.requirement("addresses:allowed")
async def test_what_is_allowed_is_connected_to(door: Door) -> None:
    guard = Guard(["127.0.0.1"])
    assert await asked(guard, f"http://127.0.0.1:{door.port}/") == 204
    assert await asked(guard, f"http://x.example:{door.port}/", Pretender("127.0.0.1")) == 204
    assert door.visits == 2
