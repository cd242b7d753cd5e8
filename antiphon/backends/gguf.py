"""The head of a GGUF file: what has to be known of a model before it is loaded.

Layout: ``GGUF``, version (2 or 3), number of tensors, number of pairs, then pairs of key, type
and value, all little-endian. Only a few keys are read; the vocabulary is skipped over, which
is most of the work (a tenth of a second for a large one).
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path
from typing import Any

from msgspec import Struct

_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_CODES = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_KEPT_ELEMENTS_MAX = 1024  # per-layer numbers are kept, vocabularies are not
_PAIRS_MAX = 100_000


class Head(Struct, frozen=True):
    """``context_tokens`` is what the model was trained for (0: unknown), ``template`` its chat
    template (empty: none), ``cache_bytes_per_token`` its attention memory in 16-bit numbers."""

    architecture: str
    context_tokens: int
    template: str
    cache_bytes_per_token: int


def read_head(path: Path) -> Head:
    """``OSError`` if the file cannot be read, ``ValueError`` if it is not GGUF."""
    with path.open("rb") as file:
        try:
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                pairs = _Pairs(data).read()
        except (struct.error, UnicodeDecodeError, ValueError) as error:
            raise ValueError(f"{path} is not a GGUF file") from error
    architecture = str(pairs.get("general.architecture", ""))
    return Head(
        architecture=architecture,
        context_tokens=_number(pairs.get(f"{architecture}.context_length")),
        template=str(pairs.get("tokenizer.chat_template", "")),
        cache_bytes_per_token=_cache_bytes(architecture, pairs),
    )


def _cache_bytes(architecture: str, pairs: dict[str, Any]) -> int:
    def field(name: str) -> Any:
        return pairs.get(f"{architecture}.{name}")

    layers = _number(field("block_count"))
    heads = max(1, _number(field("attention.head_count")))
    width = _number(field("embedding_length")) // heads
    keys = _number(field("attention.key_length")) or width
    values = _number(field("attention.value_length")) or width
    shared = field("attention.head_count_kv")
    total = sum(shared) if isinstance(shared, list) else layers * (_number(shared) or heads)
    return int(total) * (keys + values) * 2


def _number(value: Any) -> int:
    if isinstance(value, list):
        value = max(value, default=0)
    return int(value) if isinstance(value, int | float) else 0


class _Pairs:
    """A cursor over the pairs."""

    def __init__(self, data: mmap.mmap) -> None:
        self._data = data
        self._at = 0

    def read(self) -> dict[str, Any]:
        magic, version = self._unpack("<4sI")
        if magic != b"GGUF" or version not in (2, 3):
            raise ValueError("no GGUF magic")
        _, count = self._unpack("<QQ")
        if count > _PAIRS_MAX:
            raise ValueError("too many pairs")
        pairs: dict[str, Any] = {}
        for _ in range(count):
            key = self._string()
            (kind,) = self._unpack("<I")
            pairs[key] = self._value(kind)
        return pairs

    def _unpack(self, layout: str) -> tuple[Any, ...]:
        values = struct.unpack_from(layout, self._data, self._at)
        self._at += struct.calcsize(layout)
        return values

    def _skip(self, size: int) -> int:
        start = self._at
        self._at += size
        if self._at > len(self._data):
            raise ValueError("the file is cut short")
        return start

    def _string(self) -> str:
        (size,) = self._unpack("<Q")
        start = self._skip(size)
        return self._data[start : self._at].decode()

    def _value(self, kind: int) -> Any:
        if kind == _STRING:
            return self._string()
        if kind != _ARRAY:
            return self._unpack("<" + _code(kind))[0]
        inner, count = self._unpack("<IQ")
        if inner == _STRING:
            for _ in range(count):
                (size,) = self._unpack("<Q")
                self._skip(size)
            return None
        code = _code(inner)
        if count <= _KEPT_ELEMENTS_MAX:
            return list(self._unpack(f"<{count}{code}"))
        self._skip(count * _SIZES[inner])
        return None


def _code(kind: int) -> str:
    if kind not in _CODES:
        raise ValueError(f"unknown type {kind}")
    return _CODES[kind]
