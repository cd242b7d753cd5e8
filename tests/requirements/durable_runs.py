"""What the store promises about background responses (``store/runs.py``, ``store/log.py``)."""

from __future__ import annotations

from tests.requirements.base import Requirement

_ISSUE = "issue §2"
_STACK = "stack §3.3"

REQUIREMENTS = {
    "durable-runs:queue:order": Requirement(
        _ISSUE, "Queued responses of a project begin in the order they were asked for."
    ),
    "durable-runs:queue:once": Requirement(_STACK, "No run is given to two replicas."),
    "durable-runs:queue:at-once": Requirement(
        "ours", "A process with room makes its own background response without queueing it."
    ),
    "durable-runs:queue:together": Requirement(
        _ISSUE, "A run and what goes along with it are written together or not at all."
    ),
    "durable-runs:queue:fair": Requirement(
        "ours", "One tenant's thousand queued runs do not starve another's one."
    ),
    "durable-runs:queue:version": Requirement(
        "stack §2.2", "A replica claims only runs whose format it understands."
    ),
    "durable-runs:tenant": Requirement(
        "api-surface §22.30", "Another tenant's run, log and queue are like none."
    ),
    "durable-runs:lease:takeover": Requirement(
        _STACK, "A silent owner loses its run, and what it writes later is refused."
    ),
    "durable-runs:lease:beat": Requirement(
        _STACK, "One statement renews all leases of a process and tells what it lost."
    ),
    "durable-runs:lease:outage": Requirement(
        _STACK, "After a database outage owners renew before others claim."
    ),
    "durable-runs:lease:drain": Requirement(
        _STACK, "What a leaving process hands over is claimed at once."
    ),
    "durable-runs:lease:restart": Requirement(
        _STACK, "After a restart of the only process its runs go on at once."
    ),
    "durable-runs:lease:clock": Requirement(_STACK, "Leases go by the database's clock."),
    "durable-runs:cancel:queued": Requirement(
        _ISSUE, "A queued run that is cancelled never begins, whoever dies meanwhile."
    ),
    "durable-runs:cancel:running": Requirement(
        _STACK, "Asking to cancel is durable: the owner's heartbeat and every later owner know."
    ),
    "durable-runs:shown": Requirement(
        "api-surface §8", "What is shown of a run that is not over is its owner's latest word."
    ),
    "durable-runs:steps:journal": Requirement(
        _STACK, "A finished step is reused, one without an end is known as interrupted."
    ),
    "durable-runs:end:once": Requirement(
        _ISSUE, "A run ends exactly once, in the transaction of its response's row."
    ),
    "durable-runs:end:unstored": Requirement(
        "stack §2.3", "A background response without a row is shown until its log goes."
    ),
    "durable-runs:sweep": Requirement(
        _STACK, "Logs go when their time is over, and not later than their response."
    ),
    "durable-runs:delete": Requirement(
        "api-surface §4", "A deleted run leaves nothing, and its owner cannot write to it."
    ),
    "durable-runs:content": Requirement(
        "stack §2.3", "With encryption at rest no request, event or result is readable in a row."
    ),
    "durable-runs:content:erased": Requirement(
        "stack §2.3", "A run whose project was purged is erased instead of claimed for ever."
    ),
    "durable-runs:machine": Requirement(
        "issue §6",
        "Under any order of claims, writes, deaths and zombies: one writer per epoch, a dense log, "
        "one end, nothing stuck.",
    ),
    "durable-runs:log:read": Requirement(
        _ISSUE, "A log is read from any event on, by any replica, while it grows."
    ),
    "durable-runs:log:dense": Requirement(
        _ISSUE, "A log has no gap and no duplicate, also when an answer got lost."
    ),
    "durable-runs:log:group": Requirement(
        "stack §3.2", "Chunks of many runs go in one transaction and do not stop each other."
    ),
    "durable-runs:log:fence": Requirement(
        _STACK, "Who lost a run cannot write to its log, wherever that is kept."
    ),
    "durable-runs:log:size": Requirement("ours", "A chunk larger than a NATS message comes whole."),
    "durable-runs:log:nats": Requirement(
        "issue §5", "The log in JetStream outlives its server, its writers and lost answers."
    ),
}
