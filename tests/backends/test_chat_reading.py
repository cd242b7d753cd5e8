"""Answers of upstreams, recorded as text, become the deltas written beside them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.errors import RemoteError
from tests.backends.golden import (
    FILES,
    Transcript,
    check,
    load,
    read_stream,
    read_whole,
)

STREAMED = [path for path in FILES if load(path).stream is not None]
WHOLE = [path for path in FILES if load(path).whole is not None]


@pytest.fixture(params=STREAMED, ids=lambda path: str(path.stem))
def streamed(request: pytest.FixtureRequest) -> Transcript:
    return load(request.param)


@pytest.mark.requirement("chat:read:dialects")
def test_a_recorded_stream_becomes_its_deltas(streamed: Transcript) -> None:
    assert streamed.stream is not None
    check(streamed, read_stream(streamed, [streamed.stream]))


@pytest.mark.requirement("chat:read:same-either-way")
@pytest.mark.parametrize("path", WHOLE, ids=lambda path: str(path.stem))
def test_a_whole_answer_becomes_the_same_deltas_as_a_stream(path: Path) -> None:
    transcript = load(path)
    assert read_whole(transcript) == transcript.deltas


@pytest.mark.requirement("chat:read:garbage-clipped")
def test_a_page_of_html_instead_of_an_answer_is_shown_in_part_only() -> None:
    transcript = Transcript(FILES[0], "", whole=b"<html>" + b"x" * 5_000)
    found = read_whole(transcript)
    assert found.startswith("RemoteError 502 upstream_invalid_response: ")
    assert "<html>xxx" in found and len(found) < 350


@pytest.mark.requirement("chat:read:any-cut")
def test_no_cut_of_the_bytes_changes_the_deltas(streamed: Transcript) -> None:
    data = streamed.stream
    assert data is not None
    for at in range(1, len(data), max(1, len(data) // 300)):
        assert read_stream(streamed, [data[:at], data[at:]]) == streamed.deltas
    assert read_stream(streamed, (data[n : n + 1] for n in range(len(data)))) == streamed.deltas


@pytest.mark.requirement("chat:read:any-cut")
@given(data=st.data())
def test_no_number_of_cuts_changes_the_deltas(data: st.DataObject) -> None:
    transcript = load(data.draw(st.sampled_from(STREAMED)))
    text = transcript.stream
    assert text is not None
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert read_stream(transcript, pieces) == transcript.deltas


@pytest.mark.requirement("chat:read:line-ends")
def test_carriage_returns_change_nothing(streamed: Transcript) -> None:
    assert streamed.stream is not None
    returned = streamed.stream.replace(b"\n", b"\r\n")
    assert read_stream(streamed, [returned]) == streamed.deltas


@pytest.mark.requirement("chat:read:garbage-clipped")
@given(st.binary(min_size=1, max_size=400).filter(bytes.strip))
def test_any_bytes_are_an_answer_or_an_error_that_shows_little(payload: bytes) -> None:
    transcript = Transcript(FILES[0], "")
    reader = transcript.reader()
    try:
        reader.batch([payload])
        reader.batch([payload])
    except RemoteError as error:
        assert error.status == 502
        assert len(error.message) < 1_100
