"""What holds whatever breaks (tests/chaos)."""

from tests.requirements.base import Requirement

REQUIREMENTS = {
    "chaos:postgres:every-promise": Requirement(
        source="issue",
        behaviour="With replicas killed, frozen, stopped and the database restarted under load, "
        "every acknowledged response, turn and event is there exactly once, and every background "
        "run has one end.",
    ),
    "chaos:soak:flat": Requirement(
        source="issue",
        behaviour="Memory, open files and tasks are what they were after many streams by every "
        "road.",
    ),
    "chaos:soak:idle": Requirement(
        source="issue",
        behaviour="A silent connection costs some KiB, and nothing once it is closed.",
    ),
    "chaos:nats:every-promise": Requirement(
        source="issue",
        behaviour="The same with wake-ups and the log in NATS, which is restarted too.",
    ),
}
