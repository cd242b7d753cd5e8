"""Who asks: a key becomes a project (tenant). Keys are kept as digests and never repeated.

A key comes as ``Authorization: Bearer K`` or as ``api-key: K``, on every route and in both
flavours; if both are sent, Bearer counts (api-surface §1.1).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from ipaddress import ip_address
from urllib.parse import urlsplit

from antiphon.config import OPEN_PROJECT
from antiphon.errors import ClientError

_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})


class Keys:
    """The keys callers may use. ``projects`` maps key → project; empty opens the server.

    A key is looked up by its SHA-256, so the time it takes says nothing about the keys.
    """

    def __init__(self, projects: Mapping[str, str]) -> None:
        self._projects = {_digest(key.encode()): project for key, project in projects.items()}

    def project_of(self, headers: Mapping[bytes, bytes]) -> str:
        """The caller's project; ClientError 401 without a valid key. Names are lower case.

        A server without keys trusts whoever reaches it, so it refuses what a foreign web page
        made a browser send (403): only pages of this machine may use it.
        """
        if not self._projects:
            _check_origin(headers)
            return OPEN_PROJECT
        key = _bearer(headers.get(b"authorization", b"")) or headers.get(b"api-key", b"").strip()
        if not key:
            raise _refused(
                "You did not provide an API key. Send it as 'Authorization: Bearer KEY' or as "
                "'api-key: KEY'."
            )
        project = self._projects.get(_digest(key))
        if project is None:
            raise _refused("Incorrect API key provided. Ask this server's operator for a key.")
        return project


def _check_origin(headers: Mapping[bytes, bytes]) -> None:
    """Only browsers send ``Origin``. A name other than localhost may be anybody's (DNS
    rebinding), so only an address equal to the one asked is good."""
    origin = headers.get(b"origin")
    if origin is None:
        return
    site = urlsplit(origin.decode("latin-1"))
    if site.hostname in _LOCAL:
        return
    if site.netloc == headers.get(b"host", b"").decode("latin-1") and _is_address(site.hostname):
        return
    raise ClientError(
        "This server has no API keys, so it takes no requests from web pages of other sites. "
        "Configure a key (--api-key) to allow them.",
        code="origin_not_allowed",
        status=403,
    )


def _is_address(host: str | None) -> bool:
    try:
        ip_address(host or "")
    except ValueError:
        return False
    return True


def _bearer(value: bytes) -> bytes:
    scheme, _, token = value.strip().partition(b" ")
    return token.strip() if scheme.lower() == b"bearer" else b""


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()


def _refused(message: str) -> ClientError:
    return ClientError(
        message, code="invalid_api_key", status=401, headers={"www-authenticate": "Bearer"}
    )
