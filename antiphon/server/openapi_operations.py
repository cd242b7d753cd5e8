"""What every route takes and answers, as data: the part of the OpenAPI document no type holds.

``OPERATIONS`` has one entry for each method of each route of ``asgi.routes``; a test says which
one is missing.
"""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

from antiphon.server.query import INCLUDES, PAGE_DEFAULT, PAGE_MAX
from antiphon.types import chat, completion, request, resources, response, webhooks

Schema = dict[str, Any]
Page = Literal["items", "completions", "messages", "endpoints"]


class Parameter(Struct, frozen=True):
    """One of the query, or a header."""

    name: str
    schema: Schema
    about: str
    place: Literal["query", "header"] = "query"
    style: str = "form"


class Operation(Struct, frozen=True):
    """One method of one path. ``answer`` is a struct or the name of something by hand
    (``openapi.py``), ``body`` a struct. ``streams``: what an event of its stream is, where it has
    one. It may be answered 404 if it ``finds``, 409 if it ``conflicts``, and with what a model's
    server may answer if it ``asks_model``."""

    id: str
    tag: str
    summary: str
    answer: Any = None
    body: Any = None
    body_needed: bool = True
    parameters: tuple[Parameter, ...] = ()
    streams: Any = None
    asks_model: bool = False
    finds: bool = False
    conflicts: bool = False

    @property
    def public(self) -> bool:
        """Whether no key is needed."""
        return self.tag == "Server"


def _integer(least: int, most: int, default: int | None = None) -> Schema:
    schema: Schema = {"type": "integer", "minimum": least, "maximum": most}
    return schema if default is None else {**schema, "default": default}


def _order(default: str) -> Parameter:
    schema: Schema = {"type": "string", "enum": ["asc", "desc"], "default": default}
    return Parameter("order", schema, "By time.")


_FLAG: Schema = {"type": "boolean", "default": False}
_TEXT: Schema = {"type": "string"}
INCLUDE = Parameter(
    "include",
    {"type": "array", "items": {"type": "string", "enum": list(INCLUDES)}, "maxItems": 100},
    "What to add to items. `include[]=` and `include[0]=` are read too.",
)
LIMIT = Parameter("limit", _integer(1, PAGE_MAX, PAGE_DEFAULT), "At most so many in this page.")
AFTER = Parameter("after", _TEXT, "The `last_id` of the page before this one.")
KEY = Parameter(
    "Idempotency-Key",
    {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[\\x21-\\x7e]+$"},
    "A request that comes again with the same key gets the answer of the first.",
    place="header",
)
_REPLAY = (
    INCLUDE,
    Parameter("stream", _FLAG, "Send the events again instead of the object."),
    Parameter(
        "starting_after",
        _integer(0, 1_000_000_000),
        "With `stream`: only events with a higher `sequence_number`.",
    ),
    Parameter("include_obfuscation", _FLAG, "With `stream`: pad the deltas."),
)
_LIST_ITEMS = (AFTER, LIMIT, _order("desc"), INCLUDE)
_METADATA = Parameter(
    "metadata",
    {"type": "object", "additionalProperties": {"type": "string"}, "maxProperties": 16},
    "Only those with these values: `metadata[colour]=blue`.",
    style="deepObject",
)

RESPONSE = "/v1/responses/{response_id}"
COMPLETION = "/v1/chat/completions/{completion_id}"
CONVERSATION = "/v1/conversations/{conversation_id}"
ITEM = CONVERSATION + "/items/{item_id}"
ENDPOINT = "/v1/webhook_endpoints/{webhook_endpoint_id}"

OPERATIONS: dict[tuple[str, str], Operation] = {
    ("POST", "/v1/responses"): Operation(
        "createResponse",
        "Responses",
        "Make a response: one JSON object, or its events where `stream` is true. The same path "
        "takes a WebSocket handshake.",
        answer=response.Response,
        body=request.CreateResponse,
        parameters=(KEY,),
        streams="response",
        asks_model=True,
        finds=True,
        conflicts=True,
    ),
    ("POST", "/v1/responses/input_tokens"): Operation(
        "countInputTokens",
        "Responses",
        "Count the tokens a create would send.",
        answer=resources.InputTokens,
        body=request.CountInput,
        asks_model=True,
        finds=True,
    ),
    ("POST", "/v1/responses/compact"): Operation(
        "compactResponse",
        "Responses",
        "Make a shorter conversation to go on from; nothing is stored.",
        answer=resources.CompactedResponse,
        body=request.CompactInput,
        asks_model=True,
        finds=True,
    ),
    ("GET", RESPONSE): Operation(
        "retrieveResponse",
        "Responses",
        "A stored response, or its events again.",
        answer=response.Response,
        parameters=_REPLAY,
        streams="response",
        finds=True,
    ),
    ("DELETE", RESPONSE): Operation(
        "deleteResponse",
        "Responses",
        "Delete a stored response.",
        answer=resources.Deleted,
        finds=True,
        conflicts=True,
    ),
    ("POST", f"{RESPONSE}/cancel"): Operation(
        "cancelResponse",
        "Responses",
        "Cancel a background response; one that is over is answered as it is.",
        answer=response.Response,
        finds=True,
    ),
    ("GET", f"{RESPONSE}/input_items"): Operation(
        "listInputItems",
        "Responses",
        "What a response was made from.",
        answer="items",
        parameters=_LIST_ITEMS,
        finds=True,
    ),
    ("POST", "/v1/chat/completions"): Operation(
        "createChatCompletion",
        "Chat completions",
        "Make a chat completion, or its chunks where `stream` is true.",
        answer=completion.ChatCompletion,
        body=chat.CreateChatCompletion,
        parameters=(KEY,),
        streams=completion.Chunk,
        asks_model=True,
        finds=True,
        conflicts=True,
    ),
    ("GET", "/v1/chat/completions"): Operation(
        "listChatCompletions",
        "Chat completions",
        "The stored ones.",
        answer="completions",
        parameters=(
            AFTER,
            LIMIT,
            _order("asc"),
            Parameter("model", _TEXT, "Only those of this model."),
            _METADATA,
        ),
        finds=True,
    ),
    ("GET", COMPLETION): Operation(
        "retrieveChatCompletion",
        "Chat completions",
        "A stored chat completion.",
        answer=completion.ChatCompletion,
        finds=True,
    ),
    ("POST", COMPLETION): Operation(
        "updateChatCompletion",
        "Chat completions",
        "Change the metadata of a stored chat completion.",
        answer=completion.ChatCompletion,
        body=chat.UpdateChatCompletion,
        finds=True,
    ),
    ("DELETE", COMPLETION): Operation(
        "deleteChatCompletion",
        "Chat completions",
        "Delete a stored chat completion.",
        answer=completion.CompletionDeleted,
        finds=True,
    ),
    ("GET", f"{COMPLETION}/messages"): Operation(
        "listChatMessages",
        "Chat completions",
        "The messages a stored chat completion was made from.",
        answer="messages",
        parameters=(AFTER, LIMIT, _order("asc")),
        finds=True,
    ),
    ("POST", "/v1/conversations"): Operation(
        "createConversation",
        "Conversations",
        "Begin a conversation.",
        answer=resources.Conversation,
        body=resources.CreateConversation,
        body_needed=False,
        parameters=(KEY,),
        finds=True,
        conflicts=True,
    ),
    ("GET", CONVERSATION): Operation(
        "retrieveConversation",
        "Conversations",
        "A conversation, without its items.",
        answer=resources.Conversation,
        finds=True,
    ),
    ("POST", CONVERSATION): Operation(
        "updateConversation",
        "Conversations",
        "Change the metadata of a conversation.",
        answer=resources.Conversation,
        body=resources.UpdateConversation,
        finds=True,
        conflicts=True,
    ),
    ("DELETE", CONVERSATION): Operation(
        "deleteConversation",
        "Conversations",
        "Delete a conversation. The responses made in it stay.",
        answer=resources.ConversationDeleted,
        finds=True,
        conflicts=True,
    ),
    ("GET", f"{CONVERSATION}/items"): Operation(
        "listConversationItems",
        "Conversations",
        "The items of a conversation.",
        answer="items",
        parameters=_LIST_ITEMS,
        finds=True,
    ),
    ("POST", f"{CONVERSATION}/items"): Operation(
        "addConversationItems",
        "Conversations",
        "Add items to a conversation.",
        answer="items",
        body=resources.CreateItems,
        parameters=(INCLUDE,),
        finds=True,
        conflicts=True,
    ),
    ("GET", ITEM): Operation(
        "retrieveConversationItem",
        "Conversations",
        "An item of a conversation.",
        answer="item",
        parameters=(INCLUDE,),
        finds=True,
    ),
    ("DELETE", ITEM): Operation(
        "deleteConversationItem",
        "Conversations",
        "Delete an item of a conversation; the answer is the conversation.",
        answer=resources.Conversation,
        finds=True,
        conflicts=True,
    ),
    ("GET", "/v1/webhook_endpoints"): Operation(
        "listWebhookEndpoints",
        "Webhooks",
        "The endpoints of the project, newest first.",
        answer="endpoints",
        parameters=(AFTER, LIMIT),
        finds=True,
    ),
    ("POST", "/v1/webhook_endpoints"): Operation(
        "createWebhookEndpoint",
        "Webhooks",
        "Have events sent somewhere; the answer has the signing secret, once.",
        answer=webhooks.WebhookEndpoint,
        body=webhooks.CreateEndpoint,
    ),
    ("GET", ENDPOINT): Operation(
        "retrieveWebhookEndpoint",
        "Webhooks",
        "An endpoint.",
        answer=webhooks.WebhookEndpoint,
        finds=True,
    ),
    ("POST", ENDPOINT): Operation(
        "updateWebhookEndpoint",
        "Webhooks",
        "Change an endpoint.",
        answer=webhooks.WebhookEndpoint,
        body=webhooks.UpdateEndpoint,
        body_needed=False,
        finds=True,
    ),
    ("DELETE", ENDPOINT): Operation(
        "deleteWebhookEndpoint",
        "Webhooks",
        "Delete an endpoint.",
        answer=webhooks.EndpointDeleted,
        finds=True,
    ),
    ("POST", f"{ENDPOINT}/rotate_secret"): Operation(
        "rotateWebhookSecret",
        "Webhooks",
        "Make a new signing secret.",
        answer=webhooks.WebhookEndpoint,
        body=webhooks.RotateSecret,
        body_needed=False,
        finds=True,
    ),
    ("POST", f"{ENDPOINT}/test"): Operation(
        "testWebhookEndpoint",
        "Webhooks",
        "Send an event to an endpoint now; the answer says what it said.",
        answer=webhooks.EndpointTested,
        body=webhooks.EndpointTest,
        finds=True,
    ),
    ("GET", "/v1/webhook_event_types"): Operation(
        "listWebhookEventTypes",
        "Webhooks",
        "The types of events that are sent.",
        answer=webhooks.EventTypes,
    ),
    ("GET", "/v1/antiphon/capabilities"): Operation(
        "showCapabilities",
        "Models",
        "What each model can do here: natively, emulated, downgraded or not.",
        answer=resources.CapabilityManifest,
        parameters=(Parameter("model", {"type": "string"}, "Only what this model can do."),),
        asks_model=True,
    ),
    ("GET", "/v1/models"): Operation(
        "listModels",
        "Models",
        "The models there are; never paged.",
        answer=resources.ModelList,
        asks_model=True,
    ),
    ("GET", "/v1/models/{model}"): Operation(
        "retrieveModel",
        "Models",
        "A model; its name may contain slashes.",
        answer=resources.ModelObject,
        asks_model=True,
        finds=True,
    ),
    ("GET", "/"): Operation("frontPage", "Server", "What this is.", answer="front"),
    ("GET", "/healthz"): Operation("alive", "Server", "The process answers.", answer="health"),
    ("GET", "/readyz"): Operation(
        "ready", "Server", "200 while it can do its work, else 503 and why.", answer="health"
    ),
    ("GET", "/metrics"): Operation(
        "metrics",
        "Server",
        "Metrics for Prometheus; 404 where none are collected.",
        answer="text",
        finds=True,
    ),
    ("GET", "/openapi.json"): Operation("openApi", "Server", "This document.", answer="document"),
}
