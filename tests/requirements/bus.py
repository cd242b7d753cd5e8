"""Wake-ups between replicas."""

from __future__ import annotations

from tests.requirements.base import Requirement

_ISSUE = "issue 4 §5"

REQUIREMENTS = {
    "bus:delivery:everybody": Requirement(
        _ISSUE, "A message reaches every subscriber of every replica, once."
    ),
    "bus:delivery:later": Requirement(
        "ours", "Publishing returns before any subscriber is called."
    ),
    "bus:delivery:order": Requirement(
        _ISSUE, "Messages of one publisher on one topic arrive in order; none is lost in peace."
    ),
    "bus:delivery:sizes": Requirement("ours", "Payloads up to 4,000 bytes arrive as they were."),
    "bus:delivery:many-topics": Requirement("ours", "A thousand topics at once do not mix."),
    "bus:delivery:exact-topic": Requirement(
        "ours", "A subscription hears exactly its topic, whatever characters that has."
    ),
    "bus:delivery:both-ways": Requirement(_ISSUE, "Three replicas hear each other."),
    "bus:subscription:end": Requirement("ours", "A subscription that ended hears nothing."),
    "bus:failure:restart": Requirement(
        _ISSUE, "After a restart of the database or of NATS, subscriptions hear again."
    ),
    "bus:close:clean": Requirement(
        "ours", "Closing sends what is queued and leaves no task behind."
    ),
    "bus:open:unreachable": Requirement(
        _ISSUE, "A bus that cannot be reached is told at the start, without its password."
    ),
    "bus:choice:settings": Requirement(
        _ISSUE, "NATS if set, PostgreSQL where replicas share one, else within the process."
    ),
    "bus:choice:processes": Requirement(_ISSUE, "Two processes hear each other, in order."),
    "bus:notify:interest": Requirement(
        "stack §3.2", "A burst is few notifications, and only for replicas that care."
    ),
    "bus:notify:nobody-else": Requirement("ours", "A replica alone notifies nobody."),
    "bus:notify:peers": Requirement(
        _ISSUE, "A replica that loses its connection is met again, its old mailbox forgotten."
    ),
    "bus:notify:strangers": Requirement("ours", "What strangers write into a mailbox is ignored."),
    "bus:notify:too-long": Requirement("ours", "A message that is too long is told, not cut."),
    "bus:gathering": Requirement(
        "stack §3.2", "At most one send per tick; a backlog is bounded; a lone message never waits."
    ),
    "bus:choice:pooler": Requirement(
        "stack §2.2", "A server behind a pooler that cannot listen says what to set."
    ),
    "bus:nats:too-long": Requirement("ours", "A topic that is too long does no harm."),
    "bus:nats:login": Requirement(_ISSUE, "User and password, or a token, stand in the URL."),
    "bus:nats:tls": Requirement(_ISSUE, "TLS is spoken, and the certificate checked."),
    "bus:nats:several-servers": Requirement("ours", "One of several servers suffices."),
    "bus:nats:given-up": Requirement(
        "ours", "A bus whose client gave up for good begins anew by itself."
    ),
}
