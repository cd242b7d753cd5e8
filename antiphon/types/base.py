"""Struct bases, and the difference between absent and null.

Two families:

* ``Wire``: what we produce and what must be exact: a field is present unless it is ``UNSET``.
* ``Asked``: what a caller sends: nested request objects. Unknown keys are refused there,
  because the API refuses them and a misspelt parameter must not be ignored silently.

Items that come back to us (a caller feeds output items back verbatim, with keys we may have
never heard of) are ``Wire``: unknown keys are tolerated, and the raw object is what is stored.
"""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, Struct, UnsetType

__all__ = ["UNSET", "Asked", "UnsetType", "Wire", "given"]


class Wire(Struct):
    """Base of everything we emit and of every item; unknown keys are tolerated on the way in."""


class Asked(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """Base of request-only objects; unknown keys are an error there."""


def given(value: Any) -> bool:
    """True if a field was present and not null."""
    return value is not UNSET and value is not None
