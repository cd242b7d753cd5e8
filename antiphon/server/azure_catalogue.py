"""What Azure had in which region and api-version, and the refusal that follows from it.

The facts are data (``azure_catalogue.toml``); this file reads them and asks one question: would
Azure have refused this body, there and then? It is asked in emulation mode only.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib import resources
from typing import Any

import msgspec
from msgspec import Struct

from antiphon.errors import ClientError
from antiphon.types.explain import at_index, at_key, cut

UNDATED = "v1"
"""The api-version of ``/openai/v1/``: newer than every dated one."""

_DATED_NAME = re.compile(r"(?P<name>.+)-(?P<version>\d{4}-\d{2}-\d{2})")
_NAME_SHOWN = 64


class Regions(Struct, frozen=True, forbid_unknown_fields=True):
    """The regions that had the Responses API from an api-version on."""

    since: str
    names: list[str]


class Feature(Struct, frozen=True, forbid_unknown_fields=True):
    """Something a request can ask for. ``what`` is its name in a sentence."""

    name: str
    since: str
    what: str


class Offer(Struct, frozen=True, forbid_unknown_fields=True):
    """A model and its versions. ``regions`` empty: everywhere the API is."""

    name: str
    since: str
    versions: list[str]
    regions: list[str] = []


class Catalogue(Struct, frozen=True, forbid_unknown_fields=True):
    """All there is to know. ``first`` is the first api-version with the Responses API."""

    first: str
    regions: list[Regions]
    features: list[Feature]
    models: list[Offer]

    def regions_of(self, version: str) -> list[str]:
        """The regions of the newest list that is not newer than the version."""
        known = [entry for entry in self.regions if not older(version, entry.since)]
        return known[-1].names if known else []

    def offer(self, name: str) -> Offer | None:
        """The model of that name, with or without its version; None if nobody knows it.

        A known model in an unknown version is returned with no versions.
        """
        for model in self.models:
            if model.name == name:
                return model
        dated = _DATED_NAME.fullmatch(name)
        if dated is None:
            return None
        for model in self.models:
            if model.name == dated["name"]:
                versions = [version for version in model.versions if version == dated["version"]]
                return msgspec.structs.replace(model, versions=versions)
        return None


@cache
def catalogue() -> Catalogue:
    """The catalogue that comes with the package."""
    text = resources.files("antiphon.server").joinpath("azure_catalogue.toml").read_text("utf-8")
    return msgspec.convert(tomllib.loads(text), Catalogue)


def older(version: str, than: str) -> bool:
    """Whether an api-version is older than another; only the date counts, ``v1`` is newest."""
    return _date(version) < _date(than)


def _date(version: str) -> str:
    return version[:10] if version[:1].isdigit() else "9999-99-99"


def refusal(
    body: Mapping[str, Any],
    version: str,
    region: str,
    known: Catalogue,
    *,
    resolved: str | None = None,
) -> ClientError | None:
    """How Azure would have refused the body (raw JSON of a create), or None.

    ``region`` empty means that no region is emulated. ``body["model"]`` is the deployment;
    ``resolved`` the model it stands for, looked up where the deployment's name says nothing.
    """
    if region and region not in known.regions_of(version):
        return ClientError(
            "Azure OpenAI Responses API is not enabled in this region. "
            "Please check https://aka.ms/aoai/responsesapi/availability",
            code="NotFound",
            status=404,
        )
    return _model_refusal(body.get("model"), version, region, known, resolved) or _lacking(
        body, version, known
    )


def _model_refusal(
    deployment: Any, version: str, region: str, known: Catalogue, resolved: str | None
) -> ClientError | None:
    if not isinstance(deployment, str):
        return None
    offer = known.offer(deployment) or (known.offer(resolved) if resolved else None)
    if offer is None:
        return None  # a name of the operator's own: Azure allows any
    if not offer.versions:
        why = f"{offer.name} has no such version"
    elif older(version, offer.since):
        why = f"{offer.name} came with api-version {offer.since}"
    elif region and offer.regions and region not in offer.regions:
        why = f"{offer.name} is available in {', '.join(offer.regions)}"
    else:
        return None
    return ClientError(
        f"The requested model '{cut(deployment, _NAME_SHOWN)}' does not exist ({why}).",
        code="model_not_found",
        param="model",
    )


def _lacking(body: Mapping[str, Any], version: str, known: Catalogue) -> ClientError | None:
    for feature in known.features:
        if not older(version, feature.since):
            continue
        param = next(_USES[feature.name](body), None)
        if param is not None:
            return ClientError(
                f"Azure OpenAI Responses API supports {feature.what} only for api-version "
                f"{feature.since} and later",
                code="unsupported_parameter",
                param=param,
            )
    return None


# Where a body uses a feature: the paths of the parameters, in order ------------------------------

_Uses = Callable[[Mapping[str, Any]], Iterator[str]]


def _structured_outputs(body: Mapping[str, Any]) -> Iterator[str]:
    if _inner(body, "text", "format").get("type") == "json_schema":
        yield "text.format"


def _tool_choice(body: Mapping[str, Any]) -> Iterator[str]:
    if body.get("tool_choice") not in (None, "auto"):
        yield "tool_choice"


def _image_urls(body: Mapping[str, Any]) -> Iterator[str]:
    for path, part in _parts(body):
        url = part.get("image_url")
        if isinstance(url, str) and not url.startswith("data:"):
            yield at_key(path, "image_url")


def _files(body: Mapping[str, Any]) -> Iterator[str]:
    return (path for path, part in _parts(body) if part.get("type") == "input_file")


def _summary(body: Mapping[str, Any]) -> Iterator[str]:
    reasoning = _inner(body, "reasoning")
    return (f"reasoning.{key}" for key in ("summary", "generate_summary") if reasoning.get(key))


def _encrypted(body: Mapping[str, Any]) -> Iterator[str]:
    include = body.get("include")
    for index, value in enumerate(include if isinstance(include, list) else ()):
        if value == "reasoning.encrypted_content":
            yield at_index("include", index)


def _given(name: str) -> _Uses:
    return lambda body: iter([name] if body.get(name) else [])


def _tool(prefix: str) -> _Uses:
    def uses(body: Mapping[str, Any]) -> Iterator[str]:
        tools = body.get("tools")
        for index, tool in enumerate(tools if isinstance(tools, list) else ()):
            kind = tool.get("type") if isinstance(tool, dict) else None
            if isinstance(kind, str) and kind.startswith(prefix):
                yield at_key(at_index("tools", index), "type")

    return uses


_USES: Mapping[str, _Uses] = {
    "structured_outputs": _structured_outputs,
    "tool_choice": _tool_choice,
    "image_url": _image_urls,
    "reasoning_summary": _summary,
    "web_search": _tool("web_search"),
    "file_input": _files,
    "mcp": _tool("mcp"),
    "image_generation": _tool("image_generation"),
    "code_interpreter": _tool("code_interpreter"),
    "custom_tools": _tool("custom"),
    "background": _given("background"),
    "encrypted_reasoning": _encrypted,
    "conversation": _given("conversation"),
    "prompt": _given("prompt"),
}


def _inner(body: Mapping[str, Any], *keys: str) -> Mapping[str, Any]:
    """The object at the path, or an empty one."""
    value: Any = body
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def _parts(body: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The content parts of all input items, with their paths."""
    items = body.get("input")
    for index, item in enumerate(items if isinstance(items, list) else ()):
        for field in ("content", "output"):
            parts = item.get(field) if isinstance(item, dict) else None
            for number, part in enumerate(parts if isinstance(parts, list) else ()):
                if isinstance(part, dict):
                    yield at_index(at_key(at_index("input", index), field), number), part
