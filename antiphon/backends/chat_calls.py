"""Tool calls as chat-completions servers stream them → ``CallStart`` and ``CallArguments``.

What servers do, all met here: the index is missing, or 0 for every call; the id comes once, in
every piece, changed, empty or never; the name comes at once, in pieces, or again with every
piece; arguments come in pieces, whole, as an object, or not at all.

A call's name is told once it is certain: when the first arguments arrive, when the call ends,
or at once if it is the name of an offered tool that no other offered name continues.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from antiphon.backends.chat_body import Offered
from antiphon.backends.chat_wire import CallPart
from antiphon.backends.freeform import Unwrap
from antiphon.stream.deltas import CallArguments, CallStart, Delta

CALL_ID_LENGTH_MAX = 64


class _Call:
    """One call of the turn, while it arrives."""

    def __init__(self, index: int, key: int | None) -> None:
        self.index = index
        self.key = key
        self.id = ""
        self.name = ""
        self.started = False
        self.pieces: list[str] = []
        self.unwrap: Unwrap | None = None

    def is_whole(self) -> bool:
        """True if the arguments so far are a complete JSON value."""
        try:
            msgspec.json.decode("".join(self.pieces), type=msgspec.Raw)
        except msgspec.DecodeError:
            return False
        return True


class Calls:
    """The calls of one turn. ``offered`` maps the names the model sees to the caller's."""

    def __init__(self, offered: Mapping[str, Offered]) -> None:
        self._offered = offered
        self._calls: list[_Call] = []
        self._ids: set[str] = set()

    def __bool__(self) -> bool:
        return bool(self._calls)

    def feed(self, part: CallPart) -> list[Delta]:
        """What one element of ``tool_calls`` adds."""
        function = part.function
        name = (function.name if function else None) or ""
        arguments = function.arguments if function else None
        text = (
            arguments
            if isinstance(arguments, str)
            else ""
            if arguments is None
            else msgspec.json.encode(arguments).decode()
        )
        deltas: list[Delta] = []
        call = self._call(part, name)
        if call is None:
            deltas += self._settle()
            call = _Call(len(self._calls), part.index)
            self._calls.append(call)
        if part.id and not call.started:
            call.id = part.id
        if name and not call.started:
            call.name = self._joined(call.name, name)
        if not call.started and (text or self._is_certain(call.name)):
            deltas.append(self._start(call))
        if text:
            deltas += self._arguments(call, text)
        return deltas

    def end(self, *, complete: bool) -> list[Delta]:
        """The rest. ``complete``: the turn was not cut, so a call without arguments has none."""
        deltas = self._settle()
        for call in self._calls:
            if call.unwrap is not None:
                if rest := call.unwrap.end():
                    deltas.append(CallArguments(call.index, rest))
            elif complete and not call.pieces:
                deltas.append(CallArguments(call.index, "{}"))
        return deltas

    def _call(self, part: CallPart, name: str) -> _Call | None:
        """The call a piece belongs to; None if it begins one."""
        if not self._calls:
            return None
        if part.index is None:
            call = self._by_id(part.id) or self._calls[-1]
        else:
            known = (c for c in reversed(self._calls) if c.key in (part.index, None))
            found = next(known, None)
            if found is None:
                return None
            call = found
        if not name:
            return call
        if part.id and call.id:
            return call if part.id == call.id else None
        return None if call.pieces and call.is_whole() else call

    def _by_id(self, call_id: str | None) -> _Call | None:
        return next((call for call in self._calls if call_id and call.id == call_id), None)

    def _joined(self, known: str, piece: str) -> str:
        """A name and one more piece of it, or the same again, or a longer version of it."""
        if not known or known == piece:
            joined = known + piece
            return joined if joined in self._offered or not known else piece
        if piece.startswith(known) and piece in self._offered:
            return piece
        return known + piece

    def _is_certain(self, name: str) -> bool:
        if name not in self._offered:
            return False
        return not any(other != name and other.startswith(name) for other in self._offered)

    def _start(self, call: _Call) -> CallStart:
        call.started = True
        tool = self._offered.get(call.name) or Offered(call.name, "function")
        if tool.kind == "custom":
            call.unwrap = Unwrap()
        usable = len(call.id) <= CALL_ID_LENGTH_MAX and call.id not in self._ids
        call_id = call.id if usable else ""
        self._ids.add(call.id)
        return CallStart(call.index, tool.kind, tool.name, call_id)

    def _arguments(self, call: _Call, text: str) -> list[Delta]:
        call.pieces.append(text)
        if call.unwrap is not None:
            text = call.unwrap.feed(text)
        return [CallArguments(call.index, text)] if text else []

    def _settle(self) -> list[Delta]:
        """Start the last call if it still waits: no more of its name will come."""
        if not self._calls or self._calls[-1].started:
            return []
        return [self._start(self._calls[-1])]
