"""Content parts, annotations and logprobs (Responses API: message content)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta

from antiphon.types.base import UNSET, UnsetType, Wire

Detail = Literal["low", "high", "auto", "original"]
Text10M = Annotated[str, Meta(max_length=10_485_760)]
ImageUrl = Annotated[str, Meta(max_length=20_971_520)]
FileData = Annotated[str, Meta(max_length=73_400_320)]


class TopLogprob(Wire):
    token: str
    logprob: float
    bytes: list[int] = []


class Logprob(Wire):
    """Log probability of one emitted token, with its rivals (at most 20)."""

    token: str
    logprob: float
    bytes: list[int] = []
    top_logprobs: list[TopLogprob] = []


class InputText(Wire, tag_field="type", tag="input_text"):
    text: Text10M


class InputImage(Wire, tag_field="type", tag="input_image"):
    """An image by URL or data URL (``image_url``) or by uploaded file (``file_id``)."""

    detail: Detail | None = None
    image_url: ImageUrl | None = None
    file_id: str | None = None


class InputFile(Wire, tag_field="type", tag="input_file"):
    """A document: ``file_data`` (base64, usually a data URL) with ``filename``, or a reference."""

    file_data: FileData | None = None
    filename: str | None = None
    file_id: str | None = None
    file_url: str | None = None
    detail: Literal["auto", "low", "high"] | None = None


class OutputText(Wire, tag_field="type", tag="output_text"):
    """Text the model wrote. ``logprobs`` is absent unless asked for (never null)."""

    text: str
    annotations: list[dict[str, Any]] = []
    logprobs: list[Logprob] | UnsetType | None = UNSET


class Refusal(Wire, tag_field="type", tag="refusal"):
    refusal: str


class ReasoningText(Wire, tag_field="type", tag="reasoning_text"):
    text: str


class SummaryText(Wire, tag_field="type", tag="summary_text"):
    text: str


class PlainText(Wire, tag_field="type", tag="text"):
    text: str


MessagePart = InputText | InputImage | InputFile | OutputText | Refusal | PlainText
OutputPart = OutputText | Refusal | ReasoningText
ToolOutputPart = InputText | InputImage | InputFile | OutputText
