"""What we promise about the process and its settings."""

from __future__ import annotations

from tests.requirements.base import Requirement

REQUIREMENTS = {
    "config:sources:defaults": Requirement(
        source="issue 2 §1", behaviour="Without any setting the demo model is served on 8484."
    ),
    "config:sources:precedence": Requirement(
        source="issue 2 §1",
        behaviour="Flags win over the environment, which wins over the file; each value knows "
        "its source.",
    ),
    "config:sources:file_from_environment": Requirement(
        source="issue 2 §1", behaviour="ANTIPHON_CONFIG names the file where no flag does."
    ),
    "config:sources:environment_types": Requirement(
        source="issue 2 §1",
        behaviour="Environment variables set numbers, truths, lists, tables and list elements.",
    ),
    "config:mistake:one_line": Requirement(
        source="issue 2 §1",
        behaviour="A mistake in the file is one line naming the key, what was expected, and the "
        "file; it never shows a secret.",
    ),
    "config:mistake:names_its_source": Requirement(
        source="issue 2 §1", behaviour="A mistake in the environment names the variable."
    ),
    "config:keys:projects": Requirement(
        source="issue 2 §1",
        behaviour="Each key is a tenant of its own; keys that name one project share it.",
    ),
    "config:show:sources": Requirement(
        source="issue 2 §1",
        behaviour="config show prints TOML that loads to the same settings, with sources.",
    ),
    "config:show:masks_secrets": Requirement(
        source="house.md §6", behaviour="No key, header or password is shown or in a repr."
    ),
    "config:check:command": Requirement(
        source="issue 2 §1", behaviour="config check says ok, or one line and exit code 2."
    ),
    "config:flags:backends": Requirement(
        source="issue 2 §1",
        behaviour="--upstream, --upstream-key-env, --model, --scripted and --api-key stand for "
        "backends and keys.",
    ),
    "config:doctor:findings": Requirement(
        source="issue 2 §1",
        behaviour="doctor names what is wrong and the remedy, and exits with 1 if it matters.",
    ),
    "config:doctor:mcp": Requirement(
        source="issue 5",
        behaviour="doctor asks each configured MCP server for its tools, and tells which tools of "
        "the settings it does not have.",
    ),
    "config:doctor:python_build": Requirement(
        source="issue 3",
        behaviour="doctor tells an optimised interpreter from one that is not, and claims neither "
        "where the interpreter does not tell.",
    ),
    "config:every_setting:documented": Requirement(
        source="house.md §6.10", behaviour="Every setting has a name, a default and a sentence."
    ),
    "process:start:ready_in_time": Requirement(
        source="issue 2 §1", behaviour="The server is ready soon after it was started (2 s)."
    ),
    "process:banner:quickstart": Requirement(
        source="issue 2 §1",
        behaviour="The curl line and the lines of Python the banner prints work as pasted.",
    ),
    "process:banner:warns_when_open": Requirement(
        source="house.md §6",
        behaviour="The banner warns when others can connect and no key is asked for.",
    ),
    "process:start:port_taken": Requirement(
        source="issue 2 §1", behaviour="A taken port is one clear line and exit code 2."
    ),
    "process:start:bad_config": Requirement(
        source="issue 2 §1", behaviour="A bad setting is one clear line and exit code 2."
    ),
    "process:start:data_in_use": Requirement(
        source="issue 2 §1",
        behaviour="A second server on the same data directory is refused in one line.",
    ),
    "process:keys:tenants": Requirement(
        source="issue 2 §6",
        behaviour="Another tenant's id is indistinguishable from a missing one; a wrong key is "
        "401.",
    ),
    "process:websocket:refused": Requirement(
        source="clients.md (Codex CLI)",
        behaviour="A WebSocket upgrade that is switched off is answered with 426, and is no line "
        "in the log.",
    ),
    "process:memory:idle": Requirement(
        source="stack.md §0", behaviour="An idle server takes less than 100 MB."
    ),
    "process:memory:kept": Requirement(
        source="issue 3", behaviour="Memory of large bodies is used again, not asked for again."
    ),
    "process:shutdown:in_flight_finishes": Requirement(
        source="issue 2 §1",
        behaviour="After SIGTERM nobody is accepted, streams under way finish, exit code 0.",
    ),
    "process:shutdown:in_flight_cancelled": Requirement(
        source="issue 2 §1",
        behaviour="What does not end within the limit is cancelled and stored as cancelled.",
    ),
    "process:shutdown:refused": Requirement(
        source="issue 2 §1",
        behaviour="What has not begun when the limit is reached is answered 503.",
    ),
    "process:shutdown:second_signal": Requirement(
        source="issue 2 §1", behaviour="A second signal ends the process at once."
    ),
    "process:restart:keeps_responses": Requirement(
        source="issue 2 §1", behaviour="A restart keeps stored responses and their history."
    ),
    "process:kill:never_half": Requirement(
        source="issue 2 §6",
        behaviour="After kill -9 at any moment every response is ended or absent, and what a "
        "caller saw complete is there unchanged.",
    ),
    "process:kill:answered": Requirement(
        source="issue 2 §6",
        behaviour="What any caller has read to its end before kill -9 is there after a restart.",
    ),
    "process:log:json": Requirement(
        source="issue 2 §6", behaviour="Every log line is one JSON object."
    ),
    "process:log:no_content": Requirement(
        source="house.md §6", behaviour="No log line, even at debug, holds a prompt or a key."
    ),
    "process:log:quiet": Requirement(
        source="house.md §6.7",
        behaviour="At level info a request that went well is no line of its own.",
    ),
    "process:store:private": Requirement(
        source="house.md §6", behaviour="A new data directory is readable by its owner only."
    ),
    "process:store:swept": Requirement(
        source="issue 2 §3", behaviour="Expired responses are removed while the server runs."
    ),
    "process:banner:engine_missing": Requirement(
        source="issue 2 §2",
        behaviour="Where the embedded engine cannot run the banner says so, and what to do.",
    ),
    "process:readyz:engine": Requirement(
        source="issue 2 §6",
        behaviour="readyz is 503 with the reason while the embedded engine is not ready.",
    ),
    "process:metrics:counts": Requirement(
        source="issue 2 §6",
        behaviour="metrics counts requests, responses, tokens, retries and commits.",
    ),
    "process:metrics:bounded": Requirement(
        source="house.md §6.11", behaviour="Model names chosen by callers make few series."
    ),
}
