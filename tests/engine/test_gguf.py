"""The head of a GGUF file, real and made up."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from antiphon.backends import demo
from antiphon.backends.gguf import Head, read_head


def string(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


def pair(key: str, value: Any) -> bytes:
    match value:
        case str():
            return string(key) + struct.pack("<I", 8) + string(value)
        case int():
            return string(key) + struct.pack("<II", 4, value)
        case [str(), *_]:
            listed = b"".join(string(one) for one in value)
            return string(key) + struct.pack("<IIQ", 9, 8, len(value)) + listed
        case _:
            return string(key) + struct.pack(f"<IIQ{len(value)}i", 9, 5, len(value), *value)


def head_of(version: int = 3, **pairs: Any) -> bytes:
    written = b"".join(pair(key.replace("__", "."), value) for key, value in pairs.items())
    return b"GGUF" + struct.pack("<IQQ", version, 0, len(pairs)) + written


QWEN = head_of(
    general__architecture="qwen3",
    tokenizer__ggml__tokens=["a", "bc", "é"] * 100,
    tokenizer__ggml__scores=[0] * 5000,
    qwen3__context_length=40960,
    qwen3__embedding_length=1024,
    qwen3__block_count=28,
    qwen3__attention__head_count=16,
    qwen3__attention__head_count_kv=8,
    qwen3__attention__key_length=128,
    qwen3__attention__value_length=128,
    tokenizer__chat_template="{{ enable_thinking }}",
)


@pytest.mark.requirement("engine:gguf:head")
def test_the_head_says_what_has_to_be_known(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(QWEN)
    assert read_head(path) == Head("qwen3", 40960, "{{ enable_thinking }}", 28 * 8 * 256 * 2)


def test_heads_per_layer_and_a_width_that_is_not_told_are_added_up(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(
        head_of(
            2,
            general__architecture="x",
            x__embedding_length=64,
            x__block_count=3,
            x__attention__head_count=4,
            x__attention__head_count_kv=[2, 0, 2],
        )
    )
    assert read_head(path) == Head("x", 0, "", 4 * 32 * 2)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(cut=st.integers(0, len(QWEN) - 1), noise=st.binary(max_size=12))
def test_a_damaged_head_is_refused_as_such(tmp_path: Path, cut: int, noise: bytes) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(QWEN[:cut] + noise)
    try:
        head = read_head(path)
    except ValueError as error:
        assert str(error) == f"{path} is not a GGUF file"
    else:
        assert isinstance(head, Head)  # the noise happened to complete it


def test_a_head_that_promises_more_than_the_file_holds_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    for text in (
        b"",
        b"GGUF",
        b"GGUF" + struct.pack("<IQQ", 3, 0, 2**60),
        b"GGUF" + struct.pack("<IQQ", 99, 0, 0),
        b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 2**60),
    ):
        path.write_bytes(text)
        with pytest.raises(ValueError, match="is not a GGUF file"):
            read_head(path)


def test_the_demo_model_has_a_head(can_run: None) -> None:
    head = read_head(demo.path())
    assert (head.architecture, head.context_tokens) == ("llama", 4096)
    assert "<tool_call>" in head.template and 0 < head.cache_bytes_per_token < 50_000
