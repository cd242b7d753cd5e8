"""The event parser against the standard's own algorithm, and cut anywhere."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.backends.sse import Events
from antiphon.errors import RemoteError


def reference(stream: bytes) -> list[bytes]:
    """WHATWG HTML §9.2.6, line by line, with the whole stream in hand."""
    stream = stream.removeprefix(b"\xef\xbb\xbf")
    lines, line, at = [], bytearray(), 0
    while at < len(stream):
        byte = stream[at : at + 1]
        at += 1
        if byte == b"\r" and stream[at : at + 1] == b"\n":
            at += 1
        if byte in b"\r\n":
            lines.append(bytes(line))
            line.clear()
        else:
            line += byte
    events: list[bytes] = []
    data: list[bytes] = []
    for field in lines:
        if field == b"":
            if data:
                events.append(b"\n".join(data))
            data = []
        elif field == b"data":
            data.append(b"")
        elif field.startswith(b"data:"):
            value = field[5:]
            data.append(value[1:] if value.startswith(b" ") else value)
    return events


def parsed(pieces: list[bytes]) -> list[bytes]:
    events = Events()
    return [payload for piece in pieces for payload in events.feed(piece)]


LINE_ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])
FIELDS = st.sampled_from(
    [
        b"data: ",
        b"data:",
        b"data",
        b"data:  ",
        b": ",
        b"event: ",
        b"id:",
        b"datax: ",
        b"",
        b" data:",
    ]
)
TEXTS = st.one_of(
    st.just(b""),
    st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=6).map(str.encode),
    st.binary(max_size=6).map(lambda b: b.replace(b"\r", b".").replace(b"\n", b".")),
)
LINES = st.builds(lambda field, text, end: field + text + end, FIELDS, TEXTS, LINE_ENDS)
STREAMS = st.builds(
    lambda bom, lines: bom + b"".join(lines),
    st.sampled_from([b"", b"\xef\xbb\xbf"]),
    st.lists(st.one_of(LINES, LINE_ENDS, LINE_ENDS.map(lambda e: b"data: {}" + e + e))),
)


@pytest.mark.requirement("sse:parse:standard")
@given(STREAMS, st.lists(st.integers(min_value=0, max_value=200)))
def test_any_stream_cut_anywhere_gives_what_the_standard_says(
    stream: bytes, cuts: list[int]
) -> None:
    borders = [0, *sorted(cuts), len(stream)]
    pieces = [stream[a:b] for a, b in pairwise(borders)]
    assert parsed(pieces) == parsed([stream])
    if not stream.endswith(b"\r"):  # a last CR may be half of a CRLF that never comes
        assert parsed([stream]) == reference(stream)


@pytest.mark.requirement("sse:parse:byte_by_byte")
def test_a_stream_fed_byte_by_byte_is_the_same_stream() -> None:
    stream = (
        b'\xef\xbb\xbfdata: {"a":"\xc3\xa9"}\n\n: keep-alive\n\nevent: x\r\ndata: 1\r\n'
        b"data: 2\r\n\r\n"
        b"data:3\r\rdata: [DONE]\n\n"
    )
    expected = [b'{"a":"\xc3\xa9"}', b"1\n2", b"3", b"[DONE]"]
    assert parsed([stream]) == expected
    assert parsed([stream[at : at + 1] for at in range(len(stream))]) == expected


def test_a_whole_read_of_events_comes_out_at_once() -> None:
    stream = b"".join(b'data: {"n":%d}\n\n' % n for n in range(1000))
    assert parsed([stream]) == [b'{"n":%d}' % n for n in range(1000)]


def test_an_event_is_complete_with_the_carriage_return_of_its_blank_line() -> None:
    events = Events()
    assert events.feed(b"data: 1\r\n\r") == [b"1"]
    assert events.feed(b"\ndata: 2\r\n\r\n") == [b"2"]


def test_fields_that_only_look_like_data_are_not_data() -> None:
    assert parsed([b"datum: 1\n\n data: 2\n\ndata\n\n"]) == [b""]


@pytest.mark.requirement("sse:end:trailing_event")
def test_an_event_without_its_blank_line_is_given_at_the_end() -> None:
    events = Events()
    assert events.feed(b"data: 1\n\nda") == [b"1"]
    assert events.feed(b"ta: 2") == []
    assert events.end() == [b"2"]
    assert events.end() == []
    assert Events().end() == []


@pytest.mark.requirement("sse:limit:event_size")
def test_an_event_beyond_the_limit_is_refused_whole_or_in_pieces() -> None:
    with pytest.raises(RemoteError) as caught:
        Events(limit_bytes=100).feed(b"data: " + b"x" * 100 + b"\n\n")
    assert (caught.value.status, caught.value.code) == (502, "upstream_too_large")
    events = Events(limit_bytes=100)
    with pytest.raises(RemoteError):
        for _ in range(11):
            events.feed(b"data: 7890")
    assert Events(limit_bytes=100).feed((b"data: " + b"x" * 90 + b"\n\n") * 3) == [b"x" * 90] * 3


def test_a_long_event_in_many_reads_is_put_together() -> None:
    text = b"x" * 1_000_000
    stream = b"data: " + text + b"\n\ndata: end\n\n"
    pieces = [stream[at : at + 4096] for at in range(0, len(stream), 4096)]
    assert parsed(pieces) == [text, b"end"]
