"""A response as JSON, spelled once for everybody who needs it.

The stored row wants the response without its output and the output apart; a plain answer and
the terminal event want the whole. Output is encoded once, the rest once, and the whole is the
two spliced: ``output`` stands in ``Response`` before every field a caller can fill, so that the
first empty output in a head is the response's own, whatever else its JSON contains.
"""

from __future__ import annotations

from antiphon.types.codec import encode
from antiphon.types.response import Response

_EMPTY = b'"output":[]'


def head_and_output(response: Response) -> tuple[bytes, bytes]:
    """The response as JSON with ``"output":[]``, and its output, a JSON array."""
    output = response.output
    response.output = []  # for the moment of one call: no copy of thirty fields
    try:
        head = encode(response)
    finally:
        response.output = output
    return head, encode(output)


def joined(head: bytes, output: bytes) -> bytes:
    """The whole response as JSON, from the two of ``head_and_output``."""
    before, empty, after = head.partition(_EMPTY)
    if not empty:
        raise ValueError("a response's head has an empty output")
    return b'%b"output":%b%b' % (before, output, after)
