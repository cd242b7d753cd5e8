"""Files in the input: text and PDF become text, pages become images for a model that sees."""

from __future__ import annotations

import asyncio
import base64
import sys
from pathlib import Path
from typing import Any

import pytest

from antiphon.errors import ClientError
from antiphon.runs import documents
from antiphon.runs.documents import FILES_MAX, Documents
from antiphon.types.codec import open_items
from tests.runs.rig import rig, text_of

pytestmark = pytest.mark.anyio


def pdf(text: str) -> bytes:
    """A one-page PDF that says ``text``, written by hand."""
    stream = f"BT /F1 24 Tf 50 100 Td ({text}) Tj ET".encode()
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 300 200] /Contents 4 0 R "
        b"/Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    out, offsets = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    return (
        out
        + b"xref\n0 6\n0000000000 65535 f \n"
        + table
        + b"trailer << /Size 6 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % len(out)
    )


def file(data: bytes, name: str, kind: str | None = None, **more: Any) -> list[dict[str, Any]]:
    encoded = base64.b64encode(data).decode()
    url = f"data:{kind};base64,{encoded}" if kind else encoded
    part = {"type": "input_file", "filename": name, "file_data": url, **more}
    return [{"role": "user", "content": [part, {"type": "input_text", "text": "Read it."}]}]


@pytest.mark.requirement("runs:files:text")
async def test_a_text_file_is_read_and_stored_as_it_came() -> None:
    async with rig() as r:
        made = await r.create("transcript", input=file(b"the secret is 42", "a.txt", "text/plain"))
        assert "the secret is 42" in text_of(made)
        part = (await r.items(made.id))[0]["content"][0]
        assert part["type"] == "input_file" and part["filename"] == "a.txt"


@pytest.mark.requirement("runs:files:pdf")
@pytest.mark.parametrize(("images", "pictures"), [(True, 1), (False, 0)])
async def test_a_pdf_gives_its_text_and_pages_to_a_model_that_sees(
    images: bool, pictures: int
) -> None:
    items = open_items(file(pdf("Hello PDF"), "a.pdf", "application/pdf"))
    message = (await Documents().opened(items, images=images))[0]
    kinds = [type(part).__name__ for part in message.content]  # type: ignore[union-attr]
    assert kinds == ["InputText"] + ["InputImage"] * pictures + ["InputText"]
    assert "Hello PDF" in message.content[0].text  # type: ignore[union-attr]
    if images:
        url = message.content[1].image_url  # type: ignore[union-attr]
        assert base64.b64decode(url.partition(",")[2])[:8] == b"\x89PNG\r\n\x1a\n"


@pytest.mark.requirement("runs:files:refused")
@pytest.mark.parametrize(
    ("data", "name", "kind"),
    [
        (b"%PDF-1.4 nonsense", "a.pdf", "application/pdf"),
        (b"\xff\xfe\x00binary", "a.bin", None),
        (b"PK\x03\x04", "a.docx", "application/zip"),
        (b"", "a.txt", "text/plain"),
    ],
)
async def test_what_cannot_be_read_is_named(data: bytes, name: str, kind: str | None) -> None:
    with pytest.raises(ClientError) as refusal:
        await Documents().opened(open_items(file(data, name, kind)), images=False)
    assert name in refusal.value.message and refusal.value.code == "invalid_file"


async def test_bad_base64_is_named() -> None:
    items = open_items(file(b"x", "a.txt"))
    items[0].content[0].file_data = "!!"  # type: ignore[union-attr,index]
    with pytest.raises(ClientError, match="base64"):
        await Documents().opened(items, images=False)


def library(folder: Path, body: str) -> None:
    """A PDF library of our own."""
    lines = ["class PdfiumError(Exception): ...", "def PdfDocument(data):", *body.splitlines()]
    text = "\n".join([*lines[:2], *(f"    {line}" for line in lines[2:])])
    (folder / "pypdfium2.py").write_text(text, encoding="utf-8")


@pytest.mark.requirement("runs:files:any-installation")
async def test_the_child_imports_from_where_the_server_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = open_items(file(pdf("Hello"), "a.pdf"))
    library(tmp_path, "raise PdfiumError('password')")
    monkeypatch.chdir(tmp_path)
    assert "Hello" in (await Documents().opened(items, images=False))[0].content[0].text  # type: ignore
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ClientError, match="needs a password"):
        await Documents().opened(items, images=False)


@pytest.mark.requirement("runs:files:bounded")
async def test_a_child_that_never_stops_writing_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library(tmp_path, "import sys\nwhile True: sys.stdout.write('x' * 65536)")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(documents, "CHILD_OUTPUT_BYTES_MAX", 1 << 20)
    monkeypatch.setattr(documents, "CHILD_SECONDS_MAX", 5.0)
    with pytest.raises(ClientError, match="pages are too large"):
        await Documents().opened(open_items(file(pdf("Hello"), "a.pdf")), images=False)


@pytest.mark.requirement("runs:files:bounded")
async def test_a_child_whose_full_pipe_nobody_reads_can_still_be_ended() -> None:
    pipe = asyncio.subprocess.PIPE
    endless = "while True: print('x' * 65536)"
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", endless, stdout=pipe, stderr=asyncio.subprocess.DEVNULL, limit=1024
    )
    assert child.stdout is not None
    await child.stdout.readexactly(1)  # the rest is far beyond the limit: the pipe is paused
    async with asyncio.timeout(5):
        await documents._end(child)
    assert child.returncode is not None


@pytest.mark.requirement("runs:files:kept")
async def test_a_file_of_the_history_is_read_once_and_their_number_is_bounded() -> None:
    documents = Documents()
    items = open_items(file(pdf("Once"), "a.pdf", "application/pdf"))
    first = await documents.opened(items, images=False)
    documents._children = None  # type: ignore[assignment]  # nothing may be read again
    assert await documents.opened(items, images=False) == first
    with pytest.raises(ClientError, match="at most"):
        await documents.opened(items * (FILES_MAX + 1), images=False)
