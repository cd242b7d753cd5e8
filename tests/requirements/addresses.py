"""Where callers may send the server."""

from __future__ import annotations

from tests.requirements.base import Requirement

_STACK = "stack §9"

REQUIREMENTS = {
    "addresses:table": Requirement(
        _STACK, "Loopback, private, link-local, shared, reserved and embedded addresses are denied."
    ),
    "addresses:spellings": Requirement(
        _STACK, "Decimal, octal, hexadecimal and short spellings are known for addresses."
    ),
    "addresses:connection": Requirement(
        _STACK, "The address that is connected to is judged, whatever the name resolved to before."
    ),
    "addresses:allowed": Requirement(
        _STACK, "An operator may allow networks, addresses and host names."
    ),
}
