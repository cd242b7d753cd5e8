"""One delivery of a webhook: the signature, and the POST.

Signed as Standard Webhooks say: ``id.timestamp.body`` under HMAC-SHA256 with the bytes behind
``whsec_``, once for every secret that is active, so that a receiver may know either while a secret
is being replaced. The body is sent byte for byte as it was signed.

The address is the caller's choice, so every connection goes through the guard (``addresses.py``),
no redirect is followed, and no proxy of the environment is used.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from msgspec import Struct

from antiphon import __version__
from antiphon.addresses import Guard, Refused

if TYPE_CHECKING:
    import aiohttp

SECRET_PREFIX = "whsec_"


class Outcome(Struct, frozen=True):
    """What came of a POST: the receiver's status, or None and why there is none."""

    status: int | None
    reason: str = ""

    @property
    def delivered(self) -> bool:
        return self.status is not None and 200 <= self.status < 300

    def __str__(self) -> str:
        return self.reason if self.status is None else f"status {self.status}"


def signed(body: bytes, *, id: str, timestamp: int, secrets: Sequence[str]) -> Mapping[str, str]:
    """The headers of a delivery; ``timestamp`` in seconds."""
    text = f"{id}.{timestamp}.".encode() + body
    signatures = [
        "v1," + base64.b64encode(hmac.digest(_key(secret), text, hashlib.sha256)).decode()
        for secret in secrets
    ]
    return {
        "content-type": "application/json",
        "user-agent": f"antiphon/{__version__}",
        "webhook-id": id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(signatures),
    }


def _key(secret: str) -> bytes:
    if secret.startswith(SECRET_PREFIX):
        return base64.b64decode(secret.removeprefix(SECRET_PREFIX))
    return secret.encode()


class Post:
    """Sends deliveries. Its sessions are made on first use, inside the running loop."""

    def __init__(self, guard: Guard, *, seconds_max: float) -> None:
        self._guard = guard
        self._seconds_max = seconds_max
        self._sessions: dict[bool, aiohttp.ClientSession] = {}

    async def __call__(self, url: str, headers: Mapping[str, str], body: bytes) -> Outcome:
        """Never raises what a receiver can cause. The answer's body is not read."""
        import aiohttp

        host = urlsplit(url).hostname or ""
        session = self._session(guarded=not self._guard.trusts(host))
        try:
            async with (
                asyncio.timeout(self._seconds_max),
                session.post(url, data=body, headers=headers, allow_redirects=False) as answer,
            ):
                answer.close()
                return Outcome(answer.status)
        except TimeoutError:
            return Outcome(None, f"no answer within {self._seconds_max:g} s")
        except aiohttp.ClientConnectorCertificateError:
            return Outcome(None, "its certificate is not valid")
        except aiohttp.ClientSSLError:
            return Outcome(None, "TLS failed")
        except aiohttp.ClientConnectorError as error:
            return Outcome(None, _unconnected(error.os_error))
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Outcome(None, f"no answer ({type(error).__name__})")

    async def close(self) -> None:
        """May be called twice."""
        sessions, self._sessions = self._sessions, {}
        for session in sessions.values():
            await session.close()

    def _session(self, *, guarded: bool) -> aiohttp.ClientSession:
        found = self._sessions.get(guarded)
        if found is None:
            import aiohttp

            factory = self._guard.socket if guarded else None
            connector = aiohttp.TCPConnector(limit=0, force_close=True, socket_factory=factory)
            found = self._sessions[guarded] = aiohttp.ClientSession(
                connector=connector,
                trust_env=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None),
                skip_auto_headers=("Accept", "Accept-Encoding"),
                auto_decompress=False,
            )
        return found


def _unconnected(error: OSError) -> str:
    """Why there is no connection. Several attempts (one per address) come as one error."""
    if isinstance(error, Refused) or "the address is" in str(error):
        return "its address is not public; the operator may allow it (webhooks.allowed)"
    return "it cannot be reached"
