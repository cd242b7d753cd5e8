"""What a context may not hold: refused before a model is asked, naming the item and the part."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from antiphon.backends.base import Capabilities
from antiphon.config import RunSettings
from antiphon.errors import ClientError
from antiphon.runs.said import Said
from antiphon.runs.wishes import cannot
from antiphon.types.codec import FIELD_OF_PARTS, WHOLE_PARTS
from antiphon.types.content import InputFile, InputImage
from antiphon.types.items import CompactionTrigger, Item
from antiphon.types.tool_items import ComputerCallOutput, Screenshot

_IMAGE_URL = re.compile(r"[a-z][a-z0-9+.-]*://.|data:[^,]*,.", re.IGNORECASE)


def check_count(count: int, settings: RunSettings) -> None:
    if count > settings.context_items_max:
        raise cannot(
            f"The context has {count} items; at most {settings.context_items_max} are allowed. "
            "Start a new chain.",
            "input",
            "context_length_exceeded",
        )


def check_any(items: Sequence[Item], past: Said) -> None:
    if not items and not past.items:
        raise cannot("'input' holds no items.", "input", "invalid_value")


def check_items(
    items: Sequence[Item],
    past: Said,
    able: Capabilities,
    model: str,
    settings: RunSettings,
    param: str = "input",
    places: Sequence[int] | None = None,
) -> bool:
    """Refuse what cannot be shown to the model. Whether there is a document among the items.
    ``param`` is what the request calls them, ``places`` where in it they stood (None: in order)."""
    check_count(len(items) + len(past.items), settings)
    files = False
    for index, item in zip(range(len(items)) if places is None else places, items, strict=True):
        field = FIELD_OF_PARTS.get(type(item))
        if field is None:
            if type(item) is ComputerCallOutput:
                _check_screenshot(item.output, f"{param}[{index}].output", able, model)
            if kind := _control(item):
                raise cannot(
                    f"Items of type '{kind}' are not available on this server; leave it out.",
                    f"{param}[{index}].type",
                )
            continue
        parts = getattr(item, field)
        if type(parts) is str or WHOLE_PARTS.issuperset(map(type, parts)):
            continue
        for place, part in enumerate(parts):
            _check_part(part, f"{param}[{index}].{field}[{place}]", able, model)
            files = files or type(part) is InputFile
    return files


def _control(item: Item) -> str:
    """The type of an item that may not be here, or nothing."""
    # One that stands at the end has been taken out.
    return "compaction_trigger" if type(item) is CompactionTrigger else ""


def _check_screenshot(screen: Screenshot, path: str, able: Capabilities, model: str) -> None:
    given = [name for name in ("image_url", "file_id") if getattr(screen, name) is not None]
    if len(given) != 1:
        raise ClientError(
            f"Invalid '{path}': a screenshot is either an 'image_url' or a 'file_id', but "
            f"{'both' if given else 'none of them'} was given.",
            code="mutually_exclusive_parameters" if given else "missing_required_parameter",
            param=path,
        )
    if not able.images:
        raise cannot(
            f"The model '{model}' does not accept images, so it cannot see screens.",
            f"{path}.type",
        )
    _check_part(InputImage(image_url=screen.image_url, file_id=screen.file_id), path, able, model)


def _check_part(part: Any, path: str, able: Capabilities, model: str) -> None:
    if isinstance(part, InputImage):
        if part.file_id is not None:
            raise cannot(
                "Uploaded files are not available on this server; send the image as 'image_url' "
                "(a URL or a data URL).",
                f"{path}.file_id",
            )
        if not able.images:
            raise cannot(f"The model '{model}' does not accept images.", f"{path}.type")
        if not _IMAGE_URL.match(part.image_url or ""):
            raise ClientError(
                f"Invalid '{path}.image_url': expected a URL, or a data URL such as "
                "'data:image/png;base64,…'.",
                param=f"{path}.image_url",
            )
    elif isinstance(part, InputFile) and part.file_data is None:
        name = "file_id" if part.file_id is not None else "file_url"
        raise cannot(
            f"'{name}' is not available on this server; send the document as 'file_data'.",
            f"{path}.{name}",
        )
