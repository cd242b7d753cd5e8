"""What background responses promise."""

from __future__ import annotations

from tests.requirements.base import Requirement

_ISSUE = "issue §2, api-surface §8"

REQUIREMENTS = {
    "background:poll": Requirement(
        _ISSUE, "background: true answers queued at once and is polled until it has ended."
    ),
    "background:stream:order": Requirement(
        "api-surface §7.3", "A stream begins created, queued, in_progress, and has one end."
    ),
    "background:leave": Requirement(
        "api-surface §22.23", "The caller may leave at any event, the first included."
    ),
    "background:resume": Requirement(
        "api-surface §22.24", "starting_after=N gives what is above N, then what comes, once each."
    ),
    "background:resume:sdk-helper": Requirement(
        "api-surface §21", "responses.stream(response_id=…, starting_after=…) works."
    ),
    "background:tail:many": Requirement("issue §2", "Any number of readers see the same events."),
    "background:tail:lost-wake-up": Requirement(
        "stack §3.3", "A reader whose wake-up was lost looks by itself within a second."
    ),
    "background:tail:shared-look": Requirement(
        source="ours",
        behaviour="Readers of one silent response look into the store for each other.",
    ),
    "background:tail:woken": Requirement(
        "stack §3.3", "What a reader hears twice it tells once, in order."
    ),
    "background:tail:slow": Requirement(
        "issue §2", "What is kept for a slow reader is bounded, and it misses nothing."
    ),
    "background:log-is-replay": Requirement(
        "stack §3.3", "After the log is swept the replay has the same events."
    ),
    "background:stream:not-asked": Requirement(
        "api-surface §8", "What was created without stream has no live stream: a precise 400."
    ),
    "background:failed": Requirement(
        _ISSUE, "A model error is response.failed of a background response, never an HTTP status."
    ),
    "background:refused": Requirement(
        _ISSUE, "What validation refuses is an HTTP 400 with code and param."
    ),
    "background:azure": Requirement(
        "api-surface §16", "Azure's client runs, resumes and cancels them as well."
    ),
    "background:cancel": Requirement(
        _ISSUE,
        "Cancelling stops it at once, keeps what was written, and is idempotent.",
    ),
    "background:cancel:over": Requirement(
        "api-surface §8", "Cancelling what has ended returns it unchanged."
    ),
    "background:cancel:synchronous": Requirement(
        "api-surface §8", "Cancelling a synchronous response is a 400."
    ),
    "background:cancel:queued": Requirement(
        "api-surface §8", "What nobody has begun is cancelled at once."
    ),
    "background:cancel:race": Requirement(
        "api-surface §22.23", "A race of cancel and completion has exactly one end."
    ),
    "background:cancel:orphan": Requirement(
        "stack §3.2", "A cancel whose owner died is carried out by whoever takes over."
    ),
    "background:parent-running": Requirement(
        "api-surface §4.1", "A parent that is not over is a 400 of its own."
    ),
    "background:input-items": Requirement(
        "api-surface §4.4", "The input of a running response can be listed."
    ),
    "background:delete": Requirement(
        "api-surface §22.55", "Deleting stops it and kills row, log and continuation."
    ),
    "background:conversation": Requirement(
        "api-surface §4.2", "Its conversation is locked until it has ended, then has its items."
    ),
    "background:idempotency": Requirement(
        "issue §2", "One Idempotency-Key makes one background response."
    ),
    "background:takeover:any-cut": Requirement(
        "stack §3.3", "Wherever a log ends, the response goes on to one legal whole."
    ),
    "background:takeover:cut-item": Requirement(
        "stack §3.3", "The open item is closed as incomplete and the turn is asked again."
    ),
    "background:takeover:calls-once": Requirement(
        "ours", "A call the caller was told of is not made twice by a takeover."
    ),
    "background:takeover:restart": Requirement(
        _ISSUE, "After kill -9 the restarted process finishes what was begun, without a gap."
    ),
    "background:takeover:too-often": Requirement(
        "api-surface §22.47", "A run that was claimed too often fails instead of looping."
    ),
    "background:steps": Requirement(
        "stack §3.3", "A step that ended is not done again; one cut off is, where that is harmless."
    ),
    "background:drain": Requirement(
        _ISSUE, "SIGTERM lets runs end for shutdown_seconds and hands over the rest."
    ),
    "background:replicas:tail": Requirement(
        _ISSUE, "Any replica replays and follows, without gap or repetition."
    ),
    "background:replicas:cancel": Requirement(
        _ISSUE, "Cancelling at another replica stops it at once."
    ),
    "background:replicas:never-claims": Requirement(
        "ours", "A replica with runs_max = 0 queues and shows, and makes nothing."
    ),
    "background:replicas:fenced": Requirement(
        "stack §3.3", "An owner that lost its lease writes nothing more; there is one end."
    ),
    "background:replicas:drain": Requirement(
        "stack §3.3", "What an ending replica hands over is claimed in less than a second."
    ),
    "background:replicas:outage": Requirement(
        "stack §3.3", "A restart of the database loses, repeats and fails nothing."
    ),
    "background:observed": Requirement(
        "stack §10", "The queue, what is made, and take-overs are metrics."
    ),
    "background:replicas:forget": Requirement(
        "ours", "What one replica deletes no other remembers."
    ),
}
