"""Tools a model has of what is declared, loaded and dropped; and what the server says it can do."""

from __future__ import annotations

from tests.requirements.base import Requirement

_ISSUE = "issue 5 §1"
_CAPABILITIES = "issue 5 §5"

REQUIREMENTS = {
    "offering:namespace:calls": Requirement(
        "api-surface §5.3, §6.1",
        "A call of a namespaced tool carries the namespace and the name the caller gave it.",
    ),
    "offering:namespace:reversible": Requirement(
        _ISSUE, "Whatever the names, a call of a flattened tool is turned back into the right one."
    ),
    "offering:namespace:collision": Requirement(
        _ISSUE, "Two tools the model would know by one name are a 400 that names the second."
    ),
    "offering:namespace:long-names": Requirement(
        _ISSUE, "Names longer than a chat server takes are shortened and turned back."
    ),
    "offering:namespace:choice": Requirement(
        "api-surface §6.2", "A choice may name a tool in a namespace, or allow a whole namespace."
    ),
    "offering:namespace:described": Requirement(
        "openai SDK NamespaceTool", "What a namespace is for is told the model once."
    ),
    "offering:search:server": Requirement(
        "api-surface §6.1",
        "Deferred tools are found by a search the server runs, and callable in the same response.",
    ),
    "offering:search:hidden": Requirement(
        "api-surface §6.1", "A deferred tool is not shown and not callable before it is found."
    ),
    "offering:search:persists": Requirement(
        _ISSUE, "What a search has loaded stays loaded in the turns that follow."
    ),
    "offering:search:client": Requirement(
        "api-surface §6.1, clients: Codex",
        "A search the client runs ends the response; its output loads the tools.",
    ),
    "offering:search:nothing": Requirement(
        _ISSUE, "A search that finds nothing says so, and the model goes on."
    ),
    "offering:search:deterministic": Requirement(
        _ISSUE, "The same search over the same tools finds the same, in the same order."
    ),
    "offering:search:finds": Requirement(
        _ISSUE, "A tool is found by its name, description, parameters or namespace."
    ),
    "offering:search:forced": Requirement(
        "api-surface §6.2", "A choice of a deferred tool or of the search itself is met."
    ),
    "offering:search:needed": Requirement(
        _ISSUE, "A deferred tool without a search that could find it is a 400."
    ),
    "offering:search:mcp": Requirement(
        "openai SDK Mcp.defer_loading",
        "Deferred tools of an MCP server are found by the search; without one they are there.",
    ),
    "offering:search:takeover": Requirement(
        _ISSUE, "Wherever a log ends, who takes over has the tools that were found."
    ),
    "offering:additional:effective": Requirement(
        "api-surface §5.2, clients: Codex",
        "Tools of an additional_tools item are there from it on, in later turns too.",
    ),
    "offering:additional:choice": Requirement(
        _ISSUE, "A choice may name a tool that only an item of the context brings."
    ),
    "offering:additional:no-text": Requirement(
        _ISSUE, "Items that bring tools or settings are never shown to the model as text."
    ),
    "offering:shell:container": Requirement(
        _ISSUE, "A shell in a container is refused: it is never told as one the caller runs."
    ),
    "offering:additional:checked": Requirement(
        _ISSUE, "Tools and settings of items are checked like the request's own, with their path."
    ),
    "offering:additional:secrets": Requirement(
        "api-surface §22.29", "An item that would keep an MCP server's secrets is a 400."
    ),
    "offering:configuration:persists": Requirement(
        "openai SDK ConfigurationUpdate",
        "A configuration_update holds until the next one, and the response shows its values.",
    ),
    "offering:allowed:hard": Requirement(
        "api-surface §6.2", "A call outside allowed_tools never reaches the caller, whatever it is."
    ),
    "offering:choice:once": Requirement(
        "api-surface §22.26",
        "Every form of a demanded call is demanded of the first model call only.",
    ),
    "offering:phase:kept": Requirement(
        "api-surface §5.1", "The phase of a message is stored, listed and continued from."
    ),
    "offering:unsupported:refused": Requirement(
        "api-surface §22.12", "A tool nobody can run is a 400 that names tools[i].type."
    ),
    "offering:unsupported:agents": Requirement(
        "issue 5 §1, clients: Codex",
        "Hosted tools coding agents always send are left out for them, and the answer says so.",
    ),
    "offering:unsupported:switch": Requirement(
        _ISSUE, "runs.unsupported_tools refuses or drops for everybody."
    ),
    "offering:unsupported:background": Requirement(
        _ISSUE, "A background response made in another process is as lenient as its request."
    ),
    "offering:unsupported:items": Requirement(
        _ISSUE, "Dropped tools of additional_tools items are told each turn they are missing in."
    ),
    "capabilities:resource": Requirement(
        _CAPABILITIES, "GET /v1/antiphon/capabilities says per model what is native or emulated."
    ),
    "capabilities:derived": Requirement(
        _CAPABILITIES, "What the manifest says of a tool or parameter is what a request meets."
    ),
    "capabilities:page": Requirement(
        _CAPABILITIES, "The reference page is the one these data and the requirements give."
    ),
    "capabilities:downgrades": Requirement(
        _CAPABILITIES, "Every downgrade a request can suffer is listed, and each can be provoked."
    ),
}
