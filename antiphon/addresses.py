"""Where the server may be sent by its callers, and where not (SSRF).

A caller who names a URL must not reach what only this machine can: its own ports, its network, its
cloud's metadata. Names are not judged, only addresses, and these where a connection is made: a
guard is the ``socket_factory`` of aiohttp's connector, which is asked with the very address that
will be connected to. So it does not matter how the host was written (a name, decimal, octal,
IPv4 inside of IPv6), nor that a name meant another address a moment before. Redirects must not be
followed, and no proxy used: a proxy's address would be judged instead.

What ``ipaddress`` calls global is not enough: it differs between versions and passes NAT64 and
6to4. The table is our own, and of IPv6 only what is handed out for global use is allowed.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence
from typing import Any

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

DENIED: tuple[tuple[str, str], ...] = (
    ("0.0.0.0/8", "this network"),
    ("10.0.0.0/8", "private"),
    ("100.64.0.0/10", "shared by a provider (CGNAT)"),
    ("127.0.0.0/8", "this machine"),
    ("168.63.129.16/32", "a cloud's own"),
    ("169.254.0.0/16", "link-local, where clouds keep their metadata"),
    ("172.16.0.0/12", "private"),
    ("192.0.0.0/24", "reserved for protocols"),
    ("192.0.2.0/24", "for documentation"),
    ("192.31.196.0/24", "reserved (AS112)"),
    ("192.52.193.0/24", "reserved (AMT)"),
    ("192.88.99.0/24", "reserved (6to4 relay)"),
    ("192.168.0.0/16", "private"),
    ("192.175.48.0/24", "reserved (AS112)"),
    ("198.18.0.0/15", "for benchmarks"),
    ("198.51.100.0/24", "for documentation"),
    ("203.0.113.0/24", "for documentation"),
    ("224.0.0.0/4", "multicast"),
    ("240.0.0.0/4", "reserved"),
    ("::/128", "no address"),
    ("::1/128", "this machine"),
    ("64:ff9b:1::/48", "local translation to IPv4"),
    ("100::/64", "discarded"),
    ("2001::/23", "reserved for protocols (Teredo among them)"),
    ("2001:db8::/32", "for documentation"),
    ("2002::/16", "6to4"),
    ("2620:4f:8000::/48", "reserved (AS112)"),
    ("3fff::/20", "for documentation"),
    ("5f00::/16", "segment routing"),
    ("fc00::/7", "private"),
    ("fe80::/10", "link-local"),
    ("fec0::/10", "site-local"),
    ("ff00::/8", "multicast"),
)
"""Network, and what it is for."""

_DENIED: Sequence[tuple[Network, str]] = [
    (ipaddress.ip_network(network), why) for network, why in DENIED
]
_GLOBAL_6 = ipaddress.IPv6Network("2000::/3")
_EMBEDDING = tuple(
    ipaddress.IPv6Network(network)
    for network in ("::/96", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96")
)
"""Prefixes whose last 32 bits are an IPv4 address: compatible, mapped, translated, NAT64."""


class Refused(OSError):
    """A connection that is not made. ``strerror`` says why, without the address."""

    def __init__(self, why: str) -> None:
        super().__init__(0, why)


def denied(address: str | Address) -> str | None:
    """Why nobody may be sent to the address; None if they may. A text that is no address is
    denied too."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return "no address"
    if isinstance(found, ipaddress.IPv6Address):
        found = _without_scope(found)
        if any(found in network for network in _EMBEDDING) and int(found) > 1:
            found = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
    for network, why in _DENIED:
        if found.version == network.version and found in network:
            return why
    if isinstance(found, ipaddress.IPv6Address) and found not in _GLOBAL_6:
        return "not for global use"
    return None


def literal(host: str) -> Address | None:
    """The address a host is if it is one, in any spelling the system takes (``2130706433``,
    ``0177.0.0.1``, ``0x7f.1``, ``[::1]``); None for a name."""
    text = host.strip("[]")
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(text))
    except (OSError, ValueError):
        return None


class Guard:
    """Lets connections through to public addresses, and to what the operator allows: ``allowed``
    are networks or addresses (``10.1.0.0/16``, ``::1``), or host names (``hooks.internal``, with
    ``*.`` before for what is below), whose every address is then allowed."""

    def __init__(self, allowed: Sequence[str] = ()) -> None:
        self._networks: list[Network] = []
        self._names: list[str] = []
        for entry in allowed:
            network = network_of(entry)
            if network is not None:
                self._networks.append(network)
            else:
                self._names.append(entry.lower().rstrip("."))

    def trusts(self, host: str) -> bool:
        """Whether the operator allows the host by its name: then ``socket`` need not be asked."""
        name = host.lower().rstrip(".")
        return any(
            name == entry or (entry.startswith("*.") and name.endswith(entry[1:]))
            for entry in self._names
        )

    def refusal(self, address: str | Address) -> str | None:
        """Why a connection to the address is not made; None if it is."""
        why = denied(address)
        if why is not None and self._allows(address):
            return None
        return why

    def socket(self, info: Any) -> socket.socket:
        """A socket for one answer of ``getaddrinfo``: aiohttp's ``socket_factory``. Raises
        ``Refused``."""
        family, kind, protocol, _, place = info
        why = self.refusal(str(place[0]))
        if why is not None:
            raise Refused(f"the address is {why}")
        return socket.socket(family=family, type=kind, proto=protocol)

    def _allows(self, address: str | Address) -> bool:
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False
        if isinstance(found, ipaddress.IPv6Address):
            found = found.ipv4_mapped or _without_scope(found)
        return any(
            found.version == network.version and found in network for network in self._networks
        )


def network_of(text: str) -> Network | None:
    """The network or single address a text is; None for anything else."""
    try:
        return ipaddress.ip_network(text.strip("[]"), strict=False)
    except ValueError:
        return None


def _without_scope(address: ipaddress.IPv6Address) -> ipaddress.IPv6Address:
    return ipaddress.IPv6Address(int(address))
