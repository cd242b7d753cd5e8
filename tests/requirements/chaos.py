"""What holds whatever breaks (tests/chaos)."""

from tests.requirements.base import Requirement

REQUIREMENTS = {
    "chaos:postgres:every-promise": Requirement(
        source="issue",
        behaviour="With replicas killed, frozen, stopped and the database restarted under load, "
        "every acknowledged response, turn and event is there exactly once, and every background "
        "run has one end.",
    ),
    "chaos:nats:every-promise": Requirement(
        source="issue",
        behaviour="The same with wake-ups and the log in NATS, which is restarted too.",
    ),
}
