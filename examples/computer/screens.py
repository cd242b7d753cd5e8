"""Looks at a screenshot: where on it is something of a certain colour? PNG, without a library."""

import base64
import struct
import urllib.request
import zlib
from functools import lru_cache

SIGNATURE = b"\x89PNG\r\n\x1a\n"
CHANNELS = {2: 3, 6: 4}  # PNG's colour types without a palette: bytes per pixel
RUN = 8  # pixels side by side that make an area: the edges of letters have many colours


class Screen:
    """A PNG image. ``rows``: the bytes of its pixels. Raises ``ValueError`` for anything else."""

    def __init__(self, png):
        if not png.startswith(SIGNATURE):
            raise ValueError("this is no PNG image")
        self.png = png
        header, data, at = b"", b"", len(SIGNATURE)
        while at < len(png):
            size, kind = struct.unpack_from(">I4s", png, at)
            piece = png[at + 8 : at + 8 + size]
            if kind == b"IHDR":
                header = piece
            elif kind == b"IDAT":
                data += piece
            at += size + 12
        self.width, self.height, depth, colours, _, _, laced = struct.unpack(">IIBBBBB", header)
        if depth != 8 or colours not in CHANNELS or laced:
            raise ValueError("a kind of PNG that is not read here")
        self.channels = CHANNELS[colours]
        self.rows = list(_rows(zlib.decompress(data), self.width * self.channels, self.channels))

    @classmethod
    def at(cls, url):
        """The image at a URL: what a server of a model that can see does with an ``image_url``."""
        if url.startswith("data:"):
            kind, _, text = url.partition(",")
            if kind != "data:image/png;base64":
                raise ValueError(f"this is no PNG image: {kind}")
            return cls(base64.b64decode(text, validate=True))
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(url, timeout=5) as answer:
            if answer.headers["content-type"] != "image/png":
                raise ValueError(f"this is no PNG image: {answer.headers['content-type']}")
            return cls(answer.read())

    def find(self, colour):
        """The middle of the areas of exactly this colour (``"#rrggbb"``), as (x, y), or None."""
        pixel = bytes.fromhex(colour[1:]) + b"\xff" * (self.channels - 3)
        run = pixel * RUN
        left = top = right = bottom = None
        for y, row in enumerate(self.rows):
            first = _first(row, run, self.channels)
            if first is None:
                continue
            last = _last(row, run, self.channels) + RUN - 1
            top = y if top is None else top
            bottom = y
            left = first if left is None else min(left, first)
            right = last if right is None else max(right, last)
        return None if top is None else ((left + right) // 2, (top + bottom) // 2)


def _first(row, run, step):
    at = row.find(run)
    while at >= 0 and at % step:
        at = row.find(run, at + 1)
    return at // step if at >= 0 else None


def _last(row, run, step):
    at = row.rfind(run)
    while at % step:
        at = row.rfind(run, 0, at + len(run) - 1)
    return at // step


def _rows(data, size, step):
    """The rows of an image, each of which was written as its difference from its neighbours."""
    above = bytes(size)
    for start in range(0, len(data), size + 1):
        kind, written = data[start], data[start + 1 : start + 1 + size]
        above = _row(kind, written, above if kind > 1 else b"", step)
        yield above


@lru_cache(2_048)  # most rows of a page are like others, and like those of the page before
def _row(kind, written, above, step):
    if kind == 0 or (kind == 2 and not any(written)):
        return written if kind == 0 else above
    if kind == 2:
        return bytes((a + b) & 255 for a, b in zip(written, above, strict=True))
    row = bytearray(step) + written  # with a pixel of nothing in front
    before = bytes(step) + (above or bytes(len(written)))
    for at in range(step, len(row)):
        left, up, corner = row[at - step], before[at], before[at - step]
        if kind == 1:
            guess = left
        elif kind == 3:
            guess = (left + up) // 2
        else:
            guess = _nearest(left, up, corner)
        row[at] = (row[at] + guess) & 255
    return bytes(row[step:])


def _nearest(left, up, corner):
    """PNG's fourth kind of guess: whichever neighbour is nearest to left + up - corner."""
    by_left, by_up, by_corner = abs(up - corner), abs(left - corner), abs(left + up - 2 * corner)
    if by_left <= by_up and by_left <= by_corner:
        return left
    return up if by_up <= by_corner else corner
