"""What the last runs saw, kept in ``seen.json``: client, version, checks. No dates, no times."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec
from msgspec import Struct

from tests.clients.trial import Trial

FILE = Path(__file__).parent / "seen.json"


class Seen(Struct, frozen=True):
    """One client's last run that was not cut short."""

    client: str
    version: str
    passed: list[str]
    failed: list[str]


def load() -> dict[str, Seen]:
    """Client name → what was seen. Empty before the first run."""
    if not FILE.exists():
        return {}
    return {it.client: it for it in msgspec.json.decode(FILE.read_bytes(), type=list[Seen])}


def keep(trials: Iterable[Trial], known: Iterable[str]) -> None:
    """Put these runs beside the earlier ones of other clients that still exist."""
    every = load() | {it.client: _seen(it) for it in trials}
    listed = [every[name] for name in sorted(every.keys() & set(known))]
    FILE.write_bytes(msgspec.json.format(msgspec.json.encode(listed), indent=2) + b"\n")


def _seen(trial: Trial) -> Seen:
    return Seen(trial.client, trial.version, trial.passed, trial.failed)
