"""Who hears which record."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from antiphon.observe import (
    KINDS,
    EngineChanged,
    Observation,
    Observers,
    StoreCommitted,
    Swept,
)

RECORDS = (Swept(1), StoreCommitted(2, 0.1), EngineChanged("ready"))


@pytest.mark.requirement("telemetry:observe:kinds")
def test_a_subscriber_hears_what_it_asked_for_in_order_of_subscription() -> None:
    heard: list[tuple[str, Observation]] = []

    class Choosy:
        """Has a callable per kind."""

        def __init__(self) -> None:
            self.hears: Mapping[type[Observation], Callable[[Any], None]] = {Swept: self._swept}

        def _swept(self, seen: Swept) -> None:
            heard.append(("choosy", seen))

    observers = Observers()
    observers.subscribe(lambda seen: heard.append(("engine", seen)), EngineChanged)
    observers.subscribe(Choosy())
    observers.subscribe(lambda seen: heard.append(("everything", seen)))
    for record in RECORDS:
        observers(record)
    swept, committed, engine = RECORDS
    assert heard == [
        ("choosy", swept),
        ("everything", swept),
        ("everything", committed),
        ("engine", engine),
        ("everything", engine),
    ]


def test_nobody_has_to_listen() -> None:
    observers = Observers()
    for record in RECORDS:
        observers(record)


def test_what_an_observer_raises_reaches_who_observed_and_no_other_record() -> None:
    heard: list[Observation] = []

    def broken(seen: Observation) -> None:
        raise ValueError("broken")

    observers = Observers()
    observers.subscribe(heard.append)
    observers.subscribe(broken, Swept)
    with pytest.raises(ValueError, match="broken"):
        observers(Swept(1))
    observers(StoreCommitted(2, 0.1))
    assert heard == [Swept(1), StoreCommitted(2, 0.1)]


def test_the_kinds_are_those_of_the_union() -> None:
    assert {Swept, StoreCommitted, EngineChanged} < set(KINDS)
    assert all(isinstance(kind, type) for kind in KINDS)
