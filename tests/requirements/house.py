"""What we promise about the code itself and its documents."""

from __future__ import annotations

from tests.requirements.base import Requirement

REQUIREMENTS = {
    "house:layers": Requirement(source="house.md §4.3", behaviour="Imports only go down."),
    "house:concrete_only_in_app": Requirement(
        source="house.md §4.3",
        behaviour="Only app.py imports a concrete backend or store; others see the ports.",
    ),
    "house:no_knots": Requirement(
        source="house.md §1.1", behaviour="No files import each other in a circle."
    ),
    "house:sizes": Requirement(
        source="house.md §1.1",
        behaviour="Functions: 90 % at most 40 lines, none above 70. Files: at most 500 lines.",
    ),
    "house:broad_excepts": Requirement(
        source="house.md §4.6", behaviour="Everything is caught at a few listed places only."
    ),
    "house:banned_calls": Requirement(
        source="house.md §7.12",
        behaviour="No print outside the command, no second clock, no uuid4, no dropped task.",
    ),
    "house:names": Requirement(
        source="house.md §6.17", behaviour="No utils, helpers, managers, services, handlers."
    ),
    "house:no_leftovers": Requirement(
        source="house.md §7.12", behaviour="Nothing is left to do; no machine's path is named."
    ),
    "house:lazy_imports": Requirement(
        source="stack.md §0", behaviour="Heavy libraries are imported on first use."
    ),
    "house:locks": Requirement(
        source="issue 2 §1",
        behaviour="The lock files pin every dependency and name no index address.",
    ),
    "house:manifest": Requirement(
        source="house.md §7.1",
        behaviour="Every requirement has a test and every tested id is a requirement.",
    ),
    "house:docs:fresh": Requirement(
        source="house.md §8", behaviour="Generated pages are what the code says now."
    ),
    "house:docs:complete": Requirement(
        source="house.md §7.13",
        behaviour="Every route, event and error code is in the reference.",
    ),
    "house:docs:links": Requirement(
        source="house.md §7.13", behaviour="Every link between documents leads to a file."
    ),
}
