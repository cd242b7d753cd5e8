"""What is sealed, and who can open it."""

from __future__ import annotations

from tests.requirements.base import Requirement

_API = "api-surface §10.4, §15"

REQUIREMENTS = {
    "sealing:token:round-trip": Requirement(_API, "What was sealed opens again, word for word."),
    "sealing:token:bound": Requirement(
        _API, "A token opens for its own project and purpose only, and shows nothing."
    ),
    "sealing:token:tampered": Requirement(
        _API, "A changed token is refused, whichever byte it is."
    ),
    "sealing:token:malformed": Requirement(_API, "What is no token of ours is told apart."),
    "sealing:token:size": Requirement(_API, "A token has at most 20,971,520 characters."),
    "sealing:keys:rotation": Requirement(
        _API, "Several keys may be configured: the first seals, all open."
    ),
    "sealing:keys:own-file": Requirement(
        "ours", "Without a configured key one is made once, readable by its owner only."
    ),
    "sealing:keys:shared": Requirement("ours", "Replicas that share a database need a key."),
    "sealing:keys:not-shown": Requirement("house §7", "No key is shown in messages or objects."),
    "sealing:rest:keys": Requirement(
        "issue §5", "A project's data key opens under the master keys only, for its project only."
    ),
    "sealing:rest:file": Requirement(
        "issue §5", "With encryption at rest the database does not hold what was said."
    ),
    "sealing:rest:purge": Requirement(
        "issue §5", "Dropping a project's key makes its content unreadable, and no other's."
    ),
    "sealing:rest:server": Requirement(
        "issue §5",
        "A server with encryption at rest serves as any other, over restarts; without its key, or "
        "with encryption off, it says what is missing.",
    ),
    "sealing:rest:mixed": Requirement(
        "ours", "What was stored before encryption was turned on stays readable."
    ),
    "sealing:rest:rotation": Requirement(
        "ours", "Data keys move to the active master key when their project next writes."
    ),
}
