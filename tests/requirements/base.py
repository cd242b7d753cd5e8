"""The shape of one promise."""

from __future__ import annotations

from msgspec import Struct


class Requirement(Struct, frozen=True):
    """``source`` says who asks for it, ``behaviour`` what must hold, in one sentence.

    ``divergence`` is set where we knowingly do something else than the source; ``deferred``
    names what will bring it, for a promise not kept yet (such an entry needs no test).
    """

    source: str
    behaviour: str
    divergence: str = ""
    deferred: str = ""
