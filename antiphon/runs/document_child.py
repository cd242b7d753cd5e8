"""Reads one PDF from stdin and writes its pages as one JSON object; run as a child process.

It imports no part of the server. ``argv[1]`` is how many pages to render as PNG. Limits: 1 GiB
of memory, 45 s of CPU, 2,000 pages of text, about 1.5 megapixels per rendered page.
"""

from __future__ import annotations

import base64
import json
import struct
import sys
import zlib

_MEMORY_BYTES_MAX = 1 << 30
_CPU_SECONDS_MAX = 45
_PAGES_MAX = 2000
_PIXELS_MAX = 1_500_000


def limit() -> None:
    """Bound this process before it looks at the document (POSIX only)."""
    try:
        import resource
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES_MAX, _MEMORY_BYTES_MAX))
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_SECONDS_MAX, _CPU_SECONDS_MAX))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def png(width: int, height: int, stride: int, rgb: bytes) -> bytes:
    """A PNG of 8-bit RGB rows that are ``stride`` bytes apart."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        check = zlib.crc32(kind + body)
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", check)

    rows = b"".join(b"\0" + rgb[row * stride : row * stride + width * 3] for row in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows, 6))
        + chunk(b"IEND", b"")
    )


def read(data: bytes, render: int) -> dict[str, object]:
    """``{"pages": [text…], "images": [base64 PNG…]}`` or ``{"error": words}``."""
    import pypdfium2

    try:
        document = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        locked = "password" in str(error).lower()
        return {"error": "the PDF needs a password" if locked else "the PDF is damaged"}
    if len(document) > _PAGES_MAX:
        return {"error": f"it has more than {_PAGES_MAX} pages"}
    pages, images = [], []
    for number in range(len(document)):
        page = document[number]
        pages.append(page.get_textpage().get_text_bounded())
        if number < render:
            width, height = page.get_size()
            scale = min(2.0, (_PIXELS_MAX / max(width * height, 1.0)) ** 0.5)
            bitmap = page.render(scale=scale, rev_byteorder=True, force_bitmap_format=2)
            picture = png(bitmap.width, bitmap.height, bitmap.stride, bytes(bitmap.buffer))
            images.append(base64.b64encode(picture).decode())
    return {"pages": pages, "images": images}


def main() -> None:
    limit()
    found = read(sys.stdin.buffer.read(), int(sys.argv[1]))
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
