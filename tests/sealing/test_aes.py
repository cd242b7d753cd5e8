"""Tokens and data keys: who can open what, and what a key file is."""

from __future__ import annotations

import base64
import stat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.config_state import EncryptionSettings
from antiphon.errors import RemoteError
from antiphon.sealing.aes import PREFIX, Sealer
from antiphon.sealing.base import TOKEN_CHARS_MAX, Unsealable
from antiphon.sealing.keys import KEY_FILE, key_from, keys_from, master_keys

OLD, NEW = bytes(range(32)), bytes(range(32, 64))


def sealer(*keys: bytes) -> Sealer:
    return Sealer(lambda: keys or (NEW,))


def refused(made: Sealer, token: str, project: str = "p", purpose: str = "reasoning") -> str:
    with pytest.raises(Unsealable) as fault:
        made.open(project, purpose, token)  # type: ignore[arg-type]
    return fault.value.reason


@pytest.mark.requirement("sealing:token:round-trip")
@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=500), st.text(min_size=1, max_size=20))
def test_what_was_sealed_opens_and_is_never_sealed_the_same_way_twice(
    content: bytes, project: str
) -> None:
    made = sealer()
    token = made.seal(project, "reasoning", content)
    assert made.open(project, "reasoning", token) == content
    assert made.seal(project, "reasoning", content) != token


@pytest.mark.requirement("sealing:token:bound")
def test_a_token_is_bound_to_its_project_and_its_purpose() -> None:
    made = sealer()
    token = made.seal("p", "reasoning", b"secret words")
    assert "secret" not in token
    assert refused(made, token, project="q") == "foreign"
    assert refused(made, token, purpose="compaction") == "tampered"


@pytest.mark.requirement("sealing:token:tampered")
def test_every_changed_byte_is_noticed() -> None:
    made = sealer()
    token = made.seal("p", "reasoning", b"secret words")
    raw = bytearray(base64.urlsafe_b64decode(token[len(PREFIX) :] + "=="))
    expected = {0: "unknown_key", 8: "foreign"}
    for at in range(len(raw)):
        raw[at] ^= 1
        changed = PREFIX + base64.urlsafe_b64encode(bytes(raw)).rstrip(b"=").decode()
        assert refused(made, changed) == expected.get(at - at % 8 if at < 16 else -1, "tampered")
        raw[at] ^= 1


@pytest.mark.requirement("sealing:token:malformed")
@pytest.mark.parametrize("token", ["", "x", "gAAAAABm", PREFIX, PREFIX + "ä", PREFIX + "AAAA"])
def test_what_is_no_token_is_refused(token: str) -> None:
    assert refused(sealer(), token) == "malformed"


@pytest.mark.requirement("sealing:token:size")
def test_a_token_has_a_length_limit_in_both_directions() -> None:
    made = sealer()
    with pytest.raises(Unsealable, match="too_large"):
        made.seal("p", "compaction", bytes(TOKEN_CHARS_MAX))
    assert refused(made, PREFIX + "A" * TOKEN_CHARS_MAX) == "too_large"


@pytest.mark.requirement("sealing:keys:rotation")
def test_the_first_key_seals_and_every_key_opens() -> None:
    before = sealer(OLD).seal("p", "reasoning", b"x")
    both = sealer(NEW, OLD)
    assert both.open("p", "reasoning", before) == b"x"
    after = both.seal("p", "reasoning", b"y")
    assert sealer(NEW).open("p", "reasoning", after) == b"y"
    assert refused(sealer(NEW), before) == "unknown_key"


def test_a_key_is_32_bytes_in_base64_or_hex() -> None:
    text = base64.b64encode(NEW).decode()
    assert key_from(text) == key_from(text.rstrip("=")) == key_from(NEW.hex()) == NEW
    assert keys_from(f" {text},\n{OLD.hex()} ") == (NEW, OLD)
    with pytest.raises(ValueError, match="32 random bytes") as fault:
        key_from("hunter2-hunter2")
    assert "hunter2" not in str(fault.value)


@pytest.mark.requirement("sealing:keys:own-file")
def test_without_a_configured_key_one_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    load = master_keys(EncryptionSettings(), tmp_path / "data", shared=False)
    made = load()
    file = tmp_path / "data" / KEY_FILE
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert master_keys(EncryptionSettings(), tmp_path / "data", shared=False)() == made
    assert [path.name for path in file.parent.iterdir()] == [KEY_FILE]


@pytest.mark.requirement("sealing:keys:shared")
def test_replicas_must_be_given_a_key(tmp_path: Path) -> None:
    with pytest.raises(RemoteError, match=r"encryption\.key_file"):
        master_keys(EncryptionSettings(), tmp_path, shared=True)()
    given_key = EncryptionSettings(key=NEW.hex())
    assert master_keys(given_key, None, shared=True)() == (NEW,)


@pytest.mark.requirement("sealing:keys:not-shown")
def test_no_key_is_ever_shown() -> None:
    load = master_keys(EncryptionSettings(key="hunter2-hunter2"), None, shared=True)
    with pytest.raises(RemoteError) as fault:
        load()
    assert "hunter2" not in fault.value.message
    made = sealer()
    assert NEW.hex() not in repr(made) and str(NEW) not in repr(vars(made.box("p", made.new("p"))))
    assert "hunter2" not in repr(EncryptionSettings(key="hunter2-hunter2"))


@pytest.mark.requirement("sealing:rest:keys")
def test_a_data_key_opens_under_its_masters_only() -> None:
    both = sealer(NEW, OLD)
    wrapped = sealer(OLD).new("p")
    shut = sealer(OLD).box("p", wrapped).shut(b"words")
    assert both.box("p", wrapped).open(shut) == b"words"
    again = both.rewrapped("p", wrapped)
    assert again is not None and both.rewrapped("p", again) is None
    assert sealer(NEW).box("p", again).open(shut) == b"words"
    with pytest.raises(RemoteError, match=r"encryption\.key"):
        sealer(NEW).box("p", wrapped)
    with pytest.raises(RemoteError, match=r"encryption\.key"):
        both.box("q", wrapped)
    with pytest.raises(RemoteError, match="changed"):
        both.box("p", wrapped).open(shut[:-1] + bytes([shut[-1] ^ 1]))
