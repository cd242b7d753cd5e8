"""Answers to requests for approval: which of them are new, and what each approves.

An answer names the request it is for. What is approved is the call as the request has it: its
server, its tool, its arguments. It is made once: an answer that repeats another one, or whose call
was made already, is refused.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from msgspec import Struct

from antiphon.errors import ClientError
from antiphon.types.base import given
from antiphon.types.items import Item
from antiphon.types.tool_items import McpApprovalRequest, McpApprovalResponse, McpCall


class Approved(Struct, frozen=True):
    """A call somebody approved. ``request_id``: of the item that asked; ``param``: where in the
    request the answer stands."""

    request_id: str
    server_label: str
    name: str
    arguments: str
    param: str


def approved(
    past: Sequence[Item], new: Sequence[Item], places: Sequence[int] | None
) -> list[Approved]:
    """The calls the new items approve and that were not made. ``places``: where in the input the
    new items stood (None: in order). Raises ``ClientError`` for an answer nobody asked for, and
    for the second one to the same request."""
    everything = [*past, *new]
    asked = {str(i.id): i for i in everything if isinstance(i, McpApprovalRequest) and given(i.id)}
    made = {i.approval_request_id for i in everything if isinstance(i, McpCall)}
    answered = {i.approval_request_id for i in past if isinstance(i, McpApprovalResponse)}
    found = []
    for number, item in enumerate(new):
        if not isinstance(item, McpApprovalResponse):
            continue
        place = number if places is None else places[number]
        param = f"input[{place}].approval_request_id"
        request = asked.get(item.approval_request_id)
        if request is None:
            raise _unknown(item.approval_request_id, param)
        if item.approval_request_id in answered:
            raise used(item.approval_request_id, param)
        answered.add(item.approval_request_id)
        if item.approve and item.approval_request_id not in made:
            found.append(
                Approved(
                    item.approval_request_id,
                    request.server_label,
                    request.name,
                    request.arguments,
                    param,
                )
            )
    return found


def check_labels(calls: Sequence[Approved], labels: Collection[str]) -> None:
    """Every approved call has its server among the tools. Raises ``ClientError``."""
    for call in calls:
        if call.server_label not in labels:
            raise ClientError(
                f"The approval in '{call.param}' is for a tool of the MCP server "
                f"'{call.server_label}', which is not in 'tools'. Send its definition again.",
                code="mcp_server_not_found",
                param=call.param,
            )


def _unknown(request_id: str, param: str) -> ClientError:
    return ClientError(
        f"No approval request with id '{request_id[:80]}' found. Send the mcp_approval_request "
        "before its answer, or the id of the response that made it as previous_response_id.",
        code="mcp_approval_request_not_found",
        param=param,
    )


def used(request_id: str, param: str) -> ClientError:
    """The approval was used before, and a call is made once."""
    return ClientError(
        f"The approval request '{request_id[:80]}' was answered already; each is answered once.",
        code="mcp_approval_already_used",
        param=param,
    )
