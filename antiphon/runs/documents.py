"""Documents in the input become what a chat model can read.

An ``input_file`` with ``file_data`` is text (any text type) or PDF. Text is passed on as it is;
of a PDF the text of every page is extracted, and if the model accepts images the pages are
rendered too (at most ``PAGES_RENDERED_MAX``, none with ``detail: low``). Only the turn sees the
result: the stored item keeps the file as it was sent.

Documents are hostile input, so a PDF is opened in a child process with limits on time, memory
and output (``document_child.py``); the child inherits nothing but the bytes and where to import
from.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import os
import sys
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from antiphon.errors import ClientError
from antiphon.types.content import InputFile, InputImage, InputText
from antiphon.types.items import (
    CustomToolCallOutput,
    FunctionCallOutput,
    Item,
    Message,
)

FILES_MAX = 50
FILE_BYTES_MAX = 50 * 1024 * 1024
PAGES_RENDERED_MAX = 20
CHILD_SECONDS_MAX = 60.0
CHILD_OUTPUT_BYTES_MAX = 64 * 1024 * 1024
KEPT_MAX = 16
_CHILDREN = 2

_TEXT_TYPES = ("text/", "application/json", "application/xml", "application/yaml")
_TEXT_ENDINGS = (".txt", ".md", ".csv", ".json", ".jsonl", ".xml", ".html", ".yaml", ".yml")


class Document(Struct):
    """What the child found: the text of each page, and pages as PNG (base64)."""

    pages: list[str] = []
    images: list[str] = []
    error: str = ""


class Documents:
    """Opens documents; one per process. At most ``_CHILDREN`` PDFs are read at a time, and the
    last ``KEPT_MAX`` stay known by their content, because every turn of a chain shows its
    history's files to the model again."""

    def __init__(self) -> None:
        self._children = asyncio.Semaphore(_CHILDREN)
        self._kept: OrderedDict[tuple[bytes, int], Document] = OrderedDict()

    async def opened(self, items: Sequence[Item], *, images: bool) -> Sequence[Item]:
        """The items with every file part replaced by text and, if wanted, images.

        Raises ``ClientError`` for a file that cannot be read, or for more than ``FILES_MAX``.
        """
        count = sum(isinstance(part, InputFile) for item in items for part in _parts(item))
        if not count:
            return items
        if count > FILES_MAX:
            raise ClientError(
                f"The context holds {count} files; at most {FILES_MAX} are allowed.",
                code="invalid_file",
                param="input",
            )
        out: list[Item] = []
        for item in items:
            parts = _parts(item)
            if not any(isinstance(part, InputFile) for part in parts):
                out.append(item)
                continue
            new: list[Any] = []
            for part in parts:
                new += await self._read(part, images) if isinstance(part, InputFile) else [part]
            field = "content" if isinstance(item, Message) else "output"
            out.append(msgspec.structs.replace(item, **{field: new}))
        return out

    async def _read(self, file: InputFile, images: bool) -> list[InputText | InputImage]:
        name = file.filename or "document"
        kind, data = _decoded(file, name)
        if data[:5] == b"%PDF-" or kind == "application/pdf":
            render = PAGES_RENDERED_MAX if images and file.detail != "low" else 0
            return _shown(await self._pdf(data, render), name)
        if not kind or kind.startswith(_TEXT_TYPES) or name.lower().endswith(_TEXT_ENDINGS):
            try:
                text = data.decode("utf-8-sig")
            except UnicodeDecodeError:
                raise _unreadable(name, "it is neither a PDF nor UTF-8 text") from None
            return [InputText(text=f"File {name}:\n{text}")]
        raise _unreadable(
            name, f"files of type '{kind}' are not supported; send a PDF or text file"
        )

    async def _pdf(self, data: bytes, render: int) -> Document:
        key = (hashlib.sha256(data).digest(), render)
        document = self._kept.get(key)
        if document is None:
            async with self._children:
                document = await _in_child(data, render)
            self._kept[key] = document
            if len(self._kept) > KEPT_MAX:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return document


def _parts(item: Item) -> Sequence[Any]:
    content: Any = ""
    if isinstance(item, Message):
        content = item.content
    elif isinstance(item, FunctionCallOutput | CustomToolCallOutput):
        content = item.output
    return () if isinstance(content, str) else content


def _decoded(file: InputFile, name: str) -> tuple[str, bytes]:
    """(media type, bytes) of ``file_data``: a data URL or bare base64."""
    data = file.file_data or ""
    kind = ""
    if data.startswith("data:"):
        head, comma, data = data[5:].partition(",")
        kind = head.partition(";")[0].lower()
        if not comma or not head.endswith("base64"):
            raise _unreadable(name, "its data URL must be base64")
    try:
        content = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise _unreadable(name, "its data is not valid base64") from None
    if len(content) > FILE_BYTES_MAX:
        raise _unreadable(name, f"it is larger than {FILE_BYTES_MAX} bytes")
    if not content:
        raise _unreadable(name, "it is empty")
    return kind, content


def _unreadable(name: str, why: str) -> ClientError:
    return ClientError(
        f"The file '{name[:80]}' cannot be read: {why}.", code="invalid_file", param="input"
    )


def _shown(document: Document, name: str) -> list[InputText | InputImage]:
    if document.error:
        raise _unreadable(name, document.error)
    pages = [
        f"Page {number} of {len(document.pages)}:\n{text}"
        for number, text in enumerate(document.pages, 1)
    ]
    parts: list[InputText | InputImage] = [InputText(text=f"File {name}:\n" + "\n\n".join(pages))]
    for image in document.images:
        parts.append(InputImage(image_url=f"data:image/png;base64,{image}", detail="auto"))
    return parts


async def _in_child(data: bytes, render: int) -> Document:
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",  # not the directory the server was started in
        "-s",
        "-m",
        "antiphon.runs.document_child",
        str(render),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        # What we were found by: an environment, a user's site, a folder somebody named.
        env={"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    try:
        async with asyncio.timeout(CHILD_SECONDS_MAX):
            out = await _exchanged(child, data)
    except TimeoutError:
        return Document(error=f"reading it took longer than {CHILD_SECONDS_MAX:.0f} seconds")
    finally:
        if child.returncode is None:
            await _end(child)
    if len(out) > CHILD_OUTPUT_BYTES_MAX:
        return Document(error="its pages are too large")
    try:
        return msgspec.json.decode(out, type=Document)
    except msgspec.DecodeError:
        return Document(error="the PDF is damaged or too large")


async def _end(child: asyncio.subprocess.Process) -> None:
    """Kill and reap it. Its output is read to the end first: while a full pipe is paused, nobody
    sees it close, and ``wait`` waits for that for ever."""
    assert child.stdout is not None
    child.kill()
    while await child.stdout.read(1 << 20):
        pass
    await child.wait()


async def _exchanged(child: asyncio.subprocess.Process, data: bytes) -> bytes:
    """What the child answers to ``data``: its whole output, or a little more than is allowed."""
    assert child.stdin is not None and child.stdout is not None
    try:
        child.stdin.write(data)
        await child.stdin.drain()
        child.stdin.close()
    except (BrokenPipeError, ConnectionResetError):
        pass  # it died; its output tells
    out = bytearray()
    while len(out) <= CHILD_OUTPUT_BYTES_MAX and (piece := await child.stdout.read(1 << 20)):
        out += piece
    if len(out) <= CHILD_OUTPUT_BYTES_MAX:
        await child.wait()  # killing what is ending by itself confuses the loop's watcher
    return bytes(out)
