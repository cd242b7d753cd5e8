"""What the stream promises of the items of tools."""

from __future__ import annotations

from tests.requirements.base import Requirement

_ISSUE = "issue §1"

REQUIREMENTS = {
    "stream:tools:replay": Requirement(
        "api-surface §7.2, §7.4",
        "Items of tools never overlap, and their replay has the same events and numbers.",
    ),
    "stream:tools:resume": Requirement(
        _ISSUE,
        "A log that ends inside an item of a tool can be gone on with, without a second call.",
    ),
    "stream:tools:answered": Requirement(
        _ISSUE, "What the model says after a call of the server's waits until it is answered."
    ),
    "stream:tools:listing": Requirement(
        "api-surface §6.4", "Listings and approved calls are items with their own events."
    ),
    "stream:tools:nonsense": Requirement(
        _ISSUE,
        "Arguments that cannot become the item are an error of the model, unless it was cut.",
    ),
    "stream:tools:odd": Requirement(
        _ISSUE,
        "Half a character in the arguments of a call, or 5.0 for a whole number, gives an item "
        "that can be stored and sent.",
    ),
    "stream:tools:stages": Requirement(
        "api-surface §7.4", "Stages of hosted calls keep their order."
    ),
    "stream:tools:stages-cut": Requirement(
        _ISSUE, "A hosted call that is cut or taken over is closed as what it is, and replays."
    ),
}
