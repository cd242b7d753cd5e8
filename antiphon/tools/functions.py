"""Functions the operator answers over HTTP, so that callers need not (``[[functions]]``).

A call is one POST of the arguments, as the model wrote them, to the function's address. A 2xx
body is the call's output, word for word. The header ``idempotency-key`` is the same for every
attempt at one call, so that the function can tell a repetition from a new call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from antiphon.config_state import FunctionSettings
from antiphon.tools.base import ToolFailed

if TYPE_CHECKING:
    import aiohttp

OUTPUT_BYTES_MAX = 1 << 20
"""A longer output is refused: the model would have to read all of it."""


class HttpFunction:
    """``antiphon.tools.base.ServerTool`` behind an address."""

    def __init__(self, settings: FunctionSettings) -> None:
        self.name = settings.name
        self.again = settings.repeatable
        self.description = settings.description
        self.parameters: dict[str, Any] | None = settings.parameters
        self._settings = settings
        self._session: aiohttp.ClientSession | None = None

    async def call(self, arguments: str, *, key: str) -> str:
        """As the port says."""
        import aiohttp

        if self._session is None:
            # Whoever waited for a free connection would have less time for the call.
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0), cookie_jar=aiohttp.DummyCookieJar()
            )
        headers = {"content-type": "application/json", "idempotency-key": key}
        secret = self._settings.secret()
        if secret is not None:
            headers["authorization"] = f"Bearer {secret}"
        try:
            async with self._session.post(
                self._settings.url,
                data=arguments.encode(),
                headers=headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=self._settings.seconds_max),
            ) as reply:
                body = await reply.content.read(OUTPUT_BYTES_MAX + 1)
                while len(body) <= OUTPUT_BYTES_MAX and not reply.content.at_eof():
                    body += await reply.content.read(OUTPUT_BYTES_MAX + 1 - len(body))
                return self._judged(reply.status, body)
        except TimeoutError:
            raise ToolFailed(f"The function {self.name} took too long to answer.") from None
        except aiohttp.ClientError as error:
            what = type(error).__name__
            raise ToolFailed(f"The function {self.name} cannot be reached ({what}).") from None

    def _judged(self, status: int, body: bytes) -> str:
        if not 200 <= status < 300:
            raise ToolFailed(f"The function {self.name} answered with HTTP status {status}.")
        if len(body) > OUTPUT_BYTES_MAX:
            raise ToolFailed(f"The output of {self.name} is longer than {OUTPUT_BYTES_MAX} bytes.")
        return body.decode("utf-8", errors="replace")

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
