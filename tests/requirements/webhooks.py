"""Webhooks: endpoints, the outbox, deliveries."""

from __future__ import annotations

from tests.requirements.base import Requirement

_API = "api-surface §13"
_ISSUE = "issue 4 §2"

REQUIREMENTS = {
    "webhooks:endpoints:lifecycle": Requirement(
        _API, "Create, retrieve, update and delete give the client's objects; the secret is once."
    ),
    "webhooks:endpoints:pages": Requirement(_API, "Lists are newest first and followed by pages."),
    "webhooks:endpoints:refused": Requirement(
        _API,
        "A wrong name, address or event type is a 400 that names it.",
        divergence="Event types of what never happens on this server (batches, fine-tuning, calls) "
        "are refused; the hosted API takes them.",
    ),
    "webhooks:endpoints:tenants": Requirement(
        _ISSUE, "Another project's endpoint is answered exactly like a missing one."
    ),
    "webhooks:endpoints:test": Requirement(
        _API, "A test is sent at once, and the endpoint's status is the result."
    ),
    "webhooks:endpoints:sealed": Requirement(_ISSUE, "Signing secrets are stored sealed only."),
    "webhooks:endpoints:azure": Requirement(_API, "Azure's paths and object names are served."),
    "webhooks:guard:connection": Requirement(
        "stack §9", "A name that means a private address is not called, unless it is allowed."
    ),
    "webhooks:guard:settings": Requirement(
        "ours", "What is neither network, address nor host name is refused in the settings."
    ),
    "webhooks:store:endpoints": Requirement(
        "ours", "An endpoint is kept, changed where it differs, and deleted."
    ),
    "webhooks:store:tenants": Requirement(_ISSUE, "No query of the store is without its project."),
    "webhooks:store:pages": Requirement("ours", "Pages are complete and in order."),
    "webhooks:store:bounded": Requirement("ours", "A project has at most 100 endpoints."),
    "webhooks:store:rotation": Requirement(
        _API, "The secret before signs until its day is over, and not a moment longer."
    ),
    "webhooks:outbox:wanted": Requirement(
        _ISSUE, "An event is written once for every endpoint of the project that wants it."
    ),
    "webhooks:outbox:transaction": Requirement(
        _ISSUE, "An event is written in the transaction of the response's end, or not at all."
    ),
    "webhooks:outbox:lease": Requirement(
        _ISSUE, "What somebody took and did not settle is due again when the lease ends."
    ),
    "webhooks:outbox:fair": Requirement(
        "ours", "However much waits for one endpoint, others are not behind it."
    ),
    "webhooks:outbox:one-taker": Requirement(_ISSUE, "No event is taken by two at once."),
    "webhooks:outbox:deleted": Requirement("ours", "What waits for a deleted endpoint goes."),
    "webhooks:outbox:own-clock": Requirement("ours", "Leases go by the database's clock."),
    "webhooks:delivery:signed": Requirement(
        _ISSUE, "The official client's unwrap accepts every delivery, and nothing altered."
    ),
    "webhooks:delivery:events": Requirement(
        _API, "Completed, failed, incomplete and cancelled background responses are told."
    ),
    "webhooks:delivery:only-background": Requirement(
        _API, "Other responses, and types nobody asked for, are not told."
    ),
    "webhooks:delivery:rotation": Requirement(
        _API, "During a rotation both signatures are sent; afterwards one."
    ),
    "webhooks:delivery:retried": Requirement(
        _API, "A failure is sent again, same id and body, signed with the new time."
    ),
    "webhooks:delivery:back-off": Requirement(
        _ISSUE, "Pauses double up to six hours; after 72 hours it is given up."
    ),
    "webhooks:delivery:gone": Requirement("ours", "A 410 ends the attempts at once."),
    "webhooks:delivery:redirect": Requirement(_API, "Redirects are failures and not followed."),
    "webhooks:delivery:proxy": Requirement("ours", "No proxy of the environment is used."),
    "webhooks:delivery:tls": Requirement("ours", "A receiver's certificate is checked."),
    "webhooks:delivery:apart": Requirement(
        "ours", "A receiver that hangs does not keep the others waiting."
    ),
    "webhooks:delivery:shared": Requirement(
        _ISSUE, "Two processes on one database deliver each event once."
    ),
    "webhooks:delivery:lease": Requirement(
        _ISSUE, "What a process that died had taken, another one delivers."
    ),
    "webhooks:delivery:restart": Requirement(
        _ISSUE, "The outbox outlives the process, and a receiver's outage."
    ),
    "webhooks:delivery:kill": Requirement(
        _ISSUE, "What was being delivered at kill -9 is delivered again, under the same id."
    ),
    "webhooks:delivery:cheap": Requirement(
        "ours", "Where a project has no endpoint, the end of a response writes nothing more."
    ),
    "webhooks:delivery:key-lost": Requirement(
        "ours", "Where a secret does not open nothing is sent, and the reason told."
    ),
    "webhooks:docs:how-to": Requirement("house §7.13", "The how-to's programs work as they stand."),
}
